"""What a signature policy demands of an image, and whose keys it names.

Format: containers-policy.json(5): requirements by transport and scope, the most special one counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..budgets import CONFIG_BYTES
from ..documents import DocumentError, is_list, is_table, load_object
from ..errors import UsageError
from ..reference import ImageRef

PATH: Final = "etc/containers/policy.json"
ACCEPT: Final = {"type": "insecureAcceptAnything"}
_SIGNED: Final = frozenset({"signedBy", "sigstoreSigned", "signedBaseLayer"})
_ATTACHED: Final = "sigstoreSigned"  # its signatures are found where registries.d(5) says so
# Members of requirements that are names of files: keys and certificates, public all of them.
_FILES: Final = re.compile(r"(key|rekorPublicKey|ca|caRoots|caIntermediates)Paths?")
_SECRET: Final = re.compile(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY")


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy that was read: the document itself."""

    document: Mapping[str, Any]

    @property
    def accepts_by_default(self) -> bool:
        """Whether what no rule names is accepted; ostree-ext takes such a policy for none."""
        return ACCEPT in _requirements(self.document.get("default"))

    def demands(self, ref: ImageRef) -> bool:
        """Say whether an image of a registry has to be signed by somebody who is named."""
        return any(each.get("type") in _SIGNED for each in self._of(ref))

    def refuses(self, ref: ImageRef) -> bool:
        """Say whether the policy takes no such image, signed or not."""
        return any(each.get("type") == "reject" for each in self._of(ref))

    def needs_attachments(self, ref: ImageRef) -> bool:
        """Say whether signatures have to be looked for beside the image in its registry."""
        return any(each.get("type") == _ATTACHED for each in self._of(ref))

    def _of(self, ref: ImageRef) -> list[Mapping[str, Any]]:
        scopes = self.document.get("transports", {}).get("docker", {})
        found = next((scopes[name] for name in scopes_of(ref) if name in scopes), None)
        return _requirements(self.document.get("default") if found is None else found)


def parse(data: bytes, what: str) -> Policy:
    """Return the policy that a file holds. Raises UsageError; ``what`` names the file."""
    try:
        document = load_object(data, CONFIG_BYTES)
    except DocumentError as error:
        raise UsageError(
            f"'{what}' is no signature policy: {error}", setting="signature-policy"
        ) from error
    transports = document.get("transports", {})
    sound = is_list(document.get("default")) and is_table(transports)
    if not sound or not all(is_table(scopes) for scopes in transports.values()):
        raise UsageError(
            f"'{what}' is no signature policy: it has no list 'default'",
            hint="see containers-policy.json(5)",
            setting="signature-policy",
        )
    return Policy(document)


def normal(ref: ImageRef) -> str:
    """Return a registry reference with its registry, as policies and credentials name it."""
    first, slash, _rest = ref.name.partition("/")
    if slash and (first == "localhost" or set(first) & set(".:")):
        return ref.name
    return f"docker.io/{ref.name}" if slash else f"docker.io/library/{ref.name}"


def repository(ref: ImageRef) -> str:
    """Return the repository of a registry reference, without tag and digest."""
    name = normal(ref).partition("@")[0]
    place, slash, last = name.rpartition("/")
    return f"{place}{slash}{last.partition(':')[0]}"


def registry(ref: ImageRef) -> str:
    """Return host and port of a registry reference."""
    return normal(ref).partition("/")[0]


def scopes_of(ref: ImageRef) -> Iterator[str]:
    """Yield the scopes that an image is in, the most special one first."""
    yield normal(ref)
    place = repository(ref)
    while place:
        yield place
        place = place.rpartition("/")[0]
    host = registry(ref).partition(":")[0]
    while "." in host:
        host = host.partition(".")[2]
        yield f"*.{host}"
    yield ""


def moved(
    policy: Policy, load: Callable[[str], bytes | None], place: Callable[[bytes], str]
) -> tuple[Policy, dict[str, bytes]]:
    """Return a policy whose keys lie elsewhere, and these by path.

    ``load`` reads a file that the policy names, ``place`` says where its content will lie. Raises
    UsageError for one that is not there, or is no public key.
    """
    files: dict[str, bytes] = {}

    def moved_file(name: object) -> str:
        data = load(name) if isinstance(name, str) else None
        if data is None:
            raise UsageError(
                f"the signature policy names the key '{name}', which cannot be read",
                setting="signature-policy",
            )
        if _SECRET.search(data):
            raise UsageError(
                f"'{name}', which the signature policy names, is a private key",
                hint="name the public one",
                setting="signature-policy",
            )
        path = place(data)
        files[path] = data
        return f"/{path}"

    def walked(value: Any) -> Any:  # noqa: ANN401
        if is_list(value):
            return [walked(each) for each in value]
        if not is_table(value):
            return value
        made: dict[str, Any] = {}
        for key, each in value.items():
            if not _FILES.fullmatch(key):
                made[key] = walked(each)
            elif is_list(each):
                made[key] = [moved_file(name) for name in each]
            else:
                made[key] = moved_file(each)
        return made

    return Policy(walked(dict(policy.document))), files


def _requirements(value: object) -> list[Mapping[str, Any]]:
    return [each for each in value if is_table(each)] if is_list(value) else []

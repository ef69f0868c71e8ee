"""Container image references, as people write them and as skopeo and ostree want them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Final

from .errors import UsageError

# Transport as skopeo names it -> what stands behind the colon of a reference people write.
TRANSPORTS: Final = {
    "docker": "a registry",
    "oci": "an OCI layout directory",
    "oci-archive": "a tar of an OCI layout",
    "docker-archive": "a tar made by 'docker save'",
    "dir": "a directory made by 'skopeo copy'",
    "containers-storage": "podman's local storage",
    "docker-daemon": "what Docker has on this machine",
}
LOCAL: Final = "localhost"  # the domain of images that were built and never pushed
UNVERIFIED: Final = "ostree-unverified-registry"
SIGNED: Final = "ostree-image-signed"
_SCHEMES: Final = {
    UNVERIFIED: UNVERIFIED,
    "ostree-unverified-image": UNVERIFIED,
    SIGNED: SIGNED,
}
_REMOTE: Final = re.compile(r"ostree-remote-registry:[A-Za-z0-9][A-Za-z0-9._-]*")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
# The grammar of github.com/distribution/reference, case rules included.
_LABEL: Final = r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)"
_DOMAIN: Final = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_PART: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REGISTRY_NAME: Final = re.compile(
    rf"(?P<name>(?:{_DOMAIN}/)?{_PART}(?:/{_PART})*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?",
    re.ASCII,
)
# What stands before an '@' of a registry's name, with whatever scheme: a user, a password.
_CREDENTIALS: Final = re.compile(
    r"(?P<before>(?:[a-z+]+://)?(?:[^/:@]*:)?).*@(?P<after>(?!sha256:)[^@/]+/[^@]*)", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class ImageRef:
    """Where an image is: ``transport`` as skopeo names it, ``name`` without ``//``."""

    transport: str
    name: str
    bare: bool = field(default=False, compare=False, repr=False)  # written without a transport

    def __str__(self) -> str:
        """Return skopeo's notation: ``docker://quay.io/x/y:1``, ``oci:/path:tag``."""
        return f"{self.transport}:{'//' if self.transport == 'docker' else ''}{self.name}"

    @property
    def is_registry(self) -> bool:
        return self.transport == "docker"

    @property
    def domain(self) -> str | None:
        """The domain of a registry reference; None for a short name, and for other transports."""
        first, slash, _rest = self.name.partition("/")
        named = slash and (set(first) & set(".:[") or first == LOCAL or first != first.lower())
        return first if self.is_registry and named else None

    @property
    def is_remote(self) -> bool:
        """Whether a machine can fetch it: from a registry that is not this host's storage."""
        return self.is_registry and self.domain != LOCAL

    @property
    def short(self) -> str:
        """The form people write: without ``docker://``."""
        return self.name if self.is_registry else str(self)

    @property
    def digest(self) -> str | None:
        """The digest a registry reference is pinned to, or None."""
        _, at, digest = self.name.partition("@")
        return digest if self.is_registry and at else None

    @property
    def origin(self) -> str:
        """The ``container-image-reference`` of an ostree origin that checks no signature."""
        return self.origin_by(UNVERIFIED)

    def origin_by(self, signature: str) -> str:
        """Return the ``container-image-reference`` of an origin with a signature's rule.

        ``signature`` is one that :func:`check_signature` takes.
        """
        rule, _colon, remote = signature.partition(":")
        if rule == SIGNED:
            return f"{SIGNED}:{self}"
        where = f"registry:{self.name}" if self.is_registry else f"image:{self}"
        if rule == UNVERIFIED:
            return f"ostree-unverified-{where}"
        kind, _colon, name = where.partition(":")
        return f"ostree-remote-{kind}:{remote}:{name}"

    def at(self, digest: str) -> ImageRef:
        """Return the same repository at a digest. Only for registry references."""
        match = _REGISTRY_NAME.fullmatch(self.name)
        assert match is not None
        return replace(self, name=f"{match['name']}@{digest}")


def check_signature(text: str) -> str:
    """Return a rule for the signatures of updates as it was given. Raises UsageError.

    ``ostree-unverified-registry`` takes any image, ``ostree-image-signed`` obeys the machine's
    containers-policy.json(5), ``ostree-remote-registry:REMOTE`` the key of an ostree remote.
    """
    if text in (UNVERIFIED, SIGNED) or _REMOTE.fullmatch(text):
        return text
    raise UsageError(
        f"'{text}' is no rule for signatures",
        hint=f"known are: {UNVERIFIED}, {SIGNED}, ostree-remote-registry:REMOTE",
        setting="target-signature",
    )


def parse(text: str, *, setting: str | None = None) -> ImageRef:
    """Return the reference that ``text`` means; a bare name means a registry, or local storage.

    Raises UsageError for an unknown transport, a name no registry can have, and credentials.
    """
    transport, colon, rest = text.partition(":")
    if text.startswith("docker://"):
        return _registry(text.removeprefix("docker://"), text, setting)
    if colon and transport in TRANSPORTS and transport != "docker":
        if not rest:
            raise UsageError(f"'{text}' names no image behind '{transport}:'", setting=setting)
        if transport == "docker-daemon" and ":" not in rest.rpartition("/")[2]:
            rest += ":latest"  # as Docker takes it
        return ImageRef(transport, rest)
    if "://" in text:
        _refuse_credentials(text, setting)
    if "://" in text or transport in {"tarball", "sif", "ostree", "atomic"}:
        raise UsageError(
            f"'{text}' has an unknown transport",
            hint="known are: " + ", ".join(_spelling(t) for t in TRANSPORTS),
            setting=setting,
        )
    return replace(_registry(text, text, setting), bare=True)


def split_origin(text: str) -> tuple[str | None, str]:
    """Return the rule for signatures, and the reference, of a ``container-image-reference``.

    The inverse of :meth:`ImageRef.origin_by`; the rule is None for what is no origin of containers.
    Grammar: ostree-ext's ``OstreeImageReference``.
    """
    scheme, _colon, rest = text.partition(":")
    if scheme in ("ostree-remote-registry", "ostree-remote-image"):
        remote, _colon, rest = rest.partition(":")
        rule: str | None = f"ostree-remote-registry:{remote}"
    else:
        rule = _SCHEMES.get(scheme)
    if rule is None:
        return None, text
    if scheme.endswith("-registry"):
        return rule, rest
    for prefix in ("docker://", "registry:"):
        rest = rest.removeprefix(prefix)
    return rule, rest


def is_digest(text: str) -> bool:
    """Say whether text is a sha256 digest as registries write them."""
    return _DIGEST.fullmatch(text) is not None


def escape_ref(text: str) -> str:
    """Return an image reference or a digest as a component of an ostree ref.

    Rule of ostree-ext's ``refescape``: ASCII letters, digits and ``-`` stay, ``_`` doubles, ``/``
    stays between letters or digits and something, all else becomes ``_HEX_`` of its code point.
    """
    out: list[str] = []
    previous_alnum = False
    for index, char in enumerate(text):
        alnum = char.isascii() and char.isalnum()
        if alnum or char == "-" or (char == "/" and previous_alnum and index != len(text) - 1):
            out.append(char)
        elif char == "_":
            out.append("__")
        else:
            out.append(f"_{ord(char):02X}_")
        previous_alnum = alnum
    return "".join(out)


def _refuse_credentials(text: str, setting: str | None) -> None:
    found = _CREDENTIALS.fullmatch(text)
    if found is not None:
        raise UsageError(
            f"'{found['before']}***@{found['after']}' holds credentials, which plans, caches and "
            "installed machines would keep",
            hint="log in with 'skopeo login', or give them by --authfile",
            setting=setting,
        )


def _spelling(transport: str) -> str:
    return "docker://" if transport == "docker" else f"{transport}:"


def _registry(name: str, text: str, setting: str | None) -> ImageRef:
    match = _REGISTRY_NAME.fullmatch(name)
    if match is None:
        _refuse_credentials(text, setting)
        lower = name.lower()
        hint = (
            f"repository names are lower case: '{lower}'"
            if lower != name and _REGISTRY_NAME.fullmatch(lower)
            else "write it like quay.io/project/image:tag, or name a transport: "
            + ", ".join(_spelling(t) for t in TRANSPORTS)
        )
        raise UsageError(f"'{text}' is not an image reference", hint=hint, setting=setting)
    return ImageRef("docker", name)

"""What a machine that installs is given: how it reaches registries, and what it trusts there.

A tree of files that is laid over the installer's runtime, whichever installer that is. Formats:
containers-policy.json(5), containers-registries.conf(5) and .d(5), containers-certs.d(5),
containers-auth.json(5); the place of credentials is ostree-ext's; systemd.environment-generator(7).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ..budgets import CONFIG_BYTES
from ..config import IsoRequest
from ..documents import DocumentError, load_object
from ..errors import PreflightError, Problem, UsageError
from ..image import policy as policies
from ..image.policy import Policy, registry, repository
from ..ostree.lookup import find
from ..reference import SIGNED, ImageRef
from ..tree import Directory, File, read, regular
from .kickstart import MEDIUM

RUNTIME: Final = "runtime"  # where the files are in our place on a medium, for our own installer
AUTHFILE: Final = "etc/ostree/auth.json"
_CONTAINERS: Final = "etc/containers"
_KEYS: Final = "etc/pki/containers"
_PROXY: Final = "usr/lib/systemd/system-environment-generators/80-diskgen-proxy"
_INSECURE: Final = f"{_CONTAINERS}/registries.conf.d/999-diskgen.conf"
_ATTACHMENTS: Final = f"{_CONTAINERS}/registries.d/diskgen.yaml"
_REMOTE: Final = "ostree-remote-"
# RFC 9580, 4.2 and 5.5.1.3.
_SECRET_KEY: Final = re.compile(rb"-----BEGIN PGP PRIVATE|\A[\x94-\x97\xc5]")
Load = Callable[[str], bytes | None]  # what reads a file that a policy names
_PROXY_SCRIPT: Final = """\
#!/bin/sh
# Written by diskgen: whatever fetches something does it by the proxy that inst.proxy= names.
set -f
proxy=
# shellcheck disable=SC2013 # words are meant
for word in $(cat /proc/cmdline /run/install/cmdline /run/install/cmdline.d/*.conf 2>/dev/null); do
  case $word in inst.proxy=*) proxy=${word#inst.proxy=} ;; esac
done
case $proxy in
  '' | *[!A-Za-z0-9._:/@%~+-]*) exit 0 ;;
  *://*) ;;
  *) proxy=http://$proxy ;;
esac
printf '%s\\n' "http_proxy=$proxy" "https_proxy=$proxy" 'no_proxy=localhost,127.0.0.1,::1'
"""


class AccessError(UsageError, PreflightError):
    """Options by which no machine could install, with all reasons."""

    exit_status = UsageError.exit_status

    def __init__(self, problems: Sequence[Problem]) -> None:
        PreflightError.__init__(self, problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What was decided. ``tree`` has paths of the runtime."""

    tree: Directory
    verified: bool  # the installer takes nothing from the registry that is not signed
    remote: tuple[str, bytes] | None  # an ostree remote's name, and the key of its signatures
    secret: bool  # credentials are among the files
    warnings: tuple[str, ...]

    @property
    def given(self) -> tuple[str, ...]:
        """The paths of the files, as people know them."""
        return tuple(
            f"/{path.decode()}" for path, node in self.tree.walk() if isinstance(node, File)
        )


def decide(
    request: IsoRequest, rule: str, roots: Sequence[Directory | None], proxy: str | None
) -> Access:
    """Return what an installer is given.

    ``rule`` is what precedes the reference in the origin, ``roots`` are those in which a policy may
    lie: the runtime's and the image's, None for what was not read. ``proxy`` is the variable that
    names this machine's proxy. Raises AccessError with all that is wrong.
    """
    made = _Draft(request=request, rule=rule, roots=roots, proxy=proxy)
    for part in (_policy, _registries, _certificates, _credentials, _remote, _proxies):
        try:
            part(made)
        except UsageError as error:
            made.problem(error.message, error.hint, error.setting)
    if made.problems:
        raise AccessError(made.problems)
    return Access(
        tree=made.tree,
        verified=made.verified,
        remote=made.remote,
        secret=made.secret,
        warnings=tuple(made.warnings),
    )


@dataclass(slots=True, kw_only=True)
class _Draft:
    """What is being decided."""

    request: IsoRequest
    rule: str
    roots: Sequence[Directory | None]
    proxy: str | None
    tree: Directory = field(default_factory=Directory)
    verified: bool = False
    remote: tuple[str, bytes] | None = None
    secret: bool = False
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def ref(self) -> ImageRef:
        """What the machine installs from a registry, and updates from."""
        return self.request.tracked

    @property
    def fetches(self) -> bool:
        """Whether an installation fetches, with nobody having said so."""
        return self.request.payload != "embedded"

    @property
    def concerns(self) -> bool:
        """Whether what was said of the source's registry is said of the one that is installed from.

        A source that is in none says nothing of its own.
        """
        source = self.request.source
        return not source.is_registry or registry(source) == registry(self.ref)

    def problem(self, message: str, hint: str | None, setting: str | None) -> None:
        self.problems.append(Problem(code="access", message=message, hint=hint, setting=setting))

    def add(self, path: str, data: bytes, *, mode: int = 0o644) -> None:
        self.tree.add(path, regular(data, mode=mode))


def _policy(made: _Draft) -> None:
    """Let the installer take only what is signed, by the policy that says by whom."""
    ref, signed = made.ref, made.rule.startswith(f"{SIGNED}:")
    found = _chosen(made, signed=signed)
    demands = False
    if found is not None:
        policy, load = found
        demands = policy.demands(ref) and not policy.accepts_by_default
        if made.fetches and policy.refuses(ref):
            made.problem(
                f"the signature policy refuses '{ref.short}', which the installer has to fetch",
                "give the policy a rule for it",
                "signature-policy",
            )
        policy, files = policies.moved(policy, load, _key_place)
        made.add(policies.PATH, _json(_with_medium(policy)))
        for path, data in files.items():
            made.add(path, data)
        _lookaside(made, policy)
    made.verified = signed or demands
    if demands or not signed:
        return
    if made.fetches:
        made.problem(
            f"the updates of '{ref.short}' are to be signed, and no signature policy says by whom: "
            "the installer would refuse the image",
            "name one that has a rule for it and rejects by default, see containers-policy.json(5)",
            "signature-policy",
        )
    else:
        made.warnings.append(
            f"'{ref.short}' is to be signed, and no signature policy says by whom: started from "
            "the network, or with diskgen.ref=, the installer refuses every image "
            "(--signature-policy)"
        )


def _chosen(made: _Draft, *, signed: bool) -> tuple[Policy, Load] | None:
    """Return the policy that counts: the one that is named, else one that demands signatures.

    The runtime's own, which comes first, counts as well where it would refuse the medium's image.
    """
    named = made.request.access.policy
    if named is not None:
        return policies.parse(_read(named, "signature-policy"), str(named)), _of_host
    for number, root in enumerate(made.roots):
        load = _of_root(root)
        data = load(policies.PATH)
        try:
            policy = policies.parse(data or b"", policies.PATH)
        except UsageError:
            continue  # there is none, or none that would be obeyed
        wanted = signed and policy.demands(made.ref) and not policy.accepts_by_default
        if wanted or (number == 0 and not policy.accepts_by_default):
            return policy, load
    return None


def _with_medium(policy: Policy) -> dict[str, Any]:
    """Return a policy that takes the image on the medium, whose digests are known to be right."""
    document = dict(policy.document)
    transports = dict(document.get("transports", {}))
    transports["oci"] = {**transports.get("oci", {}), f"{MEDIUM}/container": [policies.ACCEPT]}
    return {**document, "transports": transports}


def _lookaside(made: _Draft, policy: Policy) -> None:
    """Say where signatures are: as the user has it, else beside the image where they have to be."""
    place = made.request.access.registries_d
    if place is not None:
        for path in sorted(place.glob("*.yaml")):
            made.add(f"{_CONTAINERS}/registries.d/{path.name}", _read(path, "registries-d"))
    elif policy.needs_attachments(made.ref):
        text = f'docker:\n  "{repository(made.ref)}":\n    use-sigstore-attachments: true\n'
        made.add(_ATTACHMENTS, text.encode())


def _registries(made: _Draft) -> None:
    """Name mirrors, and registries that are not verified by TLS."""
    access = made.request.access
    if access.registries_conf is not None:
        data = _read(access.registries_conf, "registries-conf")
        made.add(f"{_CONTAINERS}/registries.conf", data)
    if access.tls_verify is False:
        if made.concerns:
            text = f'[[registry]]\nlocation = "{registry(made.ref)}"\ninsecure = true\n'
            made.add(_INSECURE, text.encode())
        elif made.fetches:
            made.warnings.append(_elsewhere(made, "--tls-verify=false"))


def _certificates(made: _Draft) -> None:
    """Add the authorities that a registry's certificate comes from; a client's key is a secret."""
    place = made.request.access.cert_dir
    if place is None:
        return
    if not made.concerns:
        if made.fetches:
            made.warnings.append(_elsewhere(made, "--cert-dir"))
        return
    for path in sorted(place.glob("*.crt")):
        target = f"{_CONTAINERS}/certs.d/{registry(made.ref)}/{path.name}"
        made.add(target, _read(path, "cert-dir"))
    keys = sorted(path.name for path in place.glob("*.key"))
    if keys and made.fetches:
        made.warnings.append(
            f"a client's key ({', '.join(map(repr, keys))} of --cert-dir) does not go onto the "
            "medium: the registry has to let the installer in by other credentials"
        )


def _credentials(made: _Draft) -> None:
    """Add the credentials for the one repository, where that was asked for."""
    path = made.request.access.authfile
    if not made.request.embed_authfile:
        if path is not None and made.fetches:
            made.warnings.append(
                f"the credentials of --authfile do not go onto the medium: '{made.ref.short}' has "
                "to be readable without (--embed-authfile puts them there, for whoever has the "
                "medium to read)"
            )
        return
    if path is None:
        raise UsageError(
            "no credentials are named that could go onto the medium",
            hint="name the file that has them",
            setting="authfile",
        )
    try:
        entries = load_object(_read(path, "authfile"), CONFIG_BYTES).get("auths")
    except DocumentError as error:
        raise UsageError(f"'{path}' holds no credentials: {error}", setting="authfile") from error
    known = entries if isinstance(entries, dict) else {}
    # The most special name of a repository counts; docker's own files have URLs.
    names = [name for name in policies.scopes_of(made.ref) if name in known and "*" not in name]
    if not names:
        raise UsageError(
            f"'{path}' has no credentials for '{registry(made.ref)}' that could go onto the medium",
            hint="'podman login --authfile FILE' writes them; those of a helper cannot be taken "
            "along",
            setting="authfile",
        )
    made.secret = True
    made.add(AUTHFILE, _json({"auths": {names[0]: known[names[0]]}}), mode=0o600)
    made.warnings.append(
        f"the credentials for '{names[0]}' are on the medium: whoever has it, or can reach a "
        "server that offers its files, can read them"
    )


def _remote(made: _Draft) -> None:
    """Take the key along by which an installed machine verifies its updates."""
    path = made.request.signature_key
    name = made.rule.split(":")[1] if made.rule.startswith(_REMOTE) else None
    if name is None:
        if path is not None:
            raise UsageError(
                f"'{path}' is the key of no ostree remote: the updates are not verified by one",
                hint="name the remote: ostree-remote-registry:NAME",
                setting="target-signature",
            )
        return
    if path is None:
        raise UsageError(
            f"updates are to be verified by the ostree remote '{name}', whose key is not named",
            hint="name the file of its public key",
            setting="target-signature-key",
        )
    data = _read(path, "target-signature-key")
    if _SECRET_KEY.search(data):
        raise UsageError(
            f"'{path}' is a private key", hint="name the public one", setting="target-signature-key"
        )
    made.remote = (name, data)
    if made.fetches and not made.verified:
        made.warnings.append(
            f"the key of '{name}' verifies updates, not what is fetched while a machine is "
            "installed: a signature policy would do that (--signature-policy)"
        )


def _proxies(made: _Draft) -> None:
    """Let ``inst.proxy=`` count for all that fetches."""
    made.add(_PROXY, _PROXY_SCRIPT.encode(), mode=0o755)
    words = [karg for karg in made.request.kargs if karg.startswith("inst.proxy=")]
    if any("@" in word for word in words):
        raise UsageError(
            "a proxy's password would be readable in every menu entry",
            hint="give the proxy without credentials, and type them where the installer starts",
            setting="karg",
        )
    if made.proxy is not None and made.fetches and not words:
        made.warnings.append(
            f"this machine has a proxy ('{made.proxy}'), the one that installs will have none: "
            "'--karg inst.proxy=URL' names it"
        )


def _of_host(name: str) -> bytes | None:
    try:
        return _read(Path(name), "signature-policy")
    except UsageError:
        return None


def _of_root(root: Directory | None) -> Load:
    def load(name: str) -> bytes | None:
        node = find(root, name) if root is not None else None
        if not isinstance(node, File) or node.content is None or node.size > CONFIG_BYTES.limit:
            return None
        return read(node.content)

    return load


def _read(path: Path, setting: str) -> bytes:
    """Return a small file's content. Raises UsageError."""
    try:
        if not path.is_file():
            raise UsageError(f"'{path}' is no file", setting=setting)
        if path.stat().st_size > CONFIG_BYTES.limit:
            raise UsageError(f"'{path}' is too large for what it is to be", setting=setting)
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"'{path}' cannot be read: {error.strerror}", setting=setting) from error


def _key_place(data: bytes) -> str:
    return f"{_KEYS}/{hashlib.sha256(data).hexdigest()[:16]}.pub"


def _elsewhere(made: _Draft, option: str) -> str:
    return (
        f"{option} is about '{registry(made.request.source)}', and does not reach the machine that "
        f"installs from '{registry(made.ref)}'"
    )


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()

"""What a machine that installs is given: how it reaches registries, and what it trusts there.

A tree of files that is laid over the installer's runtime, whichever installer that is. Formats:
containers-registries.conf(5), containers-certs.d(5), containers-auth.json(5), whose place is
ostree-ext's; systemd.environment-generator(7); and those of :mod:`diskgen.iso.access.trust`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ... import resources
from ...budgets import CONFIG_BYTES
from ...config import IsoRequest
from ...documents import DocumentError, is_table, load_object
from ...errors import PreflightError, Problem, UsageError
from ...image import policy as policies
from ...image.policy import registry
from ...tree import Directory, File
from . import insecure, trust
from .draft import CONTAINERS, Draft, document, small

RUNTIME: Final = "runtime"  # where the files are in our place on a medium, for our own installer
AUTHFILE: Final = "etc/ostree/auth.json"
_PROXY: Final = "usr/lib/systemd/system-environment-generators/80-diskgen-proxy"
_INSECURE: Final = f"{CONTAINERS}/registries.conf.d/999-diskgen.conf"


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
    made = Draft(request=request, rule=rule, roots=roots, proxy=proxy)
    for part in (trust.policy, _registries, _certificates, _credentials, trust.remote, _proxies):
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
        warnings=tuple(made.warnings),
    )


def _registries(made: Draft) -> None:
    """Name mirrors, and registries that are not verified by TLS."""
    access = made.request.access
    data = None
    if access.registries_conf is not None:
        data = small(access.registries_conf, "registries-conf")
        made.add(f"{CONTAINERS}/registries.conf", data)
    if access.tls_verify is False:
        if made.concerns:
            text = insecure.drop_in(made.ref.name, registry(made.ref), data)
            made.add(_INSECURE, text.encode())
        elif made.fetches:
            made.warnings.append(_elsewhere(made, "--tls-verify=false"))


def _certificates(made: Draft) -> None:
    """Add the authorities that a registry's certificate comes from; a client's key is a secret."""
    place = made.request.access.cert_dir
    if place is None:
        return
    if not made.concerns:
        if made.fetches:
            made.warnings.append(_elsewhere(made, "--cert-dir"))
        return
    for path in sorted(place.glob("*.crt")):
        target = f"{CONTAINERS}/certs.d/{registry(made.ref)}/{path.name}"
        made.add(target, small(path, "cert-dir"))
    keys = sorted(path.name for path in place.glob("*.key"))
    if keys and made.fetches:
        made.warnings.append(
            f"a client's key ({', '.join(map(repr, keys))} of --cert-dir) does not go onto the "
            "medium: the registry has to let the installer in by other credentials"
        )


def _credentials(made: Draft) -> None:
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
        entries = load_object(small(path, "authfile"), CONFIG_BYTES).get("auths")
    except DocumentError as error:
        raise UsageError(f"'{path}' holds no credentials: {error}", setting="authfile") from error
    known = entries if is_table(entries) else {}
    # The most special name of a repository counts; docker's own files have URLs.
    names = [
        name
        for name in policies.scopes_of(made.ref)
        if "*" not in name and _is_whole(known.get(name))
    ]
    if not names:
        raise UsageError(
            f"'{path}' has no credentials for '{registry(made.ref)}' that could go onto the medium",
            hint="'podman login --authfile FILE' writes them; those of a helper cannot be taken "
            "along",
            setting="authfile",
        )
    made.add(AUTHFILE, document({"auths": {names[0]: known[names[0]]}}), mode=0o600)


def _is_whole(entry: object) -> bool:
    """Say whether an entry has the credentials itself; those of a helper leave an empty one."""
    return is_table(entry) and bool(entry.get("auth") or entry.get("identitytoken"))


def _proxies(made: Draft) -> None:
    """Let ``inst.proxy=`` count for all that fetches."""
    made.add(_PROXY, resources.data("installer", _PROXY.rpartition("/")[2]), mode=0o755)
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


def _elsewhere(made: Draft, option: str) -> str:
    return (
        f"{option} is about '{registry(made.request.source)}', and does not reach the machine that "
        f"installs from '{registry(made.ref)}'"
    )

"""skopeo: its arguments, and what its complaints mean."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from ..config import AccessOptions
from ..documents import load_object
from ..errors import DiskgenError, HostError, SourceError, ToolError
from ..run import Completed, run


class NotFound(SourceError):  # noqa: N818 - what was said, whoever is at fault
    """The source has no such image."""


# (pattern in skopeo's stderr, error class, message, hint, setting); the first match counts.
_FAILURES: Final[tuple[tuple[str, type[DiskgenError], str, str | None, str | None], ...]] = (
    (
        r"Source image rejected|signature.*(required|policy)|A signature was required"
        r"|Running image .* is rejected by policy",
        SourceError,
        "'{ref}' is refused by the signature policy",
        "the policy is /etc/containers/policy.json or ~/.config/containers/policy.json",
        "signature-policy",
    ),
    (
        r"policy\.json: no such file",
        HostError,
        "there is no signature policy on this machine (/etc/containers/policy.json)",
        "install it: apt install golang-github-containers-common / dnf install containers-common",
        "signature-policy",
    ),
    (
        r"no space left on device|disk quota exceeded",
        HostError,
        "no space left while '{ref}' was fetched",
        "'diskgen cache prune' frees some, or choose another directory",
        "cache-dir",
    ),
    (
        r"server gave HTTP response to HTTPS client",
        SourceError,
        "the registry of '{ref}' speaks plain HTTP",
        "if that is meant, allow it: --tls-verify=false",
        "tls-verify",
    ),
    (
        r"x509:|tls:|certificate",
        SourceError,
        "the registry of '{ref}' has a certificate that this machine does not trust",
        "give its CA by --cert-dir, or accept any by --tls-verify=false",
        "cert-dir",
    ),
    (
        r"manifest unknown|name unknown|repository name not known|status code 404|StatusCode: 404"
        r"|reading manifest .*: not found|no such manifest",
        NotFound,
        "'{ref}' does not exist in its registry",
        "check the name and the tag",
        None,
    ),
    (
        r"unauthorized|authentication required|denied|status code 40[13]|401 Unauthorized"
        r"|invalid username/password",
        SourceError,
        "the registry does not let us read '{ref}'",
        "log in with 'podman login' or 'skopeo login', or give credentials by --authfile",
        "authfile",
    ),
    (
        r"toomanyrequests|status code 429|Too Many Requests",
        SourceError,
        "the registry of '{ref}' refuses more requests for now",
        "wait, or log in: --authfile",
        "authfile",
    ),
    (
        r"Digest did not match|digest mismatch|does not match.*digest|content does not match",
        SourceError,
        "the registry sent content for '{ref}' that does not match its digest",
        "try again; if it stays, the image in the registry is broken",
        None,
    ),
    (
        r"unexpected EOF|unexpected end of|connection reset by peer|http2: .*closed",
        SourceError,
        "the connection broke while '{ref}' was fetched",
        "try again: what was fetched completely is kept",
        None,
    ),
    (
        r"connection refused|no such host|i/o timeout|network is unreachable|no route to host"
        r"|Temporary failure in name resolution|server misbehaving|context deadline exceeded",
        SourceError,
        "the registry of '{ref}' cannot be reached",
        "check the name, the network and the proxy settings",
        None,
    ),
    (
        r"status code 5\d\d|50[0234] ",
        SourceError,
        "the registry of '{ref}' has an internal error",
        "try again later",
        None,
    ),
    (
        r"no such file or directory|does not exist|not a directory|not known|does not resolve"
        r"|identifier is not an image",
        NotFound,
        "'{ref}' does not exist",
        "check the path and the tag",
        None,
    ),
    (
        r"invalid reference format|repository name must",
        SourceError,
        "'{ref}' is not an image reference",
        None,
        None,
    ),
)


def skopeo(
    command: str,
    arguments: Sequence[str | Path],
    access: AccessOptions,
    *,
    what: str,
    poll: Callable[[], None] | None = None,
    options: Sequence[str] = (),
) -> Completed:
    """Run one skopeo command.

    ``what`` is the reference as the user wrote it, ``options`` are skopeo's global ones.

    Raises SourceError or HostError in our words where the table knows the complaint, else
    ToolError with skopeo's.
    """
    argv: list[str | Path] = ["skopeo", *options]
    if access.policy is not None:
        argv += ["--policy", access.policy]
    if access.registries_conf is not None:
        argv += ["--registries-conf", access.registries_conf]  # not in its help, but in its source
    if access.registries_d is not None:
        argv += ["--registries.d", access.registries_d]
    argv.append(command)
    prefix = "src-" if command == "copy" else ""
    if access.authfile is not None:
        argv += ["--authfile", access.authfile]
    if access.cert_dir is not None:
        argv += [f"--{prefix}cert-dir", access.cert_dir]
    if access.tls_verify is not None:
        argv.append(f"--{prefix}tls-verify={str(access.tls_verify).lower()}")
    argv += ["--retry-times", "2"]
    try:
        return run([*argv, *arguments], poll=poll)
    except ToolError as error:
        raise explain(error, what) from error


def explain(error: ToolError, what: str) -> DiskgenError:
    """Return the error that a failure of skopeo means, or the failure itself."""
    # Lines of "level=warning" are about retries; the last line is the reason.
    for pattern, kind, message, hint, setting in _FAILURES:
        if re.search(pattern, error.stderr, re.IGNORECASE):
            return kind(message.format(ref=what), hint=hint, setting=setting)
    return error


def accepts_anything(access: AccessOptions) -> bool:
    """Say whether the signature policy in force accepts every OCI layout.

    Only then may a layout be read without skopeo, which would enforce the policy. The files and
    their order are those of containers-policy.json(5).
    """
    candidates = (
        [access.policy]
        if access.policy
        else [
            Path("~/.config/containers/policy.json").expanduser(),
            Path("/etc/containers/policy.json"),
        ]
    )
    for path in candidates:
        if path.is_file():
            try:
                policy = load_object(path.read_bytes())
                return bool(
                    policy["default"] == [{"type": "insecureAcceptAnything"}]
                    and "oci" not in policy.get("transports", {})
                )
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                return False
    return False

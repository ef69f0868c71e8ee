"""What skopeo's complaints mean: its last line into an error in our words, with its reason.

skopeo logs by logrus, ``time=... level=fatal msg="..."``; warnings above are about retries. Names
and addresses stand in quotes in the message, and are taken out before anything is looked for, so
that a repository called ``denied`` is no refusal.
"""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from typing import Final

from ..errors import DiskgenError, HostError, SourceError, ToolError

_FATAL: Final = re.compile(r'level=(?:fatal|error) msg="((?:[^"\\]|\\.)*)"')
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_NAMED: Final = re.compile(
    r"\b(?:reading manifest \S+ in \S+|pinging container registry \S+|reading signatures"
    r"|initializing source \S+|Error parsing image name|parsing image name)\s*:\s*"
)
_SHOWN: Final = 200  # characters of a registry's words


class NotFound(SourceError):  # noqa: N818 - what was said, whoever is at fault
    """The source has no such image."""


class Unreachable(SourceError):  # noqa: N818 - what was said, whoever is at fault
    """Nobody answers, for now: another try may help."""


@dataclass(frozen=True, slots=True)
class Row:
    """A complaint: ``pattern`` finds it in the reason, its groups and {ref} fill ``message``."""

    pattern: str
    message: str
    hint: str | None = None
    setting: str | None = None
    kind: type[DiskgenError] = SourceError


_LOGIN: Final = "log in with 'podman login' or 'skopeo login', or give credentials by --authfile"
_NETWORK: Final = "check the name, the network and the proxy settings"
_PROXY: Final = "check https_proxy, http_proxy and no_proxy"
_CODE: Final = (
    r"(?:status code from registry (?P<code>\d{3}) \((?P<words>[^)]*)\)"
    r"|received unexpected HTTP status: (?P<code2>\d{3})(?P<words2>.*)"
    r"|StatusCode: (?P<code3>\d{3}),?(?P<words3>.*))"
)
# HTTP status, or its hundreds -> what it means; {said} is the registry's answer.
_STATUSES: Final = {
    "401": Row("", "the registry does not let us read '{ref}': {said}", _LOGIN, "authfile"),
    "403": Row(
        "", "the registry does not let us read '{ref}': {said}",
        f"{_LOGIN}; some registries hide what does not exist in this way", "authfile",
    ),
    "404": Row("", "'{ref}' does not exist in its registry: {said}", "check the name and the tag",
               kind=NotFound),
    "407": Row(
        "", "the proxy wants a name and a password before it fetches '{ref}': {said}",
        "write them into https_proxy (http://USER:PASSWORD@HOST:PORT), or name the registry in "
        "no_proxy",
    ),
    "429": Row("", "the registry of '{ref}' refuses more requests for now: {said}",
               "wait, or log in: --authfile", "authfile"),
    "5": Row("", "the registry of '{ref}' has an internal error: {said}", "try again later",
             kind=Unreachable),
    "": Row("", "the registry of '{ref}' gave no image: {said}",
            "what answers there may be no registry, or a proxy or a login page before it"),
}  # fmt: skip

ROWS: Final = (
    # This machine's rules and space.
    Row(
        r"^Source image rejected|: Source image rejected|Running image .* is rejected by policy"
        r"|A signature was required",
        "'{ref}' is refused by the signature policy",
        "the policy is /etc/containers/policy.json or ~/.config/containers/policy.json",
        "signature-policy",
    ),
    Row(
        r"policy\.json: no such file",
        "there is no signature policy on this machine (/etc/containers/policy.json)",
        "install it: apt install golang-github-containers-common / dnf install containers-common",
        "signature-policy", HostError,
    ),
    Row(
        r": (?:no space left on device|disk quota exceeded)$",
        "no space left while '{ref}' was fetched",
        "'diskgen cache prune' frees some, or choose another directory", "cache-dir", HostError,
    ),
    # The way to the registry.
    Row(r"proxyconnect tcp: (?P<why>.*)$",
        "the proxy by which '{ref}' is fetched cannot be reached: {why}", _PROXY, kind=Unreachable),
    Row(r": (?P<why>Proxy Authentication Required)$", *(
        _STATUSES["407"].message.replace("{said}", "{why}"), _STATUSES["407"].hint)),
    Row(r"(?:Get|Head) : (?P<why>[A-Z][A-Za-z]+(?: [A-Z][A-Za-z]+)*)$",  # the answer to CONNECT
        "the proxy does not connect to the registry of '{ref}': {why}", _PROXY),
    Row(r"lookup (?P<host>\S+?)(?: on \S+)?: (?P<why>.*)$",
        "the registry of '{ref}' cannot be reached: the name '{host}' does not resolve: {why}",
        _NETWORK, kind=Unreachable),
    Row(r"dial tcp (?P<host>\S+): connect: connection refused",
        "the registry of '{ref}' cannot be reached: '{host}' refuses connections",
        "check the name and the port, and whether the registry runs", kind=Unreachable),
    Row(r"connect: (?P<why>network is unreachable|no route to host|host is down)",
        "the registry of '{ref}' cannot be reached: {why}", _NETWORK, kind=Unreachable),
    Row(r"(?P<why>i/o timeout|TLS handshake timeout|context deadline exceeded|connection timed out"
        r"|Client\.Timeout[^)]*|timeout awaiting response headers)",
        "the registry of '{ref}' does not answer in time: {why}", _NETWORK, kind=Unreachable),
    Row(r"stopped after (?P<many>\d+) redirects",
        "the registry of '{ref}' sends us in a circle: {many} redirects",
        "this is a fault of the registry, or of a proxy before it"),
    Row(r"(?P<why>unexpected EOF|connection reset by peer|http2: .*closed.*|broken pipe|: EOF)$",
        "the connection broke while '{ref}' was fetched: {why}",
        "try again: what was fetched completely is kept", kind=Unreachable),
    # TLS.
    Row(r"server gave HTTP response to HTTPS client|first record does not look like a TLS",
        "the registry of '{ref}' speaks plain HTTP",
        "if that is meant, allow it: --tls-verify=false", "tls-verify"),
    Row(r"x509: certificate has expired or is not yet valid(?:: )?(?P<why>.*)$",
        "the certificate of the registry of '{ref}' has expired or is not yet valid: {why}",
        "check this machine's clock; else the registry needs a new one (or --tls-verify=false)",
        "tls-verify"),
    Row(r"x509: (?P<why>certificate is (?:valid for|not valid for).*|cannot validate certificate .*"
        r"|certificate relies on legacy .*)$",
        "the certificate of the registry of '{ref}' is for another name: {why}",
        "use the name that it is for, or accept any by --tls-verify=false", "tls-verify"),
    Row(r"remote error: tls: (?P<why>(?:bad|unknown) certificate|certificate required)",
        "the registry of '{ref}' wants a certificate of ours: {why}",
        "put NAME.cert and NAME.key into the directory of --cert-dir", "cert-dir"),
    Row(r"x509: (?P<why>.*)$",
        "the registry of '{ref}' has a certificate that this machine does not trust: {why}",
        "give its CA by --cert-dir, or accept any by --tls-verify=false", "cert-dir"),
    Row(r"(?:^|: )tls: (?P<why>.*)$", "no TLS with the registry of '{ref}': {why}",
        "the registry may be too old, or no registry"),
    # What the registry says.
    Row(r"(?:fetching|reading|writing) (?:config )?blob (?P<digest>sha256:[0-9a-f]{64}): "
        r".*(?:registry 404|StatusCode: 404|blob unknown)(?P<why>.*)",
        "the registry of '{ref}' lacks a part of it, '{digest}': 404{why}",
        "the image was pushed in part or cleaned up: push it again"),
    Row(r"fetching blob: .*(?:registry 404|StatusCode: 404|blob unknown)",
        "the registry of '{ref}' lacks a part of it: 404",
        "the image was pushed in part or cleaned up: push it again"),
    Row(r"(?:^|: )(?P<why>manifest unknown|name unknown|repository name not known to registry)\b",
        "'{ref}' does not exist in its registry: {why}", "check the name and the tag",
        kind=NotFound),
    Row(r"(?:^|: )(?P<why>(?:unauthorized|authentication required|denied"
        r"|requested access to the resource is denied|invalid username/password)\b.*)$",
        "the registry does not let us read '{ref}': {why}", _LOGIN, "authfile"),
    Row(r"(?:^|: )(?P<why>toomanyrequests\b.*)$", _STATUSES["429"].message.replace("said", "why"),
        _STATUSES["429"].hint, "authfile"),
    Row(r"Digest did not match|does not match provided manifest digest|content does not match",
        "the registry sent content for '{ref}' that does not match its digest",
        "try again; if it stays, the image in the registry is broken"),
    # Local sources.
    Row(r"no image found in (?:image index|manifest list)(?P<why>.*)$",
        "'{ref}' has no image{why}", "another one may be there: --arch", "arch"),
    Row(r"image instance|copying system image from manifest list",
        "'{ref}' is a manifest list, and its image for this architecture is not stored",
        "name the image itself, as 'podman images' has it, or fetch it: podman pull REF"),
    Row(r"no descriptor found for reference|(?:^|: )[Tt]ag \S* ?not found",
        "'{ref}' does not exist: no image there has this tag", "check the tag", kind=NotFound),
    Row(r"Cannot connect to the Docker daemon",
        "'{ref}' cannot be read: Docker's daemon does not answer",
        "start it, or say where it listens: DOCKER_HOST=unix:///PATH"),
    Row(r"permission denied while trying to connect to the Docker daemon",
        "'{ref}' cannot be read: this user may not talk to Docker's daemon",
        "join its group, or save the image: docker save NAME > os.tar, then docker-archive:os.tar"),
    Row(r"Error response from daemon", "Docker's daemon does not give '{ref}'",
        "see 'docker images'", kind=NotFound),
    Row(r"does not resolve to an image ID|identifier is not an image|image not known",
        "'{ref}' does not exist in podman's storage of this user",
        "see 'podman images'; what another user stored, only that user sees", kind=NotFound),
    Row(r"(?:open|stat|lstat) (?P<path>.*): permission denied$",
        "'{ref}' cannot be read: '{path}': permission denied",
        "whoever runs diskgen must be able to read it"),
    Row(r"(?:open|stat|lstat) (?P<path>.*): (?P<why>no such file or directory|not a directory)$",
        "'{ref}' does not exist: '{path}': {why}", "check the path and the tag", kind=NotFound),
    Row(r"archive/tar: (?P<why>.*)$", "'{ref}' is no archive of an image: "
        "{why}", "make it by 'skopeo copy' or 'podman save'"),
    Row(r"(?P<why>invalid reference format|repository name must .*)$",
        "'{ref}' is not an image reference: {why}"),
)  # fmt: skip


def explain(error: ToolError, what: str) -> DiskgenError:
    """Return the error that a failure of skopeo means, or the failure itself."""
    if error.status == -signal.SIGKILL and error.stderr.startswith("no "):  # ours, of its watchdog
        return Unreachable(
            f"the registry of '{what}' does not answer in time: {error.stderr}", hint=_NETWORK
        )
    text = reason(error.stderr)
    for row in ROWS[:3]:
        if match := re.search(row.pattern, text):
            return _made(row, match, what)
    if match := re.search(_CODE, text):
        code = next(filter(None, (match["code"], match["code2"], match["code3"])))
        words = next(filter(None, (match["words"], match["words2"], match["words3"])), "")
        if not (code == "404" and "blob: " in text):
            row = _STATUSES.get(code) or _STATUSES.get(code[0]) or _STATUSES[""]
            said = " ".join(f"{code} {words}".split())[:_SHOWN]
            return row.kind(
                row.message.format(ref=what, said=said), hint=row.hint, setting=row.setting
            )
    for row in ROWS[3:]:
        if match := re.search(row.pattern, text):
            return _made(row, match, what)
    return error


def reason(stderr: str) -> str:
    """Return why skopeo failed: the message of its last line without names and addresses."""
    found = _FATAL.findall(stderr)
    text = str(found[-1]).replace(r"\"", '"').replace(r"\\", "\\") if found else stderr.strip()
    return _NAMED.sub("", _QUOTED.sub("", text)).strip()


def _made(row: Row, match: re.Match[str], what: str) -> DiskgenError:
    groups = {key: (value or "").strip()[:_SHOWN] for key, value in match.groupdict().items()}
    message = row.message.format(ref=what, **groups)
    return row.kind(message, hint=row.hint, setting=row.setting)

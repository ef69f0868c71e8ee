"""What a farm does of what can be asked for, key by key: sent, left out, or refused beforehand.

Sources: osbuild-composer's schemas of bootc composes and of blueprints; what its bootc images apply
of them (bootc-image-builder's list of supported customizations).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from ..arch import MACHINES
from ..blueprint.model import Firewall, Services, Sshd
from ..blueprint.summary import left_out
from ..config import SUBFORMATS, AccessOptions, Request
from ..errors import PreflightError, Problem

# Our formats, as the interface calls them; architectures that its bootc composes are made for.
IMAGE_TYPES: Final = {
    "qcow2": "guest-image", "ami": "aws", "vhd": "azure", "gce": "gcp", "vmdk": "vsphere",
    "ova": "vsphere-ova",
}  # fmt: skip
ARCHITECTURES: Final = ("x86_64", "aarch64")
_FILES: Final = re.compile(r"/(etc|root|usr/local/s?bin)/.+")
_NO_FILES: Final = ("/etc/fstab", "/etc/shadow", "/etc/passwd", "/etc/group")
_HASHES: Final = ("$6$", "$5$", "$2b$")  # that the interface takes as what they are


class Use(StrEnum):
    """What becomes of a wish."""

    SENT = "sent"
    LEFT = "left out, with a warning"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """A wish that a local build grants: whether a request has it, and what a farm makes of it.

    ``why`` follows on "because"; ``setting`` is the option that says it.
    """

    name: str
    use: Use
    asked: Callable[[Request], bool]
    why: str = ""
    hint: str | None = None
    setting: str | None = None


def _given(name: str, empty: Any = ()) -> Callable[[Request], bool]:  # noqa: ANN401
    """Return whether a customization is there."""
    return lambda request: getattr(request.customizations, name) not in (empty, None, False, ())


def _people(test: Callable[[Any], object]) -> Callable[[Request], bool]:
    return lambda request: any(test(user) for user in request.customizations.users)


def _access(name: str) -> Callable[[Request], bool]:
    return lambda r: getattr(r.access, name) is not getattr(AccessOptions(), name)


_SECURITY: Final = "a machine without it would be less closed than you asked for"
_NOT_APPLIED: Final = "farms do not apply it to images of containers"
_LOCAL: Final = "make the disk on this machine, without --farm, or have the image bring it"
_OWN: Final = "the farm's workers reach registries by their own settings"
_S, _L, _R = Use.SENT, Use.LEFT, Use.REFUSED


def _row(
    name: str,
    use: Use,
    asked: Callable[[Request], bool],
    why: str = "",
    setting: str | None = "config",
    hint: str | None = _LOCAL,
) -> Capability:
    return Capability(
        name=name, use=use, asked=asked, why=why, setting=setting,
        hint=hint if use is Use.REFUSED else None,
    )  # fmt: skip


CAPABILITIES: Final = (
    _row("an image in a registry", _S, lambda r: r.source.is_remote, setting=None),
    _row("a local image", _R, lambda r: not r.source.is_remote,
         "the farm's workers fetch it from a registry", None, "push it to one"),
    _row("qcow2, ami, vhd, gce, vmdk, ova", _S,
         lambda r: all(o.format in IMAGE_TYPES for o in r.outputs), setting=None),
    _row("raw, vhdx, oci, containerdisk, vagrant", _R,
         lambda r: any(o.format not in IMAGE_TYPES for o in r.outputs),
         "farms make no such images of containers", None,
         "make it on this machine; of a raw disk 'diskgen ami' has the farm make one"),
    _row("x86_64, aarch64", _S, lambda r: r.arch in ARCHITECTURES, setting="arch"),
    _row("s390x", _R, lambda r: r.arch not in ARCHITECTURES,
         "farms make no images of containers for it", "arch", _LOCAL),
    _row("a variant of an architecture", _R,
         lambda r: r.variant not in ("", MACHINES[r.arch].variant),
         "the farm takes what it finds", "arch", "name the image by its digest"),
    _row("another reference to update from", _R,
         lambda r: r.target is not None and r.target != r.source,
         "the machine updates from what the farm fetches", "target-imgref", _LOCAL),
    _row("a rule for the signatures of updates", _R, lambda r: r.signature is not None,
         _SECURITY, "target-signature", _LOCAL),
    _row("bound images left out", _L, lambda r: r.bound_images is not None,
         "the farm decides about them", "bound-images"),
    _row("size of the disk", _S, lambda r: r.disk_size is not None, setting="disk-size"),
    _row("sectors of 4096 bytes", _R, lambda r: r.sector_size != 512,
         "the farm's disks have 512", "sector-size", _LOCAL),
    _row("the root's filesystem", _R, lambda r: r.root_filesystem is not None,
         "the interface has no word for it: the image's install configuration decides", "rootfs",
         _LOCAL),
    _row("kernel arguments", _S, lambda r: bool(r.kargs or r.customizations.kargs),
         setting="karg"),
    _row("kernel arguments taken away", _R, lambda r: bool(r.karg_deletes),
         "the interface can only add some", "karg-delete", _LOCAL),
    _row("no console arguments", _L, lambda r: not r.console,
         "the farm sets its own", "no-console"),
    _row("encryption left out", _L, lambda r: r.no_encryption,
         "the farm decides about it", "no-encryption"),
    _row("compression of a qcow2", _L, lambda r: r.compression is not None,
         "the farm has its own", "compression"),
    _row("another kind of vmdk", _R, lambda r: r.subformat != SUBFORMATS[0],
         "the farm has its own", "subformat", _LOCAL),
    _row("identifiers by a seed", _R, lambda r: r.seed is not None,
         "each disk of a farm has others", "seed", _LOCAL),
    _row("a policy of signatures", _R, _access("policy"), _SECURITY, "signature-policy", _LOCAL),
    _row("credentials for registries", _L, _access("authfile"), _OWN, "authfile"),
    _row("TLS of registries", _L, _access("tls_verify"), _OWN, "tls-verify"),
    _row("certificates of registries", _L, _access("cert_dir"), _OWN, "cert-dir"),
    _row("mirrors of registries", _L, _access("registries_conf"), _OWN, "registries-conf"),
    _row("where signatures are", _L, _access("registries_d"), _OWN, "registries-d"),
    _row("accounts, keys, groups they join", _S, _given("users")),
    _row("a password", _S, _people(lambda u: u.password or u.plain)),
    _row("a password hash of another kind than $6$, $5$, $2b$", _R,
         _people(lambda u: u.password and not u.password.startswith(_HASHES)),
         "the farm would take it for the password itself", "config",
         "give a hash that begins with $6$"),
    _row("an account's end", _R, _people(lambda u: u.expires is not None), _SECURITY),
    _row("an account that is locked", _R, _people(lambda u: u.locked), _SECURITY),
    _row("a password to be changed", _R, _people(lambda u: u.reset), _SECURITY),
    _row("groups", _S, _given("groups")),
    _row("name of the machine", _L, _given("hostname"), _NOT_APPLIED, "hostname"),
    _row("time zone", _L, _given("timezone"), _NOT_APPLIED, "timezone"),
    _row("time servers", _L, _given("ntp_servers"), _NOT_APPLIED),
    _row("languages", _L, _given("languages"), _NOT_APPLIED, "language"),
    _row("keyboard", _L, _given("keyboard"), _NOT_APPLIED, "keyboard"),
    _row("network", _R, _given("links"), "the interface has no word for it", "network"),
    _row("units enabled, disabled, masked", _R, _given("services", Services()), _NOT_APPLIED),
    _row("firewall", _R, _given("firewall", Firewall()), _SECURITY),
    _row("ssh's settings", _R, _given("sshd", Sshd()), _SECURITY),
    _row("certificates to trust", _R, _given("certificates"), _NOT_APPLIED),
    _row("files below /etc, /root, /usr/local", _S, _given("files")),
    _row("other files", _R, lambda r: any(_elsewhere(f.path) for f in r.customizations.files),
         "farms write below /etc, /root and /usr/local/bin alone", "config"),
    _row("files that are no text", _R,
         lambda r: any(_is_binary(f.data) for f in r.customizations.files),
         "the interface takes texts alone", "add"),
    _row("directories below /etc", _S, _given("directories")),
    _row("other directories", _R,
         lambda r: any(not d.path.startswith("/etc/") for d in r.customizations.directories),
         "farms make some below /etc alone"),
    _row("SELinux's mode", _R, _given("selinux"), _SECURITY),
    _row("FIPS mode", _R, _given("fips"), _SECURITY),
    _row("Ignition's configuration by URL", _S, _given("ignition_url")),
    _row("Ignition without one", _R,
         lambda r: r.customizations.ignition and r.customizations.ignition_url is None,
         "the interface wants a URL"),
    _row("least sizes of '/' and '/boot'", _S, lambda r: bool(r.customizations.sizes)),
)  # fmt: skip
# What only a farm does. `--config` refuses the first, the others are other options.
FARM_ONLY: Final = (
    "partitions, volume groups and subvolumes of one's own (customizations.disk)",
    "registering an image with a cloud by the farm's own accounts (--farm-target)",
    "several architectures at once, each on machines of its own (--arch, twice)",
)


def check(request: Request) -> list[str]:
    """Return what of a request is left out, as warnings. Raises PreflightError with the rest."""
    problems: list[Problem] = []
    warnings = [*left_out(request.customizations)]
    for row in CAPABILITIES:
        if row.use is Use.SENT or not row.asked(request):
            continue
        if row.use is Use.REFUSED or request.strict:
            message = f"a farm cannot do '{row.name}': {row.why}"
            problems.append(
                Problem(code="farm", message=message, hint=row.hint, setting=row.setting)
            )
        else:
            warnings.append(f"'{row.name}' is left out: {row.why}")
    if request.strict:
        problems += [Problem(code="farm", message=text, setting="strict") for text in warnings]
    if problems:
        raise PreflightError(problems)
    return warnings


def table() -> Iterator[tuple[str, str, str]]:
    """Yield what is asked for, what becomes of it, and why."""
    for row in CAPABILITIES:
        yield row.name, row.use.value, row.why
    for name in FARM_ONLY:
        yield name, "of farms alone", ""


def _elsewhere(path: str) -> bool:
    return not _FILES.fullmatch(path) or path in _NO_FILES or ".." in path.split("/")


def _is_binary(data: bytes) -> bool:
    try:
        return "\0" in data.decode()
    except UnicodeDecodeError:
        return True

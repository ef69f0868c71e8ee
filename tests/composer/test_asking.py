"""What is sent to a farm for what is asked of us, and what is refused before: a row each."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from diskgen.blueprint.model import (
    AddedDirectory,
    AddedFile,
    Customizations,
    Firewall,
    Group,
    Services,
    Sshd,
    User,
)
from diskgen.composer.asking import asked, placed, shown
from diskgen.composer.capability import CAPABILITIES, IMAGE_TYPES, Use, check, table
from diskgen.composer.values import UPLOADS, ComposeRequest, ImageRequest, UploadTarget
from diskgen.config import AccessOptions, Output, Request
from diskgen.errors import PreflightError, UsageError
from diskgen.link import parse as parse_link
from diskgen.place import PLACES
from diskgen.reference import parse

from ..fixtures.farm_state import State
from ..fixtures.program import ROOT
from ..oracles import golden

GIB = 2**30
PLAIN = Request(format="qcow2", source=parse("quay.io/a/b:1"), arch="x86_64")
PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
LOCAL = (UploadTarget("local"),)
EVERYTHING = Customizations(
    users=(
        User(name="ann", plain="hush", keys=("ssh-ed25519 A", "ssh-ed25519 B"), groups=("wheel",),
             comment="Ann", home="/var/home/ann", shell="/bin/bash", uid=1234, gid=1234),
        User(name="bob", password="$6$salt$hash"),
        User(name="root", keys=("ssh-ed25519 C",)),
    ),
    groups=(Group(name="crew", gid=77), Group(name="more")),
    kargs=("quiet",),
    files=(AddedFile(path="/etc/motd", data=b"hello\n"),
           AddedFile(path="/etc/secret", data=b"hush\n", mode=0o600, user="ann", group=7)),
    directories=(AddedDirectory(path="/etc/app", mode=0o750, parents=True, user=3),),
    ignition=True,
    ignition_url="https://config.example/i.ign",
    sizes={"/": 20 * GIB, "/boot": GIB + 1},
)  # fmt: skip
ROWS: dict[str, tuple[Request, tuple[UploadTarget, ...]]] = {
    "plain": (PLAIN, LOCAL),
    "size": (replace(PLAIN, disk_size=20 * GIB, kargs=("a=b", "c")), LOCAL),
    "ami": (replace(PLAIN, format="ami", arch="aarch64"),
            (UploadTarget("aws", {"region": "eu-central-1"}),)),
    "s3": (PLAIN, (UploadTarget("aws.s3", {"region": "eu", "public": True}), *LOCAL)),
    "vhd": (replace(PLAIN, format="vhd"), (UploadTarget("azure", {
        "tenant_id": "t", "subscription_id": "s", "resource_group": "r",
        "hyper_v_generation": "V2"}),)),
    "gce": (replace(PLAIN, format="gce"), (UploadTarget("gcp", {
        "region": "eu", "bucket": "b", "share_with_accounts": ["user:ann@example"]}),)),
    "vmdk": (replace(PLAIN, format="vmdk"), LOCAL),
    "ova": (replace(PLAIN, format="ova"), LOCAL),
    "everything": (replace(PLAIN, customizations=EVERYTHING, kargs=("c",)), LOCAL),
    "digest": (replace(PLAIN, source=parse("docker://quay.io/a/b@sha256:" + "0" * 64)), LOCAL),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_what_is_sent_is_as_it_was_and_fits_the_interface(name: str) -> None:
    request, targets = ROWS[name]
    (made,) = asked([request], targets, dry=True)
    golden.check(f"farm-{name}.json", json.dumps(shown(made.request), indent=2) + "\n")
    state = State()
    state.validate(made.request.to_json())
    assert state.unknown == []


def test_what_is_shown_has_no_secret_and_what_is_sent_no_password() -> None:
    (made,) = asked([ROWS["everything"][0]], LOCAL)
    assert "hush" not in json.dumps(shown(made.request)).replace('"data": "***"', "")
    assert "$6$" not in json.dumps(shown(made.request))
    sent = json.dumps(made.request.to_json())
    assert sent.count("$6$") == 2
    assert '"hush"' not in sent
    assert "hush" not in repr(made)


def test_each_request_has_a_name_of_its_own() -> None:
    names = {made.request.name for made in asked([PLAIN] * 50, LOCAL)}
    assert len(names) == 50


def test_formats_and_architectures_are_composes_of_their_own() -> None:
    several = replace(PLAIN, output=Path("d/os.qcow2"),
                      also=(Output("gce", Path("d/os.tar.gz")),))  # fmt: skip
    both = [several, replace(several, arch="aarch64")]
    rows = [(made.format, made.arch, str(made.output)) for made in asked(both, LOCAL)]
    assert rows == [
        ("qcow2", "x86_64", "d/os-x86_64.qcow2"), ("gce", "x86_64", "d/os-x86_64.tar.gz"),
        ("qcow2", "aarch64", "d/os-aarch64.qcow2"), ("gce", "aarch64", "d/os-aarch64.tar.gz"),
    ]  # fmt: skip
    assert asked([several], (UploadTarget("oci.objectstorage"),))[0].output is None
    assert placed(Path("x"), "y", many=True) == Path("x-y")


def customized(**values: Any) -> Request:
    return replace(PLAIN, customizations=Customizations(**values))


def user(**values: Any) -> Request:
    return customized(users=(User(name="ann", **values),))


# A request that has the wish, by the row's name.
WISHES: dict[str, Request] = {
    "an image in a registry": PLAIN,
    "a local image": replace(PLAIN, source=parse("oci:/x:1")),
    "qcow2, ami, vhd, gce, vmdk, ova": PLAIN,
    "raw, vhdx, oci, containerdisk, vagrant": replace(PLAIN, format="raw"),
    "x86_64, aarch64": PLAIN,
    "s390x": replace(PLAIN, arch="s390x"),
    "a variant of an architecture": replace(PLAIN, variant="v3"),
    "another reference to update from": replace(PLAIN, target=parse("quay.io/a/c:1")),
    "a rule for the signatures of updates": replace(PLAIN, signature="ostree-image-signed"),
    "bound images left out": replace(PLAIN, bound_images="skip"),
    "size of the disk": replace(PLAIN, disk_size=GIB),
    "sectors of 4096 bytes": replace(PLAIN, sector_size=4096),
    "the root's filesystem": replace(PLAIN, root_filesystem="xfs"),
    "kernel arguments": replace(
        PLAIN, kargs=("quiet",), customizations=Customizations(kargs=("splash",))
    ),
    "kernel arguments taken away": replace(PLAIN, karg_deletes=("quiet",)),
    "no console arguments": replace(PLAIN, console=False),
    "encryption left out": replace(PLAIN, no_encryption=True),
    "compression of a qcow2": replace(PLAIN, compression="none"),
    "another kind of vmdk": replace(PLAIN, subformat="sparse"),
    "identifiers by a seed": replace(PLAIN, seed="x"),
    "a policy of signatures": replace(PLAIN, access=AccessOptions(policy=Path("p"))),
    "credentials for registries": replace(PLAIN, access=AccessOptions(authfile=Path("p"))),
    "TLS of registries": replace(PLAIN, access=AccessOptions(tls_verify=False)),
    "certificates of registries": replace(PLAIN, access=AccessOptions(cert_dir=Path("p"))),
    "mirrors of registries": replace(PLAIN, access=AccessOptions(registries_conf=Path("p"))),
    "where signatures are": replace(PLAIN, access=AccessOptions(registries_d=Path("p"))),
    "accounts, keys, groups they join": user(),
    "a password": user(plain="x"),
    "a password hash of another kind than $6$, $5$, $2b$": user(password="$y$j9T$x$y"),
    "an account's end": user(expires=1),
    "an account that is locked": user(locked=True),
    "a password to be changed": user(reset=True),
    "groups": customized(groups=(Group(name="a"),)),
    "name of the machine": customized(hostname="a"),
    "time zone": customized(timezone="Europe/Berlin"),
    "time servers": customized(ntp_servers=("a.example",)),
    "languages": customized(languages=("de_DE.UTF-8",)),
    "keyboard": customized(keyboard="de"),
    "network": customized(links=(parse_link("device=eth0"),)),
    "units enabled, disabled, masked": customized(services=Services(enabled=("a",))),
    "firewall": customized(firewall=Firewall(ports=("80:tcp",))),
    "ssh's settings": customized(sshd=Sshd(password_authentication=False)),
    "certificates to trust": customized(certificates=(PEM,)),
    "files below /etc, /root, /usr/local": customized(files=(AddedFile(path="/etc/a"),)),
    "other files": customized(files=(AddedFile(path="/var/lib/a"),)),
    "files that are no text": customized(files=(AddedFile(path="/etc/a", data=b"\xff"),)),
    "directories below /etc": customized(directories=(AddedDirectory(path="/etc/a"),)),
    "other directories": customized(directories=(AddedDirectory(path="/var/a"),)),
    "SELinux's mode": customized(selinux="enforcing"),
    "FIPS mode": customized(fips=True),
    "Ignition's configuration by URL": customized(ignition=True, ignition_url="https://x"),
    "Ignition without one": customized(ignition=True),
    "least sizes of '/' and '/boot'": customized(sizes={"/": GIB}),
}


def test_every_capability_has_a_wish_and_every_wish_a_capability() -> None:
    assert [row.name for row in CAPABILITIES] == [*WISHES]
    assert len([*table()]) > len(CAPABILITIES)
    others = next(row.name for row in CAPABILITIES if row.name.startswith("raw, "))
    assert {*IMAGE_TYPES, *others.split(", ")} == PLACES.keys()


def test_whatever_can_be_asked_for_is_in_the_table() -> None:
    """Who adds a field says what a farm makes of it: there, or here where it is not of the disk."""
    ours = {"installed", "output", "force", "strict", "cache", "also", "access", "customizations"}
    # What an image says of itself, and no option: a farm reads it there.
    read = {"stateroot", "sizes", "least_size", "identifiers", "laid_out_by"}
    rows: list[tuple[Any, list[Any], set[str]]] = [
        (PLAIN, [*WISHES.values()], {*ours, *read}),
        (PLAIN.access, [wish.access for wish in WISHES.values()], set()),
        (PLAIN.customizations, [wish.customizations for wish in WISHES.values()],
         {"installer", "volume", "sudo_nopasswd", "ntp", "given", "source", "overridden"}),
    ]  # fmt: skip
    for plain, wishes, none in rows:
        names = {each.name for each in fields(plain)}
        same = {name for name in names
                if all(getattr(wish, name) == getattr(plain, name) for wish in wishes)}  # fmt: skip
        assert same - none == set()


def test_whatever_is_asked_for_in_lists_is_known_here() -> None:
    for kind, known in (
        (User, "name password plain keys groups comment home shell uid gid expires reset locked"),
        (Group, "name gid"),
        (AddedFile, "path data user group mode"),
        (AddedDirectory, "path user group mode parents"),
    ):
        assert {each.name for each in fields(kind)} == set(known.split()), kind


@pytest.mark.parametrize("row", CAPABILITIES, ids=lambda row: row.name)
def test_a_capability_is_what_the_table_says(row: Any) -> None:
    request = WISHES[row.name]
    assert row.asked(request)
    if row.use is Use.REFUSED:
        with pytest.raises(PreflightError) as caught:
            check(request)
        (problem,) = caught.value.problems
        assert (row.name in problem.message, problem.setting) == (True, row.setting)
        assert problem.hint
    elif row.use is Use.LEFT:
        (warning,) = check(request)
        assert row.name in warning
        with pytest.raises(PreflightError):
            check(replace(request, strict=True))
    else:
        assert check(request) == []
    if row.name not in ("an image in a registry", "qcow2, ami, vhd, gce, vmdk, ova",
                        "x86_64, aarch64"):  # fmt: skip
        assert not row.asked(PLAIN)


@pytest.mark.parametrize("row", CAPABILITIES, ids=lambda row: row.name)
def test_what_is_sent_is_in_what_is_sent(row: Any) -> None:
    """A row that says so without a word in the request would be a lie."""
    if row.use is Use.SENT and WISHES[row.name] is not PLAIN:
        plain, made = asked([PLAIN, WISHES[row.name]], LOCAL, dry=True)
        assert made.request.to_json() != plain.request.to_json()


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(PreflightError) as caught:
        check(replace(PLAIN, sector_size=4096, seed="x", customizations=Customizations(fips=True)))
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("nowhere", {}), ("aws", {}), ("aws.s3", {"region": "a", "x": "y"}), ("local", {"a": "b"}),
        ("azure", {"tenant_id": "t"}), ("gcp", {}),
    ],
)  # fmt: skip
def test_targets_that_are_none(kind: str, options: dict[str, str]) -> None:
    with pytest.raises(UsageError) as caught:
        UploadTarget(kind, options)
    assert caught.value.setting == "farm-target"
    assert len(UPLOADS) == 7


def test_requests_that_no_server_takes() -> None:
    image = ImageRequest(architecture="x86_64", image_type="guest-image")
    for values in (
        {}, {"distribution": "f", "blueprint": {"name": "a"}, "customizations": {"hostname": "b"}},
        {"distribution": "f", "blueprint": {"description": "a"}},
    ):  # fmt: skip
        with pytest.raises(UsageError):
            ComposeRequest(image=image, **values)  # type: ignore[arg-type]


def test_the_page_has_the_table() -> None:
    page = (ROOT / "docs/howto/farms.md").read_text()
    for name, use, why in table():
        assert f"| {name} | {use} | {why} |\n" in page

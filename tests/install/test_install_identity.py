"""What machines are given: by our installer, in both ways, as by a build."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from diskgen import build
from diskgen.blueprint import read as documents
from diskgen.blueprint.model import AddedFile, Customizations, User
from diskgen.config import AccessOptions, Request
from diskgen.errors import HostError, PreflightError
from diskgen.events import discard
from diskgen.image.store import Store
from diskgen.install import image_mode
from diskgen.install.disks import Disk
from diskgen.install.identity import check, given, set_up
from diskgen.install.mounted import Mounted
from diskgen.install.payload import Payload
from diskgen.install.target import Target
from diskgen.kickstart import recipe
from diskgen.ostree.lookup import find_dir
from diskgen.provision.apply import apply
from diskgen.provision.files import Files
from diskgen.reference import parse
from diskgen.tree import Data, Directory, File, regular
from diskgen.units import GIB

from ..fixtures.materialise import materialise
from ..fixtures.oci import TarBuilder, bootable
from ..fixtures.shadow_root import LOGIN, shadow_root, tree_of
from ..fixtures.systems import medium

HASH = "$6$abcdefgh$" + "x" * 86
KEY = "ssh-ed25519 AAAAC3Nza me@x"
KICKSTART = f"""\
ostreecontainer --transport=oci --url=/x
group --name=tea --gid=3000
user --name=ann --groups=wheel,tea --password=secret --plaintext --gecos="Ann Lee"
user --name=ben --uid=1500 --shell=/bin/sh --iscrypted --password={HASH}
user --name=cem --lock --iscrypted --password={HASH}
sshkey --username=ann '{KEY}'
sshkey --username=root '{KEY}'
rootpw --lock
network --hostname=here --device=enp1s0 --bootproto=static --ip=192.0.2.5 --netmask=255.255.255.0
timezone UTC
timesource --ntp-server=ntp.example
lang C.UTF-8
services --enabled=sshd --disabled=quiet
firewall --enabled --service=ssh --port=80:tcp
"""
DOCUMENT = f"""
[customizations]
hostname = "here"
timezone.timezone = "UTC"
timezone.ntpservers = ["ntp.example"]
locale.languages = ["C.UTF-8"]
services.enabled = ["sshd", "firewalld"]
services.disabled = ["quiet"]
firewall.ports = ["80:tcp"]
firewall.services.enabled = ["ssh"]
[[customizations.group]]
name = "tea"
gid = 3000
[[customizations.user]]
name = "ann"
password = "secret"
groups = ["wheel", "tea"]
key = "{KEY}"
description = "Ann Lee"
[[customizations.user]]
name = "ben"
uid = 1500
shell = "/bin/sh"
password = "{HASH}"
[[customizations.user]]
name = "cem"
password = "{HASH}"
[[customizations.user]]
name = "root"
key = "{KEY}"
"""
DISK = Disk(name="vda", path=Path("/none"), size=20 * GIB, sector_size=512, model="",
            partitions=())  # fmt: skip
Entry = tuple[object, ...]


def image_layer() -> bytes:
    tar = TarBuilder()
    unit = b"[Install]\nWantedBy=multi-user.target\n"
    for path, data in {
        "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\n",
        "etc/shadow": b"root:$6$a$b:19000::::::\n",
        "etc/group": b"root:x:0:\nsudo:x:27:\nusers:x:100:\n",
        "etc/gshadow": b"root:*::\nsudo:*::\n",
        "etc/login.defs": LOGIN.encode(), "etc/subuid": b"", "etc/subgid": b"",
        "etc/skel/.profile": b"# mine\n", "etc/machine-id": b"uninitialized\n",
        "etc/network/interfaces": b"auto lo\n", "etc/chrony.conf": b"pool old.example\n",
        "usr/lib/systemd/system/sshd.service": unit, "usr/lib/systemd/system/quiet.service": unit,
        "usr/lib/systemd/system/firewalld.service": unit,
        "usr/lib/systemd/system/networking.service": b"",
        "usr/lib/firewalld/zones/public.xml": b"<zone>\n</zone>\n",
        "usr/lib/firewalld/services/ssh.xml": b"",
    }.items():  # fmt: skip
        tar.file(path, data)
    tar.symlink("etc/systemd/system/multi-user.target.wants/quiet.service",
                "/usr/lib/systemd/system/quiet.service")  # fmt: skip
    tar.symlink("home", "var/home")
    tar.symlink("root", "var/roothome")
    return tar.finish()


def entries(root: Directory) -> dict[str, Entry]:
    """Return what lies in /etc and /var: owner, mode, content; hashes apart."""
    found: dict[str, Entry] = {}
    for place in ("etc", "var"):
        folder = find_dir(root, place)
        for path, node in folder.walk(place.encode()) if folder is not None else ():
            what: object = None
            if isinstance(node, File):
                what = node.target or (node.content and node.content.size)
                if isinstance(node.content, Data):
                    what = node.content.data
            found[path.decode()] = (node.uid, node.gid, stat.S_IMODE(node.mode), what)
    return found


def machine(request: Request) -> dict[str, Entry]:
    with Store(request.cache).session() as store:
        prepared = build.prepare(request, store, discard)
    plan = prepared.plan
    place = f"ostree/deploy/{plan.image.stateroot}"
    deployment = prepared.root.get_dir(f"{place}/deploy/{plan.commit}.0")
    var = prepared.root.get_dir(f"{place}/var")
    assert deployment is not None
    assert var is not None
    return entries(Files(deployment, var).root)


def shadows(found: dict[str, Entry]) -> list[list[str]]:
    """Take the lines of shadow out, without hashes."""
    *_rest, text = found.pop("etc/shadow")
    assert isinstance(text, bytes)
    return [[fields[0], fields[1].partition("$6$")[0], *fields[2:]]
            for fields in (line.split(":") for line in text.decode().splitlines())]  # fmt: skip


def test_installed_and_built_are_the_same(tmp_path: Path) -> None:
    layout = bootable(tmp_path / "os", image_layer())
    wanted = recipe.parse(KICKSTART, "F44", "x.ks")
    payload = Payload(source=parse(f"oci:{layout}"), access=AccessOptions(), digest="", size=1)
    asked = image_mode.request_of(
        wanted, given(wanted), payload, DISK, "x86_64", medium(None), tmp_path / "cache"
    )
    asked.cache.mkdir()
    installed = machine(asked)
    described = documents.read(DOCUMENT, "toml", "machine.toml")
    users = (replace(user, locked=user.name in ("cem", "root")) for user in described.users)
    built = machine(
        replace(
            asked, customizations=replace(described, users=tuple(users), links=wanted.links),
            target=parse("q.io/a:1"),
        )
    )  # fmt: skip
    lines = shadows(installed)
    assert lines == shadows(built)
    assert [line[:2] for line in lines] == [["root", "!"], ["ann", ""], ["ben", ""], ["cem", "!"]]
    assert installed == built
    assert installed["var/home/ann/.ssh/authorized_keys"][:3] == (1000, 1000, 0o600)
    assert installed["etc/chrony.conf"][3] == b"server ntp.example iburst\n"
    assert "etc/systemd/system/multi-user.target.wants/sshd.service" in installed
    assert "etc/systemd/system/multi-user.target.wants/quiet.service" not in installed
    assert "etc/network/interfaces.d/enp1s0" in installed


@pytest.mark.root
def test_packages_are_given_the_same(tmp_path: Path) -> None:
    """What is written into a mounted system is what is written into the tree of it."""
    root = shadow_root(tmp_path / "root")
    unit = root / "usr/lib/systemd/system/sshd.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("[Install]\nWantedBy=multi-user.target\n")
    wanted = Customizations(
        users=(User(name="ann", password=HASH, groups=("wheel",), keys=(KEY,)),),
        files=(AddedFile(path="/opt/x", data=b"all is its own", user="ann", mode=0o640),),
    )
    old = recipe.parse(f"{KICKSTART.partition('services')[0]}services --enabled=sshd\n", "F44", "x")
    before = tree_of(root)
    asked = replace(given(old, wanted), links=())
    set_up(Target(root), asked, print)
    apply(asked, before, None, int((root / "etc/passwd").stat().st_mtime))
    materialise(before, tmp_path / "tree")
    assert entries(tree_of(root)) == entries(tree_of(tmp_path / "tree"))
    assert (root / "opt/x").read_bytes() == b"all is its own"
    assert not list(root.rglob(".diskgen-*"))
    assert (root / "etc/shadow").stat().st_mode & 0o777 == 0o640


def test_what_a_kickstart_says_wins_over_what_the_medium_carries() -> None:
    carried = Customizations(
        users=(User(name="ann", password=HASH, shell="/bin/sh", expires=20000),), hostname="carried"
    )
    asked = recipe.parse(KICKSTART, "F44", "x")
    made = given(asked, carried)
    (ann,) = [user for user in made.users if user.name == "ann"]
    assert (ann.shell, ann.expires, ann.comment) == ("/bin/sh", 20000, "Ann Lee")
    assert ann.plain is None
    assert ann.password is not None
    assert ann.password != HASH
    assert made.hostname == "here"
    again = {user.name: user.password for user in given(asked).users}
    assert again["ann"] != ann.password  # on each machine otherwise
    assert again["ben"] == HASH


def test_what_no_machine_can_be_given_is_known_at_once() -> None:
    for line, words in (
        ("user --name=root\nrootpw --lock", "'root' is created twice"),
        ("firewall --enabled --trust=a/b", "'a/b' is no network device"),
    ):
        wanted = recipe.parse(f"ostreecontainer --url=q.io/a\n{line}\n", "F44", "x")
        with pytest.raises(PreflightError, match=words):
            check(wanted)


def test_nothing_but_what_changed_is_written(tmp_path: Path) -> None:
    for path in ("etc/keep", "etc/change", "etc/go/away/file", "usr/x"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.write_text("untouched")
    (tmp_path / "etc/link").symlink_to(outside)
    os.link(tmp_path / "etc/keep", tmp_path / "etc/twin")
    mounted = Mounted(tmp_path)
    etc = mounted.tree.get_dir("etc")
    assert etc is not None
    marks = {path: path.lstat().st_ino for path in tmp_path.rglob("*")}
    etc.entries[b"change"] = regular(b"new", mode=0o600)
    etc.entries[b"link"] = regular(b"file now")
    etc.entries[os.fsencode("new\udcff")] = regular(b"odd name")
    etc.make_dirs("a/b", mode=0o700)
    del etc.entries[b"go"]
    made = mounted.save()
    assert {*made} == {"/etc/change", "/etc/link", "/etc/new\udcff", "/etc/a"}
    assert (tmp_path / "etc/change").read_text() == "new"
    assert (tmp_path / "etc/change").stat().st_mode & 0o777 == 0o600
    assert outside.read_text() == "untouched"
    assert (tmp_path / "etc/link").read_text() == "file now"
    assert (tmp_path / "etc/new\udcff").read_text() == "odd name"
    assert (tmp_path / "etc/a/b").stat().st_mode & 0o777 == 0o700
    assert not (tmp_path / "etc/go").exists()
    for name in ("etc/keep", "etc/twin", "usr/x"):
        assert (tmp_path / name).lstat().st_ino == marks[tmp_path / name]
    with pytest.raises(HostError, match="cannot be read"):
        Mounted(tmp_path / "none")

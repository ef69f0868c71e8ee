"""What an image or a description holds to lead provisioning astray: said, or kept inside."""

from __future__ import annotations

import json
import stat
import time
from contextlib import suppress

import pytest

from diskgen.blueprint.model import Customizations, Firewall, Services, Sshd, User
from diskgen.blueprint.read import read as read_document
from diskgen.budgets import DOCUMENT_BYTES
from diskgen.errors import DiskgenError
from diskgen.link import Link
from diskgen.ostree.facts import parse_os_release
from diskgen.provision.apply import apply
from diskgen.tree import Data, Directory, File, Node, read, symlink

HASH = "$6$abcdefgh$" + "a" * 86
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHf5Hb0lDXWNg2tCsDG2KgY4Y8fM9V8gqvL5QmJ8kQpQ"
UNIT = "[Install]\nWantedBy=multi-user.target\n"


def regular(text: str | bytes, mode: int = 0o644) -> File:
    raw = text.encode() if isinstance(text, str) else text
    return File(mode=stat.S_IFREG | mode, content=Data(raw))


def deployment(**others: Node) -> Directory:
    """Return a small system; names of ``others`` have _ for / and replace what is there."""
    root = Directory()
    for path, node in {
        "etc/passwd": regular("root:x:0:0:root:/root:/bin/bash\n"),
        "etc/shadow": regular("root:!::0:99999:7:::\n", 0),
        "etc/group": regular("root:x:0:\n"), "etc/gshadow": regular("root:::\n", 0),
        "etc/login.defs": regular("USERGROUPS_ENAB yes\n"), "etc/shells": regular("/bin/bash\n"),
        "usr/bin/bash": regular("", 0o755), "bin": symlink("usr/bin"),
        "home": symlink("var/home"), "root": symlink("var/roothome"),
        **{name.replace("_", "/"): node for name, node in others.items()},
    }.items():  # fmt: skip
        root.add(path, node)
    return root


def given(root: Directory, wanted: Customizations) -> Directory:
    """Return the /var of a system that was given something."""
    var = Directory()
    apply(wanted, root, var, 1_700_000_000)
    return var


def text_of(root: Directory, path: str) -> str:
    node = root.get_file(path)
    assert node is not None
    assert node.content is not None
    return read(node.content).decode()


def test_hashes_stay_hidden_behind_a_link() -> None:
    root = deployment(
        etc_shadow=symlink("../usr/share/shadow"),
        usr_share_shadow=regular("root:!::::::\n", 0),
    )
    given(root, Customizations(users=(User(name="bob", password=HASH),)))
    node = root.get_file("etc/shadow")
    assert node is not None
    assert stat.S_IMODE(node.mode) == 0
    assert HASH in text_of(root, "etc/shadow")


@pytest.mark.parametrize("field", ["", "*", "!"])
def test_the_password_that_counts_is_the_one_given(field: str) -> None:
    root = deployment(etc_passwd=regular(f"root:{field}:0:0:root:/root:/bin/bash\n"))
    given(root, Customizations(users=(User(name="root", password=HASH),)))
    assert text_of(root, "etc/passwd").startswith("root:x:0:0:")


def test_there_is_no_other_root() -> None:
    root = deployment(etc_passwd=regular("daemon:x:1:1::/:/bin/sh\n"))
    with pytest.raises(DiskgenError, match="no line for it in '/etc/passwd'"):
        given(root, Customizations(users=(User(name="root", keys=(KEY,)),)))


@pytest.mark.parametrize("kind", ["enabled", "disabled"])
@pytest.mark.parametrize(
    "units",
    [
        {"usr/lib/systemd/system/a.service": symlink("/usr/x/b.service"),
         "usr/lib/systemd/system/b.service": symlink("/usr/x/a.service"),
         "usr/x/a.service": regular(UNIT), "usr/x/b.service": regular(UNIT)},
        {"usr/lib/systemd/system/a.service": regular(b"[Install]\nAlso=\xff.service\n")},
        {"usr/lib/systemd/system/a.service": regular(b"[Install]\nAlias=\xff/x.service\n")},
    ],
    ids=["a circle of aliases", "no text in Also", "no text in Alias"],
)  # fmt: skip
def test_units_that_are_none(units: dict[str, Node], kind: str) -> None:
    root = deployment()
    for path, node in units.items():
        root.add(path, node)
    wanted = Customizations(services=Services(**{kind: ("a",)}))
    try:
        given(root, wanted)
    except DiskgenError as error:
        assert "a.service" in str(error)  # noqa: PT017 - it may as well be taken


@pytest.mark.parametrize("skeleton", ["/", "/var", "/var/home", "/etc"])
def test_a_skeleton_that_holds_the_home(skeleton: str) -> None:
    root = deployment(etc_default_useradd=regular(f"SKEL={skeleton}\n"))
    var = given(root, Customizations(users=(User(name="bob"),)))
    assert var.get_dir("home/bob") is not None


@pytest.mark.parametrize(
    "document",
    [
        {"user[0].uid": 5},
        {"files[0].data": "x"},
        {"filesystem[0].minsize": 5},
        {"files": [{"path": "/etc/x", "data": "\ud800"}]},
        {"files": [{"path": "/etc/x", "user": "9" * 5000}]},
        {"files": [{"path": "//etc/shadow", "data": "x"}]},
        {"files": [{"path": "/etc/" + "a" * 300, "data": "x"}]},
        {"user": [{"name": "a", "password": "\ud800"}]},
        {"timezone": {"ntpservers": ["fe80::1%\nallow all"]}},
        {"firewall": {"zones": [{"name": "z", "sources": ['fe80::1%"><x']}]}},
        {"firewall": {"ports": ["\uff18\uff10:tcp"]}},
    ],
    ids=repr,
)
def test_documents_that_are_refused(document: dict[str, object]) -> None:
    with pytest.raises(DiskgenError):
        read_document(json.dumps({"customizations": document}), "json", "machine.json")


def test_a_private_key_is_not_shown_whole() -> None:
    secret = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW"
    with pytest.raises(DiskgenError) as caught:
        read_document(
            json.dumps({"customizations": {"user": [{"name": "a", "key": secret}]}}), "json", "m"
        )
    assert secret not in str(caught.value)


@pytest.mark.parametrize("text", ["\n", " ", "a", "a ", "server ", "<zone a", "source\n", ":", "="])
def test_long_texts_of_an_image_take_no_long_time(text: str) -> None:
    """Whatever reads a file of the image: it may be a mebibyte of one thing."""
    long = text * (DOCUMENT_BYTES.limit // len(text))
    names = ("chrony.conf", "ssh/sshd_config", "selinux/config", "firewalld/firewalld.conf",
             "login.defs", "default/useradd", "services", "network/interfaces")  # fmt: skip
    files: dict[str, Node] = {f"etc/{name}": regular(long) for name in names}
    files["usr/lib/firewalld/zones/public.xml"] = regular(f"<zone {long[:-20]}></zone>")
    files["usr/lib/firewalld/services/http.xml"] = regular("")
    files["usr/lib/sysusers.d/a.conf"] = regular(long)
    files["usr/lib/systemd/system/networking.service"] = regular("")
    wants = "etc/systemd/system/multi-user.target.wants/networking.service"
    files[wants] = symlink("/usr/lib/systemd/system/networking.service")
    root = deployment()
    for path, node in files.items():
        root.add(path, node)
    wanted = Customizations(
        users=(User(name="ann", keys=(KEY,)),), ntp_servers=("ntp.example",),
        sshd=Sshd(password_authentication=False), selinux="permissive",
        firewall=Firewall(enabled=("http",), ports=("named:tcp",)),
        links=(Link(device="eth0"),),
    )  # fmt: skip
    begun = time.process_time()
    with suppress(DiskgenError):
        given(root, wanted)
    parse_os_release(f"NAME={long}")
    assert time.process_time() - begun < 10

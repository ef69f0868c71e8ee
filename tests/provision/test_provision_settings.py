"""Names, files, firewall, sshd, clock, trust and FIPS, written into trees of several families."""

from __future__ import annotations

import stat

import pytest

from diskgen.blueprint.errors import BlueprintError
from diskgen.blueprint.model import (
    AddedDirectory,
    AddedFile,
    Customizations,
    Firewall,
    Services,
    Sshd,
    User,
    Zone,
)
from diskgen.link import parse as parse_link
from diskgen.provision import settings
from diskgen.provision.apply import apply
from diskgen.provision.passwords import crypted
from diskgen.tree import Directory, File, Node, read, regular, symlink

PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
ZONE = (
    '<?xml version="1.0" encoding="utf-8"?>\n<zone>\n  <short>Public</short>\n'
    '  <service name="ssh"/>\n  <service name="dhcpv6-client"/>\n</zone>\n'
)
FIREWALLD = {
    "usr/lib/firewalld/zones/public.xml": ZONE, "etc/services": "ssh 22/tcp\nhttp 80/tcp www\n",
    "usr/lib/firewalld/services/http.xml": "", "usr/lib/firewalld/services/ssh.xml": "",
    "usr/lib/firewalld/services/dhcpv6-client.xml": "",
}  # fmt: skip
ACCOUNTS = {"etc/passwd": "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n",
            "etc/group": "root:x:0:\nann:x:1000:\nwheel:x:10:\n"}  # fmt: skip


def machine(texts: dict[str, str]) -> Directory:
    tree = Directory()
    for path, text in {**ACCOUNTS, **texts}.items():
        tree.add(path, regular(text.encode()))
    for path in ("var/home", "var/roothome", "usr/bin"):
        tree.make_dirs(path)
    tree.add("home", symlink("var/home"))
    tree.add("root", symlink("var/roothome"))
    tree.add("usr/share/zoneinfo/Europe/Berlin", regular(b""))
    return tree


def given(wanted: Customizations, texts: dict[str, str]) -> tuple[Directory, tuple[str, ...]]:
    tree = machine(texts)
    var = tree.get_dir("var")
    assert var is not None
    return tree, apply(wanted, tree, var, 86400 * 20000)


def text(tree: Directory, path: str) -> str:
    node = tree.get(path)
    assert isinstance(node, File)
    return node.target.decode() if node.content is None else read(node.content).decode()


def refused(wanted: Customizations, texts: dict[str, str]) -> str:
    with pytest.raises(BlueprintError) as caught:
        given(wanted, texts)
    return "; ".join(f"{problem.message} [{problem.hint}]" for problem in caught.value.problems)


def test_names() -> None:
    wanted = Customizations(
        hostname="box.example", timezone="Europe/Berlin", languages=("C.UTF-8", "de_DE.UTF-8"),
        keyboard="us",
    )  # fmt: skip
    tree, warnings = given(wanted, {"etc/timezone": "Etc/UTC\n", "etc/default/locale": ""})
    assert warnings == ()
    assert text(tree, "etc/hostname") == "box.example\n"
    assert text(tree, "etc/localtime") == "../usr/share/zoneinfo/Europe/Berlin"
    assert text(tree, "etc/timezone") == "Europe/Berlin\n"
    assert text(tree, "etc/locale.conf") == text(tree, "etc/default/locale") == "LANG=C.UTF-8\n"
    assert text(tree, "etc/vconsole.conf") == "KEYMAP=us\n"
    _tree, warnings = given(Customizations(timezone="Mars/Base", keyboard="de"), {})
    assert [warning[:24] for warning in warnings] == ["the system has no time z",
                                                      "the system has no keyboa"]  # fmt: skip


def test_files_and_directories() -> None:
    wanted = Customizations(
        directories=(
            AddedDirectory(path="/etc/a", mode=0o750, user="ann"),
            AddedDirectory(path="/etc/b/c", parents=True, group=7),
        ),
        files=(
            AddedFile(path="/etc/a/x", data=b"1", mode=0o4640, user="ann", group="wheel"),
            AddedFile(path="/root/new/y", data=b"2"),
            AddedFile(path="/etc/motd", data=b"3", user=1000),
        ),
    )
    tree, _warnings = given(wanted, {"etc/motd": "old"})

    def owned(path: str) -> tuple[int, int, int]:
        node: Node | None = tree.get(path)
        assert node is not None
        return stat.S_IMODE(node.mode), node.uid, node.gid

    assert owned("etc/a") == (0o750, 1000, 1000)
    assert owned("etc/b") == (0o755, 0, 0)
    assert owned("etc/b/c") == (0o755, 0, 7)
    assert owned("etc/a/x") == (0o4640, 1000, 10)
    assert owned("var/roothome/new/y") == (0o644, 0, 0)
    assert owned("etc/motd") == (0o644, 1000, 1000)
    assert text(tree, "etc/motd") == "3"


@pytest.mark.parametrize(
    ("wanted", "message"),
    [(AddedFile(path="/usr/bin/x"), "'/usr/bin' is a part of the image"),
     (AddedFile(path="/x"), "is a part of the image"),
     (AddedFile(path="/etc/passwd/x"), "is no directory"),
     (AddedFile(path="/var/home"), "is a directory"),
     (AddedFile(path="/etc/x", user="nobody"), "has no such account"),
     (AddedFile(path="/etc/x", group="none"), "the machine has none"),
     (AddedFile(path="/etc/x", user=77), "name the group as well"),
     (AddedDirectory(path="/etc/a/b"), "ensure_parents"),
     (AddedDirectory(path="/usr/a", parents=True), "is a part of the image"),
     (AddedDirectory(path="/etc/group", parents=True), "is no directory")],
)  # fmt: skip
def test_files_that_cannot_be(wanted: AddedFile | AddedDirectory, message: str) -> None:
    if isinstance(wanted, AddedFile):
        assert message in refused(Customizations(files=(wanted,)), {})
    else:
        assert message in refused(Customizations(directories=(wanted,)), {})


def test_the_firewall() -> None:
    wanted = Customizations(
        firewall=Firewall(
            ports=("8080:tcp", "http:tcp", "6000-6010:udp"), enabled=("http", "ssh"),
            disabled=("dhcpv6-client",), zones=(Zone(name="lab", sources=("192.0.2.0/24",)),),
        )
    )  # fmt: skip
    tree, _warnings = given(wanted, FIREWALLD)
    assert text(tree, "etc/firewalld/zones/public.xml") == (
        '<?xml version="1.0" encoding="utf-8"?>\n<zone>\n  <short>Public</short>\n'
        '  <service name="ssh"/>\n  <service name="http"/>\n'
        '  <port port="8080" protocol="tcp"/>\n  <port port="80" protocol="tcp"/>\n'
        '  <port port="6000-6010" protocol="udp"/>\n</zone>\n'
    )
    assert '<source address="192.0.2.0/24"/>' in text(tree, "etc/firewalld/zones/lab.xml")
    config = {"etc/firewalld/firewalld.conf": "DefaultZone=home\n"}
    tree, _warnings = given(Customizations(firewall=Firewall(ports=("1:tcp",))),
                            {**FIREWALLD, **config})  # fmt: skip
    assert 'port="1"' in text(tree, "etc/firewalld/zones/home.xml")


@pytest.mark.parametrize(
    ("firewall", "texts", "message"),
    [(Firewall(ports=("1:tcp",)), {}, "the image has no firewalld"),
     (Firewall(enabled=("x",)), FIREWALLD, "service 'x' is none"),
     (Firewall(ports=("x:tcp",)), FIREWALLD, "'x:tcp' is none"),
     (Firewall(ports=("1:tcp",)), {**FIREWALLD, "etc/firewalld/zones/public.xml": "<zones/>"},
      "is no zone of firewalld")],
)  # fmt: skip
def test_firewalls_that_cannot_be(firewall: Firewall, texts: dict[str, str], message: str) -> None:
    assert message in refused(Customizations(firewall=firewall), texts)


@pytest.mark.parametrize(
    ("texts", "path", "begins"),
    [({"etc/ssh/sshd_config": "Include /etc/ssh/sshd_config.d/*.conf\n"},
      "etc/ssh/sshd_config.d/00-diskgen.conf", "PasswordAuthentication no\nPermitRootLogin no\n"),
     # Whatever comes before the others counts, so ours is the first of all.
     ({"etc/ssh/sshd_config": "PasswordAuthentication yes\nInclude /etc/ssh/sshd_config.d/*\n"},
      "etc/ssh/sshd_config", "PasswordAuthentication no\nPermitRootLogin no\n"
      "PasswordAuthentication yes\nInclude /etc/ssh/sshd_config.d/*\n"),
     ({"etc/ssh/sshd_config": "Include /etc/ssh/sshd_config.d/*.conf\n",
       "etc/ssh/sshd_config.d/00-a.conf": "PasswordAuthentication yes\n"},
      "etc/ssh/sshd_config", "PasswordAuthentication no\nPermitRootLogin no\n"
      "Include /etc/ssh/sshd_config.d/*.conf\n"),
     ({"etc/ssh/sshd_config": "Port 23\n"}, "etc/ssh/sshd_config",
      "PasswordAuthentication no\nPermitRootLogin no\nPort 23\n"),
     ({}, None, "")],
)  # fmt: skip
def test_sshd(texts: dict[str, str], path: str | None, begins: str) -> None:
    wanted = Customizations(sshd=Sshd(password_authentication=False, permit_root_login="no"))
    if path is None:
        assert "the image has no sshd" in refused(wanted, texts)
        return
    tree, _warnings = given(wanted, texts)
    assert text(tree, path) == begins


@pytest.mark.parametrize("old", ["SELINUX=enforcing\n", " SELINUX=enforcing\n", "", "# mine\n"])
def test_the_mode_of_selinux(old: str) -> None:
    tree, _warnings = given(Customizations(selinux="permissive"), {"etc/selinux/config": old})
    policy = read_lines(text(tree, "etc/selinux/config"))
    assert policy == ["SELINUX=permissive"]


def read_lines(config: str) -> list[str]:
    return [line for line in config.splitlines() if line.lstrip().startswith("SELINUX=")]


def test_the_clock() -> None:
    wanted = Customizations(ntp_servers=("a.example", "192.0.2.1"))
    chrony = {"etc/chrony.conf": "# x\npool old.example iburst\nmakestep 1 3\n"}
    tree, _warnings = given(wanted, chrony)
    assert text(tree, "etc/chrony.conf") == (
        "server a.example iburst\nserver 192.0.2.1 iburst\n# x\nmakestep 1 3\n"
    )
    tree, _warnings = given(wanted, {"usr/lib/systemd/systemd-timesyncd": ""})
    own = text(tree, "etc/systemd/timesyncd.conf.d/00-diskgen.conf")
    assert own == "[Time]\nNTP=a.example 192.0.2.1\n"
    _tree, (warning,) = given(wanted, {})
    assert "neither chrony nor systemd-timesyncd" in warning


@pytest.mark.parametrize("unit", settings.CLOCKS)
def test_no_clock_is_set_where_that_is_asked_for(unit: str) -> None:
    """By whichever program the image has; one that is enabled by name runs."""
    own = {f"usr/lib/systemd/system/{unit}": "[Install]\nWantedBy=multi-user.target\n"}
    for wanted, enabled in (
        (Customizations(services=Services(enabled=(unit,))), True),
        (Customizations(services=Services(enabled=(unit,)), ntp=False), True),
        (Customizations(ntp=False), False),
        (Customizations(), None),
    ):
        tree, warnings = given(wanted, own)
        assert warnings == ()
        preset = tree.get("etc/systemd/system-preset/00-diskgen.preset")
        words = {True: f"enable {unit}\n", False: f"disable {unit}\n"}
        if enabled is None:
            assert preset is None
        else:
            assert text(tree, "etc/systemd/system-preset/00-diskgen.preset") == words[enabled]
    assert given(Customizations(ntp=False), {})[1] == ()


def test_sudo_asks_for_no_password() -> None:
    wanted = Customizations(sudo_nopasswd=("ann", "%wheel"))
    tree, warnings = given(wanted, {"etc/sudoers": "root ALL=(ALL) ALL\n"})
    assert warnings == ()
    assert text(tree, "etc/sudoers.d/90-diskgen") == (
        "ann\tALL=(ALL)\tNOPASSWD: ALL\n%wheel\tALL=(ALL)\tNOPASSWD: ALL\n"
    )
    node = tree.get("etc/sudoers.d/90-diskgen")
    assert isinstance(node, File)
    assert stat.S_IMODE(node.mode) == 0o440
    tree, (warning,) = given(wanted, {})
    assert "sudo is to ask for no password" in warning
    assert tree.get("etc/sudoers.d") is None


@pytest.mark.parametrize(
    ("texts", "anchor", "bundle", "warned"),
    [({"etc/pki/ca-trust/source/anchors/.x": "",
       "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem": "old\n"},
      "etc/pki/ca-trust/source/anchors/diskgen-1.crt",
      "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", False),
     ({"usr/local/share/ca-certificates/.x": "", "etc/ssl/certs/ca-certificates.crt": "old\n"},
      None, "etc/ssl/certs/ca-certificates.crt", True)],
)  # fmt: skip
def test_trust(texts: dict[str, str], anchor: str | None, bundle: str, warned: bool) -> None:
    tree, warnings = given(Customizations(certificates=(PEM,)), texts)
    assert text(tree, bundle) == f"old\n{PEM}"
    if anchor is not None:
        assert text(tree, anchor) == PEM
    assert any("update-ca-certificates" in warning for warning in warnings) == warned
    assert "no place for them" in refused(Customizations(certificates=(PEM,)), {})


def test_fips() -> None:
    policy = {"usr/share/crypto-policies/FIPS/gnutls.txt": "x",
              "etc/crypto-policies/config": "DEFAULT\n"}  # fmt: skip
    tree, warnings = given(Customizations(fips=True), policy)
    assert warnings == ()
    assert text(tree, "etc/crypto-policies/config") == "FIPS\n"
    link = text(tree, "etc/crypto-policies/back-ends/gnutls.config")
    assert link == "/usr/share/crypto-policies/FIPS/gnutls.txt"
    _tree, (warning,) = given(Customizations(fips=True), {})
    assert "no policy for it" in warning
    overlay = {"usr/lib/systemd/system/fips-crypto-policy-overlay.service": ""}
    tree, warnings = given(Customizations(fips=True), {**policy, **overlay})
    assert (text(tree, "etc/crypto-policies/config"), warnings) == ("DEFAULT\n", ())


def test_passwords_are_crypted_by_image_and_name() -> None:
    people = (User(name="ann", plain="secret"), User(name="ben", plain="secret"))
    first = crypted(Customizations(users=people), "sha256:1")
    again = crypted(Customizations(users=people), "sha256:1")
    other = crypted(Customizations(users=people), "sha256:2")
    hashes = [user.password for user in (*first.users, *other.users)]
    assert len(set(hashes)) == 4
    assert first == again
    assert all(user.plain is None for user in first.users)


def test_crypt_of_the_c_library_agrees() -> None:
    """The hash is the one that the machine's own crypt(3) makes of the password."""
    import ctypes.util

    name = ctypes.util.find_library("crypt")
    assert name is not None
    library = ctypes.CDLL(name)
    library.crypt.restype = ctypes.c_char_p
    (user,) = crypted(Customizations(users=(User(name="a", plain="pä ss"),)), "x").users
    assert user.password is not None
    said = library.crypt("pä ss".encode(), user.password.encode())
    assert said.decode() == user.password


@pytest.mark.parametrize(
    ("unit", "path", "line"),
    [("NetworkManager.service",
      "etc/NetworkManager/system-connections/diskgen-e0.nmconnection", "address1=192.0.2.5/24"),
     ("systemd-networkd.service", "etc/systemd/network/10-diskgen-e0.network",
      "Address=192.0.2.5/24"),
     ("networking.service", "etc/network/interfaces.d/e0", "    address 192.0.2.5/24")],
)  # fmt: skip
def test_network_devices(unit: str, path: str, line: str) -> None:
    links = (parse_link("device=e0,ip=192.0.2.5/24"),)
    texts = {f"usr/lib/systemd/system/{unit}": "",
             f"etc/systemd/system/multi-user.target.wants/{unit}": ""}  # fmt: skip
    tree, warnings = given(Customizations(links=links), texts)
    assert warnings == ()
    assert line in text(tree, path).splitlines()
    if unit == "networking.service":
        assert text(tree, "etc/network/interfaces").endswith("interfaces.d/*\n")
    _tree, (warning,) = given(Customizations(links=links), {})
    assert "no NetworkManager" in warning
    for spec, message in (("ip=192.0.2.5/24", "name it in --network"),
                          ("device=02:00:00:00:00:01,mtu=1400", "names")):  # fmt: skip
        links = (parse_link(spec),)
        if "name it" in message or unit == "networking.service":
            assert message in refused(Customizations(links=links), texts)

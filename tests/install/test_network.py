"""Network devices: what is understood, what is refused, what is written for which service."""

from __future__ import annotations

import configparser
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_interface
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diskgen.blueprint.errors import BlueprintError
from diskgen.blueprint.model import Customizations
from diskgen.config import KICKSTART_VERSIONS
from diskgen.decision.networking import ident, interfaces, keyfile, networkd
from diskgen.errors import HostError, UsageError
from diskgen.install import connect
from diskgen.install.identity import set_up
from diskgen.install.network import Device, devices, resolve
from diskgen.install.target import Target
from diskgen.kickstart.links import Booted, of_boot
from diskgen.kickstart.recipe import parse as parse_kickstart
from diskgen.link import Link, Protocol, Way, address, parse, static

MAC = "52:54:00:12:34:56"
IMAGE = "ostreecontainer --url=quay.io/a/os:1\n"
STATIC = "device=enp1s0,ip=192.0.2.5/24,gateway=192.0.2.1,dns=192.0.2.53,dns=2001:db8::53"


def lines(text: str, version: str = "F44") -> tuple[Link, ...]:
    return parse_kickstart(IMAGE + text, version, "mine.ks").links


def sections(text: str) -> dict[str, dict[str, str]]:
    """Return a key file as a parser of its own reads it; names are what they are."""
    parser = configparser.RawConfigParser(strict=True)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(text)
    return {name: dict(parser[name]) for name in parser.sections()}


# What the command line says


def test_a_device_of_the_command_line() -> None:
    rest = "ipv6=2001:db8::5/64,ipv6gateway=fe80::1,mtu=9000,search=a.b,onboot=no"
    assert parse(f"{STATIC},{rest}") == Link(
        device="enp1s0",
        v4=Protocol(
            way=Way.STATIC, address=static("192.0.2.5/24", 4), gateway=address("192.0.2.1"),
            search=("a.b",),
        ),
        v6=Protocol(
            way=Way.STATIC, address=static("2001:db8::5/64", 6), gateway=address("fe80::1")
        ),
        servers=(address("192.0.2.53"), address("2001:db8::53")),
        mtu=9000,
        on_boot=False,
    )  # fmt: skip
    assert parse(f"device={MAC.upper()},ip=off,ipv6=dhcp") == Link(
        device=MAC, v4=Protocol(way=Way.OFF), v6=Protocol(way=Way.DHCP)
    )
    assert parse("ip=off,search=a").v6.search == ("a",)
    assert parse("device=link,ip=dhcp,ipv6=auto") == Link()
    assert parse("ip=198.51.100.7/32,gateway=192.0.2.1").v4.gateway == address("192.0.2.1")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "'' is not understood / known are: device, ip"),
        ("nic=e0", "'nic=e0' is not understood"),
        ("ip", "'ip' has no value / write it like ip=192.0.2.5/24"),
        ("mtu=", "'mtu' has no value"),
        ("ip=dhcp,ip=off", "'ip' is given twice: dhcp, off"),
        ("ip=static", "'static' is no IPv4 address"),
        ("ip=192.0.2.5", "'192.0.2.5' has no prefix / write it like 192.0.2.5/24"),
        ("ip=192.0.2.256/24", "'192.0.2.256' is no IPv4 address"),
        ("ip=192.0.2.05/24", "'192.0.2.05' is no IPv4 address"),
        ("ip=192.0.2.5/33", "'33' is no length from 1 to 32"),
        ("ip=192.0.2.5/0", "'0' is no length"),
        ("ip=192.0.2.5/255.255.255.0", "'255.255.255.0' is no length"),
        ("ip=192.0.2.5/²", "'²' is no length"),
        ("ip=192.0.2.0/24", "it is the network of 192.0.2.0/24"),
        ("ip=192.0.2.255/24", "it is the broadcast address of 192.0.2.0/24"),
        ("ip=224.0.0.1/24", "224.0.0.1 is no address of a machine"),
        ("ip=127.0.0.1/8", "127.0.0.1 is no address of a machine"),
        ("ip=0.0.0.0/8", "0.0.0.0 is no address of a machine"),
        ("ip=250.0.0.1/8", "250.0.0.1 is no address of a machine"),
        ("ip=2001:db8::5/64", "'2001:db8::5' is no IPv4 address"),
        ("ip=192.0.2.5/24,gateway=192.0.3.1", "192.0.3.1 is not in the network 192.0.2.0/24"),
        ("ip=192.0.2.5/24,gateway=192.0.2.5", "is the machine's own address"),
        ("gateway=192.0.2.1", "the gateway 192.0.2.1 goes with a static address alone"),
        ("ipv6gateway=fe80::1", "the gateway fe80::1 goes with a static address alone"),
        ("ipv6=2001:db8::5", "has no prefix / write it like 2001:db8::5/64"),
        ("ipv6=fe80::1%eth0/64", "'fe80::1%eth0' is no IPv6 address"),
        ("ipv6=ff02::1/64", "ff02::1 is no address of a machine"),
        ("ipv6=192.0.2.5/24", "'192.0.2.5' is no IPv6 address"),
        ("dns=one.example", "'one.example' is no IP address"),
        ("dns=224.0.0.1", "224.0.0.1 is no address of a name server"),
        ("search=a_b..c", "'a_b..c' is no domain"),
        ("device=a/b", "'a/b' is no network device / such as enp1s0"),
        ("device=a23456789012345x", "is no network device"),
        ("device=52:54:00:12:34", "'52:54:00:12:34' is no network device"),
        ("device=-x", "'-x' is no network device"),
        ("mtu=9k", "'9k' is no MTU"),
        ("mtu=1279", "the MTU 1279 is not from 1280 to 65535"),
        ("mtu=67,ipv6=off", "the MTU 67 is not from 68"),
        ("mtu=65536", "the MTU 65536"),
        ("onboot=maybe", "'maybe' is neither yes nor no"),
        ("ip=192.0.2.5/24\nx", "is no length"),
    ],
)
def test_a_device_that_is_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert words in f"{caught.value.message} / {caught.value.hint}"
    assert caught.value.setting == "network"


# What a kickstart says


@pytest.mark.parametrize("version", KICKSTART_VERSIONS)
def test_a_device_of_a_kickstart(version: str) -> None:
    *_, link = lines(
        "network --hostname=here\n"
        "network --device=enp1s0 --bootproto=static --ip=192.0.2.5 --netmask=255.255.255.0"
        " --gateway=192.0.2.1 --nameserver=192.0.2.53,2001:db8::53 --ipv6=2001:db8::5/64"
        " --ipv6gateway=fe80::1 --mtu=9000 --onboot=no --ipv4-dns-search=a.b\n",
        version,
    )
    assert link == parse(
        f"{STATIC},ipv6=2001:db8::5/64,ipv6gateway=fe80::1,mtu=9000,search=a.b,onboot=no"
    )


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("--bootproto=dhcp", Link()),
        ("--bootproto=bootp --device=link", Link()),
        ("--noipv4 --ipv6=auto", Link(v4=Protocol(way=Way.OFF))),
        ("--noipv6", Link(v6=Protocol(way=Way.OFF))),
        ("--ipv6=ignore", Link(v6=Protocol(way=Way.OFF))),
        ("--ipv6=dhcp", Link(v6=Protocol(way=Way.DHCP))),
        ("--ipv6=2001:db8::5", Link(v6=Protocol(way=Way.STATIC,
                                                address=static("2001:db8::5/64", 6)))),
        ("--nodns", Link(v4=Protocol(ignore_dns=True), v6=Protocol(ignore_dns=True))),
        ("--device=e0 --ipv6-ignore-auto-dns --ipv6-dns-search=a,b",
         Link(device="e0", v6=Protocol(ignore_dns=True, search=("a", "b")))),
        ("--nodefroute", Link(default_route=False)),
        ("--device=E0 --bindto=mac", Link(device="E0", by_mac=True)),
        ("--device=52:54:00:12:34:AB", Link(device="52:54:00:12:34:ab")),
        ("--no-activate", Link(activate=False)),
    ],
)  # fmt: skip
def test_options_of_a_kickstart(text: str, link: Link) -> None:
    assert lines(f"network {text}\n") == (link,)


def test_several_devices_of_a_kickstart() -> None:
    one, two, three = lines(
        "network --bootproto=dhcp --device=link --activate --hostname=x\n"
        "network --device=link --mtu=1400\nnetwork --device=e1 --mtu=1500\n"
        "network --device=e2 --noipv6 --activate\nnetwork --device=e1\n"
    )
    assert (one.device, one.mtu, one.activate) == (None, 1400, True)  # the first that says much
    assert (two.device, two.mtu, two.activate) == ("e1", 1500, False)
    assert (three.device, three.activate) == ("e2", True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("--bootproto=static", "--bootproto=static takes --ip and --netmask"),
        ("--bootproto=static --ip=192.0.2.5", "takes --ip and --netmask"),
        ("--ip=192.0.2.5 --netmask=255.255.255.0", "--ip goes with --bootproto=static"),
        ("--bootproto=dhcp --gateway=192.0.2.1", "--gateway goes with --bootproto=static"),
        ("--noipv4 --ip=192.0.2.5", "--ip and --noipv4 contradict"),
        ("--noipv6 --ipv6=auto", "--noipv6 contradicts --ipv6"),
        ("--nodns --nameserver=192.0.2.1", "--nodns and --nameserver contradict"),
        ("--bootproto=static --ip=192.0.2.5/24 --netmask=255.0.0.0", "--ip=192.0.2.5/24 has a p"),
        ("--bootproto=static --ip=192.0.2.5 --netmask=255.0.255.0", "'255.0.255.0' is no netmask"),
        ("--bootproto=static --ip=192.0.2.5 --netmask=0.0.0.255", "'0.0.0.255' is no netmask"),
        ("--bootproto=static --ip=192.0.2.5 --netmask=0.0.0.0", "'0.0.0.0' is no netmask"),
        ("--bootproto=static --ip=192.0.2.5 --netmask=24", "'24' is no IPv4 address"),
        ("--bootproto=static --ip=a --netmask=255.0.0.0", "'a' is no IPv4 address"),
        ("--nameserver=192.0.2.300", "'192.0.2.300' is no IP address"),
        ("--ipv6=2001:db8::/zz", "'zz' is no length from 1 to 128"),
        ("--mtu=many", "'many' is no MTU"),
        ("--device=../x", "'../x' is no network device"),
        ("--device=e0 --mtu=1500\nnetwork --device=e0 --mtu=1400", "'e0' is set up twice"),
    ],
)
def test_a_line_that_is_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        lines(f"text\nnetwork {text}\n")
    number = 3 + text.count("\n")
    assert caught.value.message.startswith(f"'mine.ks', line {number}: network: ")
    assert words in caught.value.message


# What the kernel's command line says


@pytest.mark.parametrize(
    ("text", "spec", "host"),
    [
        ("ip=192.0.2.5::192.0.2.1:255.255.255.0:here:enp1s0:none:192.0.2.53:2001", STATIC, None),
        ("ip=192.0.2.5::192.0.2.1:24:here:enp1s0:none nameserver=192.0.2.53"
         " nameserver=[2001:db8::53]", STATIC, "here"),
        ("ip=192.0.2.5::192.0.2.1:24::enp1s0:off:192.0.2.53:[2001:db8::53]", STATIC, None),
        ("quiet ip=192.0.2.5:192.0.2.9:192.0.2.1:255.255.255.0",
         "ip=192.0.2.5/24,gateway=192.0.2.1", None),
        ("ip=192.0.2.5:::24::e0:none:9000", "device=e0,ip=192.0.2.5/24,mtu=9000", None),
        ("ip=[2001:db8::5]::[fe80::1]:64::e0:none",
         "device=e0,ip=off,ipv6=2001:db8::5/64,ipv6gateway=fe80::1", None),
        ("ip=dhcp", "ip=dhcp", None),
        ("ip=e0:dhcp6", "device=e0,ip=off,ipv6=dhcp", None),
        ("ip=e0:dhcp:9000", "device=e0,ip=dhcp,mtu=9000", None),
        ("ip=e0:auto6:9000:", "device=e0,ip=off,mtu=9000", None),
        ("ip=::::name:e0:dhcp", "device=e0,ip=dhcp", "name"),
        ("nameserver=192.0.2.53", "dns=192.0.2.53", None),
    ],
)  # fmt: skip
def test_devices_of_the_kernels_arguments(text: str, spec: str, host: str | None) -> None:
    if text.endswith(":2001"):
        with pytest.raises(UsageError, match=r"ip=192.0.2.5::.*'2001' is no IP address"):
            of_boot(text)
        return
    assert of_boot(f"a=b {text} c") == Booted(links=(parse(spec),), hostname=host)


@pytest.mark.parametrize(
    "text",
    [
        "ip=", "ip=none", "ip=ibft", "ip=a:b:c", "ip=1.2.3.4:::::e0:none", "ip=[::1",
        "ip=192.0.2.5:::24::e0:none:52:54:00:12:34:56", "nameserver=x",
        "ip=192.0.2.5:::24::e0:none:9000:52:54:00:12:34:56", "ip=192.0.2.5:::24::e0:none:9000:x",
        "ip=e0:dhcp:9000:52:54:00:12:34:56", "ip=e0:dhcp:192.0.2.53", "ip=e0:none:9000",
        "ip=e0:dhcp6 ip=e0:auto6",
    ],
)  # fmt: skip
def test_arguments_that_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"the kernel argument '(ip|nameserver)=") as caught:
        of_boot(text)
    assert "ip=192.0.2.5::" in str(caught.value.hint)


def test_other_arguments_say_nothing() -> None:
    assert of_boot("quiet inst.ks=x ipv6.disable=1 rd.ip=1") == Booted()


WORDS = st.sampled_from(
    "ip= nameserver= [ ] : :: 192.0.2.5 24 none dhcp fe80::1 e0 9000 % ,".split()
)


@settings(max_examples=300, deadline=None)
@given(st.lists(WORDS | st.text(max_size=3), max_size=12).map("".join))
def test_no_argument_makes_it_stumble(text: str) -> None:
    with suppress(UsageError):
        of_boot(f"ip={text}")
    with suppress(UsageError):
        parse(text)


# Which device is meant


ONE, TWO = (Device(name=name, mac=f"52:54:00:00:00:0{number}", connected=number == 2)
            for number, name in ((1, "enp1s0"), (2, "enp2s0")))  # fmt: skip


def test_the_devices_of_a_machine(tmp_path: Path) -> None:
    for name, files in {
        "enp2s0": {"type": "1", "address": TWO.mac, "carrier": "1", "device/vendor": "x"},
        "enp1s0": {"type": "1", "address": ONE.mac, "carrier": "0", "device/vendor": "x"},
        "wlp1s0": {"type": "1", "address": MAC, "device/vendor": "x", "wireless/x": ""},
        "ib0": {"type": "32", "device/vendor": "x"},
        "lo": {"type": "772"},
        "docker0": {"type": "1", "address": MAC},
    }.items():
        for path, text in files.items():
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_text(f"{text}\n")
    assert devices(tmp_path) == (ONE, TWO)
    assert devices(tmp_path / "none") == ()


def test_the_device_with_a_cable() -> None:
    link = parse("mtu=1400")
    assert resolve([link], [ONE, TWO]) == (replace(link, device=TWO.mac, name=TWO.name),)
    assert resolve([link], [ONE]) == (replace(link, device=ONE.mac, name=ONE.name),)
    other = parse("device=enp2s0,mtu=1500")
    assert resolve([link, other], [ONE, TWO]) == (
        replace(link, device=ONE.mac, name=ONE.name),
        other,
    )


def test_who_cannot_be_found() -> None:
    off = replace(TWO, connected=False)
    with pytest.raises(HostError, match=r"no network device has a cable .*found: enp1s0, enp2s0"):
        resolve([parse("mtu=1400")], [ONE, off])
    with pytest.raises(HostError, match=r"found: none"):
        resolve([parse("mtu=1400")], [])
    with pytest.raises(HostError, match="has no network device 'e9'"):
        resolve([replace(parse("device=e9,mtu=1400"), by_mac=True)], [ONE])


def test_one_device_by_two_names() -> None:
    both = [parse("device=enp1s0,mtu=1400"), parse(f"device={ONE.mac},mtu=1500")]
    with pytest.raises(HostError, match=f"'{ONE.mac}' is set up twice"):
        resolve(both, [ONE, TWO])
    assert resolve(both, [TWO]) == tuple(both)


def test_names_and_hardware() -> None:
    named = parse("device=enp1s0,mtu=1400")
    assert resolve([named], []) == (named,)  # it may be another machine's
    made = (replace(named, by_mac=True, device=ONE.mac, name="enp1s0"),)
    assert resolve([replace(named, by_mac=True)], [ONE]) == made
    hardware = parse(f"device={ONE.mac},mtu=1400")
    assert resolve([hardware], [TWO, ONE]) == (replace(hardware, name=ONE.name),)
    assert resolve([hardware], [TWO]) == (hardware,)


def test_dhcp_alone_is_left_to_the_system() -> None:
    plain = parse("device=e0")
    assert resolve([plain, Link()], [ONE]) == ()
    odd = parse("device=e1,mtu=1400")
    assert resolve([plain, odd, Link()], [ONE]) == (plain, odd)


# What is written


FULL = parse(f"{STATIC},ipv6=2001:db8::5/64,ipv6gateway=2001:db8:1::1,mtu=9000,search=a.b,search=c")


def test_what_networkd_reads() -> None:
    text = networkd(FULL)
    assert text.count("[Route]") == 2
    first, second = text.split("[Route]")[1:]
    assert "Gateway=192.0.2.1\n" in first
    assert "OnLink" not in first
    assert "Gateway=2001:db8:1::1\nGatewayOnLink=yes\n" in second
    network = text.split("[Network]\n")[1].split("\n\n")[0].splitlines()
    assert network == [
        "DHCP=no", "IPv6AcceptRA=no", "LinkLocalAddressing=ipv6", "Address=192.0.2.5/24",
        "Address=2001:db8::5/64", "DNS=192.0.2.53", "DNS=2001:db8::53", "Domains=a.b c",
    ]  # fmt: skip
    assert text.startswith("[Match]\nName=enp1s0\nType=ether\n\n[Link]\nMTUBytes=9000\n\n")
    assert "ActivationPolicy" not in text


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ("ip=dhcp", {"DHCP": "ipv4", "IPv6AcceptRA": "yes", "LinkLocalAddressing": "ipv6"}),
        ("ipv6=dhcp", {"DHCP": "yes", "IPv6AcceptRA": "no", "LinkLocalAddressing": "ipv6"}),
        ("ip=off,ipv6=dhcp", {"DHCP": "ipv6", "IPv6AcceptRA": "no", "LinkLocalAddressing": "ipv6"}),
        ("ipv6=off", {"DHCP": "ipv4", "IPv6AcceptRA": "no", "LinkLocalAddressing": "no"}),
        ("ip=off", {"DHCP": "no", "IPv6AcceptRA": "yes", "LinkLocalAddressing": "ipv6"}),
    ],
)
def test_ways_for_networkd(spec: str, wanted: dict[str, str]) -> None:
    found = sections(networkd(parse(f"device={MAC},onboot=no,{spec}")))
    assert found["Match"] == {"MACAddress": MAC, "Type": "ether"}
    assert found["Link"] == {"ActivationPolicy": "manual"}
    assert found["Network"] == wanted
    assert found.get("DHCPv6", {}) == ({"WithoutRA": "solicit"} if "ipv6=dhcp" in spec else {})


def test_what_dhcp_may_say() -> None:
    (link,) = lines("network --device=e0 --nodns --nodefroute\n")
    found = sections(networkd(link))
    assert found["DHCPv4"] == found["IPv6AcceptRA"] == {"UseDNS": "no", "UseGateway": "no"}
    assert found["DHCPv6"] == {"UseDNS": "no"}
    found = sections(keyfile(link))
    wanted = {"method": "auto", "never-default": "true", "ignore-auto-dns": "true"}
    assert found["ipv4"] == found["ipv6"] == wanted
    still = replace(FULL, default_route=False)
    assert "ateway=192" not in networkd(still) + keyfile(still)
    assert "gateway" not in interfaces(replace(still, device="e0"))


def test_what_networkmanager_reads() -> None:
    found = sections(keyfile(FULL))
    assert found["connection"].pop("uuid") == sections(keyfile(FULL))["connection"]["uuid"]
    assert found == {
        "connection": {"id": "enp1s0", "type": "ethernet", "interface-name": "enp1s0"},
        "ethernet": {"mtu": "9000"},
        "ipv4": {"method": "manual", "address1": "192.0.2.5/24", "gateway": "192.0.2.1",
                 "dns": "192.0.2.53;", "dns-search": "a.b;c;"},
        "ipv6": {"method": "manual", "address1": "2001:db8::5/64", "gateway": "2001:db8:1::1",
                 "dns": "2001:db8::53;"},
    }  # fmt: skip
    found = sections(keyfile(parse(f"device={MAC},ip=off,ipv6=dhcp,onboot=no,dns=192.0.2.1")))
    assert found["connection"]["autoconnect"] == "false"
    assert "interface-name" not in found["connection"]
    assert found["ethernet"] == {"mac-address": MAC}
    assert found["ipv4"] == {"method": "disabled"}
    assert found["ipv6"] == {"method": "dhcp"}


def test_what_ifupdown_reads() -> None:
    assert interfaces(FULL).splitlines() == [
        "auto enp1s0",
        "iface enp1s0 inet static",
        "    address 192.0.2.5/24",
        "    gateway 192.0.2.1",
        "    dns-nameservers 192.0.2.53",
        "    dns-search a.b c",
        "    mtu 9000",
        "iface enp1s0 inet6 static",
        "    address 2001:db8::5/64",
        "    gateway 2001:db8:1::1",
        "    dns-nameservers 2001:db8::53",
        "    mtu 9000",
    ]
    text = interfaces(parse("device=e0,ip=dhcp,ipv6=off,onboot=no"))
    assert text == "iface e0 inet dhcp\n"


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6), st.integers(min_value=1, max_value=128))
def test_every_address_is_refused_or_kept(value: object, length: int) -> None:
    """What is written is what was asked for."""
    text = f"{value}/{length}"
    key = "ipv6" if ":" in text else "ip"
    with suppress(UsageError):
        link = parse(f"device=e0,{key}={text}")
        wanted = ip_interface(text)
        found = sections(keyfile(link))["ipv6" if ":" in text else "ipv4"]
        assert ip_interface(found["address1"]) == wanted
        assert f"\nAddress={wanted}\n" in networkd(link)


# Where it is written


def system(root: Path, **units: bool) -> Target:
    """Return a system that has services; those of True are enabled."""
    for name, enabled in units.items():
        unit = f"{name.replace('_', '-')}.service"
        path = root / "usr/lib/systemd/system" / unit
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        if enabled:
            wants = root / "etc/systemd/system/multi-user.target.wants"
            wants.mkdir(parents=True, exist_ok=True)
            (wants / unit).symlink_to(f"/usr/lib/systemd/system/{unit}")
    (root / "etc").mkdir(parents=True, exist_ok=True)
    return Target(root)


def written(target: Target, *links: Link) -> dict[str, int]:
    """Return the files and modes that were written."""

    def state() -> dict[str, int]:
        return {str(path.relative_to(target.root)): path.stat().st_mode & 0o777
                for path in target.root.rglob("*") if path.is_file()}  # fmt: skip

    before = state()
    set_up(target, Customizations(links=links), WARNINGS.append)
    return {path: mode for path, mode in state().items() if path not in before}


WARNINGS: list[str] = []


@pytest.fixture(autouse=True)
def no_warnings() -> None:
    WARNINGS.clear()


MANAGER_FILE = {"etc/NetworkManager/system-connections/diskgen-enp1s0.nmconnection": 0o600}
SERVERS_FILE = {"etc/resolv.conf": 0o644}
NETWORKD_FILE = {"etc/systemd/network/10-diskgen-enp1s0.network": 0o644}
IFUPDOWN_FILES = {"etc/network/interfaces.d/enp1s0": 0o644, "etc/network/interfaces": 0o644}


@pytest.mark.parametrize(
    ("units", "files"),
    [
        ({"NetworkManager": True, "systemd_networkd": False}, MANAGER_FILE),
        ({"NetworkManager": False, "systemd_networkd": False}, MANAGER_FILE),
        ({"NetworkManager": False, "systemd_networkd": True}, NETWORKD_FILE | SERVERS_FILE),
        ({"systemd_networkd": True, "systemd_resolved": True}, NETWORKD_FILE),
        ({"systemd_networkd": True, "networking": False}, NETWORKD_FILE | SERVERS_FILE),
        ({"systemd_networkd": False, "networking": True}, IFUPDOWN_FILES | SERVERS_FILE),
        ({"systemd_networkd": False}, {}),
        ({}, {}),
    ],
)
def test_it_is_written_for_what_brings_the_network_up(
    tmp_path: Path, units: dict[str, bool], files: dict[str, int]
) -> None:
    assert written(system(tmp_path, **units), FULL) == files
    assert bool(WARNINGS) == (not files)
    if not files:
        assert "enp1s0 will not be set up" in WARNINGS[0]


def test_what_is_masked_is_not_there(tmp_path: Path) -> None:
    target = system(tmp_path, NetworkManager=False, networking=False)
    (tmp_path / "etc/systemd/system").mkdir(parents=True)
    (tmp_path / "etc/systemd/system/NetworkManager.service").symlink_to("/dev/null")
    assert written(target, FULL) == IFUPDOWN_FILES | SERVERS_FILE
    assert (tmp_path / "etc/resolv.conf").read_text() == (
        "search a.b c\nnameserver 192.0.2.53\nnameserver 2001:db8::53\n"
    )


def test_nothing_is_written_for_dhcp(tmp_path: Path) -> None:
    assert written(system(tmp_path, NetworkManager=True)) == {}
    assert not WARNINGS


def test_what_is_up_in_the_installer_need_not_be_at_boot() -> None:
    """systemd-networkd would leave a device alone that is not brought up at boot."""
    off, idle = replace(FULL, on_boot=False), replace(FULL, device="e1", activate=False)
    assert connect.at_once([off, idle]) == (FULL,)


def test_ifupdown_knows_names_alone(tmp_path: Path) -> None:
    target = system(tmp_path, networking=True)
    (tmp_path / "etc/network").mkdir()
    (tmp_path / "etc/network/interfaces").write_text("source-directory /etc/network/interfaces.d\n")
    (tmp_path / "etc/resolv.conf").symlink_to("../run/resolv.conf")
    link = replace(FULL, device=ONE.mac)
    with pytest.raises(BlueprintError, match=f"by their names, not as '{ONE.mac}'"):
        written(target, link)
    (link,) = resolve([link], [ONE])
    assert written(target, link) == {"etc/network/interfaces.d/enp1s0": 0o644}
    before = "source-directory /etc/network/interfaces.d\n"
    assert (tmp_path / "etc/network/interfaces").read_text() == before
    own = "# source /etc/network/interfaces.d/* is not read\nauto lo"
    (tmp_path / "etc/network/interfaces").write_text(own)
    written(target, link)
    after = (tmp_path / "etc/network/interfaces").read_text()
    assert after == f"{own}\nsource /etc/network/interfaces.d/*\n"
    assert "iface enp1s0 inet static" in (tmp_path / "etc/network/interfaces.d/enp1s0").read_text()


def test_links_of_the_system_do_not_lead_out(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    target = system(tmp_path / "root", NetworkManager=True)
    (target.root / "etc/NetworkManager").mkdir()
    (target.root / "etc/NetworkManager/system-connections").symlink_to(outside)
    written(target, FULL)
    assert not list(outside.iterdir())


def test_a_file_is_named_by_the_hardware(tmp_path: Path) -> None:
    target = system(tmp_path, systemd_networkd=True)
    assert list(written(target, replace(FULL, device=MAC, servers=()))) == [
        "etc/systemd/network/10-diskgen-52-54-00-12-34-56.network"
    ]
    assert ident(FULL) == "enp1s0"

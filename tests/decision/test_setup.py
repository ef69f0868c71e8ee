"""What a recipe asks of its system: one table, by each kind of system, before a disk is erased."""

from __future__ import annotations

import dataclasses
import functools
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from diskgen.blueprint.model import Customizations, User
from diskgen.config import IsoRequest
from diskgen.decision import setup
from diskgen.decision.system import System, Tree, excerpt, of_excerpt
from diskgen.errors import DiskgenError, HostError, PreflightError, UsageError
from diskgen.install import __main__ as installer
from diskgen.install import image_mode, payload
from diskgen.install.payload import Payload
from diskgen.install.target import Installed, Target
from diskgen.iso.assembly import contents
from diskgen.iso.kickstarts.kickstart import Packages, Settings
from diskgen.kickstart import recipe
from diskgen.kickstart.recipe import Recipe
from diskgen.reference import parse
from diskgen.tree import Directory, regular, symlink
from diskgen.units import GIB

from ..fixtures import installers
from ..fixtures.oci import TarBuilder
from ..fixtures.program import Program
from ..fixtures.systems import DISK, FILES, GOOD, LINKS, medium, tree

DIGEST = "sha256:" + "1" * 64
IMAGE = "ostreecontainer --transport=oci --url=/x\n"
# Of each row what does not pass: kickstart, what is said; a warning where it begins so.
BAD = {
    "units": [("services --enabled=nope", "the unit 'nope' is to be enabled, and the image has"),
              ("services --enabled=masked", "'masked' is to be enabled, and the image masks it"),
              ("services --disabled=nope", "warning: the system has no unit 'nope'")],
    "accounts": [("user --name=a --uid=970", "the number '970', which 'core' has"),
                 ("user --name=a --uid=2000\nuser --name=b --uid=2000", "which 'a' has"),
                 ("user --name=core --homedir=/home/x", "'core' is the image's own")],
    "groups": [("group --name=a --gid=10", "the number '10', which 'wheel' has"),
               ("group --name=wheel --gid=11", "to have the number '11', and it has '10'"),
               ("group --name=a --gid=50\ngroup --name=b --gid=50", "which 'a' has"),
               ("user --name=users --gid=4000", "to have the number '4000', and it has '100'")],
    "shells": [("user --name=a --shell=/bin/zsh", "'/bin/zsh', and the image has none"),
               ("user --name=a --shell=/usr/bin/broken", "'/usr/bin/broken'"),
               ("user --name=a --shell=sh", "'sh', which is no path")],
    "scripts": [("%post --interpreter=/usr/bin/perl --erroronfail\nx\n%end", "'/usr/bin/perl'"),
                ("%post --interpreter=/usr/bin/perl\nx\n%end", "warning: the script %post of")],
    "firewall": [("firewall --enabled --service=nope", "service 'nope' is none"),
                 ("firewall --enabled --trust=a/b", "'a/b' is no network device"),
                 ("firewall --enabled --port=x:tcp", "port 'x:tcp' is none")],
    "passwords": [("rootpw --iscrypted plain", "warning: the password of 'root' is no hash"),
                  ("user --name=a --iscrypted --password=$6$a:b", "'a' cannot stand in /etc/sha")],
    "zone": [("timezone Mars/Olympus", "warning: the system has no time zone 'Mars/Olympus'"),
             ("timezone ../../../etc/passwd", "warning: the system has no time zone")],
    "keymap": [("keyboard xx", "warning: the system has no keyboard 'xx'")],
    "locale": [("lang tlh_KL.UTF-8", "warning: the system has no language 'tlh_KL.UTF-8'")],
}  # fmt: skip
KINDS = ("tree", "commit", "excerpt", "target")


@pytest.fixture(scope="module")
def systems(tmp_path_factory: pytest.TempPathFactory) -> dict[str, System]:
    """One system in each of the ways that it can be asked."""
    place = tmp_path_factory.mktemp("system")
    for path, data in FILES.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(data)
    for path, target in LINKS.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).symlink_to(target)
    noted = json.loads(json.dumps(excerpt(tree(), DIGEST, 5)))
    return {"tree": Tree(tree()), "commit": Tree(tree(etc="usr/etc")), "excerpt": of_excerpt(noted),
            "target": Installed(Target(place))}  # fmt: skip


@functools.cache
def asked(lines: str) -> Recipe:
    return recipe.parse(f"{IMAGE}{lines}\n", "F44", "x.ks")


def said(lines: str, system: System) -> list[tuple[str, str]]:
    return [
        (row.name, found.message if found.fatal else f"warning: {found.message}")
        for row, found in setup.check(asked(lines), system)
    ]


def test_every_row_has_both() -> None:
    names = {row.name for row in setup.ROWS}
    assert names == GOOD.keys()
    assert names - BAD.keys() == {"hostname"}  # below
    fields = {field.name for field in dataclasses.fields(Recipe)}
    assert {name for row in setup.ROWS for name in row.reads} <= fields
    # All that is set up by the system's own means; the rest is diskgen's to do.
    assert fields - {name for row in setup.ROWS for name in row.reads} == {
        "image", "packages", "storage", "kargs", "links", "ntp_servers", "ntp", "selinux", "end",
    }  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lines", [line for lines in GOOD.values() for line in lines])
def test_what_a_system_has_passes(systems: dict[str, System], kind: str, lines: str) -> None:
    assert said(lines, systems[kind]) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "lines", "words"), [(n, *case) for n, cases in BAD.items() for case in cases]
)
def test_what_it_lacks_is_found(
    systems: dict[str, System], kind: str, name: str, lines: str, words: str
) -> None:
    ((row, text),) = said(lines, systems[kind])
    assert row == name
    assert words in text
    assert text.startswith("warning: ") == words.startswith("warning: ")


@pytest.mark.parametrize("lines", ["firewall --enabled", "services --enabled=firewalld"])
def test_a_firewall_takes_firewalld(lines: str) -> None:
    root = tree()
    for path in ("usr/lib/firewalld/services", "usr/lib/systemd/system"):
        folder = root.get_dir(path)
        assert folder is not None
        folder.entries.pop(b"ssh.xml", None)
        folder.entries.pop(b"firewalld.service", None)
    for system in (Tree(root), of_excerpt(excerpt(root, DIGEST, 5))):
        ((row, text),) = said(lines, system)
        assert row == "firewall"
        assert "the system has no firewalld" in text


def test_a_name_that_the_kernel_was_given() -> None:
    ((row, found),) = setup.check(Recipe(hostname="a b"), Tree(tree()))
    assert (row.name, found.message) == ("hostname", "no machine can be called 'a b'")
    with pytest.raises(UsageError, match="'a_b!'") as caught:
        IsoRequest(
            source=parse("q.io/a"), arch="x86_64", customizations=Customizations(hostname="a_b!")
        )
    assert caught.value.setting == "hostname"
    with pytest.raises(UsageError, match=r"line 2: no machine can be called"):
        asked("network --hostname=" + "x" * 65)


def test_all_that_is_missing_is_said_at_once() -> None:
    warned: list[str] = []
    lines = "services --enabled=a,b --disabled=c\nuser --name=x --shell=/none"
    with pytest.raises(PreflightError) as caught:
        setup.refuse(asked(lines), Tree(tree()), warned.append)
    text = "\n".join(caught.value.lines)
    assert all(words in text for words in ("'a'", "'b'", "'/none'"))
    assert warned == [setup.no_unit("c")]


def test_an_excerpt_does_not_judge_what_it_does_not_note() -> None:
    system = of_excerpt(excerpt(tree(), DIGEST, 5))
    lines = "user --name=a --shell=/opt/fish\n%post --interpreter=/opt/x --erroronfail\nx\n%end"
    assert said(lines, system) == []
    assert [row for row, _text in said(lines, Tree(tree()))] == ["shells", "scripts"]


@pytest.mark.parametrize("lines", [case[0] for cases in BAD.values() for case in cases
                                   if not case[1].startswith("warning")])  # fmt: skip
def test_nothing_is_written_before_the_mediums_image_is_known_to_do(
    monkeypatch: pytest.MonkeyPatch, lines: str
) -> None:
    """The installer's own decision, by what its medium notes; no program of a disk is run."""
    here = medium(excerpt(tree(), DIGEST, 5))
    image = Payload(source=parse("oci:/x"), access=None, digest=DIGEST, size=1)  # type: ignore[arg-type]
    monkeypatch.setattr(payload, "look", lambda *_: image)
    monkeypatch.setattr(payload, "check_signed", lambda *_, **__: None)
    consoles = SimpleNamespace(say=lambda *_: None)
    with pytest.raises(PreflightError):
        installer._check(consoles, asked(lines), here, DISK)  # type: ignore[arg-type]
    assert installer._check(consoles, asked(""), here, DISK) is image  # type: ignore[arg-type]
    full = medium(excerpt(tree(), DIGEST, 11 * GIB))
    with pytest.raises(UsageError, match="needs more than 22 GiB"):
        installer._check(consoles, asked(""), full, DISK)  # type: ignore[arg-type]


def test_of_another_image_nothing_is_known_yet() -> None:
    """It is said that room on the disk is taken, before it is; then what was read is judged."""
    here = medium(excerpt(tree(), "sha256:" + "2" * 64, 5))
    assert here.system(DIGEST) is None
    with pytest.raises(HostError, match=r"image\.json"):
        medium({"digest": DIGEST, "files": 5}).system(DIGEST)
    heard: list[str] = []
    image = Payload(source=parse("q.io/a"), access=None, digest=DIGEST, size=1)  # type: ignore[arg-type]
    with pytest.raises((DiskgenError, OSError)):  # there is no such disk
        image_mode.install(asked(""), Customizations(), image, DISK, "x86_64", here,
                           lambda event: heard.append(str(event)))  # fmt: skip
    assert "takes room at the end of vda: what lies there is lost" in heard[0]
    root = Directory()
    root.add("a/b", tree())
    deployed = SimpleNamespace(prepared=SimpleNamespace(root=root), deployment=Path("a/b"))
    image_mode.check_scripts(asked(""), deployed, lambda _: None)  # type: ignore[arg-type]
    script = "%post --interpreter=/opt/x --erroronfail\nx\n%end"
    with pytest.raises(PreflightError, match="'/opt/x'"):
        image_mode.check_scripts(asked(script), deployed, lambda _: None)  # type: ignore[arg-type]


def test_a_medium_is_not_made_for_what_its_image_lacks(diskgen: Program, images: Path) -> None:
    tar = TarBuilder()
    tar.file("usr/lib/systemd/system/sshd.service", b"")
    place = installers.machine(images / "os", tar.finish(), installers.own_runtime(), how="none")
    mine = diskgen.home / "mine.ks"
    words = ("plan", "iso", f"oci:{place}", "--target-imgref", "q.io/a:1", "--kickstart", str(mine))
    mine.write_text("services --enabled=sshd,nope\ntimezone Mars/X\nclearpart --all\n")
    done = diskgen.run(*words)
    assert done.returncode != 0
    assert "the unit 'nope' is to be enabled, and the image has none" in done.stderr
    assert "--kickstart" in done.stderr
    mine.write_text("services --enabled=sshd\ntimezone Mars/X\nclearpart --all\n")
    done = diskgen.run(*words)
    assert done.returncode == 0, done.stderr
    assert "warning: the system has no time zone 'Mars/X'" in done.stdout


def test_what_a_medium_asks_of_its_image_names_the_option() -> None:
    request = IsoRequest(source=parse("q.io/a"), arch="x86_64")
    settings = Settings(reference="quay.io/a/os:1", digest=DIGEST)
    written = contents.write(request, settings, "F44", {"image": "ext4", "package": "ext4"},
                             anaconda=False)  # fmt: skip
    root = Directory()
    root.add("usr/bin/sh", regular(b""))
    root.add("bin", symlink("usr/bin"))
    assert contents.unsuited(request, written, "F44", Tree(root)) == ((), ())
    settings = replace(settings, users=(User(name="ann", shell="/bin/no"),), timezone="Mars/X")
    written = contents.write(request, settings, "F44", {"image": "ext4", "package": "ext4"},
                             anaconda=False)  # fmt: skip
    (problem,), warnings = contents.unsuited(request, written, "F44", Tree(root))
    assert "the shell of 'ann' is to be '/bin/no'" in problem.message
    assert warnings == (setup.no_zone("Mars/X"),)
    settings = replace(settings, users=(User(name="ann"),), timezone="Mars/X",
                       packages=Packages(url="https://q.io/x"))  # fmt: skip
    written = contents.write(request, settings, "F44", {"image": "ext4", "package": "ext4"},
                             anaconda=False)  # fmt: skip
    root.add("usr/share/zoneinfo/UTC", regular(b""))
    asked = contents.unsuited(request, written, "F44", Tree(root), mode="package")
    assert asked == ((), (setup.no_zone("Mars/X"),))

"""What a description says of its medium: obeyed by either installer, and what not is said."""

from __future__ import annotations

import configparser
import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from diskgen import build_iso
from diskgen.blueprint import portable
from diskgen.blueprint.errors import BlueprintError
from diskgen.blueprint.model import Customizations
from diskgen.blueprint.of_media import CARRIED, MODULES
from diskgen.blueprint.read import read
from diskgen.config import IsoRequest
from diskgen.decision import installing
from diskgen.errors import UsageError
from diskgen.events import discard
from diskgen.image.store import Store
from diskgen.kickstart import language, recipe
from diskgen.medium_writer import Prepared
from diskgen.reference import parse
from diskgen.tree import read as content_of

from ...fixtures import installers
from ...fixtures.oci import TarBuilder

WHEEL = {"user": [{"name": "ann", "groups": ["wheel"]}]}


def load(customizations: dict[str, Any], name: str = "config.json") -> Customizations:
    text = json.dumps({"customizations": customizations})
    return read(text, "json", name, medium=True)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("keys")
    own = TarBuilder()
    own.file("usr/lib/image-builder/bootc/config.toml", b"[customizations.iso]\nvolume_id='X'\n"
             b"[customizations.installer]\nunattended=true\nbootloader='x'\n")  # fmt: skip
    sudo = TarBuilder()
    sudo.file("etc/sudoers", b"root ALL=(ALL) ALL\n")
    homes = TarBuilder()
    homes.file("etc/passwd", b"root:x:0:0::/root:/bin/sh\ncore:x:1:1::/home/core:/bin/sh\n"
               b"at:x:2:2::/var/home/at:/bin/sh\n")  # fmt: skip
    homes.symlink("home", "var/home")
    homes.file("var/home/at/.profile", b"")
    for name, tars in (
        ("homes", (installers.bootupd(), homes.finish())),
        ("os", (installers.bootupd(), installers.accounts(), sudo.finish())),
        ("saying", (installers.bootupd(), installers.accounts(), own.finish())),
        ("own", (installers.own_runtime(),)),
    ):
        installers.machine(place / name, *tars)
    installers.installer(place / "anaconda", installers.anaconda())
    return place


def prepared(
    place: Path, kind: str, wanted: Customizations, image: str = "os", **more: Any
) -> Prepared:
    request = IsoRequest(
        source=parse(f"oci:{place / image}"), target=parse("registry.example/os:1"), arch="x86_64",
        installer=parse(f"oci:{place / kind}"), cache=place / "cache", customizations=wanted,
        **{"modes": ("image",), **more},
    )  # fmt: skip
    with Store(request.cache).session() as store:
        return build_iso.prepare(installing(request), store, discard)


def text_of(medium: Prepared, name: str) -> str:
    file = medium.ours.get_file(name)
    assert file is not None
    assert file.content is not None
    return content_of(file.content).decode()


@pytest.mark.parametrize(
    ("beside", "named"),
    [(WHEEL, "customizations.user"), ({"group": [{"name": "a"}]}, "customizations.group"),
     ({"sshkey": [{"user": "ann", "key": "ssh-ed25519 AAAA a"}]}, "customizations.user"),
     ({"installer": {"unattended": True}}, "installer.unattended"),
     ({"installer": {"sudo-nopasswd": ["ann"]}}, "installer.sudo-nopasswd")],
)  # fmt: skip
@pytest.mark.parametrize("contents", ["", "text\n"])
def test_a_kickstart_stands_alone(beside: dict[str, Any], named: str, contents: str) -> None:
    installer = {"kickstart": {"contents": contents}, **beside.get("installer", {})}
    with pytest.raises(BlueprintError, match="cannot be together") as caught:
        load({**beside, "installer": installer})
    assert named in caught.value.problems[0].message
    # A disk takes neither, and says so.
    text = json.dumps({"customizations": {**beside, "installer": installer}})
    assert read(text, "json", "config.json").installer.kickstart is None


@pytest.mark.parametrize("kind", ["own", "anaconda"])
def test_a_kickstart_of_the_description_is_one_of_the_user(place: Path, kind: str) -> None:
    contents = "lang fr_FR.UTF-8\nzerombr\nclearpart --all --drives=vdb\nreqpart\npart / --grow\n"
    medium = prepared(place, kind, load({"installer": {"kickstart": {"contents": contents}}}))
    text = text_of(medium, "unattended-image.ks")
    parsed = language.parse(text, medium.plan.kickstart_version, "x")
    assert parsed.handler.lang.lang == "fr_FR.UTF-8"
    assert parsed.handler.ostreecontainer.seen
    (title,) = {title for _mode, title in medium.plan.choices.unattended}
    assert title == "the disks that the kickstart of config.json names"


@pytest.mark.parametrize("kind", ["own", "anaconda"])
def test_a_broken_kickstart_is_told_by_its_line(place: Path, kind: str) -> None:
    with pytest.raises(UsageError, match=r"'the kickstart of config.json', line 2") as caught:
        prepared(place, kind, load({"installer": {"kickstart": {"contents": "text\nnothing\n"}}}))
    assert caught.value.setting == "config"


@pytest.mark.parametrize("kind", ["own", "anaconda"])
def test_an_empty_kickstart_asks_people(place: Path, kind: str) -> None:
    medium = prepared(place, kind, load({"installer": {"kickstart": {"contents": " \n"}}}))
    assert medium.plan.choices.unattended == ()
    assert medium.ours.get_file("unattended-image.ks") is None


def test_options_win(place: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.ks"
    mine.write_text("keyboard de\n")
    wanted = load({"installer": {"kickstart": {"contents": "keyboard fr\n"}},
                   "iso": {"volume_id": "THEIRS", "publisher": "us"}})  # fmt: skip
    medium = prepared(place, "anaconda", wanted, kickstart=mine, label="OURS", unattended="vdc")
    assert medium.plan.label == "OURS"
    assert medium.plan.request.publisher == "us"
    text = text_of(medium, "unattended-image.ks")
    assert "keyboard de" in text
    assert "keyboard fr" not in text
    assert "--only-use=vdc" in text
    assert medium.plan.request.customizations.overridden == ("--label", "--kickstart")


@pytest.mark.parametrize(
    ("described", "option", "named"),
    [(True, None, "config"), (True, "vda", "unattended"), (False, "only", "unattended")],
)
def test_a_second_word_about_disks_names_where_the_first_is(
    place: Path, described: bool, option: str | None, named: str, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.ks"
    mine.write_text("zerombr\n")
    wanted = load({"installer": {"unattended": described}})
    with pytest.raises(UsageError, match="'zerombr'") as caught:
        prepared(place, "own", wanted, kickstart=mine, unattended=option)
    assert caught.value.setting == named


@pytest.mark.parametrize("kind", ["own", "anaconda"])
def test_the_one_disk_of_a_machine(place: Path, kind: str) -> None:
    medium = prepared(place, kind, load({"installer": {"unattended": True}}))
    assert medium.plan.choices.unattended == (("image", "the only disk"),)
    text = text_of(medium, "unattended-image.ks")
    version = medium.plan.kickstart_version
    parsed = language.parse(text, version, "x")
    assert parsed.handler.clearpart.type == 1
    if kind == "own":  # which takes the only one, and none of several
        assert recipe.parse(text, version, "x").storage.disks == ()
        assert recipe.parse(text, version, "x").storage.erase
    else:
        assert [words for _line, words in parsed.hidden] == ["%include /tmp/diskgen-disk.ks"]
        assert "%pre" in text.partition("%include /tmp/diskgen-disk.ks")[0]


@pytest.mark.parametrize(
    ("disks", "taken"),
    [(("vda",), "vda"), (("sda", "sr0", "loop0"), "sda"), (("sda", "sdb"), None), ((), None),
     (("sda", "stick"), "sda"), (("nvme0n1", "readonly", "empty"), "nvme0n1")],
)  # fmt: skip
def test_the_script_finds_the_one_disk(
    disks: tuple[str, ...], taken: str | None, tmp_path: Path
) -> None:
    """By a /sys of its own, and an lsblk that says what is mounted."""
    for name in disks:
        folder = tmp_path / "block" / name
        folder.mkdir(parents=True)
        (folder / "size").write_text("0\n" if name == "empty" else "2048\n")
        (folder / "ro").write_text("1\n" if name == "readonly" else "0\n")
    (tmp_path / "block").mkdir(exist_ok=True)
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "lsblk").write_text(
        '#!/bin/sh\ncase "$*" in *stick) echo; echo /run/install/repo ;; *) echo ;; esac\n'
    )
    (programs / "lsblk").chmod(0o755)
    text = (Path(__file__).parents[3] / "kickstart/disk.ks").read_text()
    script = text.partition("\n")[2].rpartition("%end")[0]
    script = script.replace("/sys/block/*", f"{tmp_path}/block/*")
    script = script.replace("/tmp/diskgen-disk.ks", f"{tmp_path}/found.ks")
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=False,
        env={"PATH": f"{programs}:{os.environ['PATH']}"},
    )  # fmt: skip
    found = tmp_path / "found.ks"
    if taken is None:
        assert done.returncode == 1
        assert "nothing was erased" in done.stderr
        assert not found.exists()
    else:
        assert done.returncode == 0, done.stderr
        assert found.read_text() == f"ignoredisk --only-use={taken}\n"


def test_modules_are_told_to_anaconda(place: Path) -> None:
    wanted = load({"installer": {"modules": {
        "enable": [f"{MODULES}Subscription", "com.example.Addon"],
        "disable": [f"{MODULES}Timezone", f"{MODULES}Runtime"],
    }}})  # fmt: skip
    medium = prepared(place, "anaconda", wanted)
    assert "/etc/anaconda/conf.d/90-diskgen.conf" in medium.plan.given
    with_none = prepared(place, "anaconda", load({"hostname": "a"}))
    assert "/etc/anaconda/conf.d/90-diskgen.conf" not in with_none.plan.given
    assert medium.plan.choices.identity != with_none.plan.choices.identity
    assert medium.product_image is not None
    text = _unpacked(medium.product_image, "etc/anaconda/conf.d/90-diskgen.conf")
    parser = configparser.ConfigParser()
    parser.read_string(text)
    assert parser["Anaconda"]["forbidden_modules"].split() == [
        f"{MODULES}Timezone", f"{MODULES}Runtime",
    ]  # fmt: skip
    assert parser["Anaconda"]["activatable_modules"].split() == [
        f"{MODULES}*", "org.fedoraproject.Anaconda.Addons.*", f"{MODULES}Subscription",
        "com.example.Addon",
    ]  # fmt: skip


def _unpacked(image: bytes, path: str) -> str:
    """Return a file of an xz of cpio, by cpio."""
    done = subprocess.run(
        f"xz -dc | cpio -i --quiet --to-stdout {path}", shell=True, input=image,
        capture_output=True, check=True,
    )  # fmt: skip
    return done.stdout.decode()


CARRY: dict[str, dict[str, Any]] = {
    "Users": WHEEL, "Network": {"hostname": "a"}, "Localization": {"locale": {"keyboard": "de"}},
    "Timezone": {"timezone": {"ntpservers": ["a"]}}, "Services": {"services": {"enabled": ["a"]}},
    "Payloads": {}, "Storage": {},
}  # fmt: skip


@pytest.mark.parametrize("module", CARRIED, ids=lambda row: row.name)
def test_no_module_is_disabled_that_is_needed(module: Any) -> None:
    off = {"installer": {"modules": {"disable": [f"{MODULES}{module.name}"]}}}
    with pytest.raises(BlueprintError, match="cannot be disabled"):
        load({**CARRY[module.name], **off})
    if module.asked is not None:
        assert load(off).installer.disabled


@pytest.mark.parametrize(
    ("customizations", "expected"),
    [({"iso": {"volume_id": "a b"}}, "no label"), ({"iso": {"volume_id": "a" * 33}}, "no label"),
     ({"iso": {"publisher": "ä"}}, "descriptor"), ({"iso": {"application_id": "_F"}}, "descriptor"),
     ({"iso": {"publisher": "a" * 129}}, "descriptor"), ({"iso": {"publisher": ""}}, "descriptor"),
     ({"installer": {"sudo-nopasswd": ["a ALL=(ALL) ALL\nb"]}}, "neither an account"),
     ({"installer": {"sudo-nopasswd": ["%"]}}, "neither an account"),
     ({"installer": {"sudo-nopasswd": ["ALL"]}}, "neither an account"),
     ({"installer": {"sudo-nopasswd": ["Defaults"]}}, "neither an account"),
     ({"installer": {"sudo-nopasswd": ["User_Alias"]}}, "neither an account"),
     ({"installer": {"modules": {"enable": ["a\nb"]}}}, "no module"),
     ({"installer": {"modules": {"enable": ["word"]}}}, "no module")],
)  # fmt: skip
def test_values_that_cannot_be(customizations: dict[str, Any], expected: str) -> None:
    with pytest.raises(BlueprintError, match=expected):
        load(customizations)


@pytest.mark.parametrize("kind", ["own", "anaconda"])
def test_who_is_asked_for_no_password_by_sudo(place: Path, kind: str, tmp_path: Path) -> None:
    wanted = load({**WHEEL, "installer": {"sudo-nopasswd": ["ann", "%wheel"]}})
    medium = prepared(place, kind, wanted)
    if kind == "own":
        assert portable.of_json(json.loads(text_of(medium, portable.NAME))).sudo_nopasswd == (
            "ann", "%wheel",
        )  # fmt: skip
        return
    text = text_of(medium, "image-offline.ks")
    line, data = text.partition("put /etc/sudoers.d/90-diskgen 0440 0 0 <<'---'\n")[1:]
    assert line
    done = subprocess.run(["base64", "-d"], input=data.partition("\n---")[0].encode(),
                          capture_output=True, check=True)  # fmt: skip
    path = tmp_path / "sudoers"
    path.write_bytes(done.stdout)
    assert path.read_text() == ("ann\tALL=(ALL)\tNOPASSWD: ALL\n%wheel\tALL=(ALL)\tNOPASSWD: ALL\n")


def test_an_image_without_sudo_is_said(place: Path) -> None:
    wanted = load({"installer": {"sudo-nopasswd": ["%wheel"]}})
    said = prepared(place, "anaconda", wanted, image="saying").plan.warnings
    assert sum("sudo is to ask for no password" in text for text in said) == 1


def test_an_image_says_nothing_of_its_media(place: Path) -> None:
    medium = prepared(place, "anaconda", Customizations(), image="saying")
    assert medium.plan.label != "X"
    assert medium.plan.choices.unattended == ()
    said = [text for text in medium.plan.warnings if "how media of it are made" in text]
    assert len(said) == 2
    assert (
        sum("'customizations.installer.bootloader'" in text for text in medium.plan.warnings) == 1
    )
    with pytest.raises(BlueprintError, match="how media of it are made"):
        prepared(place, "anaconda", Customizations(), image="saying", strict=True)
    other = prepared(place, "anaconda", replace(Customizations(), source="a.toml"), image="saying")
    assert not any("how media of it are made" in text for text in other.plan.warnings)


@pytest.mark.parametrize(
    ("lines", "refused"),
    [("sshkey --username=core 'ssh-rsa AAAA a'", True),
     ("sshkey --username=at 'ssh-rsa AAAA a'", False),
     ("sshkey --username=core 'ssh-rsa AAAA a'\nuser --name=core", True),
     ("user --name=new\nsshkey --username=new 'ssh-rsa AAAA a'", False),
     ("sshkey --username=root 'ssh-rsa AAAA a'", False)],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["own", "anaconda"])
def test_a_key_at_which_anaconda_would_end(
    place: Path, kind: str, lines: str, refused: bool, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.ks"
    mine.write_text(f"lang C\n{lines}\n")
    if refused and kind == "anaconda":
        with pytest.raises(UsageError, match=r"'mine.ks', line 2: 'core'") as caught:
            prepared(place, kind, Customizations(), image="homes", kickstart=mine)
        assert caught.value.setting == "kickstart"
        assert "--user core --user-key" in str(caught.value.hint)
    else:
        prepared(place, kind, Customizations(), image="homes", kickstart=mine)


def test_a_key_in_a_system_of_packages_is_no_such_one(place: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.ks"
    mine.write_text("url --url=http://x.example/\nuser --name=core\n"
                    "sshkey --username=core 'ssh-rsa AAAA a'\n%packages\n%end\n")  # fmt: skip
    both = ("image", "package")
    made = prepared(place, "anaconda", Customizations(), image="homes", kickstart=mine, modes=both)
    assert "sshkey --username=core" in text_of(made, "unattended-package.ks")


@pytest.mark.parametrize(
    ("customizations", "kind", "named"),
    [({"installer": {"modules": {"disable": [f"{MODULES}Runtime"]}}}, "own", "modules.disable"),
     ({"ignition": {"firstboot": {"url": "https://a.example/b"}}}, "anaconda", "firstboot.url"),
     ({"ignition": {"firstboot": {"url": "https://a.example/b"}}}, "own", "does not have it")],
)  # fmt: skip
def test_what_an_installer_does_not_do_is_one_warning(
    place: Path, customizations: dict[str, Any], kind: str, named: str
) -> None:
    wanted = load(customizations)
    said = prepared(place, kind, wanted).plan.warnings
    assert sum(named in text for text in said) == 1
    with pytest.raises(BlueprintError, match=named):
        prepared(place, kind, wanted, strict=True)

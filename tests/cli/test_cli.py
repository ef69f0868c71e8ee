"""The command line itself: parsing, help, the man page and completion that follow it."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from diskgen.blueprint.model import Customizations, User
from diskgen.cli.parser import build_parser
from diskgen.cli.request import iso_request_of, request_of
from diskgen.cli.table import farm, options_of
from diskgen.cli.values import default_cache
from diskgen.config import IsoRequest
from diskgen.errors import UsageError
from diskgen.place import PLACES
from diskgen.units import GIB

ROOT = Path(__file__).resolve().parents[2]


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from parsers(child)


def diskgen(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "diskgen", *argv], capture_output=True, text=True, check=False
    )


def test_every_option_is_in_the_man_page() -> None:
    page = (ROOT / "docs/diskgen.1").read_text().replace("\\-", "-")
    options = {o for p in parsers(build_parser()) for a in p._actions for o in a.option_strings}
    assert len(options) > 20
    missing = {o for o in options if not re.search(rf"(?<![\w-]){re.escape(o)}(?![\w-])", page)}
    assert not missing


def test_every_option_of_the_man_page_exists() -> None:
    page = (ROOT / "docs/diskgen.1").read_text().replace("\\-", "-")
    options = {o for p in parsers(build_parser()) for a in p._actions for o in a.option_strings}
    ostrees = {"--generate-composefs-metadata", "--sign-type"}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", page)) - options == ostrees


def test_man_page_is_well_formed() -> None:
    done = subprocess.run(
        ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", ROOT / "docs/diskgen.1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_every_option_explains_itself() -> None:
    for parser in parsers(build_parser()):
        for action in parser._actions:
            assert action.help or isinstance(action, argparse._SubParsersAction), action


def test_every_format_is_a_command() -> None:
    for name in PLACES:
        args = build_parser().parse_args([name, "quay.io/a/os:1", "--arch", "amd64"])
        request = request_of(args)
        assert request.format == name
        assert request.output == Path(f"os.{PLACES[name].suffix}")
        assert request.arch == "x86_64"


def test_flags_reach_the_request() -> None:
    args = build_parser().parse_args(
        (
            f"qcow2 docker://r.example:5000/a/os@sha256:{'0' * 64} -o x.img --force"
            " --disk-size 20G --karg a --karg b=1 --karg-delete quiet --tls-verify=false"
            " --target-imgref r.example/a/os:1 --compression zlib --no-console --arch x86_64"
        ).split()
    )
    request = request_of(args)
    assert request.source.digest == "sha256:" + "0" * 64
    assert request.tracked.origin == "ostree-unverified-registry:r.example/a/os:1"
    assert request.disk_size == 20 * GIB
    assert request.kargs == ("a", "b=1")
    assert request.karg_deletes == ("quiet",)
    assert (request.force, request.console, request.compression) == (True, False, "zlib")
    assert request.access.tls_verify is False


@pytest.mark.parametrize(
    ("argv", "message", "setting"),
    [
        (["--disk-size", "big"], "'big' is not a size", "disk-size"),
        (["--karg", "ostree=/x"], "'ostree=/x' cannot be set", "karg"),
        (["--karg-delete", "ostree"], "'ostree' cannot be set", "karg-delete"),
        (["--arch", "m68k"], "'m68k' is not an architecture", "arch"),
        (["--authfile", "/no/such"], "'/no/such' does not exist", "authfile"),
        (["--target-imgref", "Bad Ref"], "'Bad Ref' is not an image reference", "target-imgref"),
    ],
)
def test_bad_values_name_the_flag(argv: list[str], message: str, setting: str) -> None:
    args = build_parser().parse_args(["qcow2", "quay.io/a/os:1", *argv])
    with pytest.raises(UsageError) as caught:
        request_of(args)
    assert message in caught.value.message
    assert caught.value.setting == setting


def iso_request(*argv: str) -> IsoRequest:
    return iso_request_of(build_parser().parse_args(["iso", "quay.io/a/os:1", *argv]))


def test_accounts_and_networks_of_a_medium(tmp_path: Path) -> None:
    """Options of an account belong to the one before them."""
    (tmp_path / "one").write_text("ssh-rsa AAAA one\n")
    request = iso_request(
        "--user", "ann", "--user-key", str(tmp_path / "one"), "--user-groups", "wheel,,adm",
        "--user", "bob", "--hostname", "x", "--user-groups", "audio",
        "--user-password-hash", "$6$a$b", "--root-password-hash", "$6$c$d",
        "--network", "device=e0,ip=192.0.2.5/24", "--network", "device=e1,mtu=1400",
    )  # fmt: skip
    wanted = request.customizations
    assert wanted.people == (
        User(name="ann", groups=("wheel", "adm"), keys=("ssh-rsa AAAA one",)),
        User(name="bob", groups=("audio",), password="$6$a$b"),
    )
    assert wanted.root == User(name="root", password="$6$c$d")
    assert [link.device for link in wanted.links] == ["e0", "e1"]
    assert iso_request().customizations == Customizations()


@pytest.mark.parametrize(
    ("argv", "message", "setting"),
    [
        (["--user-groups", "x", "--user", "a"], "--user-groups belongs to no account", "user"),
        (["--user-key", "/x"], "--user-key belongs to no account", "user"),
        (["--user", "a", "--user-groups", "x", "--user-groups", "y"],
         "--user-groups is given twice for 'a'", "user-groups"),
        (["--user", "a", "--user-password-hash", "x", "--user-password-hash", "y"],
         "--user-password-hash is given twice for 'a'", "user-password-hash"),
        (["--user", "a", "--user", "b", "--user", "a"], "'a' is created twice", "user"),
        (["--user", "root"], "'root' is there already", "root-password-hash"),
        (["--user", "a", "--user-key", "/no/such"], "'/no/such' cannot be read", "user-key"),
        (["--network", "ip=192.0.2.300/24"], "'192.0.2.300' is no IPv4 address", "network"),
        (["--network", "device=e0", "--network", "device=e0,mtu=1400"], "'e0' is set up twice",
         "network"),
        (["--network", "mtu=1400", "--network", "device=link"], "'link' is set up twice",
         "network"),
    ],
)  # fmt: skip
def test_accounts_and_networks_that_are_refused(
    argv: list[str], message: str, setting: str
) -> None:
    with pytest.raises(UsageError) as caught:
        iso_request(*argv)
    assert message in caught.value.message
    assert caught.value.setting == setting


def test_an_error_is_words_and_a_status_never_a_traceback() -> None:
    done = diskgen("qcow2", "quay.io/UPPER/case")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "error: 'quay.io/UPPER/case' is not an image reference\n"
        "  hint: repository names are lower case: 'quay.io/upper/case'\n"
    )


def test_an_error_can_be_json() -> None:
    import json

    done = diskgen("qcow2", "quay.io/UPPER/case", "--progress", "json")
    value = json.loads(done.stderr.splitlines()[-1])
    assert (value["event"], value["exit_status"]) == ("error", 2)
    assert value["message"] == "'quay.io/UPPER/case' is not an image reference"


@pytest.mark.parametrize("name", [*PLACES, "iso"])
def test_a_plan_takes_the_options_of_its_format(name: str) -> None:
    """All but those of the output, which it has none of, and of publishing that."""
    found = {parser.prog.removeprefix("diskgen "): parser
             for parser in parsers(build_parser())}  # fmt: skip
    options = {}
    for prog in (name, f"plan {name}"):
        (parser,) = (p for key, p in found.items() if key.endswith(prog) and
                     ("plan" in key) == ("plan" in prog))  # fmt: skip
        options[prog] = {o for action in parser._actions for o in action.option_strings}
    output = {"-o", "--output", "--force", "--compression", "--subformat"}
    output |= {flag for row in farm.OPTIONS if name in row.commands for flag in row.flags}
    output |= {flag for row in options_of(name) if row.group.startswith("publishing")
               for flag in row.flags}  # fmt: skip
    assert options[name] - options[f"plan {name}"] == output & options[name]
    own = {*({"--json"} - options[name]), *(["--write-kickstart"] if name == "iso" else [])}
    assert options[f"plan {name}"] - options[name] == own


@pytest.mark.parametrize("words", ["--version", "--help", "plan --help", "plan iso --help"])
def test_help_waits_for_nothing_that_only_builds_need(words: str) -> None:
    script = (
        f"import sys; sys.argv = ['diskgen', *'{words}'.split()]\n"
        "from diskgen.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: print(*sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False, cwd=ROOT,
                          capture_output=True, text=True)  # fmt: skip
    loaded = set(done.stderr.split())
    assert "diskgen.cli.parser" in loaded
    late = {"build", "cli.handlers", "cli.request", "image", "iso", "run", "ui", "events", "bib"}
    assert loaded & {f"diskgen.{name}" for name in late} == set()


def test_completion_knows_what_a_file_is(tmp_path: Path) -> None:
    """In a shell: values of options that name files, and choices."""
    (tmp_path / "made.qcow2").touch()
    script = diskgen("completion", "bash").stdout
    ask = (
        'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE};'
        "$(complete -p diskgen | sed 's/.*-F \\([^ ]*\\).*/\\1/');"
        """ printf '%s\\n' "${COMPREPLY[@]}" """
    )
    for words, found in (
        (["diskgen", "boot", "ma"], "made.qcow2"),
        (["diskgen", "boot", "--disk", "ma"], "made.qcow2"),
        (["diskgen", "qcow2", "--rootfs", "b"], "btrfs"),
    ):
        done = subprocess.run(["bash", "-c", f"{script}\n{ask}", "bash", *words], check=False,
                              cwd=tmp_path, capture_output=True, text=True)  # fmt: skip
        assert found in done.stdout.split(), (words, done.stderr)


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion(shell: str) -> None:
    done = diskgen("completion", shell)
    assert done.returncode == 0, done.stderr
    assert "qcow2" in done.stdout
    if shell == "bash":
        check = subprocess.run(["bash", "-n"], input=done.stdout, text=True, check=False)
        assert check.returncode == 0


def test_default_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISKGEN_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert default_cache() == Path("/x/diskgen")
    monkeypatch.setenv("DISKGEN_CACHE", "/y")
    assert default_cache() == Path("/y")

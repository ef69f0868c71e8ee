"""The command line of farms, as people type it, against a stand-in and a worker of it."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import pytest

from ..fixtures.farm import StandIn, by_socket
from ..fixtures.farm_people import Provider, Serving, Worker, provider
from ..fixtures.program import Program
from ..oracles.schemas import check

IMAGE = "quay.io/project/os:1"
DISK = b"QFI\xfb" + bytes(range(256)) * 400


@contextmanager
def farm_of(program: Program) -> Generator[tuple[StandIn, str]]:
    path = program.place / "farm.socket"
    with by_socket(path) as server:
        yield server, f"unix:{path}"
    assert server.failures == []
    assert server.state.unknown == []


def working(program: Program, data: bytes = DISK, arch: str = "x86_64") -> Serving:
    return Serving(Worker(program.place / "farm.socket", arch), data)


def test_a_disk_by_a_farm_is_where_a_local_one_would_be(diskgen: Program) -> None:
    user = '[[customizations.user]]\nname = "ann"\nkey = "ssh-rsa A"'
    (diskgen.place / "m.toml").write_text(user)
    with farm_of(diskgen) as (server, url), working(diskgen):
        done = diskgen.run("qcow2", IMAGE, "--farm", url, "--config", "m.toml", "--arch", "x86_64",
                           "--disk-size", "20G", "--progress", "json")  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout == "os.qcow2\n"
        assert (diskgen.place / "os.qcow2").read_bytes() == DISK
        for line in done.stderr.splitlines():
            check("events", json.loads(line))
        (made,) = server.state.composes.values()
        assert made.request["bootc"] == {"reference": IMAGE}
        assert made.image["size"] == 20 * 2**30
        assert made.request["blueprint"]["customizations"]["user"] == [
            {"name": "ann", "key": "ssh-rsa A"}
        ]
        again = diskgen.run("qcow2", IMAGE, "--farm", url, "--arch", "x86_64")
        assert again.returncode == 2
        assert "--force replaces it" in again.stderr
        assert len(server.state.composes) == 1
    (diskgen.place / "m.toml").unlink()
    (diskgen.place / "os.qcow2").unlink()
    assert diskgen.left_behind() == []


def test_several_architectures_and_formats_side_by_side(diskgen: Program) -> None:
    with (
        farm_of(diskgen) as (server, url),
        working(diskgen, b"QFI\xfb1"),
        working(diskgen, b"QFI\xfb2", "aarch64"),
    ):
        arches = ("--arch", "x86_64", "--arch", "aarch64")
        out = diskgen("build", IMAGE, "--farm", url, *arches, "--format", "qcow2", "--json")
        value = json.loads(out)
        check("farm", value)
        assert [row["arch"] for row in value["composes"]] == ["x86_64", "aarch64"]
        for row, data in zip(value["composes"], (b"QFI\xfb1", b"QFI\xfb2"), strict=True):
            assert (diskgen.place / row["path"]).read_bytes() == data
            assert row["sha256"] == hashlib.sha256(data).hexdigest()
        assert len(server.state.composes) == 2
    alone = diskgen.run("qcow2", IMAGE, *arches)
    assert (alone.returncode, "are for a farm" in alone.stderr) == (2, True)


def test_what_a_farm_uploads_is_said(diskgen: Program) -> None:
    with farm_of(diskgen) as (_server, url), working(diskgen):
        target = "aws,region=eu-central-1,share_with_accounts=1+2"
        out = diskgen("ami", IMAGE, "--farm", url, "--arch", "x86_64", "--farm-target", target)
        assert out.startswith("ami-")
        assert not (diskgen.place / "os.ami.raw").exists()
        (made,) = _server.state.composes.values()
        options = made.image["upload_targets"][0]["upload_options"]
        assert options["share_with_accounts"] == ["1", "2"]
        said = diskgen.run("farm", "download", made.id, "--farm", url)
        assert (said.returncode, out.strip() in said.stderr) == (8, True)


def test_the_day_after(diskgen: Program) -> None:
    """ls, status, logs, download, cancel: all that is done with what --no-wait left there."""
    with farm_of(diskgen) as (server, url):
        env = {"DISKGEN_FARM": url}
        assert "0 on" in diskgen("farm", "ls", **env)
        name = diskgen("qcow2", IMAGE, "--farm", url, "--arch", "x86_64", "--no-wait").strip()
        assert "pending" in diskgen("farm", "ls", **env)
        value = json.loads(diskgen("farm", "status", name, "--json", **env))
        check("farm", value)
        assert value["composes"][0]["finished"] is False
        early = diskgen.run("farm", "download", name, env=env)
        assert (early.returncode, "--wait" in early.stderr) == (8, True)
        server.state.composes[name].log = [{"said": "\x1b[31m"}]
        with working(diskgen):
            out = diskgen("farm", "status", name, "--wait", **env)
        assert "1 success" in out
        assert json.loads(diskgen("farm", "logs", name, **env))["image_builds"]
        server.cut_at = [10, 5000]
        assert diskgen("farm", "download", name, "-o", "a b.qcow2", **env) == "a b.qcow2\n"
        assert (diskgen.place / "a b.qcow2").read_bytes() == DISK
        mark = server.state.composes[name].request["blueprint"]["name"]
        assert name in diskgen("farm", "status", mark, **env)
        assert diskgen("farm", "download", name, **env) == f"{name}.qcow2\n"
        assert diskgen("farm", "cancel", mark, **env).strip() == name
        gone = diskgen.run("farm", "status", name, env=env)
        assert (gone.returncode, "error 15" in gone.stderr) == (8, True)


def test_a_compose_that_fails_says_why(diskgen: Program) -> None:
    with farm_of(diskgen) as (server, url):
        name = diskgen("qcow2", IMAGE, "--farm", url, "--arch", "x86_64", "--no-wait").strip()
        worker = Worker(diskgen.place / "farm.socket")
        worker.take()
        worker.done(job_error={"id": 1, "reason": "no such \x1b[31mimage", "details": "b\nad"})
        done = diskgen.run("farm", "status", name, "--wait", "--farm", url)
        assert done.returncode == 8
        assert "no such \\x1b[31mimage" in done.stderr
        assert "farm logs" in done.stderr
        assert "\x1b" not in done.stdout + done.stderr
        assert server.state.composes[name].stage == "failure"


@pytest.mark.parametrize("moment", ["waiting", "sending", "downloading"])
def test_ctrl_c_leaves_the_farm_at_work_and_says_how_to_come_back(
    diskgen: Program, moment: str
) -> None:
    with farm_of(diskgen) as (server, url):
        held = {"sending": "/compose", "downloading": "/download"}.get(moment)

        def hold(_method: str, path: str) -> None:
            if held is not None and path.endswith(held):
                child.send_signal(signal.SIGINT)
                time.sleep(0.5)

        server.fault = hold
        child = diskgen.start("qcow2", IMAGE, "--farm", url, "--arch", "x86_64")
        deadline = time.monotonic() + 60
        while moment != "sending" and not server.state.composes:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        if moment == "waiting":
            while not any("/composes/" in path and len(path) > 20 for _m, path in server.requests):
                time.sleep(0.05)
            child.send_signal(signal.SIGINT)
        if moment == "downloading":
            server.state.finish(next(iter(server.state.composes.values())), DISK)
        _out, said = child.communicate(timeout=60)
        assert child.returncode == 130, said
        line = said.splitlines()[-1]
        assert line.startswith("interrupted: the farm ")
        words = line.partition("come back by: diskgen ")[2].split()
        server.fault = lambda _method, _path: None
        while not server.state.composes:
            time.sleep(0.05)
        (made,) = server.state.composes.values()
        assert made.id in words or made.request["blueprint"]["name"] in words
        server.state.finish(made, DISK)
        assert made.id in diskgen(*words)
    assert diskgen.left_behind() == []


def test_a_dry_run_sends_nothing_and_shows_no_secret(diskgen: Program) -> None:
    (diskgen.place / "m.toml").write_text(
        '[customizations]\nhostname = "a"\n[[customizations.user]]\nname = "ann"\n'
        'password = "hush-hush"\n'
    )
    done = diskgen.run("qcow2", IMAGE, "--farm", "https://farm.invalid", "--dry-run", "--arch",
                       "x86_64", "--config", "m.toml", "--karg", "quiet")  # fmt: skip
    assert done.returncode == 0, done.stderr
    value = json.loads(done.stdout)
    assert value["blueprint"]["customizations"]["user"][0]["password"] == "***"
    assert value["blueprint"]["customizations"]["kernel"] == {"append": "quiet"}
    assert "'name of the machine' is left out" in done.stderr
    assert "hush" not in done.stdout + done.stderr


def test_secrets_are_in_no_log_no_error_no_argv(diskgen: Program, who: Provider) -> None:
    login = diskgen.place / "login.json"
    login.write_text(json.dumps({"token_url": f"http://127.0.0.1:{who.port}/t", "client_id": "me",
                                 "client_secret": "hush-hush"}))  # fmt: skip
    login.chmod(0o600)
    diskgen.own(login)
    with farm_of(diskgen) as (server, url):
        server.allowed = who.allowed
        words = ("farm", "ls", "--farm", url, "--farm-login", "login.json", "--verbose")
        first = diskgen.run(*words)
        assert first.returncode == 0, first.stderr
        server.allowed = lambda _header: False
        second = diskgen.run(*words)
        who.refuses = True
        third = diskgen.run(*words)
    assert [second.returncode, third.returncode] == [8, 8]
    said = [part for one in (first, second, third) for part in (one.stdout, one.stderr)]
    logs = "".join(path.read_text() for path in (diskgen.home / ".local").rglob("*.log"))
    assert "farm ls" in logs
    for text in (logs, *said):
        assert "hush" not in text
        assert "token-" not in text


@pytest.fixture
def who() -> Iterator[Provider]:
    with provider() as made:
        yield made


def test_doctor(diskgen: Program) -> None:
    with farm_of(diskgen) as (server, url):
        server.date = "Thu, 01 Jan 1970 00:00:00 GMT"
        out = diskgen("farm", "doctor", "--farm", url)
        assert "answers in" in out
        assert "takes build_reference, iso_payload_reference, reference" in out
        assert "does no harm" in out
        value = json.loads(diskgen("farm", "doctor", "--farm", url, "--json"))
        check("farm-doctor", value)
        server.bootc = False
        old = diskgen.run("farm", "doctor", "--farm", url)
        assert (old.returncode, "too old" in old.stdout) == (8, True)
        made = diskgen.run("qcow2", IMAGE, "--farm", url, "--arch", "x86_64")
        assert (made.returncode, "does not take this: images of cont" in made.stderr) == (8, True)
        assert server.posts() == 0
    gone = diskgen.run("farm", "doctor", "--farm", url)
    assert (gone.returncode, "there is no such socket" in gone.stdout) == (8, True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("farm", "ls"), "no farm is named"),
        (("farm", "ls", "--farm", "http://a.example"), "is not encrypted"),
        (("farm", "ls", "--farm", "unix:/x", "--farm-key", "k"), "without its certificate"),
        (("farm", "status", "x", "--farm", "unix:/x"), "is not the id of a compose"),
        (("qcow2", IMAGE, "--dry-run"), "'--dry-run' is for a farm"),
        (("qcow2", IMAGE, "--farm-target", "local"), "'--farm-target' is for a farm"),
        (("qcow2", IMAGE, "--farm", "unix:/x", "--farm-target", "aws,a"), "is no option"),
        (("qcow2", IMAGE, "--farm", "unix:/x", "--farm-target", "aws.s3,region=a,public=x"),
         "neither true nor false"),
        (("qcow2", "oci:x:1", "--farm", "unix:/x", "--seed", "a"), "a farm cannot do 'a local"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_before_anything_is_sent(
    diskgen: Program, words: tuple[str, ...], says: str
) -> None:
    done = diskgen.run(*words)
    assert done.returncode in (2, 4), done.stderr
    assert says in done.stderr


def test_a_local_build_loads_nothing_of_farms(diskgen: Program) -> None:
    code = (
        "import sys; sys.argv[1:] = ['qcow2', 'oci:none:1']; from diskgen.__main__ import main; "
        "main(); print([name for name in sys.modules if 'composer' in name])"
    )
    argv = diskgen.command("-c", code)
    argv[argv.index(diskgen.path)] = diskgen.path.with_name("python")
    done = subprocess.run(argv, env=diskgen.environment(), cwd=diskgen.place, capture_output=True,
                          text=True, check=False, timeout=60)  # fmt: skip
    assert done.stdout.strip() == "[]", done.stderr

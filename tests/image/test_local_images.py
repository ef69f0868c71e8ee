"""Images as people have them: what they built with podman or Docker and never pushed."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from diskgen import reference
from diskgen.reference import ImageRef

from ..fixtures.docker_daemon import daemon
from ..fixtures.oci import bootable
from ..fixtures.program import Program
from ..fixtures.registry import Registry

PLAIN = "--tls-verify=false"
_STORAGE = """\
[storage]
driver = "vfs"
[storage.options]
ignore_chown_errors = "true"
[storage.options.vfs]
ignore_chown_errors = "true"
"""


@dataclass(frozen=True)
class Storage:
    """The containers-storage of an ordinary user, filled by the programs that they use."""

    program: Program
    environment: dict[str, str]

    def run(self, *words: str | Path) -> str:
        argv = Program(Path(words[0]), self.program.place).command(*words[1:])
        done = subprocess.run(
            argv, env=self.program.environment(**self.environment), cwd=self.program.place,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def diskgen(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return self.program.run(*words, env=self.environment)


@pytest.fixture
def storage(diskgen: Program, images: Path) -> Storage:
    """A storage with an image that was built here: its owner may map no ids, as in a container."""
    place = diskgen.home / ".config/containers"
    place.mkdir(parents=True)
    for path in (diskgen.home, place.parent, place):
        diskgen.own(path)
    (place / "storage.conf").write_text(_STORAGE)
    (place / "registries.conf").write_text('unqualified-search-registries = ["quay.example"]\n')
    made = Storage(diskgen, {"XDG_RUNTIME_DIR": str(diskgen.own_directory("run"))})
    made.run("/usr/bin/skopeo", "copy", "--insecure-policy", "--quiet",
             f"oci:{bootable(images / 'layout')}:latest",
             "containers-storage:localhost/built:1")  # fmt: skip
    for name in ("quay.example/team/searched:1", "docker.io/library/hub:1"):
        made.run("/usr/bin/buildah", "tag", "localhost/built:1", name)
    return made


@pytest.mark.parametrize(
    ("named", "taken"),
    [
        ("localhost/built:1", "localhost/built:1"),
        ("built:1", "localhost/built:1"),
        ("team/searched:1", "quay.example/team/searched:1"),
        ("hub:1", "docker.io/library/hub:1"),
    ],
)
def test_a_name_of_the_users_storage(storage: Storage, named: str, taken: str) -> None:
    done = storage.diskgen("plan", "raw", named, "--json")
    assert done.returncode == 0, done.stderr
    where = f"containers-storage:{taken}"
    assert f"'{named}' is in podman's storage, and taken from there: '{where}'" in done.stderr
    plan = json.loads(done.stdout)
    assert [text for text in plan["warnings"] if "never update" in text] == [
        f"the machine will never update: '{where}' is on this host alone; name what it updates "
        "from in a registry with --target-imgref"
    ]
    done = storage.diskgen("plan", "raw", named, "--target-imgref", "quay.io/a/b:1", "--json")
    assert "never update" not in done.stdout
    assert "quay.io/a/b:1" in done.stdout


def test_it_builds_with_one_warning(storage: Storage) -> None:
    done = storage.diskgen("qcow2", "built:1")
    assert done.returncode == 0, done.stderr
    assert (storage.program.place / "built.qcow2").is_file()
    assert done.stderr.count("--target-imgref") == 1
    shown = json.loads(storage.diskgen("inspect", "built:1", "--json").stdout)
    assert shown["reference"] == "containers-storage:localhost/built:1"


def test_a_medium_has_to_be_told_what_updates(storage: Storage) -> None:
    done = storage.diskgen("plan", "iso", "localhost/built:1")
    assert done.returncode == 2
    assert "machines cannot update from" in done.stderr
    assert "--target-imgref" in done.stderr


def test_what_nobody_has(storage: Storage) -> None:
    done = storage.diskgen("plan", "raw", "localhost/other:1")
    assert done.returncode == 3
    assert "'localhost/other:1' does not exist in podman's storage of this user" in done.stderr
    assert "docker://localhost/other:1" in done.stderr


def test_whoever_names_a_registry_means_it(
    storage: Storage, server: Registry, images: Path
) -> None:
    server.push(bootable(images / "pushed"), "team/os", "1")
    name = f"{server.host}/team/os:1"
    done = storage.diskgen("plan", "raw", name, PLAIN, "--json")
    assert done.returncode == 0, done.stderr
    assert "podman's storage" not in done.stderr
    # A registry of this very machine is one whose transport is named.
    done = storage.diskgen("plan", "raw", "docker://localhost/built:1")
    assert done.returncode == 3
    assert "cannot be reached" in done.stderr


def test_what_docker_has(diskgen: Program, images: Path) -> None:
    layout, archive = bootable(images / "layout"), images / "os.tar"
    copy = ["skopeo", "copy", "--insecure-policy", "--quiet", f"oci:{layout}:latest"]
    subprocess.run([*copy, f"docker-archive:{archive}:os:latest"], check=True)
    with daemon({"os:latest": archive}) as socket:
        env = {"DOCKER_HOST": f"unix://{socket}"}
        done = diskgen.run("plan", "raw", "docker-daemon:os", "--json", env=env)
        assert done.returncode == 0, done.stderr
        plan = json.loads(done.stdout)
        assert sum("docker-daemon:os:latest" in text for text in plan["warnings"]) == 1
        expected = json.loads(diskgen("plan", "raw", f"oci:{layout}", "--json"))
        assert plan["image"]["content_bytes"] == expected["image"]["content_bytes"]
        shown = diskgen("inspect", "docker-daemon:os", "--json", **env)
        assert json.loads(shown)["bootable"]
        rootless = {"XDG_RUNTIME_DIR": str(socket.parent)}
        assert diskgen.run("inspect", "docker-daemon:os", env=rootless).returncode == 0
        done = diskgen.run("plan", "raw", "docker-daemon:other:2", env=env)
        assert done.returncode == 3
        assert "does not give 'docker-daemon:other:2'" in done.stderr
        socket.chmod(0o600)
        if socket.stat().st_uid == 0:
            done = diskgen.run("plan", "raw", "docker-daemon:os", env=env)
            assert done.returncode == 3
            assert "may not talk to Docker's daemon" in done.stderr
    done = diskgen.run("plan", "raw", "docker-daemon:os", env={"DOCKER_HOST": "unix:///no/such"})
    assert done.returncode == 3
    assert "Docker's daemon does not answer" in done.stderr


@pytest.mark.parametrize(
    ("text", "domain", "bare"),
    [
        ("os:1", None, True),
        ("team/os", None, True),
        ("localhost/os:1", "localhost", True),
        ("localhost:5000/os", "localhost:5000", True),
        ("quay.io/a/b:1", "quay.io", True),
        ("docker://localhost/os:1", "localhost", False),
        ("docker://os", None, False),
        ("[::1]:5000/os", "[::1]:5000", True),
        ("oci:localhost/os", None, False),
    ],
)
def test_domains(text: str, domain: str | None, bare: bool) -> None:
    made = reference.parse(text)
    assert (made.domain, made.bare) == (domain, bare)


def test_where_it_was_written_makes_no_other_image() -> None:
    assert reference.parse("quay.io/a/b:1") == ImageRef("docker", "quay.io/a/b:1")

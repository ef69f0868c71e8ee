"""A file in a real registry on loopback, as skopeo and the registry itself give it back."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from diskgen.units import MIB

from ..fixtures.disks import varied
from ..fixtures.formats import convert
from ..fixtures.program import Program, as_nobody
from ..fixtures.registry import Registry, registry
from ..oracles.schemas import check

PLAIN = "--tls-verify=false"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Registry]:
    with registry(tmp_path / "registry") as made:
        yield made


def made(diskgen: Program, name: str, suffix: str) -> Path:
    """Return a file of a format, in a directory that its user may read."""
    place = diskgen.own_directory(f"files-{name}")
    raw = varied(place / "raw", 33 * MIB)
    out = convert(raw, place / f"my os.{suffix}", name)
    raw.unlink()
    out.chmod(0o644)
    return out


def manifest(server: Registry, repository: str, tag: str) -> dict[str, Any]:
    kind = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    status, _headers, body = server.request(
        "GET", f"/v2/{repository}/manifests/{tag}", headers=kind
    )
    assert status == 200
    found: dict[str, Any] = json.loads(body)
    return found


def test_a_containerdisk_is_pushed_as_the_image_it_is(
    diskgen: Program, server: Registry, tmp_path: Path
) -> None:
    file = made(diskgen, "containerdisk", "containerdisk.tar")
    printed = diskgen("publish", "registry", file, "--to", f"{server.host}/disk:1", PLAIN)
    name, _at, digest = printed.strip().partition("@")
    assert name == f"{server.host}/disk"
    source = f"oci-archive:{file}"
    theirs = subprocess.run(["skopeo", "inspect", "--raw", source], check=True, capture_output=True)
    assert json.loads(theirs.stdout) == manifest(server, "disk", digest)
    place = tmp_path / "back"
    subprocess.run(
        ["skopeo", "copy", "--quiet", "--src-tls-verify=false", f"docker://{printed.strip()}",
         f"dir:{place}"], check=True,
    )  # fmt: skip


def test_any_other_file_is_an_artifact(diskgen: Program, server: Registry) -> None:
    """Its one blob is the file, and its title the name."""
    file = made(diskgen, "qcow2", "qcow2")
    words = ("publish", "registry", file, "--to", f"{server.host}/disks/os:1", PLAIN)
    shown = diskgen(*words, "--dry-run")
    assert "application/vnd.diskgen.disk.v1.qcow2" in shown
    assert server.request("GET", "/v2/disks/os/tags/list")[0] == 404
    facts = json.loads(diskgen(*words, "--json"))
    check("published", facts)
    found = manifest(server, "disks/os", facts["digest"])
    assert found["artifactType"] == "application/vnd.diskgen.disk.v1"
    (blob,) = found["layers"]
    assert blob["annotations"] == {"org.opencontainers.image.title": "my os.qcow2"}
    assert server.stored(blob["digest"]).read_bytes() == file.read_bytes()
    # The name is taken now, and the same file the same artifact.
    refused = diskgen.run(*words)
    assert refused.returncode == 4
    assert f"'{server.host}/disks/os:1' exists" in refused.stderr
    assert json.loads(diskgen(*words, "--force", "--json")) == facts


def test_credentials_are_those_of_images(diskgen: Program, tmp_path: Path) -> None:
    file = made(diskgen, "qcow2", "qcow2")
    secret = base64.b64encode(b"user:secret").decode()
    with registry(tmp_path / "registry", auth=True) as server:
        login = diskgen.own_directory("login") / "auth.json"
        login.write_text(json.dumps({"auths": {server.host: {"auth": secret}}}))
        login.chmod(0o644)
        words = ("publish", "registry", file, "--to", f"{server.host}/os:1", PLAIN)
        refused = diskgen.run(*words)
        assert refused.returncode != 0
        assert "does not let us" in refused.stderr
        done = diskgen.run(*words, "--authfile", login)
        assert done.returncode == 0, done.stderr
        assert manifest(server, "os", "1")
        assert secret not in done.stderr


def test_the_policy_for_what_comes_from_elsewhere_is_not_asked(
    diskgen: Program, server: Registry
) -> None:
    folder = diskgen.home / ".config/containers"
    folder.mkdir(parents=True)
    (folder / "policy.json").write_text('{"default": [{"type": "reject"}]}')
    for path in (folder.parent, folder, folder / "policy.json"):
        diskgen.own(path)
    file = made(diskgen, "qcow2", "qcow2")
    printed = diskgen("publish", "registry", file, "--to", f"{server.host}/os:1", PLAIN)
    theirs = ["skopeo", "copy", "--src-tls-verify=false", f"docker://{printed.strip()}",
              f"dir:{diskgen.place}/back"]  # fmt: skip
    done = subprocess.run(
        as_nobody(theirs), env=diskgen.environment(), check=False, capture_output=True, text=True
    )
    assert "rejected by policy" in done.stderr, "it is asked by who fetches"


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("oci:place", 2, "is no name to push to"),
        ("registry.example/os@sha256:" + "0" * 64, 2, "is no name to push to"),
        ("127.0.0.1:1/os:1", 9, "refuses connections"),
    ],
)
def test_names_that_nothing_can_be_pushed_to(
    diskgen: Program, name: str, status: int, words: str
) -> None:
    file = made(diskgen, "qcow2", "qcow2")
    done = diskgen.run("publish", "registry", file, "--to", name, PLAIN)
    assert done.returncode == status, done.stderr
    assert words in done.stderr


def test_a_damaged_archive_is_not_pushed(diskgen: Program, server: Registry) -> None:
    file = made(diskgen, "containerdisk", "containerdisk.tar")
    with file.open("r+b") as data:
        data.seek(200_000)
        data.write(b"damage")
    done = diskgen.run("publish", "registry", file, "--to", f"{server.host}/disk:1", PLAIN)
    assert done.returncode == 9, done.stderr
    assert "was not written" in done.stderr
    assert server.request("GET", "/v2/disk/tags/list")[0] == 404

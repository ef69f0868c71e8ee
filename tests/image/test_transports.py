"""Every transport with every manifest format: read alike, or refused in words that help."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..fixtures.oci import Layout, bootable, bootable_tar
from ..fixtures.program import Program
from ..fixtures.registry import Registry, registry

PLAIN = "--tls-verify=false"
FORMATS = ("oci", "v2s2", "v2s1")
TRANSPORTS = ("docker", "oci", "oci-archive", "docker-archive", "dir", "containers-storage")
IMPOSSIBLE = {("docker-archive", "oci"), ("docker-archive", "v2s1")}  # skopeo makes none
OLD = ("a manifest of Docker's schema 1", "skopeo copy --format v2s2")
REFUSED = {
    ("docker", "v2s1"): OLD,
    ("dir", "v2s1"): OLD,
    ("containers-storage", "v2s1"): OLD,
    ("oci", "v2s1"): OLD,
    ("oci-archive", "v2s1"): OLD,
    # skopeo writes it and does not find it again
    ("oci-archive", "v2s2"): ("an OCI archive with a manifest of Docker's schema 2", "docker-arch"),
}
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="writes layers with their owners")


def copied(layout: Path, place: Path, transport: str, form: str, server: Registry) -> str | None:
    """Have skopeo copy a layout to a transport in a format; return where it is now."""
    name = {
        "docker": f"//{server.host}/transports/{form}:1",
        "oci": f"{place}:latest",
        "oci-archive": f"{place}:latest",
        "docker-archive": f"{place}:localhost/os:1",
        "dir": f"{place}",
        "containers-storage": f"[vfs@{place}/storage+{place}/run]localhost/os:1",
    }[transport]
    target = f"{transport}:{name}"
    copy = ["skopeo", "copy", "--insecure-policy", "--dest-tls-verify=false", "--format", form]
    done = subprocess.run(
        [*copy, f"oci:{layout}:latest", target], capture_output=True, text=True, check=False
    )
    if (transport, form) in IMPOSSIBLE:
        assert done.returncode != 0
        return None
    assert done.returncode == 0, done.stderr
    return target.removeprefix("docker://")


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that takes Docker's schema 1 too."""
    with registry(tmp_path_factory.mktemp("old"), schema1=True) as made:
        yield made


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    "transport",
    [pytest.param(t, marks=[pytest.mark.root, ROOT] if "storage" in t else []) for t in TRANSPORTS],
)
def test_each(diskgen: Program, images: Path, old: Registry, transport: str, form: str) -> None:
    layout = bootable(images / "layout")
    source = copied(layout, images / "copy", transport, form, old)
    if source is None:
        return
    words: list[str | Path] = [
        "plan",
        "raw",
        source,
        PLAIN,
        "--target-imgref",
        "quay.io/a/b:1",
        "--json",
    ]
    inspect: list[str | Path] = ["inspect", source, PLAIN, "--json"]
    if transport == "containers-storage":  # as its owner
        env = diskgen.environment(DISKGEN_CACHE=str(images / "cache"))
        done, seen = (
            subprocess.run(
                [diskgen.path, *argv], env=env, capture_output=True, text=True, check=False
            )
            for argv in (words, inspect)
        )
    else:
        done, seen = diskgen.run(*words), diskgen.run(*inspect)
    refusal = REFUSED.get((transport, form))
    if refusal is not None:
        assert done.returncode == 3, done.stderr
        assert all(words in done.stderr for words in refusal)
        assert seen.returncode == 3 or refusal is not OLD, seen.stderr
        return
    assert done.returncode == seen.returncode == 0, done.stderr + seen.stderr
    image = json.loads(done.stdout)["image"]
    reference = json.loads(
        diskgen("plan", "raw", f"oci:{layout}", *words[3:], "--cache-dir", str(diskgen.home))
    )["image"]
    assert image["content_bytes"] == reference["content_bytes"]
    assert image["kernel"] == reference["kernel"]
    if transport in ("docker", "oci", "oci-archive", "dir"):
        # These keep a manifest, so that its digest is what the source has, whatever its format.
        assert image["digest"] == json.loads(seen.stdout)["digest"] == kept(source, images / "copy")


def kept(source: str, place: Path) -> str:
    """Return the digest of the manifest that a source has."""
    if source.startswith("oci:"):  # skopeo does not find schema 2 there
        index = json.loads((place / "index.json").read_bytes())
        return str(index["manifests"][0]["digest"])
    argv = ["skopeo", "inspect", "--raw", PLAIN, source if ":/" in source else f"docker://{source}"]
    data = subprocess.run(argv, capture_output=True, check=True).stdout
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@pytest.mark.root
@ROOT
def test_a_manifest_list_in_podmans_storage(diskgen: Program, images: Path) -> None:
    layout = Layout(images / "index")
    made = [layout.image([layout.layer(bootable_tar())], arch=arch) for arch in ("arm64", "amd64")]
    layout.finish(*made)
    options = ["--root", str(images / "st"), "--runroot", str(images / "run")]
    where = f"[vfs@{images}/st+{images}/run]"

    def buildah(*words: str) -> None:
        argv = ["buildah", *options, "--storage-driver", "vfs", *words]
        subprocess.run(argv, check=True, capture_output=True)

    buildah("manifest", "create", "localhost/os:list")
    buildah("manifest", "add", "--all", "localhost/os:list", f"oci:{layout.place}")
    argv: list[str | Path] = [
        diskgen.path,
        "plan",
        "raw",
        f"containers-storage:{where}localhost/os:list",
    ]
    env = diskgen.environment(DISKGEN_CACHE=str(images / "cache"))
    words: list[str | Path] = [*argv, "--arch", "x86_64", "--json"]
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert "is a manifest list, and its image for linux/amd64 is not stored" in done.stderr
    assert "podman pull --arch amd64" in done.stderr
    # Its image under the list's repository is what podman's own clients find too.
    copy = ["skopeo", "copy", "--insecure-policy", f"oci:{layout.place}"]
    subprocess.run(
        [*copy, f"containers-storage:{where}localhost/os:amd64"], check=True, capture_output=True
    )
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["image"]["platform"] == "linux/amd64"


def test_an_archive_with_sizes_in_base_256(diskgen: Program, images: Path) -> None:
    """As some write them into headers, whatever the size. POSIX knows octal digits alone."""
    layout = bootable(images / "layout")
    archive = images / "archive.tar"
    subprocess.run(
        ["skopeo", "copy", "--insecure-policy", f"oci:{layout}:latest",
         f"oci-archive:{archive}:latest"], check=True, capture_output=True,
    )  # fmt: skip
    data = bytearray(archive.read_bytes())
    with tarfile.open(archive) as tar:
        members = [(member.offset, member.size) for member in tar if member.isfile()]
    words = ("plan", "raw", f"oci-archive:{archive}:latest", "--target-imgref", "quay.io/a/b:1")

    def written(first: int) -> None:
        for at, size in members:
            header = data[at : at + 512]
            header[124:136] = bytes([first]) + size.to_bytes(11, "big")
            header[148:156] = b" " * 8
            header[148:156] = b"%06o\0 " % sum(header)
            data[at : at + 512] = header
        archive.write_bytes(data)

    written(0x80)
    assert json.loads(diskgen(*words, "--json"))["image"]["layers"]
    for first in (0x81, 0xC0, 0xFF):  # more than any file has, and less than nothing
        written(first)
        done = diskgen.run(*words)
        assert done.returncode == 3, (first, done.stderr)

"""Images from everywhere, and every way a source can fail: the real program, real registries."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..fixtures.oci import Layout, TarBuilder, bootable, bootable_tar
from ..fixtures.program import Program, as_nobody, fingerprint
from ..fixtures.registry import Registry, registry

PLAIN = "--tls-verify=false"


def layer_with(path: str, data: bytes = b"x") -> bytes:
    tar = TarBuilder()
    tar.file(path, data)
    return tar.finish()


def complaint(program: Program, status: int, *words: str | Path, **env: str) -> str:
    """Run a build that must fail; return what it says, after checking that it leaves nothing."""
    before = program.left_behind()
    done = program.run("raw", *words, "--progress", "plain", env=env)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert program.left_behind() == before
    text = done.stderr[done.stderr.index("error: ") :]
    assert text.count("error: ") == 1, text
    return text


def test_registry_then_cache(diskgen: Program, images: Path, server: Registry) -> None:
    """A second image on the same base fetches only its own layer."""
    base = bootable(images / "base")
    derived = bootable(images / "derived", layer_with("usr/share/more"))
    server.push(base, "shared/base")
    server.push(derived, "shared/derived")
    diskgen("raw", f"{server.host}/shared/base", PLAIN)
    done = diskgen.run("raw", f"docker://{server.host}/shared/derived", PLAIN)
    assert done.returncode == 0, done.stderr
    (base_layer,) = [x["digest"] for x in Layout.manifest_of(base)["layers"]]
    assert base_layer in server.fetched("shared/base")
    assert base_layer not in server.fetched("shared/derived")
    assert "in the cache" in done.stderr
    assert "1 of 2 layers from the cache" in done.stderr


def test_every_local_transport_gives_the_same_tree(diskgen: Program, images: Path) -> None:
    layout = bootable(images / "layout", layer_with("usr/share/more"))
    sources = {"oci": f"oci:{layout}:latest"}
    for transport, suffix in (("oci-archive", ":latest"), ("docker-archive", ":x:1"), ("dir", "")):
        place = images / transport
        target = f"{transport}:{place}{suffix}"
        copy = ["skopeo", "copy", "--insecure-policy", f"oci:{layout}:latest", target]
        subprocess.run(copy, check=True, capture_output=True)
        sources[transport] = f"{transport}:{place}"
    commits = {}
    for transport, source in sources.items():
        words = ("plan", "raw", source, "--json", "--target-imgref", "quay.io/a/b:1")
        commits[transport] = json.loads(diskgen(*words))["image"]
    sizes = {facts["content_bytes"] for facts in commits.values()}
    assert len(sizes) == 1
    # These keep the manifest, so its digest is the same
    assert commits["oci"]["digest"] == commits["dir"]["digest"] == commits["oci-archive"]["digest"]


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="writes layers with their owners")
def test_podmans_storage(program_path: Path, images: Path) -> None:
    layout = bootable(images / "layout")
    storage = f"containers-storage:[vfs@{images}/storage+{images}/run]localhost/os:1"
    copy = ["skopeo", "copy", "--insecure-policy", f"oci:{layout}:latest", storage]
    subprocess.run(copy, check=True, capture_output=True)
    words: list[str | Path] = [program_path, "raw", storage, "-o", images / "os.raw"]
    env = {"HOME": str(images), "PATH": "/usr/bin:/bin"}
    subprocess.run(words, check=True, capture_output=True, env=env)
    assert (images / "os.raw").stat().st_size == 10 * 1024**3


def test_skopeo_in_a_user_namespace(diskgen: Program, images: Path, server: Registry) -> None:
    """As it goes into one for the storage of podman without root: our own /proc is closed there."""
    enter = ["/usr/bin/unshare", "--user", "--map-root-user"]
    known = diskgen.environment()
    if subprocess.run(as_nobody([*enter, "true"]), env=known, check=False).returncode:
        pytest.skip("this kernel gives ordinary users no user namespaces")
    server.push(bootable(images / "os"), "inside/os")
    program = images / "bin/skopeo"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {" ".join(enter)} {shutil.which("skopeo")} "$@"\n')
    program.chmod(0o755)
    path = f"{program.parent}:{known['PATH']}"
    diskgen("plan", "raw", f"{server.host}/inside/os", PLAIN, PATH=path)


def test_an_index_is_resolved_by_architecture(
    diskgen: Program, images: Path, server: Registry
) -> None:
    layout = Layout(images / "index")
    mine = layout.image([layout.layer(bootable_tar())])
    other = layout.image([layout.layer(layer_with("other"))], arch="arm64")
    layout.finish(other, mine)
    for part in (mine, other):
        data = (layout.place / "blobs" / part["digest"].replace(":", "/")).read_bytes()
        server.push_tree(layout.place, "multi", json.loads(data))
        server.put_manifest("multi", part["digest"], data, part["mediaType"])
    top = json.loads((layout.place / "index.json").read_bytes())["manifests"][0]
    data = (layout.place / "blobs" / top["digest"].replace(":", "/")).read_bytes()
    server.put_manifest("multi", "1", data, top["mediaType"])
    for source in (f"{server.host}/multi:1", f"oci:{layout.place}"):
        plan = json.loads(diskgen("plan", "raw", source, PLAIN, "--json"))
        assert plan["image"]["digest"] == mine["digest"]


def test_a_digest_pins(diskgen: Program, images: Path, server: Registry) -> None:
    digest = server.push(bootable(images / "pinned"), "pinned")
    reference = f"{server.host}/pinned@{digest}"
    plan = json.loads(diskgen("plan", "raw", reference, PLAIN, "--json"))
    assert plan["image"]["digest"] == digest
    assert plan["deployment"]["origin"] == f"ostree-unverified-registry:{reference}"


def test_not_found(diskgen: Program, server: Registry) -> None:
    text = complaint(diskgen, 3, f"{server.host}/no/such:1", PLAIN)
    assert f"'{server.host}/no/such:1' does not exist in its registry" in text


def test_registry_down(diskgen: Program) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{taken.getsockname()[1]}"
    assert f"the registry of '{host}/x' cannot be reached" in complaint(
        diskgen, 3, f"{host}/x", PLAIN
    )


def test_plain_http_must_be_allowed(diskgen: Program, server: Registry) -> None:
    text = complaint(diskgen, 3, f"{server.host}/os")
    assert "speaks plain HTTP" in text
    assert "--tls-verify=false" in text


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry with TLS and a password."""
    place = tmp_path_factory.mktemp("locked")
    for path in (place, *place.parents[:2]):
        path.chmod(0o755)
    with registry(place, tls=True, auth=True) as made:
        yield made


def test_tls_and_password(diskgen: Program, images: Path, locked: Registry) -> None:
    locked.push(bootable(images / "secret"), "secret")
    reference = f"{locked.host}/secret"
    text = complaint(diskgen, 3, reference)
    assert "certificate that this machine does not trust" in text
    assert "--cert-dir" in text
    trust = ("--cert-dir", images / "trust")
    shutil.copytree(locked.place / "tls", images / "trust")
    text = complaint(diskgen, 3, reference, *trust)
    assert "does not let us read" in text
    assert "--authfile" in text
    authfile = images / "auth.json"
    for word in ("dXNlcjp3cm9uZw==", "dXNlcjpzZWNyZXQ="):  # user:wrong, user:secret
        authfile.write_text(json.dumps({"auths": {locked.host: {"auth": word}}}))
        words = ("raw", reference, *trust, "--authfile", authfile)
        if word.startswith("dXNlcjp3"):
            assert "does not let us read" in complaint(diskgen, 3, *words[1:])
        else:
            diskgen(*words)


def test_a_mirror_is_used(diskgen: Program, images: Path, server: Registry) -> None:
    server.push(bootable(images / "mirrored"), "mirrored/os", "1")
    conf = images / "registries.conf"
    conf.write_text(
        '[[registry]]\nlocation = "quay.example/project"\n'
        f'[[registry.mirror]]\nlocation = "{server.host}/mirrored"\ninsecure = true\n'
    )
    words = ("plan", "raw", "quay.example/project/os:1", "--registries-conf", conf, "--json")
    plan = json.loads(diskgen(*words))
    assert plan["deployment"]["origin"] == "ostree-unverified-registry:quay.example/project/os:1"


def test_gpg_signatures(diskgen: Program, images: Path) -> None:
    """What is signed by the key that the policy names is taken, all else is refused."""
    layout = bootable(images / "os")
    home = images / "gpg"
    home.mkdir(mode=0o700)
    keys = {}
    for name in ("known", "unknown"):
        gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet"]
        make = [*gpg, "--passphrase", "", "--quick-gen-key", f"{name}@example", "rsa2048", "sign"]
        subprocess.run(make, check=True, capture_output=True)
        keys[name] = images / f"{name}.gpg"
        export = [*gpg, "--output", str(keys[name]), "--export", f"{name}@example"]
        subprocess.run(export, check=True)
        place = images / name
        copy = ["skopeo", "copy", "--quiet", "--insecure-policy", f"oci:{layout}", f"dir:{place}"]
        subprocess.run(copy, check=True)
        sign = ["skopeo", "standalone-sign", "--output", str(place / "signature-1"),
                str(place / "manifest.json"), "example.org/os:1", f"{name}@example"]  # fmt: skip
        subprocess.run(sign, check=True, env={**os.environ, "GNUPGHOME": str(home)})
    agent = ["gpgconf", "--homedir", str(home), "--kill", "gpg-agent"]
    subprocess.run(agent, check=True)
    unsigned = shutil.copytree(images / "known", images / "unsigned")
    (unsigned / "signature-1").unlink()
    identity = {"type": "exactReference", "dockerReference": "example.org/os:1"}
    rule = {
        "type": "signedBy", "keyType": "GPGKeys", "keyPath": str(keys["known"]),
        "signedIdentity": identity,
    }  # fmt: skip
    policy = images / "policy.json"
    policy.write_text(
        json.dumps({"default": [{"type": "reject"}], "transports": {"dir": {"": [rule]}}})
    )
    diskgen("raw", f"dir:{images}/known", "--signature-policy", policy)
    for name in ("unknown", "unsigned"):
        text = complaint(diskgen, 3, f"dir:{images}/{name}", "--signature-policy", policy)
        assert "is refused by the signature policy" in text


@pytest.mark.parametrize("source", ["registry", "oci"])
def test_a_policy_refuses(diskgen: Program, images: Path, server: Registry, source: str) -> None:
    layout = bootable(images / "refused")
    server.push(layout, "refused")
    policy = images / "policy.json"
    policy.write_text('{"default": [{"type": "reject"}]}')
    reference = f"{server.host}/refused" if source == "registry" else f"oci:{layout}"
    text = complaint(diskgen, 3, reference, PLAIN, "--signature-policy", policy)
    assert "is refused by the signature policy" in text
    assert "--signature-policy" in text


@pytest.mark.parametrize("damage", ["other bytes", "cut off"])
def test_a_registry_that_lies(
    diskgen: Program, images: Path, server: Registry, damage: str
) -> None:
    """The registry hands out a layer that is not what its digest says."""
    layout = bootable(images / "lie", layer_with("usr/share/big", os.urandom(100_000)))
    name = damage.replace(" ", "-")
    server.push(layout, name)
    victim = server.stored(Layout.manifest_of(layout)["layers"][1]["digest"])
    data = victim.read_bytes()
    victim.write_bytes(data[:50_000] + (b"" if damage == "cut off" else bytes(len(data) - 50_000)))
    try:
        text = complaint(diskgen, 3, f"{server.host}/{name}", PLAIN)
    finally:
        victim.write_bytes(data)
    assert "digest" in text or "connection broke" in text
    diskgen("raw", f"{server.host}/{name}", PLAIN)


def test_a_layout_that_lies(diskgen: Program, images: Path) -> None:
    layout = bootable(images / "lie", layer_with("usr/share/big", os.urandom(100_000)))
    victim = layout / "blobs" / Layout.manifest_of(layout)["layers"][1]["digest"].replace(":", "/")
    victim.write_bytes(victim.read_bytes()[:50_000])
    text = complaint(diskgen, 3, f"oci:{layout}")
    assert f"layer 'sha256:{victim.name}' is broken" in text


def test_a_broken_cache_repairs_itself(diskgen: Program, images: Path, server: Registry) -> None:
    layout = bootable(images / "cached", layer_with("usr/share/big", os.urandom(100_000)))
    server.push(layout, "cached")
    reference = f"{server.host}/cached"
    diskgen("raw", reference, PLAIN, "-o", "first.raw")
    # A blob whose layer has to be read again
    digest = Layout.manifest_of(layout)["layers"][1]["digest"]
    blob = diskgen.cache / "v1/blobs" / digest.replace(":", "/")
    blob.write_bytes(b"rubbish")
    for path in (diskgen.cache / "v1/layers").iterdir():
        path.unlink()
    done = diskgen.run("raw", reference, PLAIN, "-o", "second.raw")
    assert done.returncode == 0, done.stderr
    assert "fetching it again" in done.stderr
    # An index whose bytes rotted is read again from its blob
    for path in (diskgen.cache / "v1/layers").iterdir():
        path.write_bytes(path.read_bytes()[:-10] + bytes(10))
    diskgen("raw", reference, PLAIN, "-o", "third.raw")
    disks = {fingerprint(diskgen.place / f"{name}.raw") for name in ("first", "second", "third")}
    assert len(disks) == 1


def test_wrong_architecture(diskgen: Program, images: Path, server: Registry) -> None:
    layout = Layout(images / "arm")
    layout.finish(layout.image([layout.layer(bootable_tar())], arch="arm64"))
    server.push(layout.place, "arm")
    for reference in (f"{server.host}/arm", f"oci:{layout.place}"):
        text = complaint(diskgen, 3, reference, PLAIN, "--arch", "x86_64")
        assert "arm64" in text
        assert "--arch" in text


def test_a_manifest_of_10_mb(diskgen: Program, images: Path) -> None:
    layout = Layout(images / "huge")
    huge = layout.image([layout.layer(bootable_tar())], annotations={"x": "y" * 10_000_000})
    layout.finish(huge)
    assert "budget 'manifest-bytes'" in complaint(diskgen, 3, f"oci:{layout.place}")


def test_no_such_layout(diskgen: Program, images: Path) -> None:
    assert "is no OCI layout" in complaint(diskgen, 3, f"oci:{images}/nothing")
    layout = bootable(images / "tagged")
    text = complaint(diskgen, 3, f"oci:{layout}:other")
    assert "its tags are: latest" in text
    assert "does not exist" in complaint(diskgen, 3, f"docker-archive:{images}/nothing.tar")


def test_a_bomb(diskgen: Program, images: Path) -> None:
    """A layer that would be a thousand times its size is refused before it fills the disk."""
    layout = Layout(images / "bomb")
    import zstandard

    place = images / "bomb.tar.zst"
    info = tarfile.TarInfo("usr/bomb")
    info.size = 5 * 1024**3
    digest = hashlib.sha256()
    with place.open("wb") as file:
        packer = zstandard.ZstdCompressor(1).stream_writer(file)
        block = b"\1" * (1024 * 1024)
        for piece in (info.tobuf(), *[block] * 5 * 1024, bytes(1024)):
            digest.update(piece)
            packer.write(piece)
        packer.close()  # type: ignore[no-untyped-call]
    blob = place.read_bytes()
    from ..fixtures.oci import Layer

    layer = Layer(
        "application/vnd.oci.image.layer.v1.tar+zstd", layout.blob(blob), len(blob),
        f"sha256:{digest.hexdigest()}",
    )  # fmt: skip
    layout.finish(layout.image([layout.layer(bootable_tar()), layer]))
    assert "bomb" in complaint(diskgen, 3, f"oci:{layout.place}")


def test_two_builds_share_a_cache(diskgen: Program, images: Path, server: Registry) -> None:
    layout = bootable(images / "both", layer_with("usr/share/big", os.urandom(3_000_000)))
    server.push(layout, "both")
    running = [
        diskgen.start("raw", f"{server.host}/both", PLAIN, "-o", f"{name}.raw") for name in "abc"
    ]
    for child in running:
        _out, err = child.communicate(timeout=120)
        assert child.returncode == 0, err
    disks = {fingerprint(diskgen.place / f"{name}.raw") for name in "abc"}
    assert len(disks) == 1
    assert diskgen.left_behind() == ["a.raw", "b.raw", "c.raw"]

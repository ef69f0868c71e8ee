"""A medium's payload: the image that skopeo finds on it is the registry's, byte for byte."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

from diskgen.arch import MACHINES
from diskgen.config import AccessOptions
from diskgen.events import discard
from diskgen.image import fetch
from diskgen.image.store import Store
from diskgen.iso.assembly import payload
from diskgen.iso.mastering.master import Medium, master
from diskgen.reference import parse
from diskgen.tree import Directory

from ...fixtures.oci import Layout, bootable
from ...fixtures.registry import Registry


def test_skopeo_reads_it_from_the_medium(server: Registry, images: Path, tmp_path: Path) -> None:
    place = bootable(images / "os")
    digest = server.push(place, "payload", "1")
    ref = parse(f"{server.host}/payload:1")
    root = Directory()
    with Store(tmp_path / "cache").session() as store:
        image = fetch.fetch(
            ref, MACHINES["x86_64"], AccessOptions(tls_verify=False), store, discard
        )
        root.entries[b"container"] = payload.layout(image, "latest")
        iso = tmp_path / "payload.iso"
        master(iso, Medium(root=root, label="PAYLOAD", timestamp=0, application="T"))
    out = tmp_path / "out"
    subprocess.run(["xorriso", "-osirrox", "on", "-indev", iso, "-extract", "/", out], check=True,
                   capture_output=True)  # fmt: skip
    said = subprocess.run(["skopeo", "inspect", f"oci:{out}/container:latest"], check=True,
                          capture_output=True, text=True).stdout  # fmt: skip
    found = json.loads(said)
    manifest = Layout.manifest_of(place)
    assert found["Digest"] == digest
    assert found["Layers"] == [layer["digest"] for layer in manifest["layers"]]
    blob = out / "container/blobs/sha256" / digest.removeprefix("sha256:")
    assert json.loads((out / "container/index.json").read_text()) == {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [
            {
                "mediaType": manifest["mediaType"], "digest": digest, "size": blob.stat().st_size,
                "annotations": {"org.opencontainers.image.ref.name": "latest"},
            }
        ],
    }  # fmt: skip
    copied = subprocess.run(
        ["skopeo", "copy", "--insecure-policy", f"oci:{out}/container:latest",
         f"dir:{tmp_path}/copy"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert copied.returncode == 0, copied.stderr
    for blob in (out / "container/blobs/sha256").iterdir():
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name

"""sigstore signatures beside an image in a registry: taken, or refused, before anything is used.

Debian 12's skopeo was built without sigstore, so that of sid does the work here.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import sid

from tests.fixtures.oci import TarBuilder, bootable
from tests.fixtures.program import Program
from tests.fixtures.registry import Registry

pytestmark = pytest.mark.vm


@pytest.fixture
def tools(cache: Path, diskgen: Program) -> Path:
    """Return a directory for PATH with sid's skopeo, which anyone may run."""
    place = diskgen.place / "sid-skopeo"
    (place / "lib").mkdir(parents=True)
    root = sid.tools(cache)
    loader, binary = root / "lib64/ld-linux-x86-64.so.2", root / "usr/bin/skopeo"
    libraries = root / "usr/lib/x86_64-linux-gnu"
    listed = subprocess.run([loader, "--library-path", libraries, "--list", binary],
                            check=True, capture_output=True, text=True).stdout  # fmt: skip
    for path in re.findall(r"=> (/\S+)", listed):
        shutil.copy(path if path.startswith(str(root)) else loader, place / "lib")
    shutil.copy(loader, place / "lib/loader")
    shutil.copy(binary, place / "lib/skopeo-program")
    run = place / "skopeo"
    lib = place / "lib"
    run.write_text(f'#!/bin/sh\nexec {lib}/loader --library-path {lib} {lib}/skopeo-program "$@"\n')
    run.chmod(0o755)
    return place


def test_sigstore_signatures(
    tools: Path, diskgen: Program, served: Registry, tmp_path: Path
) -> None:
    skopeo = tools / "skopeo"
    registries = diskgen.home / ".config/containers/registries.d"
    registries.mkdir(parents=True)
    attached = f"docker:\n  {served.host}:\n    use-sigstore-attachments: true\n"
    (registries / "test.yaml").write_text(attached)
    phrase = tmp_path / "phrase"
    phrase.write_text("secret")
    for name in ("known", "unknown"):
        subprocess.run(
            [skopeo, "generate-sigstore-key", "--output-prefix", tmp_path / name,
             "--passphrase-file", phrase],
            check=True, capture_output=True,
        )  # fmt: skip
    images = {}
    for name in ("known", "unknown", "unsigned"):
        extra = TarBuilder()
        extra.file("usr/share/who", name.encode())
        layout = bootable(tmp_path / f"image-{name}", extra.finish())
        images[name] = f"{served.host}/signed/{name}:1"
        signed = () if name == "unsigned" else (
            "--sign-by-sigstore-private-key", tmp_path / f"{name}.private",
            "--sign-passphrase-file", phrase,
        )  # fmt: skip
        subprocess.run(
            [skopeo, "--registries.d", registries, "copy", "--insecure-policy", *signed,
             "--dest-tls-verify=false", f"oci:{layout}", f"docker://{images[name]}"],
            check=True, capture_output=True,
        )  # fmt: skip
    key = diskgen.place / "known.pub"
    shutil.copy(tmp_path / "known.pub", key)
    key.chmod(0o644)
    identity = {"type": "matchRepository"}
    rule = {"type": "sigstoreSigned", "keyPath": str(key), "signedIdentity": identity}
    policy = diskgen.place / "sigstore-policy.json"
    policy.write_text(
        json.dumps({"default": [{"type": "reject"}],
                    "transports": {"docker": {served.host: [rule]}}})
    )  # fmt: skip
    options = ("--tls-verify=false", "--signature-policy", policy)
    env = {"PATH": f"{tools}:/usr/bin:/bin"}
    diskgen("raw", images["known"], "-o", "known.raw", *options, **env)
    for name in ("unknown", "unsigned"):
        done = diskgen.run("raw", images[name], "-o", f"{name}.raw", *options, env=env)
        assert done.returncode == 3, done.stderr
        assert "is refused by the signature policy" in done.stderr
        assert "--signature-policy" in done.stderr
        assert not (diskgen.place / f"{name}.raw").exists()

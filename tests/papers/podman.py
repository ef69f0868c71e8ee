"""Stands in for podman where a page builds and pushes: FROM and COPY, as one layer. Tests only.

podman's own work is not ours to test; what it leaves in a registry is an image with a layer more.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

from ..oci import Layout, TarBuilder
from ..registry import Registry


def install(tools: Path, server: Registry, bases: dict[str, Path], store: Path) -> None:
    """Write a ``podman`` into a directory of programs; ``bases`` are layouts by reference."""
    facts = {
        "bases": {name: str(path) for name, path in bases.items()}, "store": str(store),
        "place": str(server.place), "port": server.port,
    }  # fmt: skip
    script = tools / "podman"
    root = Path(__file__).resolve().parents[2]
    script.write_text(
        f"#!{sys.executable} -P\nimport sys\nsys.path.insert(0, {str(root)!r})\n"
        f"from {__name__} import main\nmain(sys.argv[1:], {json.dumps(facts)})\n"
    )
    script.chmod(0o755)


def main(words: list[str], facts: dict[str, str | int | dict[str, str]]) -> None:
    """Carry out ``build -t NAME .`` or ``push NAME``."""
    store, bases = Path(str(facts["store"])), facts["bases"]
    assert isinstance(bases, dict)
    if words[0] == "build":
        option, name, place = words[1:]
        assert (option, place) == ("-t", ".")
        _build(store / name.replace("/", "_"), bases, Path("Containerfile").read_text())
        return
    (verb, name) = words
    assert verb == "push"
    host, _slash, rest = name.partition("/")
    assert host == "registry.example"
    repository, _colon, tag = rest.partition(":")
    server = Registry(Path(str(facts["place"])), int(str(facts["port"])), tls=False, auth=False)
    server.push(store / name.replace("/", "_"), repository, tag)


def _build(place: Path, bases: dict[str, str], containerfile: str) -> None:
    first, *rest = containerfile.splitlines()
    verb, base = first.split()
    assert verb == "FROM"
    tar = TarBuilder()
    for line in rest:
        verb, source, target = line.split()
        assert verb == "COPY"
        tar.file(target.strip("/"), Path(source).read_bytes())
    shutil.rmtree(place, ignore_errors=True)
    derive(Path(bases[base]), place, tar.finish())


def derive(base: Path, place: Path, tar: bytes) -> Path:
    """Return the layout of an image with a layer more."""
    shutil.copytree(base, place, copy_function=os.symlink)  # others' files, read alone
    for name in ("index.json", "oci-layout"):
        (place / name).unlink()
    layout = Layout.__new__(Layout)
    layout.place = place
    old = Layout.manifest_of(base)
    blobs = base / "blobs/sha256"
    config = json.loads((blobs / old["config"]["digest"].partition(":")[2]).read_bytes())
    layer = layout.layer(tar)
    part = {"mediaType": layer.media_type, "digest": layer.digest, "size": layer.size}
    config["rootfs"]["diff_ids"].append(layer.diff_id)
    config.get("history", []).append({"created_by": "COPY"})
    data = json.dumps(config).encode()
    made = old | {
        "layers": [*old["layers"], part],
        "config": old["config"] | {"digest": layout.blob(data), "size": len(data)},
    }
    text = json.dumps(made).encode()
    (place / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    kind = made.get("mediaType", "application/vnd.oci.image.manifest.v1+json")
    return layout.finish({"mediaType": kind, "digest": layout.blob(text), "size": len(text)})

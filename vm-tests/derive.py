"""An image with further layers on top of another one, as a build from it would make."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.fixtures.oci import CREATED, Layout


def derive(base: Path, place: Path, *tars: bytes, arch: str | None = None) -> Path:
    """Return a layout with the image of ``base`` and a layer for each tar; labels are inherited.

    ``arch`` (GOARCH) is what the image then says it is for.
    """
    shutil.copytree(base, place, copy_function=_link)
    layout = Layout.__new__(Layout)
    layout.place = place
    manifest = Layout.manifest_of(place)
    old = manifest["config"]["digest"].replace(":", "/", 1)
    config = json.loads((place / "blobs" / old).read_bytes())
    if arch is not None:
        config["architecture"] = arch
    for tar in tars:
        layer = layout.layer(tar)
        manifest["layers"].append(
            {"mediaType": layer.media_type, "digest": layer.digest, "size": layer.size}
        )
        config["rootfs"]["diff_ids"].append(layer.diff_id)
        config["history"].append({"created": CREATED, "created_by": "derived"})
    data = json.dumps(config).encode()
    manifest["config"] |= {"digest": layout.blob(data), "size": len(data)}
    whole = json.dumps(manifest).encode()
    kind = "application/vnd.oci.image.manifest.v1+json"
    layout.finish(
        {
            "mediaType": manifest.get("mediaType", kind),
            "digest": layout.blob(whole),
            "size": len(whole),
        }
    )
    return place


def encapsulated_meta(listing: str, components: int) -> str:
    """Return the content metadata that spreads a commit's files over so many layers.

    ``listing`` is what ``ostree ls -R -C`` prints.
    """
    mapping = {}
    for line in listing.splitlines():
        words: Sequence[str] = line.partition(" -> ")[0].split(None, 5)
        if words[0][0] in "-l":
            number = sum(words[5].rpartition("/")[0].encode()) % components
            mapping[words[4]] = f"component{number}"
    layers = {name: name.upper() for name in sorted(set(mapping.values()))}
    return json.dumps({"version": 1, "layers": layers, "mapping": mapping})


def _link(source: str, target: str) -> None:
    if Path(source).suffix == ".json":  # is written anew
        shutil.copyfile(source, target)
    else:
        Path(target).hardlink_to(source)

"""The image of an index that a machine gets: skopeo is the judge, by a registry and by files."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from diskgen import arch
from diskgen.errors import SourceError, UsageError
from diskgen.image.manifest import Manifest, parse_any
from diskgen.image.platforms import choose, override

from ..fixtures import installers
from ..fixtures.oci import LABELS, Layout, bootable_tar
from ..fixtures.program import Program
from ..fixtures.registry import Registry

OCI = "application/vnd.oci.image.index.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.list.v2+json"
PLAIN = "--tls-verify=false"
PLATFORMS: tuple[dict[str, str] | None, ...] = (
    {"os": "linux", "architecture": "amd64"},
    {"os": "linux", "architecture": "amd64", "variant": "v2"},
    {"os": "linux", "architecture": "amd64", "variant": "v3"},
    {"os": "linux", "architecture": "arm64"},
    {"os": "linux", "architecture": "arm64", "variant": "v8"},
    {"os": "linux", "architecture": "arm64", "variant": "v9"},
    {"os": "linux", "architecture": "s390x"},
    {"os": "windows", "architecture": "amd64"},
    {"os": "unknown", "architecture": "unknown"},
    {"os": "linux", "architecture": "x86_64"},
    {"architecture": "amd64", "os": ""},
    None,  # an OCI index need not say
)
# As the user writes it -> what a machine of that kind asks its client for.
WANTED = {
    "x86_64": ("amd64", ""), "x86_64/v2": ("amd64", "v2"), "linux/amd64/v3": ("amd64", "v3"),
    "x86-64/V4": ("amd64", "v4"), "aarch64": ("arm64", "v8"), "arm64/v8": ("arm64", "v8"),
    "aarch64/v9": ("arm64", "v9"), "s390x": ("s390x", ""),
}  # fmt: skip


def variants(place: Path) -> tuple[Layout, dict[str, dict[str, Any]]]:
    """Write a layout with a bootable image for each kind of machine, told apart by a label."""
    layout = Layout(place)
    tar = layout.layer(bootable_tar())
    out = {}
    for name in ("amd64", "amd64/v2", "amd64/v3", "arm64"):
        goarch, _slash, variant = name.partition("/")
        made = layout.image([tar], arch=goarch, labels={**LABELS, "which": name})
        if variant:
            made["platform"]["variant"] = variant
        out[name] = made
    return layout, out


@pytest.mark.parametrize("kind", [OCI, DOCKER])
def test_skopeo_takes_the_same(images: Path, server: Registry, kind: str) -> None:
    """Generated indexes of one to five images, every kind of machine."""
    layout = Layout(images / "all")
    layer = layout.layer(bootable_tar(loader=False))
    made = []
    for number, platform in enumerate(PLATFORMS):
        descriptor = layout.image([layer], labels={"which": str(number)})
        data = (layout.place / "blobs" / descriptor["digest"].replace(":", "/")).read_bytes()
        server.push_tree(layout.place, "chosen", json.loads(data))
        server.put_manifest("chosen", f"part{number}", data, descriptor["mediaType"])
        made.append({**descriptor, "platform": platform})
    for entry in made:
        if entry["platform"] is None:
            del entry["platform"]
    usable = made if kind == OCI else made[:-1]
    chance = random.Random(kind)
    agreed = set()
    for _round in range(8):
        manifests = chance.sample(usable, chance.randint(1, 5))
        index = {"schemaVersion": 2, "mediaType": kind, "manifests": manifests}
        data = json.dumps(index).encode()
        server.put_manifest("chosen", "index", data, kind)
        for text in chance.sample(sorted(WANTED), 3):
            goarch, variant = WANTED[text]
            parsed = parse_any(data, "it")
            assert not isinstance(parsed, Manifest)
            mine: str | None
            try:
                mine = choose(parsed, arch.machine(text), "it").platform.descriptor.digest
            except SourceError:
                mine = None
            theirs = judged(f"docker://{server.host}/chosen:index", goarch, variant)
            digest = None if theirs is None else made[int(theirs)]["digest"]
            assert mine == digest, (text, [entry.get("platform") for entry in manifests])
            agreed.add(mine)
    assert len(agreed) > 5
    assert None in agreed


def judged(reference: str, goarch: str, variant: str) -> str | None:
    """Return the label of the image that skopeo finds; None where it finds none."""
    argv = ["skopeo", "--override-os", "linux", "--override-arch", goarch]
    argv += ["--override-variant", variant] if variant else []
    argv += ["inspect", "--config", PLAIN, reference]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        assert "no image found in" in done.stderr
        return None
    label: str = json.loads(done.stdout)["config"]["Labels"]["which"]
    return label


@pytest.mark.parametrize(("text", "wanted"), WANTED.items())
def test_skopeo_is_told_the_same(text: str, wanted: tuple[str, str]) -> None:
    options = override(arch.machine(text))
    said = dict(zip(options[::2], options[1::2], strict=True))
    assert (said["--override-arch"], said.get("--override-variant", "")) == wanted


@pytest.mark.parametrize("text", ["x86_64/", "x86_64/3", "x86_64/v3/v4", "x86_64/v1000", "sparc"])
def test_what_is_no_architecture(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        arch.machine(text)
    assert caught.value.setting == "arch"


def test_zstd_is_preferred_within_a_platform() -> None:
    """Of clients since 2023: an annotation says which of two alike has zstd layers."""
    platform = {"os": "linux", "architecture": "amd64"}
    entries = [
        {"mediaType": "x", "size": 1, "digest": f"sha256:{n:064d}", "platform": platform}
        for n in range(3)
    ]
    entries[1]["annotations"] = {"io.github.containers.compression.zstd": "true"}
    entries[2]["annotations"] = {"io.github.containers.compression.zstd": "true"}
    for kind, number in ((OCI, 1), (DOCKER, 0)):
        value = {"schemaVersion": 2, "mediaType": kind, "manifests": entries}
        parsed = parse_any(json.dumps(value).encode(), "it")
        assert not isinstance(parsed, Manifest)
        found = choose(parsed, arch.machine("x86_64"), "it")
        assert found.platform.descriptor.digest == entries[number]["digest"]


def sources(images: Path, server: Registry, names: list[str]) -> tuple[dict[str, str], Any]:
    """Return one index at every place that can hold one, and its images by name."""
    layout, made = variants(images / "index")
    layout.finish(*(made[name] for name in names))
    out = {"oci": f"oci:{layout.place}"}
    for transport in ("oci-archive", "dir"):
        out[transport] = f"{transport}:{images / transport}"
        copy = ["skopeo", "copy", "--insecure-policy", "--all", out["oci"], out[transport]]
        subprocess.run(copy, check=True, capture_output=True)
    out["docker"] = f"{server.host}/{images.name.lower().replace('_', '0')}:1"
    copy = ["skopeo", "copy", "--insecure-policy", "--all", "--dest-tls-verify=false"]
    subprocess.run(
        [*copy, out["oci"], f"docker://{out['docker']}"], check=True, capture_output=True
    )
    return out, made


def test_the_best_and_not_the_first(diskgen: Program, images: Path, server: Registry) -> None:
    places, made = sources(images, server, ["amd64/v3", "amd64", "arm64"])
    for source in places.values():
        done = diskgen.run("plan", "raw", source, PLAIN, "--json", "--arch", "x86_64")
        plan = json.loads(done.stdout)
        assert plan["image"]["digest"] == made["amd64"]["digest"], source
        assert plan["image"]["platform"] == "linux/amd64"
        assert "of its index linux/amd64" in done.stderr
        assert not any("--arch" in warning for warning in plan["warnings"])
        asked = json.loads(diskgen("plan", "raw", source, PLAIN, "--json", "--arch", "amd64/v3"))
        assert asked["image"]["digest"] == made["amd64/v3"]["digest"], source
        assert any("updates from it takes linux/amd64:" in warning for warning in asked["warnings"])
        for words, which in ((["x86_64"], "amd64"), (["x86_64/v3"], "amd64/v3")):
            facts = json.loads(diskgen("inspect", source, PLAIN, "--json", "--arch", *words))
            assert facts["digest"] == made[which]["digest"], source
            assert facts["labels"]["which"] == which
            assert facts["platform"] == f"linux/{which}"
    assert "linux/amd64 of an index" in diskgen("plan", "raw", places["oci"], "--arch", "x86_64")


def test_a_medium_says_what_it_took(diskgen: Program, images: Path, server: Registry) -> None:
    """Whether the image goes onto it, or only its description was read."""
    places, made = sources(images, server, ["amd64/v3", "amd64", "arm64"])
    installers.machine(images / "own", installers.own_runtime())
    words = ("--target-imgref", "q.io/a", "--installer", f"oci:{images / 'own'}", PLAIN, "--arch")
    for kind, how in (("oci", "embedded"), ("docker", "embedded"), ("docker", "remote")):
        for asked, which in (("x86_64", "amd64"), ("x86_64/v3", "amd64/v3")):
            argv = ("plan", "iso", places[kind], "--payload", how, *words, asked)
            image = json.loads(diskgen(*argv, "--json"))["image"]
            assert image["digest"] == made[which]["digest"]
            assert image["platform"] == f"linux/{which}"
    assert "linux/amd64 of an index" in diskgen("plan", "iso", places["oci"], *words, "x86_64")


def test_a_variant_alone_is_not_taken_unasked(
    diskgen: Program, images: Path, server: Registry
) -> None:
    places, made = sources(images, server, ["amd64/v2", "arm64"])
    for source in places.values():
        for words in (
            ("plan", "raw"),
            ("plan", "iso", "--target-imgref", "quay.io/a/b:1"),
            ("inspect",),
        ):
            done = diskgen.run(*words, source, PLAIN, "--arch", "x86_64")
            assert done.returncode == 3, done.stderr
            assert "has no image for x86_64 (amd64)" in done.stderr
            assert "--arch x86_64/v2" in done.stderr
        plan = json.loads(diskgen("plan", "raw", source, PLAIN, "--json", "--arch", "x86_64/v2"))
        assert plan["image"]["digest"] == made["amd64/v2"]["digest"]
        assert any("finds no image in it" in warning for warning in plan["warnings"])


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (None, "lacks 'architecture'"),
        ("", "lacks 'architecture'"),
        ("x86_64", "has the architecture 'x86_64', which images call 'amd64'"),
        ("aarch64", "has the architecture 'aarch64', which images call 'arm64'"),
        ("arm64", "is an image for 'arm64', not for x86_64"),
        ("mips", "is an image for 'mips', not for x86_64"),
        (["amd64"], "is an image for '['amd64']'"),
    ],
)
def test_a_config_that_names_no_architecture(
    diskgen: Program, images: Path, found: object, text: str
) -> None:
    layout = Layout(images / "odd")
    descriptor = layout.image([layout.layer(bootable_tar())])
    manifest = json.loads((layout.place / "blobs" / name(descriptor)).read_bytes())
    config = json.loads((layout.place / "blobs" / name(manifest["config"])).read_bytes())
    config["architecture"] = found
    if found is None:
        del config["architecture"]
    data = json.dumps(config).encode()
    manifest["config"] |= {"digest": layout.blob(data), "size": len(data)}
    data = json.dumps(manifest).encode()
    layout.finish({**descriptor, "digest": layout.blob(data), "size": len(data)})
    for words in (
        ("plan", "raw"),
        ("plan", "iso", "--target-imgref", "quay.io/a/b:1"),
        ("inspect",),
    ):
        done = diskgen.run(*words, f"oci:{layout.place}", "--arch", "x86_64")
        assert done.returncode == 3, done.stderr
        assert text in done.stderr
        assert "hint: " in done.stderr
        if "lacks" in text or "call" in text:
            assert "umoci config --architecture" in done.stderr


def name(descriptor: dict[str, Any]) -> str:
    return str(descriptor["digest"]).replace(":", "/")

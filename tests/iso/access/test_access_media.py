"""Media whose image is signed or behind a password, judged by what would install from them."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from diskgen.errors import UsageError
from diskgen.iso.access import insecure
from diskgen.iso.kickstarts.kickstart import Settings, fragments

from ...fixtures import installers
from ...fixtures.program import Program
from ...fixtures.registry import Registry, registry

POST = re.compile(r"^%post [^\n]*--erroronfail[^\n]*\n(.*?)^%end", re.MULTILINE | re.DOTALL)
DIGEST = "sha256:" + "5" * 64


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return GnuPG's directory with one key in it, and the public part beside."""
    place = tmp_path_factory.mktemp("gpg", numbered=True)
    home = Path("/tmp") / f"diskgen-gpg-{os.getpid()}"  # a socket's path is short
    home.mkdir(mode=0o700)
    env = {**os.environ, "GNUPGHOME": str(home)}
    subprocess.run(["gpg", "--batch", "--passphrase", "", "--quick-gen-key", "os@example.org",
                    "rsa2048"], env=env, check=True, capture_output=True)  # fmt: skip
    key = subprocess.run(["gpg", "--export"], env=env, check=True, capture_output=True).stdout
    (home / "key.pub").write_bytes(key)
    yield home
    subprocess.run(["gpgconf", "--kill", "all"], env=env, check=False)
    shutil.rmtree(home)
    shutil.rmtree(place)


def unpacked(iso: Path, place: Path) -> Path:
    tree = place / "tree"
    subprocess.run(["xorriso", "-osirrox", "on", "-indev", iso, "-extract", "/", tree],
                   check=True, capture_output=True)  # fmt: skip
    subprocess.run(["chmod", "-R", "u+w", tree], check=True)
    return tree


def overlaid(tree: Path, place: Path) -> Path:
    """Return what Anaconda's runtime is given, unpacked as its initramfs does it."""
    root = place / "overlay"
    root.mkdir()
    data = subprocess.run(["xz", "-dc", tree / "images/product.img"], check=True,
                          capture_output=True).stdout  # fmt: skip
    subprocess.run(["cpio", "-idm", "--quiet", "--no-absolute-filenames"], input=data, cwd=root,
                   check=True)  # fmt: skip
    return root


def test_signed_and_remote_can_be_installed(
    diskgen: Program, images: Path, server: Registry, home: Path, tmp_path: Path
) -> None:
    """By skopeo with the medium's policy, key and place of signatures; unsigned it is refused."""
    layout = installers.machine(images / "os", installers.bootupd())
    other = installers.installer(images / "anaconda", installers.anaconda())
    server.push(layout, "unsigned/os")
    lookaside = tmp_path / "signatures"
    where = diskgen.place / "registries.d"
    where.mkdir()
    staging = f"docker:\n  {server.host}:\n    lookaside: file://{lookaside}\n"
    (where / "site.yaml").write_text(f"{staging}    sigstore: file://{lookaside}\n")
    env = {**os.environ, "GNUPGHOME": str(home)}
    subprocess.run(
        ["skopeo", "--insecure-policy", "--registries.d", where, "copy", "--sign-by",
         "os@example.org", "--dest-tls-verify=false", f"oci:{layout}",
         f"docker://{server.host}/signed/os:latest"], env=env, check=True, capture_output=True,
    )  # fmt: skip
    rule = [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": str(diskgen.place / "key.pub")}]
    shutil.copy(home / "key.pub", diskgen.place)
    policy = diskgen.place / "policy.json"
    policy.write_text(
        json.dumps({"default": [{"type": "reject"}],
                    "transports": {"docker": {server.host: rule},
                                   "oci": {"": [{"type": "insecureAcceptAnything"}]}}})
    )  # fmt: skip
    iso = diskgen.place / "os.iso"
    words = ("iso", f"{server.host}/signed/os:latest", "--tls-verify=false", "--remote-payload",
             "--mode", "image", "--installer", f"oci:{other}", "--target-signature",
             "ostree-image-signed", "--unattended", "vda", "-o", iso)  # fmt: skip
    done = diskgen.run(*words)
    assert done.returncode == 2
    assert "--signature-policy" in done.stderr
    diskgen(*words, "--signature-policy", policy, "--registries-d", where)
    tree = unpacked(iso, tmp_path)
    root = overlaid(tree, tmp_path)
    for name in ("unattended-image.ks", "image-remote.ks"):
        text = (tree / "diskgen" / name).read_text()
        assert "--no-signature-verification" not in text
        assert "rule='ostree-image-signed:docker://'" in text
    given = tmp_path / "policy.json"
    text = (root / "etc/containers/policy.json").read_text()
    given.write_text(text.replace("/etc/pki/containers", f"{root}/etc/pki/containers"))
    copy: list[str | Path] = [
        "skopeo", "--policy", given, "--registries.d", root / "etc/containers/registries.d",
        "--registries-conf", root / "etc/containers/registries.conf.d/999-diskgen.conf", "copy",
    ]  # fmt: skip
    subprocess.run([*copy, f"docker://{server.host}/signed/os", f"dir:{tmp_path}/a"], check=True,
                   capture_output=True)  # fmt: skip
    done_ = subprocess.run([*copy, f"docker://{server.host}/unsigned/os", f"dir:{tmp_path}/b"],
                           check=False, capture_output=True, text=True)  # fmt: skip
    assert done_.returncode != 0
    assert "signature" in done_.stderr


def test_credentials_let_our_installer_in(diskgen: Program, images: Path, tmp_path: Path) -> None:
    """They are on the medium for it alone, in its initramfs as well; nobody else may read it."""
    layout = installers.machine(images / "os", installers.own_runtime())
    place = tmp_path / "registry"
    place.mkdir()
    with registry(place, auth=True) as closed:
        closed.push(layout, "tiny/os")
        auth = diskgen.place / "auth.json"
        secret = base64.b64encode(b"user:secret").decode()
        auth.write_text(json.dumps({"auths": {closed.host: {"auth": secret}}}))
        diskgen.own(auth)
        iso = diskgen.place / "os.iso"
        diskgen("iso", f"{closed.host}/tiny/os", "--tls-verify=false", "--authfile", auth,
                "--embed-authfile", "--payload", "both", "-o", iso)  # fmt: skip
        assert iso.stat().st_mode & 0o777 == 0o600
        tree = unpacked(iso, tmp_path)
        root = tree / "diskgen/runtime"
        insecure = root / "etc/containers/registries.conf.d/999-diskgen.conf"
        inspect: list[str | Path] = [
            "skopeo", "--registries-conf", insecure, "inspect", "--raw", f"docker://{closed.host}/tiny/os",
        ]  # fmt: skip
        assert subprocess.run(inspect, check=False, capture_output=True).returncode != 0
        inspect[-1:-1] = ["--authfile", root / "etc/ostree/auth.json"]
        subprocess.run(inspect, check=True, capture_output=True)
    packed = (tree / "images/pxeboot/initrd.img").read_bytes()
    data = zstandard.ZstdDecompressor().decompressobj().decompress(packed)
    names = set(installers.cpio(data))
    files = {str(path.relative_to(tree)) for path in root.rglob("*") if path.is_file()}
    assert files <= names
    assert "diskgen/runtime/usr/lib/systemd/system-environment-generators/80-diskgen-proxy" in files
    assert not any(name.startswith("diskgen/container") for name in names)


MIRRORED = """unqualified-search-registries = ["registry.invalid"]
[[registry]]
location = "{other}"
blocked = true
[[registry]]
prefix = "{prefix}"
location = "registry.invalid"
[[registry.mirror]]
location = "{host}/mirrored"
"""


@pytest.mark.parametrize(
    ("prefix", "other", "place"),
    [("registry.invalid/mine", "registry.invalid", "os"), ("*.invalid", "q.invalid", "mine/os")],
)
def test_an_unverified_registry_keeps_its_mirrors(
    prefix: str, other: str, place: str, server: Registry, tmp_path: Path
) -> None:
    """skopeo finds the image in the mirror, without TLS, by the file that replaces the entry."""
    server.push(installers.machine(tmp_path / "os"), f"mirrored/{place}")
    conf = MIRRORED.format(prefix=prefix, other=other, host=server.host)
    text = insecure.drop_in("registry.invalid/mine/os:latest", "registry.invalid", conf.encode())
    made = tmp_path / "made.conf"
    for given, works in ((conf, False), (text, True)):
        made.write_text(given)
        done = subprocess.run(
            ["skopeo", "--registries-conf", made, "inspect", "--raw",
             "docker://registry.invalid/mine/os:latest"], check=False, capture_output=True,
        )  # fmt: skip
        assert (done.returncode == 0) is works, done.stderr
    plain = '[[registry]]\nlocation = "q.io"\ninsecure = true\n'
    for said in (None, b"", conf.encode()):
        assert insecure.drop_in("q.io/a:1", "q.io", said) == plain
    with pytest.raises(UsageError, match="cannot be read") as caught:
        insecure.drop_in("q.io/a:1", "q.io", b"registry = 5")
    assert caught.value.setting == "registries-conf"


def script(settings: Settings, name: str, number: int, place: Path) -> str:
    """Return a script of a kickstart, for a machine whose root is a directory."""
    text: str = POST.findall(fragments(settings, "F44")[name])[number]
    for path in ("/sysroot/ostree/repo", "/ostree/deploy", "/etc/"):
        text = re.sub(rf"(?<![\w/]){path}", f"{place}{path}", text)
    return text


def bash(text: str, **env: str) -> None:
    done = subprocess.run(["bash", "-c", text], capture_output=True, text=True, check=False,
                          env={**os.environ, **env})  # fmt: skip
    assert done.returncode == 0, done.stderr


def ostree(place: Path, *words: str) -> str:
    repo = place / "sysroot/ostree/repo"
    done = subprocess.run(["ostree", f"--repo={repo}", *words], check=True, capture_output=True,
                          text=True)  # fmt: skip
    return done.stdout


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """Return the root of a machine as Anaconda leaves it before the scripts run."""
    place = tmp_path / "machine"
    for name in ("sysroot/ostree/repo", "ostree/deploy/default/deploy", "etc/ostree/remotes.d",
                 "empty", "bin"):  # fmt: skip
        (place / name).mkdir(parents=True)
    ostree(place, "init", "--mode=bare-user")
    (place / "bin/bootc").write_text("#!/bin/sh\nexit 1\n")
    (place / "bin/bootc").chmod(0o755)
    return place


def deployed(place: Path, *metadata: str) -> None:
    commit = ostree(place, "commit", "--branch=x", f"--tree=dir={place}/empty", *metadata).strip()
    origin = place / f"ostree/deploy/default/deploy/{commit}.0.origin"
    origin.write_text("[origin]\ncontainer-image-reference=ostree-unverified-image:oci:/run/x\n")


@pytest.mark.parametrize(
    ("name", "metadata", "digest"),
    [
        ("image-offline.ks", True, "sha256:" + "7" * 64),
        ("image-remote.ks", True, "sha256:" + "7" * 64),
        ("image-offline.ks", False, DIGEST),
        ("image-remote.ks", False, None),  # better none than the build's
    ],
)
def test_what_is_really_installed_is_written_down(
    name: str, metadata: bool, digest: str | None, machine: Path
) -> None:
    words = [f"--add-metadata-string=ostree.manifest-digest={digest}"] if metadata else []
    deployed(machine, *words)
    settings = Settings(reference="quay.io/a/os:1", digest=DIGEST)
    for number in (0, 1):
        text = script(settings, name, number, machine).replace("@@REF@@", "quay.io/a/os:1")
        bash(text, PATH=f"{machine}/bin:{os.environ['PATH']}")
    assert json.loads((machine / "etc/diskgen-install.json").read_text()) == {
        "mode": "image", "reference": "quay.io/a/os:1", "digest": digest,
    }  # fmt: skip


@pytest.mark.parametrize("ours", [True, False])
def test_anacondas_remote_is_removed(ours: bool, machine: Path) -> None:
    """Both that in the repository and that in /etc; one of the image's own stays."""
    url = "/run/install/repo/diskgen/container" if ours else "https://example.org/repo"
    deployed(machine)
    ostree(machine, "remote", "add", "default", url)
    conf = machine / "etc/ostree/remotes.d/default.conf"
    conf.write_text(f'[remote "default"]\nurl={url}\ngpg-verify=false\n')
    settings = Settings(reference="quay.io/a/os:1", digest=DIGEST)
    text = script(settings, "image-offline.ks", 0, machine)
    bash(text, PATH=f"{machine}/bin:{os.environ['PATH']}")
    assert ostree(machine, "remote", "list").split() == ([] if ours else ["default"])
    assert conf.exists() != ours


def test_a_remotes_key_reaches_the_machine(machine: Path, home: Path) -> None:
    key = (home / "key.pub").read_bytes()
    settings = Settings(
        reference="quay.io/a/os:1", digest=DIGEST, remote=("site", key), verified=False,
        rule="ostree-remote-registry:site:",
    )  # fmt: skip
    deployed(machine)
    bash(script(settings, "image-offline.ks", 0, machine),
         PATH=f"{machine}/bin:{os.environ['PATH']}")  # fmt: skip
    (origin,) = (machine / "ostree/deploy/default/deploy").glob("*.origin")
    assert "=ostree-remote-registry:site:quay.io/a/os:1\n" in origin.read_text()
    bash(script(settings, "image-offline.ks", 1, machine))
    assert ostree(machine, "remote", "list").split() == ["site"]
    assert "os@example.org" in ostree(machine, "remote", "gpg-list-keys", "site")
    assert "gpg-verify=true" in (machine / "sysroot/ostree/repo/config").read_text()

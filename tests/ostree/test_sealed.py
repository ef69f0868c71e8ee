"""Roots under fs-verity: what is sealed of a machine, what says so, and which signatures count."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import stat
import subprocess
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from diskgen.disk.ext4.reader import Reader
from diskgen.errors import HostError, SourceError
from diskgen.fsverity import seal
from diskgen.gvariant import array, pack, vardict
from diskgen.ostree import composefs, ed25519, signing
from diskgen.ostree.encapsulated import Base
from diskgen.ostree.facts import UnfitError, examine
from diskgen.ostree.objects import ObjectSet
from diskgen.ostree.stack import Stack, digest_of
from diskgen.ostree.stack import seal as seal_all
from diskgen.tree import Directory, File, Packed, regular

from ..fixtures.oci import TarBuilder, bootable
from ..fixtures.ostree_samples import LABELS, f, merged
from ..fixtures.program import Program, fingerprint
from ..oracles.fsverity import sealed

KEY = "/etc/ostree/initramfs-root-binding.key"
VERITY = 0x0010_0000


def asking(mode: str, *files: tuple[str, bytes]) -> bytes:
    """Return a layer that asks for a guarded root, and has files to guard."""
    tar = TarBuilder()
    text = f"[composefs]\nenabled = {mode}\n[sysroot]\nreadonly = true\n"
    tar.file("usr/lib/ostree/prepare-root.conf", text.encode())
    for path, data in files:
        tar.file(path, data)
    return tar.finish()


CONTENTS = tuple(
    (f"usr/share/sizes/{size}", bytes([size % 251 + 1]) * size)
    for size in (0, 1, 4096, 4097, 70_000, 600_000)
)


@pytest.fixture
def layout(images: Path) -> Path:
    return bootable(images / "os", asking("verity", *CONTENTS))


@contextmanager
def root_of(disk: Path, plan: str) -> Generator[Reader]:
    part = json.loads(plan)["disk"]["partitions"][-1]
    with disk.open("rb") as file:
        yield Reader(lambda at, length: os.pread(file.fileno(), length, at), part["start"])


def guarded(reader: Reader, path: str = "") -> dict[str, bytes]:
    """Return the contents of all files of a root that have the flag, by path."""
    found: dict[str, bytes] = {}
    node = reader.find(path) if path else reader.top
    assert node is not None
    for name, number in reader.entries(node).items():
        below = f"{path}/{name.decode()}"
        child = reader.node(number)
        if child.is_dir:
            found |= guarded(reader, below)
        elif child.is_file and child.flags & VERITY:
            found[below] = reader.read(child, 1 << 30)
    return found


def test_a_machine_is_guarded(diskgen: Program, layout: Path, tmp_path: Path) -> None:
    """Each object, the composefs image, the repository's configuration; nothing that changes."""
    words = ("raw", f"oci:{layout}")
    plan = diskgen("plan", *words, "--json")
    diskgen(*words)
    with root_of(diskgen.place / "os.raw", plan) as reader:
        found = guarded(reader)
        every = reader.find("ostree/repo/objects")
        assert every is not None
        files = [
            f"/ostree/repo/objects/{bucket.decode()}/{name.decode()}"
            for bucket, number in reader.entries(every).items()
            for name, child in reader.entries(reader.node(number)).items()
            if name.endswith(b".file") and reader.node(child).is_file
        ]
    objects = {p: d for p, d in found.items() if p.startswith("/ostree/repo/objects/")}
    assert found["/ostree/repo/config"].endswith(b"\n[ex-integrity]\nfsverity=true\n")
    (image,) = (data for path, data in found.items() if path.endswith("/.ostree.cfs"))
    assert sorted(objects) == sorted(files)
    named = {
        data: sealed(data, tmp_path).digest in image
        for path, data in objects.items()
        if path.removeprefix("/ostree/repo/objects").encode() in image
    }
    assert named.keys() >= {data for _path, data in CONTENTS if data}
    assert all(named.values())
    outside = {path for path in found if path not in objects}
    rest = re.compile(
        r"/ostree/repo/config|/ostree/deploy/default/deploy/[0-9a-f]{64}\.0/(\.ostree\.cfs|usr/.*)"
    )
    assert [path for path in outside if not rest.fullmatch(path)] == []
    assert not any("/usr/etc/" not in path and "/etc/" in path for path in outside)


def test_the_same_bytes_cold_and_warm(diskgen: Program, layout: Path) -> None:
    diskgen("raw", f"oci:{layout}", "-o", "cold.raw")
    assert list(diskgen.cache.rglob("*.seals"))
    diskgen("raw", f"oci:{layout}", "-o", "warm.raw")
    cold, warm = (fingerprint(diskgen.place / f"{name}.raw") for name in ("cold", "warm"))
    assert cold == warm


def test_a_filesystem_without_it_is_refused_by_name(diskgen: Program, layout: Path) -> None:
    done = diskgen.run("plan", "raw", f"oci:{layout}", "--rootfs", "xfs")
    assert done.returncode == 3
    assert "composefs.enabled=verity), which diskgen does not write on xfs" in done.stderr
    assert "--rootfs ext4" in done.stderr


def test_more_than_may_be_sealed_is_refused() -> None:
    hole = Packed(Path("/nonexistent"), 65 << 30, ())
    file = File(mode=stat.S_IFREG, content=hole)
    tree = Directory(entries={b"f": file})
    with pytest.raises(SourceError, match="budget 'sealed-bytes'"):
        seal_all(Stack(base=None, layers=(), merged=tree, warnings=()), lambda _bytes: None)


class Signed:
    """An image's tree, and the commit of it that was signed, by openssl."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.private = place / "key.pem"
        run("openssl", "genpkey", "-algorithm", "ed25519", "-out", self.private)
        public = run("openssl", "pkey", "-in", self.private, "-pubout", "-outform", "DER")
        self.key = public[-32:]
        self.tree = merged()
        config = b"[composefs]\nenabled=signed\n"
        self.add("usr/lib/ostree/prepare-root.conf", config)
        self.add("usr/etc/ostree/initramfs-root-binding.key", base64.b64encode(self.key) + b"\n")

    def add(self, path: str, data: bytes) -> None:
        file = regular(data)
        file.checksum = bytes(32)
        self.tree.add(path, file)

    def digest(self) -> bytes:
        stack = Stack(base=None, layers=(), merged=self.tree, warnings=())
        seal_all(stack, lambda _bytes: None)
        return seal(composefs.image(self.tree, digest_of)).digest

    def base(self, *, digest: bytes | None = None, kind: bytes = b"ay") -> Base:
        """Return the commit, signed."""
        value = (self.digest() if digest is None else digest) + b"\0" + kind
        tree, meta = ObjectSet().add_tree(self.tree)
        data = pack(
            (vardict({"ostree.composefs.digest.v0": value}), 8, False), (b"", 1, False),
            (b"", 1, False), (b"\0", 1, False), (b"\0", 1, False), (bytes(8), 8, True),
            (tree, 1, False), (meta, 1, False),
        )  # fmt: skip
        (self.place / "commit").write_bytes(data)
        self.signature = run(
            "openssl", "pkeyutl", "-sign", "-rawin", "-inkey", self.private,
            "-in", self.place / "commit",
        )  # fmt: skip
        signatures = vardict({"ostree.sign.ed25519": array([bytes(64), self.signature]) + b"\0aay"})
        return Base(
            commit=hashlib.sha256(data).digest(), commit_data=data, commitmeta=signatures,
            dirtrees={}, dirmetas={},
            tree=self.tree, chunks=(),
        )  # fmt: skip


def run(*argv: str | Path) -> bytes:
    return subprocess.run(argv, check=True, capture_output=True).stdout


@pytest.fixture
def signed(tmp_path: Path) -> Signed:
    return Signed(tmp_path)


def problems(signed: Signed, base: Base | None) -> str:
    return " ".join(problem.message for problem in signing.problems(signed.tree, base))


def test_a_signed_root_is_taken(signed: Signed) -> None:
    base = signed.base()
    facts = examine(signed.tree, LABELS, "x86_64", base=base)
    assert facts.composefs.sealed
    signing.check_digest(base, signed.digest())


def test_what_was_changed_above_the_base_is_refused(signed: Signed) -> None:
    base = signed.base()
    signed.add("usr/bin/new", b"new")
    with pytest.raises(SourceError, match="is another one than was signed") as caught:
        signing.check_digest(base, signed.digest())
    assert "enabled=verity" in (caught.value.hint or "")


def _without_base(signed: Signed) -> str:
    return problems(signed, None)


def _without_keys(signed: Signed) -> str:
    del signed.tree.make_dirs("usr/etc/ostree").entries[b"initramfs-root-binding.key"]
    return problems(signed, signed.base())


def _with_broken_keys(signed: Signed) -> str:
    signed.add("usr/etc/ostree/initramfs-root-binding.key", b"not base64!\n")
    return problems(signed, signed.base())


def _with_keys_of_other_letters(signed: Signed) -> str:
    signed.add("usr/etc/ostree/initramfs-root-binding.key", "schlüssel\n".encode())
    return problems(signed, signed.base())


def _with_short_keys(signed: Signed) -> str:
    signed.add("usr/etc/ostree/initramfs-root-binding.key", base64.b64encode(b"short"))
    return problems(signed, signed.base())


def _by_another_key(signed: Signed) -> str:
    other = base64.b64encode(hashlib.sha256(b"other").digest())
    signed.add("usr/etc/ostree/initramfs-root-binding.key", other)
    return problems(signed, signed.base())


def _elsewhere(signed: Signed) -> str:
    config = b"[composefs]\nenabled=signed\nkeypath=/usr/lib/keys\n"
    signed.add("usr/lib/ostree/prepare-root.conf", config)
    return problems(signed, signed.base())


def _unsigned(signed: Signed) -> str:
    return problems(signed, replace(signed.base(), commitmeta=None))


def _with_another_commit(signed: Signed) -> str:
    return problems(signed, replace(signed.base(), commit_data=signed.base(kind=b"at").commit_data))


def _naming_no_root(signed: Signed) -> str:
    return problems(signed, signed.base(digest=b"short"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_without_base, "made of layers alone"),
        (_without_keys, f"no keys for that in '{KEY}'"),
        (_with_broken_keys, f"'{KEY}' does not hold keys of Ed25519"),
        (_with_keys_of_other_letters, f"'{KEY}' does not hold keys of Ed25519"),
        (_with_short_keys, f"'{KEY}' does not hold keys of Ed25519"),
        (_by_another_key, "none of its keys has signed its commit"),
        (_elsewhere, "no keys for that in '/usr/lib/keys'"),
        (_unsigned, "has no signature of Ed25519"),
        (_with_another_commit, "none of its keys has signed its commit"),
        (_naming_no_root, "names no root ('ostree.composefs.digest.v0')"),
    ],
)
def test_what_a_machine_would_refuse_is_refused_here(
    signed: Signed, change: Callable[[Signed], str], told: str
) -> None:
    assert told in change(signed)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (b"CONFIG_FS=y\nCONFIG_FS_VERITY=y\n", False),
        (b"# CONFIG_FS_VERITY is not set\n", True),
        (b"CONFIG_FS_VERITY_BUILTIN_SIGNATURES=y\n", True),
        (None, False),
    ],
)
def test_a_kernel_that_says_it_cannot_is_refused(config: bytes | None, told: bool) -> None:
    files = [f("usr/lib/ostree/prepare-root.conf", b"[composefs]\nenabled=verity\n")]
    if config is not None:
        files.append(f("usr/lib/modules/6.1.0-test/config", config))
    tree = merged(*files)
    if not told:
        assert examine(tree, LABELS, "x86_64").composefs.sealed
        return
    with pytest.raises(UnfitError, match=r"kernel '6\.1\.0-test' has no fs-verity"):
        examine(tree, LABELS, "x86_64")
    plain = merged(*files[1:])
    assert not examine(plain, LABELS, "x86_64").composefs.sealed


def test_it_is_told_with_all_else_of_the_image(signed: Signed) -> None:
    with pytest.raises(UnfitError) as caught:
        examine(signed.tree, {}, "x86_64", base=None)
    assert [problem.code for problem in caught.value.problems] == ["not-bootable", "composefs"]


@pytest.mark.parametrize("data", [b"\xff", b"\1\2\3", bytes(40), b"a\0" * 9])
def test_malformed_signatures_are_an_error_of_the_image(signed: Signed, data: bytes) -> None:
    for meta in (data, vardict({"ostree.sign.ed25519": data + b"\0aay"})):
        base = replace(signed.base(), commitmeta=meta)
        try:
            told = problems(signed, base)
        except SourceError as error:
            told = error.message
        assert "has no signature" in told or "malformed" in told


def test_signatures_are_verified(signed: Signed) -> None:
    """What openssl signed, and no bit of it changed: RFC 8032 by libcrypto."""
    base = signed.base()
    signature = signed.signature
    assert ed25519.verify(signed.key, signature, base.commit_data) is True
    for at in range(0, 64, 7):
        wrong = bytearray(signature)
        wrong[at] ^= 1
        assert ed25519.verify(signed.key, bytes(wrong), base.commit_data) is False
    assert ed25519.verify(signed.key, signature, base.commit_data + b"x") is False
    assert ed25519.verify(bytes(32), signature, base.commit_data) is False
    assert ed25519.verify(b"short", signature, base.commit_data) is False


def test_signatures_that_cannot_be_verified_are_no_good_ones(
    signed: Signed, monkeypatch: pytest.MonkeyPatch
) -> None:
    ed25519._library.cache_clear()
    monkeypatch.setattr(ed25519, "_NAMES", ("libnothing-of-ours.so",))
    try:
        with pytest.raises(HostError, match="libcrypto"):
            problems(signed, signed.base())
    finally:
        ed25519._library.cache_clear()

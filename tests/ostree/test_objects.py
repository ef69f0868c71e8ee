"""GVariant and ostree objects: an independent decoder and the real ostree are the judges."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import stat
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diskgen import gvariant
from diskgen.errors import SourceError
from diskgen.image.index import Entry
from diskgen.image.model import Image
from diskgen.ostree import objects as ostree_objects
from diskgen.ostree.commit import canonical_json, image_timestamp, layer_commit, merge_commit
from diskgen.ostree.layertree import layer_tree
from diskgen.ostree.objects import ObjectSet
from diskgen.tree import Directory, File, regular, symlink

from ..fixtures.ostree_samples import (
    CREATED,
    TIMESTAMP,
    checksum,
    d,
    f,
    image,
    layer,
    ostree,
    s,
    write_tar,
)

# --- a decoder that shares nothing with the encoder ------------------------------------------


def _split(signature: str) -> list[str]:
    """Split the inside of a tuple's type into its members' types."""
    members = []
    while signature:
        end = 0
        while signature[end] == "a":
            end += 1
        depth = 0
        while True:
            depth += {"(": 1, "{": 1, ")": -1, "}": -1}.get(signature[end], 0)
            end += 1
            if depth == 0:
                break
        members.append(signature[:end])
        signature = signature[end:]
    return members


def _alignment(kind: str) -> int:
    if kind[0] in "({":
        return max(_alignment(member) for member in _split(kind[1:-1]))
    return {"y": 1, "s": 1, "u": 4, "t": 8, "v": 8}.get(kind[0]) or _alignment(kind[1:])


def _fixed(kind: str) -> int | None:
    if kind[0] in "({":
        sizes = [_fixed(member) for member in _split(kind[1:-1])]
        assert None in sizes, "no type of ostree's is a tuple of fixed size"
        return None
    return {"y": 1, "u": 4, "t": 8}.get(kind)


def _offsets(data: bytes, count: int) -> list[int]:
    width = next(w for w, limit in ((1, 2**8), (2, 2**16), (4, 2**32)) if len(data) < limit)
    at = len(data) - width * count
    return [
        int.from_bytes(data[at + width * n : at + width * (n + 1)], "little") for n in range(count)
    ]


def decode(kind: str, data: bytes) -> Any:
    """Return the value of a serialised GVariant; byte arrays as bytes, integers big-endian."""
    if kind == "ay":
        return data
    if kind == "s":
        assert data.endswith(b"\0")
        return data[:-1].decode()
    if kind in ("u", "t"):
        return struct.unpack(">I" if kind == "u" else ">Q", data)[0]
    if kind == "v":
        value, _nul, inner = data.rpartition(b"\0")
        return decode(inner.decode(), value)
    if kind[0] == "a":
        if not data:
            return []
        width = next(w for w, limit in ((1, 2**8), (2, 2**16), (4, 2**32)) if len(data) < limit)
        last = int.from_bytes(data[-width:], "little")
        ends = _offsets(data, (len(data) - last) // width)
        values, at = [], 0
        for end in ends:
            at += -at % _alignment(kind[1:])
            values.append(decode(kind[1:], data[at:end]))
            at = end
        return values
    members = _split(kind[1:-1])
    variable = [n for n, member in enumerate(members[:-1]) if _fixed(member) is None]
    ends = _offsets(data, len(variable))[::-1]
    width = next(w for w, limit in ((1, 2**8), (2, 2**16), (4, 2**32)) if len(data) < limit)
    values, at = [], 0
    for number, member in enumerate(members):
        at += -at % _alignment(member)
        size = _fixed(member)
        if size is not None:
            end = at + size
        elif number == len(members) - 1:
            end = len(data) - width * len(ends)
        else:
            end = ends[variable.index(number)]
        values.append(decode(member, data[at:end]))
        at = end
    return tuple(values)


_NAMES = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=200
).map(str.encode)
_XATTRS = st.dictionaries(_NAMES, st.binary(max_size=300), max_size=4).map(
    lambda found: tuple(sorted(found.items()))
)
_IDS = st.integers(0, 2**32 - 1)


@given(uid=_IDS, gid=_IDS, mode=_IDS, xattrs=_XATTRS)
def test_dirmeta_reads_back(
    uid: int, gid: int, mode: int, xattrs: tuple[tuple[bytes, bytes], ...]
) -> None:
    data = ostree_objects.dirmeta(uid, gid, mode, xattrs)
    stored = [(name + b"\0", value) for name, value in xattrs]
    assert decode("(uuua(ayay))", data) == (uid, gid, mode, stored)


@given(mode=_IDS, uid=_IDS, gid=_IDS, target=_NAMES, xattrs=_XATTRS)
def test_file_header_reads_back(
    mode: int, uid: int, gid: int, target: bytes, xattrs: tuple[tuple[bytes, bytes], ...]
) -> None:
    data = gvariant.file_header(mode, uid, gid, target, xattrs)
    length, zeros = struct.unpack(">II", data[:8])
    assert (length, zeros) == (len(data) - 8, 0)
    stored = [(name + b"\0", value) for name, value in xattrs]
    assert decode("(uuuusa(ayay))", data[8:]) == (uid, gid, mode, 0, target.decode(), stored)


@given(
    files=st.dictionaries(_NAMES, st.binary(min_size=32, max_size=32), max_size=300),
    folders=st.sets(_NAMES, max_size=8),
)
def test_dirtree_reads_back(files: dict[bytes, bytes], folders: set[bytes]) -> None:
    root = Directory()
    for name, digest in files.items():
        root.entries[name] = File(stat.S_IFREG, checksum=digest)
    for name in folders:
        root.entries[name] = Directory(uid=len(name))
    found = ObjectSet()
    tree, meta = found.add_tree(root)
    stored_files, stored_folders = decode("(a(say)a(sayay))", found.dirtrees[tree])
    assert stored_files == [
        (name.decode(), digest) for name, digest in sorted(files.items()) if name not in folders
    ]
    assert [row[0].encode() for row in stored_folders] == sorted(folders)
    for name, sub, sub_meta in stored_folders:
        assert found.dirtrees[sub] == b"\0"  # empty: two empty arrays
        assert decode("(uuua(ayay))", found.dirmetas[sub_meta])[0] == len(name.encode())
    assert decode("(uuua(ayay))", found.dirmetas[meta]) == (0, 0, 0o40755, [])


@given(
    metadata=st.dictionaries(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=300),
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=300),
        max_size=5,
    ),
    timestamp=st.integers(0, 2**64 - 1),
)
def test_commit_reads_back(metadata: dict[str, str], timestamp: int) -> None:
    tree, meta = bytes(range(32)), bytes(range(100, 132))
    data = ostree_objects.commit(tree, meta, timestamp=timestamp, metadata=metadata)
    stored = sorted(metadata.items(), key=lambda item: item[0].encode())
    assert decode("(a{sv}aya(say)sstayay)", data) == (
        stored, b"", [], "", "", timestamp, tree, meta,
    )  # fmt: skip


# --- the real ostree ------------------------------------------------------------------------


def _commit_by_ostree(tmp_path: Path, entries: tuple[Entry, ...], *options: str) -> str:
    repo = tmp_path / "repo"
    ostree("init", f"--repo={repo}", "--mode=archive")
    tar = write_tar(tmp_path / "tree.tar", entries)
    return ostree(
        "commit", f"--repo={repo}", "--no-bindings", "--tar-autocreate-parents",
        f"--tree=tar={tar}", "--orphan", *options,
    ).strip()  # fmt: skip


@pytest.mark.parametrize("count", [0, 1, 6, 7, 8, 300, 1400, 1500, 3000])
def test_directories_of_all_sizes(count: int, tmp_path: Path) -> None:
    """Around the sizes where framing offsets get wider: 255 and 65535 bytes."""
    entries = (
        d("", mode=0o711, owner=(1, 70000)),
        *(f(f"many/{'é' if n % 2 else 'n'}{n}") for n in range(count)),
        *(d(f"more/d{n}", mode=0o700 + n % 8) for n in range(count)),
        f("long/" + "n" * 255),
        f("long/" + "m" * 221),
        f("long/" + "l" * 222),
    )
    theirs = _commit_by_ostree(tmp_path, entries, "--timestamp=@12345")
    found = ObjectSet()
    ours = found.add_commit(layer_tree(layer(*entries))[0], timestamp=12345, metadata={})
    assert ours.hex() == theirs


def test_every_object_is_the_one_ostree_stores(tmp_path: Path) -> None:
    xattrs = ((b"user.a", b"1"), (b"user.b", b"2"))
    entries = (
        f("a", b"data", mode=0o4755, owner=(3, 4), xattrs=xattrs),
        s("l", "a", owner=(5, 6)),
        d("sub", mode=0o1777, xattrs=((b"user.dir", b"x"),)),
        f("sub/empty", b""),
    )
    commit = _commit_by_ostree(tmp_path, entries, "--timestamp=@7")
    repo = tmp_path / "repo"
    found = ObjectSet()
    assert (
        found.add_commit(layer_tree(layer(*entries))[0], timestamp=7, metadata={}).hex() == commit
    )
    theirs = {
        path.parent.name + path.name
        for path in (repo / "objects").rglob("*")
        if path.is_file() and path.suffix != ".file"
    }
    ours = {f"{key.hex()}.{kind}": file for key, kind, file in found.stored() if kind != "file"}
    assert set(ours) == {name.replace(".filez", ".file") for name in theirs if "filez" not in name}
    assert {key.hex() for key in found.files} == {
        path.parent.name + path.stem for path in (repo / "objects").rglob("*.filez")
    }
    listed = ostree("ls", f"--repo={repo}", "-d", "-C", "-X", commit)
    root_tree, root_meta = found.add_tree(layer_tree(layer(*entries))[0])
    assert root_tree.hex() in listed
    assert root_meta.hex() in listed


def test_merge_commit_is_what_ostree_would_store(tmp_path: Path) -> None:
    entries = (d(""), f("usr/bin/a", b"a" * 300), d("var"))
    picture = image(2)
    found = ObjectSet()
    commit = merge_commit(found, layer_tree(layer(*entries))[0], picture, 99)
    fields = decode("(a{sv}aya(say)sstayay)", found.commits[commit])
    metadata = dict(fields[0])
    assert list(metadata) == [
        "ostree.container.image-config",
        "ostree.importer.version",
        "ostree.manifest",
        "ostree.manifest-digest",
    ]
    assert json.loads(metadata["ostree.manifest"]) == picture.manifest_json
    assert json.loads(metadata["ostree.container.image-config"]) == picture.config_json
    assert metadata["ostree.manifest-digest"] == picture.digest
    strings = [f"--add-metadata-string={key}={value}" for key, value in metadata.items()]
    theirs = _commit_by_ostree(tmp_path, entries, "--timestamp=@99", *strings)
    assert commit.hex() == theirs


def test_layer_commits_differ_by_content_only() -> None:
    one, two, other = (layer_tree(layer(f("a", data)))[0] for data in (b"1", b"1", b"2"))
    found = ObjectSet()
    assert layer_commit(found, one, 5) == layer_commit(found, two, 5)
    assert layer_commit(found, one, 5) != layer_commit(found, other, 5)
    assert layer_commit(found, one, 5) != layer_commit(found, one, 6)


def test_first_inode_stands_for_all() -> None:
    one, two = regular(b"x"), regular(b"x")
    one.checksum = two.checksum = checksum(one.mode, 0, 0, (), b"", one.content)
    found = ObjectSet()
    found.add_tree(Directory(entries={b"a": one, b"b": two}))
    assert found.canonical(two) is one
    assert found.content_bytes == 1
    link = symlink("somewhere")
    link.checksum = bytes(32)
    found.add_tree(Directory(entries={b"l": link}))
    assert found.content_bytes == 1  # a symlink's text is no content


# --- what goes into the commit ---------------------------------------------------------------


def _with(picture: Image, **manifest: Any) -> Image:
    return dataclasses.replace(
        picture, manifest=json.dumps({**picture.manifest_json, **manifest}).encode()
    )


@pytest.mark.parametrize(
    ("annotation", "created", "expected"),
    [
        (None, CREATED, TIMESTAMP),
        ("2020-01-01T00:00:00Z", CREATED, 1577836800),
        (None, "2020-01-01T01:00:00.5+01:00", 1577836800),
        ("nonsense", "2020-01-01T00:00:00Z", 1577836800),
        (None, None, 0),
        (None, 17, 0),
        (None, "0001-01-01T00:00:00Z", 0),
    ],
)
def test_timestamp(annotation: str | None, created: object, expected: int) -> None:
    picture = image(1, created=created)
    if annotation is not None:
        picture = _with(picture, annotations={"org.opencontainers.image.created": annotation})
    assert image_timestamp(picture) == expected


def test_timestamp_of_an_odd_manifest() -> None:
    assert image_timestamp(_with(image(1), annotations=["x"])) == TIMESTAMP


def test_docker_types_are_stored_as_oci_ones() -> None:
    plain = image(1)
    layers = [
        {**row, "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip"}
        for row in plain.manifest_json["layers"]
    ]
    docker = _with(
        plain,
        mediaType="application/vnd.docker.distribution.manifest.v2+json",
        config={
            **plain.manifest_json["config"],
            "mediaType": "application/vnd.docker.container.image.v1+json",
        },
        layers=layers,
    )
    stored = []
    for picture in (plain, docker):
        found = ObjectSet()
        commit = merge_commit(found, Directory(), picture, 0)
        stored.append(decode("(a{sv}aya(say)sstayay)", found.commits[commit])[0])
    assert stored[0] == stored[1]


def test_canonical_json() -> None:
    assert canonical_json({"b": [1, {"z": None, "a": "ü\n"}], "a": True}) == (
        '{"a":true,"b":[1,{"a":"ü\\n","z":null}]}'
    )


@pytest.mark.parametrize("value", ["\ud800", float("inf"), float("nan")])
def test_json_that_no_reader_takes_is_refused(value: object) -> None:
    with pytest.raises(SourceError, match="manifest or config holds"):
        canonical_json({"a": value})


def test_checksum_of_an_object_is_that_of_its_bytes() -> None:
    found = ObjectSet()
    found.add_commit(layer_tree(layer(f("a/b")))[0], timestamp=0, metadata={"k": "v"})
    for group in (found.dirtrees, found.dirmetas, found.commits):
        assert all(hashlib.sha256(data).digest() == key for key, data in group.items())

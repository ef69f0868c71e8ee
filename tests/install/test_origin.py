"""What a machine updates from: as it was written, or as a script chose it within the rule."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from diskgen.errors import VerifyError
from diskgen.events import Notice, discard
from diskgen.install import origin

WANTED = "ostree-unverified-registry:quay.io/a/os:1"


def judged_origin(tmp_path: Path, text: str, wanted: str = WANTED) -> tuple[str, list[Notice]]:
    path = tmp_path / "x.origin"
    path.write_text(text)
    said: list[Notice] = []

    def emit(event: object) -> None:
        assert isinstance(event, Notice)
        said.append(event)

    return origin.judge(path, wanted, emit), said


def test_the_origin_is_as_it_was_written(tmp_path: Path) -> None:
    assert judged_origin(tmp_path, f"[origin]\ncontainer-image-reference={WANTED}\n") == (
        "quay.io/a/os:1", [],
    )  # fmt: skip


@pytest.mark.parametrize(
    "reference",
    [
        "ostree-unverified-registry:quay.io/b/os:2",
        "ostree-image-signed:docker://quay.io/b/os:2",
        "ostree-image-signed:registry:quay.io/b/os:2",
        "ostree-unverified-image:docker://quay.io/b/os:2",
        "ostree-unverified-image:registry:quay.io/b/os:2",
        "ostree-remote-registry:fedora:quay.io/b/os:2",
        "ostree-remote-image:fedora:docker://quay.io/b/os:2",
    ],
)
def test_a_script_may_choose_another_registry(tmp_path: Path, reference: str) -> None:
    name, said = judged_origin(tmp_path, f"[origin]\ncontainer-image-reference = {reference}\n")
    assert name == "quay.io/b/os:2"
    (note,) = said
    assert reference in note.message
    assert WANTED in note.message


@pytest.mark.parametrize(
    ("wanted", "found", "same"),
    [
        ("image-signed:docker://", "image-signed:registry:", True),
        ("remote-registry:a:", "remote-image:a:docker://", True),
        ("image-signed:docker://", "unverified-registry:", False),
        ("image-signed:docker://", "remote-registry:a:", False),
        ("remote-registry:a:", "remote-registry:b:", False),
        ("remote-registry:a:", "unverified-image:docker://", False),
    ],
)
def test_a_script_does_not_choose_another_rule(
    tmp_path: Path, wanted: str, found: str, same: bool
) -> None:
    text = f"[origin]\ncontainer-image-reference=ostree-{found}quay.io/b/os:2\n"
    wish = f"ostree-{wanted}quay.io/a/os:1"
    if same:
        assert judged_origin(tmp_path, text, wish)[0] == "quay.io/b/os:2"
        return
    with pytest.raises(VerifyError, match="would not verify its updates by the rule of") as caught:
        judged_origin(tmp_path, text, wish)
    assert found in caught.value.message


@pytest.mark.parametrize(
    "reference",
    [
        "ostree-unverified-image:oci:/run/install/repo/diskgen/container",
        "ostree-unverified-image:containers-storage:x",
        "ostree-image-signed:oci-archive:/x",
        "ostree-unverified-registry:/run/install/repo",
        "ostree-unverified-registry:Quay.io/UPPER",
        "ostree-unverified-registry:",
        "quay.io/a/os:1",
        "",
    ],
)
def test_an_origin_that_is_no_registry(tmp_path: Path, reference: str) -> None:
    with pytest.raises(VerifyError, match="would not update from") as caught:
        judged_origin(tmp_path, f"[origin]\ncontainer-image-reference={reference}\n")
    assert f"its origin says '{reference}'" in caught.value.message
    assert WANTED in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        f"[DEFAULT]\ncontainer-image-reference={WANTED}\n[origin]\n",
        f"[origin]\nContainer-Image-Reference={WANTED}\n",
        f"[origin]\ncontainer-image-reference: {WANTED}\n",
    ],
)
def test_an_origin_is_read_as_glib_reads_it(tmp_path: Path, text: str) -> None:
    with pytest.raises(VerifyError, match="has no 'container-image-reference'"):
        judged_origin(tmp_path, text)


@pytest.mark.parametrize("kind", ["pipe", "link", "directory"])
def test_an_origin_that_is_no_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.origin"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":  # it would be another file on the machine itself
        (tmp_path / "elsewhere").write_text(f"[origin]\ncontainer-image-reference={WANTED}\n")
        path.symlink_to(tmp_path / "elsewhere")
    else:
        path.mkdir()
    with pytest.raises(VerifyError, match="has no 'container-image-reference'"):
        origin.judge(path, WANTED, lambda _event: None)


@pytest.mark.parametrize("text", ["", "[origin]\n", "[other]\ncontainer-image-reference=x\n",
                                  "container-image-reference=x\n", "[origin\n"])  # fmt: skip
def test_an_origin_that_says_nothing(tmp_path: Path, text: str) -> None:
    with pytest.raises(VerifyError, match="does not know where its updates come from"):
        judged_origin(tmp_path, text)
    (tmp_path / "x.origin").write_bytes(b"\xff")
    with pytest.raises(VerifyError, match=r"x\.origin"):
        origin.judge(tmp_path / "x.origin", WANTED, discard)
    with pytest.raises(VerifyError, match=r"none\.origin"):
        origin.judge(tmp_path / "none.origin", WANTED, discard)

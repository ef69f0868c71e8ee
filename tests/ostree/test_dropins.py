"""Drop-in directories of an image: hidden, masked, skipped, alike for all three kinds."""

from __future__ import annotations

import pytest

from diskgen.image.index import Entry
from diskgen.ostree.facts import UnfitError, examine
from diskgen.ostree.installconfig import read_config

from ..fixtures.ostree_samples import LABELS, d, f, merged, s

INSTALL = "usr/lib/bootc/install"
KARGS = "usr/lib/bootc/kargs.d"
BOUND = "usr/lib/bootc/bound-images.d"


def install(name: str, karg: str) -> Entry:
    return f(name, f'[install]\nkargs = ["{karg}"]\n'.encode())


@pytest.mark.parametrize("target", ["/dev/null", "../../../dev/null", "/dev/../dev/null"])
def test_a_link_to_nothing_masks(target: str) -> None:
    tree = merged(
        install(f"{INSTALL}/10.toml", "masked"),
        install(f"{INSTALL}/20.toml", "kept"),
        s("etc/bootc/install/10.toml", target),
        s(f"{KARGS}/10.toml", "/dev/null"),
        s(f"{BOUND}/app.image", "/dev/null"),
    )
    config = read_config(tree, "x86_64")
    assert config.kargs == ("kept",)
    assert config.warnings == ()
    assert examine(tree, LABELS, "x86_64").warnings == ()  # it is bound to nothing


def test_a_mask_hides_what_is_below_it_alone() -> None:
    tree = merged(
        s(f"{INSTALL}/10.toml", "/dev/null"),
        install("usr/local/lib/bootc/install/10.toml", "above"),
    )
    assert read_config(tree, "x86_64").kargs == ("above",)


def test_a_link_to_a_file_is_that_file() -> None:
    tree = merged(
        install("usr/share/x.toml", "linked"), s(f"{INSTALL}/1.toml", "/usr/share/x.toml")
    )
    assert read_config(tree, "x86_64").kargs == ("linked",)


@pytest.mark.parametrize("place", [INSTALL, "etc/bootc/install", KARGS, BOUND])
@pytest.mark.parametrize("what", [d, lambda path: s(path, "nowhere.toml")])
def test_what_is_no_file_is_skipped_with_a_warning(place: str, what: object) -> None:
    assert callable(what)
    tree = merged(install(f"{INSTALL}/10.toml", "kept"), what(f"{place}/x.toml"))
    found = examine(tree, LABELS, "x86_64")
    assert found.config.kargs == ("kept",)
    assert found.warnings == (f"'/{place}/x.toml' of the image is no file: it is skipped",)


def test_no_file_hides_none() -> None:
    tree = merged(install(f"{INSTALL}/10.toml", "below"), d("etc/bootc/install/10.toml"))
    assert read_config(tree, "x86_64").kargs == ("below",)


def test_what_is_bound_is_still_named() -> None:
    app = f("usr/share/app.image", b"[Image]\nImage=quay.io/a/b\n")
    tree = merged(app, s(f"{BOUND}/app.image", "/usr/share/app.image"))
    with pytest.raises(UnfitError, match=r"quay\.io/a/b"):
        examine(tree, LABELS, "x86_64")

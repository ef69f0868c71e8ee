"""Options beside a document: each of them counts, and what is given twice is still told."""

from __future__ import annotations

import pytest

from diskgen.blueprint.checks import faults
from diskgen.blueprint.merge import merge
from diskgen.blueprint.model import (
    AddedDirectory,
    AddedFile,
    Customizations,
    Group,
    Services,
    User,
)

DOCUMENT = Customizations(
    users=(User(name="ann", groups=("wheel",), expires=9), User(name="bea")),
    groups=(Group(name="staff", gid=900),),
    files=(AddedFile(path="/etc/a", data=b"document"),),
    directories=(AddedDirectory(path="/etc/d"),),
    services=Services(enabled=("a.service",)),
    source="config.toml",
)


def test_accounts_of_one_name_are_one() -> None:
    keys = ("ssh-ed25519 AAAA",)
    made = merge(DOCUMENT, Customizations(users=(User(name="ann", keys=keys), User(name="cem"))))
    assert made.users[0] == User(name="ann", groups=("wheel",), expires=9, keys=keys)
    assert [user.name for user in made.users] == ["ann", "bea", "cem"]
    assert made.overridden == ()


def test_the_same_again_changes_nothing() -> None:
    once = merge(DOCUMENT, DOCUMENT)
    assert merge(once, DOCUMENT) == once
    assert (once.users, once.groups, once.directories) == (
        DOCUMENT.users, DOCUMENT.groups, DOCUMENT.directories,
    )  # fmt: skip
    assert once.services == DOCUMENT.services


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Customizations(users=(User(name="ann"), User(name="ann"))), "'ann' is created twice"),
        (Customizations(users=(User(name="cem"), User(name="cem"))), "'cem' is created twice"),
        (
            Customizations(files=(AddedFile(path="/etc/a"), AddedFile(path="/etc/a", data=b"2"))),
            "'/etc/a' is written twice",
        ),
    ],
)
def test_options_given_twice_are_told_beside_a_document(
    options: Customizations, message: str
) -> None:
    assert message in [fault.message for fault in faults(merge(DOCUMENT, options))]


def test_an_option_takes_the_place_of_a_file() -> None:
    made = merge(DOCUMENT, Customizations(files=(AddedFile(path="/etc/a", data=b"option"),)))
    assert [file.data for file in made.files] == [b"option"]
    assert made.overridden == ("--add /etc/a",)

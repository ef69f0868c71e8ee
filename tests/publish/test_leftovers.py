"""What is left at places: named once, all of it; and answers that are no numbers."""

from __future__ import annotations

import pytest

from diskgen.errors import Interrupted, PublishError
from diskgen.events import discard
from diskgen.publish.answers import count_of
from diskgen.publish.leftovers import Leftovers


def refuse() -> None:
    raise PublishError("no")


def test_an_interrupt_names_what_each_block_leaves() -> None:
    def run() -> None:
        with Leftovers(discard) as outer, Leftovers(discard) as inner:
            outer.add("the image 'i'", "remove it", refuse)
            outer.add("the disk 'd'", "remove it", lambda: None)
            inner.add("the object 'o'", "remove it", refuse)
            raise Interrupted("interrupted")

    with pytest.raises(Interrupted) as caught:
        run()
    assert caught.value.left == "left behind is the object 'o', the image 'i'"


@pytest.mark.parametrize(
    ("value", "count"),
    [(5, 5), ("17", 17), (0, 0), ("", None), (-1, None), ("-1", None), (True, None), (2.5, None),
     ("\u00b2", None), ("\u0661", None), ("9" * 5000, None), (None, None), ([], None)],
)  # fmt: skip
def test_numbers_of_services(value: object, count: int | None) -> None:
    assert count_of(value) == count

"""Pauses grow and differ, within bounds; what a server asks for is understood and bounded."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diskgen.net.waiting import PASSING, asked, pause

NOW = 1_700_000_000.0


@given(
    number=st.integers(0, 10_000), first=st.floats(0, 10), most=st.floats(0, 100),
    wish=st.one_of(st.none(), st.floats(0, 1e9)), bound=st.floats(0, 300), chance=st.floats(0, 1),
)  # fmt: skip
def test_a_pause_is_within_its_bounds(
    number: int, first: float, most: float, wish: float | None, bound: float, chance: float
) -> None:
    grown = min(most, first * 2.0 ** min(number, 20))
    obeyed = min(wish or 0.0, bound)
    found = pause(number, first, most, asked=wish, bound=bound, chance=lambda: chance)
    assert obeyed + grown / 2 <= found <= obeyed + grown


def test_who_was_refused_together_does_not_come_back_together() -> None:
    found = {round(pause(3, 1, 20, asked=5, bound=300), 6) for _ in range(16)}
    assert len(found) > 8
    assert min(found) > 5


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0), ("7", 7.0), (" 120 ", 120.0), ("9" * 60_000, 1e9),
        (formatdate(NOW + 90, usegmt=True), 90.0), (formatdate(NOW - 90, usegmt=True), 0.0),
        ("", None), ("-1", None), ("1.5", None), ("soon", None), ("\u0663", None),
        ("Thu, 99 Zed 2026 00:00:00 GMT", None), ("Thu, 01 Jan 99999 00:00:00 GMT", None),
        ("x" * 60_000, None),
    ],
)  # fmt: skip
def test_what_a_server_asks_for(text: str, seconds: float | None) -> None:
    found = asked({"retry-after": text}, lambda: NOW)
    if seconds == 1e9:
        assert found is not None
        assert found >= seconds
    else:
        assert found == seconds


def test_who_asks_for_nothing() -> None:
    assert asked({}) is None


def test_what_never_goes_well_is_not_asked_again() -> None:
    assert PASSING.isdisjoint({200, 301, 400, 401, 403, 404, 407, 409, 501, 505})
    assert {408, 429, 500, 502, 503, 504, 507} <= PASSING

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diskgen.errors import UsageError
from diskgen.units import GIB, MIB, align_down, align_up, format_size, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4096", 4096),
        ("20G", 20 * GIB),
        ("20 GiB", 20 * GIB),
        ("20GB", 20 * 1000**3),
        ("1.5m", 3 * MIB // 2),
        ("0", 0),
    ],
)
def test_parse(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "G", "-1G", "1 PB", "1e9", "1G extra"])
def test_what_is_no_size_is_said_with_the_value(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_size(text, setting="disk-size")
    assert f"'{text}'" in caught.value.message
    assert caught.value.setting == "disk-size"
    assert caught.value.hint


@given(st.integers(0, 2**50), st.sampled_from([512, 4096, MIB]))
def test_alignment(value: int, grain: int) -> None:
    assert align_down(value, grain) <= value <= align_up(value, grain)
    assert align_up(value, grain) - align_down(value, grain) in (0, grain)
    assert align_up(value, grain) % grain == 0


@given(st.integers(0, 2**45))
def test_what_is_printed_reads_back_nearly(size: int) -> None:
    back = parse_size(format_size(size))
    assert abs(back - size) <= max(size // 10, 0)

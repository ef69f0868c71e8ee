from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diskgen.arch import MACHINES, machine
from diskgen.errors import UsageError
from diskgen.identifiers import derive_uuid
from diskgen.layout import DEFAULT_DISK_SIZE, GRAIN, Content, Filesystem, Role, make_layout
from diskgen.units import GIB, MIB

X86 = MACHINES["x86_64"]


def test_default_table_of_x86_64() -> None:
    layout = make_layout(X86, seed="sha256:00", content=Content(root=400 * MIB), disk_size=None)
    assert layout.size == DEFAULT_DISK_SIZE
    assert [(p.role, p.number, p.start // MIB, p.size // MIB) for p in layout.partitions] == [
        (Role.BIOS_BOOT, 1, 1, 1),
        (Role.ESP, 2, 2, 501),
        (Role.BOOT, 3, 503, 1024),
        (Role.ROOT, 4, 1527, 8712),
    ]
    assert [p.name for p in layout.partitions] == ["BIOS-BOOT", "EFI-SYSTEM", "boot", "root"]
    assert str(layout.partition(Role.ROOT).type) == "4f68bce3-e8cd-4db1-96e7-fbcaf984b709"
    assert layout.partition(Role.BIOS_BOOT).legacy_bootable


def test_identifiers_follow_the_seed_and_nothing_else() -> None:
    one = make_layout(X86, seed="a", content=Content(root=GIB), disk_size=None)
    two = make_layout(X86, seed="a", content=Content(root=2 * GIB), disk_size=20 * GIB)
    other = make_layout(X86, seed="b", content=Content(root=GIB), disk_size=None)
    assert one.disk_guid == two.disk_guid != other.disk_guid
    assert [p.uuid for p in one.partitions] == [p.uuid for p in two.partitions]
    assert not {p.uuid for p in one.partitions} & {p.uuid for p in other.partitions}
    ids = [i for p in one.partitions for i in (p.uuid, p.fs_uuid) if i] + [one.disk_guid]
    assert len(set(ids)) == len(ids)
    assert one.partition(Role.ROOT).fs_uuid == derive_uuid("a", "filesystem root")


def test_fat_is_named_by_its_volume_number() -> None:
    esp = make_layout(X86, seed="a", content=Content(root=GIB), disk_size=None).partition(Role.ESP)
    assert esp.filesystem is Filesystem.VFAT
    assert esp.fs_uuid_text == f"{esp.volume_id >> 16:04X}-{esp.volume_id & 0xFFFF:04X}"


def test_a_disk_too_small_is_refused_with_the_size_it_takes() -> None:
    with pytest.raises(UsageError) as caught:
        make_layout(X86, seed="a", content=Content(root=3 * GIB), disk_size=2 * GIB)
    assert "2 GiB is too small" in caught.value.message
    assert caught.value.setting == "disk-size"
    assert caught.value.hint is not None
    assert "8 GiB" in caught.value.hint


@given(
    st.sampled_from(sorted(MACHINES)),
    st.integers(1, 40 * GIB),
    st.one_of(st.none(), st.integers(5 * GIB // MIB, 100 * GIB // MIB).map(lambda m: m * MIB)),
)
def test_partitions_never_overlap_and_hold_the_content(
    arch: str, content: int, disk_size: int | None
) -> None:
    try:
        layout = make_layout(
            MACHINES[arch], seed="x", content=Content(root=content), disk_size=disk_size
        )
    except UsageError:
        assert disk_size is not None
        return
    end = GRAIN
    for partition in layout.partitions:
        assert partition.start == end
        assert partition.start % GRAIN == partition.size % GRAIN == 0
        end = partition.start + partition.size
    assert end <= layout.size - GRAIN
    assert layout.partition(Role.ROOT).size >= content


def test_architectures_by_any_spelling() -> None:
    assert machine("amd64") is machine("x86_64") is machine("X86-64")
    with pytest.raises(UsageError, match="'m68k'"):
        machine("m68k")

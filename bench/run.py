"""`make bench`: diskgen beside the least possible work and beside other ways, in one run.

Everything reads the same OCI layout from a warm page cache. Wall time, CPU time of all processes,
and the peak of their resident memory together; ratios are to the floor. Writes RESULTS.md and
chart.svg beside this file.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import image
import media
import rivals

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "RESULTS.md"
MEDIA = "\n## Media\n"
FARMS = "\n## Farms\n"
FORMATS = "\n## Formats\n"  # the last one
DISKGEN = Path(sys.executable).with_name("diskgen")
PYTHON = Path(sys.executable)

Words = Sequence[str | Path]


@dataclass(frozen=True)
class Figures:
    """One run; seconds and MiB."""

    wall: float
    cpu: float
    peak: float


@dataclass(frozen=True)
class Case:
    """One line of the table. ``prepare`` runs untimed before each run."""

    name: str
    argv: Words
    prepare: Callable[[], None]
    ours: bool
    note: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="of each case (default: 3)")
    parser.add_argument("--only", action="append", help="a case by its name")
    args = parser.parse_args()
    first, changed = image.build(image.debian_image.default_cache())
    results: dict[str, list[Figures]] = {}
    with tempfile.TemporaryDirectory(prefix="diskgen-bench-", dir="/var/tmp") as scratch:
        media_cases = of_media(first, Path(scratch))
        # What disks are measured beside takes long to make.
        of_disks = set(args.only or [""]) - {case.name for case in media_cases}
        cases = table(first, changed, Path(scratch)) if of_disks else []
        for _number in range(args.runs):  # all cases in turn: the machine's moods hit each alike
            for case in (*cases, *media_cases):
                if args.only and case.name not in args.only:
                    continue
                case.prepare()
                results.setdefault(case.name, []).append(measure(case.argv))
                print(f"{case.name}: {results[case.name][-1]}", file=sys.stderr)
    middle = {name: median(runs) for name, runs in results.items()}
    runs = max(map(len, results.values()))
    text = RESULTS.read_text() if RESULTS.is_file() else ""
    text, farms, figures = text.partition(FARMS)  # by farm.py, and formats.py
    before, mark, after = text.partition(MEDIA)
    if any(case.name in middle for case in cases):
        before = report(cases, middle, first, runs)
        (HERE / "chart.svg").write_text(
            chart([(c, middle[c.name]) for c in cases if c.name in middle])
        )
    if any(case.name in middle for case in media_cases):
        mark, after = MEDIA, report_media(media_cases, results)
    text = before + mark + after + farms + figures
    print(text)
    RESULTS.write_text(text)


def table(first: Path, changed: Path, place: Path) -> list[Case]:
    """Return what is measured, in the order of the report."""
    blobs = rivals.blobs(first)
    cache, disk = place / "cache", place / "disk"

    def cold() -> None:
        shutil.rmtree(cache, ignore_errors=True)
        disk.unlink(missing_ok=True)

    def warm(layout: Path = first) -> None:
        cold()
        subprocess.run(build("raw", layout), check=True, capture_output=True)
        disk.unlink()

    def build(kind: str, layout: Path, *words: str) -> list[str | Path]:
        source = f"oci:{layout}"
        return [DISKGEN, kind, source, "-o", disk, "--cache-dir", cache, *words]

    def clean(name: str) -> Callable[[], None]:
        def prepare() -> None:
            shutil.rmtree(place / name, ignore_errors=True)
            (place / name).mkdir()

        return prepare

    raw = place / "for-qemu-img.raw"

    def keep_raw() -> None:
        if not raw.exists():
            cold()
            subprocess.run([*build("raw", first), "--force"], check=True, capture_output=True)
            disk.rename(raw)
        (place / "out.qcow2").unlink(missing_ok=True)

    tests_cache = image.debian_image.default_cache()
    arm, mainframe = (image.for_arch(tests_cache, first, arch) for arch in ("aarch64", "s390x"))
    many = image.of_many_files(tests_cache)
    convert = ["qemu-img", "convert", "-W", "-m", "8", "-c", "-f", "raw", "-O", "qcow2"]
    cases = [
        Case("floor", [PYTHON, HERE / "floor.py", disk, *blobs], cold, ours=False,
             note="inflate, 3 hashes, one copy; two cores"),
        Case("gzip -dc", ["sh", "-c", 'gzip -dc "$@" >/dev/null', "-", *blobs], cold, ours=False,
             note="of the layers alone"),
        Case("diskgen raw, cold", build("raw", first), cold, ours=True),
        Case("diskgen raw, cold, xfs", build("raw", first, "--rootfs", "xfs"), cold, ours=True,
             note="the same with a root filesystem of type xfs"),
        Case("diskgen raw, cold, btrfs", build("raw", first, "--rootfs", "btrfs"), cold, ours=True,
             note="the same with a root filesystem of type btrfs, which sums all contents"),
        Case("diskgen raw, one layer changed", build("raw", changed), warm, ours=True,
             note="60 of 1500 MB"),
        Case("diskgen raw, nothing changed", build("raw", first), warm, ours=True),
        Case("diskgen raw, cold, aarch64", build("raw", arm, "--arch", "aarch64"), cold, ours=True,
             note="the same image with that machine's boot loader"),
        Case("diskgen raw, cold, s390x", build("raw", mainframe, "--arch", "s390x"), cold,
             ours=True, note="the same image with that machine's boot loader and kernel"),
        Case("diskgen raw, cold, many files", build("raw", many), cold, ours=True,
             note="another image: 410,000 files in 2.5 GB"),
        Case("diskgen raw, nothing changed, many files", build("raw", many), lambda: warm(many),
             ours=True),
        Case("diskgen qcow2 (zstd), cold", build("qcow2", first), cold, ours=True),
        Case("qemu-img convert -W -m 8 (zstd)",
             [*convert, "-o", "compression_type=zstd", raw, place / "out.qcow2"], keep_raw,
             ours=False, note="of that raw disk alone"),
    ]  # fmt: skip
    if os.geteuid() == 0:
        for name, note in (
            ("loop-tar", "root; unpacked only: no ostree, not bootable"),
            ("loop-ostree", "root; deployed by ostree, no boot loader"),
            ("mkfs-btrfs", "root; unpacked, then mkfs.btrfs --rootdir: no ostree, not bootable"),
        ):
            argv = [PYTHON, HERE / "rivals.py", name, first, place / name]
            cases.append(Case(name, argv, clean(name), ours=False, note=note))
        cases += encapsulated(place, cold, build)
    return cases


def encapsulated(
    place: Path, cold: Callable[[], None], build: Callable[..., list[str | Path]]
) -> list[Case]:
    """Return the deployment of another image, by its own tool and by us."""
    layout = rivals.encapsulated(image.debian_image.default_cache())

    def prepare() -> None:
        work = place / "ostree-ext"
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(layout, work / "image")

    size = sum(blob.stat().st_size for blob in rivals.blobs(layout)) >> 20
    other = f"another image: an encapsulated commit, {size} MiB of layers"
    theirs = [PYTHON, HERE / "rivals.py", "ostree-ext", layout, place / "ostree-ext"]
    return [
        Case("diskgen raw, encapsulated", build("raw", layout), cold, ours=True, note=other),
        Case("ostree-ext, encapsulated", theirs, prepare, ours=False,
             note="the same; root; deployed into a directory, no disk, no boot loader"),
    ]  # fmt: skip


def of_media(layout: Path, place: Path) -> list[Case]:
    """Return mastering by us and by others, and the whole of ``diskgen iso``."""
    iso, cache = place / "medium.iso", place / "iso-cache"
    checked: set[str] = set()

    def folder(name: str) -> Path:
        return place / name.replace(" ", "-")

    def prepare(name: str) -> Callable[[], None]:
        """Make the tree, and look once at what is made of it."""

        def make() -> None:
            source = media.tree(folder(name), name)
            if name not in checked:
                for argv in mastering(source).values():
                    iso.unlink(missing_ok=True)
                    subprocess.run(argv, check=True, capture_output=True)
                    media.check(source, iso, place / "extracted")
                checked.add(name)
            iso.unlink(missing_ok=True)
            os.sync()  # nobody pays for what was written before

        return make

    def mastering(source: Path) -> dict[str, Words]:
        return {
            "diskgen": [PYTHON, HERE / "media.py", source, iso],
            "xorriso": media.xorriso(source, iso),
        }

    def build() -> list[str | Path]:
        installer = media.installer(image.debian_image.default_cache())
        return [DISKGEN, "iso", f"oci:{layout}", "-o", iso, "--cache-dir", cache,
                "--target-imgref", "registry.example/os:1", "--installer", f"oci:{installer}",
                ]  # fmt: skip

    def cold() -> None:
        shutil.rmtree(cache, ignore_errors=True)
        iso.unlink(missing_ok=True)
        os.sync()

    def warm() -> None:
        if not cache.is_dir():
            subprocess.run(build(), check=True, capture_output=True)
        iso.unlink(missing_ok=True)
        os.sync()

    cases = []
    for name, note in (("2 GB", ""), ("4.5 GB", "one file of more than 4 GiB")):
        for who, argv in mastering(folder(name)).items():
            label = who if who == "diskgen" else "xorriso + implantisomd5"
            cases.append(Case(f"{label}, {name}", argv, prepare(name),
                              ours=who == "diskgen", note=note))  # fmt: skip
    cases += [
        Case(
            "diskgen iso, cold",
            build(),
            cold,
            ours=True,
            note="the whole command: the image of the disks, a container that installs it",
        ),
        Case("diskgen iso, nothing changed", build(), warm, ours=True, note="the same again"),
    ]
    return cases


def measure(argv: Words) -> Figures:
    """Run a command to its end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.monotonic()
    child = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    ended = threading.Event()
    peak = [0.0]

    def watch() -> None:
        while not ended.wait(0.05):
            peak[0] = max(peak[0], _resident(child.pid))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        _out, err = child.communicate()
    finally:  # an interrupt included
        wall = time.monotonic() - begun
        ended.set()
        thread.join()
    if child.returncode:
        sys.exit(f"error: {argv[0]} failed:\n{err.decode(errors='replace')[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Figures(wall, cpu, peak[0])


def _resident(top: int) -> float:
    """Return MiB of resident memory of a process and all below it, page cache left out."""
    parents, own = {}, {}
    for path in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(
                line.split(":", 1) for line in path.read_text().splitlines() if ":" in line
            )
        except OSError:
            continue
        pid = int(fields["Pid"])
        parents[pid] = int(fields["PPid"])
        own[pid] = int(fields.get("RssAnon", "0 kB").split()[0]) / 1024
    total, todo = 0.0, [top]
    while todo:
        pid = todo.pop()
        total += own.get(pid, 0)
        todo += [child for child, parent in parents.items() if parent == pid]
    return total


def median(runs: Sequence[Figures]) -> Figures:
    """Return the middle of several runs, of memory the most."""
    return Figures(
        statistics.median(run.wall for run in runs),
        statistics.median(run.cpu for run in runs),
        max(run.peak for run in runs),
    )


def report(cases: Sequence[Case], middle: Mapping[str, Figures], layout: Path, runs: int) -> str:
    """Return the table of disks."""
    floor = middle["floor"].wall if "floor" in middle else None
    cold = middle.get("diskgen raw, cold")
    size = sum(blob.stat().st_size for blob in rivals.blobs(layout)) >> 20
    lines = [
        "# Results",
        "",
        f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}; layers of "
        f"{size} MiB compressed, 1.5 GB of content, 40,000 files. Medians of "
        f"{runs} runs, in turn; anonymous memory of all processes together, its highest.",
        "",
        "| case | wall s | CPU s | peak MiB | of floor | of diskgen raw, cold | |",
        "| --- | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for case in cases:
        if case.name in middle:
            f = middle[case.name]
            to_floor = f"{f.wall / floor:.2f}" if floor else ""
            to_cold = f"{f.wall / cold.wall:.2f}" if cold else ""
            lines.append(
                f"| {case.name} | {f.wall:.2f} | {f.cpu:.2f} | {f.peak:.0f} | {to_floor} "
                f"| {to_cold} | {case.note} |"
            )
    return "\n".join(lines) + "\n"


def report_media(cases: Sequence[Case], results: Mapping[str, Sequence[Figures]]) -> str:
    """Return the table of media.

    Ratios are the medians of those of each turn, to the same tree by xorriso and implantisomd5.
    """
    lines = [
        "",
        f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}. Medians of "
        f"{max(map(len, results.values()))} runs, in turn, and of the ratios of each turn. "
        "Mastering: a tree like a medium, of contents that do not compress, becomes an image with "
        "Rock Ridge, Joliet, El Torito for BIOS and UEFI, boot tables for a stick, and its "
        "checksum.",
        "",
        "| case | wall s | CPU s | peak MiB | of xorriso's wall | of its CPU | |",
        "| --- | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for case in cases:
        if case.name not in results:
            continue
        runs = results[case.name]
        f = median(runs)
        theirs = results.get(f"xorriso + implantisomd5, {case.name.partition(', ')[2]}", ())
        wall, cpu = "", ""
        if theirs:
            pairs = list(zip(runs, theirs, strict=True))
            wall = f"{statistics.median(one.wall / other.wall for one, other in pairs):.2f}"
            cpu = f"{statistics.median(one.cpu / other.cpu for one, other in pairs):.2f}"
        lines.append(
            f"| {case.name} | {f.wall:.2f} | {f.cpu:.2f} | {f.peak:.0f} | {wall} | {cpu} "
            f"| {case.note} |"
        )
    return "\n".join(lines) + "\n"


def chart(rows: Sequence[tuple[Case, Figures]]) -> str:
    """Return bars of wall time as SVG."""
    longest = max(figures.wall for _case, figures in rows)
    height = 34 * len(rows) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{height}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="760" height="{height}" fill="white"/>',
    ]
    for number, (case, figures) in enumerate(rows):
        y = 12 + 34 * number
        width = max(2, round(380 * figures.wall / longest))
        color = "#2a6fbb" if case.ours else "#b8b8b8"
        parts += [
            f'<text x="236" y="{y + 16}" text-anchor="end">{case.name}</text>',
            f'<rect x="246" y="{y}" width="{width}" height="24" fill="{color}"/>',
            f'<text x="{252 + width}" y="{y + 16}">{figures.wall:.1f} s</text>',
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    main()

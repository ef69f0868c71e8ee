"""Every format of one disk beside the tools that others make it by, and three of them together.

    python bench/formats.py [--runs N] [--only FORMAT]      (`make bench` runs it, too)

Everything reads the same raw disk from a warm page cache. Writes its part of RESULTS.md.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import image
import run

from diskgen.config import Request
from diskgen.events import discard
from diskgen.formats import FORMATS
from diskgen.reference import parse

HERE = Path(__file__).resolve().parent
CONVERT = ("qemu-img", "convert", "-f", "raw")
TOGETHER = ("qcow2", "vmdk", "gce")

Words = Sequence[str | Path]


@dataclass(frozen=True)
class Row:
    """A format: its name, our settings, and what others make the same file by."""

    name: str
    theirs: Callable[[Path, Path], Words] | None = None
    tool: str = ""
    settings: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return " ".join((self.name, *self.settings))


def by_qemu(kind: str, *words: str) -> Callable[[Path, Path], Words]:
    return lambda raw, out: [*CONVERT, "-O", kind, *words, raw, out]


def by_tar(raw: Path, out: Path) -> Words:
    return ["tar", "--format=oldgnu", "-C", raw.parent, "-Sczf", out, raw.name]


def ova_by_qemu(raw: Path, out: Path) -> Words:
    """Return its disk, the sum of it, and the archive: not yet its description."""
    stream = f"{out}.vmdk"
    script = (
        'qemu-img convert -f raw -O vmdk -o subformat=streamOptimized "$1" "$2" && '
        'sha256sum "$2" >"$2.mf" && tar -cf "$3" "$2.mf" "$2" && rm "$2" "$2.mf"'
    )
    return ["sh", "-c", script, "-", raw, stream, out]


STREAM = ("-o", "subformat=streamOptimized")
ROWS = (
    Row("qcow2", by_qemu("qcow2", "-W", "-m", "8", "-c", "-o", "compression_type=zstd"),
        "qemu-img -W -m 8 -c"),
    Row("qcow2", by_qemu("qcow2", "-c"), "qemu-img -c", ("compression=zlib",)),
    Row("vmdk", by_qemu("vmdk", *STREAM), "qemu-img, streamOptimized"),
    Row("vmdk", by_qemu("vmdk", "-o", "subformat=monolithicSparse"),
        "qemu-img, monolithicSparse", ("subformat=sparse",)),
    Row("vhd", by_qemu("vpc", "-o", "subformat=fixed,force_size"), "qemu-img, fixed"),
    Row("vhdx", by_qemu("vhdx", "-o", "subformat=dynamic,block_size=1M"), "qemu-img, dynamic"),
    Row("gce", by_tar, "GNU tar and gzip"),
    Row("ova", ova_by_qemu, "qemu-img, sha256sum and tar"),
    Row("containerdisk"),
    Row("vagrant"),
)  # fmt: skip


def convert(name: str, raw: Path, out: Path, *settings: str) -> None:
    """Write a format of a raw disk; what runs alone, to be measured."""
    given = dict(word.split("=", 1) for word in settings)
    request = Request(format=name, source=parse("x/y"), arch="x86_64", output=out, **given)
    FORMATS[name].write(raw, out, request, UUID(int=7), discard)


@dataclass(frozen=True)
class Case:
    """A command, and the file that it makes."""

    name: str
    who: str
    argv: Words
    out: Path
    prepare: Callable[[], None]


def cases(raw: Path, place: Path) -> Iterator[Case]:
    """Yield us and them, format by format."""
    out, copy = place / "out", place / "copy.raw"

    def fresh() -> None:
        for path in (out, copy):
            path.unlink(missing_ok=True)
        subprocess.run(["cp", "--sparse=always", raw, copy], check=True)  # ours may take it

    for row in ROWS:
        ours = [sys.executable, HERE / "formats.py", "--convert", row.name, copy, out]
        yield Case(row.title, "diskgen", [*ours, *row.settings], out, fresh)
        if row.theirs is not None:
            yield Case(row.title, row.tool, row.theirs(copy, out), out, fresh)


def builds(layout: Path, place: Path) -> Iterator[Case]:
    """Yield whole builds with nothing changed: formats alone, then together."""
    cache, target = place / "cache", place / "built"

    def fresh() -> None:
        shutil.rmtree(target, ignore_errors=True)

    for names in (*((name,) for name in TOGETHER), TOGETHER):
        argv = [run.DISKGEN, "build", f"oci:{layout}", "--format", ",".join(names),
                "-o", target, "--cache-dir", cache]  # fmt: skip
        yield Case("build " + ", ".join(names), "diskgen", argv, target, fresh)


def report(measured: dict[tuple[str, str], list[tuple[run.Figures, int]]]) -> str:
    """Return the table; ratios are the medians of those of each turn."""
    lines = [
        "",
        "The raw disk of the image above becomes each format; the file's size in MiB. Ratios are "
        "diskgen's to the other tool's, in one turn; below, to the slowest format alone.",
        "",
        "| format | by | wall s | CPU s | peak MiB | file MiB | CPU, of theirs | size, of theirs |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    theirs = {name: runs for (name, who), runs in measured.items() if who != "diskgen"}
    for (name, who), runs in measured.items():
        figures = run.median([one for one, _size in runs])
        size = statistics.median(size for _figures, size in runs)
        ratios = ["", ""]
        if who == "diskgen" and name in theirs:
            pairs = list(zip(runs, theirs[name], strict=True))
            ratios = [
                f"{statistics.median(a[0].cpu / b[0].cpu for a, b in pairs):.2f}",
                f"{statistics.median(a[1] / b[1] for a, b in pairs):.2f}",
            ]
        lines.append(
            f"| {name} | {who} | {figures.wall:.2f} | {figures.cpu:.2f} | {figures.peak:.0f} "
            f"| {size / 2**20:.0f} | {ratios[0]} | {ratios[1]} |"
        )
    alone = [measured.get((f"build {name}", "diskgen"), []) for name in TOGETHER]
    together = measured.get(("build " + ", ".join(TOGETHER), "diskgen"), [])
    if together and all(alone):
        walls = [
            every[0].wall / max(one[turn][0].wall for one in alone)
            for turn, every in enumerate(together)
        ]
        lines += ["", f"Three formats together take {statistics.median(walls):.2f} times the wall "
                  "time of the slowest of them alone."]  # fmt: skip
    return "\n".join(lines) + "\n"


def main() -> None:
    if sys.argv[1:2] == ["--convert"]:
        name, raw, out, *settings = sys.argv[2:]
        convert(name, Path(raw), Path(out), *settings)
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="of each case (default: 3)")
    parser.add_argument("--only", action="append", help="a format")
    args = parser.parse_args()
    layout, _changed = image.build(image.debian_image.default_cache())
    measured: dict[tuple[str, str], list[tuple[run.Figures, int]]] = {}
    with tempfile.TemporaryDirectory(prefix="diskgen-bench-", dir="/var/tmp") as scratch:
        place = Path(scratch)
        raw = place / "disk.raw"
        build = [run.DISKGEN, "raw", f"oci:{layout}", "-o", raw, "--cache-dir", place / "cache"]
        subprocess.run(build, check=True, capture_output=True)
        chosen = [
            case for case in (*cases(raw, place), *builds(layout, place))
            if not args.only or case.name.split()[0] in args.only
        ]  # fmt: skip
        for _number in range(args.runs):
            for case in chosen:
                case.prepare()
                figures = run.measure(case.argv)
                files = [case.out] if case.out.is_file() else list(case.out.iterdir())
                size = sum(path.stat().st_blocks * 512 for path in files)
                measured.setdefault((case.name, case.who), []).append((figures, size))
                print(f"{case.name}, {case.who}: {figures}, {size >> 20} MiB", file=sys.stderr)
    text = run.RESULTS.read_text().partition(run.FORMATS)[0] + run.FORMATS + report(measured)
    print(text)
    run.RESULTS.write_text(text)


if __name__ == "__main__":
    main()

"""All layers of an image as indexes: cached ones are loaded, the others read side by side."""

from __future__ import annotations

import fcntl
import json
import os
import selectors
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final

from .. import run
from ..budgets import EXPANSION
from ..errors import DiskgenError, HostError, SourceError, end_of
from ..events import Emit, Step, notice, step
from .counts import ImageCounts, is_bomb
from .entries import lock_file
from .index import LayerIndex, is_claimed, load
from .model import BrokenBlob, Image, Layer

_ERRORS: Final = {"HostError": HostError, "SourceError": SourceError}


def index_layers(image: Image, directory: Path, emit: Emit) -> tuple[LayerIndex, ...]:
    """Return the image's layers, in order, as indexes whose packs are in ``directory``.

    Layers that no build has read yet are read by one process per core, the biggest first. Raises
    SourceError for hostile or damaged layers, BrokenBlob when a blob is not what its digest says.
    """
    directory.mkdir(parents=True, exist_ok=True)
    found: dict[str, LayerIndex] = {}
    todo: dict[str, Layer] = {}
    for layer in image.layers:
        cached = load(*_paths(directory, layer), layer.diff_id)
        if cached is not None:
            found[layer.diff_id] = cached
        else:
            if is_claimed(_paths(directory, layer)[0]):
                text = f"layer '{layer.diff_id}' of the cache is damaged, or not yours"
                notice(emit, f"{text}; reading it again", warning=True)
            todo[layer.diff_id] = layer
    total = sum(layer.size for layer in todo.values())
    with step(emit, "index", "Reading the layers", total=total, unit="bytes") as phase:
        if todo:
            queue = sorted(todo.values(), key=lambda layer: -layer.size)
            _read_all(queue, directory, phase, image.ref.short)
        counts = ImageCounts(image.ref.short)
        for index in found.values():
            counts.add(index)
        for layer in todo.values():
            made = load(*_paths(directory, layer), layer.diff_id)
            if made is None:
                raise HostError(
                    f"the cache '{directory}' lost layer '{layer.diff_id}' while it was used",
                    setting="cache-dir",
                )
            counts.add(made)
            found[layer.diff_id] = made
        count = sum(len(index.entries) for index in found.values())
        phase.update(total, total)
        phase.detail = f"{count:,} entries" + (
            f", {len(image.layers) - len(todo)} of {len(image.layers)} layers from the cache"
            if len(todo) < len(image.layers)
            else ""
        )
    return tuple(found[layer.diff_id] for layer in image.layers)


def _paths(directory: Path, layer: Layer) -> tuple[Path, Path]:
    name = layer.diff_id.removeprefix("sha256:")
    return directory / f"{name}.idx", directory / f"{name}.pack"


def _read_all(queue: Sequence[Layer], directory: Path, phase: Step, what: str) -> None:
    """Hand the layers to workers, one at a time each, until all are read."""
    waiting = list(reversed(queue))
    workers = min(len(queue), os.cpu_count() or 1)
    argv, env = run.own_module("diskgen.image.worker")
    done_bytes = done_tar = 0
    running: dict[int, tuple[int, int]] = {}  # progress of the layer each worker has in hand
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        children: list[run.Child] = []
        stack.callback(_sweep, directory, children)  # when all of them have ended
        for _ in range(workers):
            worker = run.running(argv, stdin=run.PIPE, stdout=run.PIPE, env=env)
            children.append(stack.enter_context(worker))
        for child in children:
            assert child.stdout is not None
            os.set_blocking(child.stdout.fileno(), False)
            selector.register(child.stdout, selectors.EVENT_READ, (child, bytearray()))
            _send(child, waiting.pop(), directory)
        busy = len(children)
        while busy:
            for key, _mask in selector.select():
                child, buffer = key.data
                for answer in _answers(child, buffer):
                    if "progress" in answer:
                        running[child.pid] = tuple(answer["progress"])
                    elif "done" in answer:
                        done_bytes += answer["done"]
                        done_tar += answer["produced"]
                        running[child.pid] = 0, 0
                        if waiting:
                            _send(child, waiting.pop(), directory)
                        else:
                            busy -= 1
                            selector.unregister(child.stdout)
                            run.feed(child, [])
                    else:
                        raise _failure(answer)
                    read = done_bytes + sum(consumed for consumed, _tar in running.values())
                    if is_bomb(done_tar + sum(tar for _read, tar in running.values()), read):
                        text = f"the layers are a decompression bomb: {EXPANSION.exceeded}"
                        raise SourceError(f"'{what}' is refused: {text}")
                    phase.update(read)


def _sweep(directory: Path, children: Sequence[run.Child]) -> None:
    """Remove what workers that were ended had not finished.

    A worker in another container may have the same number: what it has in hand is locked.
    """
    for child in children:
        for path in directory.glob(f".tmp-{child.pid}-*"):
            name = path.stem.rpartition("-")[2]
            with lock_file(directory / f"{name}.lock") as lock, suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink(missing_ok=True)


def _send(child: run.Child, layer: Layer, directory: Path) -> None:
    job = {
        "blob": os.fspath(layer.blob),
        "digest": layer.digest,
        "size": layer.size,
        "diff_id": layer.diff_id,
        "directory": os.fspath(directory),
    }
    run.feed(child, [json.dumps(job).encode() + b"\n"], end=False)


def _answers(child: run.Child, buffer: bytearray) -> Iterator[dict[str, Any]]:
    assert child.stdout is not None
    data = child.stdout.read()
    if data == b"":
        run.wait(child)
        assert child.stderr is not None
        tail = child.stderr.read().decode(errors="replace").strip().splitlines()
        raise HostError(
            f"a process that reads layers {end_of(child.returncode)}"
            + (f": {tail[-1]}" if tail else ""),
            hint="it may have run out of memory; the kernel's log tells",
        )
    buffer += data or b""
    while (end := buffer.find(b"\n")) >= 0:
        line = bytes(buffer[:end])
        del buffer[: end + 1]
        yield json.loads(line)


def _failure(answer: dict[str, Any]) -> DiskgenError:
    if "broken" in answer:
        error = BrokenBlob(answer["broken"], "")
        error.message = answer["message"]
        error.args = (answer["message"],)
        return error
    kind = _ERRORS.get(answer["error"], DiskgenError)
    return kind(answer["message"], hint=answer["hint"], setting=answer["setting"])

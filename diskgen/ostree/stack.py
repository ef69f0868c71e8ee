"""An image's layers, stacked: the base commit where there is one, ordinary layers, their merge."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from ..budgets import SEALED_BYTES, Tally
from ..errors import SourceError
from ..image.index import LayerIndex
from ..image.model import Image
from ..image.seals import add_seals
from ..tree import Directory, File
from . import newlines, selinux, specials
from .encapsulated import Base, count_base_layers, read_base
from .layertree import layer_tree
from .merge import merge
from .prepare_root import shows_whole_root


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """The trees of an image; they share their files."""

    base: Base | None  # of an encapsulated image
    layers: tuple[Directory, ...]  # the ordinary ones, above the base
    merged: Directory
    warnings: tuple[str, ...]


def stack(image: Image, indexes: Sequence[LayerIndex], advance: Callable[[int], None]) -> Stack:
    """Stack the layers of an image. ``advance`` gets bytes of contents as they are hashed.

    Raises SourceError for layers that make no tree.
    """
    count = count_base_layers(image)
    base = read_base(indexes[:count], advance) if count else None
    only_usr = base is not None and not shows_whole_root(base.tree)
    made = [layer_tree(index, only_usr=only_usr) for index in indexes[count:]]
    trees = tuple(tree for tree, _warnings in made)
    merged, warnings = merge([*([base.tree] if base is not None else []), *trees])
    settled = specials.settle(indexes[count:], trees, merged)
    return Stack(
        base=base,
        layers=trees,
        merged=merged,
        warnings=(
            *chain.from_iterable(texts for _tree, texts in made),
            *warnings,
            *settled,
            *newlines.doubts(indexes),
        ),
    )


def seal(stack: Stack, advance: Callable[[int], None]) -> None:
    """Seal all files of a stack; ``advance`` gets bytes of contents as they are hashed.

    Raises SourceError for more than may be sealed.
    """
    base = stack.base
    trees = [stack.merged, *stack.layers, *([] if base is None else [base.tree, *base.chunks])]
    files = {
        id(node): node for tree in trees for _path, node in tree.walk() if isinstance(node, File)
    }
    spent = Tally(SEALED_BYTES, SourceError, "the files that fs-verity is to guard have")
    for file in files.values():
        spent.add(file.size if file.is_regular else 0)
    add_seals(files.values(), advance)


def digest_of(file: File) -> bytes:
    """Return the fs-verity digest of a file that was sealed."""
    assert file.seal is not None
    return file.seal.digest


def label(
    stack: Stack, policy: selinux.Policy, scratch: Path, advance: Callable[[int], None]
) -> Stack:
    """Return the stack with the labels of its SELinux policy; those of an unchanged base stay."""
    if not stack.layers:
        return stack
    trees = [stack.merged, *stack.layers]
    questions: Iterable[selinux.Question] = chain.from_iterable(map(selinux.questions_of, trees))
    answers = selinux.ask(policy, questions, scratch)
    merged, *layers = selinux.relabel(trees, answers, advance)
    return replace(stack, merged=merged, layers=tuple(layers))

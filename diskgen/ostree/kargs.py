"""The kernel command line of a deployment, put together as ``bootc install`` does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ..errors import SourceError, UsageError

_BLANKS: Final = " \t\n\v\f\r"


def split(text: str) -> list[str]:
    """Split parameters at white space outside of double quotes, as the kernel does."""
    words: list[str] = []
    word = ""
    quoted = False
    for char in text:
        if char == '"':
            quoted = not quoted
        if char in _BLANKS and not quoted:
            if word:
                words.append(word)
            word = ""
        else:
            word += char
    if word:
        words.append(word)
    return words


def combine(
    *,
    fixed: Iterable[str],
    image: Iterable[str],
    added: Iterable[str],
    deletes: Iterable[str],
    user: Iterable[str],
    setting: str = "karg",
) -> tuple[str, ...]:
    """Return all parameters but ``ostree=``, which the deployment appends.

    Order: those ``fixed`` by the disk (root, ``rw``, boot), the image's, those ``added`` for the
    kind of machine; then deletions
    (``KEY`` removes all of that key, ``KEY=VALUE`` just that one); then the user's. Repetitions
    are dropped, other values of a key add up. An image's own ``ostree=`` is dropped. ``setting``
    is the option that the user's come from. Raises SourceError (the image's) or UsageError (the
    user's) for a quote that is never closed.
    """
    image, user = tuple(image), tuple(user)
    for text in image:
        if text.count('"') % 2:
            raise SourceError(f"the image's kernel argument '{text}' has an unclosed quote")
    for text in user:
        if text.count('"') % 2:
            raise UsageError(f"'{text}' has an unclosed quote", setting=setting)
    chosen: dict[tuple[str, str | None], str] = {}  # by meaning, in order
    for text in (*fixed, *image, *added):
        _add(chosen, text)
    for text in deletes:
        for unwanted in split(text):
            key, value = _meaning(unwanted)
            for known in [k for k in chosen if k[0] == key and value in (None, k[1])]:
                del chosen[known]
    for text in user:
        _add(chosen, text)
    return tuple(word for (key, _value), word in chosen.items() if key != "ostree")


def _add(chosen: dict[tuple[str, str | None], str], text: str) -> None:
    for word in split(text):
        chosen.setdefault(_meaning(word), word)


def key_of(word: str) -> str:
    """Return what an argument sets, as the kernel takes it."""
    return _meaning(word)[0]


def _meaning(word: str) -> tuple[str, str | None]:
    """Return key and value as the kernel takes them: quotes off, ``-`` and ``_`` alike in keys."""
    bare = word.replace('"', "")
    key, equals, value = bare.partition("=")
    return key.replace("-", "_"), value if equals else None

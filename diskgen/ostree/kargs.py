"""The kernel command line of a deployment, put together as ``bootc install`` does."""

from __future__ import annotations

from collections.abc import Iterable


def split(text: str) -> list[str]:
    """Split parameters at white space outside of double quotes, as the kernel does."""
    words: list[str] = []
    word = ""
    quoted = False
    for char in text:
        if char == '"':
            quoted = not quoted
        if char.isspace() and not quoted:
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
    root_uuid: str,
    boot_uuid: str | None,
    image: Iterable[str],
    consoles: Iterable[str],
    deletes: Iterable[str],
    user: Iterable[str],
) -> tuple[str, ...]:
    """Return all parameters but ``ostree=``.

    Order: root, ``rw``, boot, the image's, consoles; then deletions (``KEY`` removes all of that
    key, ``KEY=VALUE`` just that one); then the user's. Exact duplicates are added once.
    """
    fixed = [f"root=UUID={root_uuid}", "rw"]
    if boot_uuid is not None:
        fixed.append(f"boot=UUID={boot_uuid}")
    result: list[str] = []
    for text in (*fixed, *image, *consoles):
        result += [word for word in split(text) if word not in result]
    for text in deletes:
        for unwanted in split(text):
            result = [
                word
                for word in result
                if word != unwanted and ("=" in unwanted or word.partition("=")[0] != unwanted)
            ]
    for text in user:
        result += [word for word in split(text) if word not in result]
    return tuple(result)

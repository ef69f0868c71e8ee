"""What a vendor's boot menu starts first: kernel, initramfs and arguments.

GRUB manual 2.12, 6.1 (words and quoting); SYSLINUX's ``doc/syslinux.txt``; ``.prm`` files of
mainframes, which hold arguments only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_WORDS: Final = re.compile(
    r"""(?P<comment>\#[^\n]*)|(?P<end>[\n;])|(?P<word>(?:\\.|'[^']*'|"(?:\\.|[^"\\])*"|"""
    r"""[^\s;'"\\])+)|.""",
    re.DOTALL,
)
_PIECES: Final = re.compile(r"""\\(.)|'([^']*)'|"((?:\\.|[^"\\])*)\"""", re.DOTALL)
_ESCAPED: Final = re.compile(r"""\\(["$\\\n])""")  # all that a backslash means between "..."
_DEVICE: Final = re.compile(r"\([^)]*\)")
_LINUX: Final = ("linux", "linuxefi", "linux16")
_INITRD: Final = ("initrd", "initrdefi", "initrd16")
# What belongs to the vendor's medium or to the one run, and is given anew.
_DROPPED: Final = ("inst.stage2=", "inst.repo=", "inst.ks=", "initrd=")
_DROPPED_WORDS: Final = frozenset({"inst.stage2", "rd.live.check", "quiet", "rhgb"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What an entry starts; paths without a leading slash, empty where the menu has none."""

    kernel: str = ""
    initrd: str = ""
    arguments: tuple[str, ...] = ()


def grub(text: str) -> Start | None:
    """Return what the first entry of grub.cfg starts; None where none starts a kernel."""
    statements = list(_statements(text))
    entries = [at for at, words in enumerate(statements) if words[0] == "menuentry"]
    found: Start | None = None
    for words in statements[entries[0] if entries else 0 :]:
        if words[0] in _LINUX and len(words) > 1:
            if found is not None:
                break
            found = Start(kernel=_path(words[1]), arguments=_kept(words[2:]))
        elif words[0] in _INITRD and len(words) > 1 and found is not None:
            return Start(kernel=found.kernel, initrd=_path(words[1]), arguments=found.arguments)
    return found


def isolinux(text: str) -> Start | None:
    """Return what the first entry of isolinux.cfg starts; paths are those in its directory."""
    kernel = ""
    started = False
    for line in text.splitlines():
        verb, *words = line.split() or [""]
        match verb.lower():
            case "label":
                started = True
                kernel = ""
            case "kernel" | "linux" if started and words:
                kernel = words[0]
            case "append" if started and kernel:
                initrd = next((w[7:] for w in words if w.startswith("initrd=")), "")
                return Start(kernel=_beside(kernel), initrd=_beside(initrd), arguments=_kept(words))
            case _:
                pass
    return None


def parameters(text: str) -> Start:
    """Return the arguments of a ``.prm`` file."""
    return Start(arguments=_kept(text.split()))


def _statements(text: str) -> Iterator[list[str]]:
    """Yield the words of each command; what is quoted in a wrong way is passed over."""
    words: list[str] = []
    for match in _WORDS.finditer(text):
        if match["word"] not in (None, "{", "}"):
            word = _PIECES.sub(_unquoted, match["word"])
            if word:
                words.append(word)
        elif words and (match["word"] or match["end"]):
            yield words
            words = []
    if words:
        yield words


def _unquoted(match: re.Match[str]) -> str:
    plain, single, double = match.groups()
    if plain is not None:
        return "" if plain == "\n" else str(plain)
    if single is not None:
        return str(single)
    return _ESCAPED.sub(lambda found: found[1].strip("\n"), double)


def _kept(words: list[str]) -> tuple[str, ...]:
    """Return the arguments that any medium would need; a menu's variables mean nothing outside."""
    return tuple(
        word
        for word in words
        if word not in _DROPPED_WORDS
        and not word.startswith(_DROPPED)
        and "$" not in word
        and word.isprintable()
    )


def _path(word: str) -> str:
    return _DEVICE.sub("", word, count=1).lstrip("/")


def _beside(word: str) -> str:
    if not word:
        return ""
    return word.lstrip("/") if word.startswith("/") else f"isolinux/{word}"

"""The parser of the command line, made of the tables of commands and options."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NoReturn

from .. import __version__
from ..config import file_suffix
from ..terminal import visible
from .command import COMMANDS, Command
from .option import UNSET, Option, Takes
from .table import options_of

_EXAMPLES: Final = """\
examples:
  diskgen qcow2 quay.io/centos-bootc/centos-bootc:stream10
  diskgen qcow2 registry.example/os:1 -o os.qcow2 --disk-size 20G --karg quiet
  diskgen raw oci:./layout:latest --target-imgref registry.example/os:1
  diskgen plan qcow2 registry.example/os:1
  diskgen boot os.qcow2 --ssh
  diskgen iso registry.example/os:1 -o os.iso
  diskgen plan iso registry.example/os:1 --packages ./rpms
"""
_NO_CHOICE: Final = re.compile(
    r"invalid choice: '(?P<given>[^']*)' \(choose from (?P<choices>.*)\)"
)
# What other tools of this field call it.
_MEANT: Final = {
    "anaconda-iso": "iso", "installer": "iso", "bootc-installer": "iso", "img": "raw",
    "disk": "raw", "azure": "vhd", "vpc": "vhd", "aws": "ami", "ec2": "ami", "gcp": "gce",
    "vsphere": "ova", "run": "boot", "vm": "boot", "info": "inspect",
    "show": "inspect", "check": "doctor", "list": "ls", "clean": "prune", "rm": "prune",
}  # fmt: skip


def build_parser(
    words: Sequence[str] | None = None,
    each: Callable[[Option, argparse.Action], None] = lambda _option, _action: None,
) -> argparse.ArgumentParser:
    """Return the parser of the whole command line, or of just what can be meant by some words.

    A command that is not among the words cannot be meant: it is known, and has no options, which
    spares most of the time until help is shown. ``each`` is told what was made of each option.
    """
    root, *others = COMMANDS
    parser = _Parser(
        prog="diskgen",
        description=_sentence(root),
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    _add_options(parser, root, each)
    choices = {"": _add_choices(parser, root)}
    for command in others:
        parent, _, word = command.name.rpartition(" ")
        made = choices[parent].add_parser(
            word, help=command.help, description=_sentence(command), add_help=False
        )
        if words is None or set(command.name.split()) <= set(words):
            _add_options(made, command, each)
        if command.choice:
            choices[command.name] = _add_choices(made, command)
    return parser


def help_of(option: Option, command: Command) -> str:
    """Return what help says of an option, with what holds where it is not given."""
    default = ""
    if callable(option.default):
        default = ", ".join(filter(None, (option.otherwise, "%(default)s")))
    elif option.otherwise:
        default = option.otherwise
    elif option.has_default:
        default = "%(default)s"
    several = "; may be given several times" if option.repeatable else ""
    text = option.help + several + (f" (default: {default})" if default else "")
    return text.replace("{suffix}", file_suffix(command.format))


def _sentence(command: Command) -> str:
    return command.help[0].upper() + command.help[1:] + "."


def _add_choices(parser: argparse.ArgumentParser, command: Command) -> Any:  # noqa: ANN401
    return parser.add_subparsers(dest=command.dest, metavar=command.choice, required=True)


def _add_options(
    parser: argparse.ArgumentParser,
    command: Command,
    each: Callable[[Option, argparse.Action], None],
) -> None:
    groups: dict[str, Callable[..., argparse.Action]] = {"": parser.add_argument}
    for option in options_of(command.name):
        if option.group not in groups:
            groups[option.group] = parser.add_argument_group(option.group).add_argument
        how = {**_HOW[option.takes](option), "help": help_of(option, command)}
        each(option, groups[option.group](*option.flags, **how))


def _valued(option: Option) -> dict[str, Any]:
    """Return how argparse is told of an option with a value."""
    default = option.default() if callable(option.default) else option.default
    how: dict[str, Any] = {
        "type": option.kind,
        "metavar": option.metavar,
        "choices": option.choices,
        "default": [] if option.repeatable or option.together else default,
    }
    if option.together:
        how |= {"action": _InOrder, "dest": option.together}
    elif option.every:
        how |= {"action": _Last, "const": option.every}
    elif option.repeatable:
        how["action"] = "append"
    return how


def _optional(option: Option) -> dict[str, Any]:
    return {**_valued(option), "nargs": "?", "const": ""}


def _switch(option: Option) -> dict[str, Any]:
    default = argparse.SUPPRESS if option.default is UNSET else False
    return {"action": "store_true", "default": default}


_HOW: Final[Mapping[Takes, Callable[[Option], dict[str, Any]]]] = MappingProxyType(
    {
        Takes.VALUE: _valued,
        Takes.MANY: lambda option: {**_valued(option), "nargs": "+"},
        Takes.MAYBE: _optional,
        Takes.NOTHING: _switch,
        Takes.HELP: lambda _option: {"action": "help"},
        Takes.VERSION: lambda _option: {"action": "version", "version": f"diskgen {__version__}"},
    }
)


class _Parser(argparse.ArgumentParser):
    """Whose complaints stay one line, whatever the arguments hold."""

    def error(self, message: str) -> NoReturn:
        super().error(visible(message) + _nearest(message))


def _nearest(complaint: str) -> str:
    """Return which of the choices was probably meant, in words; "" where none is near."""
    match = _NO_CHOICE.search(complaint)
    if match is None:
        return ""
    import difflib

    given = match["given"].lower()
    choices = re.findall(r"'?([^\s',]+)'?", match["choices"])
    meant = _MEANT.get(given)
    near = [meant] if meant in choices else difflib.get_close_matches(given, choices, 1, 0.5)
    return f"; did you mean '{near[0]}'?" if near else ""


class _Last(argparse.Action):
    """Keep the last value, and all of them in the attribute that ``const`` names."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,  # noqa: ARG002
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,  # noqa: ARG002 - it may be abbreviated
    ) -> None:
        """Take one option."""
        setattr(namespace, self.dest, values)
        setattr(namespace, self.const, [*getattr(namespace, self.const, []), values])


class _InOrder(argparse.Action):
    """Keep options of one kind in the order in which they were given, with their names."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,  # noqa: ARG002
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,  # noqa: ARG002 - it may be abbreviated
    ) -> None:
        """Take one option."""
        given = [*getattr(namespace, self.dest), (self.option_strings[0], values)]
        setattr(namespace, self.dest, given)

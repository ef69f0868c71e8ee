"""Let atheris look for what a parser falls over: ``python -m tests.fuzz NAME [OPTION]...``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["diskgen"]):
    from .fixtures.parsers import PARSERS


def main() -> None:
    """Fuzz the parser that the first argument names, from the seeds it has."""
    name = sys.argv.pop(1)
    parser = PARSERS[name]
    with tempfile.TemporaryDirectory() as top:
        place, corpus = Path(top, "place"), Path(top, "corpus")
        place.mkdir()
        corpus.mkdir()
        for number, seed in enumerate(parser.seeds(place)):
            (corpus / str(number)).write_bytes(seed)

        def one(data: bytes) -> None:
            try:
                parser.parse(data, place)
            except parser.may:
                return

        atheris.Setup([*sys.argv, str(corpus)], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()

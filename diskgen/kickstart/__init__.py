"""What a kickstart says: read by pykickstart, judged by rules, turned into a recipe."""

from __future__ import annotations

import sys
import types


def _without_requests() -> None:
    """Let pykickstart do without the library by which it would fetch kickstarts; we do.

    It is imported in many places, so this comes before all of them.
    """
    try:
        import requests  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError:
        stub, errors = types.ModuleType("requests"), types.ModuleType("requests.exceptions")
        vars(errors).update(SSLError=OSError, RequestException=OSError)
        vars(stub).update(exceptions=errors, get=_not_fetched)
        sys.modules |= {"requests": stub, "requests.exceptions": errors}


def _not_fetched(*_arguments: object, **_options: object) -> None:
    raise OSError("this installer includes files alone; fetch it in a %pre script")


_without_requests()

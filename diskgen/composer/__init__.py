"""A client of osbuild-composer's Cloud API v2: a farm that makes disks of container images.

``Client`` speaks to one farm by typed values. What is asked for, by whom and how patiently are
values too: ``ComposeRequest``, ``Farm``, ``Patience``. Of the standard library alone.

Source of the interface: osbuild-composer's own description of it, ``GET /openapi``.
"""

from __future__ import annotations

from .address import Address, parse_address
from .client import Client
from .errors import AnswerLost, NotSent, Refused, Unclear
from .login import Login
from .patience import Patience
from .values import (
    Bootc,
    ComposeRequest,
    ComposeStatus,
    ImageRequest,
    ImageStatus,
    UploadStatus,
    UploadTarget,
)
from .wire import Farm

__all__ = [
    "Address", "AnswerLost", "Bootc", "Client", "ComposeRequest", "ComposeStatus", "Farm",
    "ImageRequest", "ImageStatus", "Login", "NotSent", "Patience", "Refused", "Unclear",
    "UploadStatus", "UploadTarget", "parse_address",
]  # fmt: skip

"""From a farm's JSON to values: what is missing is told, what is new is passed over."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from ..budgets import FARM_BYTES
from ..documents import DocumentError, is_list, is_table, load_json
from ..net.waiting import asked
from .errors import AnswerLost, Refused
from .values import (
    ComposeError,
    ComposeStatus,
    ImageStatus,
    Metadata,
    Progress,
    UploadStatus,
    is_id,
)
from .wire import Answer

_PREFIX: Final = "IMAGE-BUILDER-COMPOSER-"
_SHOWN: Final = 500  # characters of what a server says
_DEEPEST: Final = 8  # progress and errors in each other
# What helps against an error of composer's: its number, a hint, the option that matters.
_HINTS: Final[Mapping[int, tuple[str, str | None]]] = {
    2: ("this account may not do that", "farm-login"),
    4: ("'diskgen farm doctor' lists what the farm builds", None),
    5: ("the farm has no such machines", "arch"),
    6: ("the farm does not make this type of this image", None),
    15: ("'diskgen farm ls' lists what is there", None),
    28: ("the token names no tenant that the farm knows", "farm-login"),
    36: ("its administrator sets OSBUILD_LOCALSAVE, or name a cloud", "farm-target"),
    38: ("this type of image goes to another place", "farm-target"),
    401: ("see whether the login is of this farm, and still good", "farm-login"),
}


class NotUnderstood(AnswerLost):
    """An answer came that is none of the interface's: cut, or of something in between."""


def document(answer: Answer, what: str) -> Any:  # noqa: ANN401
    """Return the JSON of an answer. Raises NotUnderstood."""
    try:
        return load_json(answer.body, FARM_BYTES)
    except DocumentError as error:
        raise NotUnderstood(f"the farm's answer about {what} is not understood: {error}") from None


def refusal(answer: Answer, what: str) -> Refused:
    """Return the error that an answer is, in the farm's words, with what its people need."""
    try:
        body = load_json(answer.body, FARM_BYTES)
    except DocumentError:
        body = None
    said = body if is_table(body) else {}
    code = _number(str(said.get("code", "")).removeprefix(_PREFIX))
    reason = said.get("reason") or said.get("message") or f"HTTP status {answer.status}"
    words = f"the farm refuses {what}: {_short(reason)}"
    if said.get("details") not in (None, "", {}, []):
        words += f" ({_short(said['details'])})"
    if code is not None:
        words += f" [error {code}]"
    if said.get("operation_id"):
        words += f" [operation {_short(said['operation_id'])}]"
    if 300 <= answer.status < 400:
        words = f"the farm sends us elsewhere for {what}: {_short(answer.headers.get('location'))}"
        return Refused(words, status=answer.status, hint="name that address", setting="farm")
    hint, setting = _HINTS.get(code or answer.status, (None, None))
    return Refused(
        words, status=answer.status, code=code, hint=hint, setting=setting,
        after=asked(answer.headers),
    )  # fmt: skip


def compose_id(value: object) -> str:
    """Return the id that was made for a compose. Raises NotUnderstood."""
    found = value.get("id") if is_table(value) else None
    if not isinstance(found, str) or not is_id(found):
        raise NotUnderstood("the farm's answer to a compose has no id")
    return found.lower()


def statuses(value: object) -> list[ComposeStatus]:
    """Return what a list holds: it is bare, null, or an object with items. Raises NotUnderstood."""
    items = value.get("items") if is_table(value) else value
    if items is None:
        return []
    if not is_list(items):
        raise NotUnderstood("the farm's list of composes is none")
    return [status(item) for item in items]


def total(value: object) -> int | None:
    """Return how many a list has on all its pages; None where it has no pages."""
    found = value.get("total") if is_table(value) else None
    return found if isinstance(found, int) else None


def status(value: object) -> ComposeStatus:
    """Return how far a compose is. Raises NotUnderstood."""
    if not is_table(value):
        raise NotUnderstood("the farm's answer about a compose is no object")
    name, state = value.get("id"), value.get("status")
    if not isinstance(name, str) or not is_id(name) or not isinstance(state, str):
        raise NotUnderstood("the farm's answer about a compose has no id or no status")
    several = value.get("image_statuses")
    images = several if is_list(several) and several else [value.get("image_status")]
    made = tuple(_image(image) for image in images if is_table(image))
    return ComposeStatus(name.lower(), _short(state), made)


def metadata(name: str, value: object) -> Metadata:
    """Return what a farm keeps of a compose. Raises NotUnderstood."""
    if not is_table(value):
        raise NotUnderstood("the farm's metadata of a compose are no object")
    packages, commit, request = (value.get(k) for k in ("packages", "ostree_commit", "request"))
    return Metadata(
        name,
        len(packages) if is_list(packages) else 0,
        commit if isinstance(commit, str) and commit else None,
        request if is_table(request) else {},
    )


def upload(value: object) -> UploadStatus:
    """Return what became of an upload, such as that of a clone."""
    row = value if is_table(value) else {}
    options = row.get("options")
    return UploadStatus(
        _short(row.get("type") or "?"),
        _short(row.get("status") or "?"),
        options if is_table(options) else {},
    )


def _image(row: Mapping[str, Any]) -> ImageStatus:
    several, first = row.get("upload_statuses"), row.get("upload_status")
    uploads = several if is_list(several) and several else [first]
    error = row.get("error")
    return ImageStatus(
        _short(row.get("status") or "?"),
        _progress(row.get("progress"), 0),
        tuple(upload(each) for each in uploads if is_table(each)),
        _error(error, 0) if is_table(error) else None,
    )


def _progress(row: object, depth: int) -> Progress | None:
    if not is_table(row) or depth > _DEEPEST:
        return None
    done, whole = row.get("done"), row.get("total")
    if not isinstance(done, int) or not isinstance(whole, int) or not 0 <= done <= whole:
        return None
    return Progress(done, whole, _progress(row.get("subprogress"), depth + 1))


def _error(row: Mapping[str, Any], depth: int) -> ComposeError:
    """Return an error; ``details`` are text, anything, or the errors that led to it."""
    details = row.get("details")
    causes: tuple[ComposeError, ...] = ()
    if is_list(details) and depth < _DEEPEST:
        rows = [each for each in details if is_table(each) and "reason" in each]
        causes = tuple(_error(each, depth + 1) for each in rows)
        details = [each for each in details if each not in rows]
    number = row.get("id")
    return ComposeError(
        number if isinstance(number, int) else 0,
        _short(row.get("reason") or "no reason is given"),
        "" if details in (None, "", [], {}) else _short(details),
        causes,
    )


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    text = text.strip()
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None

"""A farm as an object: each call of the interface is a method, from values to values."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any, Final, Self, TypeVar
from urllib.parse import urlencode

from ..documents import is_table
from ..errors import FarmError, UsageError
from ..events import Emit, discard, notice
from . import reading
from .errors import AnswerLost, Refused, Unclear
from .patience import Patience
from .tokens import Tokens
from .values import ComposeRequest, ComposeStatus, Metadata, UploadStatus, is_id
from .wire import Answer, Farm, Reply, Wire, context_of

_Made = TypeVar("_Made")
_PAGES: Final = 10_000
_OF_REFUSAL: Final = 64 * 1024  # bytes that are read of one


class Client:
    """A client of one farm, for one thread; ``beside`` makes another with the same login.

    All methods raise FarmError: Refused where the farm says no; after ``patience`` NotSent or
    AnswerLost.
    """

    def __init__(
        self,
        farm: Farm,
        patience: Patience | None = None,
        emit: Emit = discard,
        *,
        tokens: Tokens | None = None,
    ) -> None:
        self.farm = farm
        self.patience = patience or Patience()
        self._emit = emit
        self._context = context_of(farm)
        self._wire = Wire(farm, self._context)
        self._tokens = tokens
        if farm.login is not None and tokens is None:
            self._tokens = Tokens(farm, farm.login, self.patience)
        self._token = ""  # that was sent last

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._wire.close()

    def beside(self) -> Client:
        """Return another client of the same farm and login, for another thread."""
        return Client(self.farm, self.patience, self._emit, tokens=self._tokens)

    # What can be asked as often as one likes.

    def openapi(self) -> dict[str, Any]:
        """Return the farm's own description of its interface."""
        found = self._get("/openapi", "its interface")
        return found if is_table(found) else {}

    def distributions(self) -> dict[str, Any]:
        """Return what the farm builds of packages: architectures by distribution."""
        found = self._get("/distributions", "its distributions")
        return found if is_table(found) else {}

    def status(self, name: str) -> ComposeStatus:
        """Return how far a compose is."""
        return self._read(_of(name), f"compose '{name}'", reading.status)

    def composes(self) -> list[ComposeStatus]:
        """Return all composes that the farm tells us of, from all pages."""
        found: dict[str, ComposeStatus] = {}
        for page in range(_PAGES):
            query = f"?{urlencode({'page': page, 'size': 1000})}" if page else ""
            value = self._get(f"/composes/{query}", "the list of composes")
            fresh = {row.id: row for row in reading.statuses(value) if row.id not in found}
            found |= fresh
            whole = reading.total(value)
            if whole is None or len(found) >= whole or not fresh:
                break
        return list(found.values())

    def metadata(self, name: str) -> Metadata:
        """Return what the farm keeps of a compose."""
        what = f"the metadata of '{name}'"
        return self._read(_of(name, "/metadata"), what, lambda v: reading.metadata(name, v))

    def manifests(self, name: str) -> Any:  # noqa: ANN401
        """Return the manifests of osbuild that a compose was made by, as JSON values."""
        return self._get(_of(name, "/manifests"), f"the manifests of '{name}'")

    def sboms(self, name: str) -> Any:  # noqa: ANN401
        """Return the lists of what is in a compose's images, as JSON values."""
        return self._get(_of(name, "/sboms"), f"the lists of contents of '{name}'")

    def clone_status(self, name: str) -> UploadStatus:
        """Return how far the copy of an image in another region is."""
        if not is_id(name):
            raise _no_id(name)
        return self._read(f"/clones/{name.lower()}", f"clone '{name}'", reading.upload)

    # What changes something.

    def delete(self, name: str) -> None:
        """Have the farm drop a compose and whatever it still does for it."""
        sent = False

        def drop() -> None:
            nonlocal sent
            try:
                self._call("DELETE", _of(name), f"to drop '{name}'", ok=(200, 204))
            except AnswerLost:
                sent = True
                raise
            except Refused as error:
                if not (sent and error.status == 404):  # it is gone: we did that
                    raise

        self.insist(drop)

    def post(self, request: ComposeRequest) -> str:
        """Start a compose, one try; return its id. ``starting.start`` is what may be repeated."""
        answer = self._call(
            "POST", "/compose", "this compose", body=request.to_json(), ok=(201, 200)
        )
        return reading.compose_id(reading.document(answer, "a compose"))

    def clone(self, name: str, region: str, share_with: tuple[str, ...] = ()) -> str:
        """Have an image of Amazon's copied to another region; return the clone's id.

        Raises Unclear where nobody can say whether that began: it cannot be looked up.
        """
        body: dict[str, Any] = {"region": region}
        if share_with:
            body["share_with_accounts"] = list(share_with)

        def copy() -> str:
            what = f"to clone '{name}'"
            answer = self._call("POST", _of(name, "/clone"), what, body=body, ok=(201, 200))
            return reading.compose_id(reading.document(answer, "a clone"))

        try:
            return copy()
        except AnswerLost as error:
            raise Unclear(f"whether '{name}' is being cloned is not known: {error}") from error

    def open(self, name: str, part: str, headers: Mapping[str, str] | None = None) -> Reply:
        """Return ``/logs`` or ``/download`` of a compose, to be read and closed; one try."""
        path = self.farm.address.base + _of(name, part)
        accept = {"Accept": "*/*", **self._authorization(), **(headers or {})}
        reply = self._wire.open("GET", path, headers=accept)
        if reply.answer.status in (200, 206, 416):
            return reply
        with closing(reply):
            data = b""
            for chunk in reply.chunks():
                data += chunk
                if len(data) >= _OF_REFUSAL:
                    break
        if self._forget(reply.answer.status):
            raise AnswerLost("the token is no longer good")  # another try has a new one
        raise reading.refusal(replace(reply.answer, body=data), f"{part[1:]} of '{name}'")

    # How it is said.

    def insist(self, work: Callable[[], _Made]) -> _Made:
        """Return what some work makes that may be done twice, with all our patience."""

        def told(error: FarmError) -> None:
            self.warn(f"{error}; trying again for {round(self.patience.deadline)} s")

        return self.patience.insist(work, told)

    def warn(self, text: str) -> None:
        """Tell whoever waits what is wrong for now."""
        notice(self._emit, text, warning=True)

    def _get(self, path: str, what: str) -> Any:  # noqa: ANN401
        return self._read(path, what, lambda value: value)

    def _read(self, path: str, what: str, read: Callable[[Any], _Made]) -> _Made:
        return self.insist(
            lambda: read(reading.document(self._call("GET", path, what, ok=(200,)), what))
        )

    def _call(
        self,
        method: str,
        path: str,
        what: str,
        *,
        ok: tuple[int, ...],
        body: Mapping[str, Any] | None = None,
    ) -> Answer:
        """Return an answer of one exchange; a token that is refused is fetched anew, once."""
        data = None if body is None else json.dumps(body).encode()
        content = {} if data is None else {"Content-Type": "application/json"}
        answer = Answer(0, {})
        for again in (True, False):
            answer = self._wire.exchange(
                method,
                self.farm.address.base + path,
                body=data,
                headers={**content, **self._authorization()},
            )
            if not (again and self._forget(answer.status)):
                break
        if answer.status not in ok:
            raise reading.refusal(answer, what)
        return answer

    def _authorization(self) -> dict[str, str]:
        if self._tokens is None:
            return {}
        self._token = self._tokens.get()
        return {"Authorization": f"Bearer {self._token}"}

    def _forget(self, status: int) -> bool:
        """Forget a token that was not taken; say whether there is another one to be had."""
        if status != 401 or self._tokens is None:
            return False
        self._tokens.refused(self._token)
        return True


def _of(name: str, part: str = "") -> str:
    if not is_id(name):
        raise _no_id(name)
    return f"/composes/{name.lower()}{part}"


def _no_id(name: str) -> UsageError:
    return UsageError(
        f"'{name}' is not the id of a compose",
        hint="it looks like 123e4567-e89b-12d3-a456-426655440000; 'diskgen farm ls' lists them",
    )

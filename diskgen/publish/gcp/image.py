"""An object becomes an image: asked for, waited for, and removed where a run does not end well.

API reference of Compute Engine, v1: images.insert, images.get, images.delete, globalOperations.get.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from ...documents import is_list, is_table
from ...errors import PublishError
from ...events import notice, step
from ...interrupt import whole
from ..answers import count_of
from ..journal import Journal
from ..leftovers import Leftovers
from ..publication import DiskFile, Means
from ..retry import Transient
from .access import COMPUTE, Access, RefusedError
from .models import ARCHITECTURES
from .upload import Stored
from .wanted import Wanted

_FIRST, _MOST = 1.0, 10.0  # seconds between looks
_SECONDS: Final = 4 * 3600
_UNDO_SECONDS: Final = 120.0  # in which what is being made is waited for, to be removed
_NOT_READY: Final = ("resourceNotReady", "RESOURCE_NOT_READY", "resourceInUseByAnotherResource")
_NOT_FOUND: Final = 404


def insert_parameters(wanted: Wanted, disk: DiskFile, key: str) -> dict[str, Any]:
    """Return what images.insert is told of the object ``key``."""
    assert disk.arch is not None
    said: dict[str, Any] = {
        "name": wanted.name,
        "description": wanted.description or wanted.name,
        "architecture": ARCHITECTURES[disk.arch],
        "guestOsFeatures": [{"type": name} for name in wanted.features_of(disk)],
        "rawDisk": {"source": f"https://storage.googleapis.com/{wanted.bucket}/{key}"},
    }
    if wanted.family is not None:
        said["family"] = wanted.family
    if wanted.labels:
        said["labels"] = dict(wanted.labels)
    if wanted.location is not None:
        said["storageLocations"] = [wanted.location]
    return said


def insert(
    access: Access,
    wanted: Wanted,
    disk: DiskFile,
    stored: Stored,
    journal: Journal,
    means: Means,
    made: Leftovers,
) -> dict[str, Any]:
    """Make an image of an object, and return it as Google describes it. Raises PublishError."""
    with step(means.emit, "image", "Waiting for the image", total=100) as phase:
        operation = _asked(access, wanted, disk, stored, journal, means, made)
        end = time.monotonic() + _SECONDS
        wait = _FIRST
        while operation.get("status") != "DONE":
            if time.monotonic() > end:
                raise PublishError(f"the image '{wanted.name}' is not there after 4 hours")
            time.sleep(wait)
            wait = min(_MOST, wait * 1.5)
            operation = _operation(access, str(operation["name"]))
            done = operation.get("progress")
            phase.update(done if isinstance(done, int) else 0)
        _check(operation, f"the image '{wanted.name}'")
        found = means.patience.of(f"looking for the image '{wanted.name}'",
                                  lambda: _ready(access, wanted.name))  # fmt: skip
        phase.detail = wanted.name
    return found


def _ready(access: Access, name: str) -> dict[str, Any]:
    """Return an image that was made. Raises Transient where not all of Google knows it yet."""
    found = get(access, name)
    state = "not there" if found is None else found.get("status", "READY")
    if state == "FAILED":
        raise PublishError(f"the image '{name}' is {state}")
    if found is None or state != "READY":
        raise Transient(f"it is {state}")
    return found


def get(access: Access, name: str) -> dict[str, Any] | None:
    """Return an image of the project, None where there is none. Raises PublishError."""
    try:
        return access.call("compute images.get", COMPUTE, "GET", _path(access, f"images/{name}"))
    except RefusedError as error:
        if error.status != _NOT_FOUND:
            raise
        return None


@whole
def _asked(
    access: Access, wanted: Wanted, disk: DiskFile, stored: Stored, journal: Journal,
    means: Means, made: Leftovers,
) -> dict[str, Any]:  # fmt: skip
    """Ask for an image; by the same identifier of a request it is the same one again."""
    request = journal.get("request")
    if not isinstance(request, str):
        request = str(uuid.uuid4())
        journal.note("request", request)
    known = journal.get("operation")
    if isinstance(known, str):
        with suppress(RefusedError):  # of one that is long past: asked for again
            return _operation(access, known)
    try:
        operation = access.call(
            "compute images.insert", COMPUTE, "POST", _path(access, "images"),
            [("requestId", request)], insert_parameters(wanted, disk, stored.key),
        )  # fmt: skip
    except RefusedError:
        raise
    except PublishError:  # nobody knows whether it arrived
        made.left.append(f"perhaps the image '{wanted.name}'")
        notice(
            means.emit,
            f"the image '{wanted.name}' may be made nevertheless: "
            f"gcloud compute images delete {wanted.name} --project {access.where()}",
            warning=True,
        )
        raise
    journal.note("operation", str(operation.get("name")))
    _note(access, wanted.name, operation, made)
    return operation


def _note(access: Access, name: str, operation: dict[str, Any], made: Leftovers) -> None:
    told, target = str(operation.get("name")), _target(operation)
    _added(access, name, made, lambda: _remove(access, name, told, target))


def _added(access: Access, name: str, made: Leftovers, remove: Callable[[], None]) -> None:
    project = access.where()
    made.add(
        f"the image '{name}' in the project '{project}'",
        f"gcloud compute images delete {name} --project {project}",
        remove,
    )


def note_earlier(access: Access, wanted: Wanted, facts: Mapping[str, Any], made: Leftovers) -> None:
    """Note the image that an operation of an earlier run makes or made."""
    operation = facts.get("operation")
    if isinstance(operation, str):
        _added(access, wanted.name, made, lambda: _remove_earlier(access, wanted.name, operation))


def _remove_earlier(access: Access, name: str, operation: str) -> None:
    try:
        found = _operation(access, operation)
    except RefusedError as error:
        if error.status != _NOT_FOUND:
            raise
        return  # long past: whose image that is, nobody can say
    _remove(access, name, operation, _target(found))


def _target(operation: dict[str, Any]) -> str | None:
    target = operation.get("targetId")
    return str(target) if target else None


def _remove(access: Access, name: str, operation: str, target: str | None) -> None:
    """Delete an image as soon as that can be done; never another one of its name."""
    end = time.monotonic() + _UNDO_SECONDS
    wait = _FIRST
    while True:
        made = _operation(access, operation).get("status") == "DONE"
        found = get(access, name)
        if found is None and made:
            return
        if found is not None and target is not None and str(found.get("id")) != target:
            return
        answer = None if found is None else _deletion(access, name)
        if answer is not None:
            break
        if time.monotonic() > end:
            raise PublishError("it is still being made")
        time.sleep(wait)
        wait = min(_MOST, wait * 1.5)
    while answer.get("status") != "DONE" and time.monotonic() < end:
        time.sleep(wait)
        answer = _operation(access, str(answer.get("name")))
    _check(answer, f"deleting the image '{name}'")


def _deletion(access: Access, name: str) -> dict[str, Any] | None:
    """Begin to delete an image; None where that cannot be done yet."""
    try:
        return access.call(
            "compute images.delete", COMPUTE, "DELETE", _path(access, f"images/{name}")
        )
    except RefusedError as error:
        if error.status != _NOT_FOUND and error.reason not in _NOT_READY:
            raise
        return None


def _operation(access: Access, name: str) -> dict[str, Any]:
    """Return how far an operation is. Raises PublishError."""
    found = access.call(
        "compute globalOperations.get", COMPUTE, "GET", _path(access, f"operations/{name}")
    )
    if not isinstance(found.get("name"), str):
        raise PublishError(f"Google says nothing of the operation '{name}'")
    return found


def _path(access: Access, rest: str) -> str:
    return f"/compute/v1/projects/{access.where()}/global/{rest}"


def _check(operation: dict[str, Any], what: str) -> None:
    """Raise RefusedError where an operation failed."""
    error = operation.get("error")
    if not is_table(error):
        return
    errors = error.get("errors")
    first = errors[0] if is_list(errors) and errors and is_table(errors[0]) else {}
    raise RefusedError(
        what,
        count_of(operation.get("httpErrorStatusCode")) or 0,
        str(first.get("code", "error")),
        str(first.get("message", ""))[:1000],
    )

"""A page blob in a storage account, from which an image is made."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from typing import Final

from ...documents import is_table
from ...errors import Problem, PublishError
from ...events import notice
from ..extents import Sparse
from ..journal import Journal
from ..leftovers import Leftovers
from ..publication import DiskFile, Means
from ..retry import Patience
from ..transfer import Sent
from .access import Access, Pass, StorageKeys, cloud, require_private, storage_keys
from .arm import Manager, RefusedError
from .models import STORAGE
from .pages import PagesError, opened, write_disk
from .wanted import Wanted

_FORBIDDEN: Final = 403
_ANY: Final = "diskgen.vhd"  # asked for where a container is looked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A storage account; ``id`` and ``location`` are not known to those who may not ask."""

    name: str
    endpoint: str  # URL
    keys: StorageKeys
    access: Access
    id: str | None = None
    location: str | None = None

    def let(self, path: str) -> Pass:
        """Return what lets requests through to a path. Raises PublishError."""
        require_private(self.endpoint, "name the account's https:// address")
        url = f"{self.endpoint.rstrip('/')}/{path}"
        if self.keys.sas is not None:
            url += f"?{self.keys.sas}"
        return Pass(url, access=self.access, account=self.name, key=self.keys.key)


def account_of(manager: Manager, wanted: Wanted) -> Account | None:
    """Return the account that is asked for; None where there is none of its name, nor a key."""
    assert wanted.storage_account is not None
    keys = storage_keys(os.environ)
    name = wanted.storage_account
    if keys.account != name:  # those are of another one
        keys = StorageKeys()
    endpoint = keys.endpoint or f"https://{name}.{cloud().blobs}"
    unlisted = Account(name=name, endpoint=endpoint, keys=keys, access=manager.access)
    path = manager.of_subscription("/providers/Microsoft.Storage/storageAccounts")
    try:
        rows = manager.all_of("looking for the storage account", path, STORAGE)
    except RefusedError as error:
        if error.status != _FORBIDDEN:
            raise
        return unlisted
    row = next((row for row in rows if row.get("name") == name), None)
    if row is None:  # or the identity sees no other resource group
        return None if keys.key is None and keys.sas is None else unlisted
    properties = row.get("properties")
    addresses = properties.get("primaryEndpoints") if is_table(properties) else None
    if keys.endpoint is None and is_table(addresses) and isinstance(addresses.get("blob"), str):
        endpoint = addresses["blob"]
    return Account(
        name=name, endpoint=endpoint, keys=keys, access=manager.access,
        id=str(row.get("id")), location=str(row.get("location")),
    )  # fmt: skip


def the_account(manager: Manager, wanted: Wanted) -> Account:
    """Return the account that is asked for. Raises PublishError where there is none."""
    found = account_of(manager, wanted)
    if found is None:
        raise PublishError(
            f"the subscription has no storage account '{wanted.storage_account}'",
            setting="storage-account",
        )
    return found


def problems(
    account: Account | None, wanted: Wanted, location: str, patience: Patience
) -> list[Problem]:
    """Return why a storage account cannot be used."""
    if account is None:
        return [Problem(
            code="no-storage-account", setting="storage-account",
            message=f"the subscription has no storage account '{wanted.storage_account}'",
            hint="az storage account list shows those that it has",
        )]  # fmt: skip
    found: list[Problem] = []
    if account.location not in (None, location):
        found.append(Problem(
            code="storage-account-elsewhere", setting="storage-account",
            message=f"the storage account '{account.name}' is in {account.location}, and the "
            f"image is to be in {location}", hint="name one of the same region",
        ))  # fmt: skip
    if wanted.gallery is not None and account.id is None:
        found.append(Problem(
            code="no-right", setting="storage-account",
            message="a version in a gallery is made by the identifier of the storage account, and "
            f"the identity may not ask for that of '{account.name}'",
            hint="it needs the right Microsoft.Storage/storageAccounts/read",
        ))  # fmt: skip
    try:
        with opened(account.let(f"{wanted.container}/{_ANY}")) as pages:
            patience.of("looking for the container", pages.container)
    except PagesError as error:
        found.append(Problem(
            code="no-container", message=f"the container '{wanted.container}' of "
            f"'{account.name}' cannot be used: {error.message}", hint=error.hint,
            setting="container",
        ))  # fmt: skip
    return found


def note(manager: Manager, wanted: Wanted, name: str, patience: Patience, made: Leftovers) -> None:
    """Note a page blob, with what removes it."""
    container, account = wanted.container, wanted.storage_account

    def remove() -> None:
        with opened(the_account(manager, wanted).let(f"{container}/{name}")) as pages:
            patience.of(f"deleting '{name}'", pages.delete)

    made.add(
        f"the blob '{name}' in the container '{container}' of '{account}'",
        f"az storage blob delete --account-name {account} --container-name {container} "
        f"--name {name}",
        remove,
    )


def upload(
    manager: Manager,
    wanted: Wanted,
    disk: DiskFile,
    journal: Journal,
    means: Means,
    made: Leftovers,
) -> tuple[str, str | None, Sent]:
    """Make a page blob of a file, or go on with the journal's, which ``made`` has.

    Returns its address, and the identifier of its account. Raises PublishError.
    """
    account = the_account(manager, wanted)
    name = _ready(manager, account, wanted, disk.path.stat().st_size, journal, means, made)
    let = account.let(f"{wanted.container}/{name}")
    with Sparse(disk.path) as source:
        sent = write_disk(source, let, journal, means)
    return let.text, account.id, sent


def _ready(
    manager: Manager,
    account: Account,
    wanted: Wanted,
    size: int,
    journal: Journal,
    means: Means,
    made: Leftovers,
) -> str:
    """Return the name of a blob that can be written to."""
    earlier = journal.get("blob")
    if isinstance(earlier, str):
        with opened(account.let(f"{wanted.container}/{earlier}")) as pages:
            there = means.patience.of("looking for the page blob", pages.size)
        if there == size:
            notice(means.emit, f"going on with the blob '{earlier}' of an earlier run")
            return earlier
        made.drop()
        journal.forget()
    name = f"diskgen-{uuid.uuid4().hex}.vhd"
    journal.note("blob", name)
    note(manager, wanted, name, means.patience, made)
    with opened(account.let(f"{wanted.container}/{name}")) as pages:
        means.patience.of("making the page blob", lambda: pages.create(size))
    return name

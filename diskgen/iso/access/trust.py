"""Whom a machine that installs trusts: the signature policy, its keys, and where signatures are.

Formats: containers-policy.json(5), containers-registries.d(5); keys: RFC 9580.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ...budgets import CONFIG_BYTES
from ...errors import UsageError
from ...image import policy as policies
from ...image.policy import Policy, repository
from ...ostree.lookup import find
from ...reference import SIGNED
from ...tree import Directory, File, read
from ..kickstarts.kickstart import MEDIUM
from .draft import CONTAINERS, Draft, document, small

_KEYS: Final = "etc/pki/containers"
_ATTACHMENTS: Final = f"{CONTAINERS}/registries.d/diskgen.yaml"
_REMOTE: Final = "ostree-remote-"
_SECRET_KEY: Final = re.compile(rb"-----BEGIN PGP PRIVATE|\A[\x94-\x97\xc5]")  # 4.2, 5.5.1.3
Load = Callable[[str], bytes | None]  # what reads a file that a policy names


def policy(made: Draft) -> None:
    """Let the installer take only what is signed, by the policy that says by whom."""
    ref, signed = made.ref, made.rule.startswith(f"{SIGNED}:")
    found = _chosen(made, signed=signed)
    demands = False
    if found is not None:
        chosen, load = found
        demands = chosen.demands(ref) and not chosen.accepts_by_default
        if made.fetches and chosen.refuses(ref):
            made.problem(
                f"the signature policy refuses '{ref.short}', which the installer has to fetch",
                "give the policy a rule for it",
                "signature-policy",
            )
        chosen, files = policies.moved(chosen, load, _key_place)
        made.add(policies.PATH, document(_with_medium(chosen)))
        for path, data in files.items():
            made.add(path, data)
        _lookaside(made, chosen)
    made.verified = signed or demands
    if demands or not signed:
        return
    if made.fetches:
        made.problem(
            f"the updates of '{ref.short}' are to be signed, and no signature policy says by whom: "
            "the installer would refuse the image",
            "name one that has a rule for it and rejects by default, see containers-policy.json(5)",
            "signature-policy",
        )
    else:
        made.warnings.append(
            f"'{ref.short}' is to be signed, and no signature policy says by whom: started from "
            "the network, or with diskgen.ref=, the installer refuses every image "
            "(--signature-policy)"
        )


def remote(made: Draft) -> None:
    """Take the key along by which an installed machine verifies its updates."""
    path = made.request.signature_key
    name = made.rule.split(":")[1] if made.rule.startswith(_REMOTE) else None
    if name is None:
        if path is not None:
            raise UsageError(
                f"'{path}' is the key of no ostree remote: the updates are not verified by one",
                hint="name the remote: ostree-remote-registry:NAME",
                setting="target-signature",
            )
        return
    if path is None:
        raise UsageError(
            f"updates are to be verified by the ostree remote '{name}', whose key is not named",
            hint="name the file of its public key",
            setting="target-signature-key",
        )
    data = small(path, "target-signature-key")
    if _SECRET_KEY.search(data):
        raise UsageError(
            f"'{path}' is a private key", hint="name the public one", setting="target-signature-key"
        )
    made.remote = (name, data)
    if made.fetches and not made.verified:
        made.warnings.append(
            f"the key of '{name}' verifies updates, not what is fetched while a machine is "
            "installed: a signature policy would do that (--signature-policy)"
        )


def _chosen(made: Draft, *, signed: bool) -> tuple[Policy, Load] | None:
    """Return the policy that counts: the one that is named, else one that demands signatures.

    The runtime's own, which comes first, counts as well where it would refuse the medium's image.
    """
    named = made.request.access.policy
    if named is not None:
        return policies.parse(small(named, "signature-policy"), str(named)), _of_host
    for number, root in enumerate(made.roots):
        load = _of_root(root)
        data = load(policies.PATH)
        try:
            found = policies.parse(data or b"", policies.PATH)
        except UsageError:
            continue  # there is none, or none that would be obeyed
        wanted = signed and found.demands(made.ref) and not found.accepts_by_default
        if wanted or (number == 0 and not found.accepts_by_default):
            return found, load
    return None


def _with_medium(policy: Policy) -> dict[str, Any]:
    """Return a policy that takes the image on the medium, whose digests are known to be right."""
    held = dict(policy.document)
    transports = dict(held.get("transports", {}))
    transports["oci"] = {**transports.get("oci", {}), f"{MEDIUM}/container": [policies.ACCEPT]}
    return {**held, "transports": transports}


def _lookaside(made: Draft, policy: Policy) -> None:
    """Say where signatures are: as the user has it, else beside the image where they have to be."""
    place = made.request.access.registries_d
    if place is not None:
        for path in sorted(place.glob("*.yaml")):
            made.add(f"{CONTAINERS}/registries.d/{path.name}", small(path, "registries-d"))
    elif policy.needs_attachments(made.ref):
        text = f'docker:\n  "{repository(made.ref)}":\n    use-sigstore-attachments: true\n'
        made.add(_ATTACHMENTS, text.encode())


def _of_host(name: str) -> bytes | None:
    try:
        return small(Path(name), "signature-policy")
    except UsageError:
        return None


def _of_root(root: Directory | None) -> Load:
    def load(name: str) -> bytes | None:
        node = find(root, name) if root is not None else None
        if not isinstance(node, File) or node.content is None or node.size > CONFIG_BYTES.limit:
            return None
        return read(node.content)

    return load


def _key_place(data: bytes) -> str:
    return f"{_KEYS}/{hashlib.sha256(data).hexdigest()[:16]}.pub"

"""skopeo: its arguments, and the signature policy that it obeys."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from .. import budgets
from ..config import AccessOptions
from ..documents import load_object
from ..errors import ToolError
from ..run import Completed, run
from .complaints import explain


def skopeo(
    command: str,
    arguments: Sequence[str | Path],
    access: AccessOptions,
    *,
    what: str,
    poll: Callable[[], None] | None = None,
    options: Sequence[str] = (),
    to: bool = False,
) -> Completed:
    """Run one skopeo command.

    ``what`` is the reference as the user wrote it, ``options`` are skopeo's global ones.
    ``to`` says that a copy goes to the registry, not from it.

    Raises SourceError or HostError in our words where the table of complaints knows it, else
    ToolError with skopeo's.
    """
    argv: list[str | Path] = ["skopeo", *options]
    if access.policy is not None:
        argv += ["--policy", access.policy]
    if access.registries_conf is not None:
        argv += ["--registries-conf", access.registries_conf]  # not in its help, but in its source
    if access.registries_d is not None:
        argv += ["--registries.d", access.registries_d]
    argv.append(command)
    prefix = ("dest-" if to else "src-") if command == "copy" else ""
    if access.authfile is not None:
        argv += ["--authfile", access.authfile]
    if access.cert_dir is not None:
        argv += [f"--{prefix}cert-dir", access.cert_dir]
    if access.tls_verify is not None:
        argv.append(f"--{prefix}tls-verify={str(access.tls_verify).lower()}")
    if any(str(word).startswith("docker-daemon:") for word in arguments):
        argv += [f"--{prefix}daemon-host={host}" for host in filter(None, [docker_host()])]
    argv += ["--retry-times", "2"]
    # A copy may move much; an answer to a question that takes minutes will never come.
    idle = (budgets.IDLE_SECONDS if command == "copy" else budgets.TOOL_SECONDS).limit
    try:
        return run([*argv, *arguments], poll=poll, idle=idle)
    except ToolError as error:
        raise explain(error, what) from error


def docker_host() -> str | None:
    """Return where Docker's daemon of this user listens; None for the usual place."""
    if named := os.environ.get("DOCKER_HOST"):
        return named
    own = Path(os.environ.get("XDG_RUNTIME_DIR", "/nonexistent")) / "docker.sock"  # rootless
    return f"unix://{own}" if own.is_socket() else None


def accepts_anything(access: AccessOptions) -> bool:
    """Say whether the signature policy in force accepts every OCI layout.

    Only then may a layout be read without skopeo, which would enforce the policy. The files and
    their order are those of containers-policy.json(5).
    """
    candidates = (
        [access.policy]
        if access.policy
        else [
            Path("~/.config/containers/policy.json").expanduser(),
            Path("/etc/containers/policy.json"),
        ]
    )
    for path in candidates:
        if path.is_file():
            try:
                policy = load_object(path.read_bytes())
                return bool(
                    policy["default"] == [{"type": "insecureAcceptAnything"}]
                    and "oci" not in policy.get("transports", {})
                )
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                return False
    return False

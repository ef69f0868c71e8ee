"""Access to AWS: credentials as botocore finds them, and its errors in our words.

botocore is imported here alone, and when something is published. What it says of a refused
signature quotes the request with its session token, so that is not shown.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Self, TypeVar

from ... import __version__
from ...errors import DiskgenError, HostError, PublishError
from ..http import TRANSIENT, Reply
from ..retry import Transient

_Made = TypeVar("_Made")

_THROTTLED: Final = re.compile(r"Throttl|TooManyRequests|RequestLimitExceeded|SlowDown|Unavailable")
_ENCODED: Final = re.compile(r"\s*Encoded authorization failure message: \S+")
# Code of an error: what it means (None: in AWS's words), what to do, the option that matters.
_CODES: Final[Mapping[str, tuple[str | None, str | None, str | None]]] = MappingProxyType(
    {
        **dict.fromkeys(
            ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException"),
            (None, "the account needs the rights that the manual lists", None),
        ),
        **dict.fromkeys(
            ("ExpiredToken", "ExpiredTokenException", "RequestExpired"),
            ("the credentials have expired", "log in again, such as by aws sso login", "profile"),
        ),
        **dict.fromkeys(
            ("AuthFailure", "InvalidClientTokenId", "UnrecognizedClientException",
             "InvalidAccessKeyId", "InvalidSignatureException", "SignatureDoesNotMatch"),
            ("AWS does not take the credentials", "are they of this region's partition, and is "
             "this machine's clock right?", "profile"),
        ),
        "OptInRequired": ("the account has not enabled the region", None, "region"),
        "InvalidAMIName.Duplicate": ("an AMI of this name exists", "choose another one",
                                     "ami-name"),
        **dict.fromkeys(
            ("ServiceQuotaExceededException", "ConcurrentLimitExceededException",
             "ResourceLimitExceeded", "SnapshotLimitExceeded", "AMIQuotaExceeded",
             "ConcurrentSnapshotLimitExceeded"),
            (None, "remove what is not needed there, or ask AWS for a larger quota", None),
        ),
    }
)  # fmt: skip


@dataclass(slots=True)
class Access:
    """One user's way to AWS. ``region`` is where the AMI is made; None: as it is configured.

    Use as a context manager where clients are made.
    """

    profile: str | None
    region: str | None
    _session: Any = field(default=None)
    _clients: dict[tuple[str, str], Any] = field(default_factory=dict)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        for client in self._clients.values():
            client.close()

    def where(self) -> str:
        """Return the region. Raises PublishError where none is named."""
        region = self.region or guarded("the configuration", self._of_config)
        if not region:
            raise PublishError("no region is named", hint="such as eu-central-1", setting="region")
        return str(region)

    def _of_config(self) -> Any:  # noqa: ANN401 - botocore has no types
        return self.session().get_config_variable("region")

    def session(self) -> Any:  # noqa: ANN401
        """Return botocore's session. Raises HostError where botocore is not installed."""
        if self._session is None:
            try:
                import botocore.session
            except ImportError:
                raise HostError(
                    "publishing to AWS needs Python's botocore, which is not installed",
                    hint="pip install 'diskgen[aws]', or the package python3-botocore",
                ) from None
            self._session = botocore.session.Session(profile=self.profile)
        return self._session

    def client(self, service: str, region: str | None = None) -> Any:  # noqa: ANN401
        """Return botocore's client of a service. Raises PublishError."""
        place = region or self.where()
        if (service, place) not in self._clients:
            self._clients[service, place] = guarded(
                f"the configuration of {service}", lambda: self._made(service, place)
            )
        return self._clients[service, place]

    def _made(self, service: str, region: str) -> Any:  # noqa: ANN401
        session = self.session()
        from botocore.config import Config

        return session.create_client(
            service,
            region_name=region,
            config=Config(
                retries={"mode": "standard", "total_max_attempts": 6},
                connect_timeout=20,
                read_timeout=60,
                user_agent_extra=f"diskgen/{__version__}",
            ),
        )

    def authorities(self) -> str | None:
        """Return the file of certificates that botocore is told to trust; None: it is not."""
        configured = self.session().get_config_variable("ca_bundle")
        return configured or os.environ.get("REQUESTS_CA_BUNDLE") or None

    def credentials(self) -> Any:  # noqa: ANN401
        """Return credentials as they are now: renewed where they can be. Raises PublishError."""
        found = guarded("looking for credentials", lambda: self.session().get_credentials())
        if found is None:
            raise PublishError(
                "no credentials for AWS were found",
                hint="aws configure makes some; so do AWS_PROFILE and AWS_ACCESS_KEY_ID with "
                "AWS_SECRET_ACCESS_KEY in the environment",
                setting="profile",
            )
        return guarded("renewing the credentials", found.get_frozen_credentials)


def call(client: Any, operation: str, **says: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return what an operation of a client answers. Raises PublishError, RefusedError."""
    service = client.meta.service_model.service_name
    answer: dict[str, Any] = guarded(
        f"{service} {operation}",
        lambda: client._make_api_call(operation, says),  # noqa: SLF001
    )
    return answer


class RefusedError(PublishError):
    """AWS answered with an error: ``code`` is how it calls it."""

    def __init__(self, what: str, code: str, said: str) -> None:
        words, hint, setting = _CODES.get(code, (None, None, None))
        if words is None:
            words = _ENCODED.sub("", said)[:1000] or code
        super().__init__(f"{what}: {words} ({code})", hint=hint, setting=setting)
        self.code = code


def refusal(what: str, reply: Reply, code: str, said: str) -> DiskgenError | Transient:
    """Return what an error of a service means: something that passes, or an end."""
    code = code or f"status {reply.status}"
    if reply.status in TRANSIENT or _THROTTLED.search(code):
        return Transient(f"{code}: {said}"[:300], reply.wait)
    return RefusedError(what, code, said)


def guarded(what: str, act: Callable[[], _Made]) -> _Made:
    """Return what an act of botocore gives, with its errors as ours. Raises PublishError."""
    try:
        from botocore import exceptions
    except ImportError:  # told where a session is made
        return act()
    try:
        return act()
    except exceptions.ClientError as error:
        said = error.response.get("Error", {})
        raise RefusedError(what, str(said.get("Code", "")), str(said.get("Message", ""))) from None
    except exceptions.ParamValidationError as error:
        raise PublishError(f"{what}: {error}") from None
    except (exceptions.ProfileNotFound, exceptions.ConfigParseError) as error:
        raise PublishError(str(error), setting="profile") from None
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError) as error:
        raise PublishError(
            "no credentials for AWS were found" if isinstance(error, exceptions.NoCredentialsError)
            else str(error),
            hint="aws configure makes some", setting="profile",
        ) from None  # fmt: skip
    except exceptions.EndpointConnectionError as error:
        raise PublishError(
            f"{what}: {error}", hint="is the region's name right?", setting="region"
        ) from None
    except exceptions.SSLError as error:
        raise PublishError(
            f"{what}: {error}",
            hint="name the certificate of who vouches for the server by AWS_CA_BUNDLE",
        ) from None
    # Addresses, files and programs of a configuration are not all checked by botocore.
    except (exceptions.BotoCoreError, ValueError, OSError) as error:
        raise PublishError(f"{what}: {error}") from None

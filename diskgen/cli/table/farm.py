"""Options about a farm that builds instead of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ..command import FARM, FARM_BUILDS, FARM_WAITS
from ..option import Option, Takes

_GROUP: Final = "farm"

OPTIONS: Final = (
    Option(
        name="farm",
        commands=FARM_BUILDS,
        group=_GROUP,
        metavar="URL",
        help="have a farm make it: https://HOST or unix:/run/cloudapi/api.socket",
        manual="Have a farm make the disk, instead of this machine: an osbuild-composer whose "
        "Cloud API v2 is at `https://`*HOST*[`:`*PORT*][*/PATH*], or at the socket `unix:`*PATH*. "
        "What it cannot do of what is asked for is said before anything is sent, see *Farms*. The "
        "file appears where a local build would have left it. Ctrl-C leaves the farm at work, and "
        "says how to come back.",
    ),
    Option(
        name="farm",
        commands=FARM,
        group=_GROUP,
        metavar="URL",
        otherwise="$DISKGEN_FARM",
        help="the farm: https://HOST or unix:/run/cloudapi/api.socket",
        manual="For `farm`: the address of the farm.",
    ),
    Option(
        name="farm-target",
        commands=FARM_BUILDS,
        group=_GROUP,
        metavar="TYPE[,KEY=VALUE]",
        repeatable=True,
        otherwise="local",
        help="where the farm puts the disk: local (it is downloaded), aws, aws.s3, gcp, azure, "
        "container, oci.objectstorage",
        manual="Where the farm puts the disk. `local`: it is downloaded from the farm. `aws` "
        "(region, share_with_accounts, snapshot_name), `aws.s3` (region, public), `gcp` (region, "
        "bucket, image_name, share_with_accounts), `azure` (tenant_id, subscription_id, "
        "resource_group, location, image_name, hyper_v_generation), `container` (name, tag), "
        "`oci.objectstorage`: the farm uploads it by its own account, and where it is then is "
        "printed. A list has `+` between its values.",
    ),
    Option(
        name="farm-login",
        commands=FARM_BUILDS | FARM,
        group=_GROUP,
        kind=Path,
        metavar="FILE",
        help="who you are for its OpenID: token_url, client_id, client_secret or refresh_token",
        manual="Who you are for a farm behind OpenID: a file of JSON or, called .toml, TOML with "
        "`token_url` and either `client_id` and `client_secret`, or `refresh_token` (an offline "
        "token). Others must not be able to read it.",
    ),
    Option(
        name="farm-cert",
        commands=FARM_BUILDS | FARM,
        group=_GROUP,
        kind=Path,
        metavar="FILE",
        help="client certificate for the farm, PEM",
        manual="Client certificate for the farm, PEM.",
    ),
    Option(
        name="farm-key",
        commands=FARM_BUILDS | FARM,
        group=_GROUP,
        kind=Path,
        metavar="FILE",
        otherwise="in the file of the certificate",
        help="its key, PEM",
        manual="Its key, PEM, without a passphrase.",
    ),
    Option(
        name="farm-ca",
        commands=FARM_BUILDS | FARM,
        group=_GROUP,
        kind=Path,
        metavar="FILE",
        otherwise="those whom this system trusts",
        help="authorities that vouch for the farm, PEM",
        manual="Authorities that vouch for the farm, PEM; others do not.",
    ),
    Option(
        name="no-wait",
        commands=FARM_BUILDS,
        group=_GROUP,
        takes=Takes.NOTHING,
        help="print the ids of the composes, and do not wait for them",
        manual="Print the ids of what the farm was given, a line each, and do not wait for it: "
        "`diskgen farm status` and `diskgen farm download` do.",
    ),
    Option(
        name="dry-run",
        commands=FARM_BUILDS,
        group=_GROUP,
        takes=Takes.NOTHING,
        help="print what would be sent to the farm, and send nothing",
        manual="Print what would be sent to the farm, a JSON object for each compose, and send "
        "nothing: the farm is not asked for anything. Passwords, and files that not everybody may "
        "read, are masked. What a local build would do is shown by `diskgen plan`.",
    ),
    Option(
        name="ids",
        commands=FARM_WAITS | {"farm cancel"},
        positional=True,
        takes=Takes.MANY,
        metavar="ID",
        help="a compose, by its id or by the name that it was sent with",
        manual="A compose, by its id or by the name that it was sent with (`diskgen-`...), which a "
        "build that was interrupted prints.",
    ),
    Option(
        name="id",
        commands=frozenset({"farm logs", "farm download"}),
        positional=True,
        metavar="ID",
        help="a compose, by its id or by the name that it was sent with",
        manual="A compose, by its id or by the name that it was sent with (`diskgen-`...), which a "
        "build that was interrupted prints.",
    ),
    Option(
        name="wait",
        commands=FARM_WAITS,
        takes=Takes.NOTHING,
        help="wait until all of them have ended",
        manual="Wait until all of them have ended. A farm that does not answer for a while is "
        "waited for.",
    ),
    Option(
        name="output",
        short="o",
        commands=frozenset({"farm download"}),
        kind=Path,
        metavar="FILE",
        otherwise="ID.SUFFIX in this directory",
        help="the file to write",
        manual="For `farm download`: the file to write.",
    ),
)

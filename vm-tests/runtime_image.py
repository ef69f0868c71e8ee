"""An image that can be a machine and the runtime of diskgen's own installer alike.

The Debian image of the other tests with a kernel for real hardware, Python and the programs that
the installer takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import debian_image
from debian_image import Recipe

INSTALLER_PACKAGES = (
    "linux-image-amd64 python3 python3-parted python3-zstandard python3-isal dosfstools mtools"
    " mmdebstrap apt gpgv debian-archive-keyring"
).split()


@dataclass(frozen=True)
class RuntimeRecipe(Recipe):
    """The same image, able to install."""

    @property
    def packages(self) -> list[str]:
        kept = [name for name in super().packages if not name.startswith("linux-image")]
        return [*kept, *INSTALLER_PACKAGES]


RUNTIME = RuntimeRecipe()


def build(cache: Path) -> Path:
    """Return an OCI layout with the tag ``latest``, made if the cache lacks it."""
    return debian_image.build(cache, RUNTIME)

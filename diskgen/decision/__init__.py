"""What a deployment of an image gets: one answer for disks, media and both installers.

Pure. Semantics of what the image asks for: bootc-install-config(5), as ``bootc install`` has them.
"""

from .answers import Decision, decide
from .completed import completed
from .installing import installing
from .wishes import Route, Wishes, described_kargs, wishes

__all__ = [
    "Decision", "Route", "Wishes", "completed", "decide", "described_kargs", "installing",
    "wishes",
]  # fmt: skip

"""diskgen's own installer: what runs in the runtime of a medium, as root, on the machine itself.

Of diskgen's dependencies a runtime has pykickstart, parted and zstandard alone.
"""

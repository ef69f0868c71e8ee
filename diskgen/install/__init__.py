"""diskgen's own installer: what runs in the runtime of a medium, as root, on the machine itself."""

"""diskgen: a container image becomes a machine."""

__version__ = "0.1.0"

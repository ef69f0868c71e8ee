"""What runs an installer: its root from a container image, found, changed, packed."""

"""The disk: partition table and filesystems as bytes in a plain file."""

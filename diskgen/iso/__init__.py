"""ISO 9660 media: the tree, what makes it start, and the checksum of the medium."""

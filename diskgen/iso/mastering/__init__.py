"""A tree becomes an ISO 9660 image that firmware starts, with a name and a checksum of its own."""

"""Container images: references, fetching, layers as trees. Knows nothing of ostree or disks."""

"""Google Compute Engine: an image of a disk, by way of an object in a bucket."""

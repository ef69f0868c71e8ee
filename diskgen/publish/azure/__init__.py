"""Azure: a managed image, or a version in a gallery, of a fixed VHD."""

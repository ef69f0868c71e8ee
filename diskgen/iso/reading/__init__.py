"""Media of others, read without mounting: ISO 9660, El Torito and FAT, every byte checked."""

"""What an initramfs holds, read without unpacking it: one reader for disks and media.

``archive.members`` lists the files of one; ``findings.examine`` answers what diskgen asks of it,
and ``findings.Cached`` remembers the answers.
"""

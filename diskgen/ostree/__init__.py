"""ostree: objects, merge, deployment as a tree. Writes no filesystem."""

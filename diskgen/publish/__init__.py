"""Publishing: a finished file becomes an image of a cloud, or whatever its place makes of it.

``publication`` has the protocol of a place. ``transfer`` moves data for all of them: in parallel,
again where a place stumbles, and on from where a killed run was.
"""

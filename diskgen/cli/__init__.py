"""The command line: one table of options and one of commands, and what is made of them.

Lower must not import higher: ``option`` and ``command`` (the types of rows), ``table`` (the rows),
``parser``, ``request`` (arguments become a request), one module a group of commands, ``handlers``.
"""

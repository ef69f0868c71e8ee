"""The command line of bootc-image-builder, carried out by diskgen's own builds.

Lower must not import higher: ``flags`` and ``types`` (the tables), ``arguments`` (words become
values), ``request`` (values become requests), ``program`` (commands).
"""

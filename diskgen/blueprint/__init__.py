"""A machine as its owner describes it: the type, its table of keys, and the reader of documents.

Pure. The document is osbuild's blueprint (osbuild.org, "Blueprint reference"), as
bootc-image-builder takes it in ``config.toml`` and ``config.json``.
"""

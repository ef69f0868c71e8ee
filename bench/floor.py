"""The least that any tool must do with an image's layers: inflate them, hash blobs, layers and
files, and write the content once, on two cores.

    python bench/floor.py OUTPUT BLOB...
"""

from __future__ import annotations

import hashlib
import queue
import sys
import threading
from pathlib import Path

from isal import igzip_lib

_CHUNK = 1024 * 1024


def main() -> None:
    output, *blobs = sys.argv[1:]
    chunks: queue.Queue[bytes | None] = queue.Queue(8)

    def inflate() -> None:
        for blob in blobs:
            digest = hashlib.sha256()
            stream = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
            with Path(blob).open("rb") as file:
                while data := file.read(_CHUNK):
                    digest.update(data)
                    chunks.put(stream.decompress(data))
        chunks.put(None)

    thread = threading.Thread(target=inflate)
    thread.start()
    layer, files = hashlib.sha256(), hashlib.sha256()
    with Path(output).open("wb") as out:
        while (data := chunks.get()) is not None:
            layer.update(data)
            files.update(data)
            out.write(data)
    thread.join()


if __name__ == "__main__":
    main()

"""As much of Docker's engine API as gives images out: on a UNIX socket. Tests only.

API: "Export several images", ``GET /images/get?names=NAME``, whose answer is ``docker save``'s tar.
"""

from __future__ import annotations

import shutil
import socketserver
import tempfile
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path


@contextmanager
def daemon(images: Mapping[str, Path]) -> Iterator[Path]:
    """Give the socket of a daemon that has images: archives by name and tag."""

    class Handler(BaseHTTPRequestHandler):
        def address_string(self) -> str:
            return "local"

        def log_message(self, *_words: object) -> None:
            pass

        def do_GET(self) -> None:
            url = urllib.parse.urlsplit(self.path)
            (name,) = urllib.parse.parse_qs(url.query).get("names", [""])
            found = images.get(name) if url.path.endswith("/images/get") else None
            data = found.read_bytes() if found else b'{"message":"No such image"}'
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/x-tar" if found else "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    place = Path(tempfile.mkdtemp(prefix="docker-"))  # names of sockets are short
    place.chmod(0o755)
    server = socketserver.ThreadingUnixStreamServer(str(place / "docker.sock"), Handler)
    (place / "docker.sock").chmod(0o666)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield place / "docker.sock"
    finally:
        server.shutdown()
        server.server_close()
        shutil.rmtree(place)

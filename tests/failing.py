"""Registries and proxies on loopback that fail in a chosen way. Tests only."""

from __future__ import annotations

import hashlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from .oci import Layout

Answer = tuple[int, Mapping[str, str], bytes]
Rule = Callable[[str, str], Answer | None]  # of method and path; None: what the image has


def says(status: int, code: str = "", message: str = "", **headers: str) -> Answer:
    """Return an answer with an error document of the distribution specification."""
    body = json.dumps({"errors": [{"code": code, "message": message}]}).encode() if code else b""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, {"Content-Type": "application/json", **named}, body


@contextmanager
def serving(
    layout: Path, rule: Rule, *, certificate: tuple[Path, Path] | None = None
) -> Iterator[str]:
    """Serve a layout's image as ``HOST/os:1``, but what the rule answers; give the host."""
    manifest = Layout.manifest_of(layout)
    descriptor = json.loads((layout / "index.json").read_bytes())["manifests"][0]

    def blob(digest: str) -> bytes:
        return (layout / "blobs" / digest.replace(":", "/")).read_bytes()

    known: dict[str, tuple[str, bytes]] = {
        f"/v2/os/blobs/{part['digest']}": ("application/octet-stream", blob(part["digest"]))
        for part in (manifest["config"], *manifest["layers"])
    }
    for tag in ("1", descriptor["digest"]):
        known[f"/v2/os/manifests/{tag}"] = (descriptor["mediaType"], blob(descriptor["digest"]))
    known["/v2/"] = ("application/json", b"{}")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            answer = rule(self.command, path)
            if answer is None:
                kind, data = known.get(path, ("", b""))
                answer = (200, {"Content-Type": kind}, data) if kind else says(404, "NAME_UNKNOWN")
            status, headers, body = answer
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status != 204 and "Content-Length" not in headers:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)
            if "Content-Length" in headers:
                self.close_connection = True

        def log_message(self, *_words: Any) -> None:
            return

    for method in ("HEAD", "CONNECT"):
        setattr(Handler, f"do_{method}", Handler.do_GET)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def silent() -> Iterator[str]:
    """Take connections and never say a word; give the host."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        held: list[socket.socket] = []

        def take() -> None:
            with suppress(OSError):
                while True:
                    held.append(listening.accept()[0])

        threading.Thread(target=take, daemon=True).start()
        try:
            yield f"127.0.0.1:{listening.getsockname()[1]}"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            for one in held:
                one.close()


def closed_port() -> str:
    """Return a host and a port on which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{taken.getsockname()[1]}"


def other_digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data + b'x').hexdigest()}"

"""A real registry on loopback: docker-registry with its storage in a directory. Tests only."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

# bcrypt of "secret", for a user "user", as htpasswd -B writes it
_HTPASSWD = "user:$2b$05$e0MYzXyjpJS7Pd0RVvHwHeflys03QYWOgk2EVomcECqax/ZgGUdXC\n"


class Registry:
    """A running registry. ``host`` is what stands in front of a repository in a reference."""

    def __init__(self, place: Path, port: int, *, tls: bool, auth: bool) -> None:
        self.place = place
        self.port = port
        self.host = f"localhost:{port}" if tls else f"127.0.0.1:{port}"
        self._tls = tls
        self._headers = (
            {"Authorization": "Basic " + base64.b64encode(b"user:secret").decode()} if auth else {}
        )

    @property
    def log(self) -> str:
        """Everything the registry has logged so far, one request a line."""
        return (self.place / "log").read_text(errors="replace")

    def fetched(self, repository: str) -> list[str]:
        """Return the digests of blobs that were handed out so far, in order."""
        mark = f"/v2/{repository}/blobs/"
        return [
            line.partition(mark)[2].split(" ")[0]
            for line in self.log.splitlines()
            if f'"GET {mark}' in line and ('" 200 ' in line or '" 206 ' in line)
        ]

    def push(self, layout: Path, repository: str, tag: str = "latest") -> str:
        """Push an OCI layout's only image as it is; return the manifest's digest."""
        index = json.loads((layout / "index.json").read_bytes())
        (descriptor,) = index["manifests"]
        data = _blob(layout, descriptor["digest"]).read_bytes()
        self.push_tree(layout, repository, json.loads(data))
        return self.put_manifest(repository, tag, data, descriptor["mediaType"])

    def push_index(self, layouts: Mapping[str, Path], repository: str, tag: str = "latest") -> str:
        """Push images as one multi-architecture index; the keys are GOARCH names."""
        manifests = []
        for arch, layout in layouts.items():
            digest = self.push(layout, repository, f"{tag}-{arch}")
            (descriptor,) = json.loads((layout / "index.json").read_bytes())["manifests"]
            platform = {"os": "linux", "architecture": arch}
            manifests.append(
                {"mediaType": descriptor["mediaType"], "digest": digest,
                 "size": _blob(layout, digest).stat().st_size, "platform": platform}
            )  # fmt: skip
        kind = "application/vnd.oci.image.index.v1+json"
        index = {"schemaVersion": 2, "mediaType": kind, "manifests": manifests}
        return self.put_manifest(repository, tag, json.dumps(index).encode(), kind)

    def push_tree(self, layout: Path, repository: str, manifest: dict[str, Any]) -> None:
        """Push the blobs that a manifest names."""
        for part in (manifest["config"], *manifest["layers"]):
            self.put_blob(repository, _blob(layout, part["digest"]).read_bytes())

    def put_blob(self, repository: str, data: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if self.request("HEAD", f"/v2/{repository}/blobs/{digest}")[0] == 200:
            return digest
        status, headers, body = self.request("POST", f"/v2/{repository}/blobs/uploads/")
        assert status == 202, body
        place = urlsplit(headers["Location"])
        status, _headers, body = self.request(
            "PUT", f"{place.path}?{place.query}&digest={digest}", data,
            {"Content-Type": "application/octet-stream"},
        )  # fmt: skip
        assert status == 201, body
        return digest

    def put_manifest(self, repository: str, tag: str, data: bytes, media_type: str) -> str:
        headers = {"Content-Type": media_type}
        status, _headers, body = self.request(
            "PUT", f"/v2/{repository}/manifests/{tag}", data, headers
        )
        assert status == 201, body
        return f"sha256:{hashlib.sha256(data).hexdigest()}"

    def stored(self, digest: str) -> Path:
        """Return the file in the registry's storage that holds a blob, to be tampered with."""
        name = digest.removeprefix("sha256:")
        return self.place / f"storage/docker/registry/v2/blobs/sha256/{name[:2]}/{name}/data"

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection: http.client.HTTPConnection
        if self._tls:
            context = ssl.create_default_context(cafile=str(self.place / "tls/ca.crt"))
            connection = http.client.HTTPSConnection("localhost", self.port, context=context)
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port)
        try:
            connection.request(method, path, body, self._headers | dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()


@contextmanager
def registry(
    place: Path, *, tls: bool = False, auth: bool = False, schema1: bool = False
) -> Iterator[Registry]:
    """Run a registry until the block is left; its CA certificate is ``place/tls/ca.crt``."""
    place.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    config: dict[str, Any] = {
        "version": 0.1,
        "log": {"accesslog": {"disabled": False}, "level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(place / "storage")}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    if tls:
        _certificates(place / "tls")
        config["http"]["tls"] = {
            "certificate": str(place / "tls/server.crt"),
            "key": str(place / "server.key"),
        }
    if schema1:
        config["compatibility"] = {"schema1": {"enabled": True}}
    if auth:
        (place / "htpasswd").write_text(_HTPASSWD)
        config["auth"] = {"htpasswd": {"realm": "test", "path": str(place / "htpasswd")}}
    (place / "config.yml").write_text(json.dumps(config))
    with (place / "log").open("wb") as log:
        child = subprocess.Popen(
            ["docker-registry", "serve", str(place / "config.yml")],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL, env={"PATH": "/usr/bin:/bin"},
        )  # fmt: skip
    try:
        made = Registry(place, port, tls=tls, auth=auth)
        _wait(made, child)
        yield made
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(5)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _wait(made: Registry, child: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while True:
        assert child.poll() is None, made.log
        try:
            made.request("GET", "/v2/")
        except OSError:
            assert time.monotonic() < deadline, made.log
            time.sleep(0.05)
        else:
            return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _certificates(place: Path) -> None:
    place.mkdir()
    shutil.copy("/etc/ssl/openssl.cnf", place / "openssl.cnf")
    key = place.parent / "server.key"  # not in the directory that --cert-dir names
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
            "-keyout", str(key), "-out", str(place / "ca.crt"),
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    (place / "openssl.cnf").unlink()
    shutil.copy(place / "ca.crt", place / "server.crt")


def _blob(layout: Path, digest: str) -> Path:
    return layout / "blobs" / digest.replace(":", "/", 1)

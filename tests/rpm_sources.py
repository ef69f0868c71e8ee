"""RPM repositories for tests: real packages by rpmbuild, indexed by createrepo_c, over HTTP too."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

PACKAGES: Final[Mapping[str, str]] = {  # and what the specs of some say besides
    "base": "",
    "server": "Requires(post): library = 1",
    "library": "",
    "tool": "Recommends: suggestion",
    "suggestion": "",
    "unwanted": "",
    "editor": "Requires: library",
}
_SCRIPT: Final = "%post -n server -p <lua>\nassert(posix.stat('/usr/share/tiny/library'))"
_GROUPS: Final = {"core": ("base",), "tools": ("tool", "unwanted"), "serving": ("server",)}
_ENVIRONMENT: Final = ("tiny-server", ("core", "serving"))


def build(place: Path, packages: Mapping[str, str] = PACKAGES) -> Path:
    """Return a directory of packages without architecture, one for each name."""
    lines = [
        "%global _build_id_links none", "Name: all", "Version: 1", "Release: 1", "Summary: a test",
        "License: MIT", "BuildArch: noarch", "%description", "A test.",
        "%install", "mkdir -p %{buildroot}/usr/share/tiny %{buildroot}/usr/share/doc/tiny",
    ]  # fmt: skip
    lines += [f"echo {n} | tee %{{buildroot}}/usr/share{d}/tiny/{n}"
              for n in packages for d in ("", "/doc")]  # fmt: skip
    for name, head in packages.items():
        lines += [
            f"%package -n {name}", "Summary: a test", head, f"%description -n {name}", "A test.",
            f"%files -n {name}", f"/usr/share/tiny/{name}", f"%doc /usr/share/doc/tiny/{name}",
        ]  # fmt: skip
    lines.append(_SCRIPT if "server" in packages else "")
    place.mkdir(parents=True)
    spec = place / "all.spec"
    spec.write_text("\n".join(lines) + "\n")
    run("rpmbuild", "-bb", "--quiet", "--define", f"_topdir {place}/build", spec)
    found = place / "packages"
    (place / "build/RPMS/noarch").rename(found)
    return found


def index(place: Path) -> Path:
    """Make a directory of packages a repository with groups and an environment."""
    name, groups = _ENVIRONMENT
    comps = ['<?xml version="1.0"?><comps>']
    for group, members in _GROUPS.items():
        listed = "".join(f'<packagereq type="mandatory">{each}</packagereq>' for each in members)
        comps.append(
            f"<group><id>{group}</id><name>{group}</name><default>true</default>"
            f"<uservisible>true</uservisible><packagelist>{listed}</packagelist></group>"
        )
    listed = "".join(f"<groupid>{group}</groupid>" for group in groups)
    comps.append(
        f"<environment><id>{name}</id><name>{name}</name><grouplist>{listed}</grouplist>"
        "<optionlist/></environment></comps>"
    )
    (place / "comps.xml").write_text("".join(comps))
    run("createrepo_c", "--quiet", "--groupfile", place / "comps.xml", place)
    return place


@dataclass(frozen=True)
class Signer:
    """A key that signs packages; ``public`` is where its public half is."""

    home: Path
    name: str
    public: Path

    def sign(self, packages: Path, place: Path) -> Path:
        """Return a copy of a directory of packages, all signed."""
        shutil.copytree(packages, place)
        words = ["--define", f"_gpg_name {self.name}", "--define", "__gpg /usr/bin/gpg"]
        run("rpmsign", "--addsign", *words, *place.glob("*.rpm"), GNUPGHOME=str(self.home))
        return place


def signer(home: Path, name: str) -> Signer:
    home.mkdir(mode=0o700)
    who = f"{name}@example.org"
    run("gpg", "--batch", "--quick-gen-key", "--passphrase", "", who, "rsa2048", "sign", "never",
        GNUPGHOME=str(home))  # fmt: skip
    public = home / "RPM-GPG-KEY"
    run("gpg", "--batch", "--armor", "--export", "--output", public, GNUPGHOME=str(home))
    run("gpgconf", "--kill", "all", GNUPGHOME=str(home))
    return Signer(home, who, public)


@dataclass(frozen=True)
class Mirror:
    """A server on loopback; ``asked`` are the paths that were asked for."""

    url: str
    place: Path
    asked: list[str] = field(default_factory=list)

    def lists(self, repository: str) -> Mapping[str, str]:
        """Return the URL of a repository by each kind of a kickstart; their files are written."""
        url = f"{self.url}/{repository}"
        (self.place / "mirrors").write_text(f"# mirrors\n{url}/\n")
        data = (self.place / repository / "repodata/repomd.xml").read_bytes()
        (self.place / "metalink").write_text(
            '<?xml version="1.0" encoding="utf-8"?>'
            '<metalink version="3.0" xmlns="http://www.metalinker.org/"><files>'
            f'<file name="repomd.xml"><size>{len(data)}</size><verification>'
            f'<hash type="sha256">{hashlib.sha256(data).hexdigest()}</hash></verification>'
            f'<resources maxconnections="1"><url protocol="http" type="http" location="DE" '
            f'preference="100">{url}/repodata/repomd.xml</url></resources></file></files></metalink>'
        )
        return {"url": url, "mirrorlist": f"{self.url}/mirrors", "metalink": f"{self.url}/metalink"}


@contextmanager
def mirror(place: Path) -> Iterator[Mirror]:
    """Serve a directory on loopback."""
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, _format: str, *_args: object) -> None:
            asked.append(self.path)

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=place)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield Mirror(f"http://127.0.0.1:{server.server_port}", place, asked)
        finally:
            server.shutdown()
            thread.join()


def run(*argv: str | Path, **env: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=os.environ | env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout

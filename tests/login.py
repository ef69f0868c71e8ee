"""A QEMU and an ssh that only pretend, for what 'diskgen boot' hands to them and does with them."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_QEMU = """\
#!{python}
import json, os, re, signal, socket, sys
place = {place!r}
argv = sys.argv[1:]
read = [open(w.partition("path=")[2].replace(",,", ",")).read() for w in argv if "type=11" in w]
modes = [oct(os.stat(w.partition("path=")[2]).st_mode) for w in argv if "type=11" in w]
with open(place + "/qemu.json", "w") as file:
    json.dump({{"argv": argv, "strings": read, "modes": modes, "pid": os.getpid()}}, file)
serial = re.search(r"path=(\\S+/serial)", " ".join(argv))
if serial:
    open(serial[1], "w").write("[    0.0] first light\\nlast words\\n")
does = open(place + "/does").read().split()
if "dies" in does:
    print("qemu: no such thing", file=sys.stderr)
    sys.exit(3)
door = re.search(r"hostfwd=tcp:127.0.0.1:(\\d+)-:22\\b", " ".join(argv))
if door and "deaf" not in does:
    listener = socket.create_server(("127.0.0.1", int(door[1])))
    while True:
        connection, _ = listener.accept()
        connection.sendall(b"SSH-2.0-pretended\\r\\n" if "mute" not in does else b"220 mail\\r\\n")
        connection.close()
if "ends" in does:
    sys.exit(4)
signal.pause()
"""
_SSH = """\
#!{python}
import json, os, signal, sys
place = {place!r}
argv = sys.argv[1:]
key = argv[argv.index("-i") + 1]
with open(place + "/ssh.jsonl", "a") as file:
    note = {{"argv": argv, "key": key, "mode": oct(os.stat(key).st_mode), "pid": os.getpid(),
            "term": os.environ.get("TERM"), "names": sorted(os.environ)}}
    file.write(json.dumps(note) + "\\n")
does = open(place + "/does").read().split()
words = argv[argv.index("--") + 1:] if "--" in argv else []
if words == ["exit 0"]:
    if "denied" in does:
        print("root@127.0.0.1: Permission denied (publickey).", file=sys.stderr)
        sys.exit(255)
    if "nologin" in does:
        print("This account is currently not available.")
        sys.exit(1)
    sys.exit(0)
print("ran", words, sys.stdin.read() if not sys.stdin.isatty() else "", flush=True)
if "hangs" in does:
    signal.pause()
if "killed" in does:
    os.kill(os.getpid(), signal.SIGKILL)
sys.exit(next((int(word) for word in does if word.isdigit()), 0))
"""


@dataclass(frozen=True)
class Pretended:
    """Where both programs lie and note what they were given."""

    place: Path

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": f"{self.place}:/usr/bin:/bin", "DISKGEN_ACCEL": "tcg"}

    @property
    def qemu(self) -> dict[str, Any]:
        made: dict[str, Any] = json.loads((self.place / "qemu.json").read_text())
        return made

    @property
    def ssh(self) -> list[dict[str, Any]]:
        notes = self.place / "ssh.jsonl"
        return [json.loads(line) for line in notes.read_text().splitlines()]


def pretend(place: Path, does: str = "") -> Pretended:
    """Make both programs. ``does`` are words for what goes wrong, or ssh's status."""
    for name, text in (("qemu-system-x86_64", _QEMU), ("qemu-system-s390x", _QEMU), ("ssh", _SSH)):
        path = place / name
        path.write_text(text.format(python=sys.executable, place=str(place)))
        path.chmod(0o755)
    (place / "does").write_text(does)
    return Pretended(place)

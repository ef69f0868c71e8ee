"""A machine that is described: the file for ``--config``, and what its guest has to say of itself.

The description brings a unit of its own, which says so before the proof agent has ended.
"""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

from guest import Guest

from diskgen.vm.forward import Forward

PASSWORD = "let ann in"
_UNIT = """\
[Unit]
Description=Says what was described
After=systemd-tmpfiles-setup.service local-fs.target
[Service]
Type=oneshot
ExecStart=/bin/bash /etc/described/say
[Install]
WantedBy=multi-user.target
"""
_SAY = r"""#!/bin/bash
say() { echo "<1>DISKGEN-PROOF given-$1=$2" >/dev/kmsg; }
say ids "$(id -Gn ann) $(id -u ann) $(id -Gn ben) $(id -u ben)"
say home "$(cd /home/ann && stat -c '%U:%G:%a' . .ssh .ssh/authorized_keys | tr '\n' ' ')"
say second "$(cd /home/ben && stat -c '%U:%G:%a' . .ssh .ssh/authorized_keys | tr '\n' ' ')"
say file "$(cd /etc/described && stat -c '%U:%G:%a' . note | tr '\n' ' ')$(cat /etc/described/note)"
say name "$(cat /proc/sys/kernel/hostname)"
say zone "$(date +%Z) $(readlink /etc/localtime)"
say place "$(tr '\n' ' ' </etc/locale.conf)"
for unit in described getty@tty1 debug-shell; do
  say "unit-${unit%@*}" "$(systemctl is-enabled $unit)"
done
say crypt "$(awk -F: '$1 == "ann" { print substr($2, 1, 3), $3 }' /etc/shadow)"
say checks "$({ pwck -r; grpck -r; } 2>&1 | grep -cE "'(ann|ben|tea)'")"
number=0 # a line of the kernel's log is short
while read -r line; do
  say "diff$((number++))" "$line"
done < <(ostree admin config-diff | tr -s ' ' | LC_ALL=C sort | tr '\n' ',' | fold -w 700; echo)
if [ -e /sys/fs/selinux/enforce ]; then
  say labels "$(stat -c '%C' /home/ann /home/ann/.ssh /home/ben/.ssh/authorized_keys | tr '\n' ' ')"
fi
exit 0
"""
# What "ostree admin config-diff" has of what is described; then of what is done to every machine.
_GIVEN = """\
A described,A described/note,A described/say,A locale.conf,A ssh/sshd_config.d/00-diskgen.conf,
A systemd/system/debug-shell.service,A systemd/system/described.service,
A systemd/system/multi-user.target.wants/described.service,D systemd/system/getty.target.wants,
M group,M gshadow,M hostname,M localtime,M passwd,M shadow,M subgid,M subuid
"""
_OWN = {"A .updated", "A diskgen-proof", "M fstab", "M machine-id"}
_POLICY = " selinux/"  # which libostree compiles again at an update
_LOGINS = "unconfined_u:unconfined_r:unconfined_t"  # of people, where SELinux is


def write(place: Path) -> Path:
    """Write the description below a directory, and beside it the key that lets ben in."""
    path, key = place / "machine.toml", place / "ben"
    if not key.exists():
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ben", "-f", key]
        subprocess.run(argv, check=True)
    public = key.with_suffix(".pub").read_text().strip()
    path.write_text(f"""\
[customizations]
hostname = "described"
[customizations.timezone]
timezone = "UTC"
[customizations.locale]
languages = ["C.UTF-8"]
[[customizations.group]]
name = "tea"
[[customizations.user]]
name = "ann"
password = "{PASSWORD}"
groups = ["wheel", "tea"]
key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBv ann"
[[customizations.user]]
name = "ben"
uid = 4242
key = "{public}"
[customizations.sshd]
password_authentication = false
[customizations.services]
enabled = ["described"]
disabled = ["getty@tty1"]
masked = ["debug-shell"]
[[customizations.directories]]
path = "/etc/described"
mode = "0750"
[[customizations.files]]
path = "/etc/described/note"
data = "hello"
user = "ann"
group = "tea"
mode = "0640"
[[customizations.files]]
path = "/etc/described/say"
mode = "0755"
data = '''
{_SAY}'''
[[customizations.files]]
path = "/etc/systemd/system/described.service"
data = '''
{_UNIT}'''
""")
    return path


def check(proof: dict[str, str]) -> None:
    """Hold what a guest says of itself against the description."""
    assert proof["given-ids"] == "ann sudo tea 1000 ben 4242"
    assert proof["given-home"] == "ann:ann:700 ann:ann:700 ann:ann:600"
    assert proof["given-second"] == "ben:ben:700 ben:ben:700 ben:ben:600"
    assert proof["given-file"] == "root:root:750 ann:tea:640 hello"
    assert proof["given-name"] == "described"
    assert proof["given-zone"].startswith("UTC ../usr/share/zoneinfo/UTC")
    assert proof["given-place"] == "LANG=C.UTF-8"
    units = {name: proof[f"given-unit-{name}"] for name in ("described", "getty", "debug-shell")}
    assert units == {"described": "enabled", "getty": "disabled", "debug-shell": "masked"}
    assert proof["given-crypt"].startswith("$6$")
    assert proof["given-checks"] == "0"
    lines = [value for key, value in sorted(proof.items()) if key.startswith("given-diff")]
    found, given = (set(text.split(",")) for text in ("".join(lines), _GIVEN.replace("\n", "")))
    assert given <= found, given - found
    rest = {line for line in found - given - {""} if _POLICY not in line}
    assert rest <= _OWN, rest
    if "given-labels" in proof:
        kinds = [label.split(":")[2] for label in proof["given-labels"].split()]
        assert kinds == ["user_home_dir_t", "ssh_home_t", "ssh_home_t"]


def port() -> Forward:
    """Return a port of this machine behind which a guest's ssh is to be."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    return Forward(number, 22)


def people(machine: Guest, forward: Forward, place: Path) -> None:
    """Log in as both of them: by a password over the serial line, by a key over ssh."""
    ask = "id; id -Z 2>/dev/null"
    typed = machine.log_in("ann", PASSWORD, ask)
    argv: list[str | Path] = [
        "ssh", "-F", "/dev/null", "-i", place / "ben", "-p", str(forward.host),
        "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
        "-o", "BatchMode=yes", "-o", "ConnectTimeout=120", "ben@127.0.0.1", f"{ask}; exit 7",
    ]  # fmt: skip
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 7, done.stderr
    for said, words in (
        (typed, ("uid=1000(ann)", "(sudo)", "(tea)")), (done.stdout, ("uid=4242(ben)", "(ben)")),
    ):  # fmt: skip
        assert all(word in said for word in words), said
        assert "context=" not in said or _LOGINS in said

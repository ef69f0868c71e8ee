"""A machine that is described: the file for ``--config``, and what its guest has to say of itself.

The description brings a unit of its own, which says so before the proof agent has ended.
"""

from __future__ import annotations

from pathlib import Path

PASSWORD = "let ann in"
_UNIT = """\
[Unit]
Description=Says what was described
After=systemd-tmpfiles-setup.service local-fs.target
[Service]
Type=oneshot
ExecStart=/etc/described/say
[Install]
WantedBy=multi-user.target
"""
_SAY = r"""#!/bin/bash
say() { echo "<1>DISKGEN-PROOF given-$1=$2" >/dev/kmsg; }
say ids "$(id -Gn ann) $(id -u ann) $(id -Gn ben)"
say home "$(cd /home/ann && stat -c '%U:%G:%a' . .ssh .ssh/authorized_keys | tr '\n' ' ')"
say file "$(cd /etc/described && stat -c '%U:%G:%a' . note | tr '\n' ' ')$(cat /etc/described/note)"
say name "$(cat /proc/sys/kernel/hostname)"
say zone "$(date +%Z) $(readlink /etc/localtime)"
say place "$(tr '\n' ' ' </etc/locale.conf)"
for unit in described ssh debug-shell; do say "unit-$unit" "$(systemctl is-enabled $unit)"; done
say crypt "$(awk -F: '$1 == "ann" { print substr($2, 1, 3), $3 }' /etc/shadow)"
say checks "$({ pwck -r; grpck -r; } 2>&1 | grep -cE "'(ann|ben|tea)'")"
say diff "$(ostree admin config-diff | tr -s ' ' | tr '\n' ',')"
exit 0
"""


def write(place: Path) -> Path:
    """Write the description below a directory."""
    path = place / "machine.toml"
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
[customizations.services]
enabled = ["described"]
disabled = ["ssh"]
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
    assert proof["given-ids"] == "ann sudo tea 1000 ben"
    assert proof["given-home"] == "ann:ann:700 ann:ann:700 ann:ann:600"
    assert proof["given-file"] == "root:root:750 ann:tea:640 hello"
    assert proof["given-name"] == "described"
    assert proof["given-zone"].startswith("UTC ../usr/share/zoneinfo/UTC")
    assert proof["given-place"] == "LANG=C.UTF-8"
    units = {name: proof[f"given-unit-{name}"] for name in ("described", "ssh", "debug-shell")}
    assert units == {"described": "enabled", "ssh": "disabled", "debug-shell": "masked"}
    assert proof["given-crypt"].startswith("$6$")
    assert proof["given-checks"] == "0"
    for path in ("passwd", "shadow", "group", "hostname", "described/note"):
        assert f" {path}," in proof["given-diff"], proof["given-diff"]

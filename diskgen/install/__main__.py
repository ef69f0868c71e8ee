"""The installation, one screen: from the kernel's arguments to a machine that can be started."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ..arch import MACHINES
from ..decision import coming, setup
from ..decision.system import System
from ..errors import DiskgenError, HostError, UsageError
from ..events import Emit, Event
from ..iso.mastering import mediacheck
from ..kickstart import links, recipe
from ..kickstart.links import Booted
from ..kickstart.recipe import Recipe
from ..run import Child, run, running, wait
from . import (
    connect,
    dialogue,
    disks,
    identity,
    image_mode,
    medium,
    network,
    origin,
    package_mode,
    payload,
    target,
)
from .console import Consoles, active
from .dialogue import Declined
from .disks import Disk
from .medium import Medium
from .package_mode import installed_machine
from .payload import Payload
from .target import Installed, Mounts, Target, mounts

_PLACE: Final = Path("/run/diskgen")
_LOG: Final = _PLACE / "install.log"
_FACTS: Final = "etc/diskgen-install.json"  # as Anaconda's kickstarts leave it
_BASE: Final = "clearpart --all --initlabel\nreqpart --add-boot\npart / --grow\n"
_ENDS: Final = {"poweroff": "poweroff", "reboot": "reboot", "halt": "halt"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """An installation decided; ``payload`` is the image, None for packages."""

    recipe: Recipe
    payload: Payload | None
    disk: Disk


def main() -> int:
    """Install, and end the machine; on failure say why and give a shell."""
    _PLACE.mkdir(exist_ok=True)
    logging.basicConfig(filename=_LOG, level=logging.INFO, format="%(asctime)s %(message)s")
    consoles = Consoles(active())
    while True:
        try:
            if _session(consoles):
                return 0
        except Declined as error:
            consoles.say("", error.message)
        except DiskgenError as error:
            _log(traceback.format_exc())
            first, *more = error.lines
            consoles.say("", f"error: {first}", *(f"    {line}" for line in more))
            if error.hint:
                consoles.say(f"  hint: {error.hint}")
            consoles.say(f"The log is {_LOG}. DISKGEN-INSTALL failed")
        except EOFError:
            return HostError.exit_status
        except Exception as error:  # noqa: BLE001 - whoever sits there needs a shell, not silence
            _log(traceback.format_exc())
            consoles.say("", f"diskgen's installer has a bug: {error!r}; the log is {_LOG}")
        if not _again(consoles):
            return 0


def _session(consoles: Consoles) -> bool:
    """Go through one installation; say whether the machine is to end."""
    given = medium.words()
    here = medium.read()
    consoles.say("", f"{here.product}: diskgen's installer", "")
    if "inst.rescue" in given:
        shell(consoles)
        return False
    if "rd.live.check" in given and here.device is not None:
        consoles.say("Testing this medium ...")
        mediacheck.verify(here.device)
        consoles.say("The medium is as it was made.")
    booted = links.of_boot(medium.cmdline())
    _connected(consoles, Recipe(), booted)  # a kickstart may be fetched
    with mounts() as mounted:
        task = _decide(consoles, here, given, mounted, booted)
        _carry_out(consoles, here, task, mounted)
    _finish(consoles, task.recipe.end)
    return True


def _decide(
    consoles: Consoles, here: Medium, given: Mapping[str, str], mounted: Mounts, booted: Booted
) -> Task:
    """Return what is to be done and where; all that can be wrong is said here."""
    found = disks.candidates(here.device)
    if place := given.get("inst.ks"):
        text = medium.kickstart(place, mounted)
        wanted = _parsed(text, here, place)
        disk = disks.choose(wanted.storage.disks, found)
        if not wanted.storage.erase and not disks.is_blank(disk):
            raise UsageError(
                f"there is something on '{disk.name}', and the kickstart does not say to erase it",
                hint="give it 'clearpart --all', or another disk",
            )
        wanted = _connected(consoles, wanted, booted)
        return Task(recipe=wanted, payload=_check(consoles, wanted, here, disk), disk=disk)
    mode = dialogue.choose_mode(consoles, here, given.get("diskgen.mode", "ask"))

    def reach(text: str) -> None:
        _connected(consoles, _parsed(_BASE + text, here, f"{mode}.ks"), booted)

    text = _BASE + medium.payload_kickstart(here, mode, given.get("diskgen.ref"), reach)
    wanted = _connected(consoles, _parsed(text, here, f"{mode}.ks"), booted)
    image = _check(consoles, wanted, here)
    disk = dialogue.choose_disk(consoles, found)
    if image is not None:
        payload.check_room(image, disk, here.content_bytes(image.digest))
    asked = dialogue.ask_people(consoles, wanted)
    if image is not None and asked is not wanted:
        _fits(consoles, asked, here, image)
    wanted = asked
    what = here.reference if mode == "image" else f"{here.product}, from packages,"
    dialogue.confirm(consoles, disk, what)
    return Task(recipe=wanted, payload=image, disk=disk)


def _parsed(text: str, here: Medium, name: str) -> Recipe:
    """Return the recipe, its %pre scripts run: they may write files that it includes."""
    first = recipe.scripts_before(text, here.kickstart_version, name)
    for number, script in enumerate(first, 1):
        target.run_script(script, number, None, _PLACE)
    return recipe.parse(text, here.kickstart_version, name)


def _connected(consoles: Consoles, wanted: Recipe, booted: Booted) -> Recipe:
    """Set up this machine's network; return the recipe with the devices as they were found.

    Where a kickstart leaves them to DHCP, the kernel's command line counts. Raises HostError.
    """
    asked = booted.links if all(link.is_plain for link in wanted.links) else wanted.links
    made = network.resolve(asked, connect.found(asked))
    connect.start(made, lambda text: consoles.say(f"  warning: {text}"))
    return replace(wanted, links=made, hostname=wanted.hostname or booted.hostname)


def _check(
    consoles: Consoles, wanted: Recipe, here: Medium, disk: Disk | None = None
) -> Payload | None:
    """Refuse what could not be done, the image included; return that."""
    identity.check(wanted, here.described)
    if wanted.image is None:
        package_mode.check(wanted, MACHINES[installed_machine()], here.packages)
        _able(consoles, wanted, coming.of(wanted, Installed(Target(Path("/")))))
        return None
    image_mode.check(wanted)
    payload.check_signed(wanted.image, signed=here.signed)
    image = payload.look(wanted.image, installed_machine(), _shown(consoles))
    _fits(consoles, wanted, here, image)
    if disk is not None:
        payload.check_room(image, disk, here.content_bytes(image.digest))
    return image


def _fits(consoles: Consoles, wanted: Recipe, here: Medium, image: Payload) -> None:
    """Refuse what the image has no means for, as far as the medium notes what it holds."""
    system = here.system(image.digest)
    if system is not None:
        _able(consoles, wanted, system)


def _able(consoles: Consoles, wanted: Recipe, system: System) -> None:
    """Refuse what a system has no means for, and say what it passes over."""
    setup.refuse(wanted, system, lambda text: consoles.say(f"  warning: {text}"))


def _shown(consoles: Consoles) -> Emit:
    def emit(event: Event) -> None:
        logging.info("%s", event)
        consoles.emit(event)

    return emit


def _carry_out(consoles: Consoles, here: Medium, task: Task, mounted: Mounts) -> None:
    emit, wanted, disk = _shown(consoles), task.recipe, task.disk
    arch = installed_machine()
    consoles.say("", f"Installing on {disk.text}", "")
    machine = identity.given(wanted, here.described)
    deployed = None
    made: tuple[str, ...] = ()
    if task.payload is not None:
        deployed = image_mode.install(wanted, machine, task.payload, disk, arch, here, emit)
        image_mode.grow(deployed, disk, emit)
        image_mode.mount(deployed, disk, mounted)
        installed = Target(target.ROOT)
    else:
        how = package_mode.check(wanted, MACHINES[arch], here.packages)
        installed = package_mode.install(wanted, machine, disk, arch, how, mounted, emit)
        consoles.say("  Setting up the machine ...")
        made = identity.set_up(installed, machine, lambda s: consoles.say(f"  warning: {s}"))
    for number, script in enumerate(wanted.after, 1):
        target.run_script(script, number, installed, _PLACE)
    facts = {"mode": "package"}
    if deployed is not None and task.payload is not None:
        updates = origin.verify(target.PHYSICAL, deployed, emit)
        facts = {"mode": "image", "reference": updates, "digest": task.payload.digest}
    installed.write(_FACTS, json.dumps(facts) + "\n")
    target.label(installed, machine, made)
    target.copy_log(installed, _LOG)
    run(["sync"])


def _finish(consoles: Consoles, end: str | None) -> None:
    consoles.say("", "The installation is complete. DISKGEN-INSTALL done")
    if end is None:
        answer = consoles.ask("Press Enter to restart (p: power off, s: shell): ")
        if answer == "s":
            shell(consoles)
        end = "poweroff" if answer == "p" else "reboot"
    _end(end)


def _again(consoles: Consoles) -> bool:
    """Ask what to do after something went wrong; say whether to begin anew."""
    while True:
        answer = consoles.ask("s: shell, a: begin again, r: restart, p: power off [s]: ")
        if answer in ("a", "r", "p"):
            break
        shell(consoles)
    if answer != "a":
        _end("reboot" if answer == "r" else "poweroff")
    return answer == "a"


def _end(how: str) -> None:
    run(["systemctl", "--no-block", _ENDS[how]], ok=range(256))


def shell(consoles: Consoles) -> None:
    """Give a shell on every console until one of them is left."""
    consoles.say("", "This is a shell in the installer; 'exit' goes back.", "")
    children: list[Child] = []
    # One after the other is started; the first to end ends all.
    _shells(list(consoles.paths), children)
    consoles.reopen()  # a terminal whose session has ended is dead to all who had it open


def _shells(paths: list[Path], children: list[Child]) -> None:
    if not paths:
        while children and all(child.poll() is None for child in children):
            with suppress(Exception):
                children[0].wait(0.5)
        return
    # It leads a session of its own, and the terminal that it opens becomes that one's.
    argv: list[str | Path] = ["sh", "-c", 'exec sh -i <"$1" >"$1" 2>&1', "sh", paths[0]]
    with running(argv, stdout=None, stderr=None, idle=None) as child:
        try:
            _shells(paths[1:], [*children, child])
        finally:
            if child.poll() is None:
                child.kill()
            wait(child)


def _log(text: str) -> None:
    logging.error("%s", text)


if __name__ == "__main__":
    sys.exit(main())

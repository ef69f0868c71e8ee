"""Whatever becomes of connections: one compose for a request, an end in time, words for an error.

Every kind of cut before, within and after an exchange, drawn at random for each request of a whole
life: started, watched, downloaded, dropped. Time is counted and not waited for.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from diskgen.composer import (
    Bootc,
    Client,
    ComposeRequest,
    Farm,
    ImageRequest,
    Patience,
    Unclear,
    UploadTarget,
    parse_address,
)
from diskgen.composer.passing import download, logs
from diskgen.composer.starting import named, start
from diskgen.composer.watching import Pace, watch
from diskgen.errors import FarmError
from diskgen.events import discard

from ..fixtures.farm import DONE, LATE, SAID, UNDONE, StandIn, by_socket, by_tls
from ..fixtures.farm_people import Certificates

EVERY = (*UNDONE, *DONE, *SAID)
DISK = b"QFI\xfb" + bytes(range(256)) * 100
REQUEST = ComposeRequest(
    bootc=Bootc(reference="quay.io/a/b:1"),
    image=ImageRequest(
        architecture="x86_64", image_type="guest-image", targets=(UploadTarget("local"),)
    ),
    blueprint={"name": "x"},
)


@dataclass
class Weather:
    """How exchanges break in one case: each kind at random, never more than so many in a row."""

    seed: int
    chance: random.Random = field(init=False)
    now: float = 0.0
    row: int = 0
    broken: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.likely = self.chance.choice((0.1, 0.3, 0.6))
        self.longest = self.chance.choice((1, 3, 6, 100))  # 100: some do not end well

    def fault(self, method: str, path: str) -> str | None:
        with self.lock:
            if self.row >= self.longest or self.chance.random() > self.likely:
                self.row = 0
                return None
            self.row += 1
            kinds = (*EVERY, *LATE) if (method, path) == ("POST", "/compose") else EVERY
            self.broken.append(self.chance.choice(kinds))
            return self.broken[-1]

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def patience(self) -> Patience:
        return Patience(
            deadline=60.0, sleep=self.sleep, clock=lambda: self.now, chance=random.Random(1).random
        )


def life(server: StandIn, farm: Farm, seed: int, place: Path) -> str:
    """Go through the life of a compose in bad weather; return how it ended."""
    weather = Weather(seed)
    state = server.state
    state.composes.clear()
    state.late.clear()
    state.tells_requests = weather.chance.random() > 0.1
    state.shape = weather.chance.choice(("bare", "paged"))
    server.requests.clear()
    for _ in range(weather.chance.randrange(4)):
        state.start(named(REQUEST).to_json())  # of others
    cuts = [weather.chance.randrange(len(DISK)) for _ in range(weather.chance.randrange(4))]
    server.cut_at, server.log_cuts = sorted(cuts), [weather.chance.randrange(60)]
    server.fault = weather.fault
    wanted = named(REQUEST)
    try:
        with Client(farm, weather.patience()) as client:
            name = start(client, wanted)
            assert state.composes[name].request == wanted.to_json()

            def told(_status: object) -> None:
                state.finish(state.composes[name], DISK)

            ends = watch(client, [name], told, Pace(away=120.0))
            assert ends[name].good
            download(client, name, place / "disk", "qcow2", discard)
            assert (place / "disk").read_bytes() == DISK
            said = bytearray()
            logs(client, name, said.extend)
            assert said.endswith(b"}")
            client.delete(name)
            assert name not in state.composes
            return "done"
    except Unclear:
        return "unclear"
    except FarmError:
        return "given up"
    finally:
        server.fault = lambda _method, _path: None
        assert state.marks().get(str(wanted.name), 0) <= 1, (seed, weather.broken)
        assert weather.now < 2000, seed


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[StandIn, Farm]]:
    with by_socket(tmp_path / "s") as made:
        yield made, Farm(address=parse_address(f"unix:{tmp_path}/s"), timeout=20.0)
        assert made.failures == []


@pytest.mark.parametrize(
    "cases", [range(150), pytest.param(range(150, 10_000), marks=pytest.mark.extended)],
    ids=["some", "10000"],
)  # fmt: skip
def test_no_weather_starts_a_second_compose(
    server: tuple[StandIn, Farm], tmp_path: Path, cases: range
) -> None:
    ends: list[str] = []
    for seed in cases:
        began = time.monotonic()
        ends.append(life(*server, seed, tmp_path))
        assert time.monotonic() - began < 60, seed
    assert ends.count("done") > len(cases) // 2
    assert ends.count("given up") > 0
    assert ends.count("unclear") > 0


def test_no_weather_on_the_way_through_tls(tmp_path: Path) -> None:
    made = Certificates(tmp_path / "certificates")
    with by_tls(made.server(clients=True)) as (server, port):
        farm = Farm(
            address=parse_address(f"https://localhost:{port}"),
            authority=made.place / "ca.crt",
            certificate=made.place / "client.crt",
            key=made.place / "client.key",
            timeout=20.0,
        )
        ends = [life(server, farm, seed, tmp_path) for seed in range(8)]
    assert ends.count("done") > 3
    assert server.failures == []


def test_an_answer_that_does_not_come_in_time_is_looked_for(
    server: tuple[StandIn, Farm], tmp_path: Path
) -> None:
    """The server still works when we have given it up: time is waited for here."""
    made, _farm = server
    farm = Farm(address=parse_address(f"unix:{tmp_path}/s"), timeout=0.3)
    waits = [0.8]

    def slow(method: str, _path: str) -> None:
        if method == "POST" and waits:
            time.sleep(waits.pop())

    made.fault = slow
    with Client(farm, Patience(deadline=30.0, first=0.1, settle=6.0)) as client:
        name = start(client, named(REQUEST))
    assert [*made.state.composes] == [name]
    assert made.posts() == 1

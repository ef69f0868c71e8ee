"""One composer watches many: each change once, a farm that is away for a while, and limits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from diskgen.composer import Client, ComposeStatus, Farm, NotSent, Patience, Refused, parse_address
from diskgen.composer.watching import CONNECTIONS, GONE, Pace, watch
from diskgen.events import Event, Notice

from ..fixtures.farm import StandIn, by_socket
from ..fixtures.farm_state import Compose

REQUEST = {"image_request": {"image_type": "guest-image"}}


@dataclass
class Rounds:
    """What happens between two looks, instead of time."""

    server: StandIn
    client: Client
    now: float = 0.0
    events: list[Event] = field(default_factory=list)
    plan: list[object] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.plan:
            step = self.plan.pop(0)
            if callable(step):
                step()

    def warnings(self) -> list[str]:
        return [event.message for event in self.events if isinstance(event, Notice)]

    def finish(self, made: list[Compose]) -> None:
        for each in made:
            self.server.state.finish(each)

    def start(self, count: int) -> list[Compose]:
        return [self.server.state.start(REQUEST) for _ in range(count)]


@pytest.fixture
def rounds(tmp_path: Path) -> Iterator[Rounds]:
    with by_socket(tmp_path / "s") as server:
        farm = Farm(address=parse_address(f"unix:{tmp_path}/s"))
        made = Rounds(server, Client(farm))
        patience = Patience(deadline=1.0, sleep=made.sleep, clock=lambda: made.now)
        made.client = Client(farm, patience, made.events.append)
        yield made
        made.client.close()


@pytest.mark.parametrize("count", [1, 3, 50])
@pytest.mark.parametrize("lists", [True, False])
def test_each_change_is_told_once(rounds: Rounds, count: int, lists: bool) -> None:
    server = rounds.server
    if not lists:
        server.allowed = lambda _header: (
            not server.requests[-1][1].startswith("/composes/?")
            and (server.requests[-1][1] != "/composes/")
        )
    made = rounds.start(count)
    rounds.start(5)  # of others
    rounds.plan = [
        lambda: setattr(made[0], "stage", "building"),
        None,
        lambda: rounds.finish(made[1:]),
        lambda: setattr(made[0], "stage", "failure"),
    ]
    told: list[ComposeStatus] = []
    if not lists and count > 8:
        with pytest.raises(Refused):  # 401: nothing that can be asked otherwise
            watch(rounds.client, [each.id for each in made], told.append)
        return
    ends = watch(rounds.client, [each.id for each in made], told.append)
    assert [*ends] == [each.id for each in made]
    assert [ends[each.id].good for each in made] == [False] + [True] * (count - 1)
    stages = [status.stage for status in told if status.id == made[0].id]
    assert stages == ["pending", "building", "failure"]
    assert len(told) == 3 + 2 * (count - 1)


def test_a_farm_that_lists_nothing_is_asked_one_by_one(rounds: Rounds) -> None:
    made = rounds.start(40)
    hidden = rounds.server.state.listed
    rounds.server.state.listed = lambda *_page: None  # type: ignore[method-assign]
    rounds.plan = [lambda: rounds.finish(made)]
    ends = watch(rounds.client, [each.id for each in made], lambda _status: None)
    assert all(each.good for each in ends.values())
    assert hidden is not None
    assert CONNECTIONS == 8


def test_what_the_farm_forgot_is_not_waited_for(rounds: Rounds) -> None:
    one, two = rounds.start(2)
    rounds.plan = [lambda: rounds.server.state.composes.pop(one.id),
                   lambda: rounds.server.state.finish(two)]  # fmt: skip
    ends = watch(rounds.client, [one.id, two.id], lambda _status: None)
    assert (ends[one.id].status, ends[one.id].good) == (GONE, False)
    assert ends[two.id].good


def test_a_farm_that_is_away_for_a_while_is_waited_for(rounds: Rounds) -> None:
    (made,) = rounds.start(1)
    state = {"away": True}
    rounds.server.fault = lambda _m, _p: "refuse" if state["away"] else None
    rounds.plan = [None] * 10 + [lambda: state.update(away=False)]
    rounds.plan += [lambda: rounds.server.state.finish(made)]
    ends = watch(rounds.client, [made.id], lambda _status: None)
    assert ends[made.id].good
    assert len(rounds.warnings()) == 1
    assert "the composes go on" in rounds.warnings()[0]


def test_a_farm_that_stays_away_is_an_error(rounds: Rounds) -> None:
    (made,) = rounds.start(1)
    rounds.server.fault = lambda _m, _p: "502"
    with pytest.raises(Refused) as caught:
        watch(rounds.client, [made.id], lambda _status: None, Pace(away=300.0))
    assert caught.value.status == 502
    assert 300 < rounds.now < 400


def test_a_socket_that_is_not_ours_to_use_is_not_waited_for(tmp_path: Path) -> None:
    client = Client(Farm(address=parse_address(f"unix:{tmp_path}/x\ufffd")), Patience(deadline=0.0))
    with pytest.raises(NotSent):
        watch(client, ["00000000-0000-4000-8000-000000000000"], lambda _s: None, Pace(away=0.0))


def test_pauses_grow_to_the_longest(rounds: Rounds) -> None:
    (made,) = rounds.start(1)
    lengths: list[float] = []
    rounds.plan = [None] * 40 + [lambda: rounds.server.state.finish(made)]
    before = rounds.sleep

    def sleep(seconds: float) -> None:
        lengths.append(seconds)
        before(seconds)

    rounds.client.patience = Patience(deadline=1.0, sleep=sleep, clock=lambda: rounds.now)
    watch(rounds.client, [made.id], lambda _status: None)
    assert lengths[0] <= 1.0
    assert max(lengths) <= 30.0
    assert min(lengths[-10:]) >= 15.0
    assert len(set(lengths[-10:])) > 5  # jitter

"""A short part of ``make fuzz``: hostile inputs and faults against the real program."""

from __future__ import annotations

from .campaign import Campaign
from .program import Program


def test_some_of_the_campaign(diskgen: Program) -> None:
    campaign = Campaign(diskgen, seed=7)
    for _ in range(3):
        campaign.hostile()
        campaign.fault()
    assert campaign.tally.runs["hostile"] == 3
    assert campaign.tally.wrong == []
    assert campaign.tally.hangs == 0

"""Zones of firewalld that people wrote by hand; Python's own parser of XML is the judge."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from diskgen.provision.zone import NoZoneError, with_element, without_element

SSH = {"name": "ssh"}
FORMS = [
    '<service name="ssh"/>', "<service name='ssh'/>", '<service\n name = "ssh" />',
    '<service name="ssh"></service>',
]  # fmt: skip
ZONES = [
    "<zone>\n</zone>\n", "<zone></zone>", "<zone/>", '<zone target="DROP" />',
    "<?xml version='1.0'?>\n<!-- <zone> -->\n<zone>\n  <!-- </zone> <service name='ssh'/> -->\n"
    "</zone>\n<!-- </zone> -->\n",
    "<zone>\n  <rule>\n    <service name='ssh'/>\n    <accept/>\n  </rule>\n</zone>\n",
    "<zone>\n  <description>a > b, <![CDATA[</zone>]]></description>\n</zone >\n",
]  # fmt: skip


def services(text: str) -> list[str | None]:
    return [one.get("name") for one in ET.fromstring(text).findall("service")]


@pytest.mark.parametrize("zone", ZONES)
def test_a_service_is_let_in_and_kept_out_again(zone: str) -> None:
    made = with_element(zone, "service", SSH)
    assert services(made) == ["ssh"]
    assert with_element(made, "service", SSH) == made
    assert services(without_element(made, "service", SSH)) == []
    for part in ("<!-- </zone> -->", "<accept/>", "target"):
        assert made.count(part) == zone.count(part)


@pytest.mark.parametrize("form", FORMS)
def test_a_service_in_any_form_is_known(form: str) -> None:
    zone = f"<zone>\n  {form}\n  <port port='1' protocol='tcp'/>\n</zone>\n"
    assert with_element(zone, "service", SSH) == zone
    made = without_element(zone, "service", SSH)
    assert services(made) == []
    assert made == "<zone>\n  <port port='1' protocol='tcp'/>\n</zone>\n"


@pytest.mark.parametrize(
    "text", ["", "zone", "<zones/>", "<zone>", "<zone><a></zone>", "</zone>", "<!-- <zone/> -->"]
)
def test_what_is_no_zone(text: str) -> None:
    with pytest.raises(NoZoneError):
        with_element(text, "service", SSH)


def test_a_long_text_takes_no_long_time() -> None:
    for text in ("<a" * 100_000, "<!--" * 100_000, '<zone a="' * 50_000, "<zone " + "'" * 100_001):
        with pytest.raises(NoZoneError):
            with_element(text, "service", SSH)

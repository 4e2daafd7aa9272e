"""People's ways through the pages on a phone's width by keys alone: every stop of the focus is seen and uncovered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import billed_month
import pytest
from billed_site import BilledSite, billed
from browser import CHROMIUM
from five_flows import FiveFlows
from mail_relay import Relay
from person_at_pages import PersonAtTheKeyboard
from served import served

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BilledSite]:
    with billed(tmp_path_factory.mktemp("campus")) as made:
        yield made


@pytest.fixture(scope="module")
def address(site: BilledSite) -> Iterator[str]:
    with served(site.flask) as found:
        yield found


@pytest.mark.parametrize("flow", ["F1", "F2", "F3", "F4"])
def test_it_is_walked_by_keys_alone(flow: str, site: BilledSite, address: str, tmp_path: Path) -> None:
    flows = FiveFlows(site, address, tmp_path, PersonAtTheKeyboard)
    getattr(flows, flow)()
    assert flows.found
    assert [fault for took in flows.found.values() for fault in took["faults"]] == []


def test_a_period_with_gaps_is_closed_mailed_paid_and_corrected_by_keys_alone(tmp_path: Path) -> None:
    relay = Relay()
    relay.start()
    try:
        with billed_month.over(tmp_path / "month", 12, relay.port, epochs=96) as site, served(site.flask) as address:
            flows = FiveFlows(site, address, tmp_path, PersonAtTheKeyboard)
            flows.F5_month(relay)  # looks at the mails, their papers and the payment file
    finally:
        relay.stop()
    assert flows.found["F5_month"]["faults"] == []

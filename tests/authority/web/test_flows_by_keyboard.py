"""People's ways through the pages on a phone's width by keys alone: how long they are, and where the focus is seen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import billed_month
import campus_login
import pytest
from billed_site import BilledSite, billed
from browser import CHROMIUM
from five_flows import FiveFlows
from mail_relay import Relay
from person_at_pages import PersonAtTheKeyboard
from served import served

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")


@pytest.fixture
def store_url() -> str:
    return ""


def walk(site: Any, directory: Path, *names: str) -> None:
    """Walk these flows in no more clicks and screens than were aimed at; no place where the focus is not seen."""
    with served(site.flask) as address:
        flows = FiveFlows(site, address, directory, PersonAtTheKeyboard)
        for name in names:
            getattr(flows, name)()
    assert flows.found
    assert flows.too_many() == []
    assert [fault for took in flows.found.values() for fault in took["faults"]] == []


@pytest.mark.timeout(300)
def test_a_student_comes_in_and_an_operator_invites_a_list_by_keys_alone(app: Any, tmp_path: Path) -> None:
    with campus_login.over(app) as site:
        walk(site, tmp_path, "F1", "F1_campus", "F3")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BilledSite]:
    with billed(tmp_path_factory.mktemp("campus")) as made:
        yield made


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("flow", ["F2", "F4"])
def test_a_bill_is_checked_and_a_meter_looked_after_by_keys_alone(flow: str, site: BilledSite, tmp_path: Path) -> None:
    walk(site, tmp_path, flow)


@pytest.mark.slow
@pytest.mark.timeout(900)
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

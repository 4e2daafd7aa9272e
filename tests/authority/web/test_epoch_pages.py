"""Epochs on the operator's pages: stages with their times, what waits, and the retry, by the command's own service."""

from __future__ import annotations

from typing import Any

import pytest
from people_site import build
from sqlalchemy import select

from authority.cli import main
from authority.people.roles import AUDITOR, OPERATOR
from authority.store.log import Act
from authority.store.metering import Frame, Meter
from authority.store.settlement import SettlementEpoch


@pytest.fixture
def store_url() -> str:
    return ""


@pytest.fixture
def site(app: Any, clock: Any, sample_month: Any) -> Any:
    """The newest epoch minted, and of its readings one refused by the chain, one held, one missing."""
    clock.now += 17 * 3_600
    made = build(app)
    sample_month(made)
    with app.store.write() as session:
        newest = session.scalars(select(SettlementEpoch).order_by(SettlementEpoch.epoch.desc()).limit(1)).one()
        made.epoch, made.boundary = newest.epoch, (newest.epoch + 1) * 900
        newest.state, newest.clearing_price = "minted", None
        newest.ended_ms, newest.submitted_ms = made.boundary * 1_000, made.boundary * 1_000 + 9_000
        newest.minted_ms = made.boundary * 1_000 + 12_000
        refused = session.scalars(select(Frame).where(Frame.interval_end == made.boundary)).one()
        refused.chain_status, refused.chain_error, made.refused = "pending", "RegisterDecreased", refused.log_index
        first = session.scalars(select(Meter)).one()
        for place, name in enumerate(("held", "missing"), 1):
            meter = Meter(
                name=name, gateway_name=first.gateway_name, serial=name, meter_id=bytes([place]) * 32, role="load",
                source="none", user_id=first.user_id, installation_n=1, state="active",
                public_key=bytes([place]) * 32,
            )  # fmt: skip
            session.add(meter)
            session.flush()
            if name == "held":
                made.held = refused.log_index + 1
                session.add(
                    Frame(
                        log_index=made.held, meter_pk=meter.id, public_key=bytes([place]) * 32, sequence=1,
                        interval_end=made.boundary, record_hash=bytes(32), frame=refused.frame, verdict="held",
                        code="source_mismatch", received_at=made.boundary, over="https", disposition="held",
                    )
                )  # fmt: skip
    return made


def test_an_epoch_shows_its_stages_and_what_waits_and_the_retry_sends_it_once(site: Any) -> None:
    client = site.client(OPERATOR)
    listed = client.get("/op/epochs").text
    assert f'href="/op/epochs/{site.epoch}"' in listed
    assert "1 of these is on its way" in listed
    assert "The chain refused 1 reading" in listed
    page = client.get(f"/op/epochs/{site.epoch}").text
    assert page.count('<span class="mark done">') == 3
    assert page.count('<span class="mark open">waits') == 3
    for words in ("RegisterDecreased", f"/op/held/{site.held}", "dormitory-a/missing", "No reading came"):
        assert words in page, words
    assert client.get(f"/op/epochs/{site.epoch + 10_000}").status_code == 404
    looking = site.client(AUDITOR)
    assert "Send them again" not in looking.get("/op/epochs").text
    assert looking.post("/op/epochs/retry", data=site.form(AUDITOR)).status_code == 404
    for count in (1, 0):
        answer = client.post("/op/epochs/retry", data=site.form(OPERATOR))
        assert answer.headers["Location"] == f"/op/epochs?retried={count}"
    assert "1 reading goes to the chain again" in client.get("/op/epochs?retried=1").text
    assert "The chain refused" not in client.get("/op/epochs").text
    assert "On its way to the chain" in client.get(f"/op/epochs/{site.epoch}").text
    with site.app.store.read() as session:
        (act,) = session.scalars(select(Act).where(Act.kind == "readings_retried")).all()
    assert (act.actor, act.data) == (site.people[OPERATOR].pseudonym, {"readings": [site.refused]})


def test_programs_read_the_same_and_older_epochs_are_a_page_of_their_own(site: Any) -> None:
    client = site.client(OPERATOR)
    first = client.get("/api/v1/epochs").json
    assert (len(first["epochs"]), first["refused_readings"]) == (50, 1)
    older = client.get(f"/api/v1/epochs?cursor={first['next']}").json["epochs"]
    assert older[0]["epoch"] == first["epochs"][-1]["epoch"] - 1
    assert f'href="/op/epochs?before={first["next"]}"' in client.get("/op/epochs").text
    view = client.get(f"/api/v1/epochs/{site.epoch}").json
    assert [(each["meter"], each["why"]) for each in view["waiting"]] == [
        ("dormitory-a/building", "refused"),
        ("dormitory-a/held", "held"),
        ("dormitory-a/missing", "missing"),
    ]
    assert [each["name"] for each in view["row"]["stages"] if each["done_at_ms"]] == ["ended", "readings_in", "settled"]


def test_the_command_sends_again_by_the_same_service(site: Any, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["settlement", "--home", str(site.app.home.path), "retry"]
    assert main(words) == 0
    assert "1 readings: go to the chain again" in capsys.readouterr().out
    assert site.client(OPERATOR).get("/api/v1/epochs").json["refused_readings"] == 0

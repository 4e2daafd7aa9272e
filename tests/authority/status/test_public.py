"""The public's board: what works, since when, what is late and what failed, of a real campus, and nothing besides."""

from __future__ import annotations

from typing import Any

from people_site import application, no_chain
from sqlalchemy import select, text

from authority.chain.client import ChainClient
from authority.governance import acts
from authority.status.public import LOOK_SECONDS, SETTLE_SECONDS, Board
from authority.store.leases import Lease
from authority.store.metering import Frame
from authority.store.watched import ServiceChange


def running(campus: Any, *, runs: bool = True) -> None:
    """Collector and settlement hold their leases, or do no more."""
    with campus.app.store.write() as session:
        for name in ("collector", "settlement"):
            end = campus.wall.seconds() + 10**6 if runs else 0
            session.merge(Lease(name=name, owner="a secret host", term=1, expires_at=end))


def states(now: Any) -> dict[str, str]:
    return {each.part: each.state for each in now.parts}


def later(campus: Any, seconds: int) -> None:
    campus.wall.go_to(campus.wall.seconds() + seconds)


def test_a_campus_in_service_paused_late_and_down(campus: Any) -> None:
    running(campus)
    worker = campus.worker()
    campus.start_market()
    for _ in range(3):
        campus.run_epoch(worker)
    board = Board(campus.app, lambda: ChainClient(campus.validator.url))
    board.watch()
    assert states(board.now()) == dict.fromkeys(("metering", "settlement", "market", "log", "chain"), "up")
    begun = board.now().time
    later(campus, LOOK_SECONDS)
    assert {each.since for each in board.now().parts} == {begun}

    acts.set_paused(campus.app, campus.client, ["clearing"], reason="a trial", actor="test")
    later(campus, LOOK_SECONDS)
    assert states(board.now())["market"] == "paused"
    acts.set_paused(campus.app, campus.client, [], reason="over", actor="test")
    later(campus, LOOK_SECONDS)
    board.watch()
    assert states(board.now())["market"] == "up"
    assert board.now().incidents == (), "it was over soon"

    with campus.app.store.write() as session:  # one meter's last reading has not come
        newest = session.scalars(select(Frame).order_by(Frame.interval_end.desc(), Frame.log_index)).first()
        session.delete(newest)
    later(campus, LOOK_SECONDS)
    found = {each.part: each for each in board.now().parts}
    assert (found["metering"].state, found["metering"].late, found["metering"].of) == ("late", 1, 8)

    running(campus, runs=False)
    later(campus, LOOK_SECONDS)
    board.watch()
    failed = board.now().time
    assert states(board.now())["settlement"] == "down"
    assert board.now().incidents == (), "it may be over soon"
    later(campus, SETTLE_SECONDS)
    board.watch()
    later(campus, LOOK_SECONDS)
    now = board.now()
    assert {(each.part, each.state, each.began, each.ended) for each in now.incidents} >= {
        ("metering", "down", failed, None),
        ("settlement", "down", failed, None),
    }
    assert {each.since for each in now.parts if each.state == "down"} == {failed}
    again = Board(campus.app, lambda: ChainClient(campus.validator.url)).now()
    assert again.incidents == now.incidents, "from the store"

    page = application(campus.app, lambda: ChainClient(campus.validator.url)).test_client().get("/status")
    told = application(campus.app, lambda: ChainClient(campus.validator.url)).test_client().get("/api/v1/status").text
    assert page.status_code == 200
    assert "does not work" in page.text
    with campus.app.store.write() as session:
        session.add(ServiceChange(part="chain", state="down", since=now.time))
    later(campus, LOOK_SECONDS)
    now = board.now()
    assert states(now)["chain"] == "up"
    ends = {each.part: each.ended for each in now.incidents}
    assert (ends["chain"], ends["settlement"]) == (now.time, None), "what works again is not said to be down still"

    for secret in (
        "a secret host",
        "journalctl",
        str(campus.operator.pubkey()),
        campus.validator.url,
        "gateway-",
        "SOL",
    ):
        assert secret not in page.text + told


def test_what_is_not_known_is_said_so(app: Any, store_url: str) -> None:
    board = Board(app, no_chain)
    assert states(board.now()) == {
        "metering": "down", "settlement": "down", "market": "down", "log": "unknown", "chain": "down",
    }  # fmt: skip
    board.watch()
    with app.store.write() as session:
        assert {row.part for row in session.scalars(select(ServiceChange))} == {
            "metering", "settlement", "market", "chain",
        }  # fmt: skip
    with app.store.write() as session:
        session.execute(text("DROP TABLE service_changes"))
    assert set(states(Board(app, no_chain).now()).values()) == {"unknown"}

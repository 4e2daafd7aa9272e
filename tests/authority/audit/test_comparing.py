"""Books and chain compared, of a real campus: nothing where all is well, each figure that was changed, once a night."""

from __future__ import annotations

import json
from typing import Any

import pytest
from people_site import build
from sqlalchemy import select

from authority.audit import comparing
from authority.chain.client import ChainClient
from authority.cli import main
from authority.status import facts, judgement
from authority.store import comparisons
from authority.store.settlement import SettledSpan, SettlementEpoch


def compared(campus: Any, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, dict[str, Any]]:
    """`authority audit compare`: its exit code, and what it said."""
    status = main(["audit", "compare", "--home", str(campus.home_path), "--json", *more])
    return status, json.loads(capsys.readouterr().out)


def test_each_figure_that_was_changed_is_found_kept_told_and_shown(
    campus: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    worker = campus.worker()
    campus.start_market()
    for _ in range(3):
        campus.run_epoch(worker)
    status, well = compared(campus, capsys)
    assert (status, well["ok"], well["differences"]) == (0, True, 0)
    assert well["entries"] > 20
    assert well["figures"] > 15
    again = compared(campus, capsys)[1]
    assert again["figures"] < well["figures"], "epochs are compared once"
    assert compared(campus, capsys, "--again")[1]["entries"] == well["entries"]

    with campus.app.store.write() as session:
        span = session.scalars(select(SettledSpan).order_by(SettledSpan.boundary.desc())).first()
        span.lifetime_minted_wh += 1
    campus.run_epoch(worker)
    with campus.app.store.write() as session:
        traded = select(SettlementEpoch).where(SettlementEpoch.checkpointed_ms.is_not(None))
        epoch = session.scalars(traded.order_by(SettlementEpoch.epoch.desc())).first()
        epoch.bids += 1
        wallet = span.wallet
        newest = session.scalars(
            select(SettledSpan).where(SettledSpan.wallet == wallet).order_by(SettledSpan.boundary.desc())
        ).first()
        newest.lifetime_withdrawal_wh += 7
    status, found = compared(campus, capsys)
    assert status == 1
    assert {each["where"].split(",")[0] for each in found["problems"]} == {f"epoch {epoch.epoch}", f"member {wallet}"}
    assert {each["code"] for each in found["problems"]} == {"figure_differs"}
    gathered = facts.gather(campus.app, ChainClient(campus.validator.url))
    assert [each for each in judgement.problems(gathered) if each.code == "books_differ"]
    site = build(campus.app, lambda: ChainClient(campus.validator.url), first_installation=90)
    for role, url in (("auditor", "/audit"), ("authority", "/audit"), ("treasurer", "/treasury")):
        page = site.client(role).get(url).text
        assert f"epoch {epoch.epoch}" in page, role
    status, still = compared(campus, capsys)
    assert still["differences"] == found["differences"], "it is found until it is put right"


def test_it_is_due_once_a_night_and_not_before_the_first(campus: Any, capsys: pytest.CaptureFixture[str]) -> None:
    midnight = campus.wall.seconds() // 86_400 * 86_400
    campus.go_to(midnight + 86_400 + 43_200)  # by day, whenever the test runs
    worker = campus.worker()
    assert not comparing.due(campus.app), "there is nothing to compare"
    campus.run_epoch(worker)
    assert not comparing.due(campus.app), "nothing is older than the last night"
    begun = campus.wall.seconds()
    campus.wall.go_to(begun - begun % 86_400 + 86_400 + comparing.HOUR * 3_600 - 60)
    assert not comparing.due(campus.app)
    campus.wall.go_to(campus.wall.seconds() + 120)
    assert comparing.due(campus.app)
    with campus.app.store.write() as session:
        session.add(
            comparisons.BooksComparison(
                started_at=campus.wall.seconds(), ended_at=0, entries=0, figures=0, until_epoch=0, differences=0,
                found={"problems": []},
            )
        )  # fmt: skip
    assert not comparing.due(campus.app)
    campus.wall.go_to(campus.wall.seconds() + 86_400)
    assert comparing.due(campus.app)
    gathered = facts.gather(campus.app, campus.client)
    assert "comparison_late" not in {each.code for each in judgement.problems(gathered)}
    campus.wall.go_to(campus.wall.seconds() + 86_400 + 120)
    late = judgement.problems(facts.gather(campus.app, campus.client))
    assert "comparison_late" in {each.code for each in late}

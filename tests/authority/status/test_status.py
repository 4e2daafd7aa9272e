"""`authority status` and what monitoring reads: facts, problems, screen, metrics."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from status_facts import NOW, OPERATOR, WELL

from authority.api.campus_source import ChainFigures, StoreCampusSource
from authority.app import App
from authority.chain.client import ChainClient
from authority.cli import main
from authority.collector.ingest import Collector
from authority.home.settings import ValidatorSettings
from authority.status import facts, judgement, screen
from authority.status.metrics import Metrics
from authority.store.leases import Lease
from authority.store.metering import Gateway
from authority.store.settlement import Alert, SettlementEpoch
from authority.web.application import create_app
from authority.web.health import Health


def only(found: list[judgement.Problem]) -> tuple[str, str]:
    (problem,) = found
    return problem.code, str(problem)


def test_all_is_well() -> None:
    assert judgement.problems(WELL) == []
    assert screen.render(WELL, []).endswith("no problems")


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        pytest.param({"seen_at": NOW - 300}, "gateway_silent", "5 min ago", marks=pytest.mark.finding("ops-6")),
        pytest.param({"seen_at": None}, "gateway_silent", "never", marks=pytest.mark.finding("ops-6")),
        pytest.param({"online": False}, "gateway_offline", "gw-1", marks=pytest.mark.finding("ops-6")),
        pytest.param(
            {"problems": ("pv: wrong_key: no",)}, "gateway_problem", "wrong_key", marks=pytest.mark.finding("ops-6")
        ),
        pytest.param(
            {"certificate_ends": NOW + 86_400 * 9}, "certificate_ends", "in 9 d", marks=pytest.mark.finding("ops-16")
        ),
    ],
)
def test_a_gateways_problem_is_told(change: dict[str, Any], code: str, words: str) -> None:
    found = judgement.problems(replace(WELL, gateways=(replace(WELL.gateways[0], **change),)))
    assert only(found)[0] == code
    assert words in only(found)[1]
    assert "gateway gw-1" in only(found)[1]


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        pytest.param({"clock": NOW - 90}, "chain_stands", "90 s behind", marks=pytest.mark.finding("ops-7")),
        ({"clock": NOW + 86_390}, "chain_ahead", "23 h ahead"),
        pytest.param({"error": "refused"}, "validator_unreachable", "refused", marks=pytest.mark.finding("ops-7")),
        pytest.param({"missing_checkpoints": (5, 6)}, "chain_went_back", "(5, 6)", marks=pytest.mark.finding("ops-7")),
        pytest.param({"behind_meters": ("gw-1/pv",)}, "chain_went_back", "gw-1/pv", marks=pytest.mark.finding("ops-7")),
        pytest.param({"paused": ("orders",)}, "paused", "authority resume orders", marks=pytest.mark.finding("ops-5")),
        pytest.param(
            {"idle_settings": ("fee_bps",)}, "idle_settings", "parameters stage", marks=pytest.mark.finding("ops-5")
        ),
        pytest.param({"lamports": 10**9}, "operator_short", "10 days", marks=pytest.mark.finding("ops-9")),
        pytest.param(
            {"lamports": 10**7, "lamports_a_day": None}, "operator_short", OPERATOR, marks=pytest.mark.finding("ops-9")
        ),
        pytest.param({"lamports": 10**9}, "operator_short", "send it 2 SOL", marks=pytest.mark.finding("ops-9")),
    ],
)
def test_the_chains_problem_is_told(change: dict[str, Any], code: str, words: str) -> None:
    found = judgement.problems(replace(WELL, chain=replace(WELL.chain, **change)))
    assert only(found)[0] == code
    assert words in only(found)[1]


@pytest.mark.finding("ops-6")
@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"running": {"collector": True, "settlement": False}}, "not_running", "settlement"),
        ({"last_checkpointed": NOW // 900 - 9}, "epochs_behind", "7 epochs"),
        ({"held_by_code": {"clock_unsynchronised": 3}}, "held", "3 readings wait"),
        ({"disk_free": 5}, "disk", "free"),
        ({"backup_at": None}, "backup", "authority backup"),
        ({"backup_at": NOW - 3 * 86_400}, "backup", "3 d"),
        ({"alerts": (facts.AlertFacts("X", "bid of Dormitory A: refused", 1, 4),)}, "alert", "Dormitory A"),
        ({"enrolments_waiting": ("gw-9",)}, "enrolment_waits", "gw-9"),
        (
            {"proposals": (facts.ProposalFacts("1f", "Erase a person", False, False),)},
            "proposal_waits",
            "Erase a person",
        ),
        ({"proposals": (facts.ProposalFacts("1f", "Name another operator", True, False),)}, "proposal_approved", "run"),
        ({"server_certificate_ends": NOW + 86_400}, "certificate_ends", "collector"),
    ],
)
def test_the_campuss_problem_is_told(change: dict[str, Any], code: str, words: str) -> None:
    found = judgement.problems(replace(WELL, **change))
    assert only(found)[0] == code
    assert words in only(found)[1]


@pytest.mark.finding("ops-6")
def test_a_silent_meter_is_named_with_what_waits_behind_it() -> None:
    silent = replace(WELL.meters[0], last_interval_end=NOW - 3_600, waiting=4)
    code, text = only(judgement.problems(replace(WELL, meters=(silent,))))
    assert code == "meter_silent"
    assert "meter gw-1/pv (Dormitory A)" in text
    assert "4 of its readings wait" in text


def test_what_a_gateway_sends_is_shown_and_never_obeyed() -> None:
    for status in (None, [], {"errors": 3}, {"meters": {"pv": {"errors": {"x": None}}}}, {"meters": [1]}):
        assert facts.told_problems(status) == ()
    nasty = {"errors": {"x": {"code": "\x1b[2J", "message": "a" * 9_999}}, "meters": {}}
    (told,) = facts.told_problems(nasty)
    assert "\x1b" not in told
    assert len(told) == 200
    many = {"meters": {str(n): {"errors": {"x": {"code": "a", "message": "b"}}} for n in range(500)}}
    assert len(facts.told_problems(many)) == facts.MAX_PROBLEMS


@pytest.fixture
def campus(app: App, add_meter: Callable[..., Any], clock: Any) -> App:
    """A store with a gateway that told of a problem, a held reading, an alert and checkpoints; no validator."""
    meter = add_meter()
    app.home.save(replace(app.home.settings, validator=ValidatorSettings(url="http://127.0.0.1:9")))
    Collector(app).ingest(meter.next() + meter.next(clock_deviation=100), gateway="gw-1", meter=None, over="https")
    with app.store.write() as session:
        gateway = session.get_one(Gateway, "gw-1")
        gateway.seen_at, gateway.online = clock.now - 600, True
        gateway.status = {"errors": {"clock": {"code": "gateway_clock", "message": "7200 s off"}}, "meters": {}}
        session.add(Alert(code="X", subject="epoch 5", message="no", first_at=1, last_at=1, count=2))
        session.add(SettlementEpoch(epoch=5, state="checkpointed", first_seen_ms=1, checkpointed_ms=2))
        session.add(Lease(name="collector", owner="x", term=1, expires_at=clock.now + 30))
    return app


@pytest.mark.finding("ops-6")
def test_the_facts_are_the_stores(campus: App) -> None:
    gathered = facts.gather(campus, ChainClient(campus.home.rpc_url, attempts=1, timeout=1))
    (gateway,) = gathered.gateways
    (meter,) = gathered.meters
    assert (gateway.name, gateway.problems) == ("gw-1", ("gateway_clock: 7200 s off",))
    assert (meter.waiting, meter.held, meter.on_chain) == (1, 1, False)
    assert gathered.held_by_code == {"clock_unsynchronised": 1}
    assert [alert.text for alert in gathered.alerts] == ["epoch 5: no"]
    assert (gathered.last_checkpointed, dict(gathered.running)) == (5, {"collector": True, "settlement": False})
    assert gathered.chain.error is not None
    assert {problem.code for problem in judgement.problems(gathered)} >= {
        "alert",
        "backup",
        "gateway_problem",
        "gateway_silent",
        "held",
        "meter_silent",
        "not_on_chain",
        "not_running",
        "validator_unreachable",
    }


@pytest.mark.finding("ops-6")
def test_the_command_ends_with_4_where_something_waits(campus: App, capsys: pytest.CaptureFixture[str]) -> None:
    home = ["--home", str(campus.home.path)]
    assert main(["status", *home]) == 4
    shown = capsys.readouterr().out
    assert "gateway    gw-1" in shown
    assert "PROBLEM    validator:" in shown
    assert main(["status", "--json", *home]) == 4
    told = json.loads(capsys.readouterr().out)
    assert told["gateways"][0]["name"] == "gw-1"
    assert "held" in {problem["code"] for problem in told["problems"]}


@pytest.mark.finding("ops-6")
def test_monitoring_reads_the_same(campus: App) -> None:
    client = ChainClient(campus.home.rpc_url, attempts=1, timeout=1)
    wrong: list[str | None] = [None, "the store does not answer"]
    health = Health(lambda: wrong[0], Metrics(lambda: facts.gather(campus, client)), "secret")

    class Chain:
        def figures(self, _epoch: int) -> ChainFigures:
            return ChainFigures(None, None, None, None, None)

    web = create_app(StoreCampusSource(campus, Chain()), health=health).test_client()
    assert (web.get("/healthz").status_code, web.get("/readyz").status_code) == (200, 200)
    wrong.pop(0)
    down = web.get("/readyz")
    assert (down.status_code, down.text) == (503, "the store does not answer\n")
    for authorization in (None, "Bearer ", "Bearer wrong", "secret"):
        refused = web.get("/metrics", headers={} if authorization is None else {"Authorization": authorization})
        assert refused.status_code == 401
        assert "gw-1" not in refused.text
    text = web.get("/metrics", headers={"Authorization": "Bearer secret"}).text
    assert 'campus_gateway_age_seconds{gateway="gw-1"} 600.0' in text
    assert 'campus_held_readings{code="clock_unsynchronised"} 1.0' in text
    assert "campus_chain_up 0.0" in text
    assert 'campus_problems{code="gateway_silent"} 1.0' in text

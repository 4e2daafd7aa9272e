"""`authority audit verify` does every bill again: right ones are right, and an edited one is found and named."""

from __future__ import annotations

import json

import pytest
from billing_campus import command_of, run_epochs, two_flats

from authority.billing.bill import CLOSED, ISSUED, hash_of
from authority.cli import main
from authority.log import log
from authority.store.billing import IssuedBill
from edge_agent.wire.canonical import canonical_json

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def ended(make_campus):
    return two_flats(make_campus)


def verify(campus, capsys, *options):
    """What the audit finds: (code, where) of each, and how many bills it did again."""
    capsys.readouterr()
    status = main(["audit", "--home", str(campus.home_path), "verify", "--json", *map(str, options)])
    told = json.loads(capsys.readouterr().out)
    assert status == (0 if told["ok"] else 1)
    return sorted((each["code"], each["where"]) for each in told["problems"])


def bill_again(campus, capsys, number):
    """What `authority audit bill` makes of a bill: its figures by kind, and what does not hold."""
    capsys.readouterr()
    status = main(["audit", "--home", str(campus.home_path), "bill", str(number), "--json", "--progress"])
    told = json.loads(capsys.readouterr().out)
    assert status == (0 if told["ok"] else 1)
    return {each["kind"]: each for each in told["figures"]}, told


def test_issued_bills_hold_and_an_edited_document_is_named(ended, capsys, tmp_path):
    billing = command_of(ended, capsys)
    billing("close", 0)
    billing("issue", 0)
    run_epochs(ended, ended.billed_by, ended.epoch + 2)  # their leaves are pinned
    assert verify(ended, capsys) == []
    capsys.readouterr()
    assert main(["audit", "--home", str(ended.home_path), "verify"]) == 0
    assert "bills: 2 computed again" in capsys.readouterr().out
    bundle = tmp_path / "campus.bundle"
    assert main(["audit", "--home", str(ended.home_path), "export", "--bundle", str(bundle)]) == 0
    assert verify(ended, capsys, "--bundle", bundle) == []

    figures, told = bill_again(ended, capsys, 2)
    assert told["ok"]
    assert told["issued_due"] == told["found_due"] == figures["remainder"]["found_amount"] > 0
    assert figures["withdrawn"]["found_wh"] == figures["remainder"]["found_wh"]
    with ended.app.store.write() as session:
        bill = session.get(IssuedBill, 2)
        bill.document = bill.document.replace(b'"due":', b'"due":1', 1)
    assert verify(ended, capsys) == [("bill_changed", "bill 2")]
    assert verify(ended, capsys, "--log-only") == [("bill_changed", "bill 2")]
    assert "bill_changed" in billing("show", 2, status=1)
    figures, told = bill_again(ended, capsys, 2)
    assert all(each["same"] for each in figures.values())
    assert [problem.split(",")[0] for problem in told["problems"]] == [
        "its document is not the one whose hash is in the log",
        f"{told['issued_due']} micro-credits are said to be due",
    ]
    with ended.app.store.write() as session:
        session.delete(session.get(IssuedBill, 2))
    assert verify(ended, capsys) == [("bill_lost", "bill 2")]


def issue_by_hand(campus, document, number):
    """What a department could do that logs and keeps a bill of its own making."""
    data = canonical_json({**document, "number": number})
    with campus.app.store.write() as session:
        act = {
            "number": number, "period": 0, "wallet": document["member"], "sha256": hash_of(data),
            "due": document["due"],
        }  # fmt: skip
        index = log.record_act(session, ISSUED, "x", campus.app.clock(), act)
        session.add(
            IssuedBill(
                number=number, period=0, wallet=document["member"], document=data, sha256=bytes.fromhex(hash_of(data)),
                due=document["due"], log_index=index, issued_at=1,
            )
        )  # fmt: skip


@pytest.mark.parametrize("fraud", ["due", "epochs", "missing", "unclosed", "stranger"])
def test_a_bill_that_was_issued_wrong_is_named(ended, capsys, fraud):
    billing = command_of(ended, capsys)
    first, second = billing("preview", "--period", 0)
    expected = {
        "missing": [("bill_missing", "billing period 0")],
        "unclosed": [("period_not_closed", "billing period 0")],
        "stranger": [("bill_differs", "bill 2"), ("bill_missing", "billing period 0")],
    }.get(fraud, [("bill_differs", "bill 2")])
    if fraud == "due":
        line = next(each for each in second["lines"] if each["kind"] == "remainder")
        line["amount"] += 1
        second["due"] += 1
    elif fraud == "epochs":
        second["lines"][0]["epochs"][0][0] += 1
    elif fraud == "stranger":
        second["member"] = str(ended.operator.pubkey())
    if fraud != "unclosed":
        with ended.app.store.write() as session:
            data = {"period": 0, "first_epoch": first["first_epoch"], "end_epoch": first["end_epoch"]}
            log.record_act(session, CLOSED, "x", ended.app.clock(), data)
    issue_by_hand(ended, first, 1)
    if fraud != "missing":
        issue_by_hand(ended, second, 2)
    run_epochs(ended, ended.billed_by, ended.epoch + 2)
    assert verify(ended, capsys) == expected
    if fraud == "due":
        figures, told = bill_again(ended, capsys, 2)
        assert [kind for kind, each in figures.items() if not each["same"]] == ["remainder"]
        assert figures["remainder"]["issued_amount"] == figures["remainder"]["found_amount"] + 1
        assert told["issued_due"] == told["found_due"] + 1

"""Bills of a campus that meters and trades: closed, issued, shown, exported, corrected; and what they come to."""

from __future__ import annotations

import csv
import hashlib
import json

import pytest
from billing_campus import (
    GRACE_EPOCHS,
    assert_bills_are_the_references,
    command_of,
    end_of_period,
    issued,
    run_epochs,
    sums,
)
from campus_people import account
from people_site import application

from authority.api.certificates import MemberCertificates
from authority.chain.client import ChainClient
from authority.cli import main
from authority.refusals import NotFoundError
from authority.store.billing import IssuedBill
from authority.store.log import Act

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_200)]


def test_a_period_from_preview_to_correction(campus, billing, capsys, tmp_path):
    campus.STEPS = {**campus.STEPS, "D.load": (0, 9_000)}  # more than is offered
    worker = campus.worker()
    campus.start_market()
    end = end_of_period(campus)
    run_epochs(campus, worker, end)

    previewed = billing("preview", "--period", 0)
    assert {each["member"] for each in previewed} == {str(wallet) for wallet in campus.wallets.values()}
    assert "PERIOD" in _text(campus, capsys, "preview", "--period", "0")
    assert "takes late spans and retirements" in billing("close", 0, status=1)
    run_epochs(campus, worker, end + GRACE_EPOCHS)
    dry = billing("close", 0, "--dry-run")
    assert (dry["closed"], dry["blocking"], dry["gaps"]) == (False, [], [])
    assert "period_not_closed" in billing("issue", 0, status=1)
    assert billing("close", 0)["changed"] is True
    assert billing("close", 0)["changed"] is False
    assert billing("issue", 0, "--dry-run")["changed"] is False
    first = billing("issue", 0)
    assert (first["changed"], [each["number"] for each in first["bills"]]) == (True, [1, 2, 3, 4])
    before = issued(campus, 0)
    assert billing("issue", 0) == {**first, "changed": False}
    assert_bills_are_the_references(campus, 0)

    # What D buys is retired, and the rest of what it drew is due at retail.
    drawn = sums(before["D"], "wh")
    assert drawn["withdrawn"] == drawn["retired"] + drawn["remainder"]
    assert before["D"]["due"] == drawn["remainder"] * 300
    assert before["B"]["due"] == 0
    assert sums(before["B"], "amount")["sold"] < 0

    shown = billing("show", 4)
    assert shown == before["D"]
    assert [each["number"] for each in billing("show", "D")] == [4]
    (bill,) = command_of(campus, capsys, "members")("show", "D")["bills"]
    assert (bill["bill"], bill["period"], bill["due"]) == (4, 0, before["D"]["due"])
    assert "bill_unknown" in billing("show", 9, status=1)
    assert "member_unknown" in billing("show", "Zoe", status=1)
    text = _text(campus, capsys, "show", "4")
    assert "not covered: at the grid's price" in text
    with campus.app.store.read() as session:
        row = session.get(IssuedBill, 4)
        act = session.get(Act, row.log_index)
        assert act.data["sha256"] == hashlib.sha256(row.document).hexdigest()
        assert "D" not in json.loads(row.document).values()  # its wallet, and nobody's name

    file = tmp_path / "period.csv"
    assert billing("export", 0, "--csv", file)["bills"] == 4
    rows = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
    assert sum(int(row["amount_micro_credits"]) for row in rows if row["paid"] == "no") == sum(
        each["due"] for each in before.values()
    )

    certificates = MemberCertificates(campus.app, lambda: ChainClient(campus.validator.url, attempts=2, timeout=10))
    d, b = account(campus, "D"), account(campus, "B")
    certificate = certificates.one(d, 4, "{}".format)
    assert certificate.wh == drawn["retired"] == sum(each.wh for each in certificate.retired)
    assert (certificate.bought_wh, certificate.untold_wh) == (drawn["bought"], 0)
    assert certificates.listed(d, "{}".format).certificates == (certificate,)
    assert certificates.listed(b, "{}".format).certificates == ()
    with pytest.raises(NotFoundError):
        certificates.one(b, 4, "{}".format)
    assert not certificates.check(certificate.link).holds, "no checkpoint has the bill yet"

    # A correction is a line of the next bill, once, and the old bill stays as it was.
    assert "line_unknown" in billing("correct", 4, "--line", 99, "--amount", 1, "--reason", "x", status=1)
    assert "amount_invalid" in billing("correct", 4, "--line", 2, "--amount", 0, "--reason", "x", status=1)
    said = ("correct", 4, "--line", 2, "--amount", -5_000_000, "--reason", "the lift was billed to the wrong flat")
    assert billing(*said, "--dry-run")["changed"] is False
    assert [billing(*said)["changed"] for _ in range(2)] == [True, False]
    slip = billing("correct", 4, "--line", 2, "--amount", 77_000_000, "--reason", "a slip")["log_index"]
    taken = ("withdraw-correction", slip, "--reason", "typed at the wrong line")
    assert billing(*taken, "--dry-run")["changed"] is False
    assert [billing(*taken)["changed"] for _ in range(2)] == [True, False]
    assert "correction_unknown" in billing("withdraw-correction", 0, "--reason", "x", status=1)
    run_epochs(campus, worker, end_of_period(campus) + GRACE_EPOCHS)
    found = certificates.check(certificate.link)
    assert [step.holds for step in found.steps] == [True] * 5, found.steps
    client = application(campus.app, lambda: ChainClient(campus.validator.url, attempts=2, timeout=10)).test_client()
    assert "All that was looked at holds" in client.get(f"/certificates/{certificate.link}").text
    for wrong in ("4-x", "5" + certificate.link[1:], "x", "4"):
        assert client.get(f"/certificates/{wrong}").status_code == 404
    _forged(campus, certificate.retired[0].log_index)
    forged = {step.what: step.holds for step in certificates.check(certificate.link).steps}
    assert forged == {"document": True, "entries": False, "pinned": None, "transactions": False, "sum": False}
    _forged(campus, certificate.retired[0].log_index, -1)
    billing("close", 1)
    billing("issue", 1)
    (corrected,) = [line for line in issued(campus, 1)["D"]["lines"] if line["kind"] == "correction"]
    (leaf, _), *_ = corrected["leaves"]
    assert "correction_billed" in billing("withdraw-correction", leaf, "--reason", "too late", status=1)
    assert main(["audit", "bill", "8", "--home", str(campus.home_path)]) == 0, capsys.readouterr().out
    assert (corrected["amount"], corrected["bill"], corrected["of_line"]) == (-5_000_000, 4, 2)
    assert issued(campus, 0) == before
    assert [each["number"] for each in billing("show", "D")] == [4, 8]
    assert_bills_are_the_references(campus, 0, 1)
    states = [each["state"] for each in billing("periods")]
    assert states[:2] == ["issued", "issued"]
    assert states[-1] == "open"


def _forged(campus, leaf, more=1):
    """An act says that a Wh more was retired than was."""
    with campus.app.store.write() as session:
        act = session.get(Act, leaf)
        act.data = {**act.data, "amount": act.data["amount"] + more}


def _text(campus, capsys, *words):
    capsys.readouterr()
    assert main(["billing", "--home", str(campus.home_path), *words]) == 0
    return capsys.readouterr().out

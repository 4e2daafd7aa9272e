"""Payments by bank: matched by the bills' references, counted once, told as open, part paid, paid, overpaid."""

from __future__ import annotations

import json
import random
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from paying_office import NOW, Office
from sqlalchemy import delete, select

from authority.app import App
from authority.billing import payments
from authority.billing.errors import (
    AssignmentInvalidError,
    PaymentUnknownError,
    ReasonMissingError,
    StatementOutdatedError,
)
from authority.billing.money import Currency, reference_of
from authority.billing.payments import KNOWN, MATCHED, NOTHING_DUE, OPEN, OVERPAID, PAID, PART_PAID, UNKNOWN, state_of
from authority.cli import main
from authority.home.home import Home
from authority.home.settings import BillingSettings
from authority.store.billing import BillPayment, IssuedBill


@pytest.fixture
def office(home: Home) -> Any:
    made = Office(home)
    yield made
    made.app.store.close()


def test_a_statement_is_tried_booked_once_and_read_again_without_a_change(office: Office) -> None:
    file = office.statement(
        ("T1", "12,34", f"Ada Lovelace {office.named(1)}"),
        ("T2", "5,00", office.named(2).lower()),
        ("T3", "-5,01", f"to Cleo {office.named(3)}"),
        ("T4", "99,00", "rent of November"),
        ("T5", "1,00", office.named(9)),
        ("T6", "1,00", office.named(1)[:-1] + "9"),
        ("T7", "27,50", f"{office.named(2)} and {office.named(5)}"),
        ("T8", "8,00", office.named(5)),
        ("T9", "0,00", office.named(5)),
        ("T10", "12,34", office.named(1)),
    )
    tried = payments.try_statement(office.app, file)
    assert [(each.outcome, each.bill, each.state) for each in tried.rows] == [
        (MATCHED, 1, PAID),
        (MATCHED, 2, PART_PAID),
        (MATCHED, 3, PAID),
        (UNKNOWN, None, None),
        (UNKNOWN, None, None),
        (UNKNOWN, None, None),
        (UNKNOWN, None, None),
        (MATCHED, 5, OVERPAID),
        (UNKNOWN, None, None),
        (MATCHED, 1, OVERPAID),
    ]
    assert [each.words.partition(": ")[2] or each.words for each in tried.rows] == [
        "paid",
        "part paid, 15.00 EUR left",
        "paid",
        "it names no bill",
        "there is no bill 9",
        "its reference has a wrong digit",
        "say for which it is",
        "overpaid by 0.50 EUR",
        "it moved nothing",
        "paid before, now twice",
    ]
    before, reference = office.leaves(), reference_of(office.app.home.network_id, 1).encode()
    assert office.bills()[1] == (0, OPEN), "what is tried is not kept"
    assert office.take_in(file).digest == tried.digest
    assert office.bills() == {
        1: (24_680_000, OVERPAID),
        2: (5_000_000, PART_PAID),
        3: (-5_010_000, PAID),
        4: (0, NOTHING_DUE),
        5: (8_000_000, OVERPAID),
    }
    with office.app.store.read() as session:
        wallets = dict(session.execute(select(IssuedBill.number, IssuedBill.wallet)).all())
    assert office.acts("payment_booked") == [
        {"actor": "person-1", "amount": amount, "bill": bill, "date": "2026-11-28", "wallet": wallets[bill]}
        for bill, amount in ((1, 12_340_000), (2, 5_000_000), (3, -5_010_000), (5, 8_000_000), (1, 12_340_000))
    ]
    after = office.leaves()
    assert [
        word for word in (b"Lovelace", b"to Cleo", b"rent of", b"Flat ", reference) if word in after[len(before) :]
    ] == []
    again = office.take_in(file)
    assert (again.count(MATCHED), again.count(KNOWN), again.count(UNKNOWN)) == (0, 5, 5)
    assert office.leaves() == after


def test_lines_are_given_to_bills_by_hand_and_withdrawn_ones_stay_so_until_they_are(office: Office) -> None:
    file = office.statement(("T1", "20", "Ada, no reference"), ("T2", "7.50", office.named(2)))
    assert office.take_in(file, {2: 2}).count(MATCHED) == 2
    assert office.bills()[2] == (27_500_000, OVERPAID)
    with office.app.store.read() as session:
        wrong = session.scalars(select(BillPayment.log_index).where(BillPayment.amount == 7_500_000)).one()
    with pytest.raises(ReasonMissingError):
        payments.withdraw(office.app, wrong, " ", actor="x")
    with pytest.raises(PaymentUnknownError):
        payments.withdraw(office.app, wrong + 1, "x", actor="x")
    with pytest.raises(AssignmentInvalidError, match="withdraw it there first"):
        office.take_in(file, {3: 5})
    done = [payments.withdraw(office.app, wrong, "wrong reference typed", actor="person-1") for _ in range(2)]
    assert done == [True, False]
    assert office.bills()[2] == (20_000_000, PAID)
    (act,) = office.acts("payment_withdrawn")
    assert (act["payment"], act["bill"], "reason" in act) == (wrong, 2, False)
    rows = office.take_in(file).rows
    assert [(each.outcome, each.words) for each in rows][1] == (
        UNKNOWN,
        "withdrawn from bill 2: say for which bill it is",
    )
    office.take_in(file, {3: 5})
    assert (office.bills()[2], office.bills()[5]) == ((20_000_000, PAID), (7_500_000, PAID))
    assert office.take_in(file).count(KNOWN) == 2
    for assigned, words in (({9: 1}, "line 9 has no payment"), ({2: 99}, "there is no bill 99")):
        with pytest.raises(AssignmentInvalidError, match=words):
            office.take_in(file, assigned)


def test_what_a_bank_takes_back_opens_the_bill_again_and_other_money_is_left_alone(office: Office) -> None:
    columns = (*BillingSettings().statement_columns, "currency=currency")
    office.take_in(office.statement(("T1", "20", office.named(2)), ("T2", "-20", office.named(2))))
    assert office.bills()[2] == (0, OPEN)
    office.app.home.save(
        replace(office.app.home.settings, billing=BillingSettings(currency="EUR", statement_columns=columns))
    )
    app = App.open(office.app.home.path, lambda: NOW)
    file = f"id,date,amount,text,currency\nT3,2026-11-28,20,{office.named(2)},USD\n".encode()
    rows = [payments.try_statement(app, file, assigned).rows[0] for assigned in ({}, {2: 2})]
    app.store.close()
    assert {(row.outcome, row.words) for row in rows} == {(UNKNOWN, "it is in USD, and bills are in EUR")}


def test_what_was_agreed_to_is_booked_and_nothing_else(office: Office) -> None:
    file = office.statement(("T1", "20", office.named(2)))
    seen = payments.try_statement(office.app, file).digest
    office.take_in(office.statement(("T0", "5", office.named(2))))
    with pytest.raises(StatementOutdatedError, match="look at it again"):
        payments.take_in(office.app, file, actor="x", agreed=seen)
    assert office.bills()[2] == (5_000_000, PART_PAID)


def test_two_who_read_the_same_statement_at_once_book_it_once(app: App) -> None:
    """On each database."""
    office = Office(app.home)
    file = office.statement(*((f"T{n}", "1", office.named(1 + n % 5)) for n in range(40)))
    both = [threading.Thread(target=office.take_in, args=(file,)) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert len(office.acts("payment_booked")) == 40
    assert sum(received for received, _ in office.bills().values()) == 40_000_000
    office.app.store.close()


def test_files_that_overlap_come_to_the_same_in_any_order(office: Office) -> None:
    rows = [(f"T{n}", f"{n % 7}.{n % 10}0", office.named(1 + n % 5)) for n in range(30)]
    chance = random.Random(12)  # noqa: S311
    for _ in range(6):
        start = chance.randrange(25)
        office.take_in(office.statement(*rows[start : start + 10]))
    office.take_in(office.statement(*rows))
    expected = {bill: sum(amount(row) for n, row in enumerate(rows) if 1 + n % 5 == bill) for bill in range(1, 6)}
    assert {bill: received for bill, (received, _) in office.bills().items()} == expected


def amount(row: tuple[str, str, str]) -> int:
    return int(row[1].replace(".", "")) * 10_000


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9))
def test_the_states_are_the_same_for_both_directions(payable: int, received: int) -> None:
    state = state_of(payable, received)
    assert state == state_of(-payable, -received)
    assert (state in (PAID, NOTHING_DUE)) == (payable == received)
    if payable > 0 and state != PAID:
        assert state == (OPEN if received <= 0 else PART_PAID if received < payable else OVERPAID)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(1, 5), st.sampled_from((1, 700, 1_234, 2_000, -501, -1)), st.booleans()), max_size=6)
)
def test_the_database_finds_what_is_open_and_what_members_get(
    office: Office, paid: list[tuple[int, int, bool]]
) -> None:
    with office.app.store.write() as session:
        session.execute(delete(BillPayment))
        session.add_all(
            BillPayment(
                key=bytes([n]) * 32, bill=bill, amount=cents * 10_000, booked_on="2026-11-28", log_index=n,
                entered_at=0, entered_by="x", withdrawn_at=0 if withdrawn else None,
            )
            for n, (bill, cents, withdrawn) in enumerate(paid)
        )  # fmt: skip
        payments.keep_left(session, {1, 2, 3, 4, 5})
    asked = (Currency("EUR"), office.app.home.network_id)
    with office.app.store.read() as session:
        bills = payments.paid_bills(session, *asked)
        assert payments.unsettled(session, *asked) == [each for each in bills if each.state not in payments.SETTLED]
        assert payments.owed_to_members(session, *asked) == [each for each in bills if each.left < 0]


def test_the_commands_try_book_list_and_withdraw(
    office: Office, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "statement.csv"
    file.write_bytes(office.statement(("T1", "20,00", office.named(2)), ("T2", "1,00", "?")))
    home = ("--home", str(office.app.home.path))

    def run(*words: str, status: int = 0) -> Any:
        capsys.readouterr()
        assert main(["billing", *home, "payments", *words]) == status
        captured = capsys.readouterr()
        return json.loads(captured.out) if "--json" in words and not status else captured.out + captured.err

    assert run("import", str(file), "--dry-run", "--json")["changed"] is False
    assert "1 payments would be booked, 20.00 EUR; 0 were booked before; 1 are left alone" in run(
        "import", str(file), "--dry-run"
    )
    assert run("import", str(file), "--assign", "3=5", "--json")["changed"] is True
    assert run("import", str(file), "--json")["changed"] is False
    told = run("bills", "--period", "0", "--json")
    assert [(each["number"], each["state"]) for each in told] == [
        (1, OPEN),
        (2, PAID),
        (3, OPEN),
        (4, NOTHING_DUE),
        (5, PART_PAID),
    ]
    assert told[1]["reference"] == office.named(2).replace(" ", "")
    assert "Flat 5" in run("bills")
    assert "Flat 2" not in run("bills")
    (second, first) = run("list", "--json")
    assert (first["bill"], second["bill"]) == (2, 5)
    assert "2026-11-28" in run("list")
    for reason, code in (("it was Flat 5's", "names_somebody"), (" ", "reason_missing"), ("x" * 201, "reason_missing")):
        for words in ((), ("--dry-run",)):
            refused = run("withdraw", str(second["payment"]), "--reason", reason, *words, status=1)
            assert code in refused, "as the page says"
    withdraw = ("withdraw", str(second["payment"]), "--reason", "not ours")
    assert run(*withdraw, "--dry-run", "--json")["changed"] is False
    assert [run(*withdraw, "--json")["changed"] for _ in range(2)] == [True, False]
    assert "(withdrawn)" in run("list")
    file.write_text("id;date;amount;text\nT3;x;1;y\n", encoding="utf-8")
    assert "line 2: 'x' is not a date" in run("import", str(file), status=1)
    assert "statement_invalid" in run("import", str(tmp_path / "none.csv"), status=1)

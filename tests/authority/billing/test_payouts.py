"""What members are paid by bank: each thing once, to an account that the log never has; ISO 20022's file."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import threading
from contextlib import suppress
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import peer_programs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paying_office import NOW, Office
from sqlalchemy import select

from authority.app import App
from authority.billing import bank_accounts, payments, payouts
from authority.billing.errors import (
    AccountInvalidError,
    AccountMissingError,
    BatchUnknownError,
    FormatUnfitError,
    NothingOwedError,
    OwedOtherwiseError,
)
from authority.billing.money import Currency, reference_of
from authority.billing.payment_file import CSV, NAMESPACE, PAIN_001, Order, Transfer, as_csv, latin, pain_001
from authority.cli import main
from authority.home.home import Home
from authority.home.iban import SEPA_LENGTHS, is_bic, is_iban, is_sepa, remainder
from authority.people import records
from authority.store.billing import BankAccount, BillPayment, CreditEntry, PayoutOrder
from authority.store.people import User

OURS, THEIRS, FRENCH = "DE89370400440532013000", "AT611904300234573201", "FR1420041010050500013M02606"
"""The examples of the IBAN registry."""
ON = date(2026, 11, 30)
CHECK = """
import sys, xmlschema, sepaxml
schema = xmlschema.XMLSchema(sepaxml.__path__[0] + "/schemas/pain.001.001.09.xsd")
for name in sys.argv[1:]:
    schema.validate(name)
print("valid")
"""


@pytest.fixture
def office(home: Home) -> Any:
    made = Office(home, iban="DE89 3704 0044 0532 0130 00")
    yield made
    made.app.store.close()


def name_account(office: Office, flat: int, number: str = THEIRS, holder: str = "Cléo Müller", bank: str = "") -> bool:
    with office.app.store.read() as session:
        member = bank_accounts.member_id(session, f"Flat {flat}")
    return bank_accounts.set_account(office.app, member, holder, number, bank, actor="person-3")


def owed(office: Office, period: int | None = None) -> dict[str, int]:
    with office.app.store.read() as session:
        return {each.name: each.amount for each in payouts.owed(session, office.app, period)}


def paid_out(office: Office, flat: int, amount: int, leaf: int) -> None:
    """Credits that were taken back for money, as settlement books them."""
    with office.app.store.write() as session:
        wallet = session.scalars(select(User.wallet).where(User.name == f"Flat {flat}")).one()
        session.add(
            CreditEntry(
                reference=f"Out of Ada {leaf}", wallet=wallet, amount=-amount, state="landed", signature="s",
                last_valid_block_height=0, raw="", log_index=leaf, entered_at=0, entered_by="x",
            )
        )  # fmt: skip


def transfers(data: bytes) -> list[tuple[str, str, str, str]]:
    """Reference, name, account and amount of each transfer in a file."""
    at = {"p": NAMESPACE}
    told = ("PmtId/EndToEndId", "Cdtr/Nm", "CdtrAcct/Id/IBAN", "Amt/InstdAmt")
    return [
        tuple(each.findtext("/".join(f"p:{part}" for part in path.split("/")), namespaces=at) for path in told)
        for each in ElementTree.fromstring(data).iter(  # noqa: S314 - ours
            f"{{{NAMESPACE}}}CdtTrfTxInf"
        )
    ]


def test_what_is_owed_is_ordered_once_and_settled_by_the_statement(office: Office) -> None:
    paid_out(office, 2, 3_000_001, 5_120)
    office.take_in(office.statement(("T1", "13.00", office.named(1))))
    assert owed(office) == {"bill-1": 660_000, "bill-3": 5_010_000, "credits-5120": 3_010_000}
    assert owed(office, 0) == {"bill-1": 660_000, "bill-3": 5_010_000}
    with pytest.raises(NothingOwedError):
        payouts.order(office.app, actor="x")
    with pytest.raises(AccountMissingError):
        payouts.order(office.app, [("bill-3", 5_010_000)], actor="x")
    assert [name_account(office, 3) for _ in range(2)] == [True, False]
    name_account(office, 2, FRENCH, "=Dora")
    for wrong in (("bill-3", 1), ("bill-2", 1), ("x", 1)):
        with pytest.raises(OwedOtherwiseError):
            payouts.order(office.app, [wrong], actor="x")
    assert payouts.order(office.app, actor="person-1") == 1
    assert owed(office) == {"bill-1": 660_000}, "who has named no account is left"
    reference = reference_of(office.app.home.network_id, 3)
    data, form = payouts.file_of(office.app, 1)
    assert form == PAIN_001
    assert transfers(data) == [
        (reference, "Cleo Mueller", THEIRS, "5.01"),
        ("CREDITS-5120", "Dora", FRENCH, "3.01"),
    ]
    assert payouts.file_of(office.app, 1)[0] == data
    leaves = office.leaves()
    assert [word for word in (b"AT611904", b"FR142004", b"=Dora", b"Flat ", b"Out of") if word in leaves] == []
    assert [(act["amount"], act.get("bill"), act.get("redeemed")) for act in office.acts("payout_ordered")] == [
        (5_010_000, 3, None),
        (3_010_000, None, 5_120),
    ]
    # the transfer as the bank has it settles the bill, and nothing is owed again
    sent = office.statement(("T2", "-5,01", f"To Cleo {office.named(3)}"))
    assert office.take_in(sent).rows[0].state == "paid"
    assert owed(office) == {"bill-1": 660_000}
    # the bank gives it back: it is owed again
    office.take_in(office.statement(("T3", "5,01", f"returned {office.named(3)}")))
    assert owed(office) == {"bill-1": 660_000, "bill-3": 5_010_000}


def test_a_file_that_the_bank_never_got_is_cancelled_and_what_was_paid_by_hand_is_in_none(office: Office) -> None:
    name_account(office, 3)
    assert payouts.order(office.app, actor="x") == 1
    assert [payouts.cancel(office.app, 1, actor="person-1") for _ in range(2)] == [1, 0]
    assert owed(office) == {"bill-3": 5_010_000}
    for act in (lambda: payouts.file_of(office.app, 1), lambda: payouts.cancel(office.app, 0, actor="x")):
        with pytest.raises(BatchUnknownError):
            act()
    payouts.order(office.app, [("bill-3", 5_010_000)], otherwise=True, actor="x")
    assert owed(office) == {}
    with pytest.raises(BatchUnknownError):
        payouts.file_of(office.app, payouts.OTHERWISE)
    with office.app.store.read() as session:
        assert [(each.number, each.cancelled) for each in payouts.batches(session)] in (
            [(1, True), (0, False)],
            [(0, False), (1, True)],
        )


def test_two_who_order_at_once_order_it_once(app: App) -> None:
    """On each database."""
    office = Office(app.home)
    name_account(office, 3)

    def ask() -> None:
        with suppress(NothingOwedError):
            payouts.order(office.app, actor="x")

    both = [threading.Thread(target=ask) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    with office.app.store.read() as session:
        assert session.scalars(select(PayoutOrder.amount)).all() == [5_010_000]
        assert [each.amount for each in payouts.batches(session)] == [5_010_000]
    office.app.store.close()


def test_a_bank_beyond_sepa_gets_csv(home: Home) -> None:
    office = Office(home, currency="THB")
    name_account(office, 3, "012-345-6789", "=สมชาย", "004")
    payouts.order(office.app, actor="x")
    data, form = payouts.file_of(office.app, 1)
    assert form == CSV
    ((_, row),) = [(None, row) for row in csv.DictReader(io.StringIO(data.decode()))]
    assert (row["account"], row["bank"], row["amount"], row["currency"]) == ("0123456789", "004", "5.01", "THB")
    assert row["holder"] == "'=สมชาย"
    with pytest.raises(FormatUnfitError, match="euros"):
        payouts.file_of(office.app, 1, PAIN_001)
    office.app.store.close()


def test_what_pain_001_cannot_have_is_refused_before_anything_is_ordered(office: Office) -> None:
    name_account(office, 3, "012-345-6789", "Cleo", "004")
    with pytest.raises(FormatUnfitError, match="SEPA"):
        payouts.order(office.app, [("bill-3", 5_010_000)], actor="x")
    billing = replace(office.app.home.settings.billing, iban="")
    office.app.home.save(replace(office.app.home.settings, billing=billing))
    app = App.open(office.app.home.path)
    assert payouts.usual_format(app) == CSV
    with pytest.raises(FormatUnfitError, match="iban"):
        payouts.order(app, [("bill-3", 5_010_000)], form=PAIN_001, actor="x")
    app.store.close()
    assert office.acts("payout_ordered") == []


def test_an_account_goes_when_it_is_forgotten_and_when_who_named_it_is_erased(office: Office) -> None:
    name_account(office, 3)
    payouts.order(office.app, actor="x")
    with office.app.store.read() as session:
        member = bank_accounts.member_id(session, "Flat 3")
    assert [bank_accounts.remove(office.app, member, actor="person-3") for _ in range(2)] == [True, False]
    with pytest.raises(AccountMissingError):
        payouts.file_of(office.app, 1)
    with office.app.store.write() as session:
        person = records.add(session, "cleo@campus.example", "Cleo", now=0)
        session.flush()
        pseudonym = person.pseudonym
    bank_accounts.set_account(office.app, member, "Cleo", THEIRS, "", actor=pseudonym)
    with office.app.store.write() as session:
        records.erase(session, records.find(session, "cleo@campus.example"), by="x", now=0)
        assert session.scalars(select(BankAccount)).all() == []
    assert len(office.acts("payout_account_set")) == 2
    assert THEIRS.encode() not in office.leaves()


def test_erasing_a_person_deletes_the_account_that_the_office_entered_for_it(office: Office) -> None:
    """And leaves those of other members, and one that somebody else of the same flat named."""
    with office.app.store.write() as session:
        members = {flat: bank_accounts.member_id(session, f"Flat {flat}") for flat in (1, 2, 3)}
        cleo, ada = (records.add(session, f"{name}@campus.example", name, now=0) for name in ("Cleo", "Ada"))
        records.grant(session, cleo, "member", by="x", now=0, member=session.get_one(User, members[1]))
        records.grant(session, ada, "member", by="x", now=0, member=session.get_one(User, members[2]))
        pseudonym = ada.pseudonym
    for flat, actor in ((1, "root"), (2, pseudonym), (3, "root")):
        bank_accounts.set_account(office.app, members[flat], "Holder", THEIRS, "", actor=actor)
    for login, left in (("cleo@campus.example", [2, 3]), ("ada@campus.example", [3])):
        with office.app.store.write() as session:
            records.erase(session, records.find(session, login), by="x", now=0)
            kept = session.scalars(select(BankAccount.member_id).order_by(BankAccount.member_id)).all()
            assert kept == [members[flat] for flat in left]


@given(st.sampled_from(sorted(SEPA_LENGTHS)), st.data())
def test_an_iban_has_its_countrys_length_and_its_check_digits(country: str, data: st.DataObject) -> None:
    rest = data.draw(
        st.text("0123456789ABCXYZ", min_size=SEPA_LENGTHS[country] - 4, max_size=SEPA_LENGTHS[country] - 4)
    )
    iban = f"{country}{98 - remainder(f'{rest}{country}00'):02d}{rest}"
    assert is_sepa(iban)
    place = data.draw(st.integers(4, len(iban) - 1))
    other = data.draw(st.sampled_from([each for each in "0123456789" if each != iban[place]]))
    wrong = iban[:place] + other + iban[place + 1 :]
    assert not is_iban(wrong) or iban[place].isalpha(), "no digit for another"
    assert not is_iban(iban[:-1])
    with pytest.raises(AccountInvalidError) as caught:
        bank_accounts.checked("Ada", iban[:-1], "")
    assert rest not in str(caught.value)


def test_accounts_as_people_type_them() -> None:
    for number in (OURS, THEIRS, FRENCH):
        assert is_sepa(number)
        assert bank_accounts.checked(" Ada  L ", f" {number[:4]} {number[4:].lower()}", "")[:2] == ("Ada L", number)
    assert is_iban("TR330006100519786457841326")
    assert not is_sepa("TR330006100519786457841326")
    assert is_bic("MARKDEF1100")
    for holder, number, bank in (
        ("", OURS, ""),
        ("x" * 71, OURS, ""),
        ("Ada", "DE88370400440532013000", ""),
        ("Ada", "0123456789", ""),
        ("Ada", "123", "004"),
        ("Ada", "ABC", "004"),
        ("Ada", OURS, "004"),
        ("Ada\n", "٣" * 10, "004"),
    ):
        with pytest.raises(AccountInvalidError):
            bank_accounts.checked(holder, number, bank)
    assert bank_accounts.masked(OURS) == "DE89 •••• •••• •••• ••30 00"
    assert bank_accounts.masked("0123456789") == "•••• ••67 89"
    assert [bank_accounts.masked(number) for number in ("1234", "12345")] == ["••34", "•••4 5"], "never the whole"


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=70)


@given(NAMES)
def test_a_name_in_latin_letters_is_what_sepa_takes(name: str) -> None:
    said = latin(name, 70)
    assert set(said) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/-?:().,'+ ")
    assert len(said) <= 70
    assert "//" not in said
    assert said.strip(" /") == said
    assert latin(said, 70) == said


def test_the_file_is_valid_by_iso_20022s_schema_whatever_names_and_amounts_are(tmp_path: Path) -> None:
    """By another project's copy of the schema, in an environment of its own."""
    made: list[Path] = []

    @given(NAMES, NAMES, st.lists(st.tuples(NAMES, st.integers(1, 10**15)), min_size=1, max_size=5), st.booleans())
    def write(debtor: str, purpose: str, some: list[tuple[str, int]], bic: bool) -> None:
        each = [
            Transfer(f"RF{n}", holder, THEIRS, "", units * 10_000, f"{n} {purpose}")
            for n, (holder, units) in enumerate(some)
        ]
        code = "MARKDEF1100" if bic else ""
        order = Order("CAMPUS-7F3A0000-17", 1_782_000_000, ON, debtor, OURS, code, Currency("EUR"), each)
        file = tmp_path / f"{len(made)}.xml"
        file.write_bytes(pain_001(order))
        made.append(file)
        document = ElementTree.fromstring(pain_001(order))  # noqa: S314 - ours
        total = document.findtext(f".//{{{NAMESPACE}}}CtrlSum")
        assert total == f"{sum(units for _, units in some) // 100}.{sum(units for _, units in some) % 100:02d}"
        assert len(list(csv.reader(io.StringIO(as_csv(order).decode(), newline="")))) == len(each) + 1

    write()
    command = [str(peer_programs.python("sepaxml")), "-c", CHECK, *map(str, made)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.stdout == "valid\n", checked.stderr


def test_the_commands_list_export_cancel_and_keep_accounts(
    office: Office, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    home, file = ("--home", str(office.app.home.path)), tmp_path / "out.xml"

    def run(*words: str, status: int = 0) -> Any:
        capsys.readouterr()
        assert main(["billing", *home, "payouts", *words]) == status
        captured = capsys.readouterr()
        return json.loads(captured.out) if "--json" in words and not status else captured.out + captured.err

    account = ("account", "Flat 3", "--holder", "Cleo", "--number")
    assert "account_invalid" in run(*account, "DE1", "--dry-run", status=1)
    assert run(*account, THEIRS, "--dry-run", "--json")["changed"] is False
    assert [run(*account, THEIRS, "--json")["changed"] for _ in range(2)] == [True, False]
    assert "bill-3" in run("owed")
    assert THEIRS not in run("owed")
    assert "1 of 1 that are owed have an account" in run("export", "--file", str(file), "--dry-run")
    assert not file.exists()
    told = run("export", "--period", "0", "--file", str(file), "--json")
    assert (told["batch"], told["format"], told["changed"]) == (1, "pain.001", True)
    assert transfers(file.read_bytes())[0][3] == "5.01"
    assert "nothing_owed" in run("export", "--file", str(file), status=1)
    assert run("export", "--again", "1", "--format", "csv", "--file", str(file), "--json")["changed"] is False
    before = file.read_bytes()
    again = run("export", "--again", "1", "--format", "csv", "--file", str(file), "--dry-run")
    assert f"payment file 1 (csv, {len(before)} bytes) would be written" in again
    assert file.read_bytes() == before
    assert file.read_text(encoding="utf-8").startswith("reference,holder")
    assert [each["payments"] for each in run("list", "--json")] == [1]
    assert run("cancel", "1", "--dry-run", "--json")["changed"] is False
    assert run("cancel", "1", "--json") == {"changed": True, "payments": 1}
    assert "cancelled" in run("list")
    assert run("paid", "bill-3", "--dry-run", "--json")["changed"] is False
    assert "no longer owed: bill-3" in run("paid", "bill-3")
    assert "owed_otherwise" in run("paid", "bill-3", status=1)
    assert run("account", "Flat 3", "--forget", "--json")["changed"] is True
    assert run("owed", "--json") == []
    with office.app.store.read() as session:
        assert session.scalars(select(BillPayment)).all() == []
        assert payments.newest(session) == []


def test_the_account_of_who_left_is_kept_until_it_is_paid_and_no_longer(office: Office) -> None:
    with office.app.store.write() as session:
        member = session.scalars(select(User).where(User.name == "Flat 3")).one()
        member_id = member.id
    bank_accounts.set_account(office.app, member_id, "Cleo", THEIRS, "", actor="x")
    assert payouts.forget_former(office.app) == 0, "nobody left"
    seconds = office.app.home.settings.epoch.seconds

    def at(now: int, left_at: int) -> Any:
        with office.app.store.write() as session:
            session.get_one(User, member_id).left_at = left_at
        return replace(office.app, clock=lambda: now)

    left, day = 95 * seconds, 86_400
    assert payouts.forget_former(at(97 * seconds, 96 * seconds)) == 0, "the bill of its last days is to come"
    assert payouts.forget_former(at(left + day, left)) == 0, "its bill gives it something"
    batch = payouts.order(at(left + day, left), form="csv", actor="x")
    assert payouts.forget_former(at(left + 30 * day, left)) == 0, "the bank may not have got the file"
    assert payouts.forget_former(at(left + day + 30 * day, left)) == 1
    with office.app.store.read() as session:
        assert session.get(BankAccount, member_id) is None
    assert office.acts("payout_account_removed")[-1]["actor"] == "settlement"
    with pytest.raises(AccountMissingError):
        payouts.file_of(office.app, batch, "csv")


def test_the_account_of_who_left_is_never_kept_for_ever(office: Office) -> None:
    with office.app.store.write() as session:
        member = session.scalars(select(User).where(User.name == "Flat 3")).one()
        member_id, member.left_at = member.id, NOW - 400 * 86_400 + 1
    bank_accounts.set_account(office.app, member_id, "Cleo", THEIRS, "", actor="x")
    assert payouts.forget_former(office.app) == 0, "it is still owed, and no longer than this is it kept"
    with office.app.store.write() as session:
        session.get_one(User, member_id).left_at = NOW - 400 * 86_400
    assert payouts.forget_former(office.app) == 1

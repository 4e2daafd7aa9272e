"""Export of one's own data: everything of the person and of its own account, nobody else's, no secret, and no stall."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from typing import Any

import pytest
from every_leaf import every_leaf
from people_site import PeopleSite, build
from sqlalchemy import select

from authority.api import me_export
from authority.api.export import FILES, FILES_OF_A_MEMBER
from authority.app import App
from authority.people import secrets
from authority.people.roles import DELEGATE, MEMBER, OPERATOR, SCOPES
from authority.store.billing import BillPayment, CreditEntry
from authority.store.log import Act
from authority.store.market import HandOrderRow, TransferRow
from authority.store.people import User
from authority.store.persons import PersonSession, ProgramToken


@pytest.fixture
def store_url() -> str:
    return ""


@pytest.fixture
def site(app: App, clock: Any, sample_month: Any) -> PeopleSite:
    clock.now += 17 * 3_600
    made = build(app)
    sample_month(made)
    made.client(DELEGATE).get("/api/v1/me/bills")
    made.client(OPERATOR).get("/op/members")
    made.client("other").post("/me/trading", data=made.form("other", act="save", sell_at="0.2"))
    return made


def archive(site: PeopleSite, role: str, language: str = "en") -> dict[str, bytes]:
    answer = site.client(role).get(f"/api/v1/me/export?language={language}")
    assert answer.status_code == 200, answer.text
    assert (answer.content_type, answer.headers["Cache-Control"]) == ("application/zip", "no-store")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="my-data-2026-06-21.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.data)) as found:
        assert found.testzip() is None
        return {name: found.read(name) for name in found.namelist()}


def rows(files: dict[str, bytes], name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(files[name].decode())))


def test_a_member_has_everything_of_itself_and_nothing_of_others(site: PeopleSite) -> None:
    files, member, wallet = archive(site, MEMBER), site.people[MEMBER], site.members["Dormitory A"].wallet
    assert set(FILES) | set(FILES_OF_A_MEMBER) - {"energy/", "readings/", "bills/"} <= set(files)
    readme = files["README.txt"].decode()
    for name in files:
        assert name == "README.txt" or name in readme or f"{name.partition('/')[0]}/" in readme, name
    person = json.loads(files["person.json"])
    assert (person["login"], person["pseudonym"]) == ("member@campus.example", member.pseudonym)
    assert [(held["role"], held["member"]) for held in person["roles"]] == [(MEMBER, "Dormitory A")]
    account = json.loads(files["member.json"])
    assert (account["name"], account["wallet"], account["standing_order"]["sell_at_micro_credits_per_kwh"]) == (
        "Dormitory A",
        wallet,
        120_000,
    )
    assert account["balances"] is None, "the chain does not answer here, and that is said"
    assert sorted(row["name"] for row in rows(files, "tokens.csv")) == [f"only {scope}" for scope in sorted(SCOPES)]
    assert [row["browser"] for row in rows(files, "sessions.csv")] == ["Chrome on Linux"]
    assert [(row["meter"], row["serial"], row["since"]) for row in rows(files, "meters.csv")] == [
        ("building", "S1", "")
    ]
    quarters = rows(files, "energy/2026-06.csv")
    told = site.client(MEMBER).get("/api/v1/me/energy?step=day&from=2026-06-01&to=2026-06-21").json["total"]
    assert sum(int(row["made_wh"] or 0) for row in quarters) == told["flows"]["made_wh"] > 0
    assert len(quarters) == 20 * 96 + 17 * 4
    readings = rows(files, "readings/2026-06.csv")
    assert (readings[0]["meter"], len(readings)) == ("dormitory-a/building", 3 * 96 + 17 * 4 + 1)
    assert files["bills/bill-1.pdf"].startswith(b"%PDF-")
    assert [row["kind"] for row in rows(files, "bills.csv")][:2] == ["withdrawn", "retired"]
    read = {(row["by"], json.loads(row["data"])["what"]) for row in rows(files, "access-log.csv")}
    delegate, operator = site.people[DELEGATE].pseudonym, site.people[OPERATOR].pseudonym
    assert {(delegate, "bills"), (operator, "people"), (member.pseudonym, "export")} <= read
    acts = {row["act"] for row in rows(files, "log.csv")}
    assert {"role_granted", "token_made", "data_read"} <= acts
    whole = b"\n".join(files.values())
    other, foreign = site.people["other"], site.members["Dormitory B"]
    for text in (other.login, other.name, other.pseudonym, foreign.name, foreign.wallet):
        assert text.encode() not in whole, text


def test_every_whole_number_in_its_tables_says_its_unit_or_is_a_number_of_something(site: PeopleSite) -> None:
    member, other = site.members["Dormitory A"], site.members["Dormitory B"]
    with site.app.store.write() as session:
        its = session.scalars(select(User.id).where(User.wallet == member.wallet)).one()
        another = session.scalars(select(User.id).where(User.wallet == other.wallet)).one()
        session.add(
            HandOrderRow(
                user_id=its, request_key="o", act="place", epoch=9, side=0, price=300_000, quantity=2_000,
                state="done", asked_at=5,
            )
        )  # fmt: skip
        for place, (asset, amount) in enumerate((("energy", 7_000), ("credit", 8_000_000))):
            for giver, taker in ((its, another), (another, its)):
                session.add(
                    TransferRow(
                        user_id=giver, to_user_id=taker, request_key=f"t{place}", act="give", asset=asset,
                        amount=amount, state="done", asked_at=5, goes_at=6,
                    )
                )  # fmt: skip
        session.add(
            CreditEntry(
                reference="bank-1", wallet=member.wallet, amount=9_000_000, state="landed", signature="s",
                last_valid_block_height=1, raw="", log_index=1, entered_at=5, entered_by="t",
            )
        )  # fmt: skip
        session.add(
            BillPayment(
                key=bytes(32), bill=1, amount=1_000_000, booked_on="2026-06-01", log_index=2, entered_at=5,
                entered_by="t",
            )
        )  # fmt: skip
    files = archive(site, MEMBER)
    (order,) = rows(files, "orders.csv")
    assert (order["price_micro_credits_per_kwh"], order["quantity_wh"]) == ("300000", "2000")
    moved = [("7000", ""), ("", "8000000")]
    for name in ("transfers.csv", "received.csv"):
        assert [(row["energy_wh"], row["credit_micro_credits"]) for row in rows(files, name)] == moved, name
    seen = set()
    for file in (each for each in files if each.endswith(".csv")):
        for row in rows(files, file):
            seen |= {(file, name) for name, cell in row.items() if re.fullmatch("-?[0-9]+", cell or "")}
    unsaid = [each for each in sorted(seen) if not each[1].endswith(UNITS) and each[1] not in COUNTED]
    assert unsaid == [], "a figure whose unit its column does not say"
    assert {"credits.csv", "payments.csv", "bills.csv", "orders.csv", "meters.csv"} <= {file for file, _ in seen}


UNITS = ("_wh", "_micro_credits", "_micro_credits_per_kwh", "_seconds", "_power_w")
COUNTED = {
    "id", "user_id", "person_id", "leaf", "epoch", "epochs", "leaves", "sequence", "line", "bill", "period",
    "of_period", "corrects_bill", "corrects_line", "number", "meters", "meters_heard", "side", "installation",
    "serial", "meter_id",
}  # fmt: skip
"""Columns whose numbers count or name something, and have no unit."""


def test_no_secret_is_in_it_and_the_log_has_the_act_without_a_name(site: PeopleSite) -> None:
    files = archive(site, MEMBER)
    whole = b"\n".join(files.values())
    with site.app.store.read() as session:
        hashes = [*session.scalars(select(PersonSession.token_hash)), *session.scalars(select(ProgramToken.token_hash))]
        (act,) = session.scalars(select(Act).where(Act.kind == "data_read", Act.actor == site.people[MEMBER].pseudonym))
        leaves = every_leaf(session)
    assert (act.data["subject"], act.data["what"]) == (site.people[MEMBER].pseudonym, "export")
    assert b"campus.example" not in leaves
    given = [site.cookies[MEMBER], *site.tokens.values()]
    assert [each for each in given if each.encode() in whole] == []
    assert [each for each in hashes if each.hex().encode() in whole] == []
    assert secrets.kept(site.cookies[MEMBER]) in hashes, "what was looked for is what the store has"


def test_a_delegate_gets_its_own_and_not_the_account_that_it_looks_after(site: PeopleSite) -> None:
    files = archive(site, DELEGATE, "th")
    assert set(files) == {"README.txt", *FILES}
    assert json.loads(files["person.json"])["login"] == "delegate@campus.example"
    whole = b"\n".join(files.values())
    assert b"Dormitory A" in files["person.json"], "whose delegate it is"
    assert b"bill-1" not in whole
    assert "พาสคีย์" in files["README.txt"].decode()


def test_one_is_made_at_a_time_and_it_ends_with_its_reader(site: PeopleSite) -> None:
    client = site.client(MEMBER)
    first = client.get("/api/v1/me/export", buffered=False)
    assert first.status_code == 200
    again = client.get("/api/v1/me/export", headers={"Accept": "application/json"})
    assert (again.status_code, again.json["code"], again.headers["Retry-After"]) == (503, "export_busy", "60")
    assert client.get("/me").status_code == 200, "meanwhile the pages are there"
    first.close()
    assert archive(site, MEMBER)["README.txt"]


def test_an_archive_that_breaks_off_is_no_whole_answer(site: PeopleSite) -> None:
    exports = me_export.Exports(site.app)
    with pytest.raises(me_export.ExportFailedError):
        list(exports.start("person-of-nobody", "en"))
    made = exports.start(site.people[MEMBER].pseudonym, "en")
    next(made)
    made.close()
    assert list(exports.start(site.people[MEMBER].pseudonym, "en")), "the place is free again"

"""The issued bills of a period as CSV (RFC 4180): a row for each line; a name ends with its unit.

Times are ISO 8601 on the site's clock, with the offset. Energies are Wh, money micro-credits, positive to be paid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from authority.billing import spreadsheet, views
from authority.billing.calendar import local
from authority.billing.errors import PeriodNotIssuedError
from authority.billing.issuing import closed_period
from authority.store.billing import IssuedBill

COLUMNS = (
    "bill", "period", "starts", "ends", "member", "wallet", "line", "kind", "energy_wh", "price_micro_credits_per_kwh",
    "amount_micro_credits", "paid", "of_period", "corrects_bill", "corrects_line", "reason", "epochs", "leaves",
    "due_micro_credits", "sha256",
)  # fmt: skip


def period_csv(session: Session, period: int, zone: ZoneInfo) -> tuple[str, int, int]:
    """The text, how many bills and how many lines.

    BillingErrors `period_not_closed`, `period_not_issued`, `bill_changed`.
    """
    if closed_period(session, period).issued_at is None:
        raise PeriodNotIssuedError(f"issue it first: authority billing issue {period}")
    names, bills = views.names(session), views.issued_in(session, period)
    rows = []
    for bill in bills:
        rows += rows_of(bill, names, zone)
    return spreadsheet.table(COLUMNS, rows), len(bills), len(rows)


def rows_of(bill: IssuedBill, names: Mapping[str, str], zone: ZoneInfo) -> list[list[Any]]:
    """A row for each line of an issued bill; BillingError `bill_changed`."""
    document = views.document_of(bill)
    return [_row(bill, document, line, names, zone) for line in document["lines"]]


def _row(
    bill: IssuedBill, document: Mapping[str, Any], line: Mapping[str, Any], names: Mapping[str, str], zone: ZoneInfo
) -> list[Any]:
    seconds = document["epoch_seconds"]
    starts, ends = moment(document["first_epoch"] * seconds, zone), moment(document["end_epoch"] * seconds, zone)
    return [
        bill.number, bill.period, starts, ends,
        names.get(bill.wallet, ""), bill.wallet, line["line"], line["kind"], line["wh"], line["price"], line["amount"],
        "yes" if line["paid"] else "no", line["of_period"], line["bill"], line["of_line"], line["reason"],
        spans(line["epochs"]), spans(line["leaves"]), bill.due, bill.sha256.hex(),
    ]  # fmt: skip


def moment(seconds: int, zone: ZoneInfo) -> str:
    """A moment as ISO 8601 on the site's clock, with its offset."""
    return local(seconds, zone).isoformat(timespec="seconds")


def spans(found: Sequence[Sequence[int]]) -> str:
    """Ranges of whole numbers as text: 3 7-9."""
    return " ".join(str(first) if first == last else f"{first}-{last}" for first, last in found)

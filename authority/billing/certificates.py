"""Certificates of retirement: that renewable energy of the campus was used up against what a member drew.

One for each issued bill on which energy was retired. All of it is from the bill's document, whose hash is in the log,
and from the acts in the log that it rests on; each act names the chain's transaction. Energies are Wh, times Unix
seconds.
"""

from __future__ import annotations

import hmac
import io
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import segno
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from authority.billing import paper, views
from authority.billing.bill import RETIRED
from authority.figures import kilowatt_hours
from authority.language.reading import current, gettext
from authority.store.billing import IssuedBill
from authority.store.log import Act
from authority.store.settlement import SettledSpan

_TEMPLATE = Path(__file__).with_name("certificate.typ")
ON_PAPER = 40
"""How many transactions a certificate names on paper; the rest is where its code leads."""
TAG_BYTES = 16


@dataclass(frozen=True, slots=True)
class Retired:
    """One retirement: Wh, its transaction (base58), and the leaf of the log that says so."""

    wh: int
    signature: str
    log_index: int


@dataclass(frozen=True, slots=True)
class Certificate:
    """What was retired for a billing period of a member, whom its wallet names.

    untold_wh was retired by a wallet of the member's own: the chain has it, and no act of the department's. own_wh is
    the surplus that was minted for the member itself in the period, bought_wh what it bought; a token does not say
    which of both it was.
    """

    bill: int
    period: int
    wallet: str
    starts_at: int
    ends_at: int
    issued_at: int
    sha256: str
    bill_log_index: int
    wh: int
    untold_wh: int
    own_wh: int
    bought_wh: int
    retired: tuple[Retired, ...]


def of_bill(session: Session, bill: IssuedBill) -> Certificate | None:
    """A bill's certificate; None where nothing was retired. BillingError `bill_changed`."""
    document = views.document_of(bill)
    line = next((line for line in document["lines"] if line["kind"] == "retired"), None)
    if line is None or not line["wh"]:
        return None
    seconds = document["epoch_seconds"]
    starts_at, ends_at = (document[edge] * seconds for edge in ("first_epoch", "end_epoch"))
    acts = [
        Retired(int(row.data["amount"]), str(row.data["signature"]), row.log_index)
        for first, last in line["leaves"]
        for row in session.execute(
            select(Act.log_index, Act.data)
            .where(Act.log_index.between(first, last), Act.kind == RETIRED)
            .order_by(Act.log_index)
        )
        if row.data["wallet"] == bill.wallet
    ]
    minted = select(func.coalesce(func.sum(SettledSpan.minted_wh), 0)).where(
        SettledSpan.wallet == bill.wallet, SettledSpan.boundary > starts_at, SettledSpan.boundary <= ends_at
    )
    return Certificate(
        bill=bill.number,
        period=bill.period,
        wallet=bill.wallet,
        starts_at=starts_at,
        ends_at=ends_at,
        issued_at=bill.issued_at,
        sha256=bill.sha256.hex(),
        bill_log_index=bill.log_index,
        wh=line["wh"],
        untold_wh=line["wh"] - sum(each.wh for each in acts),
        own_wh=int(session.scalar(minted) or 0),
        bought_wh=sum(each["wh"] for each in document["lines"] if each["kind"] == "bought"),
        retired=tuple(acts),
    )


def secret_of(key: bytes, number: int) -> str:
    """What the code of a certificate holds: the bill's number, and that this department says so."""
    tag = hmac.digest(key, b"certificate of bill %d" % number, "sha256")[:TAG_BYTES]
    return f"{number}-{urlsafe_b64encode(tag).decode().rstrip('=')}"


def number_of(key: bytes, secret: str) -> int | None:
    """The bill whose certificate a code leads to; None where the code is none of ours."""
    number = secret.partition("-")[0]
    if not number.isascii() or not number.isdigit() or len(number) > 18:
        return None
    right = secret_of(key, int(number)).encode()
    return int(number) if hmac.compare_digest(right, secret.encode("utf-8", "surrogatepass")) else None


def on_paper(certificate: Certificate, name: str, organisation: str, zone: ZoneInfo, link: str) -> bytes:
    """A certificate as PDF/UA: name is the member's, organisation who says so, link where its code leads."""
    return paper.pdf(_TEMPLATE, _said(certificate, name, organisation, zone, link), certificate.issued_at)


def _said(certificate: Certificate, name: str, organisation: str, zone: ZoneInfo, link: str) -> Mapping[str, Any]:
    starts, ends = (paper.moment(each, zone) for each in (certificate.starts_at, certificate.ends_at))
    title = gettext("Certificate of retirement, bill %(number)s", number=certificate.bill)
    energy = kilowatt_hours(certificate.wh)
    shown = certificate.retired[:ON_PAPER]
    more = len(certificate.retired) - len(shown)
    return {
        "language": current().code,
        "title": title,
        "description": gettext("%(energy)s of renewable energy, used up for good", energy=energy),
        "organisation": organisation,
        "member": name,
        "energy": energy,
        "says": gettext(
            "of renewable energy from this campus were retired for what the member drew. The tokens are burnt, and "
            "nobody can use them again."
        ),
        "facts": [
            [gettext("Member"), name],
            [gettext("From"), f"{starts} ({zone})"],
            [gettext("To"), f"{ends} ({zone})"],
            [gettext("Account"), certificate.wallet],
            [gettext("Surplus of the member's own in this time"), kilowatt_hours(certificate.own_wh)],
            [gettext("Bought from other members in this time"), kilowatt_hours(certificate.bought_wh)],
        ],
        "sources": gettext(
            "Each token is a kilowatt-hour of a meter's renewable surplus. A token does not say whose it was."
        ),
        "code": {
            "drawing": _drawn(link),
            "words": gettext("Scan the code, or open its address: the page checks log and chain, without an account."),
            "instead": gettext("QR code that leads to the check of this certificate"),
            "link": link,
        },
        "columns": [gettext("Energy"), gettext("Entry of the log"), gettext("Transaction")],
        "rows": [[kilowatt_hours(each.wh), str(each.log_index), each.signature] for each in shown],
        "more": gettext("And %(count)s more, which the page of the code lists.", count=more) if more else "",
        "untold": gettext(
            "%(energy)s of it were retired by the member's own wallet.", energy=kilowatt_hours(certificate.untold_wh)
        )
        if certificate.untold_wh
        else "",
        "words": {"page": gettext("page"), "of": gettext("of"), "transactions": gettext("Transactions")},
    }  # fmt: skip


def _drawn(text: str) -> str:
    out = io.BytesIO()
    segno.make(text, error="m").save(out, kind="svg", scale=4, border=4, dark="#000", light="#fff", xmldecl=False)
    return out.getvalue().decode()

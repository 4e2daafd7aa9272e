"""/api/v1/log and /api/v1/audit/access: the log by kind and time, its checkpoints beside the chain's, who read what.

It is what the auditor's pages show, by pseudonyms alone, and each reading is itself an entry of the log. The log's own
files (/checkpoint, /tile) are open to everybody, without a name of a kind. Times are Unix seconds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from apiflask import APIBlueprint, fields
from apiflask.validators import Length
from flask import Response

from authority.api import gate, tags
from authority.api.audit_log import AuditLog, BookView, Entry, EpochRow
from authority.api.campus import described
from authority.api.gate import Rule
from authority.api.me import NOT_YOURS
from authority.api.paging import NEXT, PageQuery
from authority.api.schemas import schema_of
from authority.app import App
from authority.chain.accounts import Order
from authority.people import reads
from authority.people.reads import DATA_READ
from authority.people.roles import AUDITS, READ_AUDIT

RULES: Mapping[str, Rule] = dict.fromkeys(
    (
        "log_reading.leaves",
        "log_reading.checkpoints",
        "log_reading.access",
        "log_reading.books",
        "log_reading.book",
        "log_reading.book_bytes",
    ),
    Rule(AUDITS, READ_AUDIT),
)
OCTETS = "application/octet-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLeaf:
    """An entry of the log."""

    leaf: int = described("Its place.")
    kind: str = described("reading, book, or the kind of an act, such as bill_issued.")
    at: int = described("When the authority took it.")
    actor: str = described("Who acted: a pseudonym, or a part of the service; empty for a reading or a book.")
    data: Mapping[str, Any] = described("What it says; its fields are the kind's own.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLeaves:
    """Entries of the log, the newest first."""

    leaves: tuple[LogLeaf, ...] = described("At most 50.")
    next: str | None = described(NEXT)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedCheckpoint:
    """A checkpoint of the log that was published."""

    size: int = described("How many entries it covers.")
    epoch: int = described("The epoch whose checkpoint on the chain has it.")
    root: str = described("The root of the tree, hex.")
    signed: bool = described("Whether its signature verifies.")
    cosignatures: int = described("How many witnesses cosigned it.")
    pinned: bool | None = described(
        "Whether the chain has the same; null where it has none, or the validator does not answer."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedCheckpoints:
    """Published checkpoints, the newest first."""

    checkpoints: tuple[PublishedCheckpoint, ...] = described("At most 50.")
    next: str | None = described(NEXT)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadAccess:
    """Somebody read what others have; noted at most once in a quarter of an hour."""

    leaf: int = described("Its entry in the log.")
    at: int = described("When.")
    reader: str = described("Who: a pseudonym.")
    what: str = described("What was read, such as bills or held readings.")
    subject: str = described("Whose: a member's wallet, or everybody.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadAccesses:
    """Who read what, the newest first."""

    access: tuple[ReadAccess, ...] = described("At most 50.")
    next: str | None = described(NEXT)


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochBookRow:
    """An epoch, and whether the log has its final book."""

    epoch: int = described("The epoch.")
    state: str = described("How far settlement is with it.")
    bids: int = described("Orders that buy.")
    asks: int = described("Orders that sell.")
    traded_wh: int = described("Energy traded.")
    price_micro_credits_per_kwh: int | None = described("The price; null where nothing traded, or before.")
    log_size: int | None = described("How many entries its checkpoint covers; null before it is pinned.")
    has_book: bool = described("Whether the log has its final book.")


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochBookRows:
    """Epochs, the newest first."""

    books: tuple[EpochBookRow, ...] = described("At most 50.")
    next: str | None = described(NEXT)


@dataclass(frozen=True, slots=True, kw_only=True)
class BookOrder:
    """An order of a final book."""

    side: Literal["bid", "ask"] = described("bid: it buys; ask: it sells.")
    number: int = described("Its number in the book.")
    member_index: int = described("The member's number on the chain.")
    price_micro_credits_per_kwh: int = described("Its limit.")
    quantity_wh: int = described("How much it is of.")
    filled_wh: int = described("How much of it was filled.")


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalBook:
    """An epoch's final book out of the log, cleared again by the rule, and its hash beside the chain's."""

    epoch: int = described("The epoch.")
    leaf: int = described("The book's entry in the log.")
    price_micro_credits_per_kwh: int = described("The price; 0 where nothing traded.")
    lowest_price_micro_credits_per_kwh: int = described("The lowest price that trades as much.")
    highest_price_micro_credits_per_kwh: int = described("The highest.")
    reference_price_micro_credits_per_kwh: int = described("The price that decides between them.")
    traded_wh: int = described("Energy traded.")
    fees_micro_credits: int = described("Fees, wheeling and rounding.")
    faults: tuple[str, ...] = described("What the rule would have made otherwise; empty where all is the same.")
    sha256: str = described("The hash of the book's bytes, hex.")
    pinned_sha256: str | None = described("The chain's word; null where it has none, or the validator does not answer.")
    orders: tuple[BookOrder, ...] = described("All orders, bids first, in the book's order.")


class DaysQuery(PageQuery):
    """Entries of some days."""

    first = fields.Date(
        load_default=None, data_key="from", metadata={"description": "The first day at the site; the log's first."}
    )
    last = fields.Date(load_default=None, data_key="to", metadata={"description": "The last day; today."})


class LeavesQuery(DaysQuery):
    """Which entries of the log."""

    kind = fields.String(
        load_default="", validate=Length(0, 64), metadata={"description": "Entries of this kind alone; else of all."}
    )


EXAMPLE_LEAF = {
    "leaf": 90_210,
    "kind": "bill_issued",
    "at": 1_782_867_600,
    "actor": "person-4d1f00c2a7e9b318",
    "data": {"due": 6_360_000, "number": 17, "period": 3, "sha256": "5d" * 32},
}
EXAMPLE_CHECKPOINT = {
    "size": 90_212, "epoch": 1_980_033, "root": "a7" * 32, "signed": True, "cosignatures": 2, "pinned": True,
}  # fmt: skip
EXAMPLE_ACCESS = {
    "leaf": 90_215, "at": 1_782_868_000, "reader": "person-4d1f00c2a7e9b318", "what": "bills", "subject": "everybody",
}  # fmt: skip
EXAMPLE_BOOK_ROW = {
    "epoch": 1_980_033, "state": "checkpointed", "bids": 2, "asks": 3, "traded_wh": 1_500,
    "price_micro_credits_per_kwh": 248_000, "log_size": 90_212, "has_book": True,
}  # fmt: skip
EXAMPLE_BOOK = {
    "epoch": 1_980_033, "leaf": 90_201, "price_micro_credits_per_kwh": 248_000,
    "lowest_price_micro_credits_per_kwh": 240_000, "highest_price_micro_credits_per_kwh": 250_000,
    "reference_price_micro_credits_per_kwh": 248_000, "traded_wh": 1_500, "fees_micro_credits": 1_200, "faults": [],
    "sha256": "5d" * 32, "pinned_sha256": "5d" * 32,
    "orders": [
        {
            "side": "bid", "number": 1, "member_index": 4, "price_micro_credits_per_kwh": 250_000,
            "quantity_wh": 1_500, "filled_wh": 1_500,
        }
    ],
}  # fmt: skip
BYTES_ANSWERS: dict[int | str, Any] = {
    200: {"description": "The bytes.", "content": {OCTETS: {"schema": {"type": "string", "format": "binary"}}}},
    **dict[int | str, Any](NOT_YOURS.items()),
}
REFUSED = {400: "The query is wrong.", **NOT_YOURS}


def _leaf(found: Entry) -> LogLeaf:
    return LogLeaf(leaf=found.log_index, kind=found.kind, at=found.time, actor=found.actor, data=json.loads(found.text))


def _access(found: Entry) -> ReadAccess:
    said = json.loads(found.text)
    return ReadAccess(
        leaf=found.log_index, at=found.time, reader=found.actor, what=said["what"], subject=said["subject"]
    )


def _book_row(row: EpochRow) -> EpochBookRow:
    told = {**asdict(row), "price_micro_credits_per_kwh": row.price}
    del told["price"]
    return EpochBookRow(**told)


def _book(found: BookView) -> FinalBook:
    head = found.book.head
    sides: tuple[tuple[Literal["bid", "ask"], list[Order]], ...] = (
        ("bid", found.book.bids),
        ("ask", found.book.asks),
    )
    return FinalBook(
        epoch=found.epoch,
        leaf=found.log_index,
        price_micro_credits_per_kwh=head.price,
        lowest_price_micro_credits_per_kwh=head.lowest_price,
        highest_price_micro_credits_per_kwh=head.highest_price,
        reference_price_micro_credits_per_kwh=head.reference_price,
        traded_wh=head.volume,
        fees_micro_credits=head.fees,
        faults=found.faults,
        sha256=found.sha256,
        pinned_sha256=found.pinned_hash,
        orders=tuple(
            BookOrder(
                side=side,
                number=each.number,
                member_index=each.member,
                price_micro_credits_per_kwh=each.price,
                quantity_wh=each.quantity,
                filled_wh=each.filled,
            )
            for side, orders in sides
            for each in orders
        ),
    )


def _next(place: int | None) -> str | None:
    return None if place is None else str(place)


def blueprint(app: App, found: AuditLog) -> APIBlueprint:
    """The resources over the auditor's query layer."""
    log_reading = APIBlueprint("log_reading", __name__, url_prefix="/api/v1", tag="Audit")

    @log_reading.after_request
    def tag(response: Response) -> Response:
        return tags.tagged(response, tags.PRIVATE)

    def note(what: str) -> None:
        reads.note(app.store, gate.principal(), what, reads.EVERYBODY, app.clock())

    @log_reading.get("/log/leaves")
    @log_reading.input(LeavesQuery, location="query", arg_name="query")
    @log_reading.output(
        schema_of(LogLeaves), description="The entries.", example={"leaves": [EXAMPLE_LEAF], "next": None}
    )
    @log_reading.doc(
        operation_id="list_log_leaves",
        summary="Entries of the log by kind and days, the newest first",
        responses=REFUSED,
    )
    def leaves(query: dict[str, Any]) -> dict[str, Any]:
        note("access" if query["kind"] == DATA_READ else "log")
        told = found.entries(query["kind"], query["first"], query["last"], query["cursor"])
        return asdict(LogLeaves(leaves=tuple(map(_leaf, told.entries)), next=_next(told.older)))

    @log_reading.get("/log/checkpoints")
    @log_reading.input(PageQuery, location="query", arg_name="query")
    @log_reading.output(
        schema_of(PublishedCheckpoints),
        description="The checkpoints.",
        example={"checkpoints": [EXAMPLE_CHECKPOINT], "next": None},
    )
    @log_reading.doc(
        operation_id="list_log_checkpoints",
        summary="Published checkpoints of the log beside the chain's, the newest first",
        responses=REFUSED,
    )
    def checkpoints(query: dict[str, Any]) -> dict[str, Any]:
        note("checkpoints")
        rows, older = found.checkpoints(query["cursor"])
        told = tuple(PublishedCheckpoint(**asdict(row)) for row in rows)
        return asdict(PublishedCheckpoints(checkpoints=told, next=_next(older)))

    @log_reading.get("/audit/access")
    @log_reading.input(DaysQuery, location="query", arg_name="query")
    @log_reading.output(
        schema_of(ReadAccesses), description="Who read what.", example={"access": [EXAMPLE_ACCESS], "next": None}
    )
    @log_reading.doc(operation_id="list_access", summary="Who read what, the newest first", responses=REFUSED)
    def access(query: dict[str, Any]) -> dict[str, Any]:
        note("access")
        told = found.entries(DATA_READ, query["first"], query["last"], query["cursor"])
        return asdict(ReadAccesses(access=tuple(map(_access, told.entries)), next=_next(told.older)))

    @log_reading.get("/log/books")
    @log_reading.input(PageQuery, location="query", arg_name="query")
    @log_reading.output(
        schema_of(EpochBookRows), description="The epochs.", example={"books": [EXAMPLE_BOOK_ROW], "next": None}
    )
    @log_reading.doc(
        operation_id="list_books",
        summary="Epochs with what their final books say, the newest first",
        responses=REFUSED,
    )
    def books(query: dict[str, Any]) -> dict[str, Any]:
        note("epochs")
        rows, older = found.epochs(query["cursor"])
        return asdict(EpochBookRows(books=tuple(map(_book_row, rows)), next=_next(older)))

    @log_reading.get("/log/books/<int:number>")
    @log_reading.output(schema_of(FinalBook), description="The book.", example=EXAMPLE_BOOK)
    @log_reading.doc(
        operation_id="get_book",
        summary="An epoch's final book out of the log, cleared again by the rule",
        description="Members go by their numbers on the chain. Its hash is that of `/bytes`, and stands beside the "
        "chain's.",
        responses=NOT_YOURS,
    )
    def book(number: int) -> dict[str, Any]:
        note("book")
        return asdict(_book(found.book(number)))

    @log_reading.get("/log/books/<int:number>/bytes")
    @log_reading.doc(
        operation_id="get_book_bytes",
        summary="A final book's bytes, as its hash on the chain is of them",
        responses=BYTES_ANSWERS,
    )
    def book_bytes(number: int) -> Response:
        note("book")
        return Response(found.book_bytes(number), content_type=OCTETS)

    return log_reading

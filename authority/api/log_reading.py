"""/api/v1/log and /api/v1/audit/access: the log by kind and time, its checkpoints beside the chain's, who read what.

It is what the auditor's pages show, by pseudonyms alone, and each reading is itself an entry of the log. The log's own
files (/checkpoint, /tile) are open to everybody, without a name of a kind. Times are Unix seconds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from apiflask import APIBlueprint, fields
from apiflask.validators import Length
from flask import Response

from authority.api import gate, tags
from authority.api.audit_log import AuditLog, Entry
from authority.api.campus import described
from authority.api.gate import Rule
from authority.api.me import NOT_YOURS
from authority.api.paging import NEXT, PageQuery
from authority.api.schemas import schema_of
from authority.app import App
from authority.people import reads
from authority.people.reads import DATA_READ
from authority.people.roles import AUDITS, READ_AUDIT

RULES: Mapping[str, Rule] = dict.fromkeys(
    ("log_reading.leaves", "log_reading.checkpoints", "log_reading.access"), Rule(AUDITS, READ_AUDIT)
)


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
REFUSED = {400: "The query is wrong.", **NOT_YOURS}


def _leaf(found: Entry) -> LogLeaf:
    return LogLeaf(leaf=found.log_index, kind=found.kind, at=found.time, actor=found.actor, data=json.loads(found.text))


def _access(found: Entry) -> ReadAccess:
    said = json.loads(found.text)
    return ReadAccess(
        leaf=found.log_index, at=found.time, reader=found.actor, what=said["what"], subject=said["subject"]
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

    return log_reading

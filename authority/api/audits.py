"""/api/v1/audit: books and chain compared, and bills computed again, for the department's own programs.

What is computed is computed by `authority audit compare` and `authority audit bill`, as the pages have it done
(authority.api.audit_job). Members are pseudonyms here, their wallets, as the log has them; every reading is an entry of
the log. Energies are Wh, amounts micro-credits, prices micro-credits per kWh, times Unix seconds.
"""

# ruff: noqa: RUF009  (`described` is dataclasses.field with a sentence: it makes no shared default)

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from apiflask import APIBlueprint
from flask import Response

from authority.api import gate, tags
from authority.api.audit_job import AuditJobs, JobState
from authority.api.audit_log import AuditLog
from authority.api.campus import described
from authority.api.gate import Rule
from authority.api.me import NOT_YOURS, KeyInput
from authority.api.paging import AT_ONCE, NEXT, PageQuery, cut
from authority.api.schemas import schema_of
from authority.app import App
from authority.errors import AuthorityError
from authority.people import reads
from authority.people.roles import AUDITS, READ_OPERATIONS, RUN_AUDITS, SEES_COMPARISONS, Principal
from authority.refusals import NotFoundError
from authority.store import comparisons
from authority.store.billing import IssuedBill
from authority.store.comparisons import BooksComparison

RULES: Mapping[str, Rule] = {
    "audits.comparisons": Rule(SEES_COMPARISONS, READ_OPERATIONS),
    "audits.comparison": Rule(SEES_COMPARISONS, READ_OPERATIONS),
    "audits.comparing": Rule(SEES_COMPARISONS, READ_OPERATIONS),
    "audits.compare": Rule(AUDITS, RUN_AUDITS),
    "audits.bills": Rule(SEES_COMPARISONS, READ_OPERATIONS),
    "audits.bill_again": Rule(AUDITS, READ_OPERATIONS),
    "audits.compute_bill_again": Rule(AUDITS, RUN_AUDITS),
}
RETRY_SECONDS = 5
"""After how long one may ask again for a bill that has to wait for another."""
COMPARISONS, BILLS, BILL = "comparisons", "bills", "bill"
"""What the log says that was read."""


class AuditBusyError(AuthorityError):
    """Another bill is being computed again, and one is at a time."""

    code = "audit_busy"

    def __init__(self) -> None:
        super().__init__("another bill is being computed again: ask again when that is done, in some seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Something that books, log and chain do not say alike."""

    code: str = described("What it is, for programs: figure_differs, or a finding of the audit.")
    where: str = described("Where: a member, an epoch, a day, a bill, a leaf of the log.")
    message: str = described("What each of them says.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A comparison of books and chain."""

    comparison: int = described("Its number.")
    started_at: int = described("When it began.")
    ended_at: int = described("When it ended.")
    entries: int = described("The log's leaves that it covers.")
    figures: int = described("Figures of the books that were compared.")
    until_epoch: int = described("Epochs before this one were compared by now.")
    differences: int = described("How many things differ.")
    found: tuple[Difference, ...] = described("The first 200 of them.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparisons:
    """Comparisons, the newest first: those of the night, and those that somebody asked for."""

    comparisons: tuple[Comparison, ...] = described("At most 50.")
    next: str | None = described(NEXT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How far something is that was asked for; it is told until the service starts again."""

    state: Literal["idle", "running", "done", "failed"] = described(
        "idle: it was not asked for; failed: it ended without a result."
    )
    started_at: int | None = described("When it began; null before.")
    ended_at: int | None = described("When it ended; null before.")
    taken: int = described("How much is done: leaves of the log, or a bill's epochs.")
    of: int = described("Of how much; 0 where it is not known yet.")
    message: str = described("Why it failed; empty otherwise.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRun:
    """The last comparison that was asked for here."""

    run: Run = described("How far it is.")
    comparison: int | None = described("The number of the comparison that it came to; null before.")


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedBillHead:
    """An issued bill, without its member's name."""

    number: int = described("Its number.")
    period: int = described("The billing period.")
    member: str = described("The member's wallet, which is its pseudonym.")
    due_micro_credits: int = described("What is to be paid; negative where the member is paid.")
    issued_at: int = described("When it was issued.")
    sha256: str = described("SHA-256 of its document, which is in the log.")
    log_leaf: int = described("The leaf of the log that has it.")


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedBills:
    """Issued bills of all members, the newest first."""

    bills: tuple[IssuedBillHead, ...] = described("At most 50.")
    next: str | None = described(NEXT)


@dataclass(frozen=True, slots=True, kw_only=True)
class BillFigure:
    """A figure of a bill as it was issued, and as log and chain make it; null where one of them has none."""

    kind: str = described("What it is for, as in the bill's document.")
    price_micro_credits_per_kwh: int | None = described("The price, of a priced line.")
    of_period: int | None = described("The earlier period that it is of; null: the bill's own.")
    issued_wh: int | None = described("The bill's energy.")
    issued_micro_credits: int | None = described("The bill's amount.")
    found_wh: int | None = described("The energy by log and chain.")
    found_micro_credits: int | None = described("The amount by log and chain.")
    same: bool = described("Whether the two are alike.")


@dataclass(frozen=True, slots=True, kw_only=True)
class BillAgain:
    """A bill as log and chain make it, by rules of the audit's own."""

    member: str = described("The member's wallet.")
    period: int = described("The billing period.")
    issued_due_micro_credits: int = described("What the bill says is due.")
    found_due_micro_credits: int = described("What is due by log and chain.")
    figures: tuple[BillFigure, ...] = described("Figure by figure.")
    problems: tuple[str, ...] = described("What does not hold, in sentences; none where the bill holds.")


@dataclass(frozen=True, slots=True, kw_only=True)
class BillRun:
    """A bill that is, or was, computed again."""

    number: int = described("The bill's number.")
    run: Run = described("How far it is; idle where another bill was asked for since.")
    again: BillAgain | None = described("What it came to; null before.")


EXAMPLE_COMPARISON = {
    "comparison": 41,
    "started_at": 1_782_000_010,
    "ended_at": 1_782_000_055,
    "entries": 90_212,
    "figures": 1_204,
    "until_epoch": 1_980_000,
    "differences": 1,
    "found": [
        {
            "code": "figure_differs",
            "where": "epoch 1979998",
            "message": "the store says traded Wh 3200, by chain and log it is 3100",
        }
    ],
}
EXAMPLE_RUN = {
    "state": "running", "started_at": 1_782_030_000, "ended_at": None, "taken": 40_000, "of": 90_212, "message": "",
}  # fmt: skip
EXAMPLE_BILL = {
    "number": 17,
    "period": 3,
    "member": "7yFvX1tmc6YqC5rV3tS9sM2n1dUo8QGk4hEJbZpWaLcR",
    "due_micro_credits": 6_360_000,
    "issued_at": 1_782_864_000,
    "sha256": "5d" * 32,
    "log_leaf": 90_210,
}
RUNS: Mapping[int | str, Any] = {400: "The key is malformed.", **dict[int | str, Any](NOT_YOURS.items())}


class Audits:
    """The query layer over an opened authority, and its jobs. Readings are logged."""

    def __init__(self, app: App, found: AuditLog, jobs: AuditJobs) -> None:
        self._app, self._found, self._jobs = app, found, jobs

    def _note(self, who: Principal, what: str, subject: str = reads.EVERYBODY) -> None:
        reads.note(self._app.store, who, what, subject, self._app.clock())

    def comparisons(self, who: Principal, before: int | None) -> Comparisons:
        """Comparisons below a number, the newest first."""
        self._note(who, COMPARISONS)
        with self._app.store.read() as session:
            shown, more = cut(comparisons.listed(session, before, AT_ONCE + 1), lambda row: row.id)
        return Comparisons(comparisons=tuple(map(_comparison, shown)), next=more)

    def comparison(self, who: Principal, number: int) -> Comparison:
        """One of them; NotFoundError."""
        self._note(who, COMPARISONS)
        with self._app.store.read() as session:
            found = session.get(BooksComparison, number)
        if found is None:
            raise NotFoundError(f"there is no comparison {number}")
        return _comparison(found)

    def comparing(self, who: Principal) -> ComparisonRun:
        """How far the last comparison is that was asked for here."""
        self._note(who, COMPARISONS)
        state = self._jobs.compare.state
        return ComparisonRun(run=_run(state), comparison=None if state.result is None else state.result["comparison"])

    def compare(self, who: Principal) -> ComparisonRun:
        """Compare books and chain now; where that is under way, it is that."""
        self._jobs.compare.start()
        return self.comparing(who)

    def bills(self, who: Principal, before: int | None) -> IssuedBills:
        """Issued bills below a number, the newest first."""
        self._note(who, BILLS)
        shown, older = self._found.bills(before)
        return IssuedBills(bills=tuple(map(_bill, shown)), next=None if older is None else str(older))

    def bill_again(self, who: Principal, number: int) -> BillRun:
        """How far the computing of a bill is, and what it came to; NotFoundError."""
        self._note(who, BILL, self._found.bill(number).wallet)
        state = self._jobs.bill.state
        if state.subject != str(number):
            state = JobState()
        return BillRun(number=number, run=_run(state), again=None if state.result is None else _again(state.result))

    def compute_bill_again(self, who: Principal, number: int) -> BillRun:
        """Compute a bill again; NotFoundError, and AuditBusyError while another one is."""
        self._found.bill(number)
        started = self._jobs.bill.start(str(number))
        state = self._jobs.bill.state
        if not started and state.state == "running" and state.subject != str(number):
            raise AuditBusyError
        return self.bill_again(who, number)


def _run(state: JobState) -> Run:
    return Run(
        state=state.state,
        started_at=state.started_at or None,
        ended_at=state.ended_at or None,
        taken=state.taken,
        of=state.of,
        message=state.message,
    )


def _comparison(row: BooksComparison) -> Comparison:
    problems: Any = row.found["problems"]
    return Comparison(
        comparison=row.id,
        started_at=row.started_at,
        ended_at=row.ended_at,
        entries=row.entries,
        figures=row.figures,
        until_epoch=row.until_epoch,
        differences=row.differences,
        found=tuple(Difference(**each) for each in problems),
    )


def _bill(row: IssuedBill) -> IssuedBillHead:
    return IssuedBillHead(
        number=row.number,
        period=row.period,
        member=row.wallet,
        due_micro_credits=row.due,
        issued_at=row.issued_at,
        sha256=row.sha256.hex(),
        log_leaf=row.log_index,
    )


def _again(result: Mapping[str, Any]) -> BillAgain:
    """What `authority audit bill --json` said."""
    figures = tuple(
        BillFigure(
            kind=each["kind"],
            price_micro_credits_per_kwh=each["price"],
            of_period=each["of_period"],
            issued_wh=each["issued_wh"],
            issued_micro_credits=each["issued_amount"],
            found_wh=each["found_wh"],
            found_micro_credits=each["found_amount"],
            same=each["same"],
        )
        for each in result["figures"]
    )
    return BillAgain(
        member=result["member"],
        period=result["period"],
        issued_due_micro_credits=result["issued_due"],
        found_due_micro_credits=result["found_due"],
        figures=figures,
        problems=tuple(result["problems"]),
    )


def blueprint(its: Audits) -> APIBlueprint:
    """The resources over the query layer."""
    audits = APIBlueprint("audits", __name__, url_prefix="/api/v1/audit", tag="Audit")

    @audits.after_request
    def tag(response: Response) -> Response:
        return tags.tagged(response, tags.PRIVATE)

    @audits.get("/comparisons")
    @audits.input(PageQuery, location="query", arg_name="query")
    @audits.output(
        schema_of(Comparisons),
        description="The comparisons.",
        example={"comparisons": [EXAMPLE_COMPARISON], "next": None},
    )
    @audits.doc(
        operation_id="list_comparisons",
        summary="Comparisons of books and chain, the newest first",
        responses={400: "The query is wrong.", **NOT_YOURS},
    )
    def comparisons(query: dict[str, Any]) -> dict[str, Any]:
        return asdict(its.comparisons(gate.principal(), query["cursor"]))

    @audits.get("/comparisons/<int:number>")
    @audits.output(schema_of(Comparison), description="The comparison.", example=EXAMPLE_COMPARISON)
    @audits.doc(operation_id="get_comparison", summary="One comparison of books and chain", responses=NOT_YOURS)
    def comparison(number: int) -> dict[str, Any]:
        return asdict(its.comparison(gate.principal(), number))

    @audits.get("/comparisons/run")
    @audits.output(schema_of(ComparisonRun), description="The run.", example={"run": EXAMPLE_RUN, "comparison": None})
    @audits.doc(
        operation_id="get_comparison_run",
        summary="How far the comparison is that was asked for",
        responses=NOT_YOURS,
    )
    def comparing() -> dict[str, Any]:
        return asdict(its.comparing(gate.principal()))

    @audits.post("/comparisons")
    @audits.input(KeyInput, location="headers", arg_name="header")
    @audits.output(
        schema_of(ComparisonRun),
        status_code=202,
        description="It runs.",
        example={"run": EXAMPLE_RUN, "comparison": None},
    )
    @audits.doc(
        operation_id="start_comparison",
        summary="Compare books and chain now, as the service does once a night",
        description="It takes one core, and one runs at a time: asked for meanwhile, it is the one that runs. "
        "GET /api/v1/audit/comparisons/run says how far it is.",
        responses=dict(RUNS),
    )
    def compare(header: dict[str, str]) -> dict[str, Any]:
        return asdict(its.compare(gate.principal()))

    @audits.get("/bills")
    @audits.input(PageQuery, location="query", arg_name="query")
    @audits.output(schema_of(IssuedBills), description="The bills.", example={"bills": [EXAMPLE_BILL], "next": None})
    @audits.doc(
        operation_id="list_bills",
        summary="Issued bills of all members, by pseudonym, the newest first",
        responses={400: "The query is wrong.", **NOT_YOURS},
    )
    def bills(query: dict[str, Any]) -> dict[str, Any]:
        return asdict(its.bills(gate.principal(), query["cursor"]))

    @audits.get("/bills/<int:number>/again")
    @audits.output(schema_of(BillRun), description="The run, and its result.")
    @audits.doc(
        operation_id="get_bill_again",
        summary="A bill computed again: how far it is, and what it came to, figure by figure",
        responses=NOT_YOURS,
    )
    def bill_again(number: int) -> dict[str, Any]:
        return asdict(its.bill_again(gate.principal(), number))

    @audits.post("/bills/<int:number>/again")
    @audits.input(KeyInput, location="headers", arg_name="header")
    @audits.output(schema_of(BillRun), status_code=202, description="It runs.")
    @audits.doc(
        operation_id="start_bill_again",
        summary="Compute a bill again from log and chain",
        description="By rules of the audit's own. It takes one core, and one bill is at a time.",
        responses={**RUNS, 503: "Another bill is being computed: wait as long as Retry-After says."},
    )
    def compute_bill_again(header: dict[str, str], number: int) -> dict[str, Any]:
        return asdict(its.compute_bill_again(gate.principal(), number))

    return audits

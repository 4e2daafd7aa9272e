"""Closing a billing period, issuing its bills, and what is entered between: corrections and estimates. Each is logged.

The acts, in the log: `billing_period_closed` (period, first_epoch, end_epoch), `bill_issued` (number, period, wallet,
sha256, due), `bill_corrected` (bill, line, wallet, amount, reason), `correction_withdrawn` (correction: its place in
the log; bill, wallet, reason_sha256), `consumption_estimated` (wallet, meter_id,
first_epoch, end_epoch, wh, reason) and `estimate_withdrawn` (estimate: its place in the log; wallet, reason). They name
members by their wallets, and nobody by name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from authority import heap
from authority.app import App
from authority.billing.bill import (
    ACTS,
    CLOSED,
    CORRECTED,
    CORRECTION_WITHDRAWN,
    ESTIMATE_WITHDRAWN,
    ESTIMATED,
    ISSUED,
    Bill,
    bills_of,
    bills_so_far,
    hash_of,
    numbered,
)
from authority.billing.errors import (
    AmountInvalidError,
    BillUnknownError,
    CorrectionAboveLimitError,
    CorrectionAnswersError,
    CorrectionBilledError,
    CorrectionUnknownError,
    EstimateInvalidError,
    EstimateUnknownError,
    HistoryIncompleteError,
    LineUnknownError,
    MeterOfAnotherError,
    PeriodBeforeOpenError,
    PeriodHasGapsError,
    PeriodNotClosedError,
    PeriodNotOverError,
    ReasonMissingError,
)
from authority.billing.evidence import StoreEvidence
from authority.billing.facts import Facts
from authority.billing.folding import KeptFacts
from authority.billing.history import catch_up, facts_of
from authority.chain import programs
from authority.chain.accounts import RETIREMENT_GRACE_EPOCHS, Config, Oracle
from authority.chain.artifacts import PROGRAM_NAMES
from authority.chain.client import ChainClient
from authority.log import log
from authority.log.nameless import require_nameless
from authority.store.billing import BillingPeriod, IssuedBill
from authority.store.desk import Ticket
from authority.store.log import Act
from authority.store.metering import (
    METER_RETIRED,
    PASSED,
    Frame,
    Meter,
    held_back,
)
from authority.store.people import User
from authority.store.settlement import SettlementEpoch

MAX_AMOUNT = 2**63 - 1


@dataclass(frozen=True)
class SilentMeter:
    """A meter that has no reading up to a period's end: GATEWAY/METER, and its last interval's end (None: never)."""

    name: str
    heard_until: int | None


@dataclass(frozen=True)
class Gap:
    """Something that a period's bills do not hold yet: a code, whom or what it is about, and what that means.

    until: up to when a member is settled (Unix seconds, 0: never); silent: its meters of which readings are missing;
    held: how many readings are held; estimate: the act of an estimate of the member `wallet`, measured after all.
    """

    code: str
    subject: str
    message: str
    until: int = 0
    silent: tuple[SilentMeter, ...] = ()
    held: int = 0
    estimate: int | None = None
    wallet: str = ""


@dataclass(frozen=True)
class Checklist:
    """Whether a period can be closed: blocking says why it cannot at all, gaps what its bills would lack.

    open_until: until when (Unix seconds) the chain books in it, None where that is over; pinned: whether its last epoch
    has a checkpoint.
    """

    period: int
    blocking: tuple[str, ...]
    gaps: tuple[Gap, ...]
    open_until: int | None = None
    pinned: bool = True


@dataclass(frozen=True)
class Book:
    """Bills and chain at one moment: what every action goes by."""

    facts: KeptFacts
    config: Config
    oracle: Oracle | None
    epoch: int


def open_book(app: App, client: ChainClient, only: int | None = None) -> Book:
    """Take in the chain's history and read where it stands; BillingErrors of authority.billing.history."""
    config = client.account(Config, programs.config_address())
    if config is None:
        raise HistoryIncompleteError("governance is not on the chain yet: authority deploy")
    epoch = int(client.clock().unix_timestamp) // config.epoch_seconds  # first: the history is not older than it
    oracle = client.account(Oracle, programs.oracle_authority())
    catch_up(app.store, client)
    facts = facts_of(app.store, {name: client.idl(name) for name in PROGRAM_NAMES}, only)
    return Book(facts, config, oracle, epoch)


def preview(app: App, book: Book, period: int) -> Iterator[Bill]:
    """The period's bills as they would be now, one by one: those of a month are large together."""
    with heap.seldom_searched(), app.store.read() as session:
        yield from bills_so_far(period, book.facts, _evidence(session, book, period))


def so_far(app: App, book: Book, period: int, wallet: str, *, parts: bool = False) -> Bill:
    """A member's bill of a period as it would be now; without lines where there is nothing yet.

    With `parts` its lines have theirs. Of a period that is closed it is the bill that is or will be issued.
    BillingError `period_unknown`.
    """
    facts = book.facts
    with app.store.read() as session:
        found = next(bills_so_far(period, facts, StoreEvidence(session), wallet, parts=parts), None)
    if found is not None:
        return found
    first = facts.first_epochs[period]
    return Bill(wallet, period, first, max(first, book.epoch), facts.epoch_seconds, (), 0)


def _evidence(session: Session, book: Book, period: int) -> StoreEvidence:
    """The evidence for a period's bills."""
    facts = book.facts
    first, end = facts.first_epochs.get(period, 0), facts.first_epochs.get(period + 1)
    until = max(facts.boundaries.values(), default=0) if end is None else end * facts.epoch_seconds
    return StoreEvidence(session, (first * facts.epoch_seconds, until))


@dataclass(frozen=True, slots=True)
class Draft:
    """A member's bill as it would be issued but for its number, which is 0; due: micro-credits."""

    wallet: str
    document: bytes
    due: int

    @classmethod
    def of(cls, bill: Bill, network_id: bytes) -> Draft:
        """The draft of a bill."""
        return cls(bill.member, bill.document(0, network_id), bill.due)


class State(NamedTuple):
    """What a period's bills go by, in a few numbers: as long as they are the same, so are the bills.

    The chain's history, and of the log the acts that make bills, the period's books, and the readings that count in it.
    """

    taken_in: int
    acts: int
    last_act: int
    books: int
    last_book: int
    readings: int
    held: int
    held_sum: int

    def closed_by(self, act: int) -> State:
        """What it is once the period is closed by an act (its place in the log), where nothing else has changed."""
        return self._replace(acts=self.acts + 1, last_act=act)


def state_of(app: App, book: Book, period: int) -> State:
    """The state that a period's bills have now."""
    facts = book.facts
    first, end = facts.first_epochs.get(period, 0), facts.first_epochs.get(period + 1)
    since, until = first * facts.epoch_seconds, None if end is None else end * facts.epoch_seconds
    books = [SettlementEpoch.epoch >= first, SettlementEpoch.book_log_index.is_not(None)]
    ends = [Frame.interval_end > since]
    if end is not None and until is not None:
        books.append(SettlementEpoch.epoch < end)
        ends.append(Frame.interval_end <= until)
    with app.store.read() as session:
        acts = session.execute(select(func.count(), func.max(Act.log_index)).where(Act.kind.in_(ACTS))).one()
        logged = session.execute(select(func.count(), func.max(SettlementEpoch.book_log_index)).where(*books)).one()
        read = session.scalar(select(func.count()).select_from(Frame).where(*ends))
        held = session.execute(select(func.count(), func.sum(Frame.log_index)).where(held_back(Frame), *ends)).one()
    return State(
        taken_in=facts.taken_in,
        acts=acts[0],
        last_act=acts[1] or 0,
        books=logged[0],
        last_book=logged[1] or 0,
        readings=read or 0,
        held=held[0],
        held_sum=int(held[1] or 0),
    )


def checklist(app: App, book: Book, period: int) -> Checklist:
    """What keeps a period from being closed, and what its bills would lack."""
    facts = book.facts
    end = facts.end_epoch(period)
    over = end + RETIREMENT_GRACE_EPOCHS
    blocking = []
    if book.epoch < over:
        blocking.append(f"the chain takes late spans and retirements for it until epoch {over} begins: wait")
    last = book.oracle.last_epoch if book.oracle is not None and book.oracle.has_checkpoint else 0
    if last < end - 1:
        blocking.append(f"epoch {end - 1} has no checkpoint yet, the last is of {last}: see authority status")
    with app.store.read() as session:
        gaps = [*_unsettled(session, facts, period, end), *_held(session, facts, period, end)]
        gaps += _overtaken(session, facts, period)
    open_until = over * facts.epoch_seconds if book.epoch < over else None
    return Checklist(period, tuple(blocking), tuple(gaps), open_until, pinned=last >= end - 1)


def _unsettled(session: Session, facts: Facts, period: int, end: int) -> list[Gap]:
    starts = facts.first_epochs[period] * facts.epoch_seconds
    gaps = []
    for wallet in sorted(set(facts.meters.values())):
        until = facts.boundaries.get(wallet, 0)
        if until < end * facts.epoch_seconds:
            since = "was never settled" if not until else f"is settled up to {until} (Unix seconds) only"
            what = "nothing of this period" if until <= starts else "what it drew after that"
            silent = _silent(session, wallet, end * facts.epoch_seconds)
            message = f"{since}: {what} is on this bill; when it comes, it goes onto a later one as a late withdrawal"
            if silent:
                told = ", ".join(f"{each.name} (the last: {each.heard_until or 'none ever'})" for each in silent)
                message += f"; readings are missing of {told}"
            gaps.append(Gap("member_unsettled", wallet, message, until=until, silent=silent))
    return gaps


def _silent(session: Session, wallet: str, end: int) -> tuple[SilentMeter, ...]:
    """The member's meters that count and have no reading which let them be settled up to the end (Unix seconds)."""
    passed = Frame.disposition.in_(PASSED)
    found = []
    for meter in session.scalars(
        select(Meter)
        .join(User, User.id == Meter.user_id)
        .where(User.wallet == wallet, Meter.role != "submeter", Meter.state != METER_RETIRED)
        .order_by(Meter.gateway_name, Meter.name)
    ):
        last = session.scalar(select(func.max(Frame.interval_end)).where(Frame.meter_pk == meter.id, passed))
        if last is None or last < end:
            found.append(SilentMeter(f"{meter.gateway_name}/{meter.name}", last))
    return tuple(found)


def _held(session: Session, facts: Facts, period: int, end: int) -> list[Gap]:
    first, last = facts.first_epochs[period] * facts.epoch_seconds, end * facts.epoch_seconds
    rows = session.execute(
        select(Meter.gateway_name, Meter.name, func.count())
        .select_from(Frame)
        .join(Meter, Meter.id == Frame.meter_pk)
        .where(held_back(Frame), Frame.interval_end > first, Frame.interval_end <= last)
        .group_by(Meter.gateway_name, Meter.name)
    )
    message = "{} readings of the period are held: authority collector held"
    return [
        Gap("readings_held", f"{gateway}/{name}", message.format(count), held=count) for gateway, name, count in rows
    ]


def _overtaken(session: Session, facts: Facts, period: int) -> list[Gap]:
    """Estimates of meters whose member was settled beyond them since: the meter may have measured it after all."""
    withdrawn = {int(str(act.data["estimate"])) for act in _acts(session, ESTIMATE_WITHDRAWN)}
    gaps = []
    for act in _acts(session, ESTIMATED):
        first, end = int(str(act.data["first_epoch"])), int(str(act.data["end_epoch"]))
        late = any(
            each.since <= first * facts.epoch_seconds and each.until >= end * facts.epoch_seconds
            for each in facts.drawn(period, str(act.data["wallet"]))
        )
        if late and act.log_index not in withdrawn:
            message = (
                f"its epochs {first} to {end - 1} were measured since: authority billing estimate withdraw "
                f"{act.log_index} --reason WHY, or close with --with-gaps if the estimate is of another meter"
            )
            subject, wallet = f"estimate {act.log_index}", str(act.data["wallet"])
            gaps.append(Gap("estimate_overtaken", subject, message, estimate=act.log_index, wallet=wallet))
    return gaps


def _acts(session: Session, kind: str) -> list[Act]:
    return list(session.scalars(select(Act).where(Act.kind == kind).order_by(Act.log_index)))


def close(app: App, book: Book, period: int, *, actor: str, with_gaps: bool = False) -> BillingPeriod:
    """Close a period: from now on its bills are what they are. A period that is closed already stays as it was.

    BillingError `period_not_over`, `period_has_gaps`, `period_before_open` (an earlier one is to be closed first),
    `period_open`, `period_unknown`.
    """
    with app.store.read() as session:
        known = session.get(BillingPeriod, period)
    if known is not None:
        return known
    found = checklist(app, book, period)
    if found.blocking:
        raise PeriodNotOverError(f"billing period {period} cannot be closed: {'; '.join(found.blocking)}")
    if found.gaps and not with_gaps:
        lines = "\n".join(f"  {gap.subject}: {gap.message} [{gap.code}]" for gap in found.gaps)
        raise PeriodHasGapsError(
            f"billing period {period} has {len(found.gaps)} gaps; mend them, or close with --with-gaps:\n{lines}",
        )
    first, end = book.facts.first_epochs[period], book.facts.end_epoch(period)
    with app.store.write() as session:
        last = session.scalar(select(func.max(BillingPeriod.period)))
        if last is not None and last != period - 1:
            raise PeriodBeforeOpenError(f"periods are closed one after another: the last that was closed is {last}")
        data = {"period": period, "first_epoch": first, "end_epoch": end}
        index = log.record_act(session, CLOSED, actor, app.clock(), data)
        row = BillingPeriod(
            period=period, first_epoch=first, end_epoch=end, closed_at=app.clock(), closed_by=actor, log_index=index,
            issued_at=None,
        )  # fmt: skip
        session.add(row)
    return row


def closed_period(session: Session, period: int) -> BillingPeriod:
    """A closed period's row; BillingError `period_not_closed`."""
    row = session.get(BillingPeriod, period)
    if row is None:
        raise PeriodNotClosedError(f"close it first: authority billing close {period}")
    return row


def issue(app: App, book: Book, period: int, *, actor: str, drafts: Sequence[Draft] | None = None) -> list[IssuedBill]:
    """Number the period's bills, keep them and log their hashes, in one; those already issued stay as they are.

    drafts: the bills, where they were made already for the closed period's state. BillingError `period_not_closed`.
    """
    with heap.seldom_searched(), app.store.read() as session:
        closed_period(session, period)
        if drafts is None:
            made = bills_of(period, book.facts, _evidence(session, book, period))
            drafts = [Draft.of(bill, app.home.network_id) for bill in made]
    with app.store.write() as session:
        log.lock(session)
        row = closed_period(session, period)
        if row.issued_at is None:
            now = app.clock()
            number = session.scalar(select(func.max(IssuedBill.number))) or 0
            for draft in drafts:
                number += 1
                document = numbered(draft.document, number)
                digest = hash_of(document)
                data = {
                    "number": number, "period": period, "wallet": draft.wallet, "sha256": digest, "due": draft.due,
                }  # fmt: skip
                index = log.record_act(session, ISSUED, actor, now, data)
                session.add(
                    IssuedBill(
                        number=number, period=period, wallet=draft.wallet, document=document,
                        sha256=bytes.fromhex(digest), due=draft.due, log_index=index, issued_at=now,
                    )
                )  # fmt: skip
            row.issued_at, row.bills, row.due = now, len(drafts), sum(draft.due for draft in drafts)
        session.flush()
        return list(session.scalars(select(IssuedBill).where(IssuedBill.period == period).order_by(IssuedBill.number)))


def issued_bill(session: Session, number: int) -> IssuedBill:
    """A bill by its number; BillingError `bill_unknown`."""
    found = session.get(IssuedBill, number)
    if found is None:
        last = session.scalar(select(func.max(IssuedBill.number))) or 0
        raise BillUnknownError(f"there is no bill {number}; the last is {last}")
    return found


@dataclass(frozen=True)
class Entered:
    """Something that was entered for a later bill: its act in the log, and whether it was there already."""

    log_index: int
    data: Mapping[str, Any] = field(default_factory=dict)
    known: bool = False


def correct(
    app: App, number: int, line: int, amount: int, reason: str, *, actor: str, limit: int | None = None
) -> Entered:
    """Note a correction of an issued bill: a line of the member's next bill. The old bill stays as it is.

    amount in micro-credits: positive where the member is to pay more. The same correction that is not billed yet is not
    noted twice. limit: of what one person may enter (`takes_two`), in micro-credits; None: no matter how much.
    BillingError `bill_unknown`, `line_unknown`, `amount_invalid`, `reason_missing`, `correction_above_limit`;
    NamesSomebodyError.
    """
    with app.store.read() as session:
        data = correction_of(session, number, line, amount, reason)
    with app.store.write() as session:
        log.lock(session)  # so that of two at the same moment one sees the other
        if limit is not None and takes_two(session, data, limit):
            raise CorrectionAboveLimitError("a correction above the limit takes two people: propose it")
        return enter_correction(session, data, actor=actor, now=app.clock())


def correction_of(session: Session, number: int, line: int, amount: int, reason: str) -> dict[str, Any]:
    """What a correction says, before it is entered or proposed; the errors of `correct`."""
    if not amount or abs(amount) > MAX_AMOUNT:
        raise AmountInvalidError("--amount is in micro-credits and not 0: positive where the member pays more")
    bill = issued_bill(session, number)
    lines = len(json.loads(bill.document)["lines"])
    if not 1 <= line <= lines:
        raise LineUnknownError(f"bill {number} has lines 1 to {lines}")
    words = _reason(reason)
    require_nameless(session, words)
    return {"bill": number, "line": line, "wallet": bill.wallet, "amount": amount, "reason": words}


def enter_correction(session: Session, data: Mapping[str, Any], *, actor: str, now: int) -> Entered:
    """Note what `correction_of` said; NamesSomebodyError."""
    return _enter_in(session, CORRECTED, dict(data), actor, now)


def takes_two(session: Session, data: Mapping[str, Any], limit: int) -> bool:
    """Whether a correction is above the limit, in micro-credits, with what the member's next bill has of them already.

    So no correction is cut in pieces that one person may enter. One that is there already is not entered again.
    """
    standing = [act for act in _standing(session) if act.data["wallet"] == data["wallet"]]
    if any(act.data == data for act in standing):
        return False
    return abs(int(data["amount"])) + sum(abs(int(str(act.data["amount"]))) for act in standing) > limit


def _standing(session: Session) -> list[Act]:
    """The corrections that are on no bill yet and were not withdrawn."""
    after = _closed_last(session)
    withdrawn = {int(str(act.data["correction"])) for act in _acts(session, CORRECTION_WITHDRAWN)}
    return [act for act in _acts(session, CORRECTED) if act.log_index > after and act.log_index not in withdrawn]


def withdraw_correction(
    app: App, log_index: int, reason: str, *, actor: str, bill: int | None = None, limit: int | None = None
) -> Entered:
    """Take back a correction that no bill has yet, once: the next bill is without it.

    bill: whose correction it is said to be. limit: of what one person may take back, in micro-credits; None: no matter
    how much. What a dispute was closed with stays. BillingError `correction_unknown`, `correction_billed`,
    `correction_above_limit`, `correction_answers`, `reason_missing`; NamesSomebodyError.
    """
    words = _reason(reason)
    with app.store.write() as session:
        log.lock(session)
        act = session.get(Act, log_index)
        if act is None or act.kind != CORRECTED or bill not in (None, act.data["bill"]):
            raise CorrectionUnknownError(f"entry {log_index} of the log is no correction of this bill")
        for done in _acts(session, CORRECTION_WITHDRAWN):
            if done.data["correction"] == log_index:
                return Entered(done.log_index, done.data, known=True)
        if log_index <= _closed_last(session):
            raise CorrectionBilledError("a bill has this correction already: enter one that makes up for it")
        if limit is not None and abs(int(str(act.data["amount"]))) > limit:
            raise CorrectionAboveLimitError("two people entered this correction: enter one that makes up for it")
        if (dispute := _answered_by(session, act)) is not None:
            raise CorrectionAnswersError(
                f"dispute {dispute} was closed with this correction: enter one that makes up for it"
            )
        require_nameless(session, words)
        data = {"bill": act.data["bill"], "correction": log_index, "wallet": act.data["wallet"], "reason": words}
        return Entered(log.record_act(session, CORRECTION_WITHDRAWN, actor, app.clock(), data), data)


def _answered_by(session: Session, correction: Act) -> int | None:
    """The dispute that was closed with a correction; None where there is none."""
    bill = correction.data["bill"]
    leaves = [act.log_index for act in _acts(session, CORRECTED) if act.data["bill"] == bill]
    number = leaves.index(correction.log_index) + 1
    its = (Ticket.correction_bill == bill, Ticket.correction == number)
    return session.scalar(select(Ticket.id).where(*its).order_by(Ticket.id).limit(1))


def _closed_last(session: Session) -> int:
    """The place in the log of the last closing: what is entered after it is on no bill yet."""
    last = session.scalar(select(func.max(BillingPeriod.log_index)))
    return -1 if last is None else last


def estimate(
    app: App, facts: Facts, member: User, meter: Meter, first_epoch: int, end_epoch: int, wh: int, reason: str,
    *, actor: str,
) -> Entered:  # fmt: skip
    """Enter what a dead meter would have measured in epochs [first_epoch, end_epoch), Wh: a line of the next bill.

    BillingError `estimate_invalid`, `meter_of_another`, `reason_missing`.
    """
    if not 0 < wh <= MAX_AMOUNT:
        raise EstimateInvalidError("--wh is the estimated consumption, 1 Wh or more")
    if not min(facts.first_epochs.values(), default=0) <= first_epoch < end_epoch:
        raise EstimateInvalidError("--first-epoch comes before --end-epoch, and not before the deployment")
    if meter.user_id != member.id:
        raise MeterOfAnotherError(f"{meter.gateway_name}/{meter.name} is not {member.name!r}'s")
    data = {
        "wallet": member.wallet, "meter_id": meter.meter_id.hex(), "first_epoch": first_epoch, "end_epoch": end_epoch,
        "wh": wh, "reason": _reason(reason),
    }  # fmt: skip
    return _enter(app, ESTIMATED, data, actor)


def withdraw_estimate(app: App, log_index: int, reason: str, *, actor: str) -> Entered:
    """Take an estimate back, once: its amount is returned on the next bill. BillingError `estimate_unknown`."""
    with app.store.read() as session:
        act = session.get(Act, log_index)
        if act is None or act.kind != ESTIMATED:
            raise EstimateUnknownError(f"leaf {log_index} is no estimate: authority billing estimate list")
        for done in _acts(session, ESTIMATE_WITHDRAWN):
            if done.data["estimate"] == log_index:
                return Entered(done.log_index, done.data, known=True)
    data = {"estimate": log_index, "wallet": act.data["wallet"], "reason": _reason(reason)}
    return _enter(app, ESTIMATE_WITHDRAWN, data, actor)


def _reason(reason: str) -> str:
    if not reason.strip():
        raise ReasonMissingError("--reason says why; it is logged and printed on the bill: name no person")
    return reason.strip()


def _enter(app: App, kind: str, data: dict[str, Any], actor: str) -> Entered:
    with app.store.write() as session:
        return _enter_in(session, kind, data, actor, app.clock())


def _enter_in(session: Session, kind: str, data: dict[str, Any], actor: str, now: int) -> Entered:
    log.lock(session)
    require_nameless(session, str(data["reason"]))
    after = _closed_last(session)
    there = _standing(session) if kind == CORRECTED else _acts(session, kind)
    for act in there:
        if act.log_index > after and act.data == data:
            return Entered(act.log_index, data, known=True)
    return Entered(log.record_act(session, kind, actor, now, data), data)

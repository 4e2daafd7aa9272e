"""The schemas of the API as dataclasses. Made by docs/site/client.py from the API's description: do not edit.

Times are Unix seconds, energies Wh, prices micro-credits per kWh, amounts micro-credits, where nothing else is said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A member of the market with what the department knows of it.

    account: The row of the list.
    meters: Its meters, as GATEWAY/METER; null for who is not an operator: who is behind a wallet is shown by two
        people.
    people: Who sees the account.
    asked: Suspensions and restorations that were asked for, the newest first.
    """

    account: AccountRow
    meters: tuple[str, ...] | None
    people: tuple[AccountPerson, ...]
    asked: tuple[StatusAsked, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountPerson:
    """Somebody who sees the account.

    pseudonym: What the log calls it.
    name: Its name; null for who is not an operator: who is behind a wallet is shown by two people.
    role: member: it is its own; delegate: it acts for the member.
    until: When a delegate's part ends; null where it has no end.
    """

    pseudonym: str
    name: str | None
    role: Literal["member", "delegate"]
    until: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRow:
    """A member of the market.

    wallet: The wallet that names it for ever, on the chain and in the log.
    member: Its name; null for who is not an operator: who is behind a wallet is shown by two people.
    building: Its building; null for who is not an operator: who is behind a wallet is shown by two people.
    public: Whether its figures may be shown to everybody.
    dwelling: Whether somebody lives there: then they are shown late.
    meters: How many meters it has.
    in_custody: Whether the department keeps its wallet's key.
    registered_at: When it came on the chain; null before.
    status: What it is in the market, by the chain; null where that is not known: it is not on the chain, or the
        validator does not answer.
    becomes: What an operator asked that it becomes, where that is not done yet; else null.
    """

    wallet: str
    member: str | None
    building: str | None
    public: bool
    dwelling: bool
    meters: int
    in_custody: bool
    registered_at: int | None
    status: Literal["active", "suspended", "closed"] | None
    becomes: Literal["active", "suspended"] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRows:
    """Members of the market, the oldest first, without those that have left.

    members: At most 50.
    next: What to ask for next, as `cursor`; null at the end.
    """

    members: tuple[AccountRow, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AllNews:
    """All announcements, the newest first.

    announcements: At most 50.
    next: What to ask for next, as `cursor`; null where there are no older ones.
    """

    announcements: tuple[Kept, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Balances:
    """Where the member's tokens and credits are, as the chain says.

    energy_wallet_wh: Energy tokens in the wallet; null where its account cannot be used.
    energy_market_wh: Energy tokens in the market, free.
    energy_orders_wh: Energy tokens that orders have locked.
    energy_wh: All energy tokens.
    credit_wallet_micro_credits: Credits in the wallet; null where it cannot be used.
    credit_market_micro_credits: Credits in the market, free.
    credit_orders_micro_credits: Credits that orders have locked.
    credit_micro_credits: All credits.
    """

    energy_wallet_wh: int | None
    energy_market_wh: int
    energy_orders_wh: int
    energy_wh: int
    credit_wallet_micro_credits: int | None
    credit_market_micro_credits: int
    credit_orders_micro_credits: int
    credit_micro_credits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BankPayment:
    """A payment of a bill, out of a bank's statement.

    bill: The bill.
    micro_credits: How much; negative where the department paid.
    booked_on: The bank's day, YYYY-MM-DD.
    entered_at: When it was entered.
    entered_by: By whom: a pseudonym.
    log_leaf: Its entry in the log.
    withdrawn_at: Since when it no longer counts; null where it does.
    """

    bill: int
    micro_credits: int
    booked_on: str
    entered_at: int
    entered_by: str
    log_leaf: int
    withdrawn_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BankPayments:
    """What is not settled, and what came by bank.

    unsettled: Bills that are not settled, by number.
    newest: The 50 payments that were entered last.
    """

    unsettled: tuple[BillStanding, ...]
    newest: tuple[BankPayment, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BillAgain:
    """A bill as log and chain make it, by rules of the audit's own.

    member: The member's wallet.
    period: The billing period.
    issued_due_micro_credits: What the bill says is due.
    found_due_micro_credits: What is due by log and chain.
    figures: Figure by figure.
    problems: What does not hold, in sentences; none where the bill holds.
    """

    member: str
    period: int
    issued_due_micro_credits: int
    found_due_micro_credits: int
    figures: tuple[BillFigure, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BillCorrection:
    """A correction of a bill.

    number: Its place among the bill's corrections, from 1.
    line: The line that it corrects.
    micro_credits: By how much; positive where the member pays more.
    reason: Why.
    entered_at: When.
    entered_by: By whom: a pseudonym.
    log_leaf: Its entry in the log.
    on_bill: The bill that has it; null: the member's next one will.
    withdrawn_at: When it was taken back, so that no bill has it; null where it was not.
    """

    number: int
    line: int
    micro_credits: int
    reason: str
    entered_at: int
    entered_by: str
    log_leaf: int
    on_bill: int | None
    withdrawn_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BillFigure:
    """A figure of a bill as it was issued, and as log and chain make it; null where one of them has none.

    kind: What it is for, as in the bill's document.
    price_micro_credits_per_kwh: The price, of a priced line.
    of_period: The earlier period that it is of; null: the bill's own.
    issued_wh: The bill's energy.
    issued_micro_credits: The bill's amount.
    found_wh: The energy by log and chain.
    found_micro_credits: The amount by log and chain.
    same: Whether the two are alike.
    """

    kind: str
    price_micro_credits_per_kwh: int | None
    of_period: int | None
    issued_wh: int | None
    issued_micro_credits: int | None
    found_wh: int | None
    found_micro_credits: int | None
    same: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BillHead:
    """One issued bill.

    number: Its number.
    period: The billing period's number.
    starts_at: The period's beginning.
    ends_at: The period's end.
    due_micro_credits: What is to be paid; negative where the member is paid.
    issued_at: When it was issued.
    sha256: SHA-256 of its document, which is in the log.
    log_leaf: The leaf of the log that has it.
    payment_reference: What a payment by bank names (ISO 11649).
    payable_micro_credits: What is to be paid by bank: what is due, in whole minor units of money.
    paid_micro_credits: What was paid by bank; negative where the member was paid.
    payment_state: How far it is paid: open, part_paid, paid, overpaid, nothing_due.
    """

    number: int
    period: int
    starts_at: int
    ends_at: int
    due_micro_credits: int
    issued_at: int
    sha256: str
    log_leaf: int
    payment_reference: str
    payable_micro_credits: int
    paid_micro_credits: int
    payment_state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BillRun:
    """A bill that is, or was, computed again.

    number: The bill's number.
    run: How far it is; idle where another bill was asked for since.
    again: What it came to; null before.
    """

    number: int
    run: Run
    again: BillAgain | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BillStanding:
    """How far a bill is paid by bank.

    bill: Its number.
    period: Its billing period.
    wallet: The member's wallet.
    member: The member's name; the wallet where the member was erased.
    reference: What a payment names (ISO 11649).
    payable_micro_credits: What is to be paid by bank, in whole minor units of money.
    paid_micro_credits: What was paid.
    state: open, part_paid, paid, overpaid or nothing_due.
    """

    bill: int
    period: int
    wallet: str
    member: str
    reference: str
    payable_micro_credits: int
    paid_micro_credits: int
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingChecklist:
    """What keeps a period from being closed, and what its bills would lack.

    can_close: Whether it can be closed, with gaps or without.
    blocking: Why it cannot be closed at all, in sentences.
    open_until: Until when the chain books in it; null where that is over.
    pinned: Whether its last epoch has a checkpoint.
    gaps: What is missing.
    """

    can_close: bool
    blocking: tuple[str, ...]
    open_until: int | None
    pinned: bool
    gaps: tuple[BillingGap, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingGap:
    """Something that a period's bills do not hold yet.

    code: What it is.
    subject: Whom or what it is about: a wallet, GATEWAY/METER, an estimate.
    message: What that means.
    settled_until: Until when a member is settled; null: never, or about something else.
    readings_held: Readings that wait for an operator.
    """

    code: Literal["member_unsettled", "readings_held", "estimate_overtaken"]
    subject: str
    message: str
    settled_until: int | None
    readings_held: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingPeriod:
    """A billing period in short.

    period: Its number.
    starts_at: Its beginning.
    ends_at: Its end; where it still runs, when it will end.
    state: open: it runs; ended: it waits to be closed; closed: its bills wait to be issued; issued.
    bills: Bills that were issued.
    due_micro_credits: What is due by those bills over all.
    closed_at: When it was closed; null before.
    issued_at: When its bills were issued; null before.
    """

    period: int
    starts_at: int
    ends_at: int
    state: Literal["open", "ended", "closed", "issued"]
    bills: int
    due_micro_credits: int
    closed_at: int | None
    issued_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingPeriodView:
    """A period with what it lacks and what it comes to: as issued, or as its bills would be now.

    period: In short.
    checklist: Before it is closed; null while it runs, and once it is closed.
    totals: Its bills together.
    """

    period: BillingPeriod
    checklist: BillingChecklist | None
    totals: BillingTotals


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingPeriods:
    """Billing periods, the newest first.

    periods: At most 50.
    next: What to ask for next, as `cursor`; null where there are no older ones.
    due: The period that is closed or issued next; null where none is.
    chain_away: Whether the validator does not answer: then those alone that were closed.
    """

    periods: tuple[BillingPeriod, ...]
    next: str | None
    due: int | None
    chain_away: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingTotals:
    """A period's bills together.

    bills: Bills.
    drawn_wh: Drawn from the campus.
    covered_wh: Covered by own and bought energy.
    estimated_wh: Estimated.
    corrected_micro_credits: Corrections of earlier bills.
    moved_micro_credits: What the chain has moved already.
    to_pay_micro_credits: What members are to pay.
    to_be_paid_micro_credits: What members are to be paid; negative.
    due_micro_credits: Both together.
    """

    bills: int
    drawn_wh: int
    covered_wh: int
    estimated_wh: int
    corrected_micro_credits: int
    moved_micro_credits: int
    to_pay_micro_credits: int
    to_be_paid_micro_credits: int
    due_micro_credits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bills:
    """Issued bills, the newest first.

    bills: The bills.
    next: What to ask for next, as `cursor`; null where there are no older ones.
    """

    bills: tuple[BillHead, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BookOrder:
    """An order of a final book.

    side: bid: it buys; ask: it sells.
    number: Its number in the book.
    member_index: The member's number on the chain.
    price_micro_credits_per_kwh: Its limit.
    quantity_wh: How much it is of.
    filled_wh: How much of it was filled.
    """

    side: Literal["bid", "ask"]
    number: int
    member_index: int
    price_micro_credits_per_kwh: int
    quantity_wh: int
    filled_wh: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildingNow:
    """One public building: generation and consumption behind its meters.

    name: The building.
    generation_w: Power generated from renewables.
    consumption_w: Power used in the building (charging a battery not included).
    storage_w: Power into the battery, negative out of it; null without a battery.
    basis: live: from the meters' live power; interval: the mean of the last signed interval; none: nothing heard yet.
    measured_at: The oldest of the measurements that these powers are made of.
    stale_after_seconds: Older than this, the figures count as stale.
    late_seconds: How late its figures are told at least: of homes 900, as whole quarters of an hour; else 0.
    minted_wh: Energy tokens ever minted for the building's public members.
    meters: The building's meters.
    """

    name: str
    generation_w: int | None
    consumption_w: int | None
    storage_w: int | None
    basis: Literal["live", "interval", "none"]
    measured_at: int | None
    stale_after_seconds: int
    late_seconds: int
    minted_wh: int | None
    meters: tuple[MeterNow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Campus:
    """The campus now.

    time: When this view was made (the authority's clock, Unix seconds).
    campus: The campus network's name.
    notice: What every reader should know of this deployment, such as that it is a demonstration, or is paused.
    network_id: The deployment's network id, hex.
    epoch_seconds: The length of a market epoch.
    epoch: The running epoch.
    buildings: The buildings flagged public.
    energy: Conservation of the energy tokens; null until the chain was read.
    history: Recent epochs, oldest first.
    service: Transport, validator, last checkpoint.
    stands: Whether the view stays as it was at `time`: the deployment is paused.
    """

    time: int
    campus: str
    notice: str | None
    network_id: str | None
    epoch_seconds: int
    epoch: EpochNow
    buildings: tuple[BuildingNow, ...]
    energy: EnergyTokens | None
    history: tuple[EpochPast, ...]
    service: Service
    stands: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateView:
    """That energy was retired for what a member drew in a billing period.

    bill: The bill that it is of, which is its number too.
    period: The billing period.
    starts_at: When the period begins.
    ends_at: When it ends.
    wh: Energy that was retired, Wh.
    own_wh: Surplus that was minted for the member itself in this time, Wh.
    bought_wh: What it bought from other members in this time, Wh.
    untold_wh: Of it, what a wallet of the member's own retired: the log names no transaction of that.
    link: Where anybody can check it, without an account.
    retired: The retirements that the log names.
    """

    bill: int
    period: int
    starts_at: int
    ends_at: int
    wh: int
    own_wh: int
    bought_wh: int
    untold_wh: int
    link: str
    retired: tuple[RetiredEnergy, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """A member's certificates, the newest first.

    certificates: The certificates.
    next: What to ask for next, as `cursor`; null where there are no older ones.
    """

    certificates: tuple[CertificateView, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearedBook:
    """The last cleared book, without members.

    epoch: Its epoch; null where no book was cleared in the last 96 epochs.
    ended_at: When it closed, Unix seconds.
    withheld: Whether it is not shown, because too few members are in it.
    least_members: A figure is of at least so many members who keep to themselves, or of none.
    traded_wh: Energy that changed hands.
    price_micro_credits_per_kwh: The clearing price; null where nothing traded.
    bids: What was asked for, from the highest limit on; null if withheld.
    asks: What was offered, from the lowest limit on; null if withheld.
    """

    epoch: int | None
    ended_at: int | None
    withheld: bool
    least_members: int
    traded_wh: int | None
    price_micro_credits_per_kwh: int | None
    bids: tuple[DepthStep, ...] | None
    asks: tuple[DepthStep, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A comparison of books and chain.

    comparison: Its number.
    started_at: When it began.
    ended_at: When it ended.
    entries: The log's leaves that it covers.
    figures: Figures of the books that were compared.
    until_epoch: Epochs before this one were compared by now.
    differences: How many things differ.
    found: The first 200 of them.
    """

    comparison: int
    started_at: int
    ended_at: int
    entries: int
    figures: int
    until_epoch: int
    differences: int
    found: tuple[Difference, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRun:
    """The last comparison that was asked for here.

    run: How far it is.
    comparison: The number of the comparison that it came to; null before.
    """

    run: Run
    comparison: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparisons:
    """Comparisons, the newest first: those of the night, and those that somebody asked for.

    comparisons: At most 50.
    next: What to ask for next, as `cursor`; null where there are no older ones.
    """

    comparisons: tuple[Comparison, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditBooking:
    """A top-up or payout of credits.

    reference: The bank's reference.
    wallet: The member's wallet.
    member: The member's name; the wallet where the member was erased.
    micro_credits: How much; negative: paid out.
    state: How far it is.
    told: Why it was refused, or what it waits for; empty otherwise.
    at: When it was asked for, or booked.
    by: By whom: a pseudonym, or a command.
    """

    reference: str
    wallet: str
    member: str
    micro_credits: int
    state: Literal["waiting", "booked", "refused"]
    told: str
    at: int
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditBookings:
    """Top-ups and payouts, the newest first.

    bookings: About 50: those of one second stand together.
    next: What to ask for next, as `cursor`; null where there are no older ones.
    """

    bookings: tuple[CreditBooking, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DayOfMeter:
    """One meter's day, with its gaps.

    meter: GATEWAY/METER.
    day: The day.
    zone: The site's time zone.
    count: In short.
    gaps: Where readings are missing.
    refused_by_chain: Readings that came and that the chain refuses.
    """

    meter: str
    day: str
    zone: str
    count: MeterDay
    gaps: tuple[Gap, ...]
    refused_by_chain: tuple[RefusedReading, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthStep:
    """Orders of neighbouring limits together.

    lowest_price_micro_credits_per_kwh: The lowest limit among them.
    highest_price_micro_credits_per_kwh: The highest limit among them.
    quantity_wh: Their energy, filled or not.
    """

    lowest_price_micro_credits_per_kwh: int
    highest_price_micro_credits_per_kwh: int
    quantity_wh: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Something that books, log and chain do not say alike.

    code: What it is, for programs: figure_differs, or a finding of the audit.
    where: Where: a member, an epoch, a day, a bill, a leaf of the log.
    message: What each of them says.
    """

    code: str
    where: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """A dispute with all that is known of it.

    head: In short.
    line_kind: What the line is for, as in the bill's document.
    line_wh: The line's energy.
    line_micro_credits: The line's amount, positive where the member pays.
    days: The days at the site that it is about.
    words: What was written, in order.
    """

    head: DisputeHead
    line_kind: str | None
    line_wh: int | None
    line_micro_credits: int | None
    days: tuple[str, ...]
    words: tuple[Said, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeHead:
    """A dispute in one row.

    number: Its number.
    state: waiting: for the department; answered; settled and corrected: closed.
    reason: Why: energy, price, missing, not_mine, other.
    bill: The bill whose line it is about; null where it is about a day.
    line: The line's number on the bill.
    starts_at: The beginning of what it is about.
    ends_at: Its end.
    opened_at: When it was opened.
    closed_at: When it was closed; null while it is open.
    correction: The correction by which it was closed, as BILL/NUMBER.
    member: The member's name.
    """

    number: int
    state: Literal["waiting", "answered", "settled", "corrected"]
    reason: str
    bill: int | None
    line: int | None
    starts_at: int
    ends_at: int
    opened_at: int
    closed_at: int | None
    correction: str | None
    member: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Disputes:
    """Disputes, the newest first.

    disputes: At most 50.
    next: What to ask for next, as `cursor`; null where there are no older ones.
    """

    disputes: tuple[DisputeHead, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Energy:
    """A member's energy over a range of days, in steps, and together.

    zone: The site's time zone, whose days these are.
    step: interval: as the meters sign.
    meters: Meters of the member that count at some time in the range, retired ones for their time.
    meters_heard: How many of them have readings in the range.
    steps: The steps, in order, without a gap.
    total: All of it together.
    """

    zone: str
    step: Literal["interval", "quarter", "day", "month"]
    meters: int
    meters_heard: int
    steps: tuple[EnergyStep, ...]
    total: EnergyStep


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyStep:
    """One step of the range. flows is null where no reading tells of it.

    starts_at: Its beginning, Unix seconds.
    ends_at: Its end, Unix seconds.
    starts: Its beginning on the site's clock, with the offset.
    flows: What the meters measured; null where nothing is known.
    trades: What was bought and sold in it.
    measured_seconds: For how much of it there are readings of all meters that count then.
    meters: Meters of the member that count at some time in it.
    meters_heard: How many of them have readings in it.
    """

    starts_at: int
    ends_at: int
    starts: str
    flows: Flows | None
    trades: Trades
    measured_seconds: int
    meters: int
    meters_heard: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyTokens:
    """Where all energy tokens are. minted = held + escrow + retired, or something is wrong.

    minted_wh: Ever minted; all four are null while that is of too few members.
    held_wh: In members' token accounts.
    escrow_wh: In the market: in members' seats there, and behind open asks.
    retired_wh: Ever minted less the supply.
    conserved: Whether minted = held + escrow + retired, counted on the chain.
    """

    minted_wh: int | None
    held_wh: int | None
    escrow_wh: int | None
    retired_wh: int | None
    conserved: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochBookRow:
    """An epoch, and whether the log has its final book.

    epoch: The epoch.
    state: How far settlement is with it.
    bids: Orders that buy.
    asks: Orders that sell.
    traded_wh: Energy traded.
    price_micro_credits_per_kwh: The price; null where nothing traded, or before.
    log_size: How many entries its checkpoint covers; null before it is pinned.
    has_book: Whether the log has its final book.
    """

    epoch: int
    state: str
    bids: int
    asks: int
    traded_wh: int
    price_micro_credits_per_kwh: int | None
    log_size: int | None
    has_book: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochBookRows:
    """Epochs, the newest first.

    books: At most 50.
    next: What to ask for next, as `cursor`; null where there are no older ones.
    """

    books: tuple[EpochBookRow, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochNow:
    """The running market epoch.

    number: floor(time / epoch_seconds).
    starts_at: Its first second.
    ends_at: Its end; the meters' registers are read here and the book is cleared.
    readings: Signed readings of the interval that ended when this epoch began, received so far.
    readings_expected: Active meters.
    bids: Bids in the open book, as far as it may be told; null while it is not open, or of too few members.
    asks: Asks in the open book.
    bid_wh: Energy asked for; null where too few members are in the book, see /market.
    ask_wh: Energy on offer; null where too few members are in the book.
    """

    number: int
    starts_at: int
    ends_at: int
    readings: int
    readings_expected: int
    bids: int | None
    asks: int | None
    bid_wh: int | None
    ask_wh: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochPast:
    """A recent epoch: the energy metered in it, and its book.

    number: The epoch.
    ends_at: Its end.
    state: How far its settlement has come.
    readings_on_chain: Readings of the interval that ended with this epoch, accepted by the oracle program.
    minted_wh: Energy tokens minted for the energy metered in it; null where too few members were, or it is not settled
        yet.
    orders: Orders that its book held; null where too few members ordered, or it is not final.
    traded_wh: Energy that changed hands in its book; null where too few members traded, or its book is not final yet.
    clearing_price_micro_credits_per_kwh: Its uniform price; null where nothing traded, or traded_wh is null.
    """

    number: int
    ends_at: int
    state: Literal["collecting", "submitted", "minted", "clearing", "settled", "checkpointed"]
    readings_on_chain: int
    minted_wh: int | None
    orders: int | None
    traded_wh: int | None
    clearing_price_micro_credits_per_kwh: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRow:
    """One epoch in short.

    epoch: Its number.
    starts_at: Its beginning.
    ends_at: Its end.
    state: collecting, submitted, minted, clearing, settled or checkpointed: the last complete step.
    stages: Its stages, in order.
    readings_on_chain: Readings of its end on the chain.
    bids: Orders to buy in its book.
    asks: Orders to sell.
    traded_wh: What was traded.
    clearing_price_micro_credits_per_kwh: At what price; null where nothing was.
    """

    epoch: int
    starts_at: int
    ends_at: int
    state: str
    stages: tuple[Stage, ...]
    readings_on_chain: int
    bids: int
    asks: int
    traded_wh: int
    clearing_price_micro_credits_per_kwh: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRows:
    """Epochs, the newest first.

    epochs: At most 50.
    next: What to ask for next, as `cursor`; null where there are no older ones.
    refused_readings: Readings that the chain refused and that wait to be sent again.
    """

    epochs: tuple[EpochRow, ...]
    next: str | None
    refused_readings: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochView:
    """One epoch, with what waits.

    row: In short.
    waiting: Readings of its end that are not on the chain.
    refused_readings: Readings of any epoch that the chain refused and that wait to be sent again.
    """

    row: EpochRow
    waiting: tuple[WaitingReading, ...]
    refused_readings: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeState:
    """How far an exchange is.

    meter: GATEWAY/METER.
    serial: The serial that the plan has now.
    registers: The registers that have to be written down.
    signed: What was signed last; empty where nothing was.
    signed_at: The end of that reading's interval.
    held: Readings that wait for a decision, which comes first.
    step: What comes next.
    new_serial: The new device's serial, as far as it is written down.
    last: The old device's last registers, as far as they are written down.
    first: The new device's first registers, as far as they are written down.
    reason: Why, as far as it is written down.
    begun_at: When that was written down; null where nothing was begun.
    recorded_at: When the last exchange of this meter was recorded.
    next: What remains to be done at the gateway after that exchange.
    """

    meter: str
    serial: str
    registers: tuple[str, ...]
    signed: tuple[RegisterWh, ...]
    signed_at: int | None
    held: int
    step: Literal["last", "first", "preview"]
    new_serial: str
    last: tuple[RegisterWh, ...]
    first: tuple[RegisterWh, ...]
    reason: str
    begun_at: int | None
    recorded_at: int | None
    next: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """What an order came to in a final book.

    epoch: The book's epoch.
    ended_at: When the book closed.
    side: bid: bought; ask: sold.
    filled_wh: How much changed hands.
    price_micro_credits_per_kwh: The clearing price, the same for all.
    amount_micro_credits: Paid (bid, with wheeling) or received (ask, after the fee).
    refund_micro_credits: Of a bid: what it had locked and did not cost, which came back; else 0.
    returned_wh: Of an ask: what was not sold and came back; else 0.
    book_leaf: The book's leaf in the log, which proves it.
    clearing_leaf: The log's leaf of the act by which the department cleared the book; null where somebody else did.
    transaction: The signature (base58) of the last transaction by which the department cleared and paid the book; null
        where it is not known: somebody else's, or of an earlier release.
    """

    epoch: int
    ended_at: int
    side: Literal["bid", "ask"]
    filled_wh: int
    price_micro_credits_per_kwh: int
    amount_micro_credits: int
    refund_micro_credits: int
    returned_wh: int
    book_leaf: int
    clearing_leaf: int | None
    transaction: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fills:
    """What a member's orders came to, the newest first. A page has whole epochs: 50 fills, or a few more.

    fills: The fills.
    next: What to ask for next, as `cursor`; null where there are no older ones.
    """

    fills: tuple[Fill, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalBook:
    """An epoch's final book out of the log, cleared again by the rule, and its hash beside the chain's.

    epoch: The epoch.
    leaf: The book's entry in the log.
    price_micro_credits_per_kwh: The price; 0 where nothing traded.
    lowest_price_micro_credits_per_kwh: The lowest price that trades as much.
    highest_price_micro_credits_per_kwh: The highest.
    reference_price_micro_credits_per_kwh: The price that decides between them.
    traded_wh: Energy traded.
    fees_micro_credits: Fees, wheeling and rounding.
    faults: What the rule would have made otherwise; empty where all is the same.
    sha256: The hash of the book's bytes, hex.
    pinned_sha256: The chain's word; null where it has none, or the validator does not answer.
    orders: All orders, bids first, in the book's order.
    """

    epoch: int
    leaf: int
    price_micro_credits_per_kwh: int
    lowest_price_micro_credits_per_kwh: int
    highest_price_micro_credits_per_kwh: int
    reference_price_micro_credits_per_kwh: int
    traded_wh: int
    fees_micro_credits: int
    faults: tuple[str, ...]
    sha256: str
    pinned_sha256: str | None
    orders: tuple[BookOrder, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flows:
    """Energy in a span. made + from_battery + drawn = used + into_battery + given, to the watt-hour.

    made_wh: Generated.
    from_battery_wh: Out of the battery.
    drawn_wh: Drawn from the campus grid.
    used_wh: Used in the building.
    into_battery_wh: Into the battery.
    given_wh: Given to the campus grid.
    """

    made_wh: int
    from_battery_wh: int
    drawn_wh: int
    used_wh: int
    into_battery_wh: int
    given_wh: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Boundaries without a reading that passed, one after the other.

    first: The first of them.
    last: The last.
    missing: How many.
    cause: held, void: came and did not pass; refused, parked: came and is in no log; clock: one was wrong or set; away:
        no meter of the gateway was read; silent: others of it were.
    readings: Log entries of those that came and did not pass.
    """

    first: int
    last: int
    missing: int
    cause: Literal["held", "void", "refused", "parked", "clock", "away", "silent"]
    readings: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenOrder:
    """An order that was given by hand, or the wish to take one back, and what became of it.

    id: Its number.
    act: place: an order; cancel: to take one back.
    epoch: The book's epoch.
    side: bid: buys; ask: sells.
    price_micro_credits_per_kwh: The limit.
    quantity_wh: How much.
    state: waiting: settlement has yet to do it; placed: it is in the book; taken_back: it left the book before the end.
    told: Why it was refused; empty otherwise.
    asked_at: When it was given.
    filled_wh: How much changed hands; null while the book is not final.
    amount_micro_credits: Paid (bid, with wheeling) or received (ask, after the fee).
    book_leaf: The final book's leaf in the log, which proves it.
    """

    id: int
    act: Literal["place", "cancel"]
    epoch: int
    side: Literal["bid", "ask"]
    price_micro_credits_per_kwh: int
    quantity_wh: int
    state: Literal["waiting", "placed", "refused", "taken_back", "filled", "partly_filled", "not_filled"]
    told: str
    asked_at: int
    filled_wh: int | None
    amount_micro_credits: int | None
    book_leaf: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenOrders:
    """Orders by hand, the newest first.

    orders: The orders.
    next: What to ask for next, as `cursor`; null where there are no older ones.
    """

    orders: tuple[GivenOrder, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenTransfer:
    """A transfer that was asked for, or that was received, and what became of it.

    id: Its number.
    act: received: another member gave it.
    asset: energy: Wh; credit: micro-credits.
    amount: How much, Wh or micro-credits.
    other: Who was given to, or who gave: the first and the last letter of its name.
    state: waiting: it can be taken back; going, sent: settlement carries it out; done: it is on the chain.
    told: Why it was refused; empty otherwise.
    signature: The transaction that did it; null before.
    asked_at: When it was asked for.
    goes_at: Until when it can be taken back at least.
    """

    id: int
    act: Literal["deposit", "withdraw", "give", "received"]
    asset: Literal["energy", "credit"]
    amount: int
    other: str | None
    state: Literal["waiting", "going", "sent", "done", "refused", "taken_back"]
    told: str
    signature: str | None
    asked_at: int
    goes_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenTransfers:
    """Transfers, the newest first.

    transfers: The transfers.
    next: What to ask for next, as `cursor`; null where there are no older ones.
    """

    transfers: tuple[GivenTransfer, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldEvidence:
    """A reading that is or was held, and what it is judged by.

    log_index: Its entry in the log.
    meter: GATEWAY/METER.
    serial: The meter's serial number.
    role: What the meter measures.
    source: The source that the reading names.
    planned_source: The source in the campus plan.
    nameplate_w: The installation's power.
    storage_wh: What its storage holds.
    sequence: The reading's own number.
    interval_end: The end of its interval.
    interval_seconds: How long that is.
    received_at: When it came.
    code: Why it was held, for programs.
    cause: The same for people.
    reset: Whether the meter says that its registers were reset.
    clock_deviation_seconds: The gateway's clock less the meter's; null: not known.
    record_sha256: The record's hash, which its leaf has.
    before_ended_at: When the reading before it ended that passed; null: there is none.
    most_wh: The most that the installation can make in between; null: nothing bounds it.
    registers: The registers, before and now.
    held_after: Later readings of the meter that wait too.
    state: held: it waits; else accepted, released or void.
    superseded: Why it can go to the chain no more; null where it can, or is on its way.
    decided_at: When it was decided; null while it waits.
    decided_by: By whom: a pseudonym, or a part of the service.
    reason: Why.
    decision_leaf: The decision's entry in the log.
    """

    log_index: int
    meter: str
    serial: str
    role: str
    source: str
    planned_source: str
    nameplate_w: int
    storage_wh: int
    sequence: int
    interval_end: int
    interval_seconds: int
    received_at: int
    code: str
    cause: str
    reset: bool
    clock_deviation_seconds: int | None
    record_sha256: str
    before_ended_at: int | None
    most_wh: int | None
    registers: tuple[RegisterMoved, ...]
    held_after: int
    state: str
    superseded: str | None
    decided_at: int | None
    decided_by: str | None
    reason: str | None
    decision_leaf: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldRow:
    """A reading that waits for an operator's decision.

    log_index: Its entry in the log.
    meter: GATEWAY/METER.
    serial: The meter's serial number.
    sequence: The reading's own number.
    interval_end: The end of its interval.
    received_at: When it came.
    code: Why it is held, for programs.
    cause: The same for people.
    generation_wh: The meter's register of what was generated.
    consumption_wh: Of what was drawn.
    charge_wh: Of what was put into the storage.
    discharge_wh: Of what was taken out of it.
    """

    log_index: int
    meter: str
    serial: str
    sequence: int
    interval_end: int
    received_at: int
    code: str
    cause: str
    generation_wh: int
    consumption_wh: int
    charge_wh: int
    discharge_wh: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldRows:
    """Readings that wait for a decision, the oldest first.

    readings: At most 50.
    next: What to ask for next, as `cursor`; null at the end.
    """

    readings: tuple[HeldRow, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """A time in which a part was not up.

    part: Which.
    state: The first state that it was in.
    began: From when, Unix seconds.
    ended: Until when; null: it still is not up.
    """

    part: Literal["metering", "settlement", "market", "log", "chain"]
    state: Literal["up", "late", "paused", "down", "unknown"]
    began: int
    ended: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IndicatorStep:
    """The campus in one step of the range, all members behind one grid point.

    starts_at: Its beginning, Unix seconds.
    ends_at: Its end, Unix seconds.
    starts: Its beginning on the site's clock, with the offset.
    days: Days in it.
    days_known: How many of them are over and summed.
    days_measured: In how many of these energy was measured, of enough members to be told.
    members: Members with meters, on the day that had most; null where no day is known.
    members_measured: Members that were measured, on the day that had fewest.
    intervals: Intervals of one epoch in the days that are known.
    intervals_measured: In how many of them each measured member's meters were read at both ends.
    generation_wh: Generated.
    consumption_wh: Used, without what went into batteries.
    used_locally_wh: Of what was used, what was generated on the campus in the same interval.
    imported_wh: Drawn from the grid by the campus as a whole.
    exported_wh: Given to the grid by the campus as a whole.
    self_sufficiency: used_locally_wh / consumption_wh.
    self_consumption: used_locally_wh / generation_wh.
    traded_wh: Energy that changed hands in the market.
    traded_share_of_withdrawn: Traded, of what members drew, over the days on which both may be told.
    traded_share_of_minted: Traded, of the surplus that became tokens, over the days on which both may be told.
    price_micro_credits_per_kwh: The market's price, the mean by energy traded.
    retail_price_micro_credits_per_kwh: What the grid's energy cost then.
    feed_in_price_micro_credits_per_kwh: What feeding in brought then.
    wheeling_micro_credits_per_kwh: What buyers paid on top of the market's price.
    co2_emitted_g: CO2 of what was drawn from the grid; null without a factor.
    co2_avoided_g: CO2 of what was used and not drawn; negative where batteries drew more.
    lowest_co2_g_per_kwh: The grid's factor; the lowest, where it changed.
    highest_co2_g_per_kwh: The highest.
    """

    starts_at: int
    ends_at: int
    starts: str
    days: int
    days_known: int
    days_measured: int
    members: int | None
    members_measured: int | None
    intervals: int
    intervals_measured: int
    generation_wh: int | None
    consumption_wh: int | None
    used_locally_wh: int | None
    imported_wh: int | None
    exported_wh: int | None
    self_sufficiency: float | None
    self_consumption: float | None
    traded_wh: int | None
    traded_share_of_withdrawn: float | None
    traded_share_of_minted: float | None
    price_micro_credits_per_kwh: int | None
    retail_price_micro_credits_per_kwh: int | None
    feed_in_price_micro_credits_per_kwh: int | None
    wheeling_micro_credits_per_kwh: int | None
    co2_emitted_g: int | None
    co2_avoided_g: int | None
    lowest_co2_g_per_kwh: int | None
    highest_co2_g_per_kwh: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Indicators:
    """The campus over a range of days, in steps, and together.

    zone: The site's time zone, whose days these are.
    step: What the steps are.
    interval_seconds: Within intervals of so many seconds energy counts as used where it was made.
    least_members: A figure is of at least so many members who keep to themselves, or of none.
    late_days: An incomplete day is told so many days after its end.
    co2_sources: Who says what the grid's energy emits.
    steps: The steps, in order, without a gap.
    total: All of it together.
    """

    zone: str
    step: Literal["day", "month"]
    interval_seconds: int
    least_members: int
    late_days: int
    co2_sources: tuple[str, ...]
    steps: tuple[IndicatorStep, ...]
    total: IndicatorStep


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedBillHead:
    """An issued bill, without its member's name.

    number: Its number.
    period: The billing period.
    member: The member's wallet, which is its pseudonym.
    due_micro_credits: What is to be paid; negative where the member is paid.
    issued_at: When it was issued.
    sha256: SHA-256 of its document, which is in the log.
    log_leaf: The leaf of the log that has it.
    """

    number: int
    period: int
    member: str
    due_micro_credits: int
    issued_at: int
    sha256: str
    log_leaf: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedBills:
    """Issued bills of all members, the newest first.

    bills: At most 50.
    next: What to ask for next, as `cursor`; null where there are no older ones.
    """

    bills: tuple[IssuedBillHead, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An announcement as the department has it.

    told: What is told.
    audience: To whom.
    building: The building, where it is for one.
    made_at: When it was made.
    withdrawn_at: When it was withdrawn.
    """

    told: Told
    audience: Literal["everybody", "members", "building"]
    building: str | None
    made_at: int
    withdrawn_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLeaf:
    """An entry of the log.

    leaf: Its place.
    kind: reading, book, or the kind of an act, such as bill_issued.
    at: When the authority took it.
    actor: Who acted: a pseudonym, or a part of the service; empty for a reading or a book.
    data: What it says; its fields are the kind's own.
    """

    leaf: int
    kind: str
    at: int
    actor: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLeaves:
    """Entries of the log, the newest first.

    leaves: At most 50.
    next: What to ask for next, as `cursor`; null where there are no older ones.
    """

    leaves: tuple[LogLeaf, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketStep:
    """The books of the epochs that began in one step of the range.

    starts_at: Its beginning, Unix seconds.
    ends_at: Its end, Unix seconds.
    starts: Its beginning on the site's clock, with the offset.
    epochs: Epochs that begin in it.
    epochs_known: How many of them are over and judged.
    epochs_withheld: How many of these are left out: too few members traded in them.
    traded_wh: Energy that changed hands; null where nothing is known, or may be told.
    price_micro_credits_per_kwh: Clearing price, the mean by energy where it is of several books; null where nothing
        traded.
    lowest_price_micro_credits_per_kwh: The lowest clearing price.
    highest_price_micro_credits_per_kwh: The highest clearing price.
    """

    starts_at: int
    ends_at: int
    starts: str
    epochs: int
    epochs_known: int
    epochs_withheld: int
    traded_wh: int | None
    price_micro_credits_per_kwh: int | None
    lowest_price_micro_credits_per_kwh: int | None
    highest_price_micro_credits_per_kwh: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Me:
    """Who asks.

    name: The person's name.
    pseudonym: What the log says in the place of the name.
    roles: What the person is: member, delegate, operator, treasurer, auditor, authority; former: was a member of an
        account that has ended, and still sees its bills.
    member: The member of the market whose account this is; null where there is none.
    wallet: The wallet that names the member on the chain and in the log.
    """

    name: str
    pseudonym: str
    roles: tuple[str, ...]
    member: str | None
    wallet: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterDay:
    """One meter's day.

    due: Boundaries at which a reading was due: after the meter was approved, and long enough ago.
    came: At how many of them one came and passed.
    stopped: At how many others one came and did not pass: held back, or voided.
    """

    due: int
    came: int
    stopped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterMap:
    """Meters by days.

    zone: The site's time zone, whose days these are.
    days: The days, in order; fewer than 14 where epochs are short.
    meters: At most 40, by their names.
    meters_in_use: How many meters are in use.
    after: `after` of the next meters; null where there are none.
    """

    zone: str
    days: tuple[str, ...]
    meters: tuple[MeterRow, ...]
    meters_in_use: int
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterNow:
    """One meter of a building, as last heard.

    name: The meter's name at its gateway.
    role: What the meter measures; a submeter is shown and never settled.
    source: The renewable source behind a generation or building meter.
    power_w: Live power, import positive; null if none was ever heard. Unsigned, for display only.
    power_at: When the gateway took the live power.
    interval_end_at: The end of the last signed interval reading.
    generation_w: Mean generation over the last signed interval.
    consumption_w: Mean consumption over the last signed interval.
    """

    name: str
    role: Literal["building", "generation", "storage", "load", "grid", "submeter"]
    source: Literal["none", "solar", "wind", "hydro", "other"]
    power_w: int | None
    power_at: int | None
    interval_end_at: int | None
    generation_w: int | None
    consumption_w: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterRow:
    """One meter's days.

    meter: GATEWAY/METER.
    member: Whose it is; null for who is not an operator.
    state: approved, active or suspended.
    days: As `days` of the answer.
    """

    meter: str
    member: str | None
    state: str
    days: tuple[MeterDay, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterWaiting:
    """A meter, and what waits of its readings.

    meter: GATEWAY/METER.
    member: The member's name; null for who is not an operator.
    state: planned, active, suspended or retired.
    last_interval_end: The end of its last interval; null where none came.
    on_the_way: Readings that passed and are not on the chain yet.
    held: Readings that wait for an operator.
    """

    meter: str
    member: str | None
    state: str
    last_interval_end: int | None
    on_the_way: int
    held: int


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What is announced now, the newest first.

    announcements: The announcements.
    """

    announcements: tuple[Told, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOrder:
    """An order in a book that is not paid yet.

    epoch: The book's epoch.
    ends_at: When the book closes.
    side: bid: buys; ask: sells.
    price_micro_credits_per_kwh: The limit.
    quantity_wh: How much.
    number: Its number in the book, by which it is taken back.
    """

    epoch: int
    ends_at: int
    side: Literal["bid", "ask"]
    price_micro_credits_per_kwh: int
    quantity_wh: int
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenProposal:
    """A change that is proposed and not carried out.

    proposal: Its id.
    state: waiting: for another person; approved: for who has the key.
    from_epoch: From which epoch it is to hold.
    starts_at: When that begins.
    """

    proposal: str
    state: Literal["waiting", "approved"]
    from_epoch: int
    starts_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderInput:
    """An order for the running book.

    side: bid: buy; ask: sell.
    price_micro_credits_per_kwh: The limit.
    quantity_wh: How much.
    """

    side: Literal["bid", "ask"]
    price_micro_credits_per_kwh: int
    quantity_wh: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPreview:
    """What an order would come to if all of it were filled; what is not filled returns.

    epoch: The book's epoch.
    orders_until: Until when it can be placed.
    side: bid: buys; ask: sells.
    price_micro_credits_per_kwh: The limit.
    quantity_wh: How much.
    locks_wh: Energy that stays locked until the book is cleared.
    locks_micro_credits: Credits that stay locked until the book is cleared.
    least_micro_credits: bid: the least that it costs, at the lowest price; ask: the least that it brings, at its own
        limit.
    most_micro_credits: bid: the most that it costs, at its own limit; ask: the most that it brings, at the highest
        price.
    free_wh: Energy that is free before it.
    free_micro_credits: Credits that are free before it.
    """

    epoch: int
    orders_until: int
    side: Literal["bid", "ask"]
    price_micro_credits_per_kwh: int
    quantity_wh: int
    locks_wh: int
    locks_micro_credits: int
    least_micro_credits: int
    most_micro_credits: int
    free_wh: int
    free_micro_credits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """Open orders, and the fills of the last day, newest first.

    open: Orders that are not paid yet.
    fills: What orders of the last 96 epochs came to.
    """

    open: tuple[OpenOrder, ...]
    fills: tuple[Fill, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnCode:
    """What a member's QR code says.

    code: The code: random, and nobody's name.
    link: The link in the QR code: whoever is signed in gives to this member there.
    """

    code: str
    link: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterChange:
    """A parameter that changed.

    name: Its name.
    before: What held before; null where the log does not say.
    after: What holds from then on.
    """

    name: str
    before: int | None
    after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterNow:
    """A parameter of the market.

    name: Its name, as in governance.
    value: What holds: prices in micro-credits per kWh, bps in 1/10 000.
    staged: What will hold; null where nothing is staged for it.
    """

    name: str
    value: int
    staged: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PartNow:
    """A part of the service.

    part: Which.
    state: late: it works and is behind; paused: by the department's act.
    late: Meters without their last reading, or epochs that are due; null: does not apply.
    of: Of how many meters.
    since: When it came into this state, Unix seconds; null where that is not written down.
    """

    part: Literal["metering", "settlement", "market", "log", "chain"]
    state: Literal["up", "late", "paused", "down", "unknown"]
    late: int | None
    of: int | None
    since: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodBill:
    """A bill of a period in one row.

    number: Its number; null before it is issued.
    wallet: The member's wallet, its pseudonym.
    member: The member's name; the wallet where the member was erased.
    drawn_wh: Drawn from the campus.
    covered_wh: Covered by own and bought energy.
    estimated_wh: Estimated.
    corrected_micro_credits: Corrections of earlier bills.
    moved_micro_credits: What the chain has moved already.
    due_micro_credits: What is due; negative where the member is paid.
    payment_state: open, part_paid, paid, overpaid or nothing_due; null before the bill is issued.
    paid_micro_credits: What was paid by bank; null before the bill is issued.
    """

    number: int | None
    wallet: str
    member: str
    drawn_wh: int
    covered_wh: int
    estimated_wh: int
    corrected_micro_credits: int
    moved_micro_credits: int
    due_micro_credits: int
    payment_state: str | None
    paid_micro_credits: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodBills:
    """The bills of a period, issued or as they would be now.

    bills: At most 50, by number; before they are issued, by wallet.
    next: What to ask for next, as `cursor`; null at the end.
    issued: Whether they are issued.
    """

    bills: tuple[PeriodBill, ...]
    next: str | None
    issued: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The campus grid and what is on it.

    time: When it was made.
    interval_seconds: How long an interval is.
    intervals: How many of the last intervals were looked at.
    least_members: The others are at least so many who keep to themselves.
    grid_across: The grid's own place from the left, per cent.
    grid_down: Its place from the top.
    buildings: The public buildings.
    others: All other members together; null where they are too few, or not all were measured.
    """

    time: int
    interval_seconds: int
    intervals: int
    least_members: int
    grid_across: int
    grid_down: int
    buildings: tuple[PlanBuilding, ...]
    others: PlanFlow


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanBuilding:
    """One public building.

    name: The building.
    across: Its place from the left, per cent; null where it has none.
    down: Its place from the top.
    flow: Its public members' meters together, in the last interval known.
    """

    name: str
    across: int | None
    down: int | None
    flow: PlanFlow


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFlow:
    """What one building, or several together, did in an interval; all null where that is not known.

    began_at: The interval's beginning.
    ended_at: Its end.
    generation_wh: Generated.
    consumption_wh: Used, without what went into batteries.
    charge_wh: Into batteries.
    discharge_wh: Out of them.
    given_wh: Given to the campus grid; what flowed is this less drawn_wh.
    drawn_wh: Drawn from it.
    """

    began_at: int | None
    ended_at: int | None
    generation_wh: int | None
    consumption_wh: int | None
    charge_wh: int | None
    discharge_wh: int | None
    given_wh: int | None
    drawn_wh: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A transaction to be signed by the member's wallet.

    ticket: What to send back with the signed transaction. It holds until the transaction expires.
    transaction: The transaction with an empty signature, base64: what a wallet signs.
    says: What it does, in words.
    wallet: The wallet that has to sign, and pays the fee.
    fee_lamports: The fee, lamports.
    last_valid_block_height: The last block in which it can land: about a minute from now.
    """

    ticket: str
    transaction: str
    says: str
    wallet: str
    fee_lamports: int
    last_valid_block_height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Prices and volumes over a range of days, in steps, and together.

    zone: The site's time zone, whose days these are.
    step: quarter: of an hour, or an epoch where that is longer.
    least_members: A figure is of at least so many members who keep to themselves, or of none.
    steps: The steps, in order, without a gap.
    total: All of it together.
    """

    zone: str
    step: Literal["quarter", "day", "month"]
    least_members: int
    steps: tuple[MarketStep, ...]
    total: MarketStep


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedCheckpoint:
    """A checkpoint of the log that was published.

    size: How many entries it covers.
    epoch: The epoch whose checkpoint on the chain has it.
    root: The root of the tree, hex.
    signed: Whether its signature verifies.
    cosignatures: How many witnesses cosigned it.
    pinned: Whether the chain has the same; null where it has none, or the validator does not answer.
    """

    size: int
    epoch: int
    root: str
    signed: bool
    cosignatures: int
    pinned: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedCheckpoints:
    """Published checkpoints, the newest first.

    checkpoints: At most 50.
    next: What to ask for next, as `cursor`; null where there are no older ones.
    """

    checkpoints: tuple[PublishedCheckpoint, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadAccess:
    """Somebody read what others have; noted at most once in a quarter of an hour.

    leaf: Its entry in the log.
    at: When.
    reader: Who: a pseudonym.
    what: What was read, such as bills or held readings.
    subject: Whose: a member's wallet, or everybody.
    """

    leaf: int
    at: int
    reader: str
    what: str
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadAccesses:
    """Who read what, the newest first.

    access: At most 50.
    next: What to ask for next, as `cursor`; null where there are no older ones.
    """

    access: tuple[ReadAccess, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedReading:
    """A reading that came and that the chain refuses.

    log_index: Its entry in the log.
    boundary: The end of its interval.
    error: What the program answered.
    """

    log_index: int
    boundary: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterMoved:
    """A register of a reading beside the same of the reading before.

    register: generation, consumption, charge or discharge.
    before_wh: In the reading before; null where there is none.
    now_wh: In this one.
    may_move: Whether it may move in this meter's role.
    """

    register: str
    before_wh: int | None
    now_wh: int
    may_move: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterWh:
    """A register.

    name: generation, consumption, charge or discharge.
    wh: What it shows, Wh.
    """

    name: str
    wh: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RetiredEnergy:
    """One retirement.

    wh: How much, Wh.
    signature: Its transaction.
    log_index: The entry of the department's log that says so.
    """

    wh: int
    signature: str
    log_index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How far something is that was asked for; it is told until the service starts again.

    state: idle: it was not asked for; failed: it ended without a result.
    started_at: When it began; null before.
    ended_at: When it ended; null before.
    taken: How much is done: leaves of the log, or a bill's epochs.
    of: Of how much; 0 where it is not known yet.
    message: Why it failed; empty otherwise.
    """

    state: Literal["idle", "running", "done", "failed"]
    started_at: int | None
    ended_at: int | None
    taken: int
    of: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningBook:
    """The book that takes orders now: its bounds, and its depth without members.

    epoch: Its epoch.
    orders_until: From when on no order is placed or taken back any more.
    ends_at: When the epoch ends and the book is cleared.
    lowest_price_micro_credits_per_kwh: The lowest limit that an order may name.
    highest_price_micro_credits_per_kwh: The highest limit that an order may name.
    wheeling_micro_credits_per_kwh: What a buyer pays besides, for the network.
    fee_basis_points: The fee on what a seller gets, in hundredths of a percent.
    least_wh: The smallest order.
    most_wh: The largest order.
    most_orders: Most orders of one member, both sides together.
    withheld: Whether the depth is not shown, because too few members are in the book.
    least_members: A sum is of at least so many members who keep to themselves, or of none.
    shown_at: Of when the depth is: it changes only by the orders of enough members at once.
    bids: What is asked for, from the highest limit on; null if withheld.
    asks: What is offered, from the lowest limit on; null if withheld.
    """

    epoch: int
    orders_until: int
    ends_at: int
    lowest_price_micro_credits_per_kwh: int
    highest_price_micro_credits_per_kwh: int
    wheeling_micro_credits_per_kwh: int
    fee_basis_points: int
    least_wh: int
    most_wh: int
    most_orders: int
    withheld: bool
    least_members: int
    shown_at: int | None
    bids: tuple[DepthStep, ...] | None
    asks: tuple[DepthStep, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What somebody wrote to a dispute.

    from_member: Whether the member wrote it; else the department.
    text: The text.
    at: When.
    """

    from_member: bool
    text: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What carries and settles the readings.

    transport: How gateways deliver readings.
    validator: The validator's name and version; null while it does not answer.
    slot: Its current slot.
    chain_read_at: When the figures from the chain were last read.
    log_size: Leaves in the audit log at the last checkpoint on the chain.
    log_root: The log's Merkle root there, hex.
    checkpoint_epoch: The epoch whose checkpoint that is.
    """

    transport: Literal["mqtt", "https"] | None
    validator: str | None
    slot: int | None
    chain_read_at: int | None
    log_size: int | None
    log_root: str | None
    checkpoint_epoch: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceNow:
    """The service at a time.

    time: When was looked, Unix seconds.
    parts: Its parts.
    incidents: The last incidents, the newest first.
    """

    time: int
    parts: tuple[PartNow, ...]
    incidents: tuple[Incident, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedInput:
    """A signed transaction.

    ticket: As it was prepared.
    transaction: The signed transaction, base64.
    """

    ticket: str
    transaction: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A stage of an epoch.

    name: ended: its time is over; readings_in: their signatures are checked on the chain; settled: surplus is minted;
        cleared: the book has its price; paid: all orders are; checkpointed: the log is pinned.
    done_at_ms: When it was seen complete, Unix milliseconds; null where it is not yet.
    """

    name: Literal["ended", "readings_in", "settled", "cleared", "paid", "checkpointed"]
    done_at_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The standing order: what is sold and bought for the member in every epoch; null prices: never on that side.

    exists: Whether there is one.
    paused: Whether it rests.
    sell_at: Least price at which it sells, micro-credits per kWh.
    buy_at: Greatest price at which it buys, micro-credits per kWh.
    reserve_wh: What is kept from every sale, Wh.
    feed_in_above_wh: What is held beyond this is fed in, Wh; null: never.
    lowest_price: The market's lowest price: what feed-in pays, micro-credits per kWh.
    highest_price: The market's highest price: what the grid costs, micro-credits per kWh.
    worth_buying_up_to: Greatest buying limit at which energy costs no more than the grid's, wheeling added; micro-
        credits per kWh.
    changed_at: When it was last changed.
    wheeling: What a buyer pays for the network besides, micro-credits per kWh.
    least_wh: The least that an order may have, Wh.
    """

    exists: bool
    paused: bool
    sell_at: int | None
    buy_at: int | None
    reserve_wh: int
    feed_in_above_wh: int | None
    lowest_price: int
    highest_price: int
    worth_buying_up_to: int
    changed_at: int | None
    wheeling: int
    least_wh: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingInput:
    """A standing order; what is left out is null: never on that side.

    paused: Keep it, and let it rest.
    """

    sell_at: int | None = None
    buy_at: int | None = None
    reserve_wh: int = 0
    feed_in_above_wh: int | None = None
    paused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusAsked:
    """That the member is suspended or restored, as an operator asked.

    status: What it is to be.
    state: waiting: settlement carries it out; withdrawn: something else was asked for before it was done.
    reason: Why.
    told: What stands in the way; else, and for who is not an operator, empty.
    asked_by: Who asked, by its pseudonym.
    asked_at: When it was asked for.
    ended_at: When it was done or ended; null while it waits.
    """

    status: Literal["active", "suspended"]
    state: Literal["waiting", "done", "withdrawn", "failed"]
    reason: str
    told: str
    asked_by: str
    asked_at: int
    ended_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """What became of a signed transaction.

    state: landed: it is done; sent: ask again with the same body.
    signature: Its signature, by which it is found on the chain.
    says: What it does, in words.
    """

    state: Literal["landed", "sent"]
    signature: str
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TariffPreview:
    """A change as it would be, in the light of last week.

    changes: What would change.
    from_epoch: From which epoch on.
    starts_at: When that begins.
    replaces: The epoch of what is staged now and would be replaced.
    traded_epochs: In how many epochs of the last week something was traded.
    traded_wh: How much.
    outside: How many of them cleared at a price outside the new bounds.
    """

    changes: tuple[ParameterChange, ...]
    from_epoch: int
    starts_at: int
    replaces: int | None
    traded_epochs: int
    traded_wh: int
    outside: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TariffSpan:
    """What was in force when, as the log says.

    state: Whether it holds.
    from_epoch: Its first epoch.
    starts_at: When that begins.
    ends_at: Until when; null where nothing else is known to follow.
    changes: What is other than before.
    staged_at: When it was staged.
    staged_by: By whom, as the log says.
    log_index: The act's entry in the log.
    """

    state: Literal["over", "in_force", "to_come"]
    from_epoch: int
    starts_at: int
    ends_at: int | None
    changes: tuple[ParameterChange, ...]
    staged_at: int
    staged_by: str
    log_index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariffs:
    """The market's tariffs.

    zone: The site's time zone.
    epoch: The running epoch.
    epoch_seconds: The length of an epoch.
    parameters: What holds, and what is staged.
    staged_from: The epoch from which what is staged holds; null where nothing is.
    staged_starts_at: When that begins.
    proposals: Changes that are proposed.
    history: What was in force when, the newest first.
    """

    zone: str
    epoch: int
    epoch_seconds: int
    parameters: tuple[ParameterNow, ...]
    staged_from: int | None
    staged_starts_at: int | None
    proposals: tuple[OpenProposal, ...]
    history: tuple[TariffSpan, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An announcement as its readers have it: plain text.

    number: Its number.
    title: Its title.
    text: Its text; lines are parted by a newline.
    starts_at: From when on it is shown.
    ends_at: Until when.
    """

    number: int
    title: str
    text: str
    starts_at: int
    ends_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trades:
    """What the market moved in a span; paid with wheeling, received after the fee.

    bought_wh: Energy bought.
    paid_micro_credits: Paid for it, wheeling included.
    sold_wh: Energy sold.
    received_micro_credits: Received for it, after the fee.
    """

    bought_wh: int
    paid_micro_credits: int
    sold_wh: int
    received_micro_credits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferInput:
    """What to move. give: also to_name (exact) or to_code.

    amount: Wh or micro-credits.
    to_name: The member's name.
    to_code: The member's code.
    """

    act: Literal["deposit", "withdraw", "give"]
    asset: Literal["energy", "credit"]
    amount: int
    to_name: str = ""
    to_code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferPreview:
    """What a transfer would do; nothing is asked for yet.

    act: deposit: from the wallet into the market; withdraw: out of it; give: to another member's wallet.
    asset: energy: Wh; credit: micro-credits.
    amount: How much, Wh or micro-credits.
    says: What it does, in words.
    to: Who is given to: the first and the last letter of its name; null where nobody is.
    to_code: Its code, by which it is meant from now on; null where nobody is given to.
    wallet_before: What is in the wallet before.
    market_before: What is free in the market before.
    wallet_after: What is in the wallet after.
    market_after: What is free in the market after.
    given_today: give: what was given in the last 24 hours; null otherwise.
    most_a_day: give: the most that may be given in 24 hours; null otherwise.
    take_back_seconds: How long it can be taken back, before it is carried out.
    needs_sign_in: Whether it takes a sign-in of just now, which a program's token never is.
    """

    act: Literal["deposit", "withdraw", "give"]
    asset: Literal["energy", "credit"]
    amount: int
    says: str
    to: str | None
    to_code: str | None
    wallet_before: int
    market_before: int
    wallet_after: int
    market_after: int
    given_today: int | None
    most_a_day: int | None
    take_back_seconds: int
    needs_sign_in: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TreasurerBill:
    """An issued bill, with what was corrected and paid of it.

    standing: How far it is paid.
    issued_at: When it was issued.
    sha256: SHA-256 of its document, which is in the log.
    log_leaf: The leaf of the log that has it.
    document: The document as it was issued.
    corrections: Corrections, as they were entered.
    payments: Payments, withdrawn ones too.
    """

    standing: BillStanding
    issued_at: int
    sha256: str
    log_leaf: int
    document: dict[str, Any]
    corrections: tuple[BillCorrection, ...]
    payments: tuple[BankPayment, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What waits for the department, and the figures beside it.

    time: When this was looked at.
    things: What needs a person, the most urgent first.
    gateways: Gateways.
    gateways_heard: Those of them that were heard lately.
    readings_held: Readings that wait for an operator.
    enrolments_waiting: Gateways that wait to be let in.
    disputes_waiting: Disputes that wait for an answer.
    settlement_alerts: Alerts of settlement.
    epochs_behind: Epochs whose grace is over, and that have no checkpoint.
    operator_lamports: What the operator's wallet has; null where the chain does not answer.
    operator_days_left: For how many days that lasts; null where it is not known.
    backup_at: When the last backup was made; null: never.
    paused: What governance has stopped; null where the validator does not answer.
    meters: Every meter in use.
    """

    time: int
    things: tuple[WaitingThing, ...]
    gateways: int
    gateways_heard: int
    readings_held: int
    enrolments_waiting: int
    disputes_waiting: int
    settlement_alerts: int
    epochs_behind: int
    operator_lamports: int | None
    operator_days_left: float | None
    backup_at: int | None
    paused: tuple[str, ...] | None
    meters: tuple[MeterWaiting, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingReading:
    """A reading of the epoch's end that is not on the chain.

    meter: GATEWAY/METER.
    why: missing: none came; held: it waits for an operator; on_the_way: it goes to the chain; refused: the chain did.
    log_index: Its entry in the log; null where none came.
    error: What the chain answered.
    """

    meter: str
    why: Literal["missing", "held", "on_the_way", "refused"]
    log_index: int | None
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingThing:
    """Something that needs a person.

    code: What it is, for programs, such as held or meter_silent.
    subject: Whom or what it is about.
    text: What is wrong, and what to do, in a sentence.
    about: Tells things of one code and subject apart; often empty.
    """

    code: str
    subject: str
    text: str
    about: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletState:
    """Who signs for the member, and what is on its way there.

    wallet: The wallet that signs, by its address.
    in_custody: Whether the department keeps its key, and signs for the member.
    lamports: What the wallet has for fees, lamports.
    proposed_wallet: A wallet that is proposed to take over; null where none is.
    proposed_from: From when on it may take over, Unix seconds.
    """

    wallet: str
    in_custody: bool
    lamports: int
    proposed_wallet: str | None
    proposed_from: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WishInput:
    """What to do. place: side, price, quantity; cancel: number; transfer: also `to`; the others: asset and amount.

    amount: Wh or micro-credits.
    to: The recipient's wallet, by its address.
    purpose: retire: against what was drawn in this billing period, or fed in for credits.
    source: retire: out of which.
    """

    act: Literal["place", "cancel", "deposit", "withdraw", "transfer", "retire"]
    side: Literal["bid", "ask"] = "bid"
    price_micro_credits_per_kwh: int = 0
    quantity_wh: int = 0
    number: int = 0
    asset: Literal["energy", "credit"] = "energy"
    amount: int = 0
    to: str = ""
    purpose: Literal["consumption", "feed_in"] = "consumption"
    source: Literal["market", "wallet"] = "market"

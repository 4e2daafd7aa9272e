"""The authority's durable store: SQLAlchemy models, one module per concern, over SQLite or PostgreSQL.

`Store.open(url)` migrates and opens. Read the models where you need them:
- authority.store.people: User, WalletRequest, StatusRequest, Installation
- authority.store.persons: Person, PersonRole, Invitation, Passkey, PersonSession, ProgramToken, ProofLink, LoggedRead,
  Proposal, LeaveRequest, NoticeChoice, NoticeState, NoticeMail,
  Webhook, WebhookDelivery
- authority.store.metering: Gateway, Meter, MeterTenure, MeterKey, Frame, ParkedFrame, Incident, LivePower
- authority.store.enrolments: Claim, Enrolment, EnrolmentMeter
- authority.store.log: LogState, LogLeaf, LogTile, Checkpoint, Act, LogName, ActWords
- authority.store.leases: Lease
- authority.store.market: StandingOrderPolicy, ShownBook, PendingTransaction, HandOrderRow, TransferRow, MemberCode
- authority.store.settlement: SettlementEpoch, SettledSpan, LookupTable, LookupEntry, SettlementAct, Alert
- authority.store.billing: ChainEvents, HistoryCursor, BillingPeriod, IssuedBill, CreditEntry, BillMail,
  CreditRequest, BillPayment, BankAccount, PayoutOrder
- authority.store.desk: Ticket, TicketWords, ExchangeDraft, Announcement
- authority.store.day_sums: EnergyDay, EnergyDaysKept, TradeDay, TradeDaysKept, MarketDay, PublicDay
- authority.store.watched: ServiceChange
- authority.store.comparisons: BooksComparison

All are imported here, for a backup copies the tables that are known.
"""

from authority.store import (
    billing,
    comparisons,
    day_sums,
    desk,
    enrolments,
    leases,
    log,
    market,
    metering,
    people,
    persons,
    settlement,
    watched,
)
from authority.store.engine import Store, StoreError

__all__ = [
    "Store",
    "StoreError",
    "billing",
    "comparisons",
    "day_sums",
    "desk",
    "enrolments",
    "leases",
    "log",
    "market",
    "metering",
    "people",
    "persons",
    "settlement",
    "watched",
]

"""A chain that went back: what the store has as done and the chain has not, and how it is done again.

A validator that was killed, or whose ledger was restored, may come back at an earlier moment. The log and the store
are ahead of it then. Nothing is lost that was signed: readings go to the chain again, in their order, and what was
settled with them is settled again. What the authority did otherwise since (credits, registrations, parameters) was
undone; the log says so in one act, `chain_went_back`, from which the audit knows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from solders.pubkey import Pubkey
from solders.signature import Signature
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from authority.chain import accounts, programs
from authority.chain.client import ChainClient
from authority.chain.errors import NotDeployedError
from authority.errors import AuthorityError
from authority.language.reading import marked
from authority.log import log
from authority.log.restoration import CHAIN_MOVED, CHAIN_WENT_BACK, restorations
from authority.market import transfers
from authority.settlement.journal import set_frames
from authority.store import Store
from authority.store.billing import ChainEvents, HistoryCursor
from authority.store.day_sums import trades_changed
from authority.store.log import Act
from authority.store.metering import (
    CHAIN_CONFIRMED,
    CHAIN_PENDING,
    CHAIN_SKIPPED,
    CHAIN_SUBMITTED,
    METER_ACTIVE,
    METER_APPROVED,
    PASSED,
    Frame,
    Meter,
)
from authority.store.people import Installation, User
from authority.store.settlement import (
    EPOCH_STATES,
    LookupEntry,
    LookupTable,
    SettledSpan,
    SettlementAct,
    SettlementEpoch,
    act_key,
)

OF_MEMBERS = frozenset({"place_order", "cancel_order", "retire_energy", "tokens_moved", "withdraw"})
"""Acts of settlement in members' names: they may not land, and are not done again for their own sake."""
UNDONE = marked("the chain went back, and this was undone with it: ask for it again")
STATUSES_AT_ONCE = 256
WENT_BACK = "chain"
"""What the alert about a chain that went back is about."""


class OtherChainError(AuthorityError):
    """The validator that answers has another campus's chain."""

    code = "other_chain"


@dataclass(frozen=True)
class Standing:
    """Where the chain stands: its last checkpoint's epoch, and by meter (its row) key and sequence of the last reading.

    log_size is the number of leaves that the last checkpoint pins. ends are the boundaries of members by wallet.
    """

    last_checkpoint: int | None
    log_size: int
    log_root: bytes
    meters: dict[int, tuple[bytes, int] | None]
    ends: dict[str, int]
    unregistered: tuple[tuple[str, int], ...]


@dataclass
class Undone:
    """What the store has as done and the chain has not. acts are log index and kind of those that the chain lacks."""

    last_checkpoint: int | None
    epochs: list[int] = field(default_factory=list)
    readings: int = 0
    acts: list[tuple[int, str]] = field(default_factory=list)
    unregistered: list[str] = field(default_factory=list)
    log_index: int | None = None

    @property
    def any(self) -> bool:
        """Whether there is anything."""
        return bool(self.epochs or self.readings or self.acts or self.unregistered)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "last_checkpoint": self.last_checkpoint,
            "epochs": self.epochs,
            "readings": self.readings,
            "acts": [{"log_index": index, "kind": kind} for index, kind in self.acts],
            "unregistered": self.unregistered,
            "log_index": self.log_index,
        }


def standing(store: Store, client: ChainClient, network_id: bytes) -> Standing:
    """Read where the chain stands. OtherChainError, NotDeployedError, ChainError."""
    config = client.account(accounts.Config, programs.config_address())
    if config is None:
        raise NotDeployedError("the programs are not initialized on this chain: authority deploy")
    if config.network_id != network_id:
        raise OtherChainError(
            f"the chain at {client.url} belongs to network {config.network_id.hex()}: see [validator] url",
        )
    oracle = client.account(accounts.Oracle, programs.oracle_authority())
    last = None
    if oracle is not None and oracle.has_checkpoint:
        last = client.account(accounts.EpochCheckpoint, programs.checkpoint_address(oracle.last_epoch))
    with store.read() as session:
        meters = session.scalars(select(Meter).where(Meter.registered_at.is_not(None))).all()
        users = session.scalars(select(User).where(User.registered_at.is_not(None))).all()
        installations = session.scalars(select(Installation).where(Installation.registered_at.is_not(None))).all()
    states = client.accounts_at(accounts.MeterState, [programs.meter_state_address(each.meter_id) for each in meters])
    registered = client.accounts_at(accounts.Meter, [programs.meter_address(each.meter_id) for each in meters])
    members = [Pubkey.from_string(each.wallet) for each in users]
    known = client.accounts_at(accounts.User, [programs.user_address(each) for each in members])
    energy = client.accounts_at(accounts.EnergyAccount, [programs.energy_account_address(each) for each in members])
    built = client.accounts_at(accounts.Installation, [programs.installation_address(each.n) for each in installations])
    gone = [("user", each.id) for each, found in zip(users, known, strict=True) if found is None]
    gone += [("installation", each.n) for each, found in zip(installations, built, strict=True) if found is None]
    gone += [("meter", each.id) for each, found in zip(meters, registered, strict=True) if found is None]
    return Standing(
        oracle.last_epoch if oracle is not None and oracle.has_checkpoint else None,
        0 if last is None else last.log_size,
        b"" if last is None else last.log_root,
        {
            meter.id: None if state is None or found is None or not state.interval_end else (found.key, state.sequence)
            for meter, state, found in zip(meters, states, registered, strict=True)
        },
        {user.wallet: 0 if account is None else account.boundary for user, account in zip(users, energy, strict=True)},
        tuple(gone),
    )


def log_is_behind(session: Session, stands: Standing) -> bool:
    """Whether the chain's last checkpoint pins leaves that the log has not, and that no restoration gave up."""
    if stands.last_checkpoint is None:
        return False
    size = log.size(session)
    if stands.log_size <= size and log.root(session, stands.log_size) == stands.log_root:
        return False
    return not any(each.last_epoch >= stands.last_checkpoint for each in restorations(session).restored)


def is_behind(session: Session, stands: Standing) -> bool:
    """Whether the chain lacks a checkpoint or a reading that the store has seen on it: a quick look."""
    checkpointed = select(SettlementEpoch.epoch).where(SettlementEpoch.checkpointed_ms.is_not(None))
    last = session.scalar(checkpointed.order_by(SettlementEpoch.epoch.desc()).limit(1))
    if last is not None and (stands.last_checkpoint is None or last > stands.last_checkpoint):
        return True
    if stands.unregistered:
        return True
    for meter, at in stands.meters.items():
        newest = session.execute(
            select(Frame.public_key, Frame.sequence)
            .where(Frame.meter_pk == meter, Frame.chain_status == CHAIN_CONFIRMED)
            .order_by(Frame.log_index.desc())
            .limit(1)
        ).one_or_none()
        if newest is not None and (at is None or (newest.public_key == at[0] and newest.sequence > at[1])):
            return True
    return False


def undone(session: Session, client: ChainClient, stands: Standing) -> Undone:
    """Everything that the store has as done and the chain has not; nothing is changed."""
    found = Undone(stands.last_checkpoint)
    after = -1 if stands.last_checkpoint is None else stands.last_checkpoint
    found.epochs = list(
        session.scalars(
            select(SettlementEpoch.epoch)
            .where(SettlementEpoch.epoch > after, SettlementEpoch.checkpointed_ms.is_not(None))
            .order_by(SettlementEpoch.epoch)
        )
    )
    found.readings = len(list(_to_send_again(session, stands)))
    found.acts = list(_missing_acts(session, client, _first_leaf(client, stands)))
    found.unregistered = [f"{kind} {number}" for kind, number in stands.unregistered]
    return found


def go_back(
    store: Store, client: ChainClient, network_id: bytes, *, actor: str, now: int, dry_run: bool = False
) -> Undone:
    """Bring the store back to where the chain stands, so that settlement does all of it again; one act says so.

    Doing it twice does no more than doing it once. The acts of a store that is not ahead of its chain are not touched.
    """
    stands = standing(store, client, network_id)
    with store.read() as session:
        found = undone(session, client, stands)
    if dry_run or not found.any:
        return found
    with store.read() as session:
        moved = [
            signature
            for _, _, signature in _missing(session, client, _first_leaf(client, stands), frozenset({"tokens_moved"}))
        ]
    gone_tables = _gone_tables(store, client)
    cursor = _last_known(store, client)
    with store.write() as session:
        index = log.lock(session).size
        from_leaf = min(_first_leaf(client, stands), index)
        _forget(session, stands, from_leaf)
        _forget_tables(session, gone_tables)
        _forget_history(session, cursor)
        transfers.undo(session, moved, UNDONE)
        data = {
            "epochs": len(found.epochs),
            "from_leaf": from_leaf,
            "last_epoch": stands.last_checkpoint,
            "readings": found.readings,
            "undone": len(found.acts),
        }
        found.log_index = log.record_act(session, CHAIN_WENT_BACK, actor, now, data)
    return found


def _to_send_again(session: Session, stands: Standing) -> Iterator[int]:
    """Log indexes of readings that passed, count as done, and lie beyond what the chain has of their meters."""
    for meter, at in stands.meters.items():
        beyond = -1
        if at is not None:
            place = session.scalar(select(Frame.log_index).where(Frame.public_key == at[0], Frame.sequence == at[1]))
            if place is None:
                continue  # the chain is ahead of the store with this meter
            beyond = place
        yield from session.scalars(
            select(Frame.log_index).where(
                Frame.meter_pk == meter,
                Frame.log_index > beyond,
                Frame.disposition.in_(PASSED),
                Frame.chain_status.in_((CHAIN_CONFIRMED, CHAIN_SUBMITTED, CHAIN_SKIPPED)),
                Frame.chain_error.is_(None),
            )
        )


def _first_leaf(client: ChainClient, stands: Standing) -> int:
    """From which leaf on acts may be missing: from the checkpoint before the chain's last one."""
    if stands.last_checkpoint is None:
        return 0
    before = client.account(accounts.EpochCheckpoint, programs.checkpoint_address(stands.last_checkpoint - 1))
    return 0 if before is None else before.log_size


def _missing_acts(session: Session, client: ChainClient, first: int) -> Iterator[tuple[int, str]]:
    """The department's acts from a leaf on whose transactions the chain does not have."""
    for index, kind, _ in _missing(session, client, first):
        yield index, kind


def _missing(
    session: Session, client: ChainClient, first: int, kinds: Collection[str] = ()
) -> Iterator[tuple[int, str, str]]:
    """Acts from a leaf on whose transactions the chain does not have: leaf, kind, signature.

    They are of these kinds; where none is named, all but those in members' names. Left out are those that another act
    has told of, and those that lie on the validator before.
    """
    told = session.scalar(
        select(Act.log_index)
        .where(Act.kind.in_((CHAIN_WENT_BACK, CHAIN_MOVED)))
        .order_by(Act.log_index.desc())
        .limit(1)
    )
    first = max(first, -1 if told is None else told + 1)
    rows = session.execute(
        select(Act.log_index, Act.kind, Act.data).where(Act.log_index >= first).order_by(Act.log_index)
    ).all()
    signed = [
        (row.log_index, row.kind, row.data["signature"])
        for row in rows
        if isinstance(row.data.get("signature"), str) and (row.kind in kinds if kinds else row.kind not in OF_MEMBERS)
    ]
    for start in range(0, len(signed), STATUSES_AT_ONCE):
        some = signed[start : start + STATUSES_AT_ONCE]
        answer = client.call("getSignatureStatuses", [each[2] for each in some], {"searchTransactionHistory": True})[
            "value"
        ]
        for act, status in zip(some, answer, strict=True):
            if status is None:
                yield act


def _forget(session: Session, stands: Standing, from_leaf: int) -> None:
    again = list(_to_send_again(session, stands))
    for start in range(0, len(again), STATUSES_AT_ONCE):
        set_frames(session, again[start : start + STATUSES_AT_ONCE], chain_status=CHAIN_PENDING)
    after = -1 if stands.last_checkpoint is None else stands.last_checkpoint
    stages = ("opened", "orders_placed", "ended", "submitted", "minted", "cleared", "settled", "checkpointed")
    session.execute(
        update(SettlementEpoch)
        .where(SettlementEpoch.epoch > after)
        .values(
            state=EPOCH_STATES[0], readings_on_chain=0, bids=0, asks=0, traded_wh=0, clearing_price=None,
            book_hash=None, book_log_index=None, publishable=None, log_size=None, log_root=None,
            **{f"{stage}_ms": None for stage in stages},
        )
    )  # fmt: skip
    trades_changed(session, after + 1)
    for wallet, end in stands.ends.items():
        session.execute(delete(SettledSpan).where(SettledSpan.wallet == wallet, SettledSpan.boundary > end))
    session.execute(delete(SettlementAct).where(SettlementAct.log_index >= from_leaf))
    for epoch in session.scalars(select(SettlementEpoch.epoch).where(SettlementEpoch.epoch > after)):
        keys = [act_key(f"{kind}:{epoch}") for kind in ("book", "checkpoint_epoch", "trigger_clearing", "refund_epoch")]
        session.execute(delete(SettlementAct).where(SettlementAct.key.in_(keys)))
    for kind, number in stands.unregistered:
        if kind == "user":
            session.execute(update(User).where(User.id == number).values(registered_at=None))
        elif kind == "installation":
            session.execute(update(Installation).where(Installation.n == number).values(registered_at=None))
        else:
            of_meter = update(Meter).where(Meter.id == number)
            session.execute(of_meter.values(registered_at=None))
            # until the chain has it again, its readings are held
            session.execute(of_meter.where(Meter.state == METER_ACTIVE).values(state=METER_APPROVED))


def _gone_tables(store: Store, client: ChainClient) -> dict[str, list[str] | None]:
    """Of each lookup table that the chain has not as the store has it, the addresses that it lacks; None: all of it."""
    with store.read() as session:
        tables = session.scalars(select(LookupTable.address)).all()
        entries = session.execute(select(LookupEntry.address, LookupEntry.table)).all()
    found: dict[str, list[str] | None] = {}
    for table in tables:
        held = client.lookup_table(Pubkey.from_string(table))
        if held is None:
            found[table] = None
            continue
        there = {str(address) for address in held.addresses}
        lacking = [row.address for row in entries if row.table == table and row.address not in there]
        if lacking:
            found[table] = lacking
    return found


def _forget_tables(session: Session, gone: dict[str, list[str] | None]) -> None:
    for table, addresses in gone.items():
        if addresses is None:
            session.execute(delete(LookupEntry).where(LookupEntry.table == table))
            session.execute(delete(LookupTable).where(LookupTable.address == table))
        else:
            session.execute(delete(LookupEntry).where(LookupEntry.address.in_(addresses)))


def _last_known(store: Store, client: ChainClient) -> tuple[int, bytes] | None:
    """The last transaction of those that billing took in which the chain still has: its row, and signature."""
    with store.read() as session:
        rows: Sequence[Any] = session.execute(
            select(ChainEvents.n, ChainEvents.signature).order_by(ChainEvents.n.desc())
        ).all()
    for row in rows:
        if client.transaction(Signature.from_bytes(row.signature)) is not None:
            return row.n, row.signature
    return None


def _forget_history(session: Session, known: tuple[int, bytes] | None) -> None:
    session.execute(delete(ChainEvents).where(ChainEvents.n > (-1 if known is None else known[0])))
    session.execute(delete(HistoryCursor))
    if known is not None:
        session.add(HistoryCursor(id=1, signature=known[1]))

"""What is looked at: gateways, meters, readings, epochs, the chain, money, disk and backup, as they are now.

Only facts; what of them needs a person is authority.status.judgement's. Times are Unix seconds. What cannot be known
(a validator that does not answer) is None.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from solders.pubkey import Pubkey
from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from authority.app import App
from authority.chain import accounts, programs
from authority.chain.client import ChainClient
from authority.chain.errors import ChainError, NotDeployedError
from authority.enrolment.names import Names
from authority.governance import acts
from authority.home import certificates
from authority.home.errors import HomeError
from authority.home.home import Home
from authority.operations import tickets, wallet_requests
from authority.people import leave_requests
from authority.people.dangerous import KINDS, By
from authority.people.proposals import APPROVED, undecided
from authority.store import comparisons
from authority.store.leases import Lease
from authority.store.metering import (
    CHAIN_CONFIRMED,
    Frame,
    Gateway,
    Meter,
    held_back,
    waiting_for_the_chain,
)
from authority.store.settlement import Alert, SettlementEpoch

BACKUP_NOTE = "last-backup.json"
"""In the home: when `authority backup` last finished, and what it wrote."""
WATCHDOG_NOTE = "validator-watch.json"
"""In the home: what `authority watchdog` tells of the validator that it runs."""
ALERTS_NOTE = "alerts.json"
"""In the home: what the alerts' process knows, and what waits to be told (authority.monitoring.changes)."""
COMPARED_CHECKPOINTS = 500
"""How many of the newest checkpoints are looked for on the chain."""
MAX_PROBLEMS = 20
"""Of one gateway: its status is whatever it sends."""
SINGULAR = ("collector", "settlement")


@dataclass(frozen=True)
class GatewayFacts:
    """A gateway: `problems` in its own words, code and message; certificate_ends of the one it uses."""

    name: str
    state: str
    online: bool
    seen_at: int | None
    problems: tuple[str, ...]
    certificate_ends: int | None


@dataclass(frozen=True)
class MeterFacts:
    """A meter in use: its last reading's interval end, how many wait for the chain, how many for a decision.

    member is whose it is; None where that is not told.
    """

    gateway: str
    name: str
    member: str | None
    state: str
    last_interval_end: int | None
    waiting: int
    held: int
    on_chain: bool


@dataclass(frozen=True)
class AlertFacts:
    """What settlement could not do, with names for addresses."""

    code: str
    text: str
    first_at: int
    count: int


@dataclass(frozen=True)
class ChainFacts:
    """The validator: `error` where it does not answer. clock is the chain's own time at the newest confirmed slot.

    missing_checkpoints are epochs that the store has as checkpointed and the chain has not; behind_meters are meters of
    which the store has readings as confirmed that the chain has not. lamports are the operator's, lamports_a_day what
    it spends, None before that can be told. paused are the activities that governance has stopped, idle_settings the
    keys of authority.toml's [parameters] that do not act, since the chain has other values.
    """

    url: str
    error: str | None = None
    slot: int | None = None
    clock: int | None = None
    last_checkpoint: int | None = None
    missing_checkpoints: tuple[int, ...] = ()
    behind_meters: tuple[str, ...] = ()
    operator: str = ""
    lamports: int | None = None
    lamports_a_day: int | None = None
    paused: tuple[str, ...] = ()
    idle_settings: tuple[str, ...] = ()

    @property
    def days_left(self) -> float | None:
        """For how many days the operator's money lasts at the present rate."""
        if self.lamports is None or not self.lamports_a_day:
            return None
        return self.lamports / self.lamports_a_day


@dataclass(frozen=True)
class ChannelFacts:
    """Mail or webhook: how many changes wait, since when it takes nothing, and what it answered."""

    name: str
    waiting: int
    failing_since: int | None
    error: str


@dataclass(frozen=True)
class AlertingFacts:
    """The alerts' process: when it last looked, and its channels."""

    looked_at: int
    channels: tuple[ChannelFacts, ...]


@dataclass(frozen=True)
class ProposalFacts:
    """What takes two people and is not done: waiting for another person, or approved and to be carried out.

    words say what it is; by_proposer is whether the proposer carries it out, who is shown a name.
    """

    id: str
    words: str
    approved: bool
    by_proposer: bool


@dataclass(frozen=True)
class ComparisonFacts:
    """The last comparison of books and chain: when it was begun, how much differed."""

    started_at: int
    differences: int


@dataclass(frozen=True)
class Facts:
    """All of it, at a time."""

    time: int
    epoch_seconds: int
    grace_seconds: int
    gateways: tuple[GatewayFacts, ...]
    meters: tuple[MeterFacts, ...]
    held_by_code: Mapping[str, int]
    alerts: tuple[AlertFacts, ...]
    last_checkpointed: int | None
    settled_any: bool
    running: Mapping[str, bool]
    chain: ChainFacts
    disk_free: int
    disk_total: int
    server_certificate_ends: int | None
    backup_at: int | None
    enrolments_waiting: tuple[str, ...] = field(default=())
    proposals: tuple[ProposalFacts, ...] = field(default=())
    wallet_requests: tuple[int, ...] = field(default=())
    leave_requests: tuple[tuple[int, bool], ...] = field(default=())
    """Wallets that members asked for and that an operator has to decide, by their numbers."""
    disputes: tuple[int, ...] = field(default=())
    """What members dispute and nobody has answered, by their numbers."""
    watchdog: Mapping[str, Any] | None = None
    """What `authority watchdog` tells: state, slot, starts and remedies; None where it does not run the validator."""
    alerting: AlertingFacts | None = None
    comparison: ComparisonFacts | None = None
    """None before the first one."""

    @property
    def epoch(self) -> int:
        """The current epoch, by this machine's clock."""
        return self.time // self.epoch_seconds

    @property
    def epochs_behind(self) -> int:
        """Epochs that have ended, whose grace is over, and that have no checkpoint yet."""
        if self.last_checkpointed is None:
            return 0
        due = (self.time - self.grace_seconds) // self.epoch_seconds - 1
        return max(0, due - self.last_checkpointed)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            **asdict(self),
            "epoch": self.epoch,
            "epochs_behind": self.epochs_behind,
            "operator_days_left": self.chain.days_left,
        }


def gather(app: App, client: ChainClient, *, names: bool = True) -> Facts:
    """Look at everything once. Store errors are raised: without the store nothing is known.

    Without names no member's is among it: addresses stay as the chain has them.
    """
    now, home = app.clock(), app.home
    settings = home.settings
    with app.store.read() as session:
        known = Names.load(session, home) if names else Names({})
        held = session.execute(select(Frame.meter_pk, Frame.code).where(held_back(Frame))).all()
        meters = _meters(session, Counter(row.meter_pk for row in held), names=names)
        epochs = (
            select(SettlementEpoch.epoch)
            .where(SettlementEpoch.epoch <= now // settings.epoch.seconds)
            .order_by(SettlementEpoch.epoch.desc())
        )
        checkpointed = list(
            session.scalars(epochs.where(SettlementEpoch.checkpointed_ms.is_not(None)).limit(COMPARED_CHECKPOINTS))
        )
        facts: dict[str, Any] = {
            "gateways": _gateways(session),
            "meters": tuple(facts for facts, _, _ in meters),
            "held_by_code": dict(sorted(Counter(row.code for row in held).items())),
            "alerts": _alerts(session, known),
            "settled_any": session.scalar(epochs.limit(1)) is not None,
            "running": _running(session, now),
            "enrolments_waiting": _waiting(session),
            "wallet_requests": tuple(wallet_requests.waiting(session)),
            "leave_requests": tuple(leave_requests.waiting(session)),
            "comparison": _comparison(session),
            "disputes": tuple(tickets.waiting(session)),
            "proposals": tuple(
                ProposalFacts(each.id, kind.words, each.state == APPROVED, kind.by is By.PROPOSER)
                for each in undecided(session, now)
                for kind in (KINDS[each.kind],)
            ),
        }
    disk = shutil.disk_usage(home.path)
    return Facts(
        time=now,
        epoch_seconds=settings.epoch.seconds,
        grace_seconds=settings.parameters.grace_seconds,
        last_checkpointed=checkpointed[0] if checkpointed else None,
        chain=_chain(app, client, checkpointed, [(facts, pk, top) for facts, pk, top in meters]),
        disk_free=disk.free,
        disk_total=disk.total,
        server_certificate_ends=_ends(home.key_path("server.pem")),
        backup_at=_backup_at(home.path),
        watchdog=_watchdog(home.path),
        alerting=_alerting(home) if settings.alerts.channels else None,
        **facts,
    )


def _gateways(session: Session) -> tuple[GatewayFacts, ...]:
    return tuple(
        GatewayFacts(
            gateway.name,
            gateway.state,
            gateway.online,
            gateway.seen_at,
            told_problems(gateway.status),
            None if gateway.certificate is None else _end_of(gateway.certificate.encode()),
        )
        for gateway in session.scalars(select(Gateway).order_by(Gateway.name))
    )


def told_problems(status: object) -> tuple[str, ...]:
    """The problems in a gateway's status, as sentences; whatever else it sent is passed over."""
    if not isinstance(status, dict):
        return ()
    found = _errors(status, "")
    meters = status.get("meters")
    for name, meter in meters.items() if isinstance(meters, dict) else ():
        found += _errors(meter, f"{name}: ")
    return tuple(found[:MAX_PROBLEMS])


def _errors(part: object, prefix: str) -> list[str]:
    errors = part.get("errors") if isinstance(part, dict) else None
    if not isinstance(errors, dict):
        return []
    return [
        _printable(f"{prefix}{error.get('code')}: {error.get('message')}")
        for error in errors.values()
        if isinstance(error, dict)
    ]


def _printable(text: str) -> str:
    """At most 200 characters that a terminal shows and does not obey."""
    return "".join(character if character.isprintable() else "?" for character in text)[:200]


def _meters(session: Session, held: Mapping[int, int], *, names: bool) -> list[tuple[MeterFacts, bytes, int | None]]:
    """Each meter in use, with its id and the sequence of the last reading that the store has as confirmed on the chain.

    held is the number of readings of a meter (its key in the store) that are held back. The last reading of a meter is
    looked up meter by meter: a query over all readings would take longer every year.
    """
    on_way = select(Frame.meter_pk, func.count()).where(waiting_for_the_chain(Frame)).group_by(Frame.meter_pk)
    waiting = dict(session.execute(on_way).all())
    newest = select(Frame.interval_end).where(Frame.meter_pk == Meter.id).order_by(Frame.log_index.desc()).limit(1)
    confirmed = (
        select(Frame.sequence)
        .where(Frame.meter_pk == Meter.id, Frame.chain_status == CHAIN_CONFIRMED)
        .order_by(Frame.log_index.desc())
        .limit(1)
    )
    rows = session.execute(
        select(Meter, newest.scalar_subquery(), confirmed.scalar_subquery())
        .where(Meter.public_key.is_not(None))
        .options(joinedload(Meter.user))
        .order_by(Meter.gateway_name, Meter.name)
    )
    return [
        (
            MeterFacts(
                meter.gateway_name,
                meter.name,
                meter.user.name if names else None,
                meter.state,
                last,
                waiting.get(meter.id, 0),
                held.get(meter.id, 0),
                meter.registered_at is not None,
            ),
            meter.meter_id,
            top,
        )
        for meter, last, top in rows
    ]


def _alerts(session: Session, names: Names) -> tuple[AlertFacts, ...]:
    open_alerts = session.scalars(select(Alert).where(Alert.resolved_at.is_(None)).order_by(Alert.first_at))
    return tuple(
        AlertFacts(alert.code, names.in_text(f"{alert.subject}: {alert.message}"), alert.first_at, alert.count)
        for alert in open_alerts
    )


def _comparison(session: Session) -> ComparisonFacts | None:
    newest = comparisons.newest(session)
    return None if newest is None else ComparisonFacts(newest.started_at, newest.differences)


def _running(session: Session, now: int) -> dict[str, bool]:
    ends = {lease.name: lease.expires_at for lease in session.scalars(select(Lease))}
    return {name: ends.get(name, 0) > now for name in SINGULAR}


def _waiting(session: Session) -> tuple[str, ...]:
    from authority.enrolment.requests import pending  # noqa: PLC0415 - the enrolments alone need it

    return tuple(enrolment.gateway_name for enrolment in pending(session))


def _chain(
    app: App, client: ChainClient, checkpointed: Sequence[int], meters: Sequence[tuple[MeterFacts, bytes, int | None]]
) -> ChainFacts:
    operator = _own_operator(app)
    url = app.home.rpc_url
    try:
        clock = client.clock()
        governance = _governance(client)
        if governance is not None:
            operator = Pubkey.from_string(governance.operator)
        checkpoints = client.raw_accounts([programs.checkpoint_address(epoch) for epoch in checkpointed])
        states = client.accounts_at(
            accounts.MeterState, [programs.meter_state_address(meter_id) for _, meter_id, _ in meters]
        )
        on_chain = [epoch for epoch, account in zip(checkpointed, checkpoints, strict=True) if account is not None]
        return ChainFacts(
            url,
            slot=clock.slot,
            clock=clock.unix_timestamp,
            last_checkpoint=max(on_chain, default=None),
            missing_checkpoints=tuple(sorted(set(checkpointed) - set(on_chain))),
            behind_meters=tuple(
                f"{facts.gateway}/{facts.name}"
                for (facts, _, top), state in zip(meters, states, strict=True)
                if top is not None and (state is None or state.sequence < top)
            ),
            operator=str(operator or ""),
            lamports=client.balance(operator) if operator else None,
            lamports_a_day=spending(client, str(operator)) if operator else None,
            paused=governance.paused if governance else (),
            idle_settings=tuple(acts.drift(app, governance)) if governance else (),
        )
    except ChainError as error:
        return ChainFacts(url, error=str(error), operator=str(operator or ""))


def _own_operator(app: App) -> Pubkey | None:
    """The address of the home's operator key; None in a process that does not get that key, such as the pages'."""
    try:
        return app.home.operator.pubkey()
    except HomeError:
        return None


def _governance(client: ChainClient) -> acts.Governance | None:
    try:
        return acts.read(client)
    except NotDeployedError:
        return None


def spending(client: ChainClient, address: str) -> int | None:
    """Lamports a day that an address has spent over its last thousand transactions; None where that cannot be told.

    Its balance after the oldest of them and after the newest are in the transactions themselves. Where it was sent
    money in between, the rate cannot be told until a thousand more have gone by.
    """
    listed = client.call("getSignaturesForAddress", address, {"limit": 1_000, "commitment": "confirmed"})
    found = [_balance_after(client, item["signature"], address) for item in (listed[:1] + listed[-1:])]
    if len(found) < 2 or None in found:
        return None
    (newest, after), (oldest, before) = found  # type: ignore[misc]
    if newest - oldest < 3_600 or before <= after:
        return None
    return int((before - after) * 86_400 / (newest - oldest))


def _balance_after(client: ChainClient, signature: str, address: str) -> tuple[int, int] | None:
    config = {"encoding": "json", "commitment": "confirmed", "maxSupportedTransactionVersion": 0}
    answer = client.call("getTransaction", signature, config)
    try:
        index = answer["transaction"]["message"]["accountKeys"].index(address)
        return int(answer["blockTime"]), int(answer["meta"]["postBalances"][index])
    except (TypeError, KeyError, ValueError, IndexError):
        return None


def _end_of(pem: bytes) -> int | None:
    try:
        return int(certificates.certificate_from_pem(pem).not_valid_after_utc.timestamp())
    except certificates.CertificateError:
        return None


def _ends(path: Path) -> int | None:
    try:
        return _end_of(path.read_bytes())
    except OSError:
        return None


def _alerting(home: Home) -> AlertingFacts:
    """What the alerts' process wrote last; of one that never did, that it never looked."""
    try:
        raw = json.loads((home.path / ALERTS_NOTE).read_text(encoding="utf-8"))
        return AlertingFacts(
            int(raw["looked_at"]),
            tuple(
                ChannelFacts(name, len(box["changes"]) + box["left_out"], box["failing_since"], str(box["error"]))
                for name, box in raw["outboxes"].items()
                if name in home.settings.alerts.channels
            ),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return AlertingFacts(0, ())


def _backup_at(home: Path) -> int | None:
    try:
        return int(json.loads((home / BACKUP_NOTE).read_text(encoding="utf-8"))["time"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _watchdog(home: Path) -> Mapping[str, Any] | None:
    try:
        told = json.loads((home / WATCHDOG_NOTE).read_text(encoding="utf-8"))
        return {name: told[name] for name in ("time", "state", "slot", "starts", "remedies")}
    except (OSError, ValueError, KeyError, TypeError):
        return None

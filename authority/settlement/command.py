"""`authority settlement`: run the worker, or look at and answer what it could not do."""

from __future__ import annotations

import argparse
import getpass
import signal
import threading
from collections.abc import Callable, Sequence
from functools import partial
from zoneinfo import ZoneInfo

from solders.pubkey import Pubkey
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from authority import heap
from authority.app import App
from authority.billing import credit_requests, payouts
from authority.billing.turn import each_epoch
from authority.chain import programs
from authority.chain.client import ChainClient
from authority.enrolment.approvals import Registrar
from authority.enrolment.names import Names
from authority.enrolment.wallets import unseal
from authority.errors import AuthorityError, MeterUnknownError
from authority.home.clock import clock_of
from authority.log import log
from authority.log.nameless import require_nameless
from authority.log.publish import publisher
from authority.log.witness import Witness, Witnesses
from authority.settlement import day_sums, retrying
from authority.settlement.chain import SettlementChain
from authority.settlement.lookup_tables import LookupTables
from authority.settlement.worker import Worker
from authority.store.lease import Lease
from authority.store.metering import METER_RETIRED, Frame, Meter
from authority.store.settlement import Alert
from edge_agent.wire.command import add_json, print_json
from edge_agent.wire.reading import FLAG_REGISTER_RESET
from edge_agent.wire.reading import Frame as SignedFrame

LEASE = "settlement"
Beside = Callable[[App, Callable[[], ChainClient], threading.Event], None]
"""What runs beside the worker until the event is set, with clients of its own."""


class SettlementError(AuthorityError):
    """What a person asked of the settlement worker cannot be done."""


class NotARebaseError(SettlementError):
    """The record does not say that its registers were reset, or does not wait for a person."""

    code = "not_a_rebase"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Without an action the worker runs until it is told to stop."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    actions.add_parser("run", help="run the worker until SIGTERM (the default)")
    actions.add_parser("once", help="do all that can be done now, and stop")
    alerts = actions.add_parser("alerts", help="what could not be done, and why")
    alerts.add_argument("--all", action="store_true", help="also what has gone away")
    add_json(alerts)
    rebase = actions.add_parser("rebase", help="let a meter go on from other registers, by its record that says so")
    rebase.add_argument("log_index", type=int, help="the record's index in the log, as its alert names it")
    out = actions.add_parser(
        "take-out", help="close a meter that was exchanged or taken out, so that its member waits for it no longer"
    )
    out.add_argument("meter", help="GATEWAY/METER, as the alert names it")
    out.add_argument("--reason", required=True, help="why; it is logged, so it names no person and no building")
    actions.add_parser("retry", help="send again the readings that wait for a person, such as after a rebase")


def run(arguments: argparse.Namespace, beside: Sequence[Beside] = ()) -> int:
    """Run the worker or one of the actions; LeaseError where another worker runs. `beside` runs with the worker."""
    serves = arguments.action in (None, "run", "once")
    app = App.open(arguments.home, process="settlement" if serves else None)
    try:
        if arguments.action == "alerts":
            _alerts(app, everything=arguments.all, as_json=arguments.json)
        elif arguments.action == "retry":
            _retry(app)
        elif arguments.action == "rebase":
            _rebase(app, arguments.log_index)
        elif arguments.action == "take-out":
            _take_out(app, arguments.meter, arguments.reason)
        else:
            _work(app, beside, once=arguments.action == "once")
    finally:
        app.store.close()
    return 0


def chain_for(app: App) -> SettlementChain:
    """The chain of a home, as settlement sees it."""
    client = ChainClient(app.home.rpc_url)
    tables = LookupTables(client, app.home.operator, app.store, list(programs.common_accounts().values()), app.clock)
    return SettlementChain(client, app.home.operator, tables)


def worker_for(app: App) -> Worker:
    """The worker of a home, not yet running."""
    chain, now = chain_for(app), clock_of(app.home.path)
    return Worker(
        app.store,
        chain,
        partial(unseal, app.home),
        lambda: int(now() * 1_000),
        publish=publisher(app.home.network_id, app.home.receipt_key),
        bill=partial(_each_epoch, app, chain.client),
    )


def _each_epoch(app: App, client: ChainClient) -> None:
    """Billing's step, and the sums that members' pages read; neither waits for the other."""
    try:
        each_epoch(app, client)
        payouts.forget_former(app)
    finally:
        settings = app.home.settings
        day_sums.keep(app.store, ZoneInfo(settings.site.zone), settings.epoch.seconds, app.clock())


def _work(app: App, beside: Sequence[Beside], *, once: bool) -> None:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    witnesses = [Witness.parse(text) for text in app.home.settings.log.witnesses]
    lease = Lease(app.store, app.clock, LEASE, lost=stop.set)
    lease.acquire()
    try:
        worker = worker_for(app)
        if once:
            worker.settle_down()
        else:
            asking = Witnesses(app.store, witnesses, app.clock)
            registrar = Registrar(app, lambda: ChainClient(app.home.rpc_url))
            others = [
                partial(run, app, lambda: ChainClient(app.home.rpc_url)) for run in (credit_requests.run, *beside)
            ]
            loops: list[Callable[[threading.Event], None]] = [asking.run, registrar.run, *others]
            for run_until in loops:
                threading.Thread(target=run_until, args=(stop,), daemon=True).start()
            heap.settle()
            worker.run(stop)
    finally:
        lease.release()


def _alerts(app: App, *, everything: bool, as_json: bool) -> None:
    query = select(Alert).order_by(Alert.last_at)
    if not everything:
        query = query.where(Alert.resolved_at.is_(None))
    with app.store.read() as session:
        names = Names.load(session, app.home)
        alerts = session.scalars(query).all()
        if as_json:
            print_json([_as_json(alert, names) for alert in alerts])
            return
        for alert in alerts:
            state = "" if alert.resolved_at is None else " (gone)"
            text = names.in_text(f"{alert.subject}: {alert.message}")
            print(f"{text} [{alert.code}, {alert.count} times]{state}")


def _as_json(alert: Alert, names: Names) -> dict[str, str | int | None]:
    return {
        "code": alert.code,
        "subject": names.in_text(alert.subject),
        "message": names.in_text(alert.message),
        "count": alert.count,
        "first_at": alert.first_at,
        "last_at": alert.last_at,
        "resolved_at": alert.resolved_at,
    }


def _retry(app: App) -> None:
    indexes = retrying.retry(app.store, actor=getpass.getuser(), now=app.clock())
    print(f"{len(indexes)} readings go to the chain again")


def _rebase(app: App, log_index: int) -> None:
    with app.store.write() as session:
        frame = session.get(Frame, log_index)
        if frame is None or frame.chain_error is None or not frame.record.flags & FLAG_REGISTER_RESET:
            raise NotARebaseError(
                f"leaf {log_index} is not a record that waits and says that its registers were reset; see the alerts",
            )
        signed, meter_id = SignedFrame.from_bytes(frame.frame), frame.meter.meter_id
        log.record_act(session, "meter_rebased", getpass.getuser(), app.clock(), {"reading": log_index})
    signature = chain_for(app).rebase(meter_id, signed)
    print(f"the meter goes on from its new registers; its next span is a baseline ({signature})")


def _take_out(app: App, name: str, reason: str) -> None:
    gateway, _, meter_name = name.partition("/")
    with app.store.write() as session:
        require_nameless(session, reason)
        meter = session.scalar(
            select(Meter).where(Meter.gateway_name == gateway, Meter.name == meter_name).options(joinedload(Meter.user))
        )
        if meter is None or meter.registered_at is None:
            raise MeterUnknownError(f"there is no meter {name} on the chain; see: authority enrol list")
        meter.state = METER_RETIRED
        data = {"meter_id": meter.meter_id.hex(), "reason": reason}
        log.record_act(session, "meter_taken_out", getpass.getuser(), app.clock(), data)
        meter_id, wallet = meter.meter_id, Pubkey.from_string(meter.user.wallet)
    signature = chain_for(app).close_meter(meter_id, wallet)
    print(f"{name} is closed: what it drew is settled by itself, and its member goes on without it ({signature})")

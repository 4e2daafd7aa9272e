"""`authority recover`: after a loss, bring log, store and chain together again, and say in the log what was lost."""

from __future__ import annotations

import argparse
import getpass
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from solders.pubkey import Pubkey
from solders.signature import Signature
from sqlalchemy import select

from authority.app import App
from authority.audit.command import chain_at
from authority.audit.stopped import validator_of
from authority.audit.verify import ChainSource
from authority.chain.client import ChainClient
from authority.collector.ingest import Collector
from authority.enrolment.registration import Registration
from authority.errors import AuthorityError
from authority.log import log
from authority.log.log import open_checkpoint
from authority.log.nameless import require_nameless
from authority.recovery import credits, moving, refill
from authority.recovery.refill import Refilled
from authority.settlement import went_back
from authority.settlement.journal import Journal
from authority.settlement.went_back import WENT_BACK, Undone
from authority.store.log import Act
from authority.store.metering import Frame, Meter, MeterKey
from edge_agent.wire.command import DONE, PENDING, add_acting, add_json, print_json
from edge_agent.wire.reading import FRAME_SIZE, ReadingError, Receipt, record_hash
from edge_agent.wire.reading import Frame as SignedFrame


class ReceiptUnusableError(AuthorityError):
    """What was handed in is not a reading with this authority's receipt for it."""

    code = "receipt_unusable"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Show, run, give up, and take a receipt."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    show = actions.add_parser("show", help="where log, store and chain differ, and what `run` would do")
    add_json(show)
    show.set_defaults(dry_run=True, actor=getpass.getuser(), reason="", checkpoint=[])  # what `run` would do
    run_ = actions.add_parser(
        "run",
        help="do what can be done now; do it again until nothing waits",
        epilog="3 is the exit status where readings are waited for that gateways have.",
    )
    run_.add_argument("--reason", default="", help="what happened; it is logged, so it names no person")
    run_.add_argument(
        "--checkpoint",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="a checkpoint of the lost log that somebody kept, such as a witness; it is named in the log",
    )
    giving_up = actions.add_parser("give-up", help="give up readings that nobody has; the meter goes on after them")
    giving_up.add_argument("meter", metavar="GATEWAY/METER", help="as `show` names it")
    receipt = actions.add_parser("receipt", help="take back a reading whose receipt of the lost log somebody kept")
    receipt.add_argument("file", type=Path, help="the frame (192 bytes) and the receipt after it")
    accounts = actions.add_parser("accounts", help="write the chain's accounts, for another validator's --account-dir")
    accounts.add_argument("directory", type=Path, help="one JSON file for each account")
    add_json(accounts)
    moved = actions.add_parser("moved", help="the chain's accounts are on another validator now: say so in the log")
    moved.add_argument("bundle", type=Path, help="of the validator before: authority audit export --bundle")
    for action in (run_, giving_up, receipt, moved):
        add_acting(action)


def run(arguments: argparse.Namespace) -> int:
    """Do it; 3 where something is still waited for."""
    app = App.open(arguments.home)
    try:
        with validator_of(app.home) as client:
            return _ACTIONS[arguments.action](app, client, arguments)
    finally:
        app.store.close()


def _run(app: App, client: ChainClient, arguments: argparse.Namespace) -> int:
    dry_run, actor = arguments.dry_run, arguments.actor
    with app.store.read() as session:
        require_nameless(session, arguments.reason)
    source = chain_at(client)
    history = list(source.history)
    chain = ChainSource(source.state, history, source.idls)
    seen = [_kept(app, path) for path in arguments.checkpoint]
    begun = refill.begin(app, chain, actor=actor, reason=arguments.reason, seen=seen, dry_run=dry_run)
    undone = went_back.go_back(app.store, client, app.home.network_id, actor=actor, now=app.clock(), dry_run=dry_run)
    registered, credited, by_hand = 0, 0, list[str]()
    if not dry_run and client.url == app.home.rpc_url:
        registered = _register(app, client, actor)
        with app.store.read() as session:
            again = credits.undone(session, history, chain.idls)
        if credits.is_whole(history, chain.idls):
            credited = credits.issue_again(app, client, again, actor=actor)
        elif again:
            listed = ", ".join(str(each.log_index) for each in again)
            by_hand.append(
                f"credits of the acts at leaves {listed}: the validator's history does not say whether the chain "
                "has them; compare the members' balances, and issue what is missing"
            )
        Journal(app.store, lambda: app.clock() * 1_000).resolve(WENT_BACK)
    filled = refill.refill(app, chain, actor=actor, dry_run=dry_run)
    filled.unknown += by_hand
    told = {
        "dry_run": dry_run,
        "log": {**filled.as_json(), "begun": begun.begun, "epochs": begun.epochs}
        if filled.restoration is not None
        else begun.as_json(),
        "chain": undone.as_json(),
        "registered": registered,
        "credits_issued_again": credited,
    }
    if arguments.json:
        print_json(told)
    else:
        for line in _words(begun, undone, filled, registered, credited, dry_run=dry_run):
            print(line)
    return PENDING if filled.waiting or filled.unknown or (dry_run and (begun.begun or undone.any)) else DONE


def _register(app: App, client: ChainClient, actor: str) -> int:
    """Bring onto the chain again what was undone there; how many meters."""
    with app.store.read() as session:
        missing = select(Meter.id).where(Meter.public_key.is_not(None), Meter.registered_at.is_(None)).limit(1)
        if session.scalar(missing) is None:
            return 0
    return Registration(app, client, actor=actor, report=lambda _: None).run()


def _words(
    begun: Refilled, undone: Undone, filled: Refilled, registered: int, credited: int, *, dry_run: bool
) -> Iterator[str]:
    would = "would be" if dry_run else "are"
    if begun.begun:
        yield (
            f"the log lost leaves that the chain pins: {begun.after} to {(begun.until or 1) - 1} {would} given up, "
            f"with the checkpoints of {begun.epochs} epochs (leaf {begun.restoration})"
        )
    if undone.any:
        yield (
            f"the chain went back to the checkpoint of epoch {undone.last_checkpoint}: {len(undone.epochs)} epochs "
            f"{would} settled again, {undone.readings} readings {would} sent again, {len(undone.acts)} acts were undone"
        )
        for index, kind in undone.acts:
            yield f"  undone: {kind} (leaf {index})"
    if registered:
        yield f"{registered} meters were registered again"
    if credited:
        yield f"{credited} issues of credits were done again"
    if filled.restoration is not None:
        yield (
            f"taken back from the chain: {filled.acts} acts, {filled.books} books, {filled.keys} keys; sent again by "
            f"gateways: {filled.readings} readings, {filled.released} of them released"
        )
    yield from (f"waits: {each.text}" for each in filled.waiting)
    yield from (f"to do: {each}" for each in filled.unknown)
    if filled.ended:
        yield "nothing is waited for: the restoration is over; authority audit verify says what was lost"
    elif filled.waiting:
        yield "once gateways have sent them: authority recover run; what nobody has: authority recover give-up METER"
    if not (begun.begun or undone.any or filled.restoration is not None or credited):
        yield "log, store and chain agree: there is nothing to recover"


def _kept(app: App, path: Path) -> dict[str, Any]:
    """A checkpoint that somebody kept of the lost log, as the log names it."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ReceiptUnusableError(f"{path} cannot be read: {error}") from error
    size, root = open_checkpoint(data, app.home.network_id, bytes(app.home.receipt_key.pubkey()))
    return {
        "cosignatures": [line for line in data.decode("utf-8", "replace").splitlines() if line.startswith("—")],
        "root": root.hex(),
        "size": size,
    }


def _give_up(app: App, client: ChainClient, arguments: argparse.Namespace) -> int:
    state = chain_at(client).state
    one = refill.give_up(app, state, arguments.meter, actor=arguments.actor, dry_run=arguments.dry_run)
    if arguments.json:
        print_json({"dry_run": arguments.dry_run, "meter": one.name, "first": one.first, "last": one.last})
    else:
        words = "would be given up" if arguments.dry_run else "are given up, and the log says so: authority recover run"
        print(f"{one.name}: readings {one.first} to {one.last} {words}")
    return DONE


def _receipt(app: App, _client: ChainClient, arguments: argparse.Namespace) -> int:
    frame, receipt = _handed_in(app, arguments.file)
    digest = record_hash(frame.record_bytes)
    outcome = "is in the log"
    with app.store.read() as session:
        index = session.scalar(select(Frame.log_index).where(Frame.record_hash == digest))
        key = session.get(MeterKey, frame.public_key)
        gateway = None if key is None else key.meter.gateway_name
    if index is None and gateway is None:
        raise ReceiptUnusableError("the meter's key is not approved: authority recover run, then hand it in again")
    if index is None and not arguments.dry_run:
        Collector(app).ingest(frame.to_bytes(), gateway=str(gateway), meter=None, over="https")
        with app.store.read() as session:
            index = session.scalar(select(Frame.log_index).where(Frame.record_hash == digest))
        outcome = (
            "was taken into the log" if index is not None else "waits for the readings before it: hand those in too"
        )
    elif index is None:
        outcome = "would be taken into the log"
    told = {
        "lost_log_index": receipt.log_index,
        "log_index": index,
        "sequence": receipt.sequence,
        "dry_run": arguments.dry_run,
    }
    if not arguments.dry_run and index is not None:
        _tell(app, told, digest, arguments.actor)
    if arguments.json:
        print_json(told)
    else:
        where = "" if index is None else f" at leaf {index}"
        print(f"reading {receipt.sequence}, receipted as leaf {receipt.log_index} of the lost log, {outcome}{where}")
    return DONE if index is not None or arguments.dry_run else PENDING


def _tell(app: App, told: dict[str, Any], digest: bytes, actor: str) -> None:
    """Say in the log, once, that a receipt of the lost log was handed in."""
    data = {"log_index": told["log_index"], "lost_log_index": told["lost_log_index"], "record": digest.hex()}
    with app.store.write() as session:
        known = session.scalars(select(Act.data).where(Act.kind == "receipt_shown"))
        if data not in list(known):
            log.record_act(session, "receipt_shown", actor, app.clock(), data)


def _handed_in(app: App, path: Path) -> tuple[SignedFrame, Receipt]:
    """A frame and its receipt, both verified. ReceiptUnusableError."""
    unusable = ReceiptUnusableError(f"{path} does not hold a reading and this authority's receipt for it")
    try:
        data = path.read_bytes()
        frame, receipt = SignedFrame.from_bytes(data[:FRAME_SIZE]), Receipt.from_bytes(data[FRAME_SIZE:])
        signed = receipt.signed_message(frame)
    except (OSError, ReadingError, ValueError) as error:
        raise unusable from error
    ours = Signature(receipt.signature).verify(app.home.receipt_key.pubkey(), signed)
    if not ours or not Signature(frame.signature).verify(Pubkey(frame.public_key), frame.record_bytes):
        raise unusable
    return frame, receipt


def _accounts(_app: App, client: ChainClient, arguments: argparse.Namespace) -> int:
    count = moving.write_accounts(client, chain_at(client).state, arguments.directory)
    if arguments.json:
        print_json({"accounts": count, "directory": str(arguments.directory)})
    else:
        print(f"{count} accounts written to {arguments.directory}")
    return DONE


def _moved(app: App, client: ChainClient, arguments: argparse.Namespace) -> int:
    state = chain_at(client).state
    index = moving.moved(app, state, arguments.bundle, actor=arguments.actor, dry_run=arguments.dry_run)
    if arguments.json:
        print_json({"dry_run": arguments.dry_run, "log_index": index})
    elif index is None:
        print("the log says so already")
    else:
        word = "would say" if arguments.dry_run else "says"
        print(f"the log {word} so at leaf {index}; audit with: authority audit verify --before {arguments.bundle}")
    return DONE


_ACTIONS = {
    "accounts": _accounts,
    "moved": _moved,
    "show": _run,
    "run": _run,
    "give-up": _give_up,
    "receipt": _receipt,
}

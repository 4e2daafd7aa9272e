"""`authority audit`: checkpoints to hand to witnesses, proofs, and the verification of the log.

One long file: the commands of one word and the options that they share, each a few lines that call the rooms beside it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.app import App
from authority.audit import comparing
from authority.audit.bill_again import again
from authority.audit.bundle import Identity, Manner, audit_bundle, write_bundle
from authority.audit.chain_state import read_chain_state
from authority.audit.conservation import conservation
from authority.audit.earlier import where_it_is, with_earlier
from authority.audit.followed import FollowedLog
from authority.audit.history import read_history
from authority.audit.pruning import prune
from authority.audit.state import StateError
from authority.audit.stopped import validator_of
from authority.audit.verify import Audit, ChainSource, Progress, StoreLog
from authority.chain import programs
from authority.chain.artifacts import PROGRAM_NAMES
from authority.chain.client import ChainClient
from authority.errors import AuthorityError, MeterUnknownError, OutOfRangeError
from authority.log import export, log, merkle, proof, publish
from authority.log.merkle import ProofError
from authority.log.restoration import CHAIN_WENT_BACK, LOG_RESTORED
from authority.log.witness import Witness, Witnesses
from authority.store.log import Act, KeptCosignature
from authority.store.metering import Frame, Meter
from edge_agent.wire.checkpoint import origin
from edge_agent.wire.command import add_acting, add_json, print_json, tell
from edge_agent.wire.merkle import ProofRootError
from edge_agent.wire.reading import CODES, FLAG_NAMES, VERDICTS
from edge_agent.wire.rules import REGISTERS

PROGRAM_DATA_HEAD = 45
"""Bytes before the ELF in the account that holds a program: the loader's own."""
REGISTER_HEADINGS = "GENERATION, CONSUMPTION, CHARGE, DISCHARGE (Wh)"


class AuditError(AuthorityError):
    """A question about the log that cannot be answered, or an answer that accuses."""


class CheckpointUnreadableError(AuditError):
    """A file that should hold a checkpoint cannot be read as one."""

    code = "checkpoint_unreadable"


class LogForkedError(AuditError):
    """The log of today does not extend a checkpoint of its own: it was changed or cut."""

    code = "log_forked"


class ProofUnreadableError(AuditError):
    """A file that should hold a proof cannot be read as one."""

    code = "proof_unreadable"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One action at a time."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    checkpoint = actions.add_parser(
        "checkpoint", help="sign the log as it stands (a signed note), for witnesses to keep"
    )
    checkpoint.add_argument("--out", type=Path, help="write it to a file (default: print it)")
    prove = actions.add_parser("prove", help="print a leaf with its inclusion proof, as JSON")
    prove.add_argument("log_index", type=int, help="as `readings` lists them; 0 is the log's first leaf")
    prove.add_argument("--size", type=int, help="in the tree of this many leaves (default: all)")
    checker = actions.add_parser(
        "check",
        help="check what `prove` printed: path, meter's signature; says the reading in words, and needs no home",
        epilog="example: authority audit prove 63 > reading.json; authority audit check reading.json",
    )
    checker.add_argument("file", type=Path, help="the JSON that `prove` printed")
    checker.add_argument(
        "--root", type=_root, metavar="HEX", help="the root that is to be believed (default: the file's)"
    )
    exporter = actions.add_parser(
        "export",
        help="write the log for monitors and witnesses (C2SP tlog-tiles), or log and chain for an auditor, in one file",
        epilog="Tiles are hashes and checkpoints alone, which say nothing of any reading: they may be served to "
        "everybody. A bundle holds every reading and act.",
    )
    wanted = exporter.add_mutually_exclusive_group(required=True)
    wanted.add_argument(
        "--tiles",
        type=Path,
        metavar="DIR",
        help="write `checkpoint`, `tile/...` and `log.pub` there; what an earlier export wrote is kept and added to",
    )
    wanted.add_argument(
        "--bundle",
        type=Path,
        metavar="FILE",
        help="write all that `verify --bundle` needs, on any machine: leaves, checkpoints, the chain's accounts and "
        "events, keys",
    )
    exporter.add_argument("--url", help="for a bundle: the validator (default: the home's, running or stopped)")
    exporter.add_argument("--log-only", action="store_true", help="for a bundle: do not ask the chain")
    lister = actions.add_parser("readings", help="a meter's logged readings, newest last, with their log indexes")
    lister.add_argument("meter", metavar="GATEWAY/METER", help="such as dormitory_a/solar")
    lister.add_argument("--last", type=int, default=20, metavar="N", help="how many (default: %(default)s)")
    consistent = actions.add_parser("consistent", help="check that the log extends a checkpoint that a witness kept")
    consistent.add_argument("file", type=Path, help="the witness's checkpoint")
    verifier = actions.add_parser(
        "verify",
        help="compute everything again: the log, and from its signed readings the chain's mints, prices and payments",
        epilog="--json prints {ok, entries, checkpoints, minted_wh, recoveries, problems}: entries are the log's "
        "leaves; "
        "checkpoints those checked, the signed ones and the chain's; minted_wh is what the signed readings come to, "
        "null where the chain is not asked; recoveries say what was lost and came back; problems are objects of code, "
        "where and message. The exit code is 1 where "
        "something does not hold.",
    )
    verifier.add_argument("--url", help="the validator (default: the home's, running or stopped)")
    verifier.add_argument("--log-only", action="store_true", help="do not ask the chain")
    verifier.add_argument(
        "--bundle", type=Path, metavar="FILE", help="audit what `export --bundle` wrote; no home needed"
    )
    verifier.add_argument(
        "--tiles",
        type=Path,
        metavar="DIR",
        help="audit what `export --tiles` wrote: tiles and checkpoint; no home needed",
    )
    verifier.add_argument(
        "--key",
        type=_root,
        metavar="HEX",
        help="the receipt key that must have signed (default: the bundle's, or the folder's, own)",
    )
    verifier.add_argument(
        "--state",
        type=Path,
        metavar="FILE",
        help="do what is new since the last audit that kept its state there, and keep it anew where everything holds",
    )
    verifier.add_argument(
        "--since",
        type=Path,
        metavar="CHECKPOINT",
        help="a checkpoint that an earlier audit found to hold: signatures of readings before it are not verified "
        "again; all else is computed anew, its root too",
    )
    for action in (verifier, exporter):
        action.add_argument(
            "--before",
            type=Path,
            action="append",
            default=[],
            metavar="BUNDLE",
            help="a bundle with history that the validator has no more, since the chain moved or its ledger was "
            "pruned: it comes first",
        )
    verifier.add_argument(
        "--jobs",
        type=int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="processes that verify signatures (default: one for each core)",
    )
    verifier.add_argument(
        "--progress",
        action="store_true",
        help="say on standard error how far it is in the home's log: {taken, of} leaves, a JSON object a line",
    )
    comparer = actions.add_parser(
        "compare",
        help="compare books and chain, as the service does once a night: `verify`, and every figure that is kept",
        epilog="It goes on from the last comparison that found nothing (comparison.state in the home), and is kept "
        "for treasurer and auditor. --again does all of the history. The exit code is 1 where something differs.",
    )
    comparer.add_argument("--url", help="the validator (default: the home's, running or stopped)")
    comparer.add_argument("--again", action="store_true", help="do all of the history again")
    comparer.add_argument("--if-due", action="store_true", help="do nothing where tonight's was made")
    comparer.add_argument(
        "--progress",
        action="store_true",
        help="say on standard error how far it is in the home's log: {taken, of} leaves, a JSON object a line",
    )
    biller = actions.add_parser(
        "bill",
        help="compute one issued bill again from log and chain, figure by figure, by rules of the audit's own",
        epilog="--json prints {ok, number, member, period, issued_due, found_due, figures, problems}. The exit code is "
        "1 where something does not hold.",
    )
    biller.add_argument("number", type=int, help="the bill's number")
    biller.add_argument("--url", help="the validator (default: the home's, running or stopped)")
    biller.add_argument(
        "--progress", action="store_true", help="say on standard error how far it is: {taken, of} epochs"
    )
    pruner = actions.add_parser(
        "prune",
        help="drop from the stopped embedded validator's ledger what a bundle holds and nobody asks for; logged",
        epilog="Accounts, log, proofs and bills stay. An audit from the beginning then needs the bundle (verify "
        "--before), and so does the next bundle (export --before): keep it.",
    )
    pruner.add_argument(
        "--bundle", type=Path, required=True, metavar="FILE", help="what `export --bundle FILE` wrote; it is audited"
    )
    pruner.add_argument(
        "--keep-days",
        type=_days,
        default=35,
        metavar="N",
        help="keep what is younger in any case (default: %(default)s)",
    )
    pruner.add_argument(
        "--state", type=Path, metavar="FILE", help="keep what the next `verify --state FILE` goes on from, too"
    )
    add_acting(pruner)
    asker = actions.add_parser(
        "witnesses", help="what the log's witnesses (authority.toml, [log]) cosigned last; 1 where one lacks"
    )
    asker.add_argument("--ask", action="store_true", help="ask those now that have not cosigned the last checkpoint")
    counter = actions.add_parser("conservation", help="count every token on the chain, as JSON; 1 where one is missing")
    counter.add_argument("--url", help="the validator (default: the home's, running or stopped)")
    for action in (checker, lister, consistent, verifier, comparer, biller, asker, exporter):
        add_json(action)
    for action in (prove, counter):
        action.add_argument("--json", action="store_true", help="as it is anyway")


def _days(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError("days are a whole number, 0 or more")
    return int(text)


def _root(text: str) -> bytes:
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) != len(merkle.EMPTY_ROOT):
        raise argparse.ArgumentTypeError("a root or a key is 32 bytes, 64 digits of hex")
    return value


def run(arguments: argparse.Namespace) -> int:
    """Do it; 1 where the verification found something."""
    if arguments.action == "check":
        return _check(arguments.file, arguments.root, as_json=arguments.json)
    if arguments.action == "verify" and arguments.bundle is not None:
        log_only, manner = arguments.log_only, _manner(arguments)
        audit = audit_bundle(arguments.bundle, key=arguments.key, log_only=log_only, manner=manner)
        return _report(audit, as_json=arguments.json)
    if arguments.action == "verify" and arguments.tiles is not None:
        return _check_tiles(arguments.tiles, arguments.key, as_json=arguments.json)
    app = App.open(arguments.home)
    try:
        if arguments.action == "checkpoint":
            return _checkpoint(app, arguments.out)
        if arguments.action == "prove":
            return _prove(app, arguments.log_index, arguments.size)
        if arguments.action == "export" and arguments.tiles is not None:
            return _export(app, arguments)
        if arguments.action == "readings":
            return _readings(app, arguments.meter, arguments.last, as_json=arguments.json)
        if arguments.action == "consistent":
            return _consistent(app, arguments.file, as_json=arguments.json)
        if arguments.action == "prune":
            return _prune(app, arguments)
        if arguments.action == "witnesses":
            return _witnesses(app, ask=arguments.ask, as_json=arguments.json)
        if arguments.action == "compare":
            with comparing.alone(app, wait=arguments.if_due):
                return _compare(app, arguments)
        if arguments.action == "bill":
            return _bill(app, arguments.number, arguments.url, told=arguments.progress, as_json=arguments.json)
        if arguments.action == "conservation":
            with validator_of(app.home, arguments.url) as client:
                return _conservation(client)
        with _validator(app, arguments) as chain:
            if arguments.action == "export":
                return _export_bundle(app, arguments, chain)
            audit = verify(app, chain, _manner(arguments), arguments.before, told=arguments.progress)
            return _report(audit, as_json=arguments.json)
    finally:
        app.store.close()


def _validator(app: App, arguments: argparse.Namespace) -> AbstractContextManager[ChainClient | None]:
    """Whom to ask about the chain; None where it is not to be asked."""
    if getattr(arguments, "log_only", False):
        return nullcontext(None)
    return validator_of(app.home, arguments.url)


def _prune(app: App, arguments: argparse.Namespace) -> int:
    """Say what goes and what stays, and drop it where that was asked for."""
    bundle, days, dry_run = arguments.bundle, arguments.keep_days, arguments.dry_run
    found = prune(app, bundle, days, actor=arguments.actor, state=arguments.state, dry_run=dry_run)
    if arguments.json:
        changed = bool(found.dropped) and not dry_run
        print_json({"changed": changed, "dropped": found.dropped, "kept": found.kept, "until": found.until})
        return 0
    if found.until is None:
        print(f"nothing is dropped: of {found.kept} transactions, {bundle} holds none that nobody asks for any more")
        return 0
    print(
        f"{found.dropped} transactions {'would be' if dry_run else 'are'} dropped, up to {_moment(found.until)}: "
        f"{bundle} holds each of them, and its audit holds.\n"
        f"{found.kept} stay: of the last {days} days, what billing, settlement or the audit's state may ask for, and "
        "what is not in the bundle. All accounts, the log, proofs and bills stay as they are.\n"
        f"Keep the bundle: an audit from the beginning needs it (authority audit verify --before {bundle})."
    )
    return 0


def _checkpoint(app: App, out: Path | None) -> int:
    with app.store.write() as session:
        signed = log.checkpoint(session, app.home.network_id, app.home.receipt_key)
    with app.store.read() as session:
        data = publish.note_of(session, signed, bytes(app.home.receipt_key.pubkey()))
    if out is None:
        print(data.hex() + "\n" if signed.time is not None else data.decode(), end="")
    else:
        out.write_bytes(data)
        print(f"{signed.size} leaves, root {signed.root.hex()}")
    return 0


def _compare(app: App, arguments: argparse.Namespace) -> int:
    """Compare books and chain, and keep what was found; 1 where something differs."""
    as_json, told = arguments.json, arguments.progress
    if arguments.if_due and not comparing.due(app):
        if as_json:
            print_json({"due": False})
        return 0
    state = app.home.path / comparing.STATE_NAME
    if arguments.again:
        state.unlink(missing_ok=True)
    manner = Manner(state=state)
    with validator_of(app.home, arguments.url) as client:

        def audit() -> Audit:
            try:
                return verify(app, client, manner, told=told)
            except StateError as error:
                print(f"{error}; all of the history is done again", file=sys.stderr)
                state.unlink(missing_ok=True)
                return verify(app, client, manner, told=told)

        row = comparing.compare(app, client, audit)
    problems = row.found["problems"]
    if as_json:
        print_json(
            {
                "ok": not row.differences,
                "comparison": row.id,
                "entries": row.entries,
                "figures": row.figures,
                "differences": row.differences,
                "problems": problems,
            }
        )
        return 1 if row.differences else 0
    assert isinstance(problems, list)  # noqa: S101 - as it is kept
    for each in problems:
        print(f"{each['where']}: {each['message']} [{each['code']}]", file=sys.stderr)
    print(f"{row.entries} leaves of the log and {row.figures} figures compared")
    print(f"{row.differences} differences" if row.differences else "books and chain are the same")
    return 1 if row.differences else 0


def _bill(app: App, number: int, url: str | None, *, told: bool, as_json: bool) -> int:
    """Compute a bill again; 1 where something does not hold."""
    tell = _tell if told else lambda *_: None
    with validator_of(app.home, url) as client, app.store.read() as session:
        found = again(session, chain_at(client), number, tell)
    if as_json:
        print(json.dumps(found.as_json()))
        return 1 if found.problems else 0
    print(f"bill {number}, member {found.member}, period {found.period}")
    print(f"{'':<20} {'ISSUED Wh':>12} {'micro-credits':>16} {'BY LOG AND CHAIN Wh':>20} {'micro-credits':>16}")
    for each in found.figures:
        sums = (each.issued_wh, each.issued_amount, each.found_wh, each.found_amount)
        row = [
            f"{'-' if value is None else value:>{width}}" for value, width in zip(sums, (12, 16, 20, 16), strict=True)
        ]
        print(f"{each.kind:<20} {' '.join(row)}{'' if each.same else '  <- differs'}")
    print(f"due: {found.issued_due} as issued, {found.found_due} by log and chain")
    for problem in found.problems:
        print(problem, file=sys.stderr)
    print("the bill holds" if not found.problems else f"{len(found.problems)} findings")
    return 1 if found.problems else 0


def _witnesses(app: App, *, ask: bool, as_json: bool) -> int:
    """Each witness, and the size and the time of its last cosignature."""
    known = [Witness.parse(text) for text in app.home.settings.log.witnesses]
    if not known and not as_json:
        print("no witness is named in authority.toml: [log] witnesses")
        return 0
    told = Witnesses(app.store, known, app.clock).ask_all() if ask else {}
    with app.store.read() as session:
        newest = publish.newest(session)
        rows = {str(each.key): _last_cosignature(session, str(each.key)) for each in known}
    size = 0 if newest is None else newest[0].size
    lacking = sum(row is None or row.size < size for row in rows.values())
    if as_json:
        witnesses = [
            {
                "witness": each.key.name,
                "size": None if (row := rows[str(each.key)]) is None else row.size,
                "time": None if row is None else row.time,
                "asked": told.get(each.key.name),
            }
            for each in known
        ]
        print_json({"size": size, "witnesses": witnesses})
        return 1 if lacking else 0
    for witness in known:
        row = rows[str(witness.key)]
        said = "has cosigned nothing" if row is None else f"cosigned {row.size} leaves at {_moment(row.time)}"
        asked = told.get(witness.key.name)
        print(f"{witness.key.name}: {said}" + (f" ({asked})" if asked else ""))
    print(f"the last published checkpoint has {size} leaves")
    return 1 if lacking else 0


def _last_cosignature(session: Session, witness: str) -> KeptCosignature | None:
    query = select(KeptCosignature).where(KeptCosignature.witness == witness).order_by(KeptCosignature.size.desc())
    return session.scalar(query.limit(1))


def _conservation(client: ChainClient) -> int:
    totals = conservation(client)
    print(json.dumps(totals.as_json(), indent=2))
    return 0 if totals.ok else 1


def _prove(app: App, index: int, size: int | None) -> int:
    with app.store.read() as session:
        try:
            shown = proof.prove(session, index, log.size(session) if size is None else size)
        except ProofError as error:
            raise OutOfRangeError(str(error)) from error
    print(json.dumps(shown, indent=2))
    return 0


def _export(app: App, arguments: argparse.Namespace) -> int:
    folder = arguments.tiles
    with app.store.write() as session:
        log.lock(session)  # the tiles are those of the checkpoint: nothing is appended between
        written = export.write_tiles(session, folder, origin(app.home.network_id), app.home.receipt_key)
    tell(
        arguments,
        {**asdict(written), "root": written.root.hex(), "tiles": str(folder)},
        f"{written.size} leaves, root {written.root.hex()}: {written.new_tiles} tiles written to {folder}, "
        f"{written.kept_tiles} were there already",
    )
    return 0


def _check_tiles(folder: Path, key: bytes | None, *, as_json: bool) -> int:
    """Hold an exported folder against itself; 1 where something does not hold."""
    problems = [
        {"code": "tiles_changed", "where": where, "message": message} for where, message in export.faults(folder, key)
    ]
    if as_json:
        print(json.dumps({"ok": not problems, "problems": problems}))
        return 1 if problems else 0
    for problem in problems:
        print(f"{problem['where']}: {problem['message']} [{problem['code']}]", file=sys.stderr)
    print("everything holds" if not problems else f"{len(problems)} findings")
    return 1 if problems else 0


def _readings(app: App, name: str, last: int, *, as_json: bool) -> int:
    gateway, _, meter = name.partition("/")
    with app.store.read() as session:
        found = session.scalar(select(Meter).where(Meter.gateway_name == gateway, Meter.name == meter))
        if found is None:
            known = session.execute(select(Meter.gateway_name, Meter.name).order_by(Meter.gateway_name, Meter.name))
            names = ", ".join(f"{row.gateway_name}/{row.name}" for row in known) or "no meter"
            raise MeterUnknownError(f"no meter is called {name!r}; the campus plan has {names}")
        newest = select(Frame).where(Frame.meter_pk == found.id).order_by(Frame.log_index.desc()).limit(max(0, last))
        rows = [(frame, frame.record) for frame in session.scalars(newest)][::-1]
    if as_json:
        print_json(
            [
                {
                    "log_index": frame.log_index,
                    "interval_end": record.interval_end,
                    "sequence": record.sequence,
                    "verdict": frame.verdict,
                    "chain_status": frame.chain_status,
                    **dict(zip(REGISTERS, record.registers, strict=True)),
                }
                for frame, record in rows
            ]
        )
        return 0
    print(f"{'LOG':>8}  {'INTERVAL END':<20}  {'SEQUENCE':>8}  {'VERDICT':<8}  {'ON CHAIN':<10}  {REGISTER_HEADINGS}")
    for frame, record in rows:
        registers = ", ".join(str(value) for value in record.registers)
        print(
            f"{frame.log_index:>8}  {_moment(record.interval_end):<20}  {record.sequence:>8}  {frame.verdict:<8}  "
            f"{frame.chain_status:<10}  {registers}"
        )
    return 0


def _moment(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return str(seconds)


def _check(file: Path, root: bytes | None, *, as_json: bool) -> int:
    try:
        document = file.read_bytes()
    except OSError as error:
        raise ProofUnreadableError(f"{file} cannot be read: {error}") from error
    checked = proof.check(document, root=root)
    if as_json:
        print_json(_checked(checked))
        return 0
    print(f"leaf {checked.log_index} is in the log of {checked.size} leaves")
    print(
        f"root            {checked.root.hex()}" + ("" if root else "  (the file's own: compare it with a checkpoint)")
    )
    if checked.reading is None:
        kind = "an act of the authority" if checked.data[:1] == b"\x02" else "an order book"
        print(f"it is not a reading but {kind}")
        if checked.data[:1] == b"\x02":
            print(checked.data[1:].decode("utf-8", "backslashreplace"))
        return 0
    reading, record = checked.reading, checked.reading.frame.record
    flags = [name for bit, name in enumerate(FLAG_NAMES) if record.flags >> bit & 1]
    print(f"signed by       {reading.frame.public_key.hex()}")
    print(
        f"sequence        {record.sequence}, for the {record.interval_seconds} s until {_moment(record.interval_end)}"
    )
    for name, value in zip(REGISTERS, record.registers, strict=True):
        print(f"{name:<15} {value} Wh on the register")
    print(f"flags           {', '.join(flags) or 'none'}")
    verdict = dict(enumerate(VERDICTS)).get(reading.verdict, reading.verdict)
    print(f"logged          {verdict}, {CODES.get(reading.code, reading.code)}, {_moment(reading.time)}")
    return 0


def _checked(checked: proof.CheckedLeaf) -> dict[str, Any]:
    """What a proof shows; reading is null for a leaf that is not one."""
    found: dict[str, Any] = {
        "log_index": checked.log_index,
        "size": checked.size,
        "root": checked.root.hex(),
        "leaf": checked.data.hex(),
        "reading": None,
    }
    if checked.reading is not None:
        record = checked.reading.frame.record
        found["reading"] = {
            "public_key": checked.reading.frame.public_key.hex(),
            "sequence": record.sequence,
            "interval_end": record.interval_end,
            **dict(zip(REGISTERS, record.registers, strict=True)),
            "flags": [name for bit, name in enumerate(FLAG_NAMES) if record.flags >> bit & 1],
            "verdict": dict(enumerate(VERDICTS)).get(checked.reading.verdict, checked.reading.verdict),
            "code": CODES.get(checked.reading.code, checked.reading.code),
            "logged_at": checked.reading.time,
        }
    return found


def _consistent(app: App, file: Path, *, as_json: bool) -> int:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise CheckpointUnreadableError(f"{file} cannot be read: {error}") from error
    try:
        kept, kept_root = log.open_checkpoint(data, app.home.network_id, bytes(app.home.receipt_key.pubkey()))
    except log.LogError as error:
        if error.code != "checkpoint_foreign":
            raise
        raise CheckpointUnreadableError(f"{file}: {error}") from error
    with app.store.read() as session:
        size, root = log.size(session), log.root(session)
        if kept > size:
            raise LogForkedError(f"the checkpoint has {kept} leaves, the log only {size}: it was cut")
        proof = log.consistency_proof(session, kept, size) if kept else []
    try:
        if kept:
            merkle.verify_consistency(kept, size, kept_root, root, proof)
        elif kept_root != merkle.EMPTY_ROOT:
            raise ProofRootError("the empty log has another root")
    except ProofError as error:
        raise LogForkedError(
            f"the log does not extend the checkpoint of {kept} leaves: {error}; keep both as evidence",
        ) from error
    if as_json:
        print_json({"size": size, "root": root.hex(), "extends": kept})
        return 0
    print(f"the log of {size} leaves extends the checkpoint of {kept}")
    return 0


def _manner(arguments: argparse.Namespace) -> Manner:
    return Manner(jobs=arguments.jobs, since=arguments.since, state=arguments.state)


def verify(
    app: App, client: ChainClient | None, manner: Manner, before: Sequence[Path] = (), *, told: bool = False
) -> Audit:
    """Audit a home: its log, and the chain that a client sees, which None leaves out. told: say how far it is."""
    audit = manner.audit(app.home.network_id, bytes(app.home.receipt_key.pubkey()))
    progress = audit.progress = _untouched(app, audit.progress)
    chain = None if client is None else chain_at(client, progress.newest)
    manner.begin(audit, chain)
    if chain is not None and not progress.landed:
        chain = with_earlier(app, chain, before)
    if chain is not None and progress.landed and not progress.newest:
        chain = replace(chain, history=islice(chain.history, progress.landed, None))  # the last was a bundle's
    with app.store.read() as session:
        source = StoreLog.of(session)
        audit.run(FollowedLog.follow(source, _tell) if told else source, chain)
        audit.bills.stored(session)
    manner.keep(audit)
    for place, finding in enumerate(audit.findings):
        if finding.code == "history_incomplete":
            audit.findings[place] = replace(finding, message=finding.message + where_it_is(app))
    return audit


def _tell(taken: int, of: int) -> None:
    print(json.dumps({"taken": taken, "of": of}), file=sys.stderr, flush=True)


def _untouched(app: App, progress: Progress) -> Progress:
    """The progress of an earlier audit; none where log or chain went back since, and all is to be done again."""
    kinds = (LOG_RESTORED, CHAIN_WENT_BACK)
    with app.store.read() as session:
        known = {each.index for each in progress.restorations.restored}
        known |= {each.index for each in progress.restorations.went_back}
        told = set(session.scalars(select(Act.log_index).where(Act.kind.in_(kinds))))
    if not progress.size or told == known:
        return progress
    print("the log tells of a recovery since the last audit: all of the history is done again", file=sys.stderr)
    return Progress()


def chain_at(client: ChainClient, after: Sequence[str | None] = ()) -> ChainSource:
    """The chain as it stands now; its history is read as it is asked for, from behind `after` on."""
    state, newest = read_chain_state(client)
    history = read_history(client, newest, after or (None,) * len(newest))
    idls = {name: client.idl(name) for name in PROGRAM_NAMES}
    return ChainSource(state, history, idls, newest=tuple(newest))


def _export_bundle(app: App, arguments: argparse.Namespace, client: ChainClient | None) -> int:
    path, chain, hashes = arguments.bundle, None, {}
    if client is not None:
        chain, hashes = with_earlier(app, chain_at(client), arguments.before), _program_hashes(client)
    with app.store.read() as session:
        identity = Identity(app.home.network_id, app.home.receipt_key)
        manifest = write_bundle(path, identity, StoreLog.of(session), chain, hashes)
    what = "the log alone" if chain is None else "the log and the chain"
    tell(
        arguments,
        {**{key: manifest[key] for key in ("entries", "root", "receipt_key")}, "bundle": str(path)},
        f"{manifest['entries']} leaves, root {manifest['root']}: {what} written to {path}\n"
        f"receipt key: {manifest['receipt_key']}",
    )
    return 0


def _program_hashes(client: ChainClient) -> dict[str, str]:
    """SHA-256 (hex) of each program's ELF as it lies on the chain, with the room behind it."""
    found = {}
    for name in PROGRAM_NAMES:
        account = client.raw_account(programs.program_data_address(programs.PROGRAM_IDS[name]))
        if account is not None:
            found[name] = hashlib.sha256(bytes(account.data)[PROGRAM_DATA_HEAD:]).hexdigest()
    return found


def recovery_words(audit: Audit) -> list[str]:
    """What the log tells of recoveries, a sentence each: it is no finding, and never left unsaid."""
    told, words = audit.recoveries(), []
    for each in told["log_restored"]:
        ended = "" if each["refilled"] is None else f", refilled at leaf {each['refilled']}"
        words.append(
            f"the log was restored at leaf {each['leaf']}: leaves {each['after']} to {each['until'] - 1} are given up, "
            f"with the checkpoints of epochs {each['first_epoch']} to {each['last_epoch']}{ended}"
        )
    if told["log_restored"]:
        words.append(
            f"by the chain's word alone: {told['lost_readings']} readings, {told['recovered_acts']} acts, "
            f"{told['lost_books']} books" + (" (so the seats in the market too)" if told["seats_given"] else "")
        )
    for each in told["chain_went_back"]:
        words.append(
            f"the chain went back to the checkpoint of epoch {each['last_epoch']}, as leaf {each['leaf']} says: "
            f"{each['undone']} acts were undone"
        )
    return words


def _report(audit: Audit, *, as_json: bool) -> int:
    """Print what the audit found; 1 where it found something."""
    if as_json:
        document = {
            "ok": not audit.findings,
            "entries": audit.size,
            "checkpoints": audit.checkpoints + audit.chain_checkpoints,
            "minted_wh": audit.minted_wh,
            "recoveries": audit.recoveries(),
            "problems": [asdict(finding) for finding in audit.findings],
        }
        print(json.dumps(document))
        return 1 if audit.findings else 0
    print(f"log: {audit.size} leaves ({audit.readings} readings, {audit.acts} acts, {audit.books} books)")
    print(f"root: {audit.root.hex()}")
    print(f"signed checkpoints: {audit.checkpoints}")
    replay = audit.replay
    if replay is None:
        print("chain: not asked")
    else:
        print(f"chain: {audit.chain_checkpoints} epoch checkpoints, {audit.chain_meters} meters")
        print(f"recomputed: {replay.readings} readings, {replay.settlements - replay.given} spans")
        print(f"minted: {replay.minted_wh} Wh by the signed readings")
        print(f"bills: {audit.bills.computed} computed again")
    for told in recovery_words(audit):
        print(told)
    for finding in audit.findings:
        print(f"{finding.where}: {finding.message} [{finding.code}]", file=sys.stderr)
    print("everything holds" if not audit.findings else f"{len(audit.findings)} findings")
    return 1 if audit.findings else 0

"""`authority enrol`: the campus plan, claim codes, and the approval of gateways."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import select

from authority.app import App
from authority.chain.client import ChainClient
from authority.enrolment import closing, plan, requests
from authority.enrolment.closing import Step
from authority.enrolment.names import Names
from authority.enrolment.registration import Registered, Registration
from authority.errors import AuthorityError
from authority.store.enrolments import ENROLMENT_APPROVED, Enrolment
from authority.store.metering import Gateway, Meter
from edge_agent.wire.command import add_actor, add_json, message_line, print_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One action at a time."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    campus = actions.add_parser("campus", help="read a campus plan: users, installations, expected meters")
    campus.add_argument("file", type=Path, help="the plan, in TOML (docs/OPERATIONS.md)")
    claim = actions.add_parser("claim", help="print a claim code for a gateway of the plan, good for a week")
    claim.add_argument("gateway")
    lister = actions.add_parser("list", help="gateways, and the enrolments that wait for a decision")
    whose = actions.add_parser("whois", help="say whose a wallet or an address on the chain is")
    whose.add_argument("address", nargs="+", help="base58, as messages and explorers show it")
    approve = actions.add_parser("approve", help="give a gateway its certificate and put its meters on the chain")
    approve.add_argument("--off-chain", action="store_true", help="leave the chain to: authority enrol register")
    register = actions.add_parser("register", help="put approved meters on the chain that are not there yet")
    register.add_argument("gateway", nargs="?", help="of this gateway only")
    reject = actions.add_parser("reject", help="refuse an enrolment")
    for action in (approve, reject):
        action.add_argument("enrolment", help="an enrolment's id, or its gateway's name")
    reject.add_argument(
        "--reason",
        required=True,
        help="why; the gateway shows it to its person, and it is logged: name no person and no building",
    )
    revoke = actions.add_parser(
        "revoke",
        help="end a gateway's certificate at once: over HTTPS, at the broker, and its meters' right on the chain",
    )
    revoke.add_argument("gateway")
    revoke.add_argument("--reason", required=True, help="why; it is logged, so it names no person and no building")
    revoke.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    for action in (lister, whose, revoke):
        add_json(action)
    for action in (campus, claim, approve, register, reject, revoke):
        add_actor(action)


def run(arguments: argparse.Namespace) -> int:
    """Do it, and say what was done."""
    app = App.open(arguments.home)
    try:
        return _ACTIONS[arguments.action](app, arguments)
    finally:
        app.store.close()


def _campus(app: App, arguments: argparse.Namespace) -> int:
    try:
        data = arguments.file.read_bytes()
    except OSError as error:
        raise plan.PlanUnreadableError(f"{arguments.file} cannot be read: {error}") from error
    read = plan.parse(data)
    with app.store.write() as session:
        act = plan.apply(session, read, app.home, actor=arguments.actor, now=app.clock(), random=os.urandom)
    gateways = sorted({meter.gateway for meter in read.meters})
    print(
        f"{len(read.users)} users, {len(read.installations)} installations, {len(read.meters)} meters at "
        f"{len(gateways)} gateways; logged as {act}"
    )
    for gateway in gateways:
        print(f"  next: authority enrol claim {gateway}")
    return 0


def _claim(app: App, arguments: argparse.Namespace) -> int:
    with app.store.write() as session:
        code = requests.claim(
            session, app.home, arguments.gateway, actor=arguments.actor, now=app.clock(), random=os.urandom
        )
    print(code)
    return 0


def _describe(enrolment: Enrolment, meters: dict[int, Meter]) -> str:
    lines = [f"{enrolment.id}  {enrolment.gateway_name}  {enrolment.state}"]
    for row in enrolment.meters:
        meter = meters[row.meter_pk]
        lines.append(
            f"    {row.name:<16} {meter.serial:<20} {meter.role:<10} {meter.source:<6} "
            f"key {row.public_key.hex()[:16]}… map {row.map_hash.hex()[:16]}… from {row.first_sequence}"
        )
    return "\n".join(lines)


def _list(app: App, arguments: argparse.Namespace) -> int:
    with app.store.read() as session:
        gateways = session.scalars(select(Gateway).order_by(Gateway.name)).all()
        waiting = requests.pending(session)
        meters = {meter.id: meter for meter in session.scalars(select(Meter))}
        if arguments.json:
            print_json(_listed(gateways, waiting, meters))
            return 0
        for gateway in gateways:
            own = [meter for meter in meters.values() if meter.gateway_name == gateway.name]
            registered = sum(meter.registered_at is not None for meter in own)
            meters_word = "meter" if len(own) == 1 else "meters"
            print(f"{gateway.name:<32} {gateway.state:<10} {len(own)} {meters_word}, {registered} on the chain")
        print("waiting for a decision:" if waiting else "no enrolment waits for a decision")
        for enrolment in waiting:
            print(_describe(enrolment, meters))
    return 0


def _listed(
    gateways: Sequence[Gateway], waiting: Sequence[Enrolment], meters: dict[int, Meter]
) -> dict[str, list[dict[str, Any]]]:
    own = {gateway.name: [m for m in meters.values() if m.gateway_name == gateway.name] for gateway in gateways}
    return {
        "gateways": [
            {
                "gateway": gateway.name,
                "state": gateway.state,
                "meters": [{"meter": m.name, "on_chain": m.registered_at is not None} for m in own[gateway.name]],
            }
            for gateway in gateways
        ],
        "waiting": [
            {
                "enrolment": enrolment.id,
                "gateway": enrolment.gateway_name,
                "state": enrolment.state,
                "meters": [
                    {
                        "meter": row.name,
                        "serial": meters[row.meter_pk].serial,
                        "role": meters[row.meter_pk].role,
                        "source": meters[row.meter_pk].source,
                        "public_key": row.public_key.hex(),
                        "map_hash": row.map_hash.hex(),
                        "first_sequence": row.first_sequence,
                    }
                    for row in enrolment.meters
                ],
            }
            for enrolment in waiting
        ],
    }


def _whois(app: App, arguments: argparse.Namespace) -> int:
    with app.store.read() as session:
        names = Names.load(session, app.home)
    found = {address: names.of(address) for address in arguments.address}
    if arguments.json:
        print_json(found)
        return 0 if all(found.values()) else 1
    for address, name in found.items():
        print(f"{address}: {name or 'nobody that this campus knows'}")
    return 0 if all(found.values()) else 1


def _approve(app: App, arguments: argparse.Namespace) -> int:
    with app.store.write() as session:
        enrolment = requests.find(session, arguments.enrolment)
        gateway = enrolment.gateway_name
        had_one = (
            enrolment.state == ENROLMENT_APPROVED or session.get_one(Gateway, gateway).certificate_hash is not None
        )
        requests.approve(session, app.home, enrolment, actor=arguments.actor, now=app.clock())
    print(f"{gateway} is approved; it fetches its certificate by itself")
    shut = closing.shut_out(app, gateway, f"authority enrol approve {enrolment.id}") if had_one else None
    if shut is not None:
        _tell(shut)
    status = 0 if arguments.off_chain else _put_on_chain(app, gateway, arguments.actor)
    return status or int(shut is not None and bool(shut.todo))


def _register(app: App, arguments: argparse.Namespace) -> int:
    return _put_on_chain(app, arguments.gateway, arguments.actor)


def _put_on_chain(app: App, gateway: str | None, actor: str) -> int:
    client = ChainClient(app.home.rpc_url)
    try:
        count = Registration(app, client, actor=actor, report=_report).run(gateway)
    except AuthorityError as error:
        error.add_note("not all of it is on the chain yet; once this is cleared: authority enrol register")
        raise
    finally:
        client.close()
    print(
        f"now on the chain: {count} meter{'' if count == 1 else 's'}" if count else "nothing was missing on the chain"
    )
    return 0


def _report(registered: Registered) -> None:
    print(f"  {registered.kind} {registered.name}: {registered.address}", flush=True)


def _reject(app: App, arguments: argparse.Namespace) -> int:
    with app.store.write() as session:
        enrolment = requests.find(session, arguments.enrolment)
        requests.reject(session, enrolment, actor=arguments.actor, reason=arguments.reason, now=app.clock())
        print(f"{enrolment.gateway_name} is rejected")
    return 0


def _revoke(app: App, arguments: argparse.Namespace) -> int:
    client = ChainClient(app.home.rpc_url, attempts=2)
    tell = (lambda step: None) if arguments.json else _tell
    try:
        closed = closing.revoke(
            app,
            arguments.gateway,
            actor=arguments.actor,
            reason=arguments.reason,
            client=client,
            dry_run=arguments.dry_run,
            tell=tell,
        )
    finally:
        client.close()
    if arguments.json:
        print_json(closed.as_json())
    return 0 if closed.complete else 1


def _tell(step: Step) -> None:
    print(f"{step.what}: {step.outcome}", flush=True)
    if step.todo:
        print(message_line("authority", step.todo, step.outcome), file=sys.stderr)


_ACTIONS = {
    "campus": _campus,
    "claim": _claim,
    "list": _list,
    "whois": _whois,
    "approve": _approve,
    "register": _register,
    "reject": _reject,
    "revoke": _revoke,
}

"""`authority enrol`: the campus plan, claim codes, and the approval of gateways."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.app import App
from authority.chain.client import ChainClient
from authority.enrolment import closing, plan, requests
from authority.enrolment.names import Names
from authority.enrolment.registration import Registered, Registration
from authority.enrolment.steps import Done, Step, Tell
from authority.errors import AuthorityError
from authority.store.enrolments import ENROLMENT_APPROVED, ENROLMENT_REJECTED, Enrolment
from authority.store.metering import Gateway, Meter
from edge_agent.wire.command import DONE, FAILED, add_acting, add_json, message_line, print_json, tell


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
    for action in (lister, whose):
        add_json(action)
    for action in (campus, claim, approve, register, reject, revoke):
        add_acting(action)


def run(arguments: argparse.Namespace) -> int:
    """Do it, and say what was done."""
    app = App.open(arguments.home)
    try:
        return _ACTIONS[arguments.action](app, arguments)
    finally:
        app.store.close()


def _session(app: App, arguments: argparse.Namespace) -> AbstractContextManager[Session]:
    """Where an act is written: kept, or undone at its end by --dry-run."""
    return app.store.trial() if arguments.dry_run else app.store.write()


def _campus(app: App, arguments: argparse.Namespace) -> int:
    try:
        data = arguments.file.read_bytes()
    except OSError as error:
        raise plan.PlanUnreadableError(f"{arguments.file} cannot be read: {error}") from error
    read, dry_run = plan.parse(data), arguments.dry_run
    with _session(app, arguments) as session:
        done = plan.apply(session, read, app.home, actor=arguments.actor, now=app.clock(), random=os.urandom)
    gateways = sorted({meter.gateway for meter in read.meters})
    counts = {"users": len(read.users), "installations": len(read.installations), "meters": len(read.meters)}
    told = {
        **counts,
        "gateways": gateways,
        "added": done.added,
        "corrected": done.corrected,
        "logged_as": None if dry_run else done.act,
        "dry_run": dry_run,
        "changed": done.act is not None and not dry_run,
    }
    became = "nothing is new"
    if done.act is not None:
        would = "would be added" if dry_run else "added"
        became = f"{done.added} {would}, {done.corrected} corrected" + ("" if dry_run else f"; logged as {done.act}")
    lines = [f"{', '.join(f'{n} {what}' for what, n in counts.items())} at {len(gateways)} gateways; {became}"]
    lines += [f"  next: authority enrol claim {gateway}" for gateway in gateways]
    tell(arguments, told, "\n".join(lines))
    return DONE


def _claim(app: App, arguments: argparse.Namespace) -> int:
    gateway, now, dry_run = arguments.gateway, app.clock(), arguments.dry_run
    with _session(app, arguments) as session:
        code = requests.claim(session, app.home, gateway, actor=arguments.actor, now=now, random=os.urandom)
    told = {
        "gateway": gateway,
        "claim": None if dry_run else code,
        "expires_at": now + requests.CLAIM_SECONDS,
        "dry_run": dry_run,
        "changed": not dry_run,
    }
    would = f"{gateway} would get a claim code, good for a week; an unused one of before would be void"
    tell(arguments, told, would if dry_run else code)
    return DONE


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


def _begin(arguments: argparse.Namespace, gateway: str) -> Done:
    return Done(arguments.action, gateway, arguments.dry_run, facts={"gateway": gateway})


def _approve(app: App, arguments: argparse.Namespace) -> int:
    dry_run = arguments.dry_run
    with _session(app, arguments) as session:
        enrolment = requests.find(session, arguments.enrolment, decided=ENROLMENT_APPROVED)
        gateway, before = enrolment.gateway_name, enrolment.state == ENROLMENT_APPROVED
        had_one = before or session.get_one(Gateway, gateway).certificate_hash is not None
        requests.approve(session, app.home, enrolment, actor=arguments.actor, now=app.clock())
        meters = sorted(f"{gateway}/{row.name}" for row in enrolment.meters)
    done, note = _begin(arguments, gateway), _note(arguments)
    done.facts["enrolment"] = enrolment.id
    word = (
        "was issued before" if before else "would be issued" if dry_run else "issued; the gateway fetches it by itself"
    )
    done.note(Step(f"certificate of {gateway}", word), note, changed=not before)
    if dry_run:
        broker = "would refuse the former certificate" if app.home.settings.mqtt.host else "no broker"
        if had_one:
            done.note(Step("broker", broker), note)
        for name in meters if not arguments.off_chain else ():
            done.note(Step(f"meter {name}", "would be put on the chain, where it is not"), note)
        return _end(arguments, done)
    if had_one:
        done.note(closing.shut_out(app, gateway, f"authority enrol approve {enrolment.id}"), note)
    if not arguments.off_chain:
        _put_on_chain(app, done, gateway, arguments)
    return _end(arguments, done)


def _register(app: App, arguments: argparse.Namespace) -> int:
    done = _begin(arguments, arguments.gateway or "every gateway")
    _put_on_chain(app, done, arguments.gateway, arguments)
    return _end(arguments, done)


def _put_on_chain(app: App, done: Done, gateway: str | None, arguments: argparse.Namespace) -> None:
    note = _note(arguments)

    def report(registered: Registered) -> None:
        done.note(Step(f"{registered.kind} {registered.name}", str(registered.address)), note, changed=True)

    client = ChainClient(app.home.rpc_url)
    try:
        registration = Registration(app, client, actor=arguments.actor, report=report)
        if arguments.dry_run:
            for name in registration.missing(gateway):
                done.note(Step(f"meter {name}", "would be put on the chain"), note)
            return
        count = registration.run(gateway)
    except AuthorityError as error:
        error.add_note("not all of it is on the chain yet; once this is cleared: authority enrol register")
        raise
    finally:
        client.close()
    meters = f"{count} meter{'' if count == 1 else 's'}"
    done.note(Step("chain", f"has {meters} more" if count else "nothing was missing"), note)


def _reject(app: App, arguments: argparse.Namespace) -> int:
    with _session(app, arguments) as session:
        enrolment = requests.find(session, arguments.enrolment, decided=ENROLMENT_REJECTED)
        before = enrolment.state == ENROLMENT_REJECTED
        if not before:
            now = app.clock()
            requests.reject(session, enrolment, actor=arguments.actor, reason=arguments.reason, now=now)
    done = _begin(arguments, enrolment.gateway_name)
    done.facts["enrolment"] = enrolment.id
    word = "was rejected before" if before else "would be rejected" if arguments.dry_run else "rejected"
    done.note(Step(f"enrolment of {enrolment.gateway_name}", word), _note(arguments), changed=not before)
    return _end(arguments, done)


def _revoke(app: App, arguments: argparse.Namespace) -> int:
    client = ChainClient(app.home.rpc_url, attempts=2)
    try:
        closed = closing.revoke(
            app,
            arguments.gateway,
            actor=arguments.actor,
            reason=arguments.reason,
            client=client,
            dry_run=arguments.dry_run,
            tell=_note(arguments),
        )
    finally:
        client.close()
    return _end(arguments, closed)


def _note(arguments: argparse.Namespace) -> Tell:
    """How a step is told when it is done: a line for a person, nothing where one JSON document is asked for."""
    return (lambda step: None) if arguments.json else _tell


def _end(arguments: argparse.Namespace, done: Done) -> int:
    if arguments.json:
        print_json(done.as_json())
    return DONE if done.complete else FAILED


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

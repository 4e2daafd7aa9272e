"""Shutting a gateway out: what follows a revocation or a replaced certificate, at the broker and on the chain.

The store comes first: from its commit on, the collector takes nothing that the certificate brings, over HTTPS and MQTT.
Then the broker refuses the certificate and its connection ends, and the chain takes no reading of the meters. Each step
looks at what is there and does what is missing, so all of it may be broken off anywhere and done again.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from authority.app import App
from authority.chain import accounts, programs
from authority.chain.client import ChainClient
from authority.chain.errors import ChainError
from authority.enrolment import broker_door, requests, revocation
from authority.enrolment.broker_door import BrokerError, Credentials
from authority.enrolment.registration import set_status_instruction
from authority.enrolment.steps import Done, Step, Tell
from authority.log import log
from authority.refusals import NotFoundError
from authority.store.metering import GATEWAY_EXPECTED, GATEWAY_REVOKED, METER_ACTIVE, Gateway, Meter

SUSPENDED = "suspended"
"""What became of a meter whose gateway was shut out."""


def revoke(
    app: App,
    gateway: str,
    *,
    actor: str,
    reason: str,
    client: ChainClient,
    dry_run: bool = False,
    tell: Tell = lambda step: None,
) -> Done:
    """Revoke a gateway everywhere: store, broker, chain. `tell` hears of each step when it is done.

    NotFoundError; what the broker or the chain could not do is in the result, and is done by doing this
    again.
    """
    closed = Done("revoke", gateway, dry_run, facts={"gateway": gateway})
    if dry_run:
        for step in _planned(app, gateway):
            closed.note(step, tell)
        return closed
    with app.store.write() as session:
        done = requests.revoke(session, gateway, actor=actor, reason=reason, now=app.clock())
    closed.note(Step("certificate", "revoked" if done else "was revoked before"), tell, changed=done)
    closed.note(shut_out(app, gateway), tell)
    for step in _suspend_on_chain(app, gateway, actor, client):
        closed.note(step, tell, changed=step.outcome == SUSPENDED)
    return closed


def _planned(app: App, name: str) -> Sequence[Step]:
    with app.store.read() as session:
        gateway = session.get(Gateway, name)
        if gateway is None or gateway.state == GATEWAY_EXPECTED:
            raise NotFoundError(f"{name!r} has no certificate to revoke; see: authority enrol list")
        meters = [meter.name for meter in gateway.meters if meter.state == METER_ACTIVE]
        was = gateway.state == GATEWAY_REVOKED
    broker = "would be shut out" if app.home.settings.mqtt.host else "no broker"
    return [
        Step("certificate", "was revoked before" if was else "would be revoked"),
        Step("broker", broker),
        *(Step(f"meter {name}/{meter}", "would be suspended") for meter in meters),
    ]


def sync_list(app: App) -> None:
    """Write the revocation list as the store has it, where it is another, and have the broker read it."""
    now = app.clock()
    with app.store.read() as session:
        revoked = revocation.revoked_certificates(session, now)
    if revocation.write_list(app.home, revoked, now):
        broker_door.reload(app.home)


def shut_out(app: App, gateway: str, again: str = "authority enrol revoke") -> Step:
    """Have the broker refuse what is revoked, and end the gateway's connection; also after a replaced certificate.

    `again` is the command that does what could not be done.
    """
    home, now = app.home, app.clock()
    with app.store.read() as session:
        revoked = revocation.revoked_certificates(session, now)
    if not home.settings.mqtt.host:
        revocation.write_list(home, revoked, now)
        return Step("broker", "no broker")
    probe = Credentials.make(home, broker_door.PROBE_NAME, now)
    revocation.write_list(home, [*revoked, probe.certificate], now)
    broker_door.reload(home)
    try:
        broker_door.wait_until_read(home, probe)
        broker_door.throw_off(home, gateway, now)
    except BrokerError as error:
        return Step("broker", error.code, f"{error}; then again: {again}")
    return Step("broker", "refuses the certificate; the connection is ended")


def _suspend_on_chain(app: App, gateway: str, actor: str, client: ChainClient) -> list[Step]:
    with app.store.read() as session:
        meters = session.scalars(select(Meter).where(Meter.gateway_name == gateway).order_by(Meter.name)).all()
        wallets = {meter.id: meter.user.wallet for meter in meters}
    steps = []
    for meter in meters:
        what = f"meter {meter.gateway_name}/{meter.name}"
        if meter.state == METER_ACTIVE:
            continue
        try:
            outcome = _suspend(app, meter, wallets[meter.id], actor, client)
        except ChainError as error:
            steps.append(
                Step(
                    what, error.code, f"the chain still takes its readings: {error}; then again: authority enrol revoke"
                )
            )
        else:
            steps.append(Step(what, outcome))
    return steps


def _suspend(app: App, meter: Meter, wallet: str, actor: str, client: ChainClient) -> str:
    address = programs.meter_address(meter.meter_id)
    account = client.account(accounts.Meter, address)
    if account is None:
        return "not on the chain"
    if account.status is not accounts.Status.ACTIVE:
        return "was suspended before"
    signature = client.send(
        [set_status_instruction(client, app.home.operator.pubkey(), meter, wallet, accounts.Status.SUSPENDED)],
        [],
        payer=app.home.operator,
    )
    data = {"address": str(address), "signature": str(signature), "status": "suspended"}
    with app.store.write() as session:
        log.record_act(session, "meter_status_set", actor, app.clock(), data)
    return SUSPENDED

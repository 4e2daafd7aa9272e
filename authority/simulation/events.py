"""Acts of the operator in a simulated campus, through the services that the commands use: exchange, leave.

Both look at what is done already, so a simulation that was interrupted in the middle of one goes on with it.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import select

from authority.enrolment.registration import Registration
from authority.operations import exchange as exchanging
from authority.operations import leaving, meters
from authority.operations.chain_state import meter_of
from authority.operations.desk import Desk
from authority.simulation import campus_home
from authority.simulation.campus_home import ACTOR, MAPPED, CampusHome
from authority.simulation.scenario import Exchange
from authority.store.metering import METER_RETIRED
from authority.store.people import User
from edge_agent.wire.rules import REGISTERS


def exchange(home: CampusHome, event: Exchange, *, known: bool) -> None:
    """Another device takes a meter's place: the act with both displays' registers, the new map, and the chain.

    known: the authority has it all already, and only the device is exchanged.
    """
    (planned,) = (meter for meter in home.campus.meters if meter.full_name == event.meter)
    meter = home.meters[event.meter]
    shown = dict(zip(REGISTERS, meter.shown_wh(), strict=True))
    registers = MAPPED.get(planned.role, ("consumption",))
    meter.exchange(event.first_wh)
    if known:
        return
    desk = Desk(home.app, home.chain.client, ACTOR, reason="a simulated exchange")
    exchanging.exchange(
        desk,
        event.meter,
        meter.serial,
        last={register: shown[register] for register in registers},
        first=dict.fromkeys(registers, event.first_wh),
    )
    wanted = campus_home.meter_map(planned, meter)
    with home.app.store.read() as session:
        has_map = meter_of(session, event.meter).map_hash == wanted.hash()
    if not has_map:
        campus_home.enrol(home, planned.gateway, again=sum(each.devices - 1 for each in home.meters.values()))
    Registration(home.app, home.chain.client, actor=ACTOR, report=lambda _: None).run(planned.gateway)


def leave(home: CampusHome, name: str, settle: Callable[[], None]) -> None:
    """A member leaves, as far as it can by now; do it again after each boundary until nothing is left to do.

    Its meters are retired once all their readings are there. What it bought and did not use it gives up. settle lets
    the worker do what there is to do.
    """
    app = home.app
    with app.store.read() as session:
        if session.scalar(select(User.id).where(User.name == name)) is None:
            return  # its name was erased: it has left
        states = {
            planned.full_name: meter_of(session, planned.full_name).state
            for planned in home.campus.meters
            if planned.member == name
        }
    if any(home.meters[meter].kept for meter in states):
        return  # its gateway is behind
    desk = Desk(app, home.chain.client, ACTOR, reason="a simulated move")
    for meter, state in states.items():
        if state != METER_RETIRED:
            meters.retire(desk, meter)
        home.meters[meter].retired = True
    settle()
    leaving.leave(desk, name, forfeit=True)

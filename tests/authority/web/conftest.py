"""Fixtures of the pages' tests."""

import os

import pytest
from enrolling_gateway import PLAN, GatewayHand
from people_site import build
from sample_month import sample_month

from authority.collector import held
from authority.collector.http import create_app as gateways_door
from authority.collector.ingest import Collector
from authority.collector.live import Live
from authority.enrolment import plan, requests

__all__ = ["sample_month"]


@pytest.fixture
def operated(app, add_meter, clock):
    """A held reading, a gap, an enrolment that waits, and members."""
    with app.store.write() as session:
        plan.apply(session, plan.parse(PLAN.replace(b"S1", b"P1")), app.home, actor="x", now=1, random=os.urandom)
        code = requests.claim(session, app.home, "gw-2", actor="x", now=clock(), random=os.urandom)
    hand = GatewayHand(gateways_door(app, Collector(app), Live(app)).test_client(), code, gateway="gw-2")
    hand.only("other", "S3", "load")
    asked = hand.ask().json
    hand.prove(asked)
    meter = add_meter("roof", gateway="gw-3")
    meter.interval_end = clock.now - 8 * 900
    for energy, gap in ((0, 3), (400, 0), (50_000, 0)):
        Collector(app).ingest(meter.next(energy), gateway="gw-3", meter=None, over="https")
        meter.interval_end += gap * 900
    made = build(app, first_installation=7)
    with app.store.read() as session:
        made.held = held.held(session)[0].log_index
    made.enrolment = asked["enrolment"]
    return made

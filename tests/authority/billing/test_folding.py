"""Facts folded into the store now and then are those of one fold over all events; and the events go."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select

from authority.billing.facts import Facts
from authority.billing.folding import KeptFacts, fold
from authority.chain.idl import Event
from authority.store import Store
from authority.store.billing import ChainEvents, FoldedCredit, FoldedFacts, FoldedHistory

TABLES = (ChainEvents, FoldedHistory, FoldedFacts, FoldedCredit)
MEMBERS = ("anna", "bert", "cora")
LENGTH, FIRST = 900, 100
METERS = {bytes([number]) * 32: MEMBERS[number % 3] for number in range(5)}


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    made = Store.open(f"sqlite:///{tmp_path_factory.mktemp('store') / 'authority.db'}")
    yield made
    made.close()


def emptied(store):
    """The store without a history."""
    with store.write() as session:
        for table in TABLES:
            session.execute(delete(table))
    return store


def decode(data):
    """The events of a row of this test's."""
    return iter([Event(name, {**fields, **_bytes(fields)}) for name, fields in json.loads(data)])


def _bytes(fields):
    return {"meter_id": bytes.fromhex(fields["meter_id"])} if "meter_id" in fields else {}


def beginning():
    """Governance, the members and their meters."""
    yield "Initialized", {"epoch_seconds": LENGTH, "first_epoch": FIRST, "parameters": {"retail_price": 300}}
    for number, member in enumerate(MEMBERS):
        yield "UserRegistered", {"member_index": number, "wallet": member}
    for meter, member in METERS.items():
        yield "MeterRegistered", {"meter_id": meter.hex(), "user": member}


@st.composite
def lives(draw):
    """Events in an order that could be, each with its time; None where the store folds."""
    found, period, now, boundaries = [], 0, FIRST * LENGTH, dict.fromkeys(MEMBERS, 0)
    for _ in range(draw(st.integers(5, 40))):
        now += draw(st.integers(0, 2 * LENGTH))
        member, kind = draw(st.sampled_from(MEMBERS)), draw(st.integers(0, 7))
        if kind <= 1:
            to, booked = now // LENGTH * LENGTH, max(0, period - draw(st.integers(0, 1)))
            since = draw(st.sampled_from([0, boundaries[member]]))
            boundaries[member] = to
            withdrawn = draw(st.integers(0, 2**40))
            event = (
                "SurplusSettled",
                {"wallet": member, "from": since, "to": to, "withdrawn": withdrawn, "period": booked},
            )
        elif kind == 2:
            retired = {"amount": draw(st.integers(1, 2**40)), "credits": draw(st.integers(0, 2**40))}
            event = (
                "EnergyRetired",
                {"wallet": member, "period": period, "reason": draw(st.integers(0, 1)), **retired},
            )
        elif kind == 3:
            name = draw(st.sampled_from(["CreditIssued", "CreditRedeemed"]))
            event = (name, {"wallet": member, "amount": draw(st.integers(1, 2**40))})
        elif kind == 4:
            period += 1
            event = ("BillingPeriodOpened", {"period": period, "first_epoch": FIRST + period * 16})
        elif kind == 5:
            meter = draw(st.sampled_from(sorted(METERS)))
            event = ("MeterReassigned", {"meter_id": meter.hex(), "after": member})
        elif kind == 6:
            staged = {"retail_price": draw(st.integers(1, 900))}
            event = ("ParametersStaged", {"from_epoch": now // LENGTH + 2, "parameters": staged})
        else:
            event = None
        found.append((now, event))
    return found


def told(facts):
    """All that bills ask of facts."""
    everything = {
        period: [
            (member, share.withdrawals, share.retirements, share.credits, list(facts.drawn(period, member)))
            for member, share in facts.shares(period)
        ]
        for period in facts.first_epochs
    }
    prices = [facts.retail_price(epoch) for epoch in range(FIRST, FIRST + 120)]
    return everything, prices, facts.first_epochs, facts.members, facts.meters, facts.boundaries


@settings(deadline=None, max_examples=60)
@given(lives())
def test_a_store_that_folds_now_and_then_tells_what_one_fold_does(opened, life):
    store, whole = emptied(opened), Facts()
    rows = [(0, event) for event in beginning()]
    for number, (time, event) in enumerate([*rows, *life]):
        signature = number.to_bytes(64, "big")
        with store.write() as session:
            if event is None:
                fold(store, session, decode, at_least=1)
                continue
            packed = json.dumps([event]).encode()
            session.add(ChainEvents(signature=signature, time=time, events=packed))
        whole.apply(time, signature, decode(packed))
    with store.read() as session:
        kept = KeptFacts(store, session)
        kept.catch_up(session, decode)
    assert told(kept) == told(whole)
    assert sorted(kept.all_credits(), key=lambda each: each.signature) == whole.credits
    fed_in = dict.fromkeys(MEMBERS, 0)
    for retired in whole.retirements:
        fed_in[retired.member] += retired.credits
    assert {member: kept.fed_in[member] for member in MEMBERS} == fed_in


def test_what_is_folded_is_kept_once_and_what_is_read_meanwhile_stays_as_it_was(opened):
    store = emptied(opened)
    settled = [
        ("SurplusSettled", {"wallet": "anna", "from": 0, "to": (FIRST + n) * LENGTH, "withdrawn": n, "period": 0})
        for n in range(1, 40)
    ]
    with store.write() as session:
        for number, event in enumerate([*beginning(), *settled]):
            packed = json.dumps([event]).encode()
            session.add(ChainEvents(signature=number.to_bytes(64, "big"), time=FIRST * LENGTH, events=packed))
    with store.read() as session:
        before = KeptFacts(store, session)
        before.catch_up(session, decode)
    expected = told(before)
    with store.write() as session:
        assert fold(store, session, decode, at_least=1_000) == 0  # too few
        assert fold(store, session, decode, at_least=1) == 48
    assert told(before) == expected
    with store.read() as session:
        assert session.scalar(select(func.count()).select_from(ChainEvents)) == 1
        assert session.scalar(select(func.count()).select_from(FoldedFacts)) == 1
        after = KeptFacts(store, session)
        after.catch_up(session, decode)
    assert told(after) == expected
    assert after.withdrawals == []  # they lie in the store

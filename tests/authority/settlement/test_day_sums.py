"""A member's month or year is read from sums of its days, which are what its readings and books make together."""

from __future__ import annotations

import bisect
import random
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packed_accounts import paid_book
from solders.keypair import Keypair
from sqlalchemy import delete, select
from statements import executed

from authority.api.member import Energy, Members
from authority.app import App
from authority.billing.bill import trades_of
from authority.billing.book_trades import BookTrades
from authority.billing.calendar import midnight
from authority.billing.evidence import StoreEvidence
from authority.chain.accounts import EpochBook
from authority.chain.client import ChainClient
from authority.collector import held
from authority.collector.ingest import Collector
from authority.log import log
from authority.market.book_leaf import book_leaf
from authority.people.roles import MemberAccount
from authority.settlement import day_sums, member_meters
from authority.store.base import table_of
from authority.store.day_sums import EnergyDay, EnergyDaysKept, TradeDay, trades_changed
from authority.store.metering import Frame, Gateway, Meter, MeterTenure
from authority.store.people import Installation, User
from authority.store.rows import insert_rows
from authority.store.settlement import SettlementEpoch
from edge_agent.wire.reading import FRAME_SIZE, RECORD_SIZE, Record

STEP = 900
BERLIN = ZoneInfo("Europe/Berlin")
SPRING, AUTUMN, PLAIN = date(2026, 3, 29), date(2026, 10, 25), date(2026, 6, 10)
"""Days of 92, of 100 and of 96 quarters."""
ROLES = ("generation", "load", "storage")
NAMES = ("made_wh", "from_battery_wh", "drawn_wh", "used_wh", "into_battery_wh", "given_wh")


def no_chain() -> ChainClient:
    """Energy and trades are the store's alone."""
    raise AssertionError


@pytest.fixture
def members(app: App) -> Members:
    """Two members: the first with a meter of each role, the second with a load. The site is in Berlin."""
    with app.store.write() as session:
        session.add(Gateway(name="g", state="enrolled"))
        session.add(Installation(n=1, building="A", kind="mixed", nameplate_w=10_000, storage_wh=20_000, since=0))
        for n in (1, 2):
            session.add(User(id=n, name=f"m{n}", building="A", wallet=str(Keypair().pubkey()), member_index=n))
        session.flush()
        for pk, role in enumerate((*ROLES, "load"), 1):
            session.add(
                Meter(
                    id=pk, name=f"meter {pk}", gateway_name="g", serial=str(pk), meter_id=bytes([pk] * 32), role=role,
                    source="none", user_id=1 if pk <= len(ROLES) else 2, installation_n=1, state="active",
                )
            )  # fmt: skip
    found = Members(app, no_chain)
    found.zone = BERLIN
    return found


def add_readings(app: App, readings: Sequence[tuple[int, int, Any]], disposition: str = "accepted") -> None:
    """Readings (Meter.id, boundary, registers with their epoch) go into the log, in this order."""
    with app.store.write() as session:
        last = session.scalar(select(Frame.log_index).order_by(Frame.log_index.desc()).limit(1))
        rows = []
        for index, (pk, end, (*registers, register_epoch)) in enumerate(readings, 0 if last is None else last + 1):
            generation, consumption, charge, discharge = registers
            record = Record(
                sequence=index + 1, network_id=bytes(8), interval_end=end, generation=generation,
                consumption=consumption, charge=charge, discharge=discharge, interval_seconds=STEP, source=0,
                register_epoch=register_epoch,
            ).to_bytes()  # fmt: skip
            frame = record.ljust(FRAME_SIZE, b"\0")
            row = (index, pk, bytes([pk] * 32), index + 1, end, bytes(32), frame, "accepted", "ok", 0, "mqtt",
                   disposition, "pending")  # fmt: skip
            rows.append(row)
        if not rows:
            return
        columns = ("log_index", "meter_pk", "public_key", "sequence", "interval_end", "record_hash", "frame",
                   "verdict", "code", "received_at", "over", "disposition", "chain_status")  # fmt: skip
        insert_rows(session, table_of(Frame), columns, rows)


def registers(chance: random.Random, role: str, boundaries: Sequence[int], reset: int | None) -> dict[int, Any]:
    """What a meter's registers say at each boundary; they begin anew at the reset."""
    which = {"generation": (0,), "load": (1,), "storage": (2, 3)}[role]
    now, register_epoch, found = [0, 0, 0, 0], 0, {}
    for at in boundaries:
        if at == reset:
            now, register_epoch = [0, 0, 0, 0], 1
        for register in which:
            now[register] += chance.randrange(400)
        found[at] = (*now, register_epoch)
    return found


def of_readings(app: App, begin: int, end: int, edges: Sequence[tuple[int, int]]) -> Any:
    """Meters heard, and flows and seconds of each step, from the readings of the whole range together."""
    starts = [start for start, _ in edges]
    flows: list[Any] = [None] * len(edges)
    measured = [0] * len(edges)
    with app.store.read() as session:
        roles = member_meters.settling(session, 1)
        its = day_sums.readings(session, roles, begin, end, STEP)
        for piece in day_sums.spans(roles, its):
            place = bisect.bisect_right(starts, piece.end - 1) - 1
            flows[place] = piece.flows if flows[place] is None else tuple(map(int.__add__, flows[place], piece.flows))
            measured[place] += piece.end - max(piece.start, starts[place])
    return len(its), [None if each is None else tuple(each) for each in flows], measured


def flows_of(energy: Energy) -> list[Any]:
    return [None if step.flows is None else tuple(getattr(step.flows, name) for name in NAMES) for step in energy.steps]


def check(app: App, members: Members, first: date, last: date) -> None:
    """Days are what the readings of the whole range make, and what its quarters sum to."""
    member = MemberAccount(1, "m1", "w")
    by_day = members.energy(member, first, last, "day")
    edges = [(step.starts_at, step.ends_at) for step in by_day.steps]
    heard, flows, measured = of_readings(app, edges[0][0], edges[-1][1], edges)
    assert (by_day.meters_heard, flows_of(by_day)) == (heard, flows)
    assert [step.measured_seconds for step in by_day.steps] == measured
    quarters = members.energy(member, first, last, "quarter")
    assert quarters.total.flows == by_day.total.flows
    assert quarters.total.trades == by_day.total.trades
    for (start, end), step in zip(edges, by_day.steps, strict=True):
        inside = [each for each in quarters.steps if start <= each.starts_at < end]
        known = [each.flows for each in inside if each.flows is not None]
        assert (step.flows is None) == (not known)
        for name in NAMES if known else ():
            assert getattr(step.flows, name) == sum(getattr(each, name) for each in known)
        assert step.trades.bought_wh == sum(each.trades.bought_wh for each in inside)
        assert step.trades.received_micro_credits == sum(each.trades.received_micro_credits for each in inside)


@pytest.fixture
def wipe(app: App) -> Callable[[], None]:
    def wiped() -> None:
        with app.store.write() as session:
            for table in (EnergyDay, EnergyDaysKept, Frame):
                session.execute(delete(table))

    return wiped


JOINS = st.tuples(st.none() | st.integers(0, 390), st.none() | st.integers(0, 390))
"""From which boundary on a meter reads, and up to which one before it is retired."""


@st.composite
def campuses(draw: st.DrawFn) -> Any:
    """Four days, most around a change of the clock; where meters are reset and silent; how many readings are late."""
    of_meter = st.tuples(
        st.none() | st.integers(0, 390),
        st.lists(st.tuples(st.integers(0, 390), st.sampled_from([1, 3, 40, 200])), max_size=3),
    )
    return (
        draw(st.sampled_from([SPRING, AUTUMN, PLAIN])),
        draw(st.tuples(*[of_meter] * len(ROLES))),
        draw(st.sampled_from([0, 0.02, 0.3])),
        draw(st.integers(0, 2**32)),
        draw(st.tuples(*[JOINS] * len(ROLES))),
    )


def lived(
    middle: date, meters: Any, late: float, seed: int, lives: Any = ((None, None),) * 3
) -> tuple[list[Any], list[Any]]:
    """What comes in time, and what late, in their order."""
    begin, end = (midnight(middle + timedelta(days=days), BERLIN) for days in (-1, 3))
    boundaries = range(begin, end + 1, STEP)
    chance = random.Random(seed)  # noqa: S311 - readings, not keys
    come: list[Any] = []
    for pk, (role, (reset, silences)) in enumerate(zip(ROLES, meters, strict=True), 1):
        its = registers(chance, role, boundaries, None if reset is None else begin + reset * STEP)
        for start, length in silences:
            for at in boundaries[start : start + length]:
                its.pop(at, None)
        joins, leaves = lives[pk - 1]
        for at in (*boundaries[: joins or 0], *(() if leaves is None else boundaries[leaves:])):
            its.pop(at, None)
        come += [(at, pk, its[at]) for at in its]
    its_late = {(at, pk) for at, pk, _ in come if chance.random() < late}
    come.sort()
    return (
        [(pk, at, its) for at, pk, its in come if (at, pk) not in its_late],
        [(pk, at, its) for at, pk, its in come if (at, pk) in its_late],
    )


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_kept_days_are_what_the_readings_make(app: App, members: Members, wipe: Callable[[], None]) -> None:
    """Of any range of days, with readings that never came, came late, or after their meter was reset."""

    @settings(max_examples=6)
    @given(campuses())
    def holds(campus: Any) -> None:
        middle, (come, late) = campus[0], lived(*campus)
        wipe()
        with app.store.write() as session:
            for pk, (_, leaves) in enumerate(campus[4], 1):
                session.get_one(Meter, pk).state = "active" if leaves is None else "retired"
        ranges = [
            (middle + timedelta(days=first), middle + timedelta(days=last))
            for first, last in ((-1, 2), (-1, 0), (0, 0), (1, 2))
        ]
        add_readings(app, come)
        after = midnight(middle + timedelta(days=3), BERLIN)
        assert day_sums.keep(app.store, BERLIN, STEP, after - 86_400) >= (3 if come else 0)
        for first, last in ranges:
            check(app, members, first, last)
        add_readings(app, late)
        for first, last in ranges:
            check(app, members, first, last)
        day_sums.keep(app.store, BERLIN, STEP, after + STEP)
        with executed(app.store.engine) as statements:
            for first, last in ranges:
                members.energy(MemberAccount(1, "m1", "w"), first, last, "day")
        assert not [text for text, _ in statements.executed if "frames.frame" in text and "BETWEEN" in text]
        for first, last in ranges:
            check(app, members, first, last)

    holds()


def full_days(app: App, first: date, days: int, meters: Sequence[int] = (1, 2, 3)) -> None:
    """A reading at every boundary of these days."""
    begin, end = midnight(first, BERLIN), midnight(first + timedelta(days=days), BERLIN)
    boundaries = range(begin, end + 1, STEP)
    roles = dict(enumerate((*ROLES, "load"), 1))
    chance = random.Random(days)  # noqa: S311 - readings, not keys
    its = {pk: registers(chance, roles[pk], boundaries, None) for pk in meters}
    add_readings(app, [(pk, at, its[pk][at]) for at in boundaries for pk in meters])


def kept_until(app: App, user_id: int = 1) -> int:
    with app.store.read() as session:
        return session.get_one(EnergyDaysKept, user_id).until


def test_a_member_with_other_meters_is_summed_anew(app: App, members: Members) -> None:
    """What a member's pages show is of the meters that are its own now, as ever."""
    full_days(app, PLAIN, 3, (1, 2, 3, 4))
    now = midnight(PLAIN + timedelta(days=3), BERLIN)
    day_sums.keep(app.store, BERLIN, STEP, now)
    with app.store.write() as session:
        session.get_one(Meter, 3).user_id = 2
    check(app, members, PLAIN, PLAIN + timedelta(days=2))
    assert day_sums.keep(app.store, BERLIN, STEP, now) == 0  # until the day is over
    day_sums.keep(app.store, BERLIN, STEP, now + 86_400)
    check(app, members, PLAIN, PLAIN + timedelta(days=2))
    with app.store.read() as session:
        assert member_meters.settling(session, 1).keys() == {1, 2}
        heard = session.scalars(select(EnergyDay.heard).where(EnergyDay.user_id == 2)).all()
    assert set(heard) == {bytes([3, 0, 0, 0, 4, 0, 0, 0])}


def test_a_tenant_sees_what_was_measured_in_its_own_time(app: App, members: Members) -> None:
    """The meter of the second member goes to a third at noon of the second day: each sees its part alone."""
    full_days(app, PLAIN, 3, (4,))
    days = [midnight(PLAIN + timedelta(days=n), BERLIN) for n in range(4)]
    noon = days[1] + 43_200
    with app.store.write() as session:
        session.add(User(id=3, name="m3", building="A", wallet=str(Keypair().pubkey()), member_index=3))
        session.flush()
        session.add(MeterTenure(meter_pk=4, user_id=2, until_end=noon))
        session.add(MeterTenure(meter_pk=4, user_id=3, since_end=noon))
        session.get_one(Meter, 4).user_id = 3
        said = {
            end: Record.from_bytes(frame[:RECORD_SIZE]).consumption
            for end, frame in session.execute(select(Frame.interval_end, Frame.frame).where(Frame.meter_pk == 4))
        }

    def used(user_id: int, step: str) -> list[tuple[int, int | None]]:
        member = MemberAccount(user_id, f"m{user_id}", "w")
        found = members.energy(member, PLAIN, PLAIN + timedelta(days=2), step)
        return [(each.starts_at, None if each.flows is None else each.flows.used_wh) for each in found.steps]

    before = [said[days[1]] - said[days[0]], said[noon] - said[days[1]], None]
    after = [None, said[days[2]] - said[noon], said[days[3]] - said[days[2]]]
    for _ in range(2):
        assert used(2, "day") == list(zip(days, before, strict=False))
        assert used(3, "day") == list(zip(days, after, strict=False))
        assert {at for at, wh in used(2, "quarter") if wh is not None} == set(range(days[0], noon, STEP))
        assert {at for at, wh in used(3, "quarter") if wh is not None} == set(range(noon, days[3], STEP))
        day_sums.keep(app.store, BERLIN, STEP, days[3])
    with app.store.read() as session:
        assert set(session.scalars(select(EnergyDay.user_id))) == {2, 3}


def test_a_meter_that_was_given_to_the_wrong_member_and_back_is_as_if_nothing_had_been(
    app: App, members: Members
) -> None:
    noon = midnight(PLAIN, BERLIN) + 43_200
    with app.store.write() as session:
        for user_id, since, until in ((2, None, noon), (1, noon, noon), (2, noon, None)):
            session.add(MeterTenure(meter_pk=4, user_id=user_id, since_end=since, until_end=until))
            session.flush()
        assert member_meters.had(session, 2) == {4: ((None, None),)}
        assert 4 not in member_meters.had(session, 1)
        session.add(MeterTenure(meter_pk=4, user_id=1, since_end=noon, until_end=noon + STEP))
        session.flush()
        assert member_meters.had(session, 1)[4] == ((noon, noon + STEP),)


def test_keeping_goes_on_where_it_stopped(app: App, members: Members, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store with a year behind it is not summed in one go."""
    monkeypatch.setattr(day_sums, "MEMBER_DAYS_A_TURN", 2)
    full_days(app, PLAIN, 5, (1, 2, 3))
    now = midnight(PLAIN + timedelta(days=5), BERLIN)
    counts = [day_sums.keep(app.store, BERLIN, STEP, now) for _ in range(5)]
    assert counts[:2] == [2, 2]
    assert counts[-1] == 0
    check(app, members, PLAIN, PLAIN + timedelta(days=4))


def test_a_reading_that_an_operator_releases_counts_in_the_days_before(
    app: App, clock: Any, add_meter: Callable[..., Any]
) -> None:
    """It was in the log when its day was summed, and held."""
    utc, member, meter = ZoneInfo("UTC"), MemberAccount(1, "user", "w"), add_meter("load", role="load", source="none")
    collector, members = Collector(app), Members(app, no_chain)
    meter.interval_end = clock.now - 4 * STEP
    for used in (0, 100, 200):
        collector.ingest(meter.next(consumption=used), gateway=meter.gateway, meter=None, over="https")
    odd = collector.ingest(
        meter.next(consumption=300, clock_deviation=500), gateway=meter.gateway, meter=None, over="https"
    ).receipts[0]
    assert odd[4] == 2
    day_sums.keep(app.store, utc, STEP, clock.now + 86_400)
    today = datetime.fromtimestamp(meter.interval_end - 1, UTC).date()
    before = members.energy(member, today, today, "day").total.flows
    with app.store.write() as session:
        (waiting,) = held.held(session)
        held.release(session, waiting.log_index, actor="operator", reason="checked", now=clock.now)
    for _ in range(2):
        by_day, by_quarter = (members.energy(member, today, today, step).total for step in ("day", "quarter"))
        assert before is not None
        assert by_day.flows == by_quarter.flows
        assert by_day.flows is not None
        assert by_day.flows.drawn_wh == before.drawn_wh + 100
        day_sums.keep(app.store, utc, STEP, clock.now + 86_400)
        assert kept_until(app) > clock.now


# Trades


def add_books(app: App, first: date, days: int, seed: int, done: int | None = None) -> None:
    """A book for each epoch of these days, of two members and others; the first `done` are finished with."""
    chance = random.Random(seed)  # noqa: S311 - orders, not keys
    epochs = range(midnight(first, BERLIN) // STEP, midnight(first + timedelta(days=days), BERLIN) // STEP)
    with app.store.write() as session:
        for place, epoch in enumerate(epochs):
            sides = [
                [(chance.randrange(1, 5), chance.randrange(1, 5_000)) for _ in range(chance.randrange(4))]
                for _ in range(2)
            ]
            is_done = done is None or place < done
            leaf = None
            if is_done and chance.random() < 0.9:
                leaf = log.append(session, book_leaf(paid_book(epoch, chance.randrange(50_000, 300_000), *sides)))
            session.merge(
                SettlementEpoch(
                    epoch=epoch, state="checkpointed" if is_done else "minted", first_seen_ms=0,
                    book_log_index=leaf, checkpointed_ms=1 if is_done else None,
                )
            )  # fmt: skip


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("first", [SPRING, AUTUMN])
def test_kept_trades_are_what_the_books_make(app: App, members: Members, first: date) -> None:
    """Of days that are over and done with; others are read from the books, and so is what a chain lost."""
    last = first + timedelta(days=1)
    done = (midnight(first + timedelta(days=1), BERLIN) - midnight(first, BERLIN)) // STEP + 30
    add_books(app, first, 2, 1, done)
    day_sums.keep(app.store, BERLIN, STEP, 0)
    check(app, members, first, last)
    with app.store.read() as session:
        assert set(session.scalars(select(TradeDay.day))) == {midnight(first, BERLIN)}
    add_books(app, first, 2, 2)
    with app.store.write() as session:  # the chain went back, and another book came of each epoch
        trades_changed(session, midnight(first, BERLIN) // STEP + 3)
    check(app, members, first, last)
    day_sums.keep(app.store, BERLIN, STEP, 0)
    with app.store.read() as session:
        assert len(set(session.scalars(select(TradeDay.day)))) == 2
    check(app, members, first, last)
    year = members.energy(MemberAccount(1, "m1", "w"), first.replace(month=1, day=1), last, "month")
    days = members.energy(MemberAccount(1, "m1", "w"), first, last, "day")
    assert year.total.trades == days.total.trades


@pytest.mark.parametrize("most", [10_000, 100, 3])
def test_a_final_book_is_read_once_for_each_member(app: App, most: int) -> None:
    """However few of them are kept, what is found is what the books have."""
    add_books(app, PLAIN, 1, 1)
    kept, first = BookTrades(most), midnight(PLAIN, BERLIN) // STEP

    def check_all() -> int:
        """The leaves that were read."""
        with executed(app.store.engine) as statements, app.store.read() as session:
            for begin, end, member in ((0, 96, 1), (20, 50, 2), (40, 60, 1), (40, 40, 3)):
                epochs = first + begin, first + end
                assert kept.of(session, *epochs, member) == [
                    (leaf, EpochBook.from_account(book).price, trade)
                    for leaf, book in StoreEvidence(session).books(*epochs)
                    for trade in trades_of(book, member=member)
                ]
        return len([text for text, _ in statements.executed if "log_leaves" in text])

    afresh = check_all()
    again = check_all()
    assert again <= afresh
    if most == 10_000:
        assert again == 5, "those of the comparison itself"


def test_a_year_reads_neither_readings_nor_books(app: App, members: Members) -> None:
    """Once its days are kept; and no statement reads what does not belong to the member or the range."""
    full_days(app, PLAIN, 3)
    add_books(app, PLAIN, 1, 1)
    day_sums.keep(app.store, BERLIN, STEP, midnight(PLAIN + timedelta(days=3), BERLIN))
    with executed(app.store.engine) as statements:
        year = members.energy(MemberAccount(1, "m1", "w"), date(2026, 1, 1), PLAIN + timedelta(days=2), "month")
        members.bills(MemberAccount(1, "m1", "w"))
    assert year.total.measured_seconds == 3 * 86_400
    assert year.total.trades.bought_wh
    texts = [text for text, _ in statements.executed]
    assert not [text for text in texts if "frames.frame" in text or "log_leaves" in text or "document" in text]
    assert statements.growing(app.store.engine) == []
    with executed(app.store.engine) as keeping:
        day_sums.keep(app.store, BERLIN, STEP, midnight(PLAIN + timedelta(days=4), BERLIN))
        members.energy(MemberAccount(1, "m1", "w"), PLAIN, PLAIN, "quarter")
    assert keeping.growing(app.store.engine) == []


def test_a_retired_meter_stays_in_its_members_history_for_its_time(app: App, members: Members) -> None:
    """The generation meter is taken out at noon of the second day; another one reads from that evening on."""
    full_days(app, PLAIN, 3, (2,))
    days = [midnight(PLAIN + timedelta(days=n), BERLIN) for n in range(4)]
    noon, evening, taken_out = days[1] + 43_200, days[1] + 64_800, days[1] + 45_000
    chance = random.Random(7)  # noqa: S311 - readings, not keys
    old = registers(chance, "generation", range(days[0], noon + 1, STEP), None)
    new = registers(chance, "generation", range(evening, days[3] + 1, STEP), None)
    with app.store.write() as session:
        session.get_one(Meter, 1).state = "retired"
        session.get_one(Meter, 3).state = "retired"  # it never had a reading
        session.add(
            Meter(
                id=5, name="meter 5", gateway_name="g", serial="5", meter_id=bytes([5] * 32), role="generation",
                source="solar", user_id=1, installation_n=1, state="active",
            )
        )  # fmt: skip
        log.record_act(session, "meter_taken_out", "x", taken_out, {"meter_id": (bytes([1]) * 32).hex(), "reason": ""})
    add_readings(app, [(1, at, old[at]) for at in old])
    add_readings(app, [(5, at, new[at]) for at in new])
    member = MemberAccount(1, "m1", "w")
    made = [old[days[1]][0] - old[days[0]][0]]
    made += [old[noon][0] - old[days[1]][0] + new[days[2]][0] - new[evening][0], new[days[3]][0] - new[days[2]][0]]
    for _ in range(2):
        by_day = members.energy(member, PLAIN, PLAIN + timedelta(days=2), "day")
        assert [step.flows and step.flows.made_wh for step in by_day.steps] == made
        assert [step.measured_seconds for step in by_day.steps] == [86_400] * 3
        assert [(step.meters_heard, step.meters) for step in by_day.steps] == [(2, 2), (3, 3), (2, 2)]
        assert (by_day.meters_heard, by_day.meters) == (3, 3)
        check(app, members, PLAIN, PLAIN + timedelta(days=2))
        check(app, members, PLAIN, PLAIN + timedelta(days=1))
        check(app, members, PLAIN + timedelta(days=2), PLAIN + timedelta(days=2))
        day_sums.keep(app.store, BERLIN, STEP, days[3])
    quarters = members.energy(member, PLAIN + timedelta(days=1), PLAIN + timedelta(days=1), "quarter").steps
    had = {step.starts_at: (step.meters_heard, step.meters) for step in quarters}
    assert had[noon - STEP] == (2, 2)
    assert had[noon] == (1, 2), "it is away, and not yet taken out"
    assert had[taken_out] == (1, 1), "nothing of it is awaited any more"
    assert had[evening] == (2, 2)
    assert all(step.flows is not None for step in quarters), "each quarter has what its meters measured"


def test_a_meter_that_joins_at_midnight_leaves_the_day_before_whole(app: App, members: Members) -> None:
    full_days(app, PLAIN, 2, (2,))
    days = [midnight(PLAIN + timedelta(days=n), BERLIN) for n in range(3)]
    chance = random.Random(8)  # noqa: S311 - readings, not keys
    its = registers(chance, "generation", range(days[1], days[2] + 1, STEP), None)
    add_readings(app, [(1, at, its[at]) for at in its])
    with app.store.write() as session:
        session.get_one(Meter, 3).state = "retired"
    for _ in range(2):
        found = members.energy(MemberAccount(1, "m1", "w"), PLAIN, PLAIN + timedelta(days=1), "day")
        assert [step.measured_seconds for step in found.steps] == [86_400, 86_400]
        assert [(step.meters_heard, step.meters) for step in found.steps] == [(1, 1), (2, 2)]
        check(app, members, PLAIN, PLAIN + timedelta(days=1))
        day_sums.keep(app.store, BERLIN, STEP, days[2])


BOUNDARIES = st.one_of(st.none(), st.integers(0, 12))
METERS = st.builds(
    member_meters.Counted,
    role=st.just("pv"),
    tenures=st.lists(st.tuples(BOUNDARIES, BOUNDARIES), max_size=3).map(tuple),
    begun=BOUNDARIES,
    ended=BOUNDARIES,
    gone=BOUNDARIES,
)


@given(
    st.dictionaries(st.integers(1, 9), METERS, max_size=4),
    st.lists(st.tuples(st.integers(-1, 14), st.integers(-1, 14)), max_size=20),
)
def test_meters_that_are_awaited_are_counted_for_many_times_as_for_one(
    roles: dict[int, member_meters.Counted], times: list[tuple[int, int]]
) -> None:
    count = member_meters.awaiting(roles)
    assert [count(begin, end) for begin, end in times] == [
        sum(each.awaited(begin, end) for each in roles.values()) for begin, end in times
    ]

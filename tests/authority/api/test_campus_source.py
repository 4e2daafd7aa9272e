"""The view in service, over a real store: what each role adds to its building, and what is not known stays unknown."""

import pytest
from sample_market import add_book

from authority.api.campus import CampusUnavailableError, EnergyTokens, last_minted
from authority.api.campus_source import Book, ChainFigures, StoreCampusSource
from authority.app import App
from authority.home.home import Home
from authority.home.settings import EpochSettings, ParameterSettings, Settings, WebSettings
from authority.settlement.snapshot import OrderView
from authority.store.metering import Frame, Gateway, LivePower, Meter
from authority.store.people import Installation, User
from authority.store.settlement import SettledSpan, SettlementEpoch
from edge_agent.wire.reading import Record

EPOCH = 89_500_000
NOW = EPOCH * 20 + 7
ENERGY = EnergyTokens(minted_wh=300, held_wh=100, escrow_wh=200, retired_wh=0, conserved=True)


def orders_of(sellers):
    """An order of a buyer whose figures are public (member 9), and one of each of the sellers who are not."""
    bid = OrderView(True, 250_000, 0, 880, 0, 9, False)
    return (bid, *(OrderView(False, 100_000, n, 81, 0, n, False) for n in range(1, sellers + 1)))


METERS = {
    "Dormitory A": (("solar", "generation", "solar"), ("battery", "storage", "none"), ("load", "load", "none")),
    "Dormitory B": (("wind", "generation", "wind"), ("grid", "grid", "none")),
    "Faculty Housing": (("building", "building", "solar"),),
    "Research Labs": (("load", "load", "none"), ("hpc", "submeter", "none")),
}


class Chain:
    """The chain's figures as a test sets them."""

    def __init__(self):
        self.answer = ChainFigures("embedded 1.0", 77, NOW - 1, ENERGY, Book(EPOCH, 1, 3, orders_of(3)))

    def figures(self, epoch):
        return self.answer


@pytest.fixture
def app(tmp_path):
    settings = Settings(
        epoch=EpochSettings(20), parameters=ParameterSettings.for_epoch(20), web=WebSettings(notice="A demonstration.")
    )
    Home.create(tmp_path / "home", settings, now=NOW)
    opened = App.open(tmp_path / "home", clock=lambda: NOW)
    yield opened
    opened.store.close()


@pytest.fixture
def meters(app):
    """The campus plan's meters in the store, by (building, name)."""
    found = {}
    with app.store.write() as session:
        session.add(Installation(n=1, building="all", kind="all", nameplate_w=1, storage_wh=0, since=0))
        for number, (building, its) in enumerate(METERS.items()):
            user = User(name=building, building=building, public=True, dwelling=False, wallet=f"wallet{number}")
            gateway = Gateway(name=f"gateway{number}")
            session.add_all([user, gateway])
            for name, role, source in its:
                serial = f"{building}/{name}"
                meter = Meter(
                    name=name,
                    gateway=gateway,
                    serial=serial,
                    meter_id=serial.encode().ljust(32, b"\0")[:32],
                    role=role,
                    source=source,
                    user=user,
                    installation_n=1,
                    state="active",
                )
                session.add(meter)
                found[building, name] = meter
    return {key: meter.id for key, meter in found.items()}


def hear(app, meters, building, name, power_w, age=3):
    with app.store.write() as session:
        session.merge(LivePower(meter_pk=meters[building, name], power_w=power_w, time=NOW - age, received_at=NOW))


def read(app, meters, building, name, sequence, end, **registers):
    whole = {"generation": 0, "consumption": 0, "charge": 0, "discharge": 0, **registers}
    record = Record(
        sequence=sequence, network_id=bytes(8), interval_end=end, interval_seconds=20, source=0, **whole
    ).to_bytes()
    pk = meters[building, name]
    with app.store.write() as session:
        session.add(
            Frame(
                log_index=pk * 1000 + sequence,
                meter_pk=pk,
                public_key=bytes([pk]) * 32,
                sequence=sequence,
                interval_end=end,
                record_hash=bytes(32),
                frame=record + bytes(96),
                verdict="accepted",
                code="ok",
                receipt=bytes(168),
                received_at=end + 1,
                over="mqtt",
                disposition="accepted",
            )
        )


def view(app, chain=None, history=10):
    return StoreCampusSource(app, chain or Chain()).now(history)


def building(campus, name):
    return next(b for b in campus.buildings if b.name == name)


def test_an_empty_store_says_what_to_do(app):
    with pytest.raises(CampusUnavailableError, match="authority enrol campus"):
        view(app)


def test_before_anything_was_heard_everything_is_unknown(app, meters):
    campus = view(app)
    assert [b.name for b in campus.buildings] == list(METERS)
    for b in campus.buildings:
        assert (b.generation_w, b.consumption_w, b.basis, b.measured_at, b.minted_wh) == (
            None,
            None,
            "none",
            None,
            None,
        )
    assert campus.history == ()
    assert campus.notice == "A demonstration."
    assert campus.service.transport is None
    assert (campus.epoch.readings, campus.epoch.readings_expected) == (0, 8)


def test_live_power_is_composed_by_role(app, meters):
    hear(app, meters, "Dormitory A", "solar", -50_751, age=5)
    hear(app, meters, "Dormitory A", "battery", 10_739, age=4)
    hear(app, meters, "Dormitory A", "load", 29_273, age=3)
    hear(app, meters, "Dormitory B", "wind", -36_471)
    hear(app, meters, "Dormitory B", "grid", -13_071)
    hear(app, meters, "Research Labs", "load", 166_300)
    campus = view(app)
    a, b, labs = (building(campus, name) for name in ("Dormitory A", "Dormitory B", "Research Labs"))
    assert (a.generation_w, a.consumption_w, a.storage_w, a.basis) == (50_751, 29_273, 10_739, "live")
    assert a.measured_at == NOW - 5
    assert (b.generation_w, b.consumption_w, b.storage_w) == (36_471, 23_400, None)
    assert (labs.generation_w, labs.consumption_w) == (0, 166_300)


def test_one_silent_meter_makes_the_building_fall_back_to_its_signed_readings(app, meters):
    hear(app, meters, "Dormitory B", "wind", -36_471)
    hear(app, meters, "Dormitory B", "grid", -13_071, age=46)
    start = EPOCH * 20 - 20
    read(app, meters, "Dormitory B", "wind", 1, start, generation=1000)
    read(app, meters, "Dormitory B", "wind", 2, start + 20, generation=1200)
    assert building(view(app), "Dormitory B").basis == "none"
    read(app, meters, "Dormitory B", "grid", 1, start, generation=500, consumption=70)
    read(app, meters, "Dormitory B", "grid", 2, start + 20, generation=572, consumption=70)
    b = building(view(app), "Dormitory B")
    assert (b.basis, b.measured_at) == ("interval", start + 20)
    assert b.generation_w == 200 * 180
    assert b.consumption_w == (200 - 72) * 180


def test_a_building_meters_net_power_is_never_passed_off_as_generation(app, meters):
    hear(app, meters, "Faculty Housing", "building", -20_250)
    assert building(view(app), "Faculty Housing").generation_w is None
    read(app, meters, "Faculty Housing", "building", 1, EPOCH * 20 - 20, generation=2**63, consumption=5)
    read(app, meters, "Faculty Housing", "building", 2, EPOCH * 20, generation=2**63 + 160, consumption=52)
    b = building(view(app), "Faculty Housing")
    assert (b.generation_w, b.consumption_w, b.basis) == (28_800, 8_460, "interval")
    assert b.meters[0].power_w == -20_250


def test_an_interval_of_several_epochs_is_a_mean_over_all_of_them(app, meters):
    read(app, meters, "Research Labs", "load", 1, EPOCH * 20 - 60, consumption=0)
    read(app, meters, "Research Labs", "load", 2, EPOCH * 20, consumption=3000)
    assert building(view(app), "Research Labs").consumption_w == 180_000


def test_the_running_epoch_counts_each_meters_reading_once(app, meters):
    read(app, meters, "Research Labs", "load", 1, EPOCH * 20)
    read(app, meters, "Research Labs", "hpc", 1, EPOCH * 20)
    read(app, meters, "Dormitory B", "grid", 1, EPOCH * 20 - 20)
    epoch = view(app).epoch
    assert (epoch.number, epoch.starts_at, epoch.ends_at) == (EPOCH, EPOCH * 20, EPOCH * 20 + 20)
    assert (epoch.readings, epoch.readings_expected) == (2, 8)
    assert (epoch.bids, epoch.asks) == (None, None), "the buyer is one member who keeps to itself, as far as is known"


def test_energy_in_the_book_is_told_of_enough_members_alone(app, meters):
    """And it goes on by the orders of enough of them, so that no two looks tell what one of them ordered."""
    chain, told = Chain(), []
    source = StoreCampusSource(app, chain)
    with app.store.write() as session:
        session.query(User).filter(User.name == "Dormitory A").one().member_index = 9
    for sellers in (0, 2, 3, 4, 5, 6):
        chain.answer = ChainFigures("embedded 1.0", 77, NOW, ENERGY, Book(EPOCH, 1, sellers, orders_of(sellers)))
        epoch = source.now(0).epoch
        told.append((epoch.asks, epoch.bid_wh, epoch.ask_wh))
    assert told == [(0, 880, 0), (0, 880, 0), (3, 880, 243), (3, 880, 243), (3, 880, 243), (6, 880, 486)]
    other = StoreCampusSource(app, chain)
    chain.answer = ChainFigures("embedded 1.0", 77, NOW, ENERGY, Book(EPOCH, 1, 2, orders_of(2)))
    assert other.now(0).epoch.ask_wh == 486, "another process shows what this one did"


def test_a_book_of_another_epoch_is_not_shown_as_this_ones(app, meters):
    chain = Chain()
    chain.answer = ChainFigures("embedded 1.0", 77, NOW, ENERGY, Book(EPOCH - 1, 1, 3, orders_of(3)))
    assert view(app, chain).epoch.bids is None


def test_a_silent_validator_is_shown_as_such(app, meters):
    chain = Chain()
    chain.answer = ChainFigures(None, None, NOW - 60, ENERGY, None)
    campus = view(app, chain)
    assert (campus.service.validator, campus.service.chain_read_at, campus.epoch.asks) == (None, NOW - 60, None)
    assert campus.energy == ENERGY


def test_past_epochs_carry_the_energy_metered_in_them_and_their_own_book(app, meters):
    with app.store.write() as session:
        for number, price in ((EPOCH - 2, None), (EPOCH - 1, 150_000), (EPOCH, None)):
            session.add(
                SettlementEpoch(
                    epoch=number,
                    state="checkpointed" if number < EPOCH - 1 else "minted",
                    first_seen_ms=0,
                    checkpointed_ms=1 if number < EPOCH - 1 else None,
                    readings_on_chain=8,
                    bids=1,
                    asks=2,
                    traded_wh=0 if price is None else 99,
                    clearing_price=price,
                    publishable=None if price is None else True,
                    log_size=5,
                    log_root=b"\xab" * 32 if number < EPOCH - 1 else None,
                )
            )
        for wallet, boundary, wh in (
            ("wallet0", EPOCH * 20 - 20, 11),
            ("wallet1", EPOCH * 20 - 20, 22),
            ("wallet0", EPOCH * 20, 33),
        ):
            session.add(
                SettledSpan(
                    wallet=wallet,
                    boundary=boundary,
                    minted_wh=wh,
                    withdrawal_wh=0,
                    lifetime_minted_wh=wh + 100,
                    lifetime_withdrawal_wh=0,
                )
            )
    campus = view(app)
    assert [(e.number, e.minted_wh, e.orders, e.traded_wh) for e in campus.history] == [
        (EPOCH - 2, 33, None, 0),
        (EPOCH - 1, 33, None, 99),
    ]
    assert campus.history[1].clearing_price_micro_credits_per_kwh == 150_000
    with app.store.write() as session:
        session.get_one(SettlementEpoch, EPOCH - 1).publishable = False
    told = view(app).history[1]
    assert (told.traded_wh, told.clearing_price_micro_credits_per_kwh) == (None, None), "too few members traded"
    assert building(campus, "Dormitory A").minted_wh == 133
    assert building(campus, "Research Labs").minted_wh is None
    assert (campus.service.checkpoint_epoch, campus.service.log_size) == (EPOCH - 2, 5)
    assert campus.service.log_root == "ab" * 32
    assert [e.number for e in view(app, history=1).history] == [EPOCH - 1]
    assert view(app, history=0).history == ()


def test_members_who_are_not_public_are_not_shown(app, meters):
    with app.store.write() as session:
        session.query(User).filter(User.name == "Dormitory A").one().public = False
    assert [b.name for b in view(app).buildings] == ["Dormitory B", "Faculty Housing", "Research Labs"]


def test_a_home_that_is_public_shows_no_live_power_and_settled_quarters_of_an_hour_late(app, meters):
    with app.store.write() as session:
        session.query(User).filter(User.name == "Research Labs").one().dwelling = True
        quarter = (NOW - 900) // 900 * 900
        for boundary, minted in ((quarter - 20, 10), (quarter, 20), (quarter + 20, 30), (quarter + 900, 40)):
            session.add(
                SettledSpan(
                    wallet="wallet3", boundary=boundary, minted_wh=1, withdrawal_wh=0, lifetime_minted_wh=minted,
                    lifetime_withdrawal_wh=0,
                )
            )  # fmt: skip
    for sequence, (end, wh) in enumerate(
        ((quarter - 900, 1_000), (quarter - 20, 1_800), (quarter, 2_000), (quarter + 20, 9_000)), 1
    ):
        read(app, meters, "Research Labs", "load", sequence, end, consumption=wh)
    for name in ("load", "hpc"):
        hear(app, meters, "Research Labs", name, 166_300)
    home = building(view(app), "Research Labs")
    assert (home.basis, home.measured_at, home.consumption_w) == ("interval", quarter, 4_000)
    assert home.measured_at <= NOW - 900
    assert (home.late_seconds, home.minted_wh) == (900, 20)
    assert [(meter.power_w, meter.power_at) for meter in home.meters] == [(None, None)] * 2
    assert "166300" not in str(view(app).as_json())


def test_who_is_declared_to_be_nothing_counts_as_a_home(app, meters):
    with app.store.write() as session:
        session.add(User(name="Flat 7", building="Block C", public=True, wallet="wallet7"))
        session.flush()
        assert session.query(User).filter(User.name == "Flat 7").one().dwelling is True


def test_what_was_minted_is_told_of_enough_members_who_keep_to_themselves_or_of_none(app, meters):
    """Else it is the one member's surplus, less what the public buildings show of themselves."""
    with app.store.write() as session:
        session.add(
            SettlementEpoch(epoch=EPOCH - 1, state="checkpointed", first_seen_ms=0, checkpointed_ms=1, bids=0, asks=0)
        )
    for private, told in ((0, True), (1, False), (2, False), (3, True)):
        with app.store.write() as session:
            if private:
                wallet = f"private{private}"
                session.add(User(name=wallet, building="Homes", wallet=wallet))
            session.add(
                SettledSpan(
                    wallet=wallet if private else "wallet0", boundary=EPOCH * 20, minted_wh=10, withdrawal_wh=0,
                    lifetime_minted_wh=10, lifetime_withdrawal_wh=0,
                )
            )  # fmt: skip
        campus = view(app)
        assert campus.history[0].minted_wh == (10 * (private + 1) if told else None)
        assert campus.energy.conserved
        assert (campus.energy.minted_wh is not None, campus.energy.held_wh is not None) == (told, told)
        assert building(campus, "Dormitory A").minted_wh == 10, "what a public building shows of itself stays"
        assert last_minted(campus) is (campus.history[0] if told else None)


def test_a_public_dwelling_does_not_hide_two_others(app, meters):
    """It shows its own part, only later: so of three there are two that keep to themselves."""
    with app.store.write() as session:
        for name, public in (("one", False), ("two", False), ("three", True)):
            session.add(User(name=name, building=name, public=public, wallet=name))
            session.add(
                SettledSpan(
                    wallet=name, boundary=EPOCH * 20, minted_wh=10, withdrawal_wh=0, lifetime_minted_wh=10,
                    lifetime_withdrawal_wh=0,
                )
            )  # fmt: skip
    assert view(app).energy.minted_wh is None


def test_orders_are_counted_of_enough_members_alone(app, meters):
    ask = (100_000, 10, 0)
    for count, told in ((2, None), (3, 3)):
        asks = [(*ask, member) for member in range(count)]
        add_book(app, EPOCH - 1, 100_000, [], asks)
        assert view(app).history[0].orders == told

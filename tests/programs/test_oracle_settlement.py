"""settle_surplus: the rule that turns registers into tokens, who must be there, and what it never does."""

from __future__ import annotations

import pytest
from campus import (
    CLOSED,
    CONSUMER,
    EPOCH_SECONDS,
    PAUSE_SETTLEMENT,
    PROSUMER,
    START,
    SUSPENDED,
    TRANSACTION_SIZE,
    Campus,
    SimulatedMeter,
    key,
    lose,
    readonly,
    writable,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.compute_budget import set_compute_unit_limit
from solders.instruction import Instruction

from authority.chain import programs


class Home:
    """A member with solar generation, a battery (50 kWh) and a load; a baseline at the first boundary."""

    def __init__(self, campus: Campus, name: str = "alice") -> None:
        self.campus = campus
        self.member = campus.register_user(name)
        self.solar = campus.add_meter(self.member, f"{name} pv", "generation", "solar")
        self.battery = campus.add_meter(self.member, f"{name} battery", "storage")
        self.load = campus.add_meter(self.member, f"{name} load", "load")
        self.n = 0
        self.span()

    @property
    def meters(self) -> list[SimulatedMeter]:
        return [self.solar, self.battery, self.load]

    def read(self, g: int = 0, c: int = 0, q: int = 0, d: int = 0) -> int:
        """The meters' next readings on the chain; their boundary."""
        self.n += 1
        boundary = self.campus.boundary(self.n)
        self.campus.set_time(boundary)
        self.campus.submit(
            (self.solar, self.solar.read(boundary, g)),
            (self.battery, self.battery.read(boundary, 0, 0, q, d)),
            (self.load, self.load.read(boundary, 0, c)),
        )
        return boundary

    def span(self, g: int = 0, c: int = 0, q: int = 0, d: int = 0) -> dict[str, int]:
        """One epoch's energies, read and settled; what was logged."""
        boundary = self.read(g, c, q, d)
        return self.campus.settle(self.member, boundary, *self.meters).event("SurplusSettled")

    @property
    def account(self) -> dict[str, int]:
        return self.campus.account("oracle", self.member.energy_account)

    @property
    def tokens(self) -> int:
        return self.campus.tokens(self.member.energy_tokens)


@pytest.fixture
def home(campus: Campus) -> Home:
    return Home(campus)


# The rule


def test_the_first_settlement_is_a_baseline(home: Home) -> None:
    assert home.account["boundary"] == home.campus.boundary(1)
    assert home.tokens == 0


def test_a_surplus_is_minted(home: Home) -> None:
    event = home.span(g=5_000, c=1_200)
    assert event["minted"] == 3_800
    assert (event["from"], event["to"]) == (home.campus.boundary(1), home.campus.boundary(2))
    assert home.tokens == home.account["minted"] == 3_800
    assert home.campus.account("oracle", programs.oracle_authority())["minted"] == 3_800
    assert home.campus.supply(programs.energy_mint()) == 3_800


def test_a_deficit_is_withdrawn(home: Home) -> None:
    event = home.span(g=500, c=2_000)
    assert (event["minted"], event["withdrawn"]) == (0, 1_500)
    account = home.account
    assert (account["withdrawn"], account["withdrawals_open"]) == (1_500, 1_500)
    assert home.campus.account("oracle", programs.oracle_authority())["withdrawn"] == 1_500


def test_surplus_charged_comes_out_renewable_less_losses(home: Home) -> None:
    assert home.span(g=5_000, c=1_000, q=4_000)["minted"] == 0
    assert home.account["bank"] == 3_600  # 90 %
    assert home.span(d=4_000)["minted"] == 3_600
    assert home.account["bank"] == 0


def test_a_battery_charged_from_the_grid_mints_nothing(home: Home) -> None:
    assert home.span(q=5_000)["withdrawn"] == 5_000
    assert home.span(d=4_500)["minted"] == 0
    assert (home.tokens, home.account["bank"]) == (0, 0)


def test_the_bank_holds_no_more_than_the_storage(home: Home) -> None:
    home.campus.set_time(home.campus.boundary(1))
    for _ in range(4):
        home.span(g=20_000, q=20_000)
        home.campus.change("oracle", home.battery.state, registers=[0, 0, home.battery.registers[2], 0])
    assert home.account["bank"] == 50_000


def test_discharge_for_ones_own_load_mints_nothing(home: Home) -> None:
    home.span(g=4_000, q=4_000)
    event = home.span(c=3_000, d=3_000)
    assert (event["minted"], event["withdrawn"], event["bank"]) == (0, 0, 600)


def test_a_building_meter_settles_alone(campus: Campus) -> None:
    member = campus.register_user("faculty")
    house = campus.add_meter(member, "house", "building", "solar")
    campus.round(member, campus.boundary(1), (house, (0, 0, 0, 0)))
    campus.round(member, campus.boundary(2), (house, (3_000, 1_000, 500, 0)))
    assert campus.tokens(member.energy_tokens) == 1_500
    assert campus.account("oracle", member.energy_account)["bank"] == 450


def test_a_building_without_a_source_mints_nothing(campus: Campus) -> None:
    member = campus.register_user("labs", CONSUMER)
    house = campus.add_meter(member, "house", "building")
    campus.round(member, campus.boundary(1), (house, (0, 0, 0, 0)))
    outcome = campus.round(member, campus.boundary(2), (house, (3_000, 1_000, 0, 0)))
    assert outcome.event("SurplusSettled")["minted"] == 0
    assert campus.tokens(member.energy_tokens) == 0


def test_a_grid_meter_gives_the_consumption(campus: Campus) -> None:
    """c = import + g + d - export - q."""
    member = campus.register_user("dormitory b")
    wind = campus.add_meter(member, "wind", "generation", "wind")
    grid = campus.add_meter(member, "grid", "grid")
    campus.round(member, campus.boundary(1), (wind, (0,)), (grid, (0, 0)))
    event = campus.round(member, campus.boundary(2), (wind, (5_000,)), (grid, (3_500, 200))).event("SurplusSettled")
    assert (event["consumed"], event["minted"], event["withdrawn"]) == (1_700, 3_300, 0)
    event = campus.round(member, campus.boundary(3), (wind, (100,)), (grid, (0, 900))).event("SurplusSettled")
    assert (event["consumed"], event["minted"], event["withdrawn"]) == (1_000, 0, 900)


def test_an_export_beyond_the_generation_counts_as_no_consumption(campus: Campus) -> None:
    member = campus.register_user("dormitory b")
    wind = campus.add_meter(member, "wind", "generation", "wind")
    grid = campus.add_meter(member, "grid", "grid")
    campus.round(member, campus.boundary(1), (wind, (0,)), (grid, (0, 0)))
    event = campus.round(member, campus.boundary(2), (wind, (1_000,)), (grid, (9_000, 0))).event("SurplusSettled")
    assert (event["consumed"], event["minted"]) == (0, 1_000)


def test_submeters_do_not_count(campus: Campus) -> None:
    member = campus.register_user("labs")
    load = campus.add_meter(member, "load", "load")
    hpc = campus.add_meter(member, "hpc", "submeter")
    campus.round(member, campus.boundary(1), (load, (0, 0)))
    campus.set_time(campus.boundary(2))
    campus.submit((hpc, hpc.read(campus.boundary(2), 0, 700)))
    assert campus.round(member, campus.boundary(2), (load, (0, 900))).event("SurplusSettled")["withdrawn"] == 900


def test_storage_at_one_installation_counts_once(campus: Campus, refused) -> None:
    """Two battery meters at one installation of 10 kWh: the bank holds 10 kWh, not 20."""
    member = campus.register_user("a")
    installation = campus.register_installation("storage", storage_wh=10_000)
    batteries = [campus.add_meter(member, f"battery {n}", "storage", "none", installation) for n in range(2)]
    solar = campus.add_meter(member, "pv", "generation", "solar")
    load = campus.add_meter(member, "load", "load")
    zero = [(battery, (0, 0, 0, 0)) for battery in batteries]
    campus.round(member, campus.boundary(1), (solar, (0,)), (load, (0, 0)), *zero)
    charged = [(battery, (0, 0, 9_000, 0)) for battery in batteries]
    campus.round(member, campus.boundary(2), (solar, (18_000,)), (load, (0, 0)), *charged)
    assert campus.account("oracle", member.energy_account)["bank"] == 10_000


# Spans


def test_a_late_meter_widens_the_span(home: Home) -> None:
    """Two boundaries pass before the load meter's reading comes: the span covers both."""
    campus = home.campus
    for n in (2, 3):
        boundary = campus.boundary(n)
        campus.set_time(boundary)
        campus.submit((home.solar, home.solar.read(boundary, 2_000)), (home.battery, home.battery.read(boundary)))
    campus.submit((home.load, home.load.read(campus.boundary(3), 0, 1_000)))
    event = campus.settle(home.member, campus.boundary(3), *home.meters).event("SurplusSettled")
    assert (event["from"], event["to"]) == (campus.boundary(1), campus.boundary(3))
    assert event["minted"] == 3_000


def test_a_new_meter_makes_the_next_span_a_baseline(home: Home) -> None:
    campus = home.campus
    extra = campus.add_meter(home.member, "second load", "load")
    boundary = home.read(g=5_000)
    campus.submit((extra, extra.read(boundary, 0, 10)))
    event = campus.settle(home.member, boundary, *home.meters, extra).event("SurplusSettled")
    assert (event["from"], event["minted"]) == (0, 0)
    boundary = home.read(g=1_000)
    campus.submit((extra, extra.read(boundary, 0, 300)))
    assert campus.settle(home.member, boundary, *home.meters, extra).event("SurplusSettled")["minted"] == 700


def test_a_change_of_the_meter_makes_a_baseline(home: Home) -> None:
    """As after a new key, user, map or status: the Meter's generation has risen."""
    campus = home.campus
    campus.change("registry", home.solar.meter, generation=1)
    boundary = home.read(g=5_000)
    event = campus.settle(home.member, boundary, *home.meters).event("SurplusSettled")
    assert (event["from"], event["minted"]) == (0, 0)
    assert home.span(g=400)["minted"] == 400


@pytest.mark.finding("chain-2")
@pytest.mark.parametrize("changed", ["solar", "battery", "load"])
def test_a_reading_from_before_a_change_settles_as_a_baseline(home: Home, changed: str) -> None:
    """Another map, key or status in between stops nothing: the withdrawal is booked, nothing is minted."""
    boundary = home.read(g=500, c=700)
    home.campus.change("registry", getattr(home, changed).meter, generation=1)
    event = home.campus.settle(home.member, boundary, *home.meters).event("SurplusSettled")
    assert (event["from"], event["minted"], event["withdrawn"], event["kind"]) == (0, 0, 200, 1)
    assert home.span(g=400)["minted"] == 400


def test_a_baseline_empties_the_bank(home: Home) -> None:
    home.span(g=1_000, q=1_000)
    assert home.account["bank"] == 900
    home.campus.change("registry", home.solar.meter, generation=1)
    assert home.span(g=5_000)["bank"] == home.account["bank"] == 0


@pytest.mark.parametrize("changed", ["solar", "battery", "load"])
def test_no_baseline_turns_grid_energy_into_tokens(home: Home, changed: str) -> None:
    """What was banked is used up in a span that credits nothing, then the battery is charged from the grid."""
    home.span(g=4_000, q=4_000)
    home.campus.change("registry", getattr(home, changed).meter, generation=1)
    home.span(c=3_600, d=3_600)
    home.span(q=4_000)
    assert home.span(d=3_600)["minted"] == 0
    assert home.tokens == 0


def test_a_span_is_settled_by_the_parameters_of_the_epoch_that_it_ends_with(campus: Campus) -> None:
    """However late that is: whoever settles cannot choose the storage efficiency."""
    staged = {**campus.parameters, "storage_efficiency_bps": 5_000}
    accounts = {"authority": campus.authority.pubkey()}
    epoch = START // EPOCH_SECONDS + 2
    args = {"parameters": staged, "from_epoch": epoch}
    campus.send(campus.instruction("governance", "stage_parameters", args, accounts))
    homes = [Home(campus, name) for name in ("alice", "bob")]
    for home in homes:
        boundary = home.read(g=1_000, q=1_000)
        assert boundary == epoch * EPOCH_SECONDS
    for home, late in zip(homes, (0, 9), strict=True):  # at the boundary the clock is in the staged parameters' epoch
        campus.set_time(boundary + late * EPOCH_SECONDS)
        campus.settle(home.member, boundary, *home.meters)
        assert home.account["bank"] == 900
    assert homes[0].span(g=1_000, q=1_000)["bank"] == 900 + 500


# Who and what must be there


def test_a_withheld_meter_is_refused(home: Home, refused) -> None:
    boundary = home.read(g=5_000, c=4_000)
    with refused("MeterSetIncomplete"):
        home.campus.settle(home.member, boundary, home.solar, home.battery)
    assert home.tokens == 0


def test_no_meters_at_all_are_refused(home: Home, refused) -> None:
    boundary = home.read(g=1)
    with refused("MeterSetIncomplete"):
        home.campus.settle(home.member, boundary)


def test_a_meter_named_twice_is_refused(home: Home, refused) -> None:
    boundary = home.read(g=5_000, c=4_000)
    with refused("GivenTwice"):
        home.campus.settle(home.member, boundary, home.solar, home.battery, home.solar)


def test_a_submeter_in_the_set_is_refused(home: Home, refused) -> None:
    hpc = home.campus.add_meter(home.member, "hpc", "submeter")
    boundary = home.read(g=5_000)
    home.campus.submit((hpc, hpc.read(boundary)))
    with refused("MeterSetIncomplete"):
        home.campus.settle(home.member, boundary, *home.meters, hpc)


def test_a_meter_of_another_member_is_refused(home: Home, refused) -> None:
    bob = Home(home.campus, "bob")
    boundary = home.read(g=5_000)
    with refused("MeterOfAnotherUser"):
        home.campus.settle(home.member, boundary, home.solar, home.battery, bob.load)


def test_a_meter_elsewhere_in_time_is_refused(home: Home, refused) -> None:
    campus = home.campus
    boundary = campus.boundary(2)
    campus.set_time(campus.boundary(3))
    campus.submit((home.solar, home.solar.read(boundary, 5_000)), (home.battery, home.battery.read(boundary)))
    with refused("NotAtBoundary"):
        campus.settle(home.member, boundary, *home.meters)


def test_a_boundary_is_settled_once(home: Home, refused) -> None:
    boundary = home.read(g=5_000)
    home.campus.settle(home.member, boundary, *home.meters)
    with refused("BoundaryNotRising"):
        home.campus.settle(home.member, boundary, *home.meters)
    assert home.tokens == 5_000


def test_an_older_boundary_is_refused(home: Home, refused) -> None:
    home.span(g=1)
    with refused("BoundaryNotRising"):
        home.campus.settle(home.member, home.campus.boundary(1), *home.meters)


def test_a_set_that_does_not_settle_is_refused(campus: Campus, refused) -> None:
    """Generation alone, without a load or grid meter, is no set: there is nothing to net it with."""
    member = campus.register_user("a")
    solar = campus.add_meter(member, "pv", "generation", "solar")
    campus.set_time(campus.boundary(1))
    campus.submit((solar, solar.read(campus.boundary(1))))
    with refused("MeterSetNotSettleable"):
        campus.settle(member, campus.boundary(1), solar)


def test_a_meter_without_a_reading_is_refused(campus: Campus, refused) -> None:
    member = campus.register_user("a")
    load = campus.add_meter(member, "load", "load")
    with refused("NoReading"):
        campus.settle(member, campus.boundary(1), load)


@pytest.mark.finding("chain-1")
@pytest.mark.finding("chain-15")
def test_a_suspended_members_energy_is_settled(home: Home) -> None:
    """Suspension ends a member's part in the market, not what its meters measured."""
    home.campus.change("registry", home.member.user, status=SUSPENDED)
    assert home.span(g=5_000)["minted"] == 5_000
    assert home.span(c=300)["withdrawn"] == 300
    assert home.tokens == 5_000


@pytest.mark.parametrize("energy", [{"g": 5_000}, {"c": 5_000}], ids=["surplus", "deficit"])
def test_a_closed_member_is_refused(home: Home, refused, energy: dict[str, int]) -> None:
    """Also where nothing is minted, so that energy_token is not asked."""
    boundary = home.read(**energy)
    home.campus.change("registry", home.member.user, status=CLOSED)
    with refused("StatusClosed"):
        home.campus.settle(home.member, boundary, *home.meters)


def test_settlement_can_be_paused(home: Home, refused) -> None:
    boundary = home.read(g=5_000)
    home.campus.set_paused(PAUSE_SETTLEMENT)
    with refused("Paused"):
        home.campus.settle(home.member, boundary, *home.meters)


def test_only_the_operator_settles(home: Home, refused) -> None:
    boundary = home.read(g=5_000)
    wallet = home.member.wallet
    instruction = home.campus.settle_instruction(home.member, boundary, home.meters, operator=wallet.pubkey())
    with refused("NotOperator"):
        home.campus.send(instruction, signers=[wallet])


@pytest.mark.parametrize(
    ("account", "error"),
    [
        ("config", "WrongConfig"),
        ("oracle", "WrongOracle"),
        ("user", "NotAUser"),
        ("energy_account", "NotAnEnergyAccount"),
        ("energy_mint", "WrongMint"),
        ("energy_token_account", "WrongEnergyAccount"),
        ("mint_authority", "WrongAddress"),
        ("energy_token_program", "WrongProgram"),
        ("token_program", "WrongProgram"),
    ],
)
def test_another_account_is_refused(home: Home, refused, account, error) -> None:
    boundary = home.read(g=5_000)
    other = {account: key("other").pubkey()}
    with refused(error):
        home.campus.send(home.campus.settle_instruction(home.member, boundary, home.meters, **other))


SEAT_ACCOUNTS = ("energy_vault", "seats", "trading_program")


@pytest.mark.parametrize(
    ("account", "error"),
    [("energy_vault", "WrongAddress"), ("seats", "WrongAddress"), ("trading_program", "WrongProgram")],
)
def test_another_account_for_the_seat_is_refused(home: Home, refused, account: str, error: str) -> None:
    """Also where the mint does not need it."""
    other = {account: key("other").pubkey()}
    with refused(error):
        home.campus.send(home.campus.settle_instruction(home.member, home.read(g=5_000), home.meters, **other))


def test_the_accounts_for_the_seat_may_be_left_out(home: Home) -> None:
    instruction = home.campus.settle_instruction(
        home.member, home.read(g=5_000), home.meters, **dict.fromkeys(SEAT_ACCOUNTS)
    )
    outcome = home.campus.send(instruction)
    assert [event.name for event in outcome.events] == ["SurplusSettled"]
    assert home.tokens == 5_000


@pytest.mark.parametrize("left_out", [SEAT_ACCOUNTS, *((account,) for account in SEAT_ACCOUNTS)])
def test_a_mint_to_the_seat_wants_the_accounts_for_it(home: Home, refused, left_out: tuple[str, ...]) -> None:
    home.campus.make_market()
    boundary = home.read(g=5_000)
    lose(home.campus, home.member, 0, "closed")
    with refused("UnusableEnergyAccount"):
        home.campus.send(home.campus.settle_instruction(home.member, boundary, home.meters, **dict.fromkeys(left_out)))
    home.campus.settle(home.member, boundary, *home.meters)
    assert home.campus.seat(home.member) == (5_000, 0)


def test_six_members_are_settled_in_one_transaction(campus: Campus) -> None:
    """Each with a mint and three meters: as many as the 64 accounts of a transaction let in."""
    homes = [Home(campus, f"member {n}") for n in range(6)]
    boundary = max([home.read(g=5_000) for home in homes])
    instructions = [
        campus.settle_instruction(home.member, boundary, home.meters, **dict.fromkeys(SEAT_ACCOUNTS)) for home in homes
    ]
    listed = {meta.pubkey: None for each in instructions for meta in each.accounts if not meta.is_signer}
    outcome = campus.send(set_compute_unit_limit(60_000), *instructions, tables=[campus.lookup_table(listed)])
    assert outcome.size <= TRANSACTION_SIZE
    assert [home.tokens for home in homes] == [5_000] * 6


def test_another_members_accounts_are_refused(home: Home, refused) -> None:
    campus = home.campus
    bob = Home(campus, "bob")
    boundary = home.read(g=5_000)
    with refused("WalletMismatch"):
        campus.send(
            campus.settle_instruction(home.member, boundary, home.meters, energy_account=bob.member.energy_account)
        )
    with refused("WrongEnergyAccount"):
        tokens = {"energy_token_account": bob.member.energy_tokens}
        campus.send(campus.settle_instruction(home.member, boundary, home.meters, **tokens))


def test_another_meters_state_is_refused(home: Home, refused) -> None:
    boundary = home.read(g=5_000)
    named = {
        "operator": home.campus.operator.pubkey(),
        "user": home.member.user,
        "energy_account": home.member.energy_account,
        "energy_token_account": home.member.energy_tokens,
    }
    swapped = [
        readonly(home.solar.meter),
        writable(home.load.state),
        readonly(home.load.meter),
        writable(home.solar.state),
        *home.battery.pair,
    ]
    args = {"interval_end": boundary}
    with refused("StateOfAnotherMeter"):
        home.campus.send(home.campus.instruction("oracle", "settle_surplus", args, named, swapped))
    with refused("AccountsNotPaired"):
        home.campus.send(home.campus.instruction("oracle", "settle_surplus", args, named, swapped[:1]))


def test_an_account_that_stands_in_two_places_is_refused(home: Home, refused) -> None:
    """Behind the declared accounts none comes again: neither one of those, nor a meter's or a state of another pair."""
    boundary = home.read(g=5_000)
    settle = home.campus.settle_instruction(home.member, boundary, home.meters)
    declared, pairs = settle.accounts[: -2 * len(home.meters)], settle.accounts[-2 * len(home.meters) :]
    for place, repeated in ((0, settle.accounts[1]), (5, declared[3]), (3, pairs[1]), (4, pairs[0])):
        metas = [*declared, *(repeated if n == place else meta for n, meta in enumerate(pairs))]
        with refused("GivenTwice"):
            home.campus.send(Instruction(settle.program_id, bytes(settle.data), metas))
    with refused("GivenTwice"):  # where the declared accounts end would not show
        tokens = {"energy_token_account": programs.TOKEN_PROGRAM}
        home.campus.send(home.campus.settle_instruction(home.member, boundary, home.meters, **tokens))
    home.campus.send(settle)
    assert home.tokens == 5_000


# Billing periods


def test_withdrawals_belong_to_the_period_in_which_the_span_ends(home: Home, refused) -> None:
    campus = home.campus
    home.span(c=100)
    epoch = START // EPOCH_SECONDS
    config = campus.account("governance", programs.config_address())
    # The period is made to end at the third boundary, and the next one is not open yet.
    campus.change("governance", programs.config_address(), billing_period_end=epoch + 3)
    home.span(c=200)
    boundary = home.read(c=50)
    with refused("BillingPeriodNotOpen"):
        campus.settle(home.member, boundary, *home.meters)
    # Once it is open, the span that ends in it counts there, and the old one is the previous.
    campus.change(
        "governance",
        programs.config_address(),
        billing_period=1,
        billing_period_start=epoch + 3,
        billing_period_end=config["billing_period_end"],
    )
    campus.settle(home.member, boundary, *home.meters)
    account = home.account
    assert (account["period"], account["withdrawals_previous"], account["withdrawals_open"]) == (1, 300, 50)


def test_a_late_span_counts_in_the_period_before(home: Home) -> None:
    campus = home.campus
    home.span(c=100)
    boundary = home.read(c=200)
    epoch = START // EPOCH_SECONDS
    campus.change("governance", programs.config_address(), billing_period=1, billing_period_start=epoch + 3)
    campus.settle(home.member, boundary, *home.meters)
    account = home.account
    assert (account["withdrawals_previous"], account["withdrawals_open"]) == (300, 0)


def test_withdrawals_two_periods_old_are_dropped(home: Home) -> None:
    home.span(c=100)
    epoch = START // EPOCH_SECONDS
    home.campus.change("governance", programs.config_address(), billing_period=2, billing_period_start=epoch)
    home.span(c=7)
    account = home.account
    assert (account["withdrawals_previous"], account["withdrawals_open"], account["withdrawn"]) == (0, 7, 107)


# Any energies at all

energies = st.integers(0, 27_000)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(energies, energies, energies, energies), min_size=1, max_size=8))
def test_any_day_conserves(spans: list[tuple[int, int, int, int]]) -> None:
    """Against the rule in plain Python: minted, bank and withdrawals; never more minted than surplus measured."""
    home = Home(Campus())
    bank = minted = withdrawn = surplus = 0
    for g, c, q, d in spans:
        discharge = min(d, q + 40_000)
        charge = min(q, 2 * discharge + 80_000)
        s = max(0, g - c)
        into = min(charge, s)
        banked = min(50_000, bank + into * 9_000 // 10_000)
        out = min(discharge, banked)
        net = g + discharge - c - charge
        mint = min(max(0, net), s - into + out)
        bank, minted, surplus = banked - out, minted + mint, surplus + s
        withdrawn += max(0, -net)
        event = home.span(g, c, charge, discharge)
        assert (event["minted"], event["bank"]) == (mint, bank)
    account = home.account
    assert (account["minted"], account["withdrawn"], account["surplus"]) == (minted, withdrawn, surplus)
    assert minted + bank <= surplus
    assert home.tokens == minted == home.campus.supply(programs.energy_mint())


def test_roles(campus: Campus) -> None:
    assert campus.register_user("p", PROSUMER).user != campus.register_user("c", CONSUMER).user

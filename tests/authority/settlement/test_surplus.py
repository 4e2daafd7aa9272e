"""The netting rule: what mints, what does not, and what must hold for every span."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authority.chain.accounts import SpanKind
from authority.settlement.surplus import MeterSpan, SurplusError, permitted_meter_set, settle_span, span_kind
from edge_agent.wire.reading import SOURCE_NONE, SOURCE_SOLAR, SOURCE_WIND
from edge_agent.wire.rules import BASIS_POINTS

SOLAR = {"role": "generation", "source": SOURCE_SOLAR}
WH = st.integers(0, 2**40)


def test_generation_beyond_load_is_minted():
    span = settle_span([MeterSpan(**SOLAR, generation=900), MeterSpan("load", consumption=400)], 0, 9_000)
    assert (span.surplus, span.mint, span.withdrawal) == (500, 500, 0)


def test_load_beyond_generation_is_withdrawn():
    span = settle_span([MeterSpan(**SOLAR, generation=100), MeterSpan("load", consumption=400)], 0, 9_000)
    assert (span.mint, span.withdrawal) == (0, 300)


def test_surplus_into_storage_is_banked_with_its_loss_and_minted_when_it_comes_out():
    solar, load = MeterSpan(**SOLAR, generation=1_000), MeterSpan("load")
    stored = settle_span([solar, load, MeterSpan("storage", storage_wh=5_000, charge=1_000)], 0, 9_000)
    assert (stored.mint, stored.bank) == (0, 900)
    out = settle_span(
        [MeterSpan(**SOLAR), load, MeterSpan("storage", storage_wh=5_000, discharge=950)], stored.bank, 9_000
    )
    assert (out.mint, out.bank) == (900, 0)


def test_a_battery_charged_from_the_grid_never_mints():
    meters = [MeterSpan(**SOLAR), MeterSpan("load", consumption=10)]
    charged = settle_span([*meters, MeterSpan("storage", storage_wh=5_000, charge=4_000)], 0, BASIS_POINTS)
    assert (charged.mint, charged.bank, charged.withdrawal) == (0, 0, 4_010)
    out = settle_span([*meters, MeterSpan("storage", storage_wh=5_000, discharge=4_000)], charged.bank, BASIS_POINTS)
    assert (out.net, out.mint) == (3_990, 0)


def test_bank_is_bounded_by_the_storage():
    span = settle_span(
        [MeterSpan(**SOLAR, generation=9_000), MeterSpan("storage", storage_wh=2_000, charge=9_000)], 0, BASIS_POINTS
    )
    assert span.bank == 2_000


def test_consumption_behind_a_grid_meter_is_derived():
    wind = MeterSpan("generation", SOURCE_WIND, generation=1_000)
    exporting = settle_span([wind, MeterSpan("grid", consumption=0, generation=300)], 0, 9_000)
    assert (exporting.consumption, exporting.mint) == (700, 300)
    importing = settle_span([wind, MeterSpan("grid", consumption=250)], 0, 9_000)
    assert (importing.consumption, importing.mint, importing.withdrawal) == (1_250, 0, 250)


@pytest.mark.finding("chain-22")
def test_generation_that_nobody_meters_looks_like_surplus_behind_a_grid_meter():
    """Inherent in the derived consumption, and said in docs/SECURITY.md: what is left to trust."""
    solar = MeterSpan(**SOLAR, generation=10_000)
    own_load_from_an_unmetered_diesel = MeterSpan("grid", generation=10_000)
    span = settle_span([solar, own_load_from_an_unmetered_diesel], 0, BASIS_POINTS)
    assert (span.consumption, span.mint) == (0, 10_000)
    honest = settle_span([solar, MeterSpan("load", consumption=10_000)], 0, BASIS_POINTS)
    assert honest.mint == 0


def test_derived_consumption_is_never_negative():
    span = settle_span([MeterSpan(**SOLAR, generation=10), MeterSpan("grid", generation=50)], 0, 9_000)
    assert (span.consumption, span.mint) == (0, 10)


def test_without_a_renewable_source_nothing_is_minted_or_banked():
    building = MeterSpan("building", SOURCE_NONE, storage_wh=10_000, generation=500, charge=100)
    span = settle_span([building], 50, 9_000)
    assert (span.surplus, span.into, span.mint) == (0, 0, 0)
    span = settle_span([MeterSpan("building", SOURCE_SOLAR, generation=500, consumption=100)], 0, 9_000)
    assert span.mint == 400


def test_submeters_are_passed_over():
    load = MeterSpan("load", consumption=10)
    assert settle_span([load], 0, 0) == settle_span([load, MeterSpan("submeter", consumption=7)], 0, 0)


@pytest.mark.parametrize(
    ("roles", "permitted"),
    [
        (["building"], True),
        (["building", "submeter", "submeter"], True),
        (["building", "building"], False),
        (["building", "load"], False),
        (["generation", "generation", "storage", "load", "load"], True),
        (["generation", "storage", "grid"], True),
        (["generation", "grid", "load"], False),
        (["grid", "grid"], False),
        (["load", "submeter"], True),
        (["boiler"], False),
    ],
)
def test_meter_sets(roles, permitted):
    assert permitted_meter_set(roles) is permitted


@pytest.mark.parametrize(
    ("meter", "code"),
    [
        (MeterSpan("load", generation=1), "register_not_permitted"),
        (MeterSpan("load", consumption=-1), "register_decreased"),
        (MeterSpan("toaster"), "meter_set"),
    ],
)
def test_refusals(meter, code):
    with pytest.raises(SurplusError) as refused:
        settle_span([meter], 0, 9_000)
    assert refused.value.code == code


def test_efficiency_is_bounded():
    with pytest.raises(SurplusError) as refused:
        settle_span([], 0, BASIS_POINTS + 1)
    assert refused.value.code == "efficiency"


behind_load = st.builds(
    lambda g, c, q, d, cap: [
        MeterSpan("generation", SOURCE_SOLAR, generation=g),
        MeterSpan("load", consumption=c),
        MeterSpan("storage", storage_wh=cap, charge=q, discharge=d),
    ],
    WH,
    WH,
    WH,
    WH,
    WH,
)
behind_grid = st.builds(
    lambda g, i, e, q, d, cap: [
        MeterSpan("generation", SOURCE_WIND, generation=g),
        MeterSpan("grid", consumption=i, generation=e),
        MeterSpan("storage", storage_wh=cap, charge=q, discharge=d),
    ],
    WH,
    WH,
    WH,
    WH,
    WH,
    WH,
)
one_building = st.builds(
    lambda g, c, q, d, cap, source: [
        MeterSpan("building", source, storage_wh=cap, generation=g, consumption=c, charge=q, discharge=d)
    ],
    WH,
    WH,
    WH,
    WH,
    WH,
    st.sampled_from((SOURCE_NONE, SOURCE_SOLAR)),
)
meter_sets = st.one_of(behind_load, behind_grid, one_building)


@given(st.lists(meter_sets, min_size=1, max_size=8), st.integers(0, BASIS_POINTS))
def test_never_more_than_the_renewable_surplus(spans, efficiency):
    bank = minted = surplus = generated = 0
    for meters in spans:
        span = settle_span(meters, bank, efficiency)
        bank = span.bank
        minted += span.mint
        surplus += span.surplus
        generated += span.generation
        assert 0 <= span.mint <= max(0, span.net)
        assert span.mint == 0 or span.withdrawal == 0
        assert 0 <= bank <= sum(meter.storage_wh for meter in meters)
        assert minted + bank <= surplus <= generated


@given(st.lists(meter_sets, min_size=1, max_size=8))
def test_energy_is_conserved_where_the_consumption_is_measured(spans):
    bank = 0
    for meters in spans:
        span = settle_span(meters, bank, BASIS_POINTS)
        assert span.generation + span.discharge - span.consumption - span.charge == span.net
        assert span.net == -span.withdrawal or span.withdrawal == 0
        # what entered the bank and did not leave it is still there, or spilt because the storage was full
        assert span.bank <= bank + span.into - span.out or span.bank == 0
        bank = span.bank


@given(WH, WH, WH, st.integers(0, BASIS_POINTS))
def test_no_generation_no_mint_whatever_the_battery_does(charge, discharge, load, efficiency):
    meters = [MeterSpan(**SOLAR), MeterSpan("load", consumption=load)]
    first = settle_span([*meters, MeterSpan("storage", storage_wh=2**40, charge=charge)], 0, efficiency)
    second = settle_span([*meters, MeterSpan("storage", storage_wh=2**40, discharge=discharge)], first.bank, efficiency)
    assert first.mint == second.mint == 0


@given(meter_sets, st.integers(0, BASIS_POINTS))
def test_a_wider_span_never_withdraws_more(meters, efficiency):
    """A late meter widens the span: netting over the whole may spare withdrawals, and never adds any."""
    whole = settle_span(meters, 0, efficiency)
    first = [
        MeterSpan(
            m.role, m.source, m.storage_wh, m.generation // 2, m.consumption // 3, m.charge // 2, m.discharge // 2
        )
        for m in meters
    ]
    second = [
        MeterSpan(
            m.role, m.source, m.storage_wh,
            m.generation - f.generation, m.consumption - f.consumption, m.charge - f.charge, m.discharge - f.discharge,
        )
        for m, f in zip(meters, first, strict=True)
    ]  # fmt: skip
    one = settle_span(first, 0, efficiency)
    two = settle_span(second, one.bank, efficiency)
    assert one.withdrawal + two.withdrawal >= whole.withdrawal


def test_a_span_is_netted_where_nothing_changed_and_it_is_short_enough():
    assert span_kind(4, 4, unchanged=True) is SpanKind.NETTED
    assert span_kind(4, 4, unchanged=False) is SpanKind.BASELINE
    assert span_kind(5, 4, unchanged=True) is span_kind(5, 4, unchanged=False) is SpanKind.TOO_LONG
    assert span_kind(None, 4, unchanged=True) is SpanKind.BASELINE


def test_what_is_not_netted_is_billed_and_not_credited():
    meters = [MeterSpan(**SOLAR, generation=1_000), MeterSpan("load", consumption=400)]
    storage = MeterSpan("storage", storage_wh=5_000, charge=900, discharge=100)
    baseline = settle_span([*meters, storage], 450, 9_000, SpanKind.BASELINE)
    assert (baseline.mint, baseline.bank, baseline.surplus, baseline.withdrawal) == (0, 0, 0, 200)
    long = settle_span([*meters, storage], 450, 9_000, SpanKind.TOO_LONG)
    assert (long.mint, long.bank, long.surplus, long.withdrawal) == (0, 0, 0, 1_300)
    away = MeterSpan("storage", charge=70, discharge=5_000)
    assert settle_span(meters, 0, 9_000, SpanKind.BASELINE, [away]).withdrawal == 70


DAY = st.tuples(*[st.integers(0, 5_000)] * 4)


@pytest.mark.finding("chain-7")
@pytest.mark.finding("chain-8")
@given(
    days=st.lists(DAY, min_size=1, max_size=12),
    ends=st.sets(st.integers(1, 11)),
    changed=st.sets(st.integers(1, 12)),
    grid=st.booleans(),
    worth=st.integers(50, 300),
)
def test_no_choice_of_boundaries_or_changes_pays(days, ends, changed, grid, worth):
    """With storage and grid meters too: what is withdrawn at retail (300) less what is minted at any price up to it."""

    def meters(part: list[tuple[int, int, int, int]]) -> list[MeterSpan]:
        g, c, q, d = (sum(column) for column in zip(*part, strict=True))
        inside = [MeterSpan(**SOLAR, generation=g), MeterSpan("storage", storage_wh=9_000, charge=q, discharge=d)]
        if grid:  # an epoch imports or exports what is lacking or left
            nets = [g - c - q + d for g, c, q, d in part]
            taken, given_back = sum(max(0, -net) for net in nets), sum(max(0, net) for net in nets)
            return [*inside, MeterSpan("grid", consumption=taken, generation=given_back)]
        return [*inside, MeterSpan("load", consumption=c)]

    def cost(boundaries: list[int], changes: set[int]) -> int:
        begin, bank, total = 0, 0, 0
        for end in boundaries:
            kind = span_kind(end - begin, 1, unchanged=end not in changes)
            span = settle_span(meters(days[begin:end]), bank, 9_000, kind)
            total += 300 * span.withdrawal - worth * span.mint
            begin, bank = end, span.bank
        return total

    honest = cost(list(range(1, len(days) + 1)), set())
    assert cost(sorted({*(end for end in ends if end < len(days)), len(days)}), changed) >= honest

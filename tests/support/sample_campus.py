"""A campus for the tests of page and API: four buildings and some epochs, with figures that are easy to recognise."""

from authority.api.campus import BuildingNow, Campus, EnergyTokens, EpochNow, EpochPast, MeterNow, Service

NOW = 1_790_000_007


def meter(name, role, source="none", power_w=None, generation_w=None, consumption_w=None):
    return MeterNow(
        name=name,
        role=role,
        source=source,
        power_w=power_w,
        power_at=None if power_w is None else NOW - 3,
        interval_end_at=NOW - 7,
        generation_w=generation_w,
        consumption_w=consumption_w,
    )


def building(name, generation_w, consumption_w, meters, storage_w=None, measured_at=NOW - 3, minted_wh=0):
    return BuildingNow(
        late_seconds=0,
        name=name,
        generation_w=generation_w,
        consumption_w=consumption_w,
        storage_w=storage_w,
        basis="live" if measured_at else "none",
        measured_at=measured_at,
        stale_after_seconds=15,
        minted_wh=minted_wh,
        meters=tuple(meters),
    )


def epochs(count, last):
    return tuple(
        EpochPast(
            number=last - count + 1 + i,
            ends_at=(last - count + 2 + i) * 20,
            state="checkpointed" if i < count - 1 else "minted",
            readings_on_chain=9,
            minted_wh=200 + (37 * i) % 90,
            orders=0 if i == 0 else 4,
            traded_wh=0 if i == 0 else 180 + (53 * i) % 110,
            clearing_price_micro_credits_per_kwh=None if i == 0 else 150_000 + (7_919 * i) % 60_000,
        )
        for i in range(count)
    )


def campus(now=NOW, history=18, **changes):
    number = now // 20
    view = {
        "time": now,
        "campus": "Engineering Department",
        "notice": None,
        "network_id": "0123456789abcdef",
        "epoch_seconds": 20,
        "epoch": EpochNow(
            number=number,
            starts_at=number * 20,
            ends_at=number * 20 + 20,
            readings=9,
            readings_expected=9,
            bids=1,
            asks=3,
            bid_wh=880,
            ask_wh=243,
        ),
        "buildings": (
            building(
                "Dormitory A",
                50_751,
                29_273,
                [
                    meter("solar", "generation", "solar", -50_751, 50_751, 0),
                    meter("battery", "storage", "none", 10_739),
                    meter("load", "load", "none", 29_273, 0, 29_273),
                ],
                storage_w=10_739,
                minted_wh=1_062,
            ),
            building(
                "Dormitory B",
                36_471,
                23_400,
                [meter("wind", "generation", "wind", -36_471), meter("grid", "grid", "none", -13_071)],
                minted_wh=1_296,
            ),
            building(
                "Faculty Housing", 28_800, 8_550, [meter("building", "building", "solar", -20_250)], minted_wh=2_034
            ),
            building(
                "Research Labs",
                0,
                166_300,
                [
                    meter("load", "load", "none", 166_300),
                    meter("hpc", "submeter", "none", 59_000),
                    meter("equipment", "submeter"),
                ],
            ),
        ),
        "energy": EnergyTokens(minted_wh=4_392, held_wh=243, escrow_wh=149, retired_wh=4_000, conserved=True),
        "history": epochs(history, number - 1),
        "service": Service(
            transport="mqtt",
            validator="embedded (LiteSVM) 0.29",
            slot=12_345,
            chain_read_at=now - 1,
            log_size=162,
            log_root="ab" * 32,
            checkpoint_epoch=number - 2,
        ),
    }
    return Campus(**{**view, **changes})


class Source:
    """A source that gives what it is told to."""

    def __init__(self, view=None):
        self.view = view or campus()
        self.asked = 0

    def now(self, history):
        self.asked += 1
        if isinstance(self.view, Exception):
            raise self.view
        return self.view

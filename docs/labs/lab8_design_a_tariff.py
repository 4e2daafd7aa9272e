# %% [markdown]
# # Lab 8: design a tariff, and measure who pays
#
# Prices are not laws of nature: somebody sets them, and others pay.
# You take a small campus through two days in June, change its tariff, and measure what that does to each member.
# At the end you design a tariff that keeps four promises at once.
#
# **At the end you know** how a gain by a market is measured and how unevenly it may fall, who bears a fee that is laid on buyers, whom a standing charge hurts, and that measures can contradict each other.
#
# **You need** this project's environment (`.venv`).
# Profiles, measures and market rules are those of `authority simulate`; here they run without meters and chain, so that a question takes a tenth of a second.
#
# **Time:** one hour.
#
# Each exercise has a check below it.
# Until you solve it, the lab stops there and says so.
# Run the lab again after each exercise: `.venv/bin/python docs/labs/lab8_design_a_tariff.py`.

# %%
import lab

lab.begin(8)

# %%
from collections.abc import Mapping
from dataclasses import replace

from authority.measures import indicators
from authority.measures.markets import Epoch, Limits, RuleFigures, Terms, compare
from authority.simulation import buildings
from authority.simulation.campus_home import start_of
from authority.simulation.scenario import Scenario
from authority.simulation.seeds import Seed
from authority.simulation.weather import DAY_SECONDS, Sky

# %% [markdown]
# ## The campus
#
# Eight buildings with a member each, and sixteen flats.
# Dormitories and libraries have solar panels, workshops a wind turbine, laboratories only consume.
# For each quarter of an hour we note what each member had left over (`surplus`) and what it drew (`need`), in Wh.
# `PROFILES` is a list of such pairs, `(surplus, need)`: two dicts by the member's number, in which who has none is missing.

# %%
EPOCH_SECONDS, DAYS = 900, 2
SEED, SITE = Seed(8), Scenario().site
campus = buildings.make(8, 24, SEED)
MEMBERS = range(len(campus.members))
KIND = [member.kind for member in campus.members]
LIMITS = {number: Limits(each.order.sell_at, each.order.buy_at) for number, each in enumerate(campus.members)}
TODAY = Terms(retail=300_000, feed_in=80_000, wheeling=20_000, fee_bps=100)


def profiles() -> list[tuple[dict[int, int], dict[int, int]]]:
    """Of each quarter of an hour what members had left over, and what they drew, in Wh."""
    sky = Sky(SITE, SEED, EPOCH_SECONDS)
    households = [buildings.Household(member, SEED, EPOCH_SECONDS) for member in campus.members]
    found = []
    for start in range(start_of("2026-06-01"), start_of("2026-06-01") + DAYS * DAY_SECONDS, EPOCH_SECONDS):
        weather = sky.next(start)
        flows = [household.next(start + int(SITE.longitude * 240), weather) for household in households]
        net = [(flow.generation + flow.discharge - flow.consumption - flow.charge) // 1_000 for flow in flows]
        found.append(({i: wh for i, wh in enumerate(net) if wh > 0}, {i: -wh for i, wh in enumerate(net) if wh < 0}))
    return found


PROFILES = profiles()


def measure(terms: Terms, limits: Mapping[int, Limits] = LIMITS) -> tuple[RuleFigures, RuleFigures]:
    """The two days without a market, and with the campus's auction."""
    figures = compare([Epoch(surplus, need, terms) for surplus, need in PROFILES], limits, MEMBERS)
    alone, auction = figures[:2]
    return alone, auction


alone, auction = measure(TODAY)
print(f"traded {auction.traded_wh / 1e3:.0f} kWh at {auction.prices.mean:.0f} micro-credit per kWh on average")

# %% [markdown]
# ## 1. What a member would pay alone
#
# Without a market a member pays the retail price for all that it draws, and gets the feed-in price for all that it gives.
# All of one kind is one line of the bill, in whole micro-credits, rounded down.
# Prices are per kWh.


# %% exercise="1"
def alone_pays(member: int, terms: Terms) -> int:
    """Micro-credits that the member pays over all of PROFILES; negative where it gets more than it pays."""
    lab.still_open(1, "add up need and surplus (dict.get(member, 0) helps), then price each sum.")


# %%
for member in MEMBERS:
    assert alone_pays(member, TODAY) == alone.paid[member], f"member {member}: the measures say {alone.paid[member]}"
lab.right(1)

# %% [markdown]
# ## 2. Who gains, and how evenly
#
# A member's *gain* is what it would have paid alone, less what it pays with the market.
# How evenly gains fall is often told by the **Gini coefficient**: the sum of |x - y| over all ordered pairs, divided by 2 n times the sum of all x.
# 0 means that all gain the same, close to 1 that one gains all.


# %% exercise="2"
def gini(gains: list[int]) -> float:
    """The Gini coefficient; the sum of gains is above zero."""
    lab.still_open(2, "two loops over all gains; an ordered pair means that (a, b) and (b, a) both count.")


# %%
assert gini([5, 5, 5, 5]) == 0, "all the same"
assert abs(gini([0, 0, 0, 8]) - 0.75) < 1e-9, "one of four has all: 0.75"
gains = list(auction.gains.values())
assert abs(gini(gains) - indicators.gini(gains)) < 1e-6, f"the measures say {indicators.gini(gains)}"
for kind in ("dormitory", "laboratory", "library", "workshop", "flat"):
    of_kind = [gain for gain, each in zip(gains, KIND, strict=True) if each == kind]
    print(f"{kind:<11} gains {sum(of_kind) / len(of_kind) / 1e6:6.2f} credits each")
print(f"Gini of the gains: {gini(gains):.2f}")
lab.right(2)

# %% [markdown]
# ## 3. The department needs money
#
# It raises wheeling, which buyers pay on top of the price, from 20000 to 60000 micro-credit per kWh.
# Members are busy: nobody changes the limits of its orders.
# What happens to the mean price, to the energy traded, and to the members as a whole?
# Who pays the difference?

# %% exercise="3"
PRICE = None  # "rises", "falls" or "stays"
TRADED = None  # "rises", "falls" or "stays"
WHO_PAYS = None  # "buyers", "sellers" or "both"

# %%
lab.answered(3, PRICE, TRADED, WHO_PAYS)


def direction(before: float, after: float) -> str:
    """In words."""
    return "stays" if before == after else "rises" if after > before else "falls"


DEARER = replace(TODAY, wheeling=60_000)
_, dearer = measure(DEARER)
lost = {member: auction.gains[member] - dearer.gains[member] for member in MEMBERS}
print(
    f"the department gets {(dearer.department - auction.department) / 1e6:.2f} credits more, members lose {sum(lost.values()) / 1e6:.2f}"
)
assert direction(auction.prices.mean, dearer.prices.mean) == PRICE, (
    "the price comes from limits alone: did those change?"
)
assert direction(auction.traded_wh, dearer.traded_wh) == TRADED, "who trades is decided by limits, too"
assert WHO_PAYS == "buyers", "the price stays, and wheeling comes on top of it: look at who pays wheeling"
lab.right(3)

# %% [markdown]
# ## 4. And then they notice
#
# After the first bill every buyer thinks of what it pays in all, and lowers its limit by the 40000 that wheeling has become dearer.
# Write that, and look at the price.


# %% exercise="4"
def respond(limits: Mapping[int, Limits], dearer_by: int) -> dict[int, Limits]:
    """The limits after buyers lowered theirs; Limits(sell_at, buy_at), where None means that it never buys."""
    lab.still_open(4, "a dict comprehension; leave sell_at alone.")


# %%
answer = respond(LIMITS, 40_000)
assert {number: each.sell_at for number, each in answer.items()} == {n: each.sell_at for n, each in LIMITS.items()}, (
    "sellers pay no wheeling, so their limits stay"
)
for number, each in answer.items():
    was = LIMITS[number].buy_at
    assert each.buy_at == (None if was is None else was - 40_000), "each limit 40000 lower; None stays None"
_, noticed = measure(DEARER, answer)
fall = auction.prices.mean - noticed.prices.mean
print(f"traded {noticed.traded_wh / 1e3:.0f} kWh, price {noticed.prices.mean:.0f}: {fall:.0f} lower than at first")
print(f"so of 40000 more wheeling, sellers bear {fall / 400:.0f} %, buyers {100 - fall / 400:.0f} %")
lab.right(4)

# %% [markdown]
# Nobody wrote into the tariff that sellers pay.
# Whoever can least do without the deal bears the fee, whoever it is laid on: here the sellers, for whom the feed-in price is a poor alternative.
# (Economists call it incidence.)
#
# ## 5. A standing charge
#
# "The grid costs the same whether you use it or not": so the retail price falls to 200000, and the revenue that is lost is collected as a **standing charge**, the same for every member.
# Nobody trades in this one.
# The sum that all pay together must not change, to the micro-credit: where it cannot be divided evenly, the first members pay one micro-credit more.


# %% exercise="5"
def with_standing_charge(before: list[int], after: list[int]) -> list[int]:
    """What each pays under the lower price (`after`), with its part of the charge: the sum is that of `before`."""
    lab.still_open(5, "divmod(sum(before) - sum(after), number of members).")


WINNERS = None  # the kind that saves most: "laboratory", "library", "workshop", "dormitory" or "flat"

# %%
lab.answered(5, WINNERS)
cheaper, _ = measure(replace(TODAY, retail=200_000))
before, after = list(alone.paid.values()), list(cheaper.paid.values())
paid = with_standing_charge(before, after)
assert sum(paid) == sum(before), f"together they pay {sum(paid) - sum(before)} micro-credits more than before"
assert (
    max(p - a for p, a in zip(paid, after, strict=True)) - min(p - a for p, a in zip(paid, after, strict=True)) <= 1
), "the charge is the same for all, but for one micro-credit"
assert with_standing_charge([10, 10, 10], [5, 5, 3]) == [11, 11, 8], "17 among three: 6, 6 and 5"
saved = {kind: [] for kind in KIND}
for kind, old, new in zip(KIND, before, paid, strict=True):
    saved[kind].append(old - new)
for kind, sums in saved.items():
    print(
        f"{kind:<11} saves {sum(sums) / len(sums) / 1e6:8.2f} credits of {sum(b for b, k in zip(before, KIND, strict=True) if k == kind) / len(sums) / 1e6:8.2f}"
    )
assert max(saved, key=lambda kind: sum(saved[kind]) / len(saved[kind])) == WINNERS, "who draws most?"
lab.right(5)

# %% [markdown]
# ## 6. Your tariff
#
# The charter promises:
#
# 1. the department gets at least 35 credits in these two days from wheeling and fees,
# 2. members together gain at least 100 credits by the market,
# 3. nobody is worse off than without a market,
# 4. the Gini of the gains is at most 0.76,
# 5. the fee on sellers is at most 10 % (1000 basis points).
#
# Retail and feed-in stay as they are.
# Set wheeling and fee.
# `measure(replace(TODAY, wheeling=..., fee_bps=...))[1]` tells `department`, `gains` and `gini`, so a loop over some values is allowed.

# %% exercise="6"
WHEELING = None  # micro-credit per kWh
FEE_BPS = None  # basis points: hundredths of a percent

# %%
lab.answered(6, WHEELING, FEE_BPS)
_, mine = measure(replace(TODAY, wheeling=WHEELING, fee_bps=FEE_BPS))
worse = sum(gain < 0 for gain in mine.gains.values())
gained = sum(mine.gains.values())
print(
    f"department {mine.department / 1e6:.1f}, members {gained / 1e6:.1f} credits, worse off {worse}, Gini {mine.gini}"
)
assert mine.department >= 35_000_000, f"the department gets {mine.department / 1e6:.1f} credits, 35 are promised"
assert gained >= 100_000_000, f"members gain {gained / 1e6:.1f} credits, 100 are promised"
assert worse == 0, f"{worse} members would pay less without a market: price and wheeling together are above retail"
assert mine.gini <= 0.76, f"the Gini is {mine.gini:.3f}, at most 0.76 is promised: who bears wheeling, who the fee?"
assert 0 <= FEE_BPS <= 1_000, "the fee is at most 1000 basis points"
lab.right(6)
print("Lab 8 is done: your tariff keeps its promises, for these two days.")
print(f"\nmine.toml:\n\n[parameters]\nwheeling = {WHEELING}\nfee_bps = {FEE_BPS}")

# %% [markdown]
# **Go on:** try it with the real programs, signed readings, an audit, and members who keep a standing order.
# The lab has printed your prices as such a program takes them: put the three lines from `[parameters]` on into a file `mine.toml`, and run `.venv/bin/authority simulate --days 1 --buildings 4 --scenario mine.toml --compare --out mine`.
# `docs/SIMULATION.md` says what the report's figures mean.
# Which of your promises does it break, and why?
# Which would break in December?

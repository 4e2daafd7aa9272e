# %% [markdown]
# # Lab 3: from surplus to token
#
# One energy token is one kilowatt-hour of renewable energy that somebody had left over.
# Not of what a panel gave: of what was left after its owner's own use.
# With a battery in between this becomes a small puzzle, since nobody can see which kilowatt-hour comes out again.
# In this lab you work the rule out and let the chain mint.
#
# **At the end you know** how a *span* is netted, what the renewable bank of a battery is, why energy from the grid never comes out as a token, why pulling the meter's plug does not pay, and when a token is burnt.
#
# **You need** this project's environment (`.venv`), and paper.
# The campus is made in a temporary directory: a dormitory with solar panels, a battery and a load meter, the collector, the settlement, and the real programs in LiteSVM.
#
# **Time:** one hour.
#
# Each exercise has a check below it.
# Until you solve it, the lab stops there and says so.
# Run the lab again after each exercise: `.venv/bin/python docs/labs/lab3_from_surplus_to_token.py`.

# %%
import lab

lab.begin(3)

# %%
import random

from small_campus import SmallCampus

from authority.chain import programs
from authority.settlement.surplus import MeterSpan, settle_span

# %% [markdown]
# ## Six quarters of an hour
#
# The meters of the dormitory measure these six quarters; all figures are watt-hours.

# %%
QUARTERS = [  # solar, load, charged, discharged
    (20_000, 8_000, 0, 0),
    (20_000, 8_000, 5_000, 0),
    (2_000, 9_000, 0, 4_000),
    (0, 1_000, 0, 3_000),
    (0, 2_000, 6_000, 0),
    (10_000, 2_000, 0, 6_000),
]

campus = SmallCampus()
campus.measure({})  # the first reading: nothing can be said of the time before it


def live(solar: int, load: int, charged: int, discharged: int, after: int = 1) -> tuple[int, int, int]:
    """Let the meters measure; what the chain minted (Wh), booked as withdrawal (Wh), and holds as the bank (Wh)."""
    before = campus.energy()
    steps = {"solar": (solar, 0, 0, 0), "load": (0, load, 0, 0), "battery": (0, 0, charged, discharged)}
    campus.measure(steps, after)
    now = campus.energy()
    return now.minted - before.minted, now.withdrawn - before.withdrawn, now.bank


on_chain = [live(*quarter) for quarter in QUARTERS]
print(f"the chain has settled {len(on_chain)} quarters; what it minted you shall find out by yourself")

# %% [markdown]
# ## 1. Without a battery
#
# In the first quarter the panels gave 20000 Wh and the house used 8000 Wh.
# The **surplus** is what was generated beyond the consumption of the same span, and never negative.


# %% exercise="1"
def surplus(generation: int, consumption: int) -> int:
    """Watt-hours of surplus."""
    lab.still_open(1, "generation less consumption, but not below zero.")


# %%
assert surplus(20_000, 8_000) == 12_000, "20000 less 8000"
assert surplus(1_000, 9_000) == 0, "there is no negative surplus: what lacks is drawn from the grid"
assert surplus(*QUARTERS[0][:2]) == on_chain[0][0], f"the chain minted {on_chain[0][0]} Wh in the first quarter"
lab.right(1)

# %% [markdown]
# ## 2. With a battery, on paper
#
# A battery may be filled from the sun or from the grid; electrons have no colour.
# So the rule keeps a **bank**: how much of what is in the battery is renewable surplus, as far as anybody can prove.
#
# Of each span, in this order:
#
# 1. `surplus` as above,
# 2. `into` = the smaller of what was charged and the surplus: so much sun went into the battery,
# 3. the bank grows by `into` times 0.9 (the battery's efficiency), rounded down, but never above the battery's capacity (80000 Wh),
# 4. `out` = the smaller of what was discharged and the bank; the bank shrinks by it,
# 5. `net` = generation + discharged - consumption - charged: what the house gave to the campus; negative, what it took,
# 6. **mint** = the smaller of `net` (not below zero) and `surplus - into + out`,
# 7. **withdrawal** = what the house took: `-net`, not below zero.
#
# Fill the table with a pencil: what is minted in each of the six quarters?

# %% exercise="2"
MINTED = [None, None, None, None, None, None]  # Wh
BANK_AFTER_THE_SECOND = None  # Wh

# %%
lab.answered(2, *MINTED, BANK_AFTER_THE_SECOND)
assert BANK_AFTER_THE_SECOND == on_chain[1][2], "5000 Wh of sun were charged; 0.9 of them can come out again"
for number, (mine, (minted, _, _)) in enumerate(zip(MINTED, on_chain, strict=True), 1):
    assert mine == minted, f"quarter {number}: not {mine} Wh. Write down surplus, into, bank, out and net, one by one"
lab.right(2)

# %% [markdown]
# Look at quarters 5 and 6.
# The battery was filled at night, from the grid, and emptied into the campus the next morning.
# That is good business with a tariff, and no renewable energy: the bank was empty, so nothing of it was minted.
#
# ## 3. The rule in Python


# %% exercise="3"
def span(
    generation: int, consumption: int, charged: int, discharged: int, bank: int, storage: int
) -> tuple[int, int, int]:
    """(minted, withdrawal, bank afterwards) of one span in Wh; the efficiency is 9000 of 10000."""
    lab.still_open(3, "the seven lines above, with whole numbers: * 9000 // 10000 rounds down.")


# %%
bank = 0
for quarter, told in zip(QUARTERS, on_chain, strict=True):
    mine = span(*quarter, bank, 80_000)
    assert mine == told, f"{quarter}: the chain says (minted, withdrawal, bank) {told}, you {mine}"
    bank = told[2]
dice = random.Random(3)
for _ in range(2_000):
    g, c, q, d = (dice.choice([0, dice.randint(0, 20_000)]) for _ in range(4))
    before, storage = dice.randint(0, 10_000), 10_000
    project = settle_span(
        [MeterSpan("building", source=1, storage_wh=storage, generation=g, consumption=c, charge=q, discharge=d)],
        before, 9_000,
    )  # fmt: skip
    mine = span(g, c, q, d, before, storage)
    expected = (project.mint, project.withdrawal, project.bank)
    assert mine == expected, f"g={g} c={c} q={q} d={d} bank={before}: the project says {expected}, you {mine}"
lab.right(3)

# %% [markdown]
# ## 4. Is it fair to be silent?
#
# Suppose that a house uses 10 kWh each night and that its panels give 10 kWh each day.
# Quarter by quarter it buys at night and sells by day.
# If its meter were read once a day, it would have no surplus at all, and no withdrawal either.
# A year-long span would even net summer with winter.
# So a member could choose the span that suits it, by pulling a plug.
#
# The rule against it: a span **longer than four epochs** mints nothing, and what was consumed and charged in it counts whole as withdrawal.
# (Where the meter has a load profile, the gateway reads the missing quarters later, and nobody loses anything.)
#
# Now the dormitory is silent for five quarters.
# Meanwhile it generates 30000 Wh, uses 10000 Wh and charges 2000 Wh.
# What is minted, what is booked as withdrawal, and what is left in the bank?

# %%
silent = live(30_000, 10_000, 2_000, 0, after=5)
after_it = live(20_000, 8_000, 0, 0)

# %% exercise="4"
SILENT_MINTED = None  # Wh
SILENT_WITHDRAWAL = None
SILENT_BANK = None
NEXT_MINTED = None  # in the quarter after it: solar 20000, load 8000, nothing charged or discharged

# %%
lab.answered(4, SILENT_MINTED, SILENT_WITHDRAWAL, SILENT_BANK, NEXT_MINTED)
mine = (SILENT_MINTED, SILENT_WITHDRAWAL, SILENT_BANK)
assert mine == silent, "not what the chain says: read the rule again; what is in the battery after it, nobody can prove"
assert NEXT_MINTED == after_it[0], "one bad span spoils only itself: the next quarter is netted as usual"
lab.right(4)

# %% [markdown]
# ## 5. Where are the tokens?
#
# The token has three decimals: its smallest unit is one watt-hour.
# What was minted is in the member's wallet, in its seat in the market, locked in an order, or burnt.
# A token is burnt (*retired*) to pay for energy: the settlement retires a member's tokens against what it took from the campus in the same billing period, so that its bill is for the rest only.
#
# How many *tokens* have been minted for the dormitory in all?
# How many watt-hours of surplus did **not** become tokens?
# And how many watt-hours were burnt?

# %%
account, supply = campus.energy(), campus.chain.token_supply(programs.energy_mint())
print(f"generated {account.generated} Wh, surplus of all netted spans {account.surplus} Wh; supply now {supply} Wh")

# %% exercise="5"
TOKENS = None  # kWh
NOT_MINTED = None  # Wh of surplus
BURNT = None  # Wh

# %%
lab.answered(5, TOKENS, NOT_MINTED, BURNT)
assert TOKENS * 1_000 == account.minted, "add up all quarters, the one after the silence as well; 1 token is 1 kWh"
assert NOT_MINTED == account.surplus - account.minted, (
    "surplus less minted: what became of the 5000 Wh that were charged?"
)
assert BURNT == account.minted - supply, "what was minted and is not in the supply any more"
assert BURNT == account.withdrawn, "the dormitory had tokens enough for all that it took"
lab.right(5)
lab.CLOSING.close()
print("Lab 3 is done: your rule and the chain's mint the same.")

# %% [markdown]
# **Go on:** `authority/settlement/surplus.py` and `programs/oracle/src/settlement.rs` are the rule twice, in Python and in Rust.
# Why twice, and who makes sure that they agree?
# Find a way to get more tokens out of the six quarters by moving when the battery is charged.
# Is it cheating?

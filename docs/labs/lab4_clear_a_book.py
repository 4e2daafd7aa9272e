# %% [markdown]
# # Lab 4: clear a book with paper, Python and the chain
#
# Every 15 minutes the campus holds an auction.
# Buyers and sellers name a quantity and a limit; at the end there is one price for all.
# You clear the same book three times: with paper, with Python of your own, and with the program that runs on the chain.
# All three have to agree to the watt-hour and to the micro-credit.
#
# **At the end you know** how a call auction finds its price, why there is often a whole interval of prices, how a tie is shared, who keeps the rounding, and how one watt-hour can move the price.
#
# **You need** paper, a pencil, and this project's environment (`.venv`).
# The chain is LiteSVM, Solana's runtime inside this process, with the project's real trading program in it.
#
# **Time:** one hour.
#
# Each exercise has a check below it.
# Until you solve it, the lab stops there and says so.
# Run the lab again after each exercise: `.venv/bin/python docs/labs/lab4_clear_a_book.py`.

# %%
import lab

lab.begin(4)

# %%
import json
import random
import subprocess
import sys

from trading_world import ASK, BID, EPOCH, EPOCH_SECONDS, Member, TradingWorld

from authority.market import clearing

# %% [markdown]
# ## The book
#
# Prices are micro-credit per kWh, quantities watt-hours.
# A bid says: I pay this much per kWh at most.
# An ask says: I want this much per kWh at least.

# %%
BIDS = [  # in the order in which they came
    ("canteen", 200_000, 700),
    ("workshop", 160_000, 2_000),
    ("library", 240_000, 1_500),
]
ASKS = [
    ("wind turbine", 210_000, 2_000),
    ("roof B", 130_000, 600),
    ("roof A", 90_000, 1_200),
    ("roof C", 130_000, 400),
]
REFERENCE = 150_000
"""The price of the last auction that traded enough."""

# %% [markdown]
# ## 1. Paper
#
# Sort the bids, dearest first, and the asks, cheapest first.
# Draw two staircases: from left to right the watt-hours, upwards the price.
# Where the bids' staircase lies above the asks', trade is possible; the width of that part is the greatest volume.
#
# At the right end of that part, look at four prices: the last bid and the last ask that trade, and the next bid and the next ask that do not.
# A price clears the greatest volume if everybody who trades accepts it and nobody who does not trade would have liked to:
#
# - it is at least the last ask that trades, and at least the next bid,
# - it is at most the last bid that trades, and at most the next ask.
#
# Of those prices the campus takes the one **nearest to the reference price**.

# %% exercise="1"
VOLUME = None  # Wh
LOWEST = None  # micro-credit per kWh
HIGHEST = None
PRICE = None

# %%
lab.answered(1, VOLUME, LOWEST, HIGHEST, PRICE)
assert VOLUME == 2_200, "add up the asks from the cheapest until the next one costs more than the bid beside it"
assert LOWEST == 160_000, "at 130000 the workshop would buy, too, and nobody could serve it: look at the next bid"
assert HIGHEST == 200_000, "above the last bid that trades, that bid drops out"
assert PRICE == 160_000, "the reference lies outside the interval: the nearest price in it is one of its ends"
lab.right(1)

# %% [markdown]
# ## 2. Python: two curves
#
# Another way to the same result: at a price `p`, demand is the sum of all bids of `p` or more, supply the sum of all asks of `p` or less.
# What can be traded at `p` is the smaller of both.


# %% exercise="2"
def executable(bids: list[tuple[int, int]], asks: list[tuple[int, int]], price: int) -> int:
    """Watt-hours that trade at this price; orders are (price, quantity)."""
    lab.still_open(2, "sum up demand and supply at this price, and take the smaller.")


# %%
bids = [(price, quantity) for _, price, quantity in BIDS]
asks = [(price, quantity) for _, price, quantity in ASKS]
for price in (80_000, 90_000, 130_000, 159_999, 160_000, 200_000, 200_001, 250_000):
    print(f"{price:>8} micro-credit per kWh: {executable(bids, asks, price):>5} Wh")
assert executable(bids, asks, 80_000) == 0, "nobody sells at 80000"
assert executable(bids, asks, 130_000) == 2_200, "an ask of 130000 does sell at 130000"
assert executable(bids, asks, 200_000) == 2_200, "a bid of 200000 does buy at 200000"
assert executable(bids, asks, 200_001) == 1_500, "above 200000 only the library buys"
lab.right(2)

# %% [markdown]
# Look at the table again: at 159999 as much *could* trade as at 160000.
# But there the workshop wants 2000 Wh more than there are.
# The rule leaves out such prices: where demand is too large, the price should rise.

# %% [markdown]
# ## 3. Python: the price
#
# The curves change only at the limits of orders, so the ends of the interval are limits of orders.
# Among all limits at which the most is traded:
#
# - the lowest price of the interval is the smallest at which nobody who is left out would pay **more** than it: demand from bids strictly above it must not exceed the volume,
# - the highest is the largest at which nobody who is left out would sell for **less**: supply from asks strictly below it must not exceed the volume.


# %% exercise="3"
def clear(bids: list[tuple[int, int]], asks: list[tuple[int, int]], reference: int) -> tuple[int, int, int, int]:
    """(volume, lowest, highest, price); four zeros where nothing trades."""
    lab.still_open(
        3, "try every limit as the price, keep those that fulfil the conditions, then look at the reference."
    )


# %%
def of_project(bids: list[tuple[int, int]], asks: list[tuple[int, int]], reference: int) -> tuple[int, int, int, int]:
    """What authority/market/clearing.py says, which walks along both staircases instead."""
    dearest = [clearing.Order(*order) for order in sorted(bids, key=lambda order: -order[0])]
    cheapest = [clearing.Order(*order) for order in sorted(asks, key=lambda order: order[0])]
    found = clearing.clear(dearest, cheapest, reference)
    return found.volume, found.lowest, found.highest, found.price


assert clear(bids, asks, REFERENCE) == (2_200, 160_000, 200_000, 160_000), "not what paper says"
assert clear(bids, asks, 170_000)[3] == 170_000, "a reference inside the interval is the price"
assert clear([(100, 5)], [(101, 5)], 100) == (0, 0, 0, 0), "nobody meets, nothing trades"
dice = random.Random(4)
for _ in range(2_000):
    some_bids, some_asks = (
        [(dice.randint(1, 9) * 10, dice.randint(1, 6)) for _ in range(dice.randint(0, 6))] for _ in range(2)
    )
    mine, project = clear(some_bids, some_asks, 50), of_project(some_bids, some_asks, 50)
    assert mine == project, f"bids {some_bids}, asks {some_asks}: the project finds {project}, you {mine}"
lab.right(3)

# %% [markdown]
# ## 4. A tie
#
# At 160000, all asks below that price trade whole.
# But suppose that the price were 130000 and that only 500 Wh were left for roof B (600 Wh) and roof C (400 Wh).
# Who came first is a race that fast computers win; so the campus shares in proportion.
# Each gets its share rounded down; the watt-hours that are left go one by one to the **largest remainders**, equal remainders in order of arrival.


# %% exercise="4"
def share(quantities: list[int], total: int) -> list[int]:
    """Share `total` Wh among orders of these quantities, in whole Wh."""
    lab.still_open(4, "quantity * total // sum, the remainders with %, and then the watt-hours that are left.")


# %%
assert share([600, 400], 500) == [300, 200], "in proportion"
assert share([1, 1, 1], 2) == [1, 1, 0], "equal remainders: who came first"
assert share([5, 3, 1], 4) == [2, 1, 1], (
    "5*4/9 = 2 rest 2, 3*4/9 = 1 rest 3, 1*4/9 = 0 rest 4: the rest 4 gets the last"
)
for _ in range(500):
    quantities = [dice.randint(1, 50) for _ in range(dice.randint(1, 7))]
    total = dice.randint(0, sum(quantities))
    mine, project = share(quantities, total), clearing.allocate(quantities, total)
    assert mine == project, f"{total} among {quantities}: the project shares {project}, you {mine}"
lab.right(4)

# %% [markdown]
# ## 5. Money
#
# A buyer pays price plus *wheeling*, the grid's fee for each kWh; a seller gets the price, less a fee in hundredths of a percent.
# Money is whole micro-credits.
# Rounding must never create money: a buyer's amount is rounded **up**, a seller's **down**, and the fee is rounded down as well.


# %% exercise="5"
def buyer_pays(quantity: int, price: int, wheeling: int) -> int:
    """Micro-credits that a buyer owes for so many Wh."""
    lab.still_open(5, "rounded up: -(-a // b) is a way to do so with whole numbers.")


def seller_gets(quantity: int, price: int, fee_bps: int) -> int:
    """Micro-credits that a seller receives for so many Wh: the sale rounded down, less the fee rounded down."""
    lab.still_open(5, "first the sale, rounded down; then the fee on it, rounded down.")


# %%
assert buyer_pays(700, 160_000, 20_000) == 126_000, "0.7 kWh at 160000 + 20000"
assert buyer_pays(1, 160_001, 20_000) == 181, "180.001 micro-credits, rounded up"
assert seller_gets(1, 160_999, 0) == 160, "160.999 micro-credits, rounded down"
assert seller_gets(600, 160_000, 50) == 95_520, "0.5 % of 96000 is 480"
for _ in range(500):
    quantity, price, fee = dice.randint(1, 10_000), dice.randint(1, 10**6), dice.randint(0, 500)
    assert buyer_pays(quantity, price, fee) == clearing.buyer_pays(quantity, price, fee), (quantity, price, fee)
    assert seller_gets(quantity, price, fee) == clearing.seller_gets(quantity, price, fee), (quantity, price, fee)
lab.right(5)

# %% [markdown]
# ## 6. The chain
#
# Now the real trading program clears the book.
# Everybody has a *seat* in the market with energy and credits in it; an order locks what it may cost, and clearing pays into the seats.
#
# Before you look: what will each seat have gained or lost?
# Use your own functions.
# Wheeling is 20000 micro-credit per kWh, the fee 50 hundredths of a percent.


# %% exercise="6"
def changes(name: str) -> tuple[int, int]:
    """(Wh, micro-credits) that this seat gains by the auction; losses are negative. Use BIDS, ASKS and PRICE."""
    lab.still_open(6, "find out how much of the order trades at PRICE, and pay for it with your functions.")


# %%
def on_chain(
    bids: list[tuple[str, int, int]], asks: list[tuple[str, int, int]]
) -> tuple[TradingWorld, dict[str, Member]]:
    """A market with these orders, cleared when its epoch has ended."""
    world = TradingWorld(reference_price=REFERENCE)
    world.open()
    members = {name: world.member(energy=10_000, credits_=10_000_000) for name, _, _ in [*bids, *asks]}
    for side, orders in ((BID, bids), (ASK, asks)):
        for name, price, quantity in orders:
            world.place(members[name], side, price, quantity)
    world.set_time((EPOCH + 1) * EPOCH_SECONDS)
    outcome = world.clear()
    print(f"cleared with {outcome.compute_units} compute units: {outcome.event('EpochCleared')}")
    return world, members


world, members = on_chain(BIDS, ASKS)
book = world.book()
assert (book.fields["volume"], book.fields["lowest_price"], book.fields["highest_price"]) == (VOLUME, LOWEST, HIGHEST)
assert book.fields["price"] == PRICE
for name, member in members.items():
    seat = world.seat(member)
    gained = (seat.energy - 10_000, seat.credit - 10_000_000)
    print(f"{name:<13} {gained[0]:>6} Wh {gained[1]:>9} micro-credits")
    assert changes(name) == gained, f"{name}: the chain says {gained}, you {changes(name)}"
lab.right(6)

# %% [markdown]
# The buyers paid more than the sellers got.
# Where is the rest?
# The book says it: `fees`, which is wheeling, the sellers' fee, and what rounding left.

# %%
paid = -sum(changes(name)[1] for name, _, _ in BIDS)
got = sum(changes(name)[1] for name, _, _ in ASKS)
print(f"buyers paid {paid}, sellers got {got}, the market kept {paid - got} micro-credits")
assert book.fields["fees"] == paid - got

# %% [markdown]
# `authority market clear` clears any book without a chain, by the same rule.
# It reads the book as JSON.

# %%
as_json = {
    "bids": [{"id": name, "trader": name, "price": price, "quantity": quantity} for name, price, quantity in BIDS],
    "asks": [{"id": name, "trader": name, "price": price, "quantity": quantity} for name, price, quantity in ASKS],
    "reference_price": REFERENCE,
    "floor": 50_000,
    "ceiling": 300_000,
}
command = [sys.executable, "-m", "authority.cli", "market", "clear", "--json"]
told = subprocess.run(command, input=json.dumps(as_json), capture_output=True, text=True, check=True)
print(told.stdout)
assert json.loads(told.stdout)["price"] == PRICE
assert json.loads(told.stdout)["interval"] == [LOWEST, HIGHEST]

# %% [markdown]
# ## 7. The knife's edge
#
# The canteen buys one watt-hour more: 701 Wh in the place of 700.
# What is the price now?
# Paper first.
# And how many micro-credits more does the **library** pay, which changed nothing?

# %% exercise="7"
PRICE_NOW = None  # micro-credit per kWh
LIBRARY_PAYS_MORE = None  # micro-credits

# %%
lab.answered(7, PRICE_NOW, LIBRARY_PAYS_MORE)
BIDS_NOW = [(name, price, quantity + (name == "canteen")) for name, price, quantity in BIDS]
world, members = on_chain(BIDS_NOW, ASKS)
assert PRICE_NOW == world.book().fields["price"], "who is the next bid now? A bid that is filled in part is left, too"
assert LIBRARY_PAYS_MORE == -(world.seat(members["library"]).credit - 10_000_000 + 270_000), (
    "1500 Wh at each of the prices"
)
lab.right(7)
print("Lab 4 is done: paper, Python and the chain agree.")

# %% [markdown]
# **Go on:** the book balanced exactly, 2200 Wh on each side; that is what made the edge.
# How often does a campus book balance exactly?
# `docs/ARCHITECTURE.md` ("How the price moves") has figures for four rules.
# Could the canteen have gained by hiding a watt-hour?
# Could roof B?
# Change the book and try.

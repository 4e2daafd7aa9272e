# Solutions of lab 4, and mistakes that its checks have to find. `python docs/labs/lab.py 4` puts the solutions in.


# %% exercise="1"
VOLUME = 2_200  # library 1500, canteen 700; roof A 1200, roof B 600, roof C 400
LOWEST = 160_000  # the workshop, the next bid
HIGHEST = 200_000  # the canteen, the last bid that trades
PRICE = 160_000

# %% mistake="1"
VOLUME = 2_200
LOWEST = 130_000  # the last ask that trades, without a look at the next bid
HIGHEST = 200_000
PRICE = 150_000

# %% mistake="1"
VOLUME = 2_200
LOWEST = 160_000
HIGHEST = 200_000
PRICE = 180_000  # the middle of the interval


# %% exercise="2"
def executable(bids: list[tuple[int, int]], asks: list[tuple[int, int]], price: int) -> int:
    """Watt-hours that trade at this price; orders are (price, quantity)."""
    demand = sum(quantity for limit, quantity in bids if limit >= price)
    supply = sum(quantity for limit, quantity in asks if limit <= price)
    return min(demand, supply)


# %% mistake="2"
def executable(bids: list[tuple[int, int]], asks: list[tuple[int, int]], price: int) -> int:
    """Orders at the price itself left out."""
    demand = sum(quantity for limit, quantity in bids if limit > price)
    supply = sum(quantity for limit, quantity in asks if limit < price)
    return min(demand, supply)


# %% exercise="3"
def clear(bids: list[tuple[int, int]], asks: list[tuple[int, int]], reference: int) -> tuple[int, int, int, int]:
    """(volume, lowest, highest, price); four zeros where nothing trades."""
    limits = sorted({price for price, _ in [*bids, *asks]})
    volume = max((executable(bids, asks, price) for price in limits), default=0)
    if volume == 0:
        return (0, 0, 0, 0)
    best = [
        price
        for price in limits
        if executable(bids, asks, price) == volume
        and sum(quantity for limit, quantity in bids if limit > price) <= volume
        and sum(quantity for limit, quantity in asks if limit < price) <= volume
    ]
    lowest, highest = best[0], best[-1]
    return (volume, lowest, highest, min(max(reference, lowest), highest))


# %% mistake="3"
def clear(bids: list[tuple[int, int]], asks: list[tuple[int, int]], reference: int) -> tuple[int, int, int, int]:
    """Only the volume is looked at, and nobody who is left out."""
    limits = sorted({price for price, _ in [*bids, *asks]})
    volume = max((executable(bids, asks, price) for price in limits), default=0)
    if volume == 0:
        return (0, 0, 0, 0)
    best = [price for price in limits if executable(bids, asks, price) == volume]
    return (volume, best[0], best[-1], min(max(reference, best[0]), best[-1]))


# %% exercise="4"
def share(quantities: list[int], total: int) -> list[int]:
    """Share `total` Wh among orders of these quantities, in whole Wh."""
    whole = sum(quantities)
    shares = [quantity * total // whole for quantity in quantities]
    by_remainder = sorted(range(len(quantities)), key=lambda k: (-(quantities[k] * total % whole), k))
    for k in by_remainder[: total - sum(shares)]:
        shares[k] += 1
    return shares


# %% mistake="4"
def share(quantities: list[int], total: int) -> list[int]:
    """What is left goes to those who came first, whatever their remainders."""
    shares = [quantity * total // sum(quantities) for quantity in quantities]
    for k in range(total - sum(shares)):
        shares[k] += 1
    return shares


# %% mistake="4"
def share(quantities: list[int], total: int) -> list[int]:
    """Rounded to the nearest: the sum is not the total."""
    return [round(quantity * total / sum(quantities)) for quantity in quantities]


# %% exercise="5"
def buyer_pays(quantity: int, price: int, wheeling: int) -> int:
    """Micro-credits that a buyer owes for so many Wh."""
    return -(-quantity * (price + wheeling) // 1000)


def seller_gets(quantity: int, price: int, fee_bps: int) -> int:
    """Micro-credits that a seller receives for so many Wh: the sale rounded down, less the fee rounded down."""
    sale = quantity * price // 1000
    return sale - sale * fee_bps // 10_000


# %% mistake="5"
def buyer_pays(quantity: int, price: int, wheeling: int) -> int:
    """Rounded to the nearest."""
    return round(quantity * (price + wheeling) / 1000)


def seller_gets(quantity: int, price: int, fee_bps: int) -> int:
    """Rounded to the nearest."""
    return round(quantity * price / 1000 * (1 - fee_bps / 10_000))


# %% exercise="6"
def changes(name: str) -> tuple[int, int]:
    """(Wh, micro-credits) that this seat gains by the auction; losses are negative. Use BIDS, ASKS and PRICE."""
    for buyer, limit, quantity in BIDS:
        if buyer == name:
            bought = quantity if limit > PRICE else 0  # nothing is left for the workshop, whose limit is the price
            return bought, -buyer_pays(bought, PRICE, 20_000)
    for seller, limit, quantity in ASKS:
        if seller == name:
            sold = quantity if limit <= PRICE else 0
            return -sold, seller_gets(sold, PRICE, 50)
    raise KeyError(name)


# %% mistake="6"
def changes(name: str) -> tuple[int, int]:
    """Each at its own limit, as in pay-as-bid, and without wheeling and fee."""
    for buyer, limit, quantity in BIDS:
        if buyer == name:
            return (quantity, -buyer_pays(quantity, limit, 0)) if limit > PRICE else (0, 0)
    for seller, limit, quantity in ASKS:
        if seller == name:
            return (-quantity, seller_gets(quantity, limit, 0)) if limit <= PRICE else (0, 0)
    raise KeyError(name)


# %% exercise="7"
PRICE_NOW = 200_000  # one watt-hour of the canteen's bid is left: it is the next bid
LIBRARY_PAYS_MORE = 60_000  # 1.5 kWh at 40000 more

# %% mistake="7"
PRICE_NOW = 160_000
LIBRARY_PAYS_MORE = 0

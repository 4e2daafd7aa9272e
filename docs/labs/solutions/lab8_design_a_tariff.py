# Solutions of lab 8, and mistakes that its checks have to find. `python docs/labs/lab.py 8` puts the solutions in.


# %% exercise="1"
def alone_pays(member: int, terms: Terms) -> int:
    """Micro-credits that the member pays over all of PROFILES; negative where it gets more than it pays."""
    drawn = sum(need.get(member, 0) for _, need in PROFILES)
    given = sum(surplus.get(member, 0) for surplus, _ in PROFILES)
    return drawn * terms.retail // 1000 - given * terms.feed_in // 1000


# %% mistake="1"
def alone_pays(member: int, terms: Terms) -> int:
    """Netted over the two days, at one price: as if the grid were a battery."""
    drawn = sum(need.get(member, 0) for _, need in PROFILES)
    given = sum(surplus.get(member, 0) for surplus, _ in PROFILES)
    return (drawn - given) * terms.retail // 1000


# %% exercise="2"
def gini(gains: list[int]) -> float:
    """The Gini coefficient; the sum of gains is above zero."""
    pairs = sum(abs(x - y) for x in gains for y in gains)
    return pairs / (2 * len(gains) * sum(gains))


# %% mistake="2"
def gini(gains: list[int]) -> float:
    """Each pair counted once."""
    pairs = sum(abs(x - y) for i, x in enumerate(gains) for y in gains[:i])
    return pairs / (2 * len(gains) * sum(gains))


# %% exercise="3"
PRICE = "stays"
TRADED = "stays"
WHO_PAYS = "buyers"

# %% mistake="3"
PRICE = "rises"
TRADED = "falls"
WHO_PAYS = "both"

# %% mistake="3"
PRICE = "stays"
TRADED = "stays"
WHO_PAYS = "sellers"


# %% exercise="4"
def respond(limits: Mapping[int, Limits], dearer_by: int) -> dict[int, Limits]:
    """The limits after buyers lowered theirs; Limits(sell_at, buy_at), where None means that it never buys."""
    return {
        number: Limits(each.sell_at, None if each.buy_at is None else each.buy_at - dearer_by)
        for number, each in limits.items()
    }


# %% mistake="4"
def respond(limits: Mapping[int, Limits], dearer_by: int) -> dict[int, Limits]:
    """Sellers ask for less as well."""
    return {
        number: Limits(
            None if each.sell_at is None else each.sell_at - dearer_by,
            None if each.buy_at is None else each.buy_at - dearer_by,
        )
        for number, each in limits.items()
    }


# %% exercise="5"
def with_standing_charge(before: list[int], after: list[int]) -> list[int]:
    """What each pays under the lower price (`after`), with its part of the charge: the sum is that of `before`."""
    charge, left = divmod(sum(before) - sum(after), len(after))
    return [pays + charge + (place < left) for place, pays in enumerate(after)]


WINNERS = "laboratory"


# %% mistake="5"
def with_standing_charge(before: list[int], after: list[int]) -> list[int]:
    """What cannot be divided is lost."""
    charge = (sum(before) - sum(after)) // len(after)
    return [pays + charge for pays in after]


WINNERS = "laboratory"


# %% mistake="5"
def with_standing_charge(before: list[int], after: list[int]) -> list[int]:
    """The charge in proportion to the bill, which is no standing charge."""
    shares = [pays * sum(before) // sum(after) for pays in after]
    return [shares[0] + sum(before) - sum(shares), *shares[1:]]


WINNERS = "laboratory"


# %% exercise="6"
WHEELING = 40_000
FEE_BPS = 800

# %% mistake="6"
WHEELING = 60_000  # all on the buyers: enough money, and too uneven
FEE_BPS = 0

# %% mistake="6"
WHEELING = 80_000  # twelve members would pay less without a market
FEE_BPS = 100

# %% mistake="6"
WHEELING = 20_000
FEE_BPS = 100

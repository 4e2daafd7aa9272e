# Solutions of lab 3, and mistakes that its checks have to find. `python docs/labs/lab.py 3` puts the solutions in.


# %% exercise="1"
def surplus(generation: int, consumption: int) -> int:
    """Watt-hours of surplus."""
    return max(0, generation - consumption)


# %% mistake="1"
def surplus(generation: int, consumption: int) -> int:
    """Negative where more is used than generated."""
    return generation - consumption


# %% exercise="2"
MINTED = [12_000, 7_000, 0, 500, 0, 8_000]
BANK_AFTER_THE_SECOND = 4_500

# %% mistake="2"
MINTED = [12_000, 7_000, 0, 2_000, 0, 14_000]  # whatever the house gave, wherever it came from
BANK_AFTER_THE_SECOND = 4_500

# %% mistake="2"
MINTED = [12_000, 7_000, 0, 1_000, 0, 8_000]  # without the battery's losses
BANK_AFTER_THE_SECOND = 5_000


# %% exercise="3"
def span(
    generation: int, consumption: int, charged: int, discharged: int, bank: int, storage: int
) -> tuple[int, int, int]:
    """(minted, withdrawal, bank afterwards) of one span in Wh; the efficiency is 9000 of 10000."""
    left = surplus(generation, consumption)
    into = min(charged, left)
    bank = min(storage, bank + into * 9_000 // 10_000)
    out = min(discharged, bank)
    net = generation + discharged - consumption - charged
    return min(max(0, net), left - into + out), max(0, -net), bank - out


# %% mistake="3"
def span(
    generation: int, consumption: int, charged: int, discharged: int, bank: int, storage: int
) -> tuple[int, int, int]:
    """Discharged before it was charged."""
    left = surplus(generation, consumption)
    out = min(discharged, bank)
    into = min(charged, left)
    net = generation + discharged - consumption - charged
    bank = min(storage, bank - out + into * 9_000 // 10_000)
    return min(max(0, net), left - into + out), max(0, -net), bank


# %% mistake="3"
def span(
    generation: int, consumption: int, charged: int, discharged: int, bank: int, storage: int
) -> tuple[int, int, int]:
    """The bank grows beyond the battery."""
    left = surplus(generation, consumption)
    into = min(charged, left)
    bank = bank + into * 9_000 // 10_000
    out = min(discharged, bank)
    net = generation + discharged - consumption - charged
    return min(max(0, net), left - into + out), max(0, -net), bank - out


# %% exercise="4"
SILENT_MINTED = 0
SILENT_WITHDRAWAL = 12_000  # consumed and charged, whole
SILENT_BANK = 0
NEXT_MINTED = 12_000

# %% mistake="4"
SILENT_MINTED = 18_000  # netted as if it had been a quarter
SILENT_WITHDRAWAL = 0
SILENT_BANK = 1_800
NEXT_MINTED = 12_000

# %% mistake="4"
SILENT_MINTED = 0
SILENT_WITHDRAWAL = 12_000
SILENT_BANK = 0
NEXT_MINTED = 0  # the member is punished further


# %% exercise="5"
TOKENS = 39.5  # 12 + 7 + 0 + 0.5 + 0 + 8, and 12 after the silence
NOT_MINTED = 4_500  # 5000 Wh went into the battery, and 500 Wh of them came out beyond the house's own use
BURNT = 23_000  # the withdrawals: 3000, 8000 and 12000

# %% mistake="5"
TOKENS = 39_500  # watt-hours taken for tokens
NOT_MINTED = 4_500
BURNT = 23_000

# %% mistake="5"
TOKENS = 39.5
NOT_MINTED = 4_500
BURNT = 0  # a token is kept for ever

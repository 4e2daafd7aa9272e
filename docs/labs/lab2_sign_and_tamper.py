# %% [markdown]
# # Lab 2: sign, tamper, be refused
#
# A reading that becomes money must not be changed on its way.
# So the gateway beside the meter signs each reading with that meter's own key.
# You pack such a reading byte by byte, sign it, send it to a real collector, and then try to cheat it in eleven ways.
#
# **At the end you know** what a signature protects and what it does not, why each reading names the one before it, the difference between *refused*, *parked* and *held*, and when a gateway may delete what it measured.
#
# **You need** this project's environment (`.venv`).
# The campus is made in a temporary directory: log, chain and all, with a building whose meters are enrolled.
#
# **Time:** one hour.
#
# Each exercise has a check below it.
# Until you solve it, the lab stops there and says so.
# Run the lab again after each exercise: `.venv/bin/python docs/labs/lab2_sign_and_tamper.py`.

# %%
import lab

lab.begin(2)

# %%
import hashlib
import struct
from typing import Any

from small_campus import SmallCampus
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature

from edge_agent.wire.reading import CODES, VERDICTS, Frame, ReadingError, Receipt, Record

campus = SmallCampus()
solar = campus.meter("solar")
NETWORK = campus.network_id
print(f"meter {solar.name!r} of {solar.gateway}, {solar.nameplate_w} W, network {NETWORK.hex()}")

# %% [markdown]
# ## 1. Ninety-six bytes
#
# A record is fixed in every byte, so that two programs can never disagree about what was signed.
# All numbers are little-endian.
#
# | offset | size | field |
# |---|---|---|
# | 0 | 4 | the letters `AMR1` |
# | 4 | 4 | sequence, unsigned: 1, 2, 3 ... of this key |
# | 8 | 8 | network id: which deployment this is for |
# | 16 | 8 | interval end, signed: Unix seconds |
# | 24 | 8 | generation register in Wh, unsigned |
# | 32 | 8 | consumption register in Wh |
# | 40 | 8 | charge register in Wh |
# | 48 | 8 | discharge register in Wh |
# | 56 | 2 | interval in seconds: 900 |
# | 58 | 1 | source: 1 is solar |
# | 59 | 1 | register epoch: 0 |
# | 60 | 2 | the meter clock's deviation in seconds, **signed** |
# | 62 | 2 | flags: 0 |
# | 64 | 16 | hash of the record before; zeros for the first |
# | 80 | 16 | hash of what the meter sent on its line; zeros here |
#
# The registers are cumulative.
# What counts is the difference to the last reading, so a lost interval loses no energy.
# Python's `struct.pack` with `<` in front writes little-endian without gaps.


# %% exercise="1"
def pack(
    sequence: int, end: int, generation: int, previous: bytes, *, consumption: int = 0, network: bytes = NETWORK
) -> bytes:
    """The record's 96 bytes; charge, discharge, register epoch, deviation, flags and evidence are zero."""
    lab.still_open(1, "write pack(); one struct.pack is enough.")


# %%
record = pack(1, campus.noon, 5_000_000, bytes(16))
assert len(record) == 96, f"a record has 96 bytes, yours {len(record)}"
assert record[:4] == b"AMR1", "it begins with the letters AMR1"
for name, value in {
    "sequence": 1,
    "interval_end": campus.noon,
    "generation": 5_000_000,
    "interval_seconds": 900,
    "source": 1,
}.items():
    read = getattr(Record.from_bytes(record), name)
    assert read == value, f"the project reads {name} {read} out of your bytes, it should be {value}"
theirs = Record.from_bytes(record).to_bytes()
assert Record.from_bytes(record).clock_deviation == 0, "the deviation is 0, which is not the same as unknown"
assert record[8:16] == NETWORK, "the network id is at offset 8"
assert Record.from_bytes(pack(7, campus.noon, 1, bytes(range(16)), consumption=9)) == Record(
    sequence=7, network_id=NETWORK, interval_end=campus.noon, generation=1, consumption=9, charge=0, discharge=0,
    interval_seconds=900, source=1, clock_deviation=0, previous_hash=bytes(range(16)),
), "consumption or the previous hash is not where it should be"  # fmt: skip
lab.right(1)

# %% [markdown]
# ## 2. Sign and send
#
# A frame is what travels: the record (96), the meter's public key (32), and the Ed25519 signature over the record (64).
# `key.sign_message(data)` signs bytes as they are; Ed25519 hashes by itself.


# %% exercise="2"
def sign(record: bytes, key: Keypair) -> bytes:
    """The frame's 192 bytes."""
    lab.still_open(2, "put record, bytes(key.pubkey()) and bytes(key.sign_message(...)) behind each other.")


# %%
def send(frame: bytes) -> tuple[str, str]:
    """Send a frame as the gateway does; the receipt's verdict and code by their names."""
    (receipt,) = campus.send(solar, frame)
    return VERDICTS[receipt.verdict], CODES[receipt.code]


first = sign(record, solar.key)
assert len(first) == 192, f"a frame has 192 bytes, yours {len(first)}"
answer = send(first)
print("the first reading:", *answer)
assert answer == ("accepted", "ok"), f"the collector says {answer}: what exactly did you sign?"
lab.right(2)

# %% [markdown]
# ## 3. The chain of readings
#
# Each record names the one before it by the first 16 bytes of the SHA-256 of its 96 bytes.
# Who holds reading 9 can therefore tell whether reading 8 was swapped, even years later.


# %% exercise="3"
def name_of(record: bytes) -> bytes:
    """The 16 bytes by which the next record names this one."""
    lab.still_open(3, "hashlib.sha256(...).digest(), and of that the first 16 bytes.")


# %%
campus.go_to(campus.noon + 901)
second_record = pack(2, campus.noon + 900, 5_004_000, name_of(record))
second = sign(second_record, solar.key)
answer = send(second)
print("the second reading:", *answer)
assert answer == ("accepted", "ok"), (
    f"the collector says {answer}: the hash is over the record's 96 bytes, nothing else"
)
lab.right(3)

# %% [markdown]
# ## 4. Cheat
#
# Below are eleven frames.
# Some are forged by a stranger on the line, some by the owner of the meter, who has its key.
#
# The collector decides in this order:
#
# 1. Does it parse, does the key belong to a meter of this gateway (`unknown_meter`), does the signature fit (`bad_signature`), is it of this network (`wrong_network`), does it follow what is logged (`forked`)?
#    If not, it is **refused** and not logged.
# 2. Are records before it missing (`sequence_gap`)?
#    Then it is **parked** until they come.
# 3. Is it plausible: aligned, not of the future (`interval_in_future`), no register below what it was (`register_decreased`), none that this kind of meter has not (`register_not_permitted`), no more than the plant can give (`exceeds_nameplate`)?
#    If not, it is **held**: logged, for it is authentic, but it moves nothing until a person decides.
#
# What will it say of each?
# Write the code's name; `ok` is one of them.

# %%
stranger = Keypair.from_seed(bytes(32))
end, later = campus.noon + 1_800, campus.noon + 2_700
third = pack(3, end, 5_008_000, name_of(second_record))
falls = pack(3, end, 5_003_000, name_of(second_record))
too_much = pack(4, later, 5_104_000, name_of(falls))
draws = pack(5, later, 5_008_000, name_of(too_much), consumption=500)
tomorrow = pack(6, campus.noon + 86_400, 5_008_000, name_of(draws))
flipped = bytearray(sign(third, solar.key))
flipped[26] ^= 0x01  # 65536 Wh more
CASES = {
    "a stranger flips a bit of the energy": bytes(flipped),
    "a stranger signs with a key of his own": sign(third, stranger),
    "a stranger signs, and puts the meter's public key in": third + solar.public_key + sign(third, stranger)[128:],
    "a stranger sends the second reading again": second,
    "the owner changes the second reading, and signs again": sign(
        pack(2, campus.noon + 900, 5_005_000, name_of(record)), solar.key
    ),
    "the owner leaves out five readings": sign(pack(8, end, 5_008_000, name_of(second_record)), solar.key),
    "the owner sends a reading that another campus's network has signed for": sign(
        pack(3, end, 5_008_000, name_of(second_record), network=b"campus-2"), solar.key
    ),
    "the owner turns the register back by 1 kWh": sign(falls, solar.key),
    "the owner adds 100 kWh in two quarters of an hour": sign(too_much, solar.key),
    "the owner counts consumption on a solar panel": sign(draws, solar.key),
    "the owner sells tomorrow's sun today": sign(tomorrow, solar.key),
}

# %% exercise="4"
EXPECTED = {
    "a stranger flips a bit of the energy": None,
    "a stranger signs with a key of his own": None,
    "a stranger signs, and puts the meter's public key in": None,
    "a stranger sends the second reading again": None,
    "the owner changes the second reading, and signs again": None,
    "the owner leaves out five readings": None,
    "the owner sends a reading that another campus's network has signed for": None,
    "the owner turns the register back by 1 kWh": None,
    "the owner adds 100 kWh in two quarters of an hour": None,
    "the owner counts consumption on a solar panel": None,
    "the owner sells tomorrow's sun today": None,
}

# %%
lab.answered(4, *EXPECTED.values())
campus.go_to(later + 1)
answers = {name: send(frame) for name, frame in CASES.items()}
for name, (verdict, code) in answers.items():
    assert EXPECTED[name] == code, f"{name}: the collector says {verdict}, {code}; you said {EXPECTED[name]}"
    print(f"{verdict:<9} {code:<23} {name}")
lab.right(4)

# %% [markdown]
# Look at the owner's cases.
# Cryptography stops the stranger and does not stop the owner: what the owner signs is authentic.
# What stops the owner are rules about the world (a panel of so many watts cannot give more), the chain of hashes (no second version of the same reading), and that everything plausible or not is logged for the audit.
#
# ## 5. When may a gateway delete?
#
# A gateway keeps each record until the authority has it for good.
# For what went into the log (*accepted* or *held*) the receipt is a proof: `receipt.signed_message(frame)` computes the checkpoint to which the receipt's path leads from this frame, and the receipt key has signed it.
# It raises `ReadingError` where the receipt is for another frame, or its path is not one.
#
# A gateway may delete a record only if the verdict is accepted or held, the receipt is of its own network, and the signature verifies under the **pinned** receipt key.


# %% exercise="5"
def may_delete(receipt: Receipt, frame: Frame, receipt_key: Pubkey) -> bool:
    """Whether the gateway may forget this frame: `Signature(bytes).verify(key, message)` says True or False."""
    lab.still_open(5, "check verdict, network and signature; a receipt for another frame is a no, too.")


# %%
def receipt_of(frame: bytes) -> Receipt:
    """The collector's receipt for a frame."""
    return campus.send(solar, frame)[0]


good, key = receipt_of(second), campus.receipt_key
assert may_delete(good, Frame.from_bytes(second), key), "this one is accepted, signed and for this frame"
held = CASES["the owner turns the register back by 1 kWh"]
assert may_delete(receipt_of(held), Frame.from_bytes(held), key), "a held reading is in the log as well"
parked = CASES["the owner leaves out five readings"]
assert not may_delete(receipt_of(parked), Frame.from_bytes(parked), key), "parked is not yet in the log"
assert not may_delete(good, Frame.from_bytes(first), key), "this receipt is for another reading"
assert not may_delete(good, Frame.from_bytes(second), stranger.pubkey()), "the signature is not by that key"


def changed(receipt: Receipt, **fields: Any) -> Receipt:
    """A copy of a receipt with some fields replaced."""
    copy = Receipt.from_bytes(receipt.to_bytes())
    for name, value in fields.items():
        setattr(copy, name, value)
    return copy


assert not may_delete(changed(good, network_id=b"campus-2"), Frame.from_bytes(second), key), "of another network"
assert not may_delete(changed(good, signature=bytes(64)), Frame.from_bytes(second), key), "nobody signed that"
assert not may_delete(changed(good, time=good.time + 1), Frame.from_bytes(second), key), "the proof does not lead there"
forged = changed(receipt_of(parked), verdict=1)
forged.signature = bytes(stranger.sign_message(forged.body()))
assert not may_delete(forged, Frame.from_bytes(parked), key), "a stranger says accepted"
lab.right(5)
lab.CLOSING.close()
print("Lab 2 is done: the stranger was refused, and the owner was seen.")

# %% [markdown]
# **Go on:** `docs/PROTOCOL.md` has the whole record, and `edge_agent/wire/reading.py` the same as code.
# The owner of a meter could put a lamp on the solar panel at night.
# Which of the codes in PROTOCOL is for that?
# And which cheat does none of them see?

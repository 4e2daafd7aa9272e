# %% [markdown]
# # Lab 6: attack the oracle
#
# On Solana a program does not verify an Ed25519 signature itself.
# The *precompile* does, in an instruction of its own, and the program looks at that instruction afterwards: "by introspection".
# What it has to look at is easy to get wrong, and several bridges and oracles were robbed for it.
# You rob four weakened copies of the oracle's check, and then write one that nobody can rob.
#
# **At the end you know** the layout of an Ed25519 instruction, four classic attacks on programs that read it, and why the oracle accepts one layout only.
#
# **You need** this project's environment (`.venv`).
# The transactions, the precompile and the oracle are the real ones, in LiteSVM.
# The weakened copies are in Python: each is the oracle's check with something left out.
#
# **Time:** one hour.
#
# Each exercise has a check below it.
# Until you solve it, the lab stops there and says so.
# Run the lab again after each exercise: `.venv/bin/python docs/labs/lab6_attack_the_oracle.py`.

# %%
import lab

lab.begin(6)

# %%
import random
import struct
from collections.abc import Callable, Sequence

from campus import Campus, SimulatedMeter, refusal
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata

from authority.chain import programs
from edge_agent.wire.reading import Frame, Record

# %% [markdown]
# ## The victim
#
# A solar meter with an accepted reading, and its next one, signed with its own key: 100 Wh more.

# %%
campus = Campus()
meter = campus.add_meter(campus.register_user("alice"), "pv", "generation", "solar")
campus.set_time(campus.boundary(1))
campus.submit((meter, meter.read(campus.boundary(1))))
campus.set_time(campus.boundary(2))
honest = meter.read(campus.boundary(2), 100)
KEY = honest.public_key


def forged_record() -> bytes:
    """What the thief would like the oracle to believe: 20 kWh more, which nobody has signed."""
    fields = {name: getattr(honest.record, name) for name in Record.__slots__}
    return Record(**(fields | {"generation": honest.record.generation + 20_000})).to_bytes()


FORGED = forged_record()


def run(*instructions: Instruction) -> str:
    """Try a transaction without keeping its effect: "ok", or the name of what refused it."""
    campus.svm.expire_blockhash()
    message = MessageV0.try_compile(campus.operator.pubkey(), list(instructions), [], campus.svm.latest_blockhash())
    result = campus.svm.simulate_transaction(VersionedTransaction(message, [campus.operator]))
    return refusal(result).name if isinstance(result, FailedTransactionMetadata) else "ok"


def ed25519(data: bytes) -> Instruction:
    """An instruction for the precompile."""
    return Instruction(programs.ED25519_PROGRAM, data, [])


def oracle(*meters: SimulatedMeter) -> Instruction:
    """The oracle's submit_readings, which looks at the instruction before it."""
    return campus.submit_instruction(meters or [meter])


# %% [markdown]
# ## 1. The honest instruction
#
# The data of an Ed25519 instruction begins with the number of signatures (one byte) and a zero byte.
# For each signature a row of seven numbers of two bytes follows, little-endian:
#
# | number | what |
# |---|---|
# | 0 | offset of the signature (64 bytes) |
# | 1 | index of the instruction in whose data it lies |
# | 2 | offset of the public key (32 bytes) |
# | 3 | index of the instruction in whose data it lies |
# | 4 | offset of the message |
# | 5 | size of the message |
# | 6 | index of the instruction in whose data it lies |
#
# An index of `0xFFFF` means: in this instruction.
# Then comes whatever the offsets point at.
# The oracle wants it behind the rows: record (96), key (32), signature (64).


# %% exercise="1"
def honest_data(frame: Frame) -> bytes:
    """The data for one frame; frame.record_bytes, frame.public_key and frame.signature are its parts."""
    lab.still_open(1, "struct.pack('<7H', ...) makes a row; with one row the record begins at offset 16.")


# %%
assert len(honest_data(honest)) == 2 + 14 + 192, "two bytes, one row, one frame"
assert run(ed25519(honest_data(honest))) == "ok", "the precompile does not find a good signature where you say"
assert run(ed25519(honest_data(honest)), oracle()) == "ok", (
    f"the oracle refuses: {run(ed25519(honest_data(honest)), oracle())}"
)
assert honest_data(honest) == programs.ed25519_frames([honest]).data, "the project builds other bytes"
false = Frame(FORGED, KEY, honest.signature)
assert run(ed25519(honest_data(false))) != "ok", "the precompile should not take a false signature"
lab.right(1)

# %% [markdown]
# So the precompile cannot be fooled: it verifies what its rows point at.
# The question is what the *program* believes.
#
# ## 2. Nothing is verified, and nothing failed
#
# The first copy takes the frame from its own instruction, and wants the precompile before it, "so that the signature was verified".

# %%
Check = Callable[[Sequence[bytes], bytes], bytes | None]
"""A weakened copy: the data of the Ed25519 instructions so far (the last is the one just before), and what the program
was given itself. The record that it believes, or None where it refuses."""


def copy_1(before: Sequence[bytes], given: bytes) -> bytes | None:
    """Some Ed25519 instruction stands before, and the key is the meter's."""
    return given[:96] if before and given[96:128] == KEY else None


def robbed(check: Check, before: Sequence[bytes], given: bytes = b"") -> bool:
    """Whether the transaction passes the precompile, and the copy then believes the forged record."""
    passes = run(*map(ed25519, before))
    print(
        f"the precompile says {passes}; the copy {'believes the forgery' if check(before, given) == FORGED else 'does not'}"
    )
    return passes == "ok" and check(before, given) == FORGED


# %% exercise="2"
def attack_1() -> tuple[bytes, bytes]:
    """(data for the precompile, what the program is given)."""
    lab.still_open(2, "how many signatures must an Ed25519 instruction have? Put FORGED, KEY and 64 bytes together.")


# %%
data, given = attack_1()
assert robbed(copy_1, [data], given), "the precompile has to pass, and the copy has to get FORGED with the meter's KEY"
assert run(ed25519(b"\0\0"), oracle()) == "NoSignatures"
lab.right(2)

# %% [markdown]
# A count of zero verifies nothing, and succeeds.
# The real oracle has a name for it: `NoSignatures`.
#
# ## 3. Somewhere else in the data
#
# The second copy wants one signature, and reads the frame where an honest instruction has it: at offset 16.


# %%
def copy_2(before: Sequence[bytes], given: bytes) -> bytes | None:
    """One signature; the frame at offset 16 has the meter's key."""
    data = before[-1]
    return data[16:112] if data[0] == 1 and data[112:144] == KEY else None


# %% exercise="3"
def attack_2() -> bytes:
    """The data for the precompile."""
    lab.still_open(3, "leave the forged frame at offset 16, and let the row point at the honest one behind it.")


# %%
assert robbed(copy_2, [attack_2()]), (
    "the row points at a good signature, while FORGED and KEY lie at offsets 16 and 112"
)
assert run(ed25519(attack_2()), oracle()) == "SignatureTable"
lab.right(3)

# %% [markdown]
# The real oracle: `SignatureTable`, for the data is longer than one row and one frame.
#
# ## 4. Somewhere else in the transaction
#
# The third copy has learned: the length is right, and all offsets are those of an honest instruction.
# What is left to play with?


# %%
def copy_3(before: Sequence[bytes], given: bytes) -> bytes | None:
    """One signature, the right length, the right offsets, the meter's key."""
    data = before[-1]
    if len(data) != 208 or data[0] != 1:
        return None
    signature, _, key, _, message, size, _ = struct.unpack_from("<7H", data, 2)
    if (signature, key, message, size) != (144, 112, 16, 96):
        return None
    return data[16:112] if data[112:144] == KEY else None


# %% exercise="4"
def attack_3() -> list[bytes]:
    """The data of two Ed25519 instructions, the second of which stands just before the program's."""
    lab.still_open(4, "the first is honest; of the second the instruction indexes say 0.")


# %%
pair = attack_3()
assert robbed(copy_3, pair), "the offsets stay as they are; the three indexes name the instruction that tells the truth"
assert run(*map(ed25519, pair), oracle()) == "SignatureInstructionIndex"
lab.right(4)

# %% [markdown]
# ## 5. Somebody else's signature
#
# The fourth copy checks the indexes as well, and forgets the simplest thing.


# %%
def copy_4(before: Sequence[bytes], given: bytes) -> bytes | None:
    """One signature, the right length, offsets and indexes."""
    data = before[-1]
    here = 0xFFFF
    honest_row = (144, here, 112, here, 16, 96, here)
    right = len(data) == 208 and data[0] == 1 and struct.unpack_from("<7H", data, 2) == honest_row
    return data[16:112] if right else None


thief = Keypair.from_seed(b"thief".ljust(32, b"\0"))


# %% exercise="5"
def attack_4() -> bytes:
    """The data for the precompile."""
    lab.still_open(5, "the thief has a key, too; honest_data takes any Frame(record, public_key, signature).")


# %%
assert robbed(copy_4, [attack_4()]), "sign FORGED with the thief's key"
assert run(ed25519(attack_4()), oracle()) == "WrongKey"
lab.right(5)

# %% [markdown]
# ## 6. A check that nobody robs
#
# Write the check for one frame: the instruction just before is the precompile's with exactly one layout, and the key is the meter's.
# It is tried against your own attacks, and against 400 damaged instructions that pass the precompile, with the real oracle as the judge.


# %% exercise="6"
def believed(before: Sequence[bytes], given: bytes) -> bytes | None:
    """The record that may be believed, or None."""
    lab.still_open(6, "count, length, the whole row and the key; and nothing that the sender of the transaction gives.")


# %%
assert believed([honest_data(honest)], b"") == honest.record_bytes, "the honest one has to pass"
assert believed([], b"") is None, "no instruction before: nothing is verified"
for before, own in (([data], given), ([attack_2()], b""), (pair, b""), ([attack_4()], b"")):
    assert believed(before, own) is None, f"this attack gets through: {before[-1][:16].hex(' ')} ..."
dice = random.Random(6)
tried = 0
while tried < 400:
    damaged = bytearray(honest_data(honest) + honest_data(honest)[16:] * dice.randint(0, 1))
    field = dice.randint(0, 6)
    value = dice.choice([0, 1, 16, 112, 144, 208, 304, 336, 0xFFFF, dice.randint(0, 400)])
    struct.pack_into("<H", damaged, 2 + 2 * field, value)
    if dice.random() < 0.2:
        damaged[0] = dice.randint(0, 2)
    if dice.random() < 0.2:
        damaged[1] = dice.randint(0, 255)  # the second byte: does anybody look at it?
    before = [honest_data(honest), bytes(damaged)]
    transaction = [ed25519(part) for part in before]
    if run(*transaction) != "ok":
        continue
    tried += 1
    answer = run(*transaction, oracle())
    mine = believed(before, b"")
    assert (answer == "ok") == (mine == honest.record_bytes), (
        f"the oracle says {answer}, your check {'believes' if mine else 'refuses'}: {damaged[:16].hex(' ')} ... of {len(damaged)}"
    )
lab.right(6)
print("Lab 6 is done: you robbed four copies, and not the fifth.")

# %% [markdown]
# **Go on:** `programs/interfaces/common/src/ed25519.rs` is the real check.
# It has one refusal more than you needed: `ThroughCpi`.
# What could a program in between do?
# And why may the same Ed25519 instruction not serve two calls of the oracle?
# `make mutation-check PROGRAM=oracle` weakens the real program: it takes out one guard after the other, builds it again, and some test has to notice each.
# That takes long; `tests/programs/mutation_check.py --help` says how to take out a few.

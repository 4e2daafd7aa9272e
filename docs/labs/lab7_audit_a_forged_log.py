# %% [markdown]
# # Lab 7: audit a forged log
#
# The department writes every reading into a log that may only grow.
# But who watches the department?
# Anybody can: a log that is a Merkle tree cannot be changed without somebody noticing, if somebody looks.
# You write the checks, get seven pieces of evidence, and find out which are forged, and how.
#
# **At the end you know** what a Merkle root commits to, how a receipt proves that one leaf is in the log, how two checkpoints prove that nothing was rewritten, and which forgery each check finds and which it does not.
#
# **You need** this project's environment (`.venv`), and paper for one tree.
# The log comes from a campus in a temporary directory that lives through two hours.
#
# **Time:** one hour.
#
# Each exercise has a check below it.
# Until you solve it, the lab stops there and says so.
# Run the lab again after each exercise: `.venv/bin/python docs/labs/lab7_audit_a_forged_log.py`.

# %%
import lab

lab.begin(7)

# %%
import base64
import hashlib
import random
from dataclasses import dataclass, replace

from small_campus import SmallCampus
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature
from sqlalchemy import text
from sqlalchemy.orm import Session

from authority.log import merkle
from authority.log.note import LogCheckpoint, sign
from edge_agent.wire.checkpoint import origin

# %% [markdown]
# ## 1. Two hashes
#
# A Merkle tree hashes each leaf, then pairs of hashes, then pairs of those, up to one root of 32 bytes.
#
# - a leaf's hash is SHA-256 of the byte `00` and the leaf,
# - a node's hash is SHA-256 of the byte `01`, the left hash and the right hash.
#
# Without the two different bytes, somebody could show 64 bytes of two hashes and claim that they are a leaf.


# %% exercise="1"
def leaf_hash(leaf: bytes) -> bytes:
    """The hash of a leaf."""
    lab.still_open(1, "hashlib.sha256(...).digest() of the byte 00 and the leaf.")


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node over two hashes."""
    lab.still_open(1, "hashlib.sha256(...).digest() of the byte 01 and both hashes.")


# %%
assert leaf_hash(b"energy") == merkle.leaf_hash(b"energy"), "SHA-256 of 00 and the leaf"
assert node_hash(bytes(32), bytes(32)) == merkle.node_hash(bytes(32), bytes(32)), "SHA-256 of 01, left, right"
assert node_hash(b"a" * 32, b"b" * 32) == merkle.node_hash(b"a" * 32, b"b" * 32), "left comes before right"
assert leaf_hash(bytes(64)) != node_hash(bytes(32), bytes(32)), "a leaf and a node must never have the same hash"
lab.right(1)

# %% [markdown]
# ## 2. The root
#
# Draw the tree of five leaves.
# RFC 6962 says how: split n leaves after the first k, where k is the largest power of two that is **smaller** than n.
# The root is the node over the root of the left k leaves and the root of the rest.
# The root of one leaf is its hash.


# %% exercise="2"
def root(leaves: list[bytes]) -> bytes:
    """The root of a tree of one leaf or more."""
    lab.still_open(2, "a recursion: one leaf, or split after k and put both roots together.")


# %%
def root_of_project(leaves: list[bytes]) -> bytes:
    """The root as the project's log has it, which grows leaf by leaf and keeps no leaves for it."""
    frontier: list[bytes] = []
    for size, leaf in enumerate(leaves):
        frontier, _ = merkle.extend(size, frontier, merkle.leaf_hash(leaf))
    return merkle.frontier_root(frontier)


for size in (1, 2, 3, 4, 5, 6, 7, 8, 100):
    some = [bytes([number]) for number in range(size)]
    assert root(some) == root_of_project(some), f"a tree of {size} leaves has another root in the project's log"
lab.right(2)

# %% [markdown]
# ## 3. One leaf is in it
#
# A member has one leaf and an *inclusion path*: the hashes beside the way from the leaf up to the root, lowest first.
# The project's `edge_agent/wire/merkle.py` walks it for a tree of any size.
# Here a tree of a power of two is enough: at each level, the lowest bit of the index says whether you are the left child (0) or the right one (1); then the index is halved.


# %% exercise="3"
def climb(leaf: bytes, index: int, path: list[bytes]) -> bytes:
    """The root to which this path leads from the leaf with this index, in a tree of 2 ** len(path) leaves."""
    lab.still_open(3, "begin with leaf_hash(leaf), and put each sibling on its side.")


# %%
eight = [bytes([number]) for number in range(8)]
hashes = [leaf_hash(leaf) for leaf in eight]
for index in range(8):
    path = merkle.inclusion_proof(
        index, 8, lambda level, position: merkle.perfect_root(hashes[position << level : (position + 1) << level])
    )
    assert climb(eight[index], index, path) == root(eight), f"the path of leaf {index} leads to another root"
    assert climb(b"forged", index, path) != root(eight), "another leaf cannot lead to the same root"
lab.right(3)

# %% [markdown]
# Three hashes for eight leaves, twenty for a million: that is why a gateway can check each receipt.
#
# ## 4. A checkpoint
#
# A checkpoint says how long the log was and what its root was, signed by the department's receipt key.
# It is text:
#
# - three lines, each ended by a line feed: the log's name, the size in decimal, the root in base64,
# - an empty line,
# - a line of the signature: a dash, a space, the name, a space, and in base64 four bytes of key id and 64 bytes of Ed25519 signature **over the three lines**.

# %%
campus = SmallCampus()
campus.measure({})
dice = random.Random(7)


def quarter() -> None:
    """A quarter of an hour of sun and use."""
    campus.measure({"solar": (dice.randint(5_000, 9_000), 0, 0, 0), "load": (0, dice.randint(1_000, 4_000), 0, 0)})


for _ in range(4):
    quarter()
EARLIER = campus.checkpoint()
for _ in range(4):
    quarter()
LEAVES, NOW, KEY = campus.leaves(), campus.checkpoint(), campus.receipt_key
print(NOW.decode())


# %% exercise="4"
def open_checkpoint(note: bytes, key: Pubkey) -> tuple[int, bytes] | None:
    """(size, root) of a checkpoint that this key signed, or None where it did not."""
    lab.still_open(4, 'note.decode().split("\\n\\n"); the signed text ends with its line feed.')


# %%
assert open_checkpoint(NOW, KEY) == (len(LEAVES), root(LEAVES)), "size and root of the log as it stands"
assert open_checkpoint(NOW, Keypair.from_seed(bytes(32)).pubkey()) is None, "another key did not sign it"
size_now = str(len(LEAVES)).encode()
assert open_checkpoint(NOW.replace(b"\n" + size_now + b"\n", b"\n9\n"), KEY) is None, "the size is signed, too"
lab.right(4)

# %% [markdown]
# ## 5. The auditor
#
# You get evidence: the leaves as the department shows them today, its checkpoint of today, a checkpoint that somebody kept from an hour ago, and one leaf that a member has with its receipt.
# (A receipt is a path to a checkpoint; here we take the leaf and its index.)
#
# Answer with the **first** of these that does not hold, or with `"nothing"`:
#
# 1. `"signature"`: both checkpoints are signed by the receipt key,
# 2. `"root"`: the leaves have the size and the root of today's checkpoint,
# 3. `"history"`: the first leaves, as many as the earlier checkpoint has, have the earlier checkpoint's root,
# 4. `"receipt"`: the member's leaf stands at its index,
# 5. `"meter"`: in each reading's leaf the meter's own signature verifies.
#
# A reading's leaf begins with the byte 1 and has 204 bytes: 12 bytes of head, then the record (96), the meter's public key (32) and its signature over the record (64).


# %%
@dataclass(frozen=True)
class Evidence:
    """What an auditor has at hand."""

    leaves: list[bytes]
    today: bytes
    earlier: bytes
    kept_leaf: bytes
    kept_index: int


# %% exercise="5"
def audit(evidence: Evidence) -> str:
    """The first check that does not hold: signature, root, history, receipt, meter; or nothing."""
    lab.still_open(
        5, "use open_checkpoint and root; Signature(bytes).verify(Pubkey(bytes), message) checks a signature."
    )


# %%
def signed_by(key: Keypair, leaves: list[bytes]) -> bytes:
    """A checkpoint of these leaves, signed by whoever has the key."""
    name = origin(campus.network_id)
    return sign(LogCheckpoint(name, len(leaves), root_of_project(leaves)), name, key).encode()


def richer(leaf: bytes) -> bytes:
    """The reading with 1 kWh more."""
    energy = int.from_bytes(leaf[36:44], "little") + 1_000
    return leaf[:36] + energy.to_bytes(8, "little") + leaf[44:]


readings = [index for index, leaf in enumerate(LEAVES) if leaf[0] == 1]
department = campus.app.home.receipt_key
old_size = int(EARLIER.split(b"\n")[1])
early, late = readings[3], readings[-4]
assert early < old_size < late
honest = Evidence(LEAVES, NOW, EARLIER, LEAVES[late], late)
one_changed_early = [*LEAVES[:early], richer(LEAVES[early]), *LEAVES[early + 1 :]]
one_changed_late = [*LEAVES[:late], richer(LEAVES[late]), *LEAVES[late + 1 :]]
one_missing = [*LEAVES[:late], *LEAVES[late + 1 :]]
other = readings[-2]
nobody_kept = [*LEAVES[:other], richer(LEAVES[other]), *LEAVES[other + 1 :]]
CASES = {
    "honest": (honest, "nothing"),
    "a stranger's checkpoint": (replace(honest, today=signed_by(Keypair.from_seed(bytes(32)), LEAVES)), "signature"),
    "a leaf changed, the checkpoint left": (replace(honest, leaves=one_changed_late), "root"),
    "an early leaf changed, and signed again": (
        replace(honest, leaves=one_changed_early, today=signed_by(department, one_changed_early)),
        "history",
    ),
    "a late leaf changed, and signed again": (
        replace(honest, leaves=one_changed_late, today=signed_by(department, one_changed_late)),
        "receipt",
    ),
    "a late leaf left out, and signed again": (
        replace(honest, leaves=one_missing, today=signed_by(department, one_missing)),
        "receipt",
    ),
    "a leaf changed of which nobody kept a receipt": (
        replace(honest, leaves=nobody_kept, today=signed_by(department, nobody_kept)),
        "meter",
    ),
}
for name, (evidence, expected) in CASES.items():
    found = audit(evidence)
    assert found == expected, f"{name}: the first that does not hold is {expected}, you found {found}"
    print(f"{found:<10} {name}")
lab.right(5)

# %% [markdown]
# ## 6. What is left?
#
# The department holds the receipt key.
# Suppose that it leaves out a late reading of a member who kept **no** receipt, and that nobody kept a checkpoint since.
# Which of your checks finds it?

# %% exercise="6"
FOUND_BY = None  # "signature", "root", "history", "receipt", "meter" or "nothing"

# %%
lab.answered(6, FOUND_BY)
silent = Evidence(one_missing, signed_by(department, one_missing), EARLIER, LEAVES[late - 1], late - 1)
assert audit(silent) == FOUND_BY, "try it with your audit(): here the member kept another leaf"
lab.right(6)

# %% [markdown]
# So the log is as honest as somebody outside watches it: gateways keep receipts, witnesses cosign checkpoints, and each epoch's root is pinned on the chain, which nobody can take back.
# What is more, records have sequence numbers and name the one before, so a hole shows.
#
# ## 7. The project's own audit
#
# It recomputes everything: the tree, all signatures, sequences, mints, prices, payments.
# First the campus as it is, then with one register changed in the database by somebody who has access to it.
# The tree keeps hashes beside the data, so the hash of the changed leaf does not fit.

# %%
found = campus.audit()
print("as it is:", found or "nothing found")
assert found == []


def tamper(session: Session) -> None:
    """Change one logged reading, as with a database client."""
    (frame,) = session.execute(text("SELECT frame FROM frames WHERE log_index = :index"), {"index": late}).one()
    changed = richer(bytes(12) + bytes(frame))[12:]
    session.execute(
        text("UPDATE frames SET frame = :frame WHERE log_index = :index"), {"frame": changed, "index": late}
    )


found = campus.audit(tamper)
print("changed: ", ", ".join(dict.fromkeys(found)))
assert found
lab.CLOSING.close()
print("Lab 7 is done: a forgery needs everybody to look away.")

# %% [markdown]
# **Go on:** a *consistency proof* shows that the log grew out of an earlier one without handing out its leaves.
# `authority/log/merkle.py` has it; how many hashes does it need for a million leaves?
# The department could show one log to the auditor and another to a member.
# What do witnesses and the chain have to do with that?

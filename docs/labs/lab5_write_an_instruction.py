# %% [markdown]
# # Lab 5: write an instruction
#
# The campus wants a notice board: the department publishes the hash of a document, and nobody can later say that the document was another one.
# You write that instruction in Rust with Anchor, build the program, test it in LiteSVM, and see your event in the ledger of the campus's validator.
#
# **At the end you know** what an instruction is made of, how a program knows who signs, why each check has a refusal of its own, and what an IDL saves you from.
#
# **You need** this project's directory with its environment (`.venv`), and the programs' toolchain: `programs/toolchain/setup.sh`, once, as root.
# It installs Debian's Rust compiler with its LLVM; the builds take another 400 MB in `build/lab5`.
# The first build takes some minutes, each later one some seconds.
# You do not need to know Rust well; you change a file that is there.
#
# **Time:** one hour, once the toolchain is installed.
#
# Each exercise has a check below it.
# Until you solve it, the lab stops there and says so.
# Run the lab again after each exercise: `.venv/bin/python docs/labs/lab5_write_an_instruction.py`.

# %%
import lab

lab.begin(5)

# %%
import hashlib

import own_program
from campus import Campus, Refusal, key
from small_campus import SmallCampus
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from authority.chain import programs
from authority.chain.idl import Idl, logged_data

GOVERNANCE = programs.PROGRAM_IDS["governance"]

# %% [markdown]
# ## 1. How a program knows what you want
#
# An instruction is a program's address, a list of accounts, and some bytes.
# In Anchor the first eight bytes say which function is meant: the first eight of SHA-256 of `global:` and the function's name.
# They are called the discriminator; events have one as well, of `event:` and the event's name.


# %% exercise="1"
def discriminator(kind: str, name: str) -> bytes:
    """The eight bytes; kind is "global" or "event"."""
    lab.still_open(1, "hashlib.sha256 of the text kind:name, and of that the first eight bytes.")


# %%
idl = Idl.load("governance")
told = idl.instruction("set_paused").build({"bits": 1}, {"authority": key("authority").pubkey()})
assert discriminator("global", "set_paused") == bytes(told.data)[:8], "the IDL of the released program says otherwise"
assert discriminator("event", "OperatorChanged") != discriminator("global", "OperatorChanged"), "the kind matters"
lab.right(1)

# %% [markdown]
# ## 2. The instruction from outside
#
# The IDL tells clients how to build an instruction.
# Yours has no IDL yet, so you build it by hand:
#
# - program: governance,
# - accounts: first the authority (it signs, and is not written), then the Config at `programs.config_address()` (it does not sign, and is not written),
# - data: the discriminator of `publish_notice`, and the 32 bytes of the document's hash.
#
# `AccountMeta(address, is_signer, is_writable)` describes an account.


# %% exercise="2"
def publish(authority: Pubkey, document: bytes) -> Instruction:
    """The instruction that publishes a document's hash."""
    lab.still_open(2, "Instruction(program, data, [AccountMeta(...), AccountMeta(...)]).")


# %%
someone, document = key("someone").pubkey(), hashlib.sha256(b"The tariff of 2027").digest()
made = publish(someone, document)
assert made.program_id == GOVERNANCE, "the program is governance"
assert [meta.pubkey for meta in made.accounts] == [someone, programs.config_address()], "the authority, then the Config"
assert [meta.is_signer for meta in made.accounts] == [True, False], "only the authority signs"
assert not any(meta.is_writable for meta in made.accounts), "nothing is written: the log keeps the event"
assert bytes(made.data) == discriminator("global", "publish_notice") + document, "eight bytes, then 32"
lab.right(2)

# %% [markdown]
# ## 3. The instruction from inside
#
# A file for each instruction: the accounts, and what is done with them.
# Here is the one that names another operator; yours will look much like it.

# %%
print(own_program.source("governance/src/instructions/set_operator.rs"))

# %% [markdown]
# `Signatory<Authority>` is an account that has to sign; `Checked<Config>` is the Config, read only, of which the right address and the owner are checked before your code runs.
# (`CheckedMut` would be for writing.)
# That somebody signed does not say *who* it was: `require_authority` compares it with the Config.
#
# The event and a refusal of its own, `EmptyNotice`, are in the interface crate already, and `lib.rs` names your function; the lab puts these in.
# Write the file.
# It has to
#
# - let nobody but the authority publish,
# - refuse a hash of 32 zero bytes with `GovernanceError::EmptyNotice`,
# - log the event `NoticePublished { document }`.


# %%
def changed(name: str, before: str, after: str) -> str:
    """A source file with a piece put in."""
    text = own_program.source(name)
    assert text.count(before) == 1, f"{name} has changed since this lab was written"
    return text.replace(before, after)


FUNCTION = """    /// Publish the hash of a document. By the authority.
    pub fn publish_notice(ctx: &mut Context<PublishNotice>, document: [u8; 32]) -> Result<()> {
        ctx.accounts.execute(document)
    }

    /// Name another operator."""
EVENT = """/// A notice was published.
#[event(bytemuck)]
pub struct NoticePublished {
    /// SHA-256 of the document.
    pub document: [u8; 32],
}

/// The operator changed."""
REFUSAL = """        WrongProgram,
        /// 6039
        #[msg("A notice is the hash of a document, not all zero")]
        EmptyNotice,"""
AROUND = {
    "governance/src/lib.rs": changed("governance/src/lib.rs", "    /// Name another operator.", FUNCTION),
    "governance/src/instructions/mod.rs": changed(
        "governance/src/instructions/mod.rs",
        "mod set_operator;\n",
        "mod publish_notice;\npub use publish_notice::*;\nmod set_operator;\n",
    ),
    "interfaces/governance/src/events.rs": changed(
        "interfaces/governance/src/events.rs", "/// The operator changed.", EVENT
    ),
    "interfaces/governance/src/error.rs": changed(
        "interfaces/governance/src/error.rs", "        WrongProgram,", REFUSAL
    ),
}

# %% exercise="3"
PUBLISH_NOTICE_RS = None
"""
//! Publish a notice: the hash of a document that everybody should be able to check.

use { ... };

/// Accounts of publish_notice.
#[derive(Accounts)]
pub struct PublishNotice { ... }

impl PublishNotice {
    pub(crate) fn execute(&mut self, document: [u8; 32]) -> Result<()> { ... }
}
"""

# %%
lab.answered(3, PUBLISH_NOTICE_RS)
assert not own_program.missing_toolchain(), own_program.missing_toolchain()
print("building (some minutes the first time) ...")
artifacts = own_program.build(
    "governance", {**AROUND, "governance/src/instructions/publish_notice.rs": PUBLISH_NOTICE_RS}
)
own_program.use(artifacts)
campus = Campus()  # the tests' campus in LiteSVM, with your program in it


def attempt(signer: str, document: bytes) -> str:
    """Publish as somebody: "ok", or the name or number of the refusal."""
    try:
        outcome = campus.send(publish(key(signer).pubkey(), document), signers=[key(signer)])
    except Refusal as refusal:
        return "EmptyNotice" if refusal.code == 6039 else refusal.name
    events = [data for program, data in logged_data(outcome.meta.logs()) if program == str(GOVERNANCE)]
    assert events == [discriminator("event", "NoticePublished") + document], "it should log one event with the hash"
    print(f"published with {outcome.compute_units} compute units")
    return "ok"


answer = attempt("authority", document)
assert answer == "ok", f"the authority is refused: {answer}"
campus.svm.airdrop(key("stranger").pubkey(), 10**9)
answer = attempt("stranger", document)
assert answer == "NotAuthority", (
    f"a stranger publishes in the department's name: {answer}. Who signed, and who is allowed to?"
)
answer = attempt("operator", document)
assert answer == "NotAuthority", f"the operator is not the authority: {answer}"
answer = attempt("authority", bytes(32))
assert answer == "EmptyNotice", f"a hash of zeros: {answer}"
lab.right(3)

# %% [markdown]
# ## 4. In the campus's validator
#
# The project brings a validator of its own for development, with a ledger that stays.
# The campus below is deployed on it, with your program in the place of the released one.
# You send your transaction, and then anybody may ask the ledger for it.
#
# A program's event is in the logs as base64: `logged_data(logs)` gives (program, bytes) for each.

# %%
home = SmallCampus()
department = home.app.home.authority
signature = home.chain.send([publish(department.pubkey(), document)], [department], payer=department)
record = home.chain.transaction(signature)
assert record is not None
print(f"transaction {signature} is in slot {record.slot}:")
print("\n".join(record.logs))


# %% exercise="4"
def published(logs: list[str]) -> list[bytes]:
    """The documents' hashes that governance published in a transaction."""
    lab.still_open(4, "only data of the program GOVERNANCE that begin with the event's discriminator.")


# %%
assert published(record.logs) == [document], "the hash is behind the eight bytes of the event's discriminator"
assert published([]) == [], "nothing was logged"
paused = campus.set_paused(1).meta.logs()
assert published(paused) == [], "governance has other events, too"
assert published([line.replace(str(GOVERNANCE), str(key("x").pubkey())) for line in record.logs]) == [], (
    "another program can log the same bytes: look at who logged them"
)
lab.right(4)
lab.CLOSING.close()
print("Lab 5 is done: your instruction is on a chain.")

# %% [markdown]
# **Go on:** `CONTRIBUTING.md` ("Add an instruction to a program") says what else the project asks for: a test for each refusal, and that some test fails where a check is taken out.
# Where would you keep the notices if the log of a validator is pruned after some days?
# What does an account cost that an event does not?

"""The authority is handed over: Config's authority, and the right to upgrade the five programs, to another key.

Proposed by the present authority; accepted with both keys at hand, so that no slip of the pen gives the programs to an
address that nobody holds. Every step looks at the chain and does what is missing.
"""

from __future__ import annotations

import struct

from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from authority.chain import programs
from authority.chain.errors import NotDeployedError
from authority.enrolment.steps import Done
from authority.operations.desk import Desk
from authority.operations.errors import NotProposedError, WrongKeyError

LOADER = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")
SET_AUTHORITY_CHECKED = 7
"""The upgradeable loader's instruction that both the old and the new authority sign."""
_HEADER = struct.Struct("<IQB32s")
"""A ProgramData account before its code: tag 3, slot of the last deployment, whether there is an authority, which."""


def upgrade_authority(desk: Desk, program: str) -> Pubkey | None:
    """Who may upgrade a program; None where nobody may. NotDeployedError."""
    found = desk.client.raw_account(programs.program_data_address(programs.PROGRAM_IDS[program]))
    if found is None or found.owner != LOADER:
        raise NotDeployedError(f"{program} is no upgradeable program on this chain: authority deploy --check")
    _, _, some, address = _HEADER.unpack(bytes(found.data)[: _HEADER.size])
    return Pubkey.from_bytes(address) if some else None


def propose(desk: Desk, address: Pubkey) -> Done:
    """Propose another authority; the present one stays until it accepts. The system program's address takes it back."""
    done = desk.begin("propose", str(address))
    config = desk.config()
    if config.pending_authority == address:
        desk.note(done, "governance", "has this proposal already")
    elif config.authority == address:
        desk.note(done, "governance", "is this authority's already")
    elif desk.dry_run:
        desk.note(done, "governance", f"would have {address} proposed")
    else:
        key = _present_key(desk, config.authority)
        built = desk.client.instruction(
            "governance", "propose_authority", {"pending": address}, {"authority": key.pubkey()}
        )
        signature = desk.send(built, signers=[key])
        desk.log("authority_proposed", {"pending": str(address), "reason": desk.reason, "signature": signature})
        desk.note(done, "governance", f"has {address} proposed", changed=True)
    if config.authority != address:
        done.facts["next"] = [
            "with both key files on this machine: authority handover accept --key FILE_OF_THE_NEW_KEY"
        ]
    return done


def accept(desk: Desk, new: Keypair) -> Done:
    """The new authority takes Config and the programs over; this home's key is the old one."""
    address = new.pubkey()
    done = desk.begin("accept", str(address))
    config = desk.config()
    if config.authority == address:
        desk.note(done, "governance", "was handed over before")
    elif config.pending_authority != address:
        raise NotProposedError(
            f"{address} is not proposed: the present authority does that: authority handover propose"
        )
    elif desk.dry_run:
        desk.note(done, "governance", "would be handed over")
    else:
        built = desk.client.instruction("governance", "accept_authority", {}, {"pending": address})
        signature = desk.send(built, signers=[new])
        desk.log("authority_accepted", {"authority": str(address), "reason": desk.reason, "signature": signature})
        desk.note(done, "governance", "handed over", changed=True)
    for program in programs.PROGRAM_IDS:
        _hand_over(desk, done, program, new)
    if not desk.dry_run:
        done.facts["next"] = [
            "put the new key file in the place of keys/authority.json, mode 0600, and make a backup: authority backup",
        ]
    return done


def _hand_over(desk: Desk, done: Done, program: str, new: Keypair) -> None:
    present = upgrade_authority(desk, program)
    if present == new.pubkey():
        desk.note(done, program, "was handed over before")
        return
    if present is None:
        desk.note(done, program, "can be upgraded by nobody")
        return
    if desk.dry_run:
        desk.note(done, program, "would be handed over")
        return
    old = _present_key(desk, present)
    data = programs.program_data_address(programs.PROGRAM_IDS[program])
    accounts = [
        AccountMeta(data, is_signer=False, is_writable=True),
        AccountMeta(old.pubkey(), is_signer=True, is_writable=False),
        AccountMeta(new.pubkey(), is_signer=True, is_writable=False),
    ]
    built = Instruction(LOADER, struct.pack("<I", SET_AUTHORITY_CHECKED), accounts)
    signature = desk.send(built, signers=[old, new])
    data_logged = {"authority": str(new.pubkey()), "program": program, "reason": desk.reason, "signature": signature}
    desk.log("upgrade_authority_set", data_logged)
    desk.note(done, program, "handed over", changed=True)


def _present_key(desk: Desk, wanted: Pubkey) -> Keypair:
    key = desk.app.home.authority
    if key.pubkey() != wanted:
        raise WrongKeyError(
            f"the chain's authority is {wanted}, and keys/authority.json is {key.pubkey()}: do this where that key is",
        )
    return key

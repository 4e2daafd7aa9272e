"""The programs are upgraded to the released ones: announced in the log one epoch ahead, then carried out and compared.

An announcement names every program that changes by the SHA-256 of what stands on the chain and of what will. It is
carried out from the epoch that it names on, and only with those very bytes. Members and auditors have at least one
whole epoch to look at what comes, and to take out what they hold.

The new bytes go into a buffer account whose address is made of the operator and the bytes, so a run that was broken
off goes on where it stopped; the loader then takes them over in one transaction, and gives the buffer's rent back.
"""

from __future__ import annotations

import hashlib
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountWithSeedParams, create_account_with_seed
from sqlalchemy import select

from authority.chain import programs
from authority.chain.artifacts import PROGRAM_NAMES, program_bytes
from authority.chain.client import Outgoing
from authority.chain.deploy import PROGRAM_DATA_HEADER_SIZE, ProgramDiffersError, check_program
from authority.chain.errors import ChainError, InstructionFailedError, NotDeployedError
from authority.enrolment.steps import Done
from authority.operations.desk import Desk
from authority.operations.errors import NotAnnouncedError, NotDueError, OtherArtifactError, WrongKeyError
from authority.operations.handover import LOADER, upgrade_authority
from authority.store.log import Act

ANNOUNCED, CANCELLED, UPGRADED = "upgrade_announced", "upgrade_cancelled", "program_upgraded"
NOTICE_EPOCHS = 2
"""From which epoch on, counted from the running one: so one whole epoch lies between."""
BUFFER_HEADER_SIZE = 37
CHUNK = 900
WRITES_AT_ONCE = 16
SLOT_SECONDS = 0.4
LEAST_EXTENSION = 10_240
"""Bytes: the loader gives a program no less more room at once."""
_INITIALIZE_BUFFER, _WRITE, _UPGRADE, _EXTEND, _EXTEND_CHECKED = 0, 1, 3, 6, 9
_RENT = Pubkey.from_string("SysvarRent111111111111111111111111111111111")


@dataclass(frozen=True)
class Standing:
    """A program's bytes (SHA-256, hex, without trailing zeros): on the chain, and as released."""

    name: str
    on_chain: str
    released: str

    @property
    def differs(self) -> bool:
        """Whether there is something to upgrade."""
        return self.on_chain != self.released


@dataclass(frozen=True)
class Announcement:
    """The last one that stands: its leaf, the first epoch in which it may be carried out, and what by program.

    changes are SHA-256 before and after (hex) by the program's name.
    """

    log_index: int
    from_epoch: int
    changes: dict[str, tuple[str, str]]


def digest(elf: bytes) -> str:
    """What a program's bytes are known by: an account may be longer than they are, so trailing zeros do not count."""
    return hashlib.sha256(elf.rstrip(b"\0")).hexdigest()


def standing(desk: Desk) -> list[Standing]:
    """The five programs, on the chain and as released. NotDeployedError, ArtifactError."""
    return [Standing(name, digest(_elf(desk, name)), digest(program_bytes(name))) for name in PROGRAM_NAMES]


def _elf(desk: Desk, name: str) -> bytes:
    account = desk.client.raw_account(programs.program_data_address(programs.PROGRAM_IDS[name]))
    if account is None or account.owner != LOADER:
        raise NotDeployedError(f"{name} is no upgradeable program on this chain: authority deploy --check")
    return bytes(account.data)[PROGRAM_DATA_HEADER_SIZE:]


def announced(desk: Desk) -> Announcement | None:
    """The announcement that stands: the newest, where it was neither taken back nor carried out as a whole."""
    with desk.app.store.read() as session:
        rows = session.execute(
            select(Act.log_index, Act.kind, Act.data)
            .where(Act.kind.in_((ANNOUNCED, CANCELLED, UPGRADED)))
            .order_by(Act.log_index)
        ).all()
    last: Announcement | None = None
    done: set[str] = set()
    for index, kind, act in rows:
        data: Mapping[str, Any] = act
        if kind == ANNOUNCED:
            changes = {each["program"]: (each["before"], each["after"]) for each in data["programs"]}
            last, done = Announcement(index, data["from_epoch"], changes), set()
        elif kind == CANCELLED:
            last = None
        elif last is not None and data["announcement"] == last.log_index:
            done.add(data["program"])
            last = None if done == set(last.changes) else last
    return last


def show(desk: Desk) -> dict[str, object]:
    """What stands on the chain, what is released, and what is announced."""
    notice = announced(desk)
    return {
        "programs": [{**vars(each), "differs": each.differs} for each in standing(desk)],
        "epoch": desk.epoch(),
        "announced": None if notice is None else {**vars(notice)},
    }


def announce(desk: Desk) -> Done:
    """Say in the log which programs will change, and from which epoch on."""
    done = desk.begin("announce", "programs")
    notice = announced(desk)
    changes = {each.name: (each.on_chain, each.released) for each in standing(desk) if each.differs}
    if not changes:
        desk.note(done, "programs", "are the released ones: there is nothing to upgrade")
        return done
    if notice is not None and notice.changes == changes:
        desk.note(done, "upgrade", f"is announced already (leaf {notice.log_index}), from epoch {notice.from_epoch} on")
        return done
    from_epoch = desk.epoch() + NOTICE_EPOCHS
    for name, (before, after) in changes.items():
        desk.note(done, name, f"{before[:16]} {'would become' if desk.dry_run else 'becomes'} {after[:16]}")
    if not desk.dry_run:
        named = [{"after": after, "before": before, "program": name} for name, (before, after) in changes.items()]
        desk.log(ANNOUNCED, {"from_epoch": from_epoch, "programs": named, "reason": desk.reason})
    word = "would be announced" if desk.dry_run else "is announced"
    desk.note(done, "upgrade", f"{word} from epoch {from_epoch} on", changed=True)
    done.facts |= {"from_epoch": from_epoch, "next": [f"in epoch {from_epoch} or later: authority upgrade run"]}
    return done


def cancel(desk: Desk) -> Done:
    """Take the announcement back."""
    done, notice = desk.begin("cancel", "programs"), announced(desk)
    if notice is None:
        desk.note(done, "upgrade", "is not announced")
        return done
    if not desk.dry_run:
        desk.log(CANCELLED, {"announcement": notice.log_index, "reason": desk.reason})
    desk.note(done, "upgrade", "would be taken back" if desk.dry_run else "is taken back", changed=True)
    return done


def carry_out(desk: Desk) -> Done:
    """Upgrade what is announced and due, and compare it. NotAnnouncedError, NotDueError, OtherArtifactError."""
    done, notice = desk.begin("run", "programs"), announced(desk)
    now = {each.name: each for each in standing(desk)}
    if notice is None:
        if any(each.differs for each in now.values()):
            raise NotAnnouncedError("no upgrade is announced: authority upgrade announce, and one epoch's notice")
        desk.note(done, "programs", "are the released ones: there is nothing to upgrade")
        return done
    epoch = desk.epoch()
    if epoch < notice.from_epoch:
        raise NotDueError(f"the upgrade is announced from epoch {notice.from_epoch} on, and this is epoch {epoch}")
    for name, (before, after) in notice.changes.items():
        stands = now[name]
        if stands.released != after:
            raise OtherArtifactError(
                f"{name} was announced as {after[:16]}, and this release's is {stands.released[:16]}: install the "
                "announced release, or announce this one"
            )
        if stands.on_chain not in (before, after):
            raise OtherArtifactError(
                f"{name} on the chain is {stands.on_chain[:16]}, and the announcement knows {before[:16]}: somebody "
                "upgraded it meanwhile; announce again"
            )
    for name, (before, after) in notice.changes.items():
        if desk.dry_run:
            desk.note(done, name, f"would be upgraded from {before[:16]} to {after[:16]}")
            continue
        signature = None
        if now[name].on_chain != after:
            signature = _upgrade(desk, name)
        try:
            check_program(desk.client, name, programs.PROGRAM_IDS[name], program_bytes(name))
        except ProgramDiffersError as error:
            desk.note(done, name, "is not what was announced", str(error))
            continue
        data = {"announcement": notice.log_index, "before": before, "program": name, "sha256": after}
        desk.log(UPGRADED, data | ({} if signature is None else {"signature": signature}))
        desk.note(done, name, f"is upgraded to {after[:16]}, and compared", changed=True)
    return done


# The loader


def _upgrade(desk: Desk, name: str) -> str:
    """Have the loader take the released bytes over; the signature."""
    authority, program = desk.app.home.authority, programs.PROGRAM_IDS[name]
    present = upgrade_authority(desk, name)
    if present != authority.pubkey():
        raise WrongKeyError(
            f"{name} is upgraded by {present or 'nobody'}, and keys/authority.json is {authority.pubkey()}: do this "
            "where that key is"
        )
    elf, data = program_bytes(name), programs.program_data_address(program)
    buffer = _filled_buffer(desk, elf, authority)
    missing = len(elf) - len(_elf(desk, name))
    if missing > 0:
        _extend(desk, program, authority, max(missing, LEAST_EXTENSION))
        _wait_for_a_slot(desk)  # the loader changes a program once in a slot
    accounts = [
        AccountMeta(data, is_signer=False, is_writable=True),
        AccountMeta(program, is_signer=False, is_writable=True),
        AccountMeta(buffer, is_signer=False, is_writable=True),
        AccountMeta(desk.operator.pubkey(), is_signer=False, is_writable=True),
        AccountMeta(_RENT, is_signer=False, is_writable=False),
        AccountMeta(programs.CLOCK_SYSVAR, is_signer=False, is_writable=False),
        AccountMeta(authority.pubkey(), is_signer=True, is_writable=False),
    ]
    return desk.send(Instruction(LOADER, struct.pack("<I", _UPGRADE), accounts), signers=[authority])


def _wait_for_a_slot(desk: Desk) -> None:
    """Until what is confirmed, on which the next transaction is tried first, is later than what is processed by now."""
    present = desk.client.slot("processed")
    while desk.client.slot("confirmed") <= present:
        time.sleep(SLOT_SECONDS / 4)


def _extend(desk: Desk, program: Pubkey, authority: Keypair, size: int) -> None:
    """Give a program `size` bytes more room.

    Loaders with the feature enable_extend_program_checked (Agave's) want the upgrade authority's signature and refuse
    the older instruction as InvalidInstructionData; those without it refuse the newer one likewise.
    """
    before = [
        AccountMeta(programs.program_data_address(program), is_signer=False, is_writable=True),
        AccountMeta(program, is_signer=False, is_writable=True),
    ]
    after = [
        AccountMeta(programs.SYSTEM_PROGRAM, is_signer=False, is_writable=False),
        AccountMeta(desk.operator.pubkey(), is_signer=True, is_writable=True),
    ]
    signed = AccountMeta(authority.pubkey(), is_signer=True, is_writable=False)
    try:
        checked = struct.pack("<II", _EXTEND_CHECKED, size)
        desk.send(Instruction(LOADER, checked, [*before, signed, *after]), signers=[authority])
    except InstructionFailedError as error:
        if error.name != "InvalidInstructionData":
            raise
        desk.send(Instruction(LOADER, struct.pack("<II", _EXTEND, size), [*before, *after]))


def _seed(authority: Pubkey, elf: bytes) -> str:
    return hashlib.sha256(elf + bytes(authority)).hexdigest()[:32]


def buffer_address(operator: Pubkey, authority: Pubkey, elf: bytes) -> Pubkey:
    """Where the bytes of a program that is to come are written."""
    return Pubkey.create_with_seed(operator, _seed(authority, elf), LOADER)


def _filled_buffer(desk: Desk, elf: bytes, authority: Keypair) -> Pubkey:
    """The buffer account with these bytes in it: made where it is not there, and written where it differs."""
    operator = desk.operator.pubkey()
    seed = _seed(authority.pubkey(), elf)
    buffer, size = buffer_address(operator, authority.pubkey(), elf), BUFFER_HEADER_SIZE + len(elf)
    account = desk.client.raw_account(buffer)
    if account is None:
        lamports = desk.client.rent(size)
        create = create_account_with_seed(
            CreateAccountWithSeedParams(
                from_pubkey=operator, to_pubkey=buffer, base=operator, seed=seed, lamports=lamports, space=size,
                owner=LOADER,
            )
        )  # fmt: skip
        initialize = Instruction(
            LOADER,
            struct.pack("<I", _INITIALIZE_BUFFER),
            [
                AccountMeta(buffer, is_signer=False, is_writable=True),
                AccountMeta(authority.pubkey(), is_signer=False, is_writable=False),
            ],
        )
        desk.send(create, initialize)
        written = bytes(len(elf))
    else:
        written = bytes(account.data)[BUFFER_HEADER_SIZE:]
    missing = [at for at in range(0, len(elf), CHUNK) if written[at : at + CHUNK] != elf[at : at + CHUNK]]
    for start in range(0, len(missing), WRITES_AT_ONCE):
        outgoing = [
            Outgoing([_write(buffer, authority.pubkey(), at, elf[at : at + CHUNK])], [authority], preflight=False)
            for at in missing[start : start + WRITES_AT_ONCE]
        ]
        for outcome in desk.client.send_all(outgoing, payer=desk.operator):
            if isinstance(outcome, ChainError):
                raise outcome
    return buffer


def _write(buffer: Pubkey, authority: Pubkey, at: int, data: bytes) -> Instruction:
    accounts = [
        AccountMeta(buffer, is_signer=False, is_writable=True),
        AccountMeta(authority, is_signer=True, is_writable=False),
    ]
    return Instruction(LOADER, struct.pack("<IIQ", _WRITE, at, len(data)) + data, accounts)

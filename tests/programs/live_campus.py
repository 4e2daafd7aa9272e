"""The campus of `campus`, on a running validator: all goes through the chain client, and time passes by itself.

What each instruction used is taken from the transactions' logs, called ones (mint_energy, clear_epoch) included.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import idl_accounts
from campus import PARAMETERS, PROSUMER, Campus, Member, SimulatedMeter, idl, key
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature

from authority.chain import programs
from authority.chain.artifacts import PROGRAM_NAMES
from authority.chain.client import ChainClient
from authority.chain.errors import ProgramError
from authority.chain.idl import Event
from authority.validator import base58

EPOCH_SECONDS = 10
"""The shortest that governance allows."""


@dataclass(frozen=True)
class Execution:
    """One instruction that ran: compute units with everything it called, and how deep it was called (1 = by nobody)."""

    program: str
    name: str
    units: int
    depth: int


@dataclass
class LiveOutcome:
    """A transaction that landed; `compute_units` are all that it used."""

    signature: Signature
    executions: list[Execution]
    events: list[Event]
    size: int
    compute_units: int

    def event(self, name: str) -> dict[str, Any]:
        """The fields of the one event of that name."""
        (found,) = [event.data for event in self.events if event.name == name]
        return found


@dataclass
class Refused:
    """What a program answered."""

    program: str
    code: int
    name: str


class LiveCampus(Campus):
    """`client` speaks to a validator with the programs in its genesis and lamports with the operator.

    `skip`, where given, moves the validator's clock on by so many seconds; otherwise time is waited for.
    """

    def __init__(  # the base's LiteSVM is not made
        self,
        client: ChainClient,
        *,
        parameters: Mapping[str, int] | None = None,
        skip: Callable[[float], None] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.client = client
        self.skip, self.sleep = skip, sleep
        self.authority, self.operator = key("authority"), key("operator")
        self.parameters = {**PARAMETERS, **(parameters or {})}
        self.meters: dict[bytes, SimulatedMeter] = {}
        self.installations = 0
        self.executions: list[Execution] = []
        self.events: list[tuple[str, Event]] = []
        self.refusals: dict[str, Refused] = {}

    # Time

    @property
    def time(self) -> int:
        return self.client.clock().unix_timestamp

    @property
    def epoch(self) -> int:
        """The current epoch, by the chain's clock."""
        return self.time // EPOCH_SECONDS

    def wait_until(self, moment: int) -> None:
        """Until the chain's clock has reached a time."""
        while (left := moment - self.time) > 0:
            if self.skip is not None:
                self.skip(left)
            else:
                self.sleep(min(left, 1))

    # Transactions

    def send(  # type: ignore[override]
        self,
        *instructions: Instruction,
        signers: Sequence[Keypair] = (),
        payer: Keypair | None = None,
        tables: Sequence[AddressLookupTableAccount] = (),
        units: int | None = None,
    ) -> LiveOutcome:
        """Run a transaction; ProgramError where it fails."""
        signature = self.client.send(
            instructions,
            [self.operator, self.authority, *signers],
            payer=payer or self.operator,
            lookup_tables=tables,
            compute_units=units,
        )
        return self._outcome(signature)

    def refuse(self, what: str, *instructions: Instruction, signers: Sequence[Keypair] = ()) -> Refused:
        """A transaction that a program refuses: what it answers."""
        try:
            self.send(*instructions, signers=signers)
        except ProgramError as error:
            self.refusals[what] = Refused(error.program, error.number, error.name)
            return self.refusals[what]
        raise AssertionError(f"{what}: was not refused")

    def _outcome(self, signature: Signature) -> LiveOutcome:
        config = {"encoding": "json", "commitment": "confirmed", "maxSupportedTransactionVersion": 0}
        for _ in range(50):
            answer = self.client.call("getTransaction", str(signature), config)
            if answer is not None:
                break
            self.sleep(0.1)
        else:
            raise AssertionError(f"{signature} was confirmed, and the validator does not have it")
        logs = answer["meta"]["logMessages"]
        executions = executed(answer["transaction"]["message"], answer["meta"])
        events = [(name, event) for name in PROGRAM_NAMES for event in idl(name).events(logs)]
        self.executions += executions
        self.events += events
        raw = self.client.call("getTransaction", str(signature), config | {"encoding": "base64"})["transaction"][0]
        units = answer["meta"]["computeUnitsConsumed"]
        return LiveOutcome(signature, executions, [event for _, event in events], len(base64.b64decode(raw)), units)

    # The chain

    def account(self, program: str, address: Pubkey) -> dict[str, Any]:
        found = idl_accounts.account(self.client, program, address)
        assert found is not None, f"there is no account {address}"
        return found

    def tokens(self, account: Pubkey) -> int:
        found = self.client.token_balance(account)
        assert found is not None, f"there is no token account {account}"
        return found

    def supply(self, mint: Pubkey) -> int:
        found = self.client.token_supply(mint)
        assert found is not None, f"there is no mint {mint}"
        return found

    def register_user(self, name: str, role: int = PROSUMER) -> Member:
        member = Member(key(f"wallet {name}"))
        self.send(self.register_user_instruction(member, role))
        return member

    def initialize_governance(self, **changes: Any) -> Instruction:
        return super().initialize_governance(**({"epoch_seconds": EPOCH_SECONDS} | changes))


def executed(message: Mapping[str, Any], meta: Mapping[str, Any]) -> list[Execution]:
    """Which of our instructions ran in a transaction (as getTransaction's `json` tells it), in order.

    The logs tell each program's start, end and units; the message and the inner instructions what it was told.
    """
    loaded = meta.get("loadedAddresses") or {"writable": [], "readonly": []}
    keys = [*message["accountKeys"], *loaded["writable"], *loaded["readonly"]]
    inner = {group["index"]: group["instructions"] for group in meta["innerInstructions"] or []}
    told = [
        (keys[item["programIdIndex"]], base58.decode(item["data"]))
        for index, outer in enumerate(message["instructions"])
        for item in (outer, *inner.get(index, ()))
    ]
    ours = {str(address): name for name, address in programs.PROGRAM_IDS.items()}
    wanted = [(ours[program], data) for program, data in told if program in ours]
    seen: list[list[int]] = []  # place, depth and units, in order of the start
    stack: list[int | None] = []
    for line in meta["logMessages"]:
        words = line.split(" ")
        if len(words) < 3 or words[0] != "Program":
            continue
        if words[2] == "invoke":
            stack.append(len(seen) if words[1] in ours else None)
            if words[1] in ours:
                seen.append([0, int(words[3].strip("[]"))])
        elif words[2] == "consumed" and stack and stack[-1] is not None:
            seen[stack[-1]][0] = int(words[3])
        elif words[2] in ("success", "failed:"):
            stack.pop()
    assert len(seen) == len(wanted), "the logs and the instructions tell of different programs"
    return [
        Execution(program, idl(program).decode_instruction(data)[0], units, depth)
        for (program, data), (units, depth) in zip(wanted, seen, strict=True)
    ]

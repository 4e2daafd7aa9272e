"""Where an act is done: the store, the chain, who does it and why, and what came of each step.

Every act looks at what is there and does what is missing, so it may be broken off anywhere and done again. With
`dry_run` it says what it would do, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from authority.app import App
from authority.chain import accounts, programs
from authority.chain.client import ChainClient
from authority.chain.errors import NotDeployedError
from authority.enrolment.steps import Done, Step, Tell
from authority.log import log

ACTIVE, SUSPENDED, CLOSED = accounts.Status.ACTIVE, accounts.Status.SUSPENDED, accounts.Status.CLOSED
STATUS_WORDS = {ACTIVE: "active", SUSPENDED: "suspended", CLOSED: "closed"}


@dataclass
class Desk:
    """An act's surroundings. tell hears of each step when it is done; sleep waits between two looks at the chain."""

    app: App
    client: ChainClient
    actor: str
    reason: str = ""
    dry_run: bool = False
    tell: Tell = lambda step: None

    def begin(self, act: str, subject: str) -> Done:
        """The record of an act."""
        return Done(act, subject, self.dry_run)

    def note(self, done: Done, what: str, outcome: str, todo: str = "", *, changed: bool = False) -> None:
        """A step is done, would be done, or cannot be."""
        done.note(Step(what, outcome, todo), self.tell, changed=changed)

    def log(self, kind: str, data: Mapping[str, object]) -> None:
        """Log an act of its own; data hold pseudonyms alone."""
        with self.app.store.write() as session:
            log.record_act(session, kind, self.actor, self.app.clock(), data)

    @property
    def operator(self) -> Keypair:
        """Who signs and pays."""
        return self.app.home.operator

    def instruction(self, program: str, name: str, args: Mapping[str, object], **given: Pubkey) -> Instruction:
        """An instruction by the operator."""
        return self.client.instruction(program, name, dict(args), {"operator": self.operator.pubkey(), **given})

    def send(self, *instructions: Instruction, signers: Sequence[Keypair] = ()) -> str:
        """Send and confirm; the signature. Raises the chain client's errors."""
        return str(self.client.send(list(instructions), list(signers), payer=self.operator))

    def epoch(self) -> int:
        """The current epoch, by the chain's clock."""
        return self.client.clock().unix_timestamp // self.config().epoch_seconds

    def config(self) -> accounts.Config:
        """Governance's Config; NotDeployedError."""
        found = self.client.account(accounts.Config, programs.config_address())
        if found is None:
            raise NotDeployedError("the programs are not initialized on this chain: authority deploy")
        return found

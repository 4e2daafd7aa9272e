"""A campus in a temporary directory, for the labs: real programs, collector, log and settlement, and a clock of ours.

It is what `authority simulate` lives in, with one difference: the meters measure what the lab says.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import lab
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from sqlalchemy.orm import Session

from authority.app import App
from authority.audit.bundle import Manner
from authority.audit.command import verify
from authority.audit.stopped import validator_of
from authority.chain import programs
from authority.chain.accounts import EnergyAccount
from authority.collector.ingest import Collector
from authority.home.clock import stop_clock
from authority.log import log
from authority.simulation import buildings, campus_home
from authority.simulation.clock import VirtualClock
from authority.simulation.scenario import Scenario
from authority.simulation.seeds import Seed
from authority.simulation.simulation import settle
from authority.store.people import User
from edge_agent.wire.reading import CODES, VERDICTS, Receipt

DAY = "2026-06-01"
NOON = 12 * 3_600
EPOCH_SECONDS = 900


@dataclass(frozen=True)
class Meter:
    """An enrolled meter: its name and gateway, and its signing key."""

    name: str
    gateway: str
    serial: str
    key: Keypair
    nameplate_w: int

    @property
    def public_key(self) -> bytes:
        """The key that the authority and the chain know, 32 bytes."""
        return bytes(self.key.pubkey())


class SmallCampus:
    """So many buildings, enrolled and on the chain, at noon of a day in June."""

    def __init__(self, how_many: int = 1, seed: int = 1) -> None:
        of = Seed(seed)
        self.noon = campus_home.start_of(DAY) + NOON
        self.clock = VirtualClock(self.noon - EPOCH_SECONDS + 1)
        plan = buildings.make(how_many, how_many, of)
        folder = Path(lab.CLOSING.enter_context(tempfile.TemporaryDirectory())) / "home"
        self.home = campus_home.create(folder, Scenario(epoch_seconds=EPOCH_SECONDS), plan, of, self.clock)
        self.folder, self._open = folder, True
        lab.CLOSING.callback(self.close)
        self.app = self.home.app
        self.chain = self.home.chain.client
        self.network_id = self.app.home.network_id
        self.receipt_key = self.app.home.receipt_key.pubkey()
        self.meters = [
            Meter(each.name, each.gateway, each.serial, self.home.meters[each.full_name].key, each.nameplate_w)
            for each in plan.meters
        ]
        self._collector = Collector(self.app)
        self._worker = self.home.worker()
        self.go_to(self.noon + 1)
        self.boundary = self.noon - EPOCH_SECONDS
        """The last boundary that was measured."""

    def meter(self, name: str, building: int = 1) -> Meter:
        """A building's meter by its name."""
        gateway = f"building_{building:02d}"
        return next(each for each in self.meters if (each.gateway, each.name) == (gateway, name))

    def measure(self, steps: Mapping[str, tuple[int, int, int, int]], after: int = 1) -> None:
        """Let the next boundary pass (or the one `after` so many epochs), with all meters read and all settled.

        steps: by a meter's name of building 1 how far its registers moved, Wh: generation, consumption, charge,
        discharge. Other meters stand still.
        """
        self.boundary += after * EPOCH_SECONDS
        self.go_to(self.boundary + 1)
        for each in self.meters:
            simulated = self.home.meters[f"{each.gateway}/{each.name}"]
            if each.gateway == self.meters[0].gateway and each.name in steps:
                generation, consumption, charge, discharge = (1_000 * step for step in steps[each.name])
                simulated.move((generation, consumption, charge, discharge))
            simulated.read(self.boundary)
            (receipt,) = self.send(each, simulated.sign())
            if VERDICTS[receipt.verdict] != "accepted":
                raise ValueError(f"{each.name}: the collector says {CODES[receipt.code]}")
        self.settle()

    def energy(self) -> EnergyAccount:
        """What the chain says of the energy of building 1's member."""
        with self.app.store.read() as session:
            wallet = session.query(User).filter_by(name=self.home.campus.members[0].name).one().wallet
        account = self.chain.account(EnergyAccount, programs.energy_account_address(Pubkey.from_string(wallet)))
        if account is None:
            raise LookupError("the member has no energy account yet: nothing was settled")
        return account

    def go_to(self, moment: int) -> None:
        """Let the campus's clock go on to a time, Unix seconds."""
        self.clock.go_to(float(moment))

    def send(self, meter: Meter, *frames: bytes) -> list[Receipt]:
        """Send frames as the meter's gateway does; the collector's receipts."""
        found = self._collector.ingest(b"".join(frames), gateway=meter.gateway, meter=None, over="https")
        return [Receipt.from_bytes(data) for data in found.receipts]

    def settle(self) -> None:
        """Let the settlement worker do all that there is to do."""
        settle(self._worker)

    def leaves(self) -> list[bytes]:
        """All leaves of the log."""
        with self.app.store.read() as session:
            return [leaf.data for leaf in log.leaves(session, 0, log.size(session))]

    def checkpoint(self) -> bytes:
        """The log as it stands, signed: a note."""
        with self.app.store.write() as session:
            signed = log.checkpoint(session, self.network_id, self.app.home.receipt_key)
        return signed.to_bytes(bytes(self.receipt_key))

    def close(self) -> None:
        """Stop everything; the directory stays until the lab ends."""
        if self._open:
            self._open = False
            self.home.close()
            stop_clock(self.folder, self.clock.seconds())

    def audit(self, change: Callable[[Session], None] | None = None) -> list[str]:
        """Stop the campus, change what somebody with the database changes, and audit: the codes of what was found."""
        self.close()
        app = App.open(self.folder)
        try:
            if change is not None:
                with app.store.write() as session:
                    change(session)
            with validator_of(app.home) as client:
                return [finding.code for finding in verify(app, client, Manner(jobs=1)).findings]
        finally:
            app.store.close()

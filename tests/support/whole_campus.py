"""A whole campus on the embedded validator: real programs, real JSON-RPC over HTTP, real signatures.

Its wall clock stands still until a test moves it: epochs pass when a test says, however busy the machine is.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from free_ports import free_port
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from authority.app import App
from authority.chain import accounts, programs
from authority.chain.client import ChainClient
from authority.chain.deploy import ORDERS_PER_SIDE, Deployment, deploy
from authority.chain.errors import ChainError
from authority.cli import main
from authority.enrolment import wallets
from authority.home.home import Home
from authority.home.settings import EpochSettings, ParameterSettings, Settings, StoreSettings, ValidatorSettings
from authority.log import log
from authority.log.publish import publisher
from authority.market.clearing import Order, buyer_pays, clear, seller_gets
from authority.market.policies import set_standing_order
from authority.market.standing_orders import StandingOrder
from authority.service.validator_command import home_genesis
from authority.settlement.chain import SettlementChain
from authority.settlement.lookup_tables import LookupTables
from authority.settlement.worker import Worker
from authority.store.metering import Frame, Gateway, Meter
from authority.store.people import Installation, User
from authority.validator.bank import Bank
from authority.validator.ledger import Ledger
from authority.validator.methods import Methods
from authority.validator.server import RpcServer
from edge_agent.wire.reading import (
    ROLES,
    SOURCES,
    VERDICT_ACCEPTED,
    ZERO_HASH,
    Record,
    meter_id,
    possession_message,
    previous_hash,
    record_hash,
)
from edge_agent.wire.reading import Frame as SignedFrame

REPOSITORY = Path(__file__).resolve().parents[2]
EPOCH_SECONDS = 60
PARAMETERS = ParameterSettings(
    grace_seconds=20,
    clock_skew_seconds=5,
    feed_in_price=80_000,
    retail_price=300_000,
    wheeling=20_000,
    fee_bps=100,
    min_order_wh=10,
    max_order_wh=1_000_000,
    cancel_cutoff_seconds=5,
    min_reference_volume_wh=100,
    billing_period_epochs=16,
)
MAP_HASH = bytes(range(32))
CREDIT = 10**9
"""What each buyer starts with, micro-credit."""


def after_one_market() -> dict[str, tuple[int, int, int]]:
    """Balances when one full epoch was metered and its energy sold in the next book, by the reference of the rules.

    Sellers offer 2,500 and 1,000 Wh, buyers want 300 and 2,600: the sellers are the long side and share pro rata.
    """
    asks = [Order(120_000, 2_500), Order(120_000, 1_000)]
    bids = [Order(250_000, 300), Order(250_000, 2_600)]
    reference = (PARAMETERS.feed_in_price + PARAMETERS.retail_price) // 2
    outcome = clear(bids, asks, reference)
    balances = {}
    for name, ask, sold in zip("AB", asks, outcome.ask_fills, strict=True):
        proceeds = seller_gets(sold, outcome.price, PARAMETERS.fee_bps)
        balances[name] = (ask.quantity, ask.quantity - sold, proceeds)
    for name, bought in zip("CD", outcome.bid_fills, strict=True):  # what they bought is retired at once
        balances[name] = (0, 0, CREDIT - buyer_pays(bought, outcome.price, PARAMETERS.wheeling))
    return balances


@dataclass
class Wall:
    """The wall clock of validator and authority: it stands still until a test moves it on, while slots go by.

    file tells it to a validator in a process of its own.
    """

    now: float = field(default_factory=time.time)
    file: Path | None = None

    def go_to(self, moment: float) -> None:
        self.now = max(self.now, moment)
        self.publish()

    def publish(self) -> None:
        if self.file is not None:
            new = self.file.with_suffix(".new")
            new.write_text(repr(self.now), encoding="ascii")
            new.replace(self.file)

    def wall(self) -> float:
        return self.now

    def ms(self) -> int:
        return int(self.now * 1000)

    def seconds(self) -> int:
        return int(self.now)


class RealWall(Wall):
    """The machine's own clock: going on to a moment is waiting for it, and a validator has the same one."""

    def publish(self) -> None:
        """Nothing is to be told."""

    def wall(self) -> float:
        return time.time()

    def go_to(self, moment: float) -> None:
        time.sleep(max(0.0, moment - time.time()))

    def ms(self) -> int:
        return int(time.time() * 1000)

    def seconds(self) -> int:
        return int(time.time())


class Validator:
    """The embedded validator's server in this process."""

    monotonic: ClassVar[Callable[[], float]] = staticmethod(time.monotonic)
    """What its slots go by."""

    def __init__(self, home: Home, wall: Wall) -> None:
        self.home = home
        self.wall = wall
        self.port = free_port()
        self.start()

    def start(self) -> None:
        self.ledger = Ledger(self.home.validator_directory)
        bank = Bank(self.ledger, home_genesis(self.home), wall=self.wall.wall, monotonic=self.monotonic)
        self.server = RpcServer(("127.0.0.1", self.port), Methods(bank))
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
        self.ledger.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class QuickValidator(Validator):
    """One whose slots are a tenth as long: for tests whose clock jumps at each epoch, and who wait for a slot then."""

    monotonic = staticmethod(lambda: 10 * time.monotonic())


class ValidatorProcess:
    """The same as a process of its own; stop is kill -9."""

    def __init__(self, home: Home, wall: Wall) -> None:
        self.home = home
        self.port = free_port()
        self.file = home.path / "now"
        wall.file = self.file
        wall.publish()
        self.start()

    def start(self) -> None:
        script = REPOSITORY / "tests" / "support" / "validator_at.py"
        arguments = [sys.executable, str(script), str(self.home.path), str(self.port), str(self.file)]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        self.process = subprocess.Popen(arguments, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, env=environment)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@dataclass
class CampusMeter:
    """A meter with its key at hand: reads an interval, signs it, and has the collector's row and leaf made."""

    pk: int
    user: str
    role: str
    source: str
    meter_id: bytes
    key: Keypair
    network_id: bytes
    interval_seconds: int
    sequence: int = 1
    register_epoch: int = 0
    previous: bytes = ZERO_HASH
    registers: list[int] = field(default_factory=lambda: [1_000, 1_000, 1_000, 1_000])

    def sign(self, interval_end: int, **changes: Any) -> bytes:
        values: dict[str, Any] = {
            "sequence": self.sequence,
            "network_id": self.network_id,
            "interval_end": interval_end,
            "generation": self.registers[0],
            "consumption": self.registers[1],
            "charge": self.registers[2],
            "discharge": self.registers[3],
            "interval_seconds": self.interval_seconds,
            "source": SOURCES.index(self.source),
            "register_epoch": self.register_epoch,
            "clock_deviation": 0,
            "previous_hash": self.previous,
        }
        record = Record(**{**values, **changes}).to_bytes()
        return record + bytes(self.key.pubkey()) + bytes(self.key.sign_message(record))

    def read(self, interval_end: int, *steps: int, **changes: Any) -> bytes:
        """Move the registers by steps (generation, consumption, charge, discharge) and sign the interval's record."""
        for index, step in enumerate(steps):
            self.registers[index] += step
        frame = self.sign(interval_end, **changes)
        self.sequence += 1
        self.previous = previous_hash(frame[:96])
        return frame


def persist(worker: Worker) -> None:
    """Rounds until nothing is left to do; an error of the line is a reason to try again, as in the worker's loop."""
    for _ in range(50):
        try:
            worker.settle_down()
        except ChainError:
            continue
        return
    raise AssertionError("the worker never came to an end")


class Campus:
    """Four members: A (solar, storage, load), B (wind, grid), C (one building meter with solar), D (load, submeter)."""

    PLAN = (
        ("A", "solar", "generation", "solar", 1, 200_000_000, 0),
        ("A", "battery", "storage", "none", 5, 200_000_000, 2_000_000),
        ("A", "load", "load", "none", 0, 200_000_000, 0),
        ("B", "wind", "generation", "wind", 2, 200_000_000, 0),
        ("B", "grid", "grid", "none", 6, 200_000_000, 0),
        ("C", "building", "building", "solar", 1, 200_000_000, 0),
        ("D", "load", "load", "none", 0, 200_000_000, 0),
        ("D", "hpc", "submeter", "none", 0, 200_000_000, 0),
    )

    def __init__(
        self,
        directory: Path,
        validator: Callable[[Home, Wall], Any] = Validator,
        wall: Wall | None = None,
        epoch_seconds: int = EPOCH_SECONDS,
        parameters: ParameterSettings = PARAMETERS,
        plan: Sequence[tuple[str, str, str, str, int, int, int]] = PLAN,
        orders_per_side: int = ORDERS_PER_SIDE,
        store_url: str = "",
    ) -> None:
        self.wall = wall or Wall()
        self.epoch_seconds = epoch_seconds
        self.home_path = directory / "home"
        parameters = replace(parameters, grace_seconds=min(parameters.grace_seconds, epoch_seconds))
        store = StoreSettings(store_url)
        settings = Settings(epoch=EpochSettings(epoch_seconds), parameters=parameters, store=store)
        self.home = Home.create(self.home_path, settings, now=self.wall.seconds())
        self.validator = validator(self.home, self.wall)
        self.home.save(
            Settings(
                network=self.home.settings.network,
                epoch=settings.epoch,
                parameters=parameters,
                store=store,
                validator=ValidatorSettings(url=self.validator.url),
            )
        )
        self.app = App.open(self.home_path, self.wall.seconds)
        self.client = ChainClient(self.validator.url, attempts=4)
        self.operator = self.home.operator
        deployment = Deployment.of(self.home, orders_per_side)
        deploy(self.client, deployment, authority=self.home.authority, operator=self.operator)
        self.installations = 0
        self.meters: dict[str, CampusMeter] = {}
        self.wallets: dict[str, Pubkey] = {}
        for user in dict.fromkeys(row[0] for row in plan):
            self.register_member(user)
        for row in plan:
            self.register_meter(*row)

    # Enrolment

    def do(
        self, program: str, name: str, args: dict[str, Any], before: list[Any] | None = None, **accounts: Pubkey
    ) -> None:
        """What the operator does by its commands: on the chain, and as an act in the log."""
        instruction = self.client.instruction(program, name, args, {"operator": self.operator.pubkey(), **accounts})
        signature = self.client.send([*(before or []), instruction], [], payer=self.operator)
        with self.app.store.write() as session:
            log.record_act(session, name, "test", self.wall.seconds(), {"signature": str(signature)})

    def register_member(self, name: str) -> None:
        """A member with a custodial wallet, on the chain and in the store, and its gateway."""
        wallet, sealed = wallets.make(self.home.wallet_key, lambda size: Keypair().secret()[:size])
        address = Pubkey.from_string(wallet)
        self.wallets[name] = address
        self.do(
            "registry", "register_user", {"role": 1}, user=programs.user_address(address), wallet=address,
            energy_token_account=programs.associated_token_address(address, programs.energy_mint()),
            credit_token_account=programs.associated_token_address(address, programs.credit_mint()),
        )  # fmt: skip
        user = self.client.account(accounts.User, programs.user_address(address))
        assert user is not None
        if user.member_index % 250 == 249:  # as enrolment does: seats for the next members
            grow = self.client.instruction("trading", "grow_seats", {}, {"payer": self.operator.pubkey()})
            self.client.send([grow], [], payer=self.operator)
        with self.app.store.write() as session:
            session.add(
                User(
                    name=name, building=name, public=True, dwelling=False, wallet=wallet, sealed_key=sealed,
                    member_index=user.member_index, registered_at=1,
                )
            )  # fmt: skip
            session.add(Gateway(name=f"gw_{name.lower()}", state="enrolled"))

    def key_of(self, name: str) -> Keypair:
        """A member's wallet."""
        with self.app.store.read() as session:
            return wallets.unseal(self.home, session.query(User).filter_by(name=name).one())

    def register_meter(
        self, user: str, name: str, role: str, source: str, kind: int, nameplate_w: int, storage_wh: int
    ) -> None:
        """An installation and its meter, with a key, on the chain and in the store; approved in the log."""
        self.installations += 1
        n = self.installations
        installation = programs.installation_address(n)
        wallet = self.wallets[user]
        nameplate_w = min(nameplate_w, 100_000_000)
        self.do(
            "registry", "register_installation",
            {
                "n": n, "kind": kind, "building": user.encode().ljust(32, b"\0"), "nameplate_w": nameplate_w,
                "storage_wh": storage_wh, "since": 1,
            },
            installation=installation,
        )  # fmt: skip
        key = Keypair()
        serial = f"{user}/{name}"
        identifier = meter_id(self.home.meter_salt, serial)
        message = possession_message(
            first_sequence=1, network_id=self.home.network_id, meter_id=identifier, map_hash=MAP_HASH
        )
        proof = programs.ed25519_instruction([(message, bytes(key.pubkey()), bytes(key.sign_message(message)))])
        self.do(
            "registry", "register_meter",
            {
                "meter_id": identifier, "role": ROLES.index(role), "source": SOURCES.index(source),
                "map_hash": MAP_HASH, "first_sequence": 1,
            },
            before=[proof],
            user=programs.user_address(wallet), installation=installation, meter=programs.meter_address(identifier),
            key_use=programs.key_use_address(bytes(key.pubkey())),
        )  # fmt: skip
        self.do(
            "oracle", "open_meter", {}, meter=programs.meter_address(identifier), user=programs.user_address(wallet),
            meter_state=programs.meter_state_address(identifier),
            energy_account=programs.energy_account_address(wallet),
        )  # fmt: skip
        with self.app.store.write() as session:
            session.add(
                Installation(
                    n=n, building=user, kind=name, nameplate_w=nameplate_w, storage_wh=storage_wh, since=1,
                    registered_at=1,
                )
            )  # fmt: skip
            session.flush()
            owner = session.query(User).filter_by(name=user).one()
            meter = Meter(
                name=name, gateway_name=f"gw_{user.lower()}", serial=serial, meter_id=identifier, role=role,
                source=source, user_id=owner.id, installation_n=n, state="active", public_key=bytes(key.pubkey()),
                registered_at=1,
            )  # fmt: skip
            session.add(meter)
            session.flush()
            pk = meter.id
            approved = {"key": bytes(key.pubkey()).hex(), "meter_id": identifier.hex(), "first_sequence": 1}
            log.record_act(session, "gateway_approved", "test", self.wall.seconds(), {"meters": [approved]})
        self.meters[f"{user}.{name}"] = CampusMeter(
            pk, user, role, source, identifier, key, self.home.network_id, self.epoch_seconds
        )

    @staticmethod
    def signed(frame: bytes) -> SignedFrame:
        """A frame's 192 bytes, taken apart."""
        return SignedFrame.from_bytes(frame)

    def issue_credit(self, name: str, amount: int) -> None:
        wallet = self.wallets[name]
        self.do(
            "energy_token", "issue_credit", {"amount": amount}, user=programs.user_address(wallet),
            credit_token_account=programs.associated_token_address(wallet, programs.credit_mint()),
        )  # fmt: skip

    def standing_order(self, name: str, order: StandingOrder) -> None:
        with self.app.store.write() as session:
            set_standing_order(session, name, order, by="test", now=1)

    # Time

    @property
    def epoch(self) -> int:
        return self.wall.seconds() // self.epoch_seconds

    def go_to(self, moment: float) -> None:
        """Move the clocks on to a moment (Unix seconds), the chain's too, which on a cluster is somewhat behind."""
        self.wall.go_to(moment)
        while self.client.clock().unix_timestamp < int(moment):
            time.sleep(0.1)

    def next_slot(self) -> None:
        """Wait until the present slot is final: slots go by the machine's clock, also where a test moves the time."""
        present = self.client.slot("processed")
        while self.client.slot("finalized") <= present:
            time.sleep(0.05)

    def next_epoch(self) -> int:
        """Go to just after the next boundary; that boundary."""
        boundary = (self.epoch + 1) * self.epoch_seconds
        self.go_to(boundary + 1)
        return boundary

    # Readings

    def receive(self, name: str, frame: bytes, disposition: str = "accepted") -> int:
        """What the collector does with an authentic frame: a leaf and a row."""
        record = Record.from_bytes(frame[:96])
        with self.app.store.write() as session:
            leaf = log.ReadingLeaf(VERDICT_ACCEPTED, 0, self.wall.seconds(), SignedFrame.from_bytes(frame))
            index = log.append_readings(session, [leaf.to_bytes()], log.lock(session)).first
            session.add(
                Frame(
                    log_index=index, meter_pk=self.meters[name].pk, public_key=frame[96:128], sequence=record.sequence,
                    interval_end=record.interval_end, record_hash=record_hash(frame[:96]), frame=frame,
                    verdict="accepted" if disposition == "accepted" else "held", code="ok",
                    received_at=self.wall.seconds(), over="https", disposition=disposition,
                )
            )  # fmt: skip
        return index

    STEPS: ClassVar = {
        "A.solar": (5_000,),
        "A.battery": (0, 0, 1_000, 0),
        "A.load": (0, 1_500),
        "B.wind": (3_000,),
        "B.grid": (1_000, 0),
        "C.building": (800, 1_100),
        "D.load": (0, 2_600),
        "D.hpc": (0, 900),
    }
    """A mints 2,500 Wh a full epoch (1,000 go into storage), B 1,000; C takes 300, D 2,600."""

    def read_all(self, interval_end: int, *, but: tuple[str, ...] = (), moving: bool = True) -> None:
        """Every meter but those named reads the interval's end and is received."""
        for name, meter in self.meters.items():
            if name not in but:
                self.receive(name, meter.read(interval_end, *(self.STEPS[name] if moving else ())))

    # Whole epochs

    def start_market(self) -> None:
        """A and B sell all they hold, C and D buy what they withdrew."""
        for name in "AB":
            self.standing_order(name, StandingOrder(sell_at=120_000))
        for name in "CD":
            self.standing_order(name, StandingOrder(buy_at=250_000))
            self.issue_credit(name, CREDIT)

    def run_epoch(self, worker: Worker, **reading: Any) -> int:
        """An epoch ends: everybody reads, and the worker does all that there is to do; that epoch."""
        boundary = self.next_epoch()
        self.read_all(boundary, **reading)
        worker.settle_down()
        return boundary // self.epoch_seconds - 1

    @staticmethod
    def after_one_market() -> dict[str, tuple[int, int, int]]:
        """What balances() must be when one full epoch was metered and its energy sold, by the rules' references."""
        return after_one_market()

    def balances(self) -> dict[str, tuple[int, int, int]]:
        """Each member's minted energy, held energy and credit."""
        return {name: (self.energy(name).minted, self.held(name), self.credit(name)) for name in "ABCD"}

    # The worker

    def worker(self, url: str | None = None, *, timeout: float = 120, **options: Any) -> Worker:
        client = ChainClient(url or self.validator.url, attempts=4, timeout=timeout)
        tables = LookupTables(
            client, self.operator, self.app.store, list(programs.common_accounts().values()), self.wall.seconds
        )
        chain = SettlementChain(client, self.operator, tables)
        options.setdefault("publish", publisher(self.home.network_id, self.home.receipt_key))
        return Worker(self.app.store, chain, partial(wallets.unseal, self.home), self.wall.ms, **options)

    def save_validator(self) -> None:
        """Say in authority.toml where the validator is now."""
        self.home.save(replace(self.home.settings, validator=ValidatorSettings(url=self.validator.url)))

    def audit(self) -> int:
        """`authority audit verify`: 0 where log and chain agree in everything."""
        self.save_validator()
        return main(["audit", "--home", str(self.home_path), "verify"])

    # What the chain says

    def energy(self, name: str) -> accounts.EnergyAccount:
        found = self.client.account(accounts.EnergyAccount, programs.energy_account_address(self.wallets[name]))
        assert found is not None
        return found

    def seat(self, name: str) -> accounts.Seat:
        user = self.client.account(accounts.User, programs.user_address(self.wallets[name]))
        seats = self.client.raw_account(programs.seats_address())
        assert user is not None
        assert seats is not None
        offset = accounts.Seats.size() + user.member_index * accounts.Seat.FORMAT.size
        return accounts.Seat.array(bytes(seats.data), offset, 1)[0]

    def account_of(self, name: str, mint: Pubkey) -> Pubkey:
        """The associated token account of the wallet that a member registered with."""
        return programs.associated_token_address(self.wallets[name], mint)

    def held(self, name: str) -> int:
        """Energy in the member's token account and in its seat."""
        address = programs.associated_token_address(self.wallets[name], programs.energy_mint())
        return (self.client.token_balance(address) or 0) + self.seat(name).energy

    def credit(self, name: str) -> int:
        """Credits in the member's token account and in its seat."""
        address = programs.associated_token_address(self.wallets[name], programs.credit_mint())
        return (self.client.token_balance(address) or 0) + self.seat(name).credit

    def retirement(self, name: str) -> accounts.Retirement | None:
        return self.client.account(accounts.Retirement, programs.retirement_address(self.wallets[name]))

    def state(self, name: str) -> accounts.MeterState:
        found = self.client.account(accounts.MeterState, programs.meter_state_address(self.meters[name].meter_id))
        assert found is not None
        return found

    def book(self, epoch: int) -> accounts.EpochBook | None:
        """The head of an epoch's book; None where its place in the ring is another's."""
        found = self.client.account(accounts.EpochBook, programs.book_address(epoch))
        return found if found is not None and found.epoch == epoch else None

    def checkpoint(self, epoch: int) -> accounts.EpochCheckpoint | None:
        return self.client.account(accounts.EpochCheckpoint, programs.checkpoint_address(epoch))

    def close(self) -> None:
        self.client.close()
        self.app.store.close()
        self.validator.stop()

"""Twenty members, of whom some misbehave in every way that the programs allow, beside a campus where nobody does.

The worker runs in both; in the first it is killed at random between its steps. Whoever behaves has the same in both, to
the watt-hour and the micro-credit, and each epoch is pinned on the chain within its grace and some seconds. Those who
misbehave order at prices at which nobody trades, so that the others' prices are to be the same too.
MISBEHAVIOUR_EPOCHS and MISBEHAVIOUR_SEED make it longer, and another; a wallet is replaced from the 97th epoch on.
Time is the test's own: a machine that is busy makes it slower, and nothing else.
"""

from __future__ import annotations

import contextlib
import os
import random
from collections import Counter

import pytest
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from whole_campus import PARAMETERS

from authority.audit.conservation import conservation
from authority.chain import accounts, programs
from authority.chain.accounts import EpochCheckpoint, Retirement, Status
from authority.chain.errors import (
    ProgramError,
    TransactionExpiredError,
    TransactionFailedError,
    TransactionUncertainError,
    TransportError,
)
from authority.market.standing_orders import ASK, BID, StandingOrder
from authority.settlement.chain import CREDIT, ENERGY
from authority.settlement.views import book_view
from authority.store.metering import Frame
from authority.store.settlement import Alert

EPOCHS = int(os.environ.get("MISBEHAVIOUR_EPOCHS", "8"))
SEED = int(os.environ.get("MISBEHAVIOUR_SEED", "1"))
GRACE = 20
LENGTH = 60
GOOD = [f"G{n:02}" for n in range(13)]
BAD = [f"B{n:02}" for n in range(7)]
PRODUCERS = {name for name in (*GOOD, *BAD) if int(name[1:]) % 2 == 0}
WATTS = 200_000_000
WALLET_DELAY_EPOCHS = 96
"""How long the registry lets a proposed wallet wait."""
PLAN = [
    row
    for name in (*GOOD, *BAD)
    for row in (
        *([(name, "solar", "generation", "solar", 1, WATTS, 0)] if name in PRODUCERS else []),
        (name, "load", "load", "none", 0, WATTS, 0),
    )
]


def numbers() -> random.Random:
    """Random numbers that are the same on every run."""
    return random.Random(SEED)  # noqa: S311 - a test, to be repeated


class Killed(BaseException):
    """The worker's process ends here."""


class Killer:
    """Ends the worker now and then: before it sends, when it has noted but not sent, in the middle, or afterwards."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.killed = 0

    def arm(self, worker):
        client = worker.chain.client
        send_all = client.send_all

        def die(*_):
            self.killed += 1
            raise Killed

        def mortal(outgoing, *, payer, before_sending=None):
            end = self.chance.random()
            if end < 0.02:
                die()
            if end < 0.04 and before_sending is not None:
                send_all(outgoing, payer=payer, before_sending=lambda signed: die(before_sending(signed)))
            if end < 0.06:
                send_all(outgoing[: len(outgoing) // 2], payer=payer, before_sending=before_sending)
                die()
            outcomes = send_all(outgoing, payer=payer, before_sending=before_sending)
            if end < 0.08:
                die()
            return outcomes

        client.send_all = mortal
        return worker


def steps_of(name: str) -> dict[str, tuple[int, ...]]:
    number = int(name[1:])
    meters = {f"{name}.load": (0, 300 + 37 * number)}
    if name in PRODUCERS:
        meters[f"{name}.solar"] = (1_500 + 91 * number,)
    return meters


def started(make_campus):
    campus = make_campus(PLAN)
    campus.STEPS = {meter: step for name in (*GOOD, *BAD) for meter, step in steps_of(name).items()}
    for name in GOOD:
        campus.standing_order(name, StandingOrder(100_000 + 7_000 * int(name[1:]), 250_000 + 1_000 * int(name[1:])))
        campus.issue_credit(name, 10**9)
    for name in BAD:
        campus.issue_credit(name, 10**8)
    return campus


def settle(campus, worker, killer=None):
    """Do all that there is to do now; a worker that is killed is followed by another."""
    while True:
        try:
            worker.settle_down()
        except Killed:
            worker = killer.arm(campus.worker())
        except (TransportError, TransactionUncertainError, TransactionExpiredError):
            continue  # a machine so busy that an answer takes minutes
        else:
            return worker


# What the bad do


class Trouble:
    """One campus's troublemakers; acts that the chain refuses are refusals, and no more."""

    def __init__(self, campus, chance: random.Random, but: tuple[str, ...] = ()) -> None:
        self.campus, self.chance, self.but = campus, chance, but
        self.late: list[tuple[str, bytes, str]] = []
        self.suspended: set[str] = set()
        self.done: Counter[str] = Counter()
        self.installed = 0
        self.keys: dict[str, Keypair] = {}
        self.proposed: dict[str, tuple[int, Keypair]] = {}

    def acts(self):
        acts = [
            self.withhold_a_meter, self.withhold_everything, self.send_late, self.implausible, self.hold_and_release,
            self.leave_a_number_out, self.suspend, self.change_the_map, self.close_accounts, self.give_an_account_away,
            self.send_tokens_away, self.move_the_seat, self.add_a_meter, self.suspend_a_meter,
        ]  # fmt: skip
        return [act for act in acts if act.__name__ not in self.but]

    def misbehave(self, boundary: int) -> None:
        """Everything that the bad do between a boundary and its settlement; each reads what it does not withhold."""
        for meter, frame, disposition in self.late:
            self.campus.receive(meter, frame, disposition)
        self.late = []
        for name in BAD:
            own = [meter for meter in self.campus.meters if meter.startswith(name)]
            act = self.chance.choice(self.acts()) if self.chance.random() < 0.8 else None
            read = set(own)
            if act is not None:
                self.done[act.__name__] += 1
                try:
                    read = act(name, own, boundary)
                except (ProgramError, TransactionFailedError):
                    read = set(own)
            for meter in own:
                if meter in read:
                    self.campus.receive(meter, self.read(meter, boundary))

    def read(self, meter: str, boundary: int, factor: int = 1) -> bytes:
        step = self.campus.STEPS.get(meter, (0, 10))
        return self.campus.meters[meter].read(boundary, *(factor * each for each in step))

    def trade(self, *acts) -> None:
        """One of these acts by each of the bad; what the chain refuses is a refusal."""
        for name in BAD:
            act = self.chance.choice(acts)
            self.done[act.__name__] += 1
            with contextlib.suppress(ProgramError, TransactionFailedError):
                act(name)

    def withhold_a_meter(self, name, own, boundary):
        return set(own) - {self.chance.choice(own)}

    def withhold_everything(self, name, own, boundary):
        return set()

    def send_late(self, name, own, boundary):
        meter = self.chance.choice(own)
        self.late.append((meter, self.read(meter, boundary), "accepted"))
        return set(own) - {meter}

    def implausible(self, name, own, boundary):
        meter = self.chance.choice(own)
        registers = list(self.campus.meters[meter].registers)
        self.campus.receive(meter, self.campus.meters[meter].read(boundary, 10**12, 10**12))
        self.campus.meters[meter].registers = registers  # the chain refuses it, and the next carries the energy
        return set(own) - {meter}

    def hold_and_release(self, name, own, boundary):
        meter = self.chance.choice(own)
        index = self.campus.receive(meter, self.read(meter, boundary), "held")
        if self.chance.random() < 0.5:
            with self.campus.app.store.write() as session:
                session.get(Frame, index).disposition = "released"
        return set(own) - {meter}

    def leave_a_number_out(self, name, own, boundary):
        meter = self.campus.meters[self.chance.choice(own)]
        meter.sequence += self.chance.randint(1, 3)
        return set(own)

    def suspend(self, name, own, boundary):
        status = Status.ACTIVE if name in self.suspended else Status.SUSPENDED
        self.suspended ^= {name}
        self.campus.do("registry", "set_user_status", {"status": status}, user=self.user(name))
        return set(own)

    def change_the_map(self, name, own, boundary):
        meter = programs.meter_address(self.campus.meters[self.chance.choice(own)].meter_id)
        self.campus.do("registry", "set_meter_map", {"map_hash": self.chance.randbytes(32)}, meter=meter)
        return set(own)

    def suspend_a_meter(self, name, own, boundary):
        meter = programs.meter_address(self.campus.meters[self.chance.choice(own)].meter_id)
        for status in (Status.SUSPENDED, Status.ACTIVE)[: self.chance.randint(1, 2)]:
            accounts = {"user": self.user(name), "meter": meter}
            self.campus.do("registry", "set_meter_status", {"status": status}, **accounts)
        return set(own)

    def add_a_meter(self, name, own, boundary):
        self.installed += 1
        role = self.chance.choice(["generation", "load", "grid"])
        source = "solar" if role == "generation" else "none"
        self.campus.register_meter(name, f"more{self.installed}", role, source, 1 if source == "solar" else 0, WATTS, 0)
        return set(own)

    # Tokens

    def user(self, name: str) -> Pubkey:
        return programs.user_address(self.campus.wallets[name])

    def key(self, name: str) -> Keypair:
        """Of the member's present wallet."""
        return self.keys.get(name) or self.campus.key_of(name)

    def account(self, name: str, mint: Pubkey) -> Pubkey:
        return programs.associated_token_address(self.key(name).pubkey(), mint)

    def spl(self, name: str, data: bytes, *accounts: tuple[Pubkey, bool]) -> None:
        key = self.key(name)
        metas = [AccountMeta(address, is_signer=False, is_writable=writable) for address, writable in accounts]
        metas.append(AccountMeta(key.pubkey(), is_signer=True, is_writable=False))
        instruction = Instruction(programs.TOKEN_PROGRAM, data, metas)
        self.campus.client.send([instruction], [key], payer=self.campus.operator)

    def close_accounts(self, name, own, boundary):
        for mint in (programs.credit_mint(), programs.energy_mint()):
            self.spl(name, b"\x09", (self.account(name, mint), True), (self.key(name).pubkey(), True))
        return set(own)

    def give_an_account_away(self, name, own, boundary):
        thief = bytes(self.campus.wallets[self.chance.choice(BAD)])
        mint = self.chance.choice([programs.energy_mint(), programs.credit_mint()])
        self.spl(name, bytes([6, 2, 1]) + thief, (self.account(name, mint), True))
        return set(own)

    def send_tokens_away(self, name, own, boundary):
        mint = programs.energy_mint()
        amount = (self.campus.client.token_balance(self.account(name, mint)) or 0) // 2
        other = self.account(self.chance.choice(BAD), mint)
        self.spl(name, b"\x03" + amount.to_bytes(8, "little"), (self.account(name, mint), True), (other, True))
        return set(own)

    def move_the_seat(self, name, own, boundary):
        key = self.key(name)
        energy = programs.energy_mint()
        amount = self.campus.client.token_balance(self.account(name, energy)) or 1
        common = {"authority": key.pubkey(), "user": self.user(name)}
        payout = self.campus.client.instruction(
            "trading", "set_payout", {"assets": self.chance.randrange(4)}, {**common}
        )
        deposit = self.campus.client.instruction(
            "trading", "deposit", {"asset": 0, "amount": amount},
            {**common, "source": self.account(name, energy), "vault": programs.energy_vault()},
        )  # fmt: skip
        self.campus.client.send([payout, deposit], [key], payer=self.campus.operator)
        return set(own)

    # Trading

    def send(self, name: str, instruction: str, args: dict, key: Keypair | None = None, program="trading", **accounts):
        key = key or self.key(name)
        given = {"authority": key.pubkey(), "user": self.user(name), **accounts}
        named = {item.name for item in self.campus.client.idl(program).instruction(instruction).accounts}
        built = self.campus.client.instruction(
            program, instruction, args, {each: address for each, address in given.items() if each in named}
        )
        self.campus.client.send([built], [key], payer=self.campus.operator)

    def deposit(self, name: str, asset: int, key: Keypair | None = None) -> None:
        mint, vault = (
            (programs.credit_mint(), programs.credit_vault()),
            (programs.energy_mint(), programs.energy_vault()),
        )[asset == ENERGY]
        amount = self.campus.client.token_balance(self.account(name, mint))
        if amount:
            accounts = {"source": self.account(name, mint), "vault": vault}
            self.send(name, "deposit", {"asset": asset, "amount": amount}, key, **accounts)

    def place(self, name: str, side: int, quantity: int, key: Keypair | None = None) -> None:
        """At a price at which nobody trades: the lowest for a bid, the highest for an ask."""
        args = {
            "epoch": self.campus.epoch,
            "side": side,
            "price": PARAMETERS.retail_price if side == ASK else PARAMETERS.feed_in_price,
            "quantity": quantity,
        }
        self.send(name, "place_order", args, key, book=programs.book_address(self.campus.epoch))

    def flood(self, name):
        """As many orders as it may have, and one more."""
        self.deposit(name, CREDIT)
        while True:
            self.place(name, BID, PARAMETERS.min_order_wh)

    def offer_all(self, name):
        self.deposit(name, ENERGY)
        self.place(name, ASK, min(self.campus.seat(name).energy, PARAMETERS.max_order_wh))

    def largest_order(self, name):
        self.deposit(name, CREDIT)
        self.place(name, BID, PARAMETERS.max_order_wh)

    def act_through_a_delegate(self, name):
        """Named for a while, and allowed to take credits out of the account: it deposits, orders, withdraws."""
        other = Keypair()
        accounts = {"wallet": self.key(name).pubkey(), "delegate": other.pubkey()}
        until = self.campus.wall.seconds() + self.chance.randint(1, 2 * LENGTH)
        self.send(name, "set_delegate", {"until": until}, program="registry", **accounts)
        approve = b"\x04" + (10**6).to_bytes(8, "little")
        credit = self.account(name, programs.credit_mint())
        self.spl(name, approve, (credit, True), (programs.market_address(), False))
        self.deposit(name, CREDIT, other)
        self.place(name, BID, PARAMETERS.min_order_wh, other)
        self.send(name, "set_payout", {"assets": self.chance.randrange(4)}, other)
        self.withdraw(name, ENERGY, other)

    def withdraw(self, name: str, asset: int, key: Keypair | None = None) -> None:
        seat = self.campus.seat(name)
        mint, vault = (
            (programs.credit_mint(), programs.credit_vault()),
            (programs.energy_mint(), programs.energy_vault()),
        )[asset == ENERGY]
        amount = seat.energy if asset == ENERGY else seat.credit
        accounts = {"destination": self.account(name, mint), "vault": vault}
        self.send(name, "withdraw", {"asset": asset, "amount": amount}, key, **accounts)

    def withdraw_all(self, name):
        """Right before the clearing; what its orders have locked stays."""
        for asset in (ENERGY, CREDIT):
            with contextlib.suppress(ProgramError, TransactionFailedError):
                self.withdraw(name, asset)

    def cancel_all(self, name):
        """At the last moment, and order again."""
        epoch = self.campus.epoch
        data = self.campus.client.raw_account(programs.book_address(epoch)).data
        index = self.campus.client.account(accounts.User, self.user(name)).member_index
        for order in book_view(bytes(data)).of(index):
            args = {"epoch": epoch, "side": BID if order.is_bid else ASK, "price": order.price, "number": order.number}
            self.send(name, "cancel_order", args, book=programs.book_address(epoch))
        self.place(name, BID, PARAMETERS.min_order_wh)

    def change_the_wallet(self, name):
        """Propose another; have it take over in the middle of an epoch, once its time has come."""
        epoch, key = self.proposed.get(name, (None, None))
        if epoch is None:
            self.proposed[name] = (self.campus.epoch, Keypair())
            self.campus.do(
                "registry", "propose_wallet", {"next": self.proposed[name][1].pubkey()}, user=self.user(name)
            )
        elif self.campus.epoch >= epoch + WALLET_DELAY_EPOCHS:
            self.campus.do(
                "registry", "replace_wallet", {}, user=self.user(name), wallet=key.pubkey(),
                wallet_use=programs.user_address(key.pubkey()),
                energy_token_account=programs.associated_token_address(key.pubkey(), programs.energy_mint()),
                credit_token_account=programs.associated_token_address(key.pubkey(), programs.credit_mint()),
            )  # fmt: skip
            self.done["wallet replaced"] += 1
            self.keys[name] = key
            del self.proposed[name]

    def nothing(self, name):
        """Behave."""


def standing(campus) -> dict[str, tuple[int, ...]]:
    """What those who behave have: minted, withdrawn, retired, energy and credits."""
    found = {}
    for name in GOOD:
        energy, retired = campus.energy(name), campus.retirement(name)
        totals = (retired.consumption_total, retired.feed_in_total) if retired else (0, 0)
        found[name] = (energy.minted, energy.withdrawn, *totals, campus.held(name), campus.credit(name))
    return found


def why(campus, worker, trouble):
    """What a person would look at."""
    with campus.app.store.read() as session:
        told = [(alert.code, alert.message) for alert in session.query(Alert) if alert.resolved_at is None]
    epochs = [(row.epoch, row.state) for row in worker.journal.open_epochs()]
    return epochs, dict(trouble.done), told


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.finding("chain-1")
@pytest.mark.finding("chain-2")
@pytest.mark.finding("chain-3")
def test_nobody_can_stop_or_cheat_the_campus(make_campus):
    chance = numbers()
    killer = Killer(chance)
    quiet, loud = started(make_campus), started(make_campus)
    trouble = Trouble(loud, chance)
    calm, worker = quiet.worker(), settle(loud, killer.arm(loud.worker()), killer)
    calm.settle_down()
    first = None
    for _ in range(EPOCHS):
        boundaries = [campus.next_epoch() for campus in (quiet, loud)]
        quiet.read_all(boundaries[0])
        calm.settle_down()
        loud.read_all(boundaries[1], but=tuple(m for m in loud.meters if not m.startswith("G")))
        trouble.misbehave(boundaries[1])
        worker = settle(loud, worker, killer)
        for seconds in (3, 6, 12, GRACE + 1, 2 * GRACE + 1, LENGTH - 7, LENGTH - 2):
            quiet.go_to(boundaries[0] + seconds)
            loud.go_to(boundaries[1] + seconds)
            if seconds == 6:
                trouble.trade(
                    trouble.flood, trouble.offer_all, trouble.largest_order, trouble.act_through_a_delegate,
                    trouble.change_the_wallet, trouble.nothing,
                )  # fmt: skip
            if seconds == LENGTH - 7:
                trouble.trade(trouble.cancel_all, trouble.flood, trouble.withdraw_all, trouble.nothing)
            if seconds == LENGTH - 2:
                trouble.trade(trouble.withdraw_all, trouble.cancel_all, trouble.nothing)
            calm.settle_down()
            worker = settle(loud, worker, killer)
        epoch = boundaries[1] // LENGTH - 1
        first = epoch if first is None else first
        assert loud.checkpoint(epoch) is not None, why(loud, worker, trouble)
        assert standing(loud) == standing(quiet), trouble.done
        assert conservation(loud.client).ok
    traded = [worker.journal.epoch(first + n).traded_wh for n in range(EPOCHS)]
    assert any(traded)
    with loud.app.store.read() as session:
        codes = {alert.code for alert in session.query(Alert)}
    assert "standing_not_passed" not in codes
    print(f"{killer.killed} kills, {dict(trouble.done)}, alerts {sorted(codes)}")


@pytest.mark.timeout(0)
def test_the_operator_pays_what_can_be_computed(make_campus):
    """Fees, a checkpoint's rent an epoch, and one account for each member that retires for the first time: no more."""
    campus = started(make_campus)
    worker = campus.worker()
    trouble = Trouble(campus, numbers(), but=("add_a_meter",))  # its accounts enter a lookup table, at a price
    worker.settle_down()
    for _ in range(3):
        retired = sum(campus.retirement(name) is not None for name in GOOD)
        boundary = campus.next_epoch()
        campus.read_all(boundary, but=tuple(m for m in campus.meters if not m.startswith("G")))
        trouble.misbehave(boundary)
        newest = campus.client.signatures(campus.operator.pubkey(), limit=1)[0]
        before = campus.client.balance(campus.operator.pubkey())
        worker.settle_down()
        campus.go_to(boundary + 2 * GRACE + 1)
        worker.settle_down()
        spent = before - campus.client.balance(campus.operator.pubkey())
        landed = campus.client.signatures(campus.operator.pubkey(), until=newest)
        fees = sum(campus.client.transaction(signature).fee for signature in landed)
        new = sum(campus.retirement(name) is not None for name in GOOD) - retired
        rent = campus.client.rent(EpochCheckpoint.size()) + new * campus.client.rent(Retirement.size())
        assert spent == fees + rent

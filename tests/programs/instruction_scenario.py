"""A campus's life in a few minutes, so made that every instruction of the five programs runs, and each kind of refusal.

Amounts do not depend on when it runs, so that two validators can be held to the same results.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import idl_accounts
from campus import (
    ACTIVE,
    INSTITUTION,
    NETWORK_ID,
    PAUSE_REGISTRATION,
    SUSPENDED,
    Member,
    SimulatedMeter,
    approve_instruction,
    key,
)
from live_campus import EPOCH_SECONDS, LiveCampus
from market_accounts import ASK, BID, CREDIT, ENERGY, Book, head_size
from market_accounts import SEAT as SEAT_STRUCT
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from authority.chain import programs
from authority.chain.errors import ProgramError
from edge_agent.wire.reading import FLAG_REGISTER_RESET, Frame

PARAMETERS = {
    "grace_seconds": 5,
    "clock_skew_seconds": EPOCH_SECONDS,
    "cancel_cutoff_seconds": 0,
    "billing_period_epochs": 16,
    "netting_epochs": 96,
}
"""The shortest billing period, and the longest netting, for a slow machine; the others as campus.PARAMETERS."""
REFERENCE_PRICE = 150_000
ORDERS_PER_SIDE = 16
CONSUMPTION, FEED_IN = 0, 1
TOKEN_ACCOUNT, SEAT = 0, 1
REFUND_AFTER_EPOCHS = 8
LIMIT = 100


@dataclass
class People:
    """Who takes part, and with which meters."""

    alice: Member
    bob: Member
    carol: Member
    house: SimulatedMeter
    load: SimulatedMeter
    laboratory: SimulatedMeter
    cluster: SimulatedMeter

    @property
    def meters(self) -> list[SimulatedMeter]:
        """All meters."""
        return [self.house, self.load, self.laboratory, self.cluster]


class Scenario:
    """One run on one campus. What came of it is in `facts`, `campus.executions`, `campus.events`, `campus.refusals`."""

    def __init__(self, campus: LiveCampus) -> None:
        self.campus = campus
        self.operator = {"operator": campus.operator.pubkey()}
        self.authority = {"authority": campus.authority.pubkey()}
        self.facts: dict[str, Any] = {}
        self.opened: list[int] = []
        """Epochs whose books wait to be cleared, in order."""

    def run(self) -> None:
        """All of it; about three minutes where time cannot be skipped, for a billing period lasts 160 s at least."""
        campus = self.campus
        self.deploy()
        self.govern()
        people = self.enrol()
        table = self.lookup_table(people)
        baseline = campus.epoch * EPOCH_SECONDS
        self.readings_without_table(people, baseline)
        campus.wait_until(baseline + EPOCH_SECONDS)
        self.readings(people, baseline + EPOCH_SECONDS, table)
        self.mint_to_a_seat(0, baseline + EPOCH_SECONDS)
        self.credits_and_delegate(people)
        self.deposit(people)
        traded = self.trade(people)
        abandoned = self.abandoned_book(people)
        self.clear(people, traded)
        self.retire(people)
        self.change_meters(people, baseline + 2 * EPOCH_SECONDS)
        self.change_people(people)
        self.refund(people, abandoned)
        self.next_billing_period()
        self.totals(people)

    def instruction(self, program: str, name: str, args: Any = None, accounts: Any = None) -> Instruction:
        """An instruction by the operator, where it names one."""
        known = {item.name for item in self.campus.client.idl(program).instruction(name).accounts}
        common = {**self.operator, **self.authority, "payer": self.campus.operator.pubkey()}
        given = {key: address for key, address in common.items() if key in known} | dict(accounts or {})
        return self.campus.instruction(program, name, args or {}, given)

    # governance

    def deploy(self) -> None:
        """initialize of governance, registry, energy_token; initialize_market, grow_book."""
        campus = self.campus
        stranger = key("stranger")
        campus.refuse(
            "initialize by a stranger",
            self.instruction(
                "governance",
                "initialize",
                {
                    "args": {
                        "network_id": NETWORK_ID,
                        "epoch_seconds": EPOCH_SECONDS,
                        "operator": stranger.pubkey(),
                        "parameters": campus.parameters,
                    }
                },
                {"authority": stranger.pubkey()},
            ),
            signers=[stranger],
        )
        campus.initialize()
        campus.refuse("initialize again", self.instruction("registry", "initialize"))
        fees = programs.associated_token_address(campus.operator.pubkey(), programs.credit_mint())
        owner = campus.operator.pubkey()
        campus.send(
            programs.create_associated_token_account(owner, owner, programs.credit_mint()),
            self.instruction(
                "trading",
                "initialize_market",
                {"reference_price": REFERENCE_PRICE, "orders_per_side": ORDERS_PER_SIDE},
                {"fee_account": fees},
            ),
        )
        self.fees = fees
        for slot in range(programs.BOOKS):
            book = {"book": programs.book_address(slot)}
            campus.send(self.instruction("trading", "grow_book", {"slot": slot}, book))

    def govern(self) -> None:
        """set_paused, stage_parameters, set_operator, propose_authority, accept_authority."""
        campus = self.campus
        campus.set_paused(PAUSE_REGISTRATION)
        campus.refuse("paused", campus.register_user_instruction(Member(key("wallet alice"))))
        campus.set_paused(0)
        campus.refuse("unknown pause bits", self.instruction("governance", "set_paused", {"bits": 1 << 15}))

        far = campus.epoch + 5_000
        staged = {"parameters": campus.parameters | {"fee_bps": 100}, "from_epoch": far}
        campus.send(self.instruction("governance", "stage_parameters", staged))
        dear = {"parameters": campus.parameters | {"fee_bps": 1_001}, "from_epoch": far}
        campus.refuse("fee out of bounds", self.instruction("governance", "stage_parameters", dear))

        second, successor = key("second operator"), key("successor")
        campus.send(self.instruction("governance", "set_operator", {"operator": second.pubkey()}))
        campus.refuse("former operator", campus.register_installation_instruction(0))
        campus.send(self.instruction("governance", "set_operator", {"operator": campus.operator.pubkey()}))

        former = campus.authority
        campus.send(self.instruction("governance", "propose_authority", {"pending": successor.pubkey()}))
        accept = self.instruction("governance", "accept_authority", {}, {"pending": second.pubkey()})
        campus.refuse("not the proposed authority", accept, signers=[second])
        accept = self.instruction("governance", "accept_authority", {}, {"pending": successor.pubkey()})
        campus.send(accept, signers=[successor])
        campus.refuse("former authority", self.instruction("governance", "set_paused", {"bits": 0}))
        campus.authority = successor
        self.authority = {"authority": successor.pubkey()}
        campus.refuse("billing period not over", self.instruction("governance", "open_billing_period"))
        config = campus.account("governance", programs.config_address())
        self.facts["config"] = {
            "authority is the successor": config["authority"] == successor.pubkey() != former.pubkey(),
            "operator": config["operator"] == campus.operator.pubkey(),
            "fee": config["parameters"]["fee_bps"],
            "staged fee": config["staged"]["fee_bps"],
            "epoch seconds": config["epoch_seconds"],
        }

    # registry

    def enrol(self) -> People:
        """register_user, register_installation, register_meter, open_meter, open_energy_account."""
        campus = self.campus
        alice, bob, carol = (campus.register_user(name) for name in ("alice", "bob", "carol"))
        installation = campus.register_installation(nameplate_w=10_000_000)
        house = self.meter(alice, "house", "building", "solar", installation)
        load = self.meter(bob, "load", "load", "none", installation)
        laboratory = self.meter(carol, "laboratory", "submeter", "none", installation)
        cluster = self.meter(carol, "cluster", "submeter", "none", installation)
        other = campus.new_meter("other", "load")
        other.key = house.key
        campus.refuse(
            "a key used before",
            other.possession(),
            campus.register_meter_instruction(other, bob, installation),
        )
        other.key = key("meter other")
        campus.refuse("no proof of possession", campus.register_meter_instruction(other, bob, installation))
        campus.send(
            self.instruction(
                "oracle",
                "open_energy_account",
                {},
                {"user": self.dave().user, "energy_account": self.dave().energy_account},
            )
        )
        registry = campus.account("registry", programs.registry_address())
        self.facts["registered"] = {name: registry[name] for name in ("users", "installations", "meters", "keys")}
        return People(alice, bob, carol, house, load, laboratory, cluster)

    def dave(self) -> Member:
        """A member without meters."""
        member = Member(key("wallet dave"))
        if self.campus.client.raw_account(member.user) is None:
            self.campus.register_user("dave")
        return member

    def meter(self, member: Member, name: str, role: str, source: str, installation: int) -> SimulatedMeter:
        """Register and open a meter."""
        return self.campus.add_meter(member, name, role, source, installation)

    def lookup_table(self, people: People) -> Pubkey:
        """A lookup table with all meters' accounts; not yet usable on Agave."""
        client, operator = self.campus.client, self.campus.operator
        table = client.create_lookup_table(operator, payer=operator)
        addresses = [address for meter in people.meters for address in (meter.meter, meter.state)]
        common = [programs.config_address(), programs.INSTRUCTIONS_SYSVAR, programs.PROGRAM_IDS["oracle"]]
        client.extend_lookup_table(table, [*common, *addresses], operator, payer=operator)
        return table

    # oracle

    def read(self, meter: SimulatedMeter, boundary: int, *steps: int, **changes: Any) -> Frame:
        """A meter's reading; its interval is an epoch."""
        return meter.read(boundary, *steps, interval_seconds=EPOCH_SECONDS, **changes)

    def submission(self, *readings: tuple[SimulatedMeter, Frame]) -> list[Instruction]:
        """The precompile's instruction and submit_readings."""
        return [
            programs.ed25519_frames([frame for _, frame in readings]),
            self.campus.submit_instruction([meter for meter, _ in readings]),
        ]

    def settled(self, what: str, member: Member, boundary: int, *meters: SimulatedMeter) -> None:
        """settle_surplus; notes what it came to."""
        event = self.campus.send(self.campus.settle_instruction(member, boundary, meters)).event("SurplusSettled")
        self.facts[f"settled {what}"] = {name: event[name] for name in ("minted", "withdrawn")}

    def readings_without_table(self, people: People, boundary: int) -> None:
        """submit_readings in legacy sizes, then settle_surplus: a baseline, which credits nothing."""
        frames = [(meter, self.read(meter, boundary)) for meter in people.meters]
        self.campus.send(*self.submission(*frames[:2]))
        self.campus.send(*self.submission(*frames[2:]))
        self.settled("baseline of alice", people.alice, boundary, people.house)
        self.settled("baseline of bob", people.bob, boundary, people.load)
        self.campus.refuse("a replayed reading", *self.submission(frames[0]))
        self.campus.refuse("no signatures before", self.campus.submit_instruction([people.house]))

    def readings(self, people: People, boundary: int, table: Pubkey) -> None:
        """submit_readings, four in a transaction with a lookup table, then settle_surplus with a mint."""
        campus = self.campus
        steps = ((5_000, 1_000), (0, 3_000), (0, 700), (0, 400))
        frames = [(meter, self.read(meter, boundary, *step)) for meter, step in zip(people.meters, steps, strict=True)]
        usable = campus.client.wait_for_lookup_table(table)
        outcome = campus.send(*self.submission(*frames), tables=[usable])
        self.facts["size of four readings"] = outcome.size
        self.settled("surplus of alice", people.alice, boundary, people.house)
        self.settled("withdrawal of bob", people.bob, boundary, people.load)
        campus.refuse("settled twice", campus.settle_instruction(people.alice, boundary, [people.house]))
        mint = self.unsigned(
            "energy_token",
            "mint_energy",
            {"amount": 1_000},
            {"user": people.bob.user, "energy_token_account": people.bob.energy_tokens},
        )
        campus.refuse("minting by hand", mint)
        self.facts["held after minting"] = [
            campus.tokens(person.energy_tokens) for person in (people.alice, people.bob)
        ]

    def mint_to_a_seat(self, installation: int, boundary: int) -> None:
        """settle_surplus of a member whose energy account is somebody else's: mint_energy_to_seat."""
        campus, dave = self.campus, self.dave()
        roof = self.meter(dave, "roof", "building", "solar", installation)
        set_authority = bytes([6, 2, 1]) + bytes(key("thief").pubkey())
        metas = [AccountMeta(dave.energy_tokens, False, True), AccountMeta(dave.address, True, False)]
        campus.send(Instruction(programs.TOKEN_PROGRAM, set_authority, metas), signers=[dave.wallet])
        for end, step in ((boundary - EPOCH_SECONDS, 0), (boundary, 700)):
            campus.send(*self.submission((roof, self.read(roof, end, step))))
            outcome = campus.send(campus.settle_instruction(dave, end, [roof]))
        self.facts["minted to a seat"] = outcome.event("EnergyMintedToSeat")["amount"]

    def unsigned(self, program: str, name: str, args: Any, accounts: Any) -> Instruction:
        """An instruction without the signature of the oracle's address, which nobody has a key of."""
        made = self.instruction(program, name, args, accounts)
        metas = [
            AccountMeta(meta.pubkey, meta.is_signer and meta.pubkey != programs.oracle_authority(), meta.is_writable)
            for meta in made.accounts
        ]
        return Instruction(made.program_id, bytes(made.data), metas)

    # trading

    def credits_and_delegate(self, people: People) -> None:
        """issue_credit; set_delegate, with SPL Token's Approve of what the delegate may deposit."""
        alice = people.alice
        accounts = {"user": people.bob.user, "credit_token_account": people.bob.credit_tokens}
        self.campus.send(self.instruction("energy_token", "issue_credit", {"amount": 1_000_000}, accounts))
        self.delegate = key("delegate")
        accounts = {"wallet": alice.address, "user": alice.user, "delegate": self.delegate.pubkey()}
        self.campus.send(
            self.instruction("registry", "set_delegate", {"until": self.campus.time + 3_600}, accounts),
            approve_instruction(alice, alice.energy_tokens, 10_000),
            signers=[alice.wallet],
        )

    def seat_instruction(
        self, name: str, member: Member, asset: int, amount: int, by: Keypair | None = None
    ) -> Instruction:
        """deposit or withdraw, between the seat and the member's own account."""
        accounts = {
            "authority": (by or member.wallet).pubkey(),
            "user": member.user,
            "source" if name == "deposit" else "destination": member.energy_tokens
            if asset == ENERGY
            else member.credit_tokens,
            "vault": programs.energy_vault() if asset == ENERGY else programs.credit_vault(),
        }
        return self.instruction("trading", name, {"asset": asset, "amount": amount}, accounts)

    def deposit(self, people: People) -> None:
        """grow_seats, set_fee_account, deposit by a delegate and by a member, set_payout."""
        campus, alice, bob = self.campus, people.alice, people.bob
        campus.send(self.instruction("trading", "grow_seats"))
        campus.send(self.instruction("trading", "set_fee_account", {}, {"fee_account": self.fees}))
        campus.send(self.seat_instruction("deposit", alice, ENERGY, 2_000, self.delegate), signers=[self.delegate])
        campus.refuse(
            "a stranger's deposit",
            self.seat_instruction("deposit", bob, CREDIT, 1, people.carol.wallet),
            signers=[people.carol.wallet],
        )
        payout = self.instruction(
            "trading", "set_payout", {"assets": 1 << ENERGY}, {"authority": bob.address, "user": bob.user}
        )
        campus.send(self.seat_instruction("deposit", bob, CREDIT, 500_000), payout, signers=[bob.wallet])

    def order(
        self, member: Member, epoch: int, side: int, price: int, quantity: int, by: Keypair | None = None
    ) -> Instruction:
        """place_order."""
        args = {"epoch": epoch, "side": side, "price": price, "quantity": quantity}
        return self.instruction("trading", "place_order", args, self.order_accounts(member, epoch, by))

    @staticmethod
    def order_accounts(member: Member, epoch: int, by: Keypair | None = None) -> dict[str, Pubkey]:
        """Accounts of place_order and cancel_order."""
        return {
            "authority": (by or member.wallet).pubkey(),
            "user": member.user,
            "book": programs.book_address(epoch),
        }

    def in_an_epoch(self, orders: Any, signers: list[Keypair]) -> int:
        """Open the running epoch's book at its beginning and place orders in it, as one transaction; the epoch.

        Where the machine was so slow that the epoch was over meanwhile, again in another one.
        """
        for _ in range(6):
            epoch = self.campus.epoch + 1
            accounts = {"book": programs.book_address(epoch), "checkpoint": programs.SYSTEM_PROGRAM}
            self.campus.wait_until(epoch * EPOCH_SECONDS)
            try:
                self.campus.send(self.instruction("trading", "open_epoch", {"epoch": epoch}, accounts))
                self.opened.append(epoch)
                self.campus.send(*orders(epoch), signers=signers)
            except ProgramError as error:
                if error.name not in ("AfterCutoff", "EpochNotOpenable"):
                    raise
            else:
                return epoch
        raise AssertionError("six epochs in a row were over before orders came into their books")

    def trade(self, people: People) -> int:
        """open_epoch, place_order by a member and by a delegate, cancel_order; the epoch."""
        alice, bob = people.alice, people.bob

        def orders(epoch: int) -> list[Instruction]:
            cancelled = {"epoch": epoch, "side": BID, "price": 150_000, "number": 1}
            return [
                self.order(alice, epoch, ASK, 100_000, 2_000, self.delegate),
                self.order(bob, epoch, BID, 150_000, 300),
                self.order(bob, epoch, BID, 200_000, 1_500),
                self.instruction("trading", "cancel_order", cancelled, self.order_accounts(bob, epoch)),
            ]

        epoch = self.in_an_epoch(orders, [self.delegate, bob.wallet])
        book = self.campus.account("trading", programs.book_address(epoch))
        self.facts["locked"] = {
            name: book[name] for name in ("bid_count", "ask_count", "credit_locked", "energy_locked")
        }
        return epoch

    def abandoned_book(self, people: People) -> int:
        """A book that nobody clears; its epoch."""
        bob = people.bob
        return self.in_an_epoch(lambda epoch: [self.order(bob, epoch, BID, 100_000, 1_000)], [bob.wallet])

    def trigger(self, epoch: int, limit: int = LIMIT) -> Instruction:
        """trigger_clearing."""
        args = {"epoch": epoch, "limit": limit}
        return self.instruction("oracle", "trigger_clearing", args, {"book": programs.book_address(epoch)})

    def clear_those_before(self, epoch: int) -> None:
        """Books that a slow machine left behind, which come first."""
        while self.opened[0] < epoch:
            self.campus.wait_until((self.opened[0] + 1) * EPOCH_SECONDS)
            self.campus.send(self.trigger(self.opened.pop(0)))

    def clear(self, people: People, epoch: int) -> None:
        """trigger_clearing with clear_epoch, in two steps, withdraw, withdraw_fees, checkpoint_epoch."""
        campus, book = self.campus, {"book": programs.book_address(epoch)}
        self.clear_those_before(epoch)
        campus.wait_until((epoch + 1) * EPOCH_SECONDS)
        late = self.order(people.bob, epoch, BID, 100_000, 100)
        campus.refuse("an order too late", late, signers=[people.bob.wallet])
        args = {"epoch": epoch, "limit": LIMIT}
        campus.refuse("clearing by hand", self.unsigned("trading", "clear_epoch", args, book))
        cleared = campus.send(self.trigger(epoch, 1), units=400_000).event("EpochCleared")
        self.facts["cleared"] = {name: cleared[name] for name in ("price", "volume", "bids", "asks")}
        self.facts["paid in the first step"] = campus.account("trading", book["book"])["paid"]
        campus.send(self.trigger(epoch))
        self.opened.pop(0)
        campus.refuse("cleared twice", self.trigger(epoch))
        self.facts["held after trading"] = self.holdings(people)
        campus.send(self.seat_instruction("withdraw", people.bob, ENERGY, 1_000, campus.operator))
        campus.refuse(
            "a payout that was not allowed", self.seat_instruction("withdraw", people.bob, CREDIT, 1, campus.operator)
        )
        campus.send(self.seat_instruction("withdraw", people.alice, CREDIT, 149_250), signers=[people.alice.wallet])
        campus.send(self.instruction("trading", "withdraw_fees", {}, {"fee_account": self.fees}))
        self.facts["held after withdrawing"] = self.holdings(people)
        account = campus.client.raw_account(book["book"])
        assert account is not None
        pinned = {
            "epoch": epoch,
            "log_size": 7,
            "log_root": hashlib.sha256(b"root").digest(),
            "book_hash": Book(bytes(account.data)).hash(),
        }
        checkpoint = {"checkpoint": programs.checkpoint_address(epoch)}
        early = {"checkpoint": programs.checkpoint_address(epoch + 100), "book": programs.book_address(epoch + 100)}
        too_early = self.instruction("oracle", "checkpoint_epoch", pinned | {"epoch": epoch + 100}, early)
        campus.refuse("a checkpoint too early", too_early)
        self.checkpoint_those_before(epoch)
        campus.send(self.instruction("oracle", "checkpoint_epoch", pinned, checkpoint | book))
        self.facts["fees"] = campus.tokens(self.fees)
        market = campus.account("trading", programs.market_address())
        self.facts["reference price"] = market["reference_price"]

    def checkpoint_those_before(self, epoch: int) -> None:
        """The first checkpoint is that of the market's first book."""
        campus = self.campus
        first = campus.account("trading", programs.market_address())["first_epoch"]
        for earlier in range(first, epoch):
            where = {"checkpoint": programs.checkpoint_address(earlier), "book": programs.book_address(earlier)}
            found = campus.client.raw_account(where["book"])
            assert found is not None
            book = Book(bytes(found.data))
            pinned = {
                "epoch": earlier,
                "log_size": 7,
                "log_root": hashlib.sha256(b"root").digest(),
                "book_hash": book.hash() if book.fields["epoch"] == earlier else bytes(32),
            }
            campus.send(self.instruction("oracle", "checkpoint_epoch", pinned, where))

    def holdings(self, people: People) -> dict[str, list[int]]:
        """Energy and credits by member: in its own accounts, then in its seat."""
        found = self.campus.client.raw_account(programs.seats_address())
        assert found is not None
        held = {}
        for name, member in (("alice", people.alice), ("bob", people.bob)):
            index = self.campus.account("registry", member.user)["member_index"]
            seat = SEAT_STRUCT.unpack_from(found.data, head_size("Seats") + SEAT_STRUCT.size * index)
            held[name] = [self.campus.tokens(member.energy_tokens), self.campus.tokens(member.credit_tokens), *seat[:2]]
        return held

    # energy_token

    def retire(self, people: People) -> None:
        """retire_energy for both reasons, out of both places, by members and by a delegate; redeem_credit."""

        def retirement(
            member: Member, reason: int, amount: int, source: int, by: Keypair | None = None, **payer: Pubkey
        ) -> Instruction:
            accounts = {
                "member": (by or member.wallet).pubkey(),
                "user": member.user,
                "retirement": programs.retirement_address(member.address),
                "energy_account": member.energy_account,
                "energy_token_account": member.energy_tokens,
                "credit_token_account": member.credit_tokens,
                **payer,
            }
            args = {"reason": reason, "period": 0, "amount": amount, "source": source}
            return self.instruction("energy_token", "retire_energy", args, accounts)

        campus, alice, bob = self.campus, people.alice, people.bob
        campus.send(retirement(bob, CONSUMPTION, 600, TOKEN_ACCOUNT), signers=[bob.wallet])
        campus.send(retirement(bob, CONSUMPTION, 400, SEAT, payer=bob.address), signers=[bob.wallet])
        campus.send(retirement(alice, FEED_IN, 500, SEAT, self.delegate), signers=[self.delegate])
        campus.send(retirement(alice, FEED_IN, 500, TOKEN_ACCOUNT), signers=[alice.wallet])
        by_delegate = retirement(alice, FEED_IN, 100, TOKEN_ACCOUNT, self.delegate)
        campus.refuse("a delegate's retirement out of an account", by_delegate, signers=[self.delegate])
        campus.refuse("feeding in what was bought", retirement(bob, FEED_IN, 100, SEAT), signers=[bob.wallet])
        campus.refuse("burning by hand", self.unsigned_burn())
        beyond = retirement(alice, CONSUMPTION, 1, TOKEN_ACCOUNT)
        campus.refuse("retired beyond withdrawals", beyond, signers=[alice.wallet])
        accounts = {"wallet": alice.address, "user": alice.user, "credit_token_account": alice.credit_tokens}
        redeem = self.instruction("energy_token", "redeem_credit", {"amount": 99_250}, accounts)
        campus.send(redeem, signers=[alice.wallet])
        self.facts["held after retiring"] = self.holdings(people)

    def unsigned_burn(self) -> Instruction:
        """burn_from_seat without the energy token program's signature."""
        made = self.instruction("trading", "burn_from_seat", {"member": 0, "amount": 1})
        metas = [AccountMeta(meta.pubkey, False, meta.is_writable) for meta in made.accounts]
        return Instruction(made.program_id, bytes(made.data), metas)

    # what changes

    def change_meters(self, people: People, boundary: int) -> None:
        """reassign_meter, set_meter_map, replace_meter_key, rebase_meter, set_meter_status."""
        campus, load, house = self.campus, people.load, people.house
        campus.send(
            self.instruction(
                "registry",
                "reassign_meter",
                {},
                {
                    "meter": load.meter,
                    "from_user": people.bob.user,
                    "to_user": people.carol.user,
                    "meter_state": load.state,
                },
            )
        )
        map_hash = hashlib.sha256(b"another map").digest()
        campus.send(self.instruction("registry", "set_meter_map", {"map_hash": map_hash}, {"meter": load.meter}))
        load.map_hash = map_hash
        former, load.key = load.key, key("meter load, second key")
        first = load.sequence + 1
        accounts = {
            "meter": load.meter,
            "key_use": programs.key_use_address(bytes(load.key.pubkey())),
        }
        replace = self.instruction("registry", "replace_meter_key", {"first_sequence": first}, accounts)
        campus.send(load.possession(first), replace)

        forged = SimulatedMeter(former, load.meter_id, load.role, load.source, load.sequence, list(load.registers))
        campus.refuse("the former key", *self.submission((load, self.read(forged, boundary, 0, 10))))
        campus.send(*self.submission((load, self.read(load, boundary, 0, 2_000))))
        self.settled("first span under carol", people.carol, boundary, load)

        house.registers = [10, 0, 0, 0]
        reset = self.read(house, boundary, register_epoch=1, flags=FLAG_REGISTER_RESET)
        rebase = self.instruction("oracle", "rebase_meter", {}, {"meter": house.meter, "meter_state": house.state})
        outcome = campus.send(programs.ed25519_frames([reset]), rebase)
        self.facts["rebased"] = outcome.event("MeterRebased")["after"]
        self.settled("span of the rebase", people.alice, boundary, house)

        campus.send(*self.submission((load, self.read(load, boundary + EPOCH_SECONDS, 0, 500))))
        idle = {"user": people.carol.user, "meter": load.meter}
        campus.send(self.instruction("registry", "set_meter_status", {"status": SUSPENDED}, idle))
        idle |= {"energy_account": people.carol.energy_account, "meter_state": load.state}
        outcome = campus.send(self.instruction("oracle", "settle_idle_meter", {}, idle))
        self.facts["idle meter under carol"] = outcome.event("IdleMeterSettled")["withdrawn"]

        installation = {"installation": programs.installation_address(0)}
        args = {"nameplate_w": 20_000_000, "storage_wh": 5_000, "from_epoch": campus.epoch + 100}
        campus.send(
            self.instruction("registry", "stage_installation", args, installation),
            self.instruction("registry", "follow_installation", {}, installation | {"meter": house.meter}),
        )
        self.facts["staged nameplate"] = campus.account("registry", house.meter)["staged_nameplate"]

        suspend = {"user": people.carol.user, "meter": people.cluster.meter}
        campus.send(self.instruction("registry", "set_meter_status", {"status": SUSPENDED}, suspend))
        frame = self.read(people.cluster, boundary, 0, 100)
        campus.refuse("a suspended meter", *self.submission((people.cluster, frame)))

    def change_people(self, people: People) -> None:
        """set_user_status, set_user_role, propose_wallet; replace_wallet, which is refused for a day of epochs."""
        campus, dave = self.campus, self.dave()
        accounts = {"user": dave.user, "credit_token_account": dave.credit_tokens}
        credit = self.instruction("energy_token", "issue_credit", {"amount": 1}, accounts)
        campus.send(self.instruction("registry", "set_user_status", {"status": SUSPENDED}, {"user": dave.user}))
        campus.refuse("credits to a suspended member", credit)
        campus.send(self.instruction("registry", "set_user_status", {"status": ACTIVE}, {"user": dave.user}))
        campus.send(credit)
        campus.send(self.instruction("registry", "set_user_role", {"role": INSTITUTION}, {"user": dave.user}))
        wallet = key("daves next wallet").pubkey()
        campus.send(self.instruction("registry", "propose_wallet", {"next": wallet}, {"user": dave.user}))
        campus.refuse("a wallet too early", campus.replace_wallet_instruction(dave, wallet))

    def refund(self, people: People, epoch: int) -> None:
        """refund_epoch, eight epochs after one that was never cleared."""
        campus = self.campus
        self.clear_those_before(epoch)
        args = {"epoch": epoch, "limit": LIMIT}
        refund = self.instruction("trading", "refund_epoch", args, {"book": programs.book_address(epoch)})
        if campus.epoch < epoch + REFUND_AFTER_EPOCHS - 1:
            campus.refuse("a refund too early", refund)
        campus.wait_until((epoch + 1 + REFUND_AFTER_EPOCHS) * EPOCH_SECONDS)
        campus.send(refund)
        self.facts["held after the refund"] = self.holdings(people)

    def next_billing_period(self) -> None:
        """open_billing_period."""
        campus = self.campus
        end = campus.account("governance", programs.config_address())["billing_period_end"]
        campus.wait_until(end * EPOCH_SECONDS)
        campus.send(self.instruction("governance", "open_billing_period"))
        self.facts["billing period"] = campus.account("governance", programs.config_address())["billing_period"]

    def totals(self, people: People) -> None:
        """Everything that was minted is held, in accounts or in seats, or retired."""
        campus = self.campus
        oracle = campus.account("oracle", programs.oracle_authority())
        energy, credit = campus.supply(programs.energy_mint()), campus.supply(programs.credit_mint())
        vaults = [campus.tokens(programs.energy_vault()), campus.tokens(programs.credit_vault())]
        self.facts["totals"] = {
            "minted": oracle["minted"],
            "energy supply": energy,
            "credit supply": credit,
            "vaults": vaults,
            "accounts": sum(
                len(idl_accounts.accounts(campus.client, program, kind)) for program, kind in ACCOUNT_TYPES
            ),
        }


ACCOUNT_TYPES = (
    ("governance", "Config"),
    ("registry", "Registry"),
    ("registry", "User"),
    ("registry", "Installation"),
    ("registry", "Meter"),
    ("registry", "KeyUse"),
    ("energy_token", "Retirement"),
    ("oracle", "Oracle"),
    ("oracle", "MeterState"),
    ("oracle", "EnergyAccount"),
    ("oracle", "EpochCheckpoint"),
    ("trading", "Market"),
    ("trading", "Seats"),
    ("trading", "EpochBook"),
)

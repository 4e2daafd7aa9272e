"""A campus in the middle of its life, and each instruction as it is accepted there: what a refusal is told apart from.

A scenario of test_every_refusal takes one of these acts, or several, with one thing wrong. That each passes as it
stands is tested as well, so what a scenario changes is what is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from campus import (
    EPOCH_SECONDS,
    INSTITUTION,
    NETWORK_ID,
    PROSUMER,
    START,
    SUSPENDED,
    WALLET_DELAY_EPOCHS,
    Campus,
    Member,
    Outcome,
    SimulatedMeter,
    idl,
    key,
    unsigned,
)
from market_accounts import ASK, BID, CREDIT, ENERGY, Book
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from authority.chain import programs
from edge_agent.wire.reading import FLAG_REGISTER_RESET, ROLES, Frame

EPOCH = START // EPOCH_SECONDS
TRADED, RUNNING = EPOCH + 3, EPOCH + 4
"""The epoch whose book waits to be cleared, and the running one."""
CONSUMPTION, FEED_IN = 0, 1
TOKEN_ACCOUNT, SEAT = 0, 1
ASK_PRICE, BID_PRICE = 100_000, 90_000
PEOPLE = ("operator", "authority", "stranger", "helper", "successor")


@dataclass(frozen=True)
class Act:
    """An instruction that can still be changed, and what stands before it in the transaction."""

    program: str
    name: str
    args: dict[str, Any]
    accounts: dict[str, Pubkey]
    before: tuple[Instruction, ...] = ()
    remaining: tuple[AccountMeta, ...] = ()
    unsigned: tuple[str, ...] = ()
    inner: Callable[[Instruction], Instruction] = field(default=lambda instruction: instruction)
    """What the transaction has in its place, as where a program calls it."""

    def but(self, **changes: Any) -> Act:
        """The same with other arguments or accounts."""
        args, accounts, own = dict(self.args), dict(self.accounts), {}
        for name, value in changes.items():
            if name in ("before", "remaining", "unsigned", "inner"):
                own[name] = value
            elif isinstance(value, Pubkey) and name not in args:
                accounts[name] = value
            else:
                assert name in args, f"{self.name} has no argument {name}"
                args[name] = value
        return replace(self, args=args, accounts=accounts, **own)


class Stage:
    """Alice with a building meter and a delegate, bob with a load meter, carol and dave; a market with two books.

    Alice had 5,000 Wh minted and drew 2,000 Wh; 2,000 Wh of hers and 50 credits of bob's are in their seats. Bob's
    load meter was read at the last boundary and waits to be settled; one of dave's is suspended with such a reading.
    """

    def __init__(self) -> None:
        campus = self.campus = Campus(parameters={"billing_period_epochs": 16})
        self.keys = {key(name).pubkey(): key(name) for name in PEOPLE}
        self.payer = key("payer")
        for keypair in (self.payer, *self.keys.values()):
            campus.svm.airdrop(keypair.pubkey(), 10**13)
        self.operator, self.authority, self.stranger, self.helper, self.successor = self.keys
        campus.make_market(orders_per_side=2)
        self.alice, self.bob = campus.register_user("alice"), campus.register_user("bob")
        self.carol, self.dave = campus.register_user("carol", INSTITUTION), campus.register_user("dave")
        for member in (self.alice, self.bob, self.carol, self.dave):
            self.keys[member.address] = member.wallet
        self.house = campus.add_meter(self.alice, "house", "building", "solar")
        self.load = campus.add_meter(self.bob, "load", "load")
        self.old = campus.add_meter(self.dave, "old", "load")
        self.lab = campus.add_meter(self.alice, "lab", "submeter")
        for n, (produced, drawn) in enumerate(((0, 0), (9_000, 4_000), (0, 2_000)), 1):
            campus.round(self.alice, campus.boundary(n), (self.house, (produced, drawn)))
            campus.round(self.bob, campus.boundary(n), (self.load, (0, 3_000)))
        for asset, member, amount in ((ENERGY, self.alice, 2_000), (CREDIT, self.bob, 50_000_000)):
            if asset == CREDIT:
                self.do(self.issue_credit().but(amount=2 * amount))
            campus.deposit(member, asset, amount)
        self.do(self.set_delegate())
        campus.open_book(TRADED)
        traded = {"epoch": TRADED, "book": programs.book_address(TRADED)}
        buys = {"side": BID, "price": 150_000, "authority": self.bob.address, "user": self.bob.user}
        self.do(self.place_order().but(**traded), self.place_order().but(**traded, **buys))
        boundary = campus.boundary(4)
        campus.set_time(boundary + 1)
        for meter in (self.load, self.old):
            campus.submit((meter, meter.read(boundary, 0, 700)))
        self.do(self.set_meter_status().but(user=self.dave.user, meter=self.old.meter))
        campus.open_book(RUNNING)
        self.do(self.place_order(), self.place_order().but(**buys | {"price": BID_PRICE}))
        slot = (RUNNING + 1) % programs.BOOKS
        self.do(self.grow_book().but(slot=slot, book=programs.book_address(slot)))
        self.spare = campus.new_meter("spare", "submeter")
        self.do(self.register_meter(self.spare))

    # Sending

    def instructions(self, act: Act) -> list[Instruction]:
        """An act's instructions."""
        made = self.campus.instruction(act.program, act.name, act.args, act.accounts, act.remaining)
        for name in act.unsigned:
            made = unsigned(made, act.accounts[name])
        return [*act.before, act.inner(made)]

    def do(self, *acts: Act) -> Outcome:
        """Send acts as one transaction, signed by whoever of the people they name; an outsider pays its fee."""
        instructions = [instruction for act in acts for instruction in self.instructions(act)]
        return self.campus.send(*instructions, signers=list(self.keys.values()), payer=self.payer)

    def by_a_program(self, act: Act) -> Outcome:
        """Send an act that only another program can sign for, with its signature."""
        return self.campus.send_unverified(*self.instructions(act))

    def act(self, program: str, name: str, args: dict[str, Any] | None = None, **accounts: Pubkey) -> Act:
        """An act with the people that it names signing."""
        people = {"operator": self.operator, "authority": self.authority, "payer": self.operator}
        known = {account.name for account in idl(program).instruction(name).accounts}
        given = {role: address for role, address in people.items() if role in known}
        return Act(program, name, args or {}, given | accounts)

    # governance

    def initialize_governance(self) -> Act:
        """By the upgrade authority; refused here, where the Config exists."""
        args = {
            "network_id": NETWORK_ID,
            "epoch_seconds": EPOCH_SECONDS,
            "operator": self.operator,
            "parameters": self.campus.parameters,
        }
        return self.act("governance", "initialize", {"args": args})

    def set_paused(self) -> Act:
        return self.act("governance", "set_paused", {"bits": 0})

    def set_operator(self) -> Act:
        return self.act("governance", "set_operator", {"operator": self.operator})

    def propose_authority(self) -> Act:
        return self.act("governance", "propose_authority", {"pending": self.successor})

    def accept_authority(self) -> Act:
        """Once the successor is proposed."""
        return self.act("governance", "accept_authority", pending=self.successor)

    def stage_parameters(self, **changes: int) -> Act:
        """For the epoch after the next."""
        args = {"parameters": self.campus.parameters | changes, "from_epoch": RUNNING + 2}
        return self.act("governance", "stage_parameters", args)

    def open_billing_period(self) -> Act:
        """Once the open one is over."""
        return self.act("governance", "open_billing_period")

    # registry

    def register_user(self) -> Act:
        member = Member(key("wallet erin"))
        return self.act(
            "registry",
            "register_user",
            {"role": PROSUMER},
            user=member.user,
            wallet=member.address,
            energy_token_account=member.energy_tokens,
            credit_token_account=member.credit_tokens,
        )

    def of_user(self, name: str, args: dict[str, Any], member: Member | None = None) -> Act:
        """What the operator changes of a member; of carol, who has nothing."""
        return self.act("registry", name, args, user=(member or self.carol).user)

    def set_user_status(self) -> Act:
        return self.of_user("set_user_status", {"status": SUSPENDED})

    def set_user_role(self) -> Act:
        return self.of_user("set_user_role", {"role": PROSUMER})

    def propose_wallet(self) -> Act:
        return self.of_user("propose_wallet", {"next": key("carol's next wallet").pubkey()})

    def replace_wallet(self) -> Act:
        """Once the proposal is due."""
        wallet = Member(key("carol's next wallet"))
        return self.act(
            "registry",
            "replace_wallet",
            user=self.carol.user,
            wallet=wallet.address,
            wallet_use=wallet.user,
            energy_token_account=wallet.energy_tokens,
            credit_token_account=wallet.credit_tokens,
        )

    def set_delegate(self) -> Act:
        """Alice's helper, for ten epochs."""
        accounts = {"wallet": self.alice.address, "user": self.alice.user, "delegate": self.helper}
        return self.act("registry", "set_delegate", {"until": self.campus.time + 10 * EPOCH_SECONDS}, **accounts)

    def register_installation(self) -> Act:
        args = {"n": 99, "kind": 7, "building": b"Laboratory".ljust(32, b"\0"), "nameplate_w": 10_000, "storage_wh": 0}
        args["since"] = START
        where = programs.installation_address(99)
        return self.act("registry", "register_installation", args, installation=where)

    def stage_installation(self) -> Act:
        args = {"nameplate_w": 5_000, "storage_wh": 0, "from_epoch": RUNNING + 1}
        return self.act("registry", "stage_installation", args, installation=programs.installation_address(0))

    def follow_installation(self) -> Act:
        installation = programs.installation_address(0)
        return self.act("registry", "follow_installation", installation=installation, meter=self.house.meter)

    def register_meter(self, meter: SimulatedMeter | None = None, member: Member | None = None) -> Act:
        """A submeter of carol's, unless told otherwise."""
        meter = meter or self.campus.new_meter("new", "submeter")
        args = {
            "meter_id": meter.meter_id,
            "role": ROLES.index(meter.role),
            "source": meter.source,
            "map_hash": meter.map_hash,
            "first_sequence": 1,
        }
        return self.act(
            "registry",
            "register_meter",
            args,
            user=(member or self.carol).user,
            installation=programs.installation_address(0),
            meter=meter.meter,
            key_use=programs.key_use_address(bytes(meter.key.pubkey())),
        ).but(before=(meter.possession(),))

    def set_meter_status(self) -> Act:
        args = {"status": SUSPENDED}
        return self.act("registry", "set_meter_status", args, user=self.alice.user, meter=self.house.meter)

    def set_meter_map(self) -> Act:
        return self.act("registry", "set_meter_map", {"map_hash": bytes(32)}, meter=self.house.meter)

    def replace_meter_key(self) -> Act:
        new = key("the house's next key")
        accounts = {"meter": self.house.meter, "key_use": programs.key_use_address(bytes(new.pubkey()))}
        made = self.act("registry", "replace_meter_key", {"first_sequence": 5}, **accounts)
        return made.but(before=(self.house.possession(5, key=new),))

    def reassign_meter(self) -> Act:
        """The house's, from alice to carol."""
        return self.act(
            "registry",
            "reassign_meter",
            meter=self.house.meter,
            from_user=self.alice.user,
            to_user=self.carol.user,
            meter_state=self.house.state,
        )

    # energy_token

    def mint_energy(self) -> Act:
        """As the oracle calls it."""
        accounts = {"user": self.alice.user, "energy_token_account": self.alice.energy_tokens}
        return self.act("energy_token", "mint_energy", {"amount": 1}, **accounts)

    def mint_energy_to_seat(self) -> Act:
        """As the oracle calls it, once alice's account cannot take it."""
        accounts = {"user": self.alice.user, "energy_token_account": self.alice.energy_tokens}
        return self.act("energy_token", "mint_energy_to_seat", {"amount": 1}, **accounts)

    def retire_energy(self) -> Act:
        """Alice's first, against her withdrawals."""
        args = {"reason": CONSUMPTION, "period": 0, "amount": 100, "source": TOKEN_ACCOUNT}
        return self.act(
            "energy_token",
            "retire_energy",
            args,
            member=self.alice.address,
            user=self.alice.user,
            retirement=programs.retirement_address(self.alice.address),
            energy_account=self.alice.energy_account,
            energy_token_account=self.alice.energy_tokens,
            credit_token_account=self.alice.credit_tokens,
        )

    def issue_credit(self) -> Act:
        accounts = {"user": self.bob.user, "credit_token_account": self.bob.credit_tokens}
        return self.act("energy_token", "issue_credit", {"amount": 1}, **accounts)

    def redeem_credit(self) -> Act:
        accounts = {"wallet": self.bob.address, "user": self.bob.user, "credit_token_account": self.bob.credit_tokens}
        return self.act("energy_token", "redeem_credit", {"amount": 1}, **accounts)

    # oracle

    def open_meter(self) -> Act:
        accounts = {"meter": self.spare.meter, "user": self.carol.user, "meter_state": self.spare.state}
        return self.act("oracle", "open_meter", {}, energy_account=self.carol.energy_account, **accounts)

    def open_energy_account(self) -> Act:
        accounts = {"user": self.carol.user, "energy_account": self.carol.energy_account}
        return self.act("oracle", "open_energy_account", **accounts)

    def signed(self, meter: SimulatedMeter | None = None, **changes: Any) -> Frame:
        """The house's reading at the last boundary, which was not submitted."""
        meter = meter or self.house
        boundary = changes.pop("interval_end", self.campus.boundary(4))
        return meter.sign(meter.record(boundary, **changes))

    def submit_readings(self, frame: Frame | None = None, meter: SimulatedMeter | None = None) -> Act:
        made = self.act("oracle", "submit_readings")
        before = (programs.ed25519_frames([frame or self.signed(meter)]),)
        return made.but(before=before, remaining=tuple((meter or self.house).pair))

    def rebase_meter(self, frame: Frame | None = None) -> Act:
        frame = frame or self.signed(flags=FLAG_REGISTER_RESET, register_epoch=1, generation=0, consumption=0)
        accounts = {"meter": self.house.meter, "meter_state": self.house.state}
        return self.act("oracle", "rebase_meter", **accounts).but(before=(programs.ed25519_frames([frame]),))

    def settle_surplus(self) -> Act:
        """Bob's, at the last boundary."""
        return self.act(
            "oracle",
            "settle_surplus",
            {"interval_end": self.campus.boundary(4)},
            user=self.bob.user,
            energy_account=self.bob.energy_account,
            energy_token_account=self.bob.energy_tokens,
        ).but(remaining=tuple(self.load.pair))

    def settle_idle_meter(self) -> Act:
        """Dave's suspended one."""
        return self.act(
            "oracle",
            "settle_idle_meter",
            user=self.dave.user,
            energy_account=self.dave.energy_account,
            meter=self.old.meter,
            meter_state=self.old.state,
        )

    def trigger_clearing(self) -> Act:
        args = {"epoch": TRADED, "limit": 10}
        return self.act("oracle", "trigger_clearing", args, book=programs.book_address(TRADED))

    def checkpoint_epoch(self) -> Act:
        """The first: of the epoch before that of the first book."""
        epoch = TRADED - 1
        args = {"epoch": epoch, "log_size": 5, "log_root": bytes(32), "book_hash": bytes(32)}
        accounts = {"checkpoint": programs.checkpoint_address(epoch), "book": programs.book_address(epoch)}
        return self.act("oracle", "checkpoint_epoch", args, **accounts)

    # trading

    def initialize_market(self) -> Act:
        """Refused here, where the market exists."""
        args = {"reference_price": ASK_PRICE, "orders_per_side": 2}
        return self.act("trading", "initialize_market", args, fee_account=self.campus.fee_account)

    def set_fee_account(self) -> Act:
        return self.act("trading", "set_fee_account", fee_account=self.campus.fee_account)

    def grow_book(self) -> Act:
        slot = (RUNNING + 2) % programs.BOOKS
        return self.act("trading", "grow_book", {"slot": slot}, book=programs.book_address(slot))

    def grow_seats(self) -> Act:
        """Once: members and 250 more have seats then."""
        return self.act("trading", "grow_seats")

    def open_epoch(self) -> Act:
        """The next one, in a vacant slot."""
        accounts = {"book": programs.book_address(RUNNING + 1), "checkpoint": programs.SYSTEM_PROGRAM}
        return self.act("trading", "open_epoch", {"epoch": RUNNING + 1}, **accounts)

    def of_alice(self, name: str, args: dict[str, Any], **accounts: Pubkey) -> Act:
        """What alice does in the market."""
        return self.act("trading", name, args, authority=self.alice.address, user=self.alice.user, **accounts)

    def deposit(self) -> Act:
        accounts = {"source": self.alice.energy_tokens, "vault": programs.energy_vault()}
        return self.of_alice("deposit", {"asset": ENERGY, "amount": 10}, **accounts)

    def withdraw(self) -> Act:
        accounts = {"destination": self.alice.energy_tokens, "vault": programs.energy_vault()}
        return self.of_alice("withdraw", {"asset": ENERGY, "amount": 10}, **accounts)

    def set_payout(self) -> Act:
        return self.of_alice("set_payout", {"assets": 3})

    def place_order(self) -> Act:
        args = {"epoch": RUNNING, "side": ASK, "price": ASK_PRICE, "quantity": 100}
        return self.of_alice("place_order", args, book=programs.book_address(RUNNING))

    def cancel_order(self) -> Act:
        """Alice's only order of the running epoch."""
        args = {"epoch": RUNNING, "side": ASK, "price": ASK_PRICE, "number": 0}
        return self.of_alice("cancel_order", args, book=programs.book_address(RUNNING))

    def clear_epoch(self) -> Act:
        """As the oracle calls it."""
        args = {"epoch": TRADED, "limit": 10}
        return self.act("trading", "clear_epoch", args, book=programs.book_address(TRADED))

    def refund_epoch(self) -> Act:
        """Once it is due."""
        args = {"epoch": TRADED, "limit": 10}
        return self.act("trading", "refund_epoch", args, book=programs.book_address(TRADED))

    def withdraw_fees(self) -> Act:
        """Once there are some."""
        return self.act("trading", "withdraw_fees", fee_account=self.campus.fee_account)

    def credit_seat(self) -> Act:
        """As the energy token program calls it; of nothing, for the vault holds no more than is owed."""
        args = {"asset": ENERGY, "member": 0, "amount": 0}
        return self.act("trading", "credit_seat", args, vault=programs.energy_vault())

    def burn_from_seat(self) -> Act:
        """As the energy token program calls it."""
        return self.act("trading", "burn_from_seat", {"member": 0, "amount": 1})

    # States

    def at(self, epochs: int) -> None:
        """So many epochs later."""
        self.campus.set_time(self.campus.time + epochs * EPOCH_SECONDS)

    def damage(self, program: str, address: Pubkey, **fields: Any) -> None:
        """An account as no instruction leaves it."""
        self.campus.change(program, address, **fields)

    def damage_head(self, account: str, address: Pubkey, **fields: Any) -> None:
        """The same for a book or the seats, whose orders or seats follow the fields."""
        found = self.campus.svm.get_account(address)
        assert found is not None
        data = bytes(found.data)
        head = idl("trading").encode_account(account, idl("trading").decode_account(data)[1] | fields)
        self.campus.put(address, head + data[len(head) :], found.owner)

    def book(self, epoch: int = TRADED) -> Book:
        """A book."""
        found = self.campus.svm.get_account(programs.book_address(epoch))
        assert found is not None
        return Book(bytes(found.data))

    def give_away(self, account: Pubkey, member: Member) -> None:
        """SPL SetAuthority: the account is somebody else's."""
        data = bytes([6, 2, 1]) + bytes(self.stranger)
        metas = [AccountMeta(account, False, True), AccountMeta(member.address, True, False)]
        self.campus.send(Instruction(programs.TOKEN_PROGRAM, data, metas), signers=[member.wallet])

    def propose(self) -> None:
        """Carol's next wallet is proposed and due."""
        self.do(self.propose_wallet())
        self.at(WALLET_DELAY_EPOCHS)

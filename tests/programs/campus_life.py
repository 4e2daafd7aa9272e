"""The steps of a campus's random life without its market: each is sent to the programs and told to campus_model.

trading/test_whole_campus.py adds the market's and runs them.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from campus import (
    EPOCH_SECONDS,
    KINDS,
    NETWORK_ID,
    START,
    Campus,
    Member,
    Refusal,
    SimulatedMeter,
    approve_instruction,
    key,
)
from campus_model import LONGEST_TERM, RESET_FLAG, ROLES, WALLET_DELAY_EPOCHS, Model, Reading, Refused
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from market_accounts import Book
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from authority.chain import programs
from edge_agent.wire.reading import FLAG_BACK_FILLED, FLAG_DATA_DOUBTFUL, FLAG_ESTIMATED, FLAG_TAMPER

EPOCH = START // EPOCH_SECONDS
USERS = ("alice", "bob", "carol")
METERS = ("m0", "m1", "m2", "m3", "m4", "m5")
NAMES = {  # SPL Token's, and the associated token program's of an account that is somebody else's
    "InstructionErrorCustom(1)": "InsufficientFunds",
    "InstructionErrorCustom(4)": "OwnerMismatch",
    "InstructionErrorCustom(11)": "NonNativeHasBalance",
    "InstructionErrorCustom(0)": "NotTheWallets",
    "InvalidAccountData": "NoTokenAccount",
}
STRANGER = key("stranger")
"""Has no part in the campus: opens, clears, refunds and pays out all the same."""

users = st.sampled_from(USERS)
meters = st.sampled_from(METERS)
steps = st.one_of(st.integers(0, 3_000), st.sampled_from([0, 0, 27_501, 30_000, 120_000]))
WALLETS = ("next", "next", "another next", "a third", "wallet bob", "operator")
"""Wallets that are proposed: new ones, one that is a member's, the operator's."""
amounts = st.sampled_from([0, 1, 500, 2_000, 10**6, 10**8])
ITSELF, DELEGATE = "itself", "delegate"
signers = st.sampled_from([ITSELF, ITSELF, DELEGATE, DELEGATE, *USERS])
"""Who acts for a member."""
PARAMETERS_STAGED = [
    (name, value)
    for name, values in {
        "grace_seconds": (30, EPOCH_SECONDS, EPOCH_SECONDS + 1),
        "clock_skew_seconds": (0, EPOCH_SECONDS, EPOCH_SECONDS + 1),
        "feed_in_price": (40_000, 50_000, 1, 0, 300_001),
        "retail_price": (300_000, 250_000, 10**9, 10**9 + 1),
        "wheeling": (0, 20_000, 250_000, 300_001),
        "min_order_wh": (10, 50, 1, 0),
        "max_order_wh": (20_000, 300, 1_000_000, 8_388_608, 10**9, 10**9 + 1),
        "cancel_cutoff_seconds": (0, 60, 800, EPOCH_SECONDS),
        "min_reference_volume_wh": (1, 300, 0),
        "billing_period_epochs": (16, 20, 15, 35_137),
        "netting_epochs": (1, 2, 4, 8, 96, 0, 97),
        "nameplate_tolerance_bps": (0, 1_000, 10_000, 10_001),
        "storage_efficiency_bps": (8_000, 10_000, 0, 10_001),
        "fee_bps": (0, 100, 1_000, 1_001),
        "max_orders_per_member": (1, 2, 8, 64, 0, 65),
    }.items()
    for value in values
]
"""Each of governance's parameters, with values at and beyond its bounds."""
METER_KINDS = [(0, 1), (0, 0), (1, 1), (1, 2), (2, 0), (3, 0), (3, 0), (4, 0), (5, 0), (1, 0), (6, 0), (3, 5)]
"""Role and source of a meter: what there is, and what there is not."""
HOSTILE: tuple[dict[str, Any], ...] = (
    {"sequence": 0},
    {"sequence": 1},
    {"sequence": 7},
    {"sequence": 2**32 - 1},
    {"interval_end": START},
    {"interval_end": START + 450},
    {"ahead": 2},
    {"network_id": bytes(8)},
    {"source": 3},
    {"register_epoch": 9},
    {"flags": 1 << 9},
    {"flags": RESET_FLAG},
    {"previous_hash": b"\1" * 16},
    {"registers": (0, 0, 0, 0)},
    {"registers": (1, 1, 1, 1)},
    {"registers": (2**64 - 1,) * 4},
    {"flags": FLAG_TAMPER, "registers": (2**63,) * 4},
    {"flags": FLAG_ESTIMATED | FLAG_DATA_DOUBTFUL},
    {"flags": FLAG_BACK_FILLED, "register_epoch": 1},
)
"""What a record may have in place of what follows the last; the last ones may pass."""
keys = st.sampled_from(["authority", "authority", "authority", "successor", "another"])
rarely = st.integers(0, 11).map(lambda n: n == 0)


@dataclass
class Person(Member):
    """A member; `wallet` is the one that it has now, and the first one names its accounts for ever."""

    home: Pubkey

    @property
    def user(self) -> Pubkey:
        return programs.user_address(self.home)

    @property
    def energy_account(self) -> Pubkey:
        return programs.energy_account_address(self.home)

    @property
    def retirement(self) -> Pubkey:
        return programs.retirement_address(self.home)


def person(name: str) -> Person:
    """A member to be."""
    wallet = key(f"wallet {name}")
    return Person(wallet, wallet.pubkey())


def new_key(name: str, number: int) -> Any:
    return key(f"meter {name} key {number}")


def map_hash(number: int) -> bytes:
    """The hash of a meter's map by its number; the first is all zero."""
    return bytes(32) if number == 0 else hashlib.sha256(f"map {number}".encode()).digest()


class CampusLife(RuleBasedStateMachine):
    """Every rule is one transaction, sent to the programs and told to the model."""

    campus: Campus
    model: Model
    members: dict[str, Person]

    def make(self) -> None:
        """The campus, its model and its members to be."""
        raise NotImplementedError

    def open_the_market(self) -> None:
        """initialize_market, and what trading needs."""
        raise NotImplementedError

    @initialize()
    def begin(self) -> None:
        self.make()
        for member in self.members.values():
            self.campus.svm.airdrop(member.address, 10**10)
        self.campus.svm.airdrop(STRANGER.pubkey(), 10**12)
        self.gateways = {
            name: SimulatedMeter(new_key(name, 0), hashlib.sha256(name.encode()).digest(), "load", 0) for name in METERS
        }
        self.key_numbers, self.maps = dict.fromkeys(METERS, 0), dict.fromkeys(METERS, 0)
        for number, kind, storage in ((0, 7, 20_000), (1, 1, 0), (2, 5, 10_000), (3, 6, 0)):
            self.model.register_installation(number, kind, 100_000, storage)
            args = {"kind": kind, "nameplate_w": 100_000, "storage_wh": storage}
            self.campus.send(self.campus.register_installation_instruction(number, **args))
        # Most lives start with members and meters, so that energy flows; what is random may undo it.
        for name, role in (("alice", 1), ("bob", 2)):
            self.register_user(name, role)
        for name, owner, kind in (
            ("m0", "alice", (1, 1)),
            ("m1", "alice", (2, 0)),
            ("m2", "alice", (3, 0)),
            ("m3", "bob", (0, 1)),
        ):
            self.register_meter(name, owner, 0, kind)
            self.open_meter(name)
        self.open_the_market()
        self.an_epoch((0, 0, 0, 0), None)
        self.an_epoch((9_000, 1_000, 0, 0), None)

    def both(
        self,
        predict: Callable[[], object],
        *instructions: Instruction,
        signers: tuple[Any, ...] = (),
        payer: Keypair | None = None,
    ) -> bool:
        """Do it in the model and on the chain: the same refusal, or none. Whether it was done."""
        expected: str | None = None
        try:
            predict()
        except Refused as refused:
            expected = refused.name
        found: str | None = None
        try:
            self.campus.send(*instructions, signers=signers, payer=payer)
        except Refusal as refusal:
            found = NAMES.get(refusal.name, refusal.name)
        assert found == expected, f"the programs say {found}, the model {expected}"
        return expected is None

    def actor(self, name: str, by: str) -> str:
        """Who signs for a member."""
        user = self.model.users.get(name)
        delegate = user.delegate if user is not None else None
        return {ITSELF: name, DELEGATE: delegate or name}.get(by, by)

    def wallet(self, name: str) -> Keypair:
        """The key of a member, or of a wallet by its name."""
        return self.members[name].wallet if name in self.members else key(name)

    def by_operator(self, program: str, name: str, args: dict[str, Any], **accounts: Any) -> Instruction:
        return self.campus.instruction(program, name, args, {"operator": self.campus.operator.pubkey(), **accounts})

    # Time and governance

    @rule(seconds=st.sampled_from([1, 300, EPOCH_SECONDS, 7 * EPOCH_SECONDS]))
    def time_passes(self, seconds: int) -> None:
        self.model.time += seconds
        self.campus.set_time(self.model.time)

    @rule(bits=st.sampled_from([1, 2, 4, 32, 64, 127, 128]), name=users, each=meters, step=steps)
    def a_pause(self, bits: int, name: str, each: str, step: int) -> None:
        """Pause something, try everything, resume."""
        self.set_paused(bits)
        self.register_user(name, 1)
        self.set_meter_map(each, 1)
        self.submit(each, self.permitted(each, (step,) * 4))
        self.settle(name, 0, None)
        self.retire(name, ITSELF, 1, 0, 2)
        self.issue_credit(name, 1)
        self.redeem_credit(name, 1)
        self.set_paused(0)

    def set_paused(self, bits: int) -> None:
        accounts = {"authority": self.campus.authority.pubkey()}
        instruction = self.campus.instruction("governance", "set_paused", {"bits": bits}, accounts)
        self.both(lambda: self.model.set_paused(bits), instruction)

    @rule(
        ahead=st.sampled_from([2, 2, 2, 2, 3, 5, 1, 0, -1, 35_137]),
        chosen=st.lists(st.sampled_from(PARAMETERS_STAGED), min_size=1, max_size=3),
    )
    def stage_parameters(self, ahead: int, chosen: list[tuple[str, int]]) -> None:
        """Any of the parameters, within its bounds and just beyond."""
        parameters = self.campus.parameters | dict(chosen)
        args = {"parameters": parameters, "from_epoch": max(0, self.model.epoch + ahead)}
        accounts = {"authority": self.campus.authority.pubkey()}
        self.both(
            lambda: self.model.stage_parameters(parameters, args["from_epoch"]),
            self.campus.instruction("governance", "stage_parameters", args, accounts),
        )

    @rule()
    def parameters_out_of_bounds(self) -> None:
        """Each of them alone, for the epoch after the next."""
        accounts = {"authority": self.campus.authority.pubkey()}
        for name, value in PARAMETERS_STAGED:
            parameters, ahead = self.campus.parameters | {name: value}, self.model.epoch + 2
            args = {"parameters": parameters, "from_epoch": ahead}
            instruction = self.campus.instruction("governance", "stage_parameters", args, accounts)
            before = copy.deepcopy((self.model.parameters, self.model.staged, self.model.staged_from))
            try:
                self.model.stage_parameters(parameters, ahead)
            except Refused:
                self.both(partial(self.model.stage_parameters, parameters, ahead), instruction)
            self.model.parameters, self.model.staged, self.model.staged_from = before

    @rule(pretender=st.sampled_from(["stranger", "operator", "night shift", "authority"]), name=users, each=meters)
    def a_pretender(self, pretender: str, name: str, each: str) -> None:
        """Somebody else than the operator tries what is the operator's, a former one too: refused, whatever it is."""
        if pretender == self.model.operator:
            return

        def refused() -> None:
            raise Refused("NotOperator")

        operator, self.campus.operator = self.campus.operator, key(pretender)
        self.campus.svm.airdrop(self.campus.operator.pubkey(), 10**10)
        instructions = [
            self.campus.register_installation_instruction(9),
            self.by_operator("governance", "open_billing_period", {}),
            self.campus.submit_instruction([self.gateways[each]]),
        ]
        if name in self.model.users:
            status = {"status": 2}
            instructions.append(self.by_operator("registry", "set_user_status", status, user=self.members[name].user))
        if each in self.model.meters:
            new_map = {"map_hash": bytes(32)}
            instructions.append(self.by_operator("registry", "set_meter_map", new_map, meter=self.gateways[each].meter))
        try:
            for instruction in instructions:
                self.both(refused, instruction)
        finally:
            self.campus.operator = operator

    @rule(by=keys, proposed=st.sampled_from(["successor", "authority", "another", None]))
    def propose_authority(self, by: str, proposed: str | None) -> None:
        args = {"pending": key(proposed).pubkey() if proposed else Pubkey.default()}
        accounts = {"authority": key(by).pubkey()}
        instruction = self.campus.instruction("governance", "propose_authority", args, accounts)
        self.both(lambda: self.model.propose_authority(by, proposed), instruction, signers=(key(by),))

    @rule(by=keys)
    def accept_authority(self, by: str) -> None:
        instruction = self.campus.instruction("governance", "accept_authority", {}, {"pending": key(by).pubkey()})
        if self.both(lambda: self.model.accept_authority(by), instruction, signers=(key(by),)):
            self.campus.authority = key(by)

    @rule(by=keys, operator=st.sampled_from(["operator", "night shift", None]))
    def set_operator(self, by: str, operator: str | None) -> None:
        args = {"operator": key(operator).pubkey() if operator else Pubkey.default()}
        accounts = {"authority": key(by).pubkey()}
        instruction = self.campus.instruction("governance", "set_operator", args, accounts)
        if self.both(lambda: self.model.set_operator(by, operator), instruction, signers=(key(by),)):
            self.campus.operator = key(self.model.operator)
            self.campus.svm.airdrop(self.campus.operator.pubkey(), 10**13)

    @rule()
    def open_billing_period(self) -> None:
        self.both(self.model.open_billing_period, self.by_operator("governance", "open_billing_period", {}))

    # Registry

    @rule(name=users, role=st.sampled_from([0, 0, 1, 2, 3]))
    def register_user(self, name: str, role: int) -> None:
        instruction = self.campus.register_user_instruction(person(name), role)
        self.both(lambda: self.model.register_user(name, role), instruction)

    @rule(
        number=st.integers(3, 5),
        kind=st.sampled_from([*range(len(KINDS)), len(KINDS)]),
        nameplate=st.sampled_from([0, 1, 100_000, 10**8, 10**8 + 1]),
        storage=st.sampled_from([0, 0, 10_000, 2**32]),
    )
    def register_installation(self, number: int, kind: int, nameplate: int, storage: int) -> None:
        args = {"kind": kind, "nameplate_w": nameplate, "storage_wh": storage}
        self.both(
            lambda: self.model.register_installation(number, kind, nameplate, storage),
            self.campus.register_installation_instruction(number, **args),
        )

    @rule(
        name=users,
        delegate=st.one_of(users, users, users, st.none()),
        term=st.sampled_from([0, 1, EPOCH_SECONDS, 5 * EPOCH_SECONDS, LONGEST_TERM, LONGEST_TERM + 1]),
    )
    def set_delegate(self, name: str, delegate: str | None, term: int) -> None:
        member, until = self.members[name], self.model.time + term
        address = self.members[delegate].address if delegate else Pubkey.default()
        self.both(
            lambda: self.model.set_delegate(name, delegate, until),
            self.campus.set_delegate_instruction(member, address, until),
            signers=(member.wallet,),
        )

    @rule(
        name=meters,
        owner=users,
        number=st.sampled_from([0, 0, 0, 1, 2, 3, 9]),
        kind=st.sampled_from(METER_KINDS),
    )
    def register_meter(self, name: str, owner: str, number: int, kind: tuple[int, int]) -> None:
        role, source = kind
        gateway = self.gateways[name]
        args = {
            "meter_id": gateway.meter_id,
            "role": role,
            "source": source,
            "map_hash": gateway.map_hash,
            "first_sequence": 1,
        }
        instruction = self.by_operator(
            "registry",
            "register_meter",
            args,
            user=self.members[owner].user,
            installation=programs.installation_address(number),
            meter=gateway.meter,
            key_use=programs.key_use_address(bytes(gateway.key.pubkey())),
        )
        number_of_key, map_ = self.key_numbers[name], self.maps[name]
        if self.both(
            lambda: self.model.register_meter(name, owner, number, role, source, number_of_key, map_),
            gateway.possession(),
            instruction,
        ):
            gateway.role, gateway.source = ROLES[role], source

    @rule(name=meters, owner=users, kinds=st.permutations(METER_KINDS))
    def register_some_meter(self, name: str, owner: str, kinds: list[tuple[int, int]]) -> None:
        """The first of the kinds that its member may have, after those that it may not."""
        for kind in kinds:
            if name not in self.model.meters:
                self.register_meter(name, owner, 0, kind)
        self.open_meter(name)

    @rule(name=users)
    def a_member_goes_and_comes(self, name: str) -> None:
        """Suspended with its meters, which cannot be active without it; and taken in again."""
        owned = [each for each, meter in self.model.meters.items() if meter.user == name]
        for each in owned:
            self.set_meter_status(each, 2)
        self.set_user_status(name, 2)
        for status in (3, 2):
            self.set_user_status(name, status)
        for _ in range(2):
            for each in owned:
                self.set_meter_status(each, 1)
            self.set_user_status(name, 1)

    @rule(name=meters)
    def open_meter(self, name: str) -> None:
        gateway = self.gateways[name]
        owner = self.model.meters[name].user if name in self.model.meters else "alice"
        self.both(lambda: self.model.open_meter(name), self.campus.open_meter_instruction(gateway, self.members[owner]))

    @rule(name=users)
    def open_energy_account(self, name: str) -> None:
        member = self.members[name]
        self.both(
            lambda: self.model.open_energy_account(name),
            self.by_operator(
                "oracle", "open_energy_account", {}, user=member.user, energy_account=member.energy_account
            ),
        )

    @rule(name=users, role=st.integers(0, 3))
    def set_user_role(self, name: str, role: int) -> None:
        instruction = self.by_operator("registry", "set_user_role", {"role": role}, user=self.members[name].user)
        self.both(lambda: self.model.set_user_role(name, role), instruction)

    @rule(name=users, wallet=st.sampled_from([*WALLETS, None]))
    def propose_wallet(self, name: str, wallet: str | None) -> None:
        args = {"next": key(wallet).pubkey() if wallet else Pubkey.default()}
        instruction = self.by_operator("registry", "propose_wallet", args, user=self.members[name].user)
        self.both(lambda: self.model.propose_wallet(name, wallet), instruction)

    @rule(name=users, wallet=st.sampled_from([*WALLETS, None, None]))
    def replace_wallet(self, name: str, wallet: str | None) -> None:
        """By the proposed wallet, or by another."""
        user = self.model.users.get(name)
        chosen = wallet or (user.next_wallet if user else None) or "next"
        instruction = self.campus.replace_wallet_instruction(self.members[name], key(chosen).pubkey())
        if self.both(lambda: self.model.replace_wallet(name, chosen), instruction):
            self.members[name].wallet = key(chosen)

    @rule(name=users, wallet=st.sampled_from(WALLETS), early=rarely, delegate=st.one_of(users, st.none()))
    def a_lost_key(self, name: str, wallet: str, early: bool, delegate: str | None) -> None:
        """A wallet is proposed, and replaced when it is due; somebody may have it as a delegate."""
        if delegate is not None and delegate != name:
            self.set_delegate(delegate, name, LONGEST_TERM)
        self.propose_wallet(name, wallet)
        self.time_passes((WALLET_DELAY_EPOCHS - early) * EPOCH_SECONDS)
        self.open_billing_period()
        self.replace_wallet(name, wallet)
        for token in (0, 1):
            self.bring_over(name, token, 10**12)

    @rule(name=users, token=st.sampled_from([0, 1]), amount=st.sampled_from([1, 500, 10**12]))
    def bring_over(self, name: str, token: int, amount: int) -> None:
        """A former wallet sends what it still has to the member's account."""
        store = (self.model.credits, self.model.tokens)[token]
        for former in [each for each in store if each not in self.model.users]:
            if name in self.model.users:
                self._transfer(former, former, name, token, min(amount, store[former]))

    @rule(
        number=st.sampled_from([0, 0, 0, 1, 2, 9]),
        nameplate=st.sampled_from([100_000, 50_000, 200_000, 0]),
        storage=st.sampled_from([20_000, 0, 40_000, 2**32]),
        ahead=st.sampled_from([1, 1, 2, 5, 0]),
        each=meters,
    )
    def stage_installation(self, number: int, nameplate: int, storage: int, ahead: int, each: str) -> None:
        from_epoch = self.model.epoch + ahead
        self.both(
            lambda: self.model.stage_installation(number, nameplate, storage, from_epoch),
            self.campus.stage_installation_instruction(number, nameplate, storage, from_epoch),
        )
        self.follow_installation(number, each)

    @rule(number=st.sampled_from([0, 0, 1, 2, 9]), each=meters)
    def follow_installation(self, number: int, each: str) -> None:
        self.both(
            lambda: self.model.follow_installation(number, each),
            self.campus.follow_installation_instruction(number, self.gateways[each]),
        )

    @rule(name=users, status=st.sampled_from([1, 1, 1, 1, 2, 3, 0]))
    def set_user_status(self, name: str, status: int) -> None:
        instruction = self.by_operator("registry", "set_user_status", {"status": status}, user=self.members[name].user)
        self.both(lambda: self.model.set_user_status(name, status), instruction)

    @rule(name=meters, status=st.sampled_from([1, 1, 1, 2, 2, 3, 4]))
    def set_meter_status(self, name: str, status: int) -> None:
        owner = self.model.meters[name].user if name in self.model.meters else "alice"
        instruction = self.by_operator(
            "registry",
            "set_meter_status",
            {"status": status},
            user=self.members[owner].user,
            meter=self.gateways[name].meter,
        )
        self.both(lambda: self.model.set_meter_status(name, status), instruction)

    @rule(name=meters, taker=users)
    def reassign_meter(self, name: str, taker: str) -> None:
        giver = self.model.meters[name].user if name in self.model.meters else "alice"
        gateway = self.gateways[name]
        instruction = self.by_operator(
            "registry",
            "reassign_meter",
            {},
            meter=gateway.meter,
            from_user=self.members[giver].user,
            to_user=self.members[taker].user,
            meter_state=gateway.state,
        )
        self.both(lambda: self.model.reassign_meter(name, taker), instruction)

    @rule(
        name=meters,
        fresh=rarely.map(lambda old: not old),
        first=st.sampled_from([1, 1, 1, 2, 7, 2**31 - 1, 0, 2**31]),
        outdated=rarely,
    )
    def replace_meter_key(self, name: str, fresh: bool, first: int, outdated: bool) -> None:
        """With a proof under the map that holds, or under an outdated one; with a new key, or one that was used."""
        gateway = self.gateways[name]
        number = self.key_numbers[name] + 1 if fresh else self.key_numbers[name]
        new = new_key(name, number)
        instruction = self.by_operator(
            "registry",
            "replace_meter_key",
            {"first_sequence": first},
            meter=gateway.meter,
            key_use=programs.key_use_address(bytes(new.pubkey())),
        )
        proof = gateway.possession(first, key=new)
        if outdated:
            proof = replace(gateway, map_hash=map_hash(self.maps[name] - 1)).possession(first, key=new)
        map_ = self.maps[name] - outdated
        if self.both(lambda: self.model.replace_meter_key(name, number, first, map_), proof, instruction):
            gateway.key, self.key_numbers[name] = new, number

    @rule(name=meters, change=st.integers(0, 2))
    def set_meter_map(self, name: str, change: int) -> None:
        """Another map, or the same once more."""
        gateway, map_ = self.gateways[name], self.maps[name] + change
        args = {"map_hash": map_hash(map_)}
        instruction = self.by_operator("registry", "set_meter_map", args, meter=gateway.meter)
        if self.both(lambda: self.model.set_meter_map(name, map_), instruction):
            gateway.map_hash, self.maps[name] = map_hash(map_), map_

    # Readings

    def record(self, name: str, step: tuple[int, ...], **changes: Any) -> tuple[Reading, Any]:
        """The reading after the last, as the model and as the programs see it."""
        gateway, state = self.gateways[name], self.model.states.get(name)
        meter = self.model.meters.get(name)
        follows = state is not None and meter is not None and state.interval_end and state.keys == meter.keys
        last = state.sequence if follows and state else 0
        fields: dict[str, Any] = {
            "sequence": max(last + 1, meter.first_sequence if meter else 1),
            "network_id": NETWORK_ID,
            "interval_end": self.model.epoch * EPOCH_SECONDS,
            "registers": tuple(
                before + more for before, more in zip(state.registers if state else (0,) * 4, step, strict=True)
            ),
            "source": gateway.source,
            "register_epoch": state.register_epoch if state else 0,
            "flags": 0,
            "previous_hash": state.previous_hash if state else bytes(16),
        }
        fields |= changes
        generation, consumption, charge, discharge = fields.pop("registers")
        end = fields.pop("interval_end")
        record = gateway.record(
            end, generation=generation, consumption=consumption, charge=charge, discharge=discharge, **fields
        )
        reading = Reading(
            self.key_numbers[name],
            fields["network_id"] == NETWORK_ID,
            fields["sequence"],
            end,
            (generation, consumption, charge, discharge),
            fields["source"],
            fields["register_epoch"],
            fields["flags"],
            fields["previous_hash"],
            hashlib.sha256(record.to_bytes()).digest()[:16],
        )
        return reading, gateway.sign(record)

    def permitted(self, name: str, values: tuple[int, ...]) -> tuple[int, ...]:
        """Steps of the registers that the meter's role has, so that most readings are good ones."""
        role = self.gateways[name].role
        masks = {
            "building": (1, 1, 1, 1),
            "generation": (1, 0, 0, 0),
            "storage": (0, 0, 1, 1),
            "load": (0, 1, 0, 0),
            "grid": (1, 1, 0, 0),
            "submeter": (1, 1, 1, 1),
        }
        return tuple(value * mask for value, mask in zip(values, masks[role], strict=True))

    @rule(values=st.tuples(steps, steps, steps, steps), chosen=st.lists(meters, min_size=1, max_size=6, unique=True))
    def readings_at_the_boundary(self, values: tuple[int, ...], chosen: list[str]) -> None:
        for name in chosen:
            self.submit(name, self.permitted(name, values))

    @rule(name=meters, values=st.tuples(steps, steps, steps, steps), waits=st.booleans())
    def hostile_readings(self, name: str, values: tuple[int, ...], waits: bool) -> None:
        """One after another, each with something wrong or odd, at a new boundary or at an old one."""
        if waits:
            self.to_the_next_boundary()
        for change in HOSTILE:
            changes = dict(change)
            if "ahead" in changes:
                changes["interval_end"] = (self.model.epoch + changes.pop("ahead")) * EPOCH_SECONDS
            self.submit(name, self.permitted(name, values), **changes)

    @rule(
        name=meters,
        values=st.tuples(steps, steps, steps, steps),
        step=st.sampled_from([2, 3, 15, 16, 17, 18, 19, 40, 35_136, 35_137, 35_138, 2**30]),
        silent=st.sampled_from([0, 0, 1, 2, 3]),
    )
    def a_jump(self, name: str, values: tuple[int, ...], step: int, silent: int) -> None:
        """A sequence steps by more than one: no further than the epochs since the last reading allow."""
        self.model.time += silent * EPOCH_SECONDS
        self.campus.set_time(self.model.time)
        follows, _ = self.record(name, (0,) * 4)
        self.submit(name, self.permitted(name, values), sequence=min(2**32 - 1, follows.sequence - 1 + step))

    def submit(self, name: str, values: tuple[int, ...], **changes: Any) -> None:
        gateway = self.gateways[name]
        reading, frame = self.record(name, values, **changes)
        self.both(
            lambda: self.model.submit(name, reading),
            programs.ed25519_frames([frame]),
            self.campus.submit_instruction([gateway]),
        )

    @rule(
        name=meters,
        flags=st.sampled_from([RESET_FLAG, RESET_FLAG, 0]),
        ahead=st.sampled_from([1, 1, 0, 2]),
        waits=st.booleans(),
    )
    def rebase(self, name: str, flags: int, ahead: int, waits: bool) -> None:
        if waits:
            self.to_the_next_boundary()
        gateway, state = self.gateways[name], self.model.states.get(name)
        epoch = ((state.register_epoch if state else 0) + ahead) % 256
        reading, frame = self.record(name, (0,) * 4, flags=flags, register_epoch=epoch, registers=(5, 5, 5, 5))
        instruction = self.by_operator("oracle", "rebase_meter", {}, meter=gateway.meter, meter_state=gateway.state)
        self.both(lambda: self.model.rebase(name, reading), programs.ed25519_frames([frame]), instruction)

    @rule(
        values=st.tuples(steps, steps, steps, steps),
        chosen=st.lists(meters, min_size=2, max_size=4),
        back=st.integers(0, 3),
    )
    def readings_in_one_transaction(self, values: tuple[int, ...], chosen: list[str], back: int) -> None:
        """Up to four, of one meter or of several, back-filled ones too: all of them are taken, or none."""
        if not set(chosen) <= set(self.model.states):
            return
        before, readings, frames = copy.deepcopy(self.model.states), [], []
        signed: dict[str, int] = {}
        for name in chosen:
            ago = max(0, back - signed.get(name, 0))
            signed[name] = signed.get(name, 0) + 1
            end = (self.model.epoch - ago) * EPOCH_SECONDS
            reading, frame = self.record(name, self.permitted(name, values), interval_end=end)
            readings.append((name, reading))
            frames.append(frame)
            try:
                self.model.submit(name, reading)  # so that the next record follows this one
            except Refused:
                break
        self.model.states = copy.deepcopy(before)

        def all_or_none() -> None:
            try:
                for name, reading in readings:
                    self.model.submit(name, reading)
            except Refused:
                self.model.states = before
                raise

        gateways = [self.gateways[name] for name, _ in readings]
        self.both(all_or_none, programs.ed25519_frames(frames), self.campus.submit_instruction(gateways))

    # Settlement

    @rule(values=st.tuples(steps, steps, steps, steps), late=st.one_of(st.none(), st.none(), meters))
    def an_epoch(self, values: tuple[int, ...], late: str | None) -> None:
        """The next boundary: every meter but a late one is read, every member settled."""
        self.to_the_next_boundary()
        for name in [name for name in self.model.states if name != late]:
            self.submit(name, self.permitted(name, values))
        for name in list(self.model.users):
            self.settle(name, 0, None)

    @rule(
        generation=st.integers(0, 27_000),
        consumption=st.integers(0, 9_000),
        charge=st.integers(0, 20_000),
        discharge=st.integers(0, 10_000),
    )
    def a_sunny_epoch(self, generation: int, consumption: int, charge: int, discharge: int) -> None:
        """Much generation, so that there is a surplus to mint, to bank and to retire."""
        self.an_epoch((generation, consumption, charge, discharge), None)

    @rule(consumption=st.integers(0, 20_000), discharge=st.integers(0, 20_000))
    def a_dark_epoch(self, consumption: int, discharge: int) -> None:
        """No generation: storage is emptied, energy withdrawn."""
        self.an_epoch((0, consumption, 0, discharge), None)

    def to_the_next_boundary(self) -> None:
        self.model.time = (self.model.epoch + 1) * EPOCH_SECONDS
        self.campus.set_time(self.model.time)

    @rule(name=users, behind=st.sampled_from([0, 0, 0, 0, 1]), withheld=st.sampled_from([None, None, None, 0, 1]))
    def settle(self, name: str, behind: int, withheld: int | None) -> None:
        boundary = (self.model.epoch - behind) * EPOCH_SECONDS
        owned = [each for each, meter in self.model.meters.items() if meter.user == name and meter.slot != 255]
        if withheld is not None and withheld < len(owned):
            del owned[withheld]
        self._settle(name, boundary, owned)

    @rule(name=users, chosen=st.lists(meters, max_size=4))
    def settle_with_any_meters(self, name: str, chosen: list[str]) -> None:
        if len(set(chosen)) == len(chosen):
            self._settle(name, self.model.epoch * EPOCH_SECONDS, chosen)

    def _settle(self, name: str, boundary: int, chosen: list[str]) -> None:
        member = self.members[name]
        instruction = self.campus.settle_instruction(member, boundary, [self.gateways[each] for each in chosen])
        self.both(lambda: self.model.settle(name, boundary, chosen), instruction)

    @rule(name=users, each=meters)
    def settle_idle_meter(self, name: str, each: str) -> None:
        owner = name
        member, gateway = self.members[owner], self.gateways[each]
        instruction = self.by_operator(
            "oracle",
            "settle_idle_meter",
            {},
            user=member.user,
            energy_account=member.energy_account,
            meter=gateway.meter,
            meter_state=gateway.state,
        )
        self.both(lambda: self.model.settle_idle(owner, each), instruction)

    @rule(each=meters, epochs=st.integers(1, 6), values=st.tuples(steps, steps, steps, steps))
    def a_meter_goes(self, each: str, epochs: int, values: tuple[int, ...]) -> None:
        """It is silent for a while, is read once more, and suspended; what it drew is billed, and it comes back."""
        for _ in range(epochs):
            self.an_epoch(values, each)
        self.submit(each, self.permitted(each, values))
        self.set_meter_status(each, 2)
        self.settle_idle_meter(self.model.meters[each].user if each in self.model.meters else "alice", each)
        self.set_meter_status(each, 1)

    @rule(ahead=st.sampled_from([1, 1, 1, 0, 2]), grow=st.integers(-1, 3), honest=rarely.map(lambda lie: not lie))
    def checkpoint(self, ahead: int, grow: int, honest: bool = True) -> None:
        last = self.model.last_checkpoint
        epoch = EPOCH if last is None else last + ahead
        size = max(0, self.model.log_size + grow)
        found = self.campus.svm.get_account(programs.book_address(epoch))
        book = Book(bytes(found.data)) if found is not None and found.data else None
        on_chain = book.hash() if book is not None and book.fields["epoch"] == epoch else bytes(32)
        book_hash = on_chain if honest else hashlib.sha256(b"another").digest()
        args = {"epoch": epoch, "log_size": size, "log_root": bytes(32), "book_hash": book_hash}
        instruction = self.by_operator(
            "oracle",
            "checkpoint_epoch",
            args,
            checkpoint=programs.checkpoint_address(epoch),
            book=programs.book_address(epoch),
        )
        self.both(lambda: self.model.checkpoint(epoch, size, book_hash, on_chain), instruction)

    # Tokens

    @rule(name=users, amount=st.sampled_from([0, 1, 5_000_000]))
    def issue_credit(self, name: str, amount: int) -> None:
        member = self.members[name]
        instruction = self.by_operator(
            "energy_token",
            "issue_credit",
            {"amount": amount},
            user=member.user,
            credit_token_account=member.credit_tokens,
        )
        self.both(lambda: self.model.issue_credit(name, amount), instruction)

    @rule(name=users, amount=st.sampled_from([0, 1, 4_000_000]))
    def redeem_credit(self, name: str, amount: int) -> None:
        member = self.members[name]
        accounts = {"wallet": member.address, "user": member.user, "credit_token_account": member.credit_tokens}
        self.both(
            lambda: self.model.redeem_credit(name, amount),
            self.campus.instruction("energy_token", "redeem_credit", {"amount": amount}, accounts),
            signers=(member.wallet,),
        )

    @rule(
        name=users,
        by=signers,
        reason=st.sampled_from([0, 0, 0, 1, 1, 2]),
        period=st.sampled_from([0, 0, 0, -1, 1]),
        part=st.sampled_from([0, 1, 1, 2, 2, 3, 4, 5]),
        source=st.sampled_from([0, 1, 1, 2]),
    )
    def retire(self, name: str, by: str, reason: int, period: int, part: int, source: int = 1) -> None:
        member, by = self.members[name], self.actor(name, by)
        energy = self.model.energy.get(name)
        held = self.model.seats.get(name, [0, 0])[1] if source else self.model.tokens.get(name, 0)
        open_withdrawals = energy.withdrawals_open if energy else 0
        retired = self.model.retired.get(name)
        left = open_withdrawals - (retired.consumption_open if retired else 0)
        own = (energy.minted if energy else 0) - (retired.feed_in_total if retired else 0)
        amount = (0, max(0, min(held, left)), held // 2, held + 1, max(0, left) + 1, max(0, own) + 1)[part]
        number = max(0, self.model.period + period)
        accounts = {
            "payer": self.campus.operator.pubkey(),
            "member": self.wallet(by).pubkey(),
            "user": member.user,
            "retirement": member.retirement,
            "energy_account": member.energy_account,
            "energy_token_account": member.energy_tokens,
            "credit_token_account": member.credit_tokens,
        }
        args = {"reason": reason, "period": number, "amount": amount, "source": source}
        self.both(
            lambda: self.model.retire(name, by, reason, number, amount, source),
            self.campus.instruction("energy_token", "retire_energy", args, accounts),
            signers=(self.wallet(by),),
        )

    # What SPL Token lets a member do by itself

    @rule(name=users, token=st.sampled_from([0, 1]), sure=rarely)
    def give_an_account_away(self, name: str, token: int, sure: bool) -> None:
        """SetAuthority to somebody outside: from then on what is minted goes to the seat."""
        if not sure or name not in self.model.users:
            return
        data = bytes([6, 2, 1]) + bytes(key("thief").pubkey())
        self.both(
            lambda: self.model.give_away(name, token),
            self._spl(name, data, self._account(name, token)),
            signers=(self.members[name].wallet,),
        )

    @rule(name=users, token=st.sampled_from([0, 1]), amount=st.sampled_from([0, 100, 10_000, 60_000_000]))
    def approve(self, name: str, token: int, amount: int) -> None:
        """SPL approve: what the member's delegate may deposit."""
        if name not in self.model.users:
            return
        self.both(
            lambda: self.model.approve(name, token, amount),
            approve_instruction(self.members[name], self._account(name, token), amount),
            signers=(self.wallet(name),),
        )

    @rule(
        name=users,
        by=st.one_of(st.just(ITSELF), users),
        to=users,
        token=st.sampled_from([0, 1]),
        amount=st.sampled_from([0, 1, 500, 10**7]),
    )
    def send_tokens(self, name: str, by: str, to: str, token: int, amount: int) -> None:
        """SPL transfer, past the market: by the member, or by whom it approved."""
        if name != to and {name, to} <= set(self.model.users):
            self._transfer(name, self.actor(name, by), to, token, amount)

    def _transfer(self, name: str, by: str, to: str, token: int, amount: int) -> None:
        data = bytes([3]) + amount.to_bytes(8, "little")
        accounts = (self._account(name, token), self._account(to, token))
        self.both(
            lambda: self.model.transfer(name, by, to, token, amount),
            self._spl(by, data, *accounts),
            signers=(self.wallet(by),),
        )

    @rule(name=users, to=users, token=st.sampled_from([0, 1]), amount=st.sampled_from([0, 400, 10**8]), spend=amounts)
    def approve_another(self, name: str, to: str, token: int, amount: int, spend: int) -> None:
        """SPL approve: another member may move tokens, and does; whatever was approved to the market is no more."""
        if name == to or not {name, to} <= set(self.model.users):
            return
        data = bytes([4]) + amount.to_bytes(8, "little")
        account, wallet = self._account(name, token), self.wallet(name)
        metas = [AccountMeta(account, False, True), AccountMeta(self.wallet(to).pubkey(), False, False)]
        metas.append(AccountMeta(wallet.pubkey(), True, False))
        self.both(
            lambda: self.model.approve_another(name, to, token, amount),
            Instruction(programs.TOKEN_PROGRAM, data, metas),
            signers=(wallet,),
        )
        self._transfer(name, to, to, token, spend)

    @rule(name=users, token=st.sampled_from([0, 1]))
    def revoke(self, name: str, token: int) -> None:
        """SPL revoke."""
        if name in self.model.users:
            instruction = self._spl(name, bytes([5]), self._account(name, token))
            self.both(lambda: self.model.revoke(name, token), instruction, signers=(self.wallet(name),))

    @rule(name=users, token=st.sampled_from([0, 1]), amount=st.sampled_from([1, 300]))
    def burn_tokens(self, name: str, token: int, amount: int) -> None:
        """SPL burn, for nothing."""
        if name not in self.model.users:
            return
        data = bytes([8]) + amount.to_bytes(8, "little")
        mint = programs.energy_mint() if token else programs.credit_mint()
        self.both(
            lambda: self.model.burn(name, token, amount),
            self._spl(name, data, self._account(name, token), mint),
            signers=(self.wallet(name),),
        )

    @rule(name=users, token=st.sampled_from([0, 1]), empty=st.booleans())
    def close_an_account(self, name: str, token: int, empty: bool) -> None:
        """SPL close, after it was emptied or as it is: what is minted then goes to the seat."""
        if name not in self.model.users:
            return
        if empty:
            others = [each for each in self.model.users if each != name]
            self._transfer(name, name, others[0], token, (self.model.credits, self.model.tokens)[token][name])
        metas = [AccountMeta(self._account(name, token), False, True)]
        metas += [AccountMeta(self.wallet(name).pubkey(), signs, not signs) for signs in (False, True)]
        self.both(
            lambda: self.model.close(name, token),
            Instruction(programs.TOKEN_PROGRAM, bytes([9]), metas),
            signers=(self.wallet(name),),
        )

    @rule(name=users, token=st.sampled_from([0, 1]))
    def reopen_an_account(self, name: str, token: int) -> None:
        """A stranger makes a member's associated token account again."""
        if name in self.model.users:
            mint = programs.energy_mint() if token else programs.credit_mint()
            made = programs.create_associated_token_account(STRANGER.pubkey(), self.members[name].address, mint)
            self.both(lambda: self.model.reopen(name, token), made, payer=STRANGER)

    def _account(self, name: str, token: int) -> Pubkey:
        mint = programs.energy_mint() if token else programs.credit_mint()
        return programs.associated_token_address(self.wallet(name).pubkey(), mint)

    def _spl(self, name: str, data: bytes, *accounts: Pubkey) -> Instruction:
        metas = [AccountMeta(account, False, True) for account in accounts]
        metas.append(AccountMeta(self.wallet(name).pubkey(), True, False))
        return Instruction(programs.TOKEN_PROGRAM, data, metas)

    # What holds after every step

    @invariant()
    def chain_and_model_agree(self) -> None:
        if not hasattr(self, "model"):
            return
        campus, model = self.campus, self.model
        for name, user in model.users.items():
            member = self.members[name]
            found = campus.account("registry", member.user)
            assert (found["member_index"], found["role"], found["status"]) == (user.index, user.role, user.status)
            assert found["settling_meters"] == sum(1 << slot for slot in user.slots)
            assert found["submeters"] == user.submeters
            assert found["next_wallet_from"] == user.next_wallet_from
            assert found["wallet"] == member.address == key(user.wallet).pubkey()
            delegate = self.wallet(user.delegate).pubkey() if user.delegate else Pubkey.default()
            assert (found["delegate"], found["delegate_until"]) == (delegate, user.delegate_until)
            assert campus.seat(member) == (model.seats[name][1], model.seats[name][0])
        for token, store in enumerate((model.credits, model.tokens)):
            for name, amount in store.items():
                found_account = campus.svm.get_account(self._account(name, token))
                is_there = found_account is not None and bool(found_account.data)
                assert is_there == ((name, token) not in model.closed)
                assert amount == (campus.tokens(self._account(name, token)) if is_there else 0)
        for name, meter in model.meters.items():
            found = campus.account("registry", self.gateways[name].meter)
            assert found["user"] == self.members[meter.user].home
            assert (found["slot"], found["status"], found["generation"]) == (meter.slot, meter.status, meter.generation)
            assert (found["keys"], found["user_since"]) == (meter.keys, meter.user_since)
            assert found["map_hash"] == map_hash(meter.map)
        for name, state in model.states.items():
            found = campus.account("oracle", self.gateways[name].state)
            for field in ("generation", "keys", "sequence", "interval_end", "register_epoch", "settled_end", "doubt"):
                assert found[field] == getattr(state, field), (name, field)
            assert tuple(found["registers"]) == state.registers
            assert tuple(found["settled"]) == state.settled
            assert tuple(found["carried"]) == state.carried
        for name, energy in model.energy.items():
            found = campus.account("oracle", self.members[name].energy_account)
            for field in [
                "period",
                "boundary",
                "bank",
                "withdrawals_open",
                "withdrawals_previous",
                "minted",
                "withdrawn",
                "surplus",
            ]:
                assert found[field] == getattr(energy, field), (name, field)
        for name, retired in model.retired.items():
            found = campus.account("energy_token", self.members[name].retirement)
            for field, value in vars(retired).items():
                assert found[field] == value, (name, field)
            assert retired.feed_in_total <= model.energy[name].minted, "more was fed in than the own meters' surplus"

    def in_vaults(self) -> tuple[int, int]:
        """What the market holds of energy and of credits."""
        return self.campus.tokens(programs.energy_vault()), self.campus.tokens(programs.credit_vault())

    @invariant()
    def everything_is_conserved(self) -> None:
        if not hasattr(self, "model"):
            return
        campus, model = self.campus, self.model
        supply = campus.supply(programs.energy_mint())
        traded, paid = self.in_vaults()
        retired = sum(each.consumption_total + each.feed_in_total for each in model.retired.values())
        assert supply == sum(model.tokens.values()) + traded
        assert model.minted == supply + retired + model.burnt
        assert campus.supply(programs.credit_mint()) == sum(model.credits.values()) + paid
        for energy in model.energy.values():
            assert energy.minted + energy.bank <= energy.surplus
        if model.states:
            totals = campus.account("oracle", programs.oracle_authority())
            assert (totals["minted"], totals["withdrawn"]) == (model.minted, model.withdrawn)
            assert totals["settlements"] == model.settlements

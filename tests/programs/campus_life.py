"""The steps of a campus's random life without its market: each is sent to the programs and told to campus_model.

trading/test_whole_campus.py adds the market's and runs them.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
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
from campus_model import LONGEST_TERM, RESET_FLAG, ROLES, Model, Reading, Refused
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from market_accounts import Book
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from authority.chain import programs
from edge_agent.wire.reading import FLAG_BACK_FILLED, FLAG_DATA_DOUBTFUL, FLAG_ESTIMATED, FLAG_TAMPER

EPOCH = START // EPOCH_SECONDS
USERS = ("alice", "bob", "carol")
METERS = ("m0", "m1", "m2", "m3", "m4", "m5")
NAMES = {"InstructionErrorCustom(1)": "InsufficientFunds", "InstructionErrorCustom(4)": "OwnerMismatch"}  # SPL Token's

users = st.sampled_from(USERS)
meters = st.sampled_from(METERS)
steps = st.one_of(st.integers(0, 3_000), st.sampled_from([0, 0, 27_501, 30_000, 120_000]))
ITSELF, DELEGATE = "itself", "delegate"
signers = st.sampled_from([ITSELF, ITSELF, DELEGATE, DELEGATE, *USERS])
"""Who acts for a member."""
keys = st.sampled_from(["authority", "authority", "authority", "successor", "another"])
rarely = st.integers(0, 11).map(lambda n: n == 0)


def new_key(name: str, number: int) -> Any:
    return key(f"meter {name} key {number}")


class CampusLife(RuleBasedStateMachine):
    """Every rule is one transaction, sent to the programs and told to the model."""

    campus: Campus
    model: Model
    members: dict[str, Member]

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
        self.gateways = {
            name: SimulatedMeter(new_key(name, 0), hashlib.sha256(name.encode()).digest(), "load", 0) for name in METERS
        }
        self.key_numbers = dict.fromkeys(METERS, 0)
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

    def both(self, predict: Callable[[], object], *instructions: Instruction, signers: tuple[Any, ...] = ()) -> bool:
        """Do it in the model and on the chain: the same refusal, or none. Whether it was done."""
        expected: str | None = None
        try:
            predict()
        except Refused as refused:
            expected = refused.name
        found: str | None = None
        try:
            self.campus.send(*instructions, signers=signers)
        except Refusal as refusal:
            found = NAMES.get(refusal.name, refusal.name)
        assert found == expected, f"the programs say {found}, the model {expected}"
        return expected is None

    def actor(self, name: str, by: str) -> str:
        """Who signs for a member."""
        user = self.model.users.get(name)
        delegate = user.delegate if user is not None else None
        return {ITSELF: name, DELEGATE: delegate or name}.get(by, by)

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
        self.set_meter_map(each)
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
        ahead=st.sampled_from([2, 3, 5, 1, 0, -1]),
        efficiency=st.sampled_from([8_000, 10_000, 0, 10_001]),
        feed_in=st.sampled_from([40_000, 50_000, 1, 0, 300_001]),
        netting=st.sampled_from([1, 2, 4, 4, 8, 96, 0, 97]),
        largest=st.sampled_from([1_000_000, 1_000_000, 8_388_607, 8_388_608]),
    )
    def stage_parameters(self, ahead: int, efficiency: int, feed_in: int, netting: int, largest: int) -> None:
        changes = {
            "storage_efficiency_bps": efficiency,
            "feed_in_price": feed_in,
            "netting_epochs": netting,
            "max_order_wh": largest,
        }
        parameters = self.campus.parameters | changes
        args = {"parameters": parameters, "from_epoch": self.model.epoch + ahead}
        accounts = {"authority": self.campus.authority.pubkey()}
        self.both(
            lambda: self.model.stage_parameters(parameters, args["from_epoch"]),
            self.campus.instruction("governance", "stage_parameters", args, accounts),
        )

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
        instruction = self.campus.register_user_instruction(self.members[name], role)
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
        kind=st.sampled_from(
            [(0, 1), (0, 0), (1, 1), (1, 2), (2, 0), (3, 0), (3, 0), (4, 0), (5, 0), (1, 0), (6, 0), (3, 5)]
        ),
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
        number_of_key = self.key_numbers[name]
        if self.both(
            lambda: self.model.register_meter(name, owner, number, role, source, number_of_key),
            gateway.possession(),
            instruction,
        ):
            gateway.role, gateway.source = ROLES[role], source

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

    @rule(name=users, wallet=st.sampled_from(["next", None]))
    def propose_wallet(self, name: str, wallet: str | None) -> None:
        args = {"next": key(wallet).pubkey() if wallet else Pubkey.default()}
        instruction = self.by_operator("registry", "propose_wallet", args, user=self.members[name].user)
        self.both(lambda: self.model.propose_wallet(name, wallet), instruction)

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
    )
    def replace_meter_key(self, name: str, fresh: bool, first: int) -> None:
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
        if self.both(
            lambda: self.model.replace_meter_key(name, number, first), gateway.possession(first, key=new), instruction
        ):
            gateway.key, self.key_numbers[name] = new, number

    @rule(name=meters)
    def set_meter_map(self, name: str) -> None:
        gateway = self.gateways[name]
        instruction = self.by_operator("registry", "set_meter_map", {"map_hash": gateway.map_hash}, meter=gateway.meter)
        self.both(lambda: self.model.set_meter_map(name), instruction)

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

    @rule(
        name=meters,
        values=st.tuples(steps, steps, steps, steps),
        change=st.sampled_from(
            [
                {"sequence": 0},
                {"sequence": 7},
                {"sequence": 30},
                {"sequence": 2**32 - 1},
                {"interval_end": START},
                {"interval_end": START + 450},
                {"network_id": bytes(8)},
                {"source": 3},
                {"register_epoch": 1},
                {"register_epoch": 9},
                {"flags": 1 << 9},
                {"flags": RESET_FLAG},
                {"flags": FLAG_BACK_FILLED},
                {"flags": FLAG_TAMPER},
                {"flags": FLAG_ESTIMATED | FLAG_DATA_DOUBTFUL},
                {"previous_hash": b"\1" * 16},
                {"registers": (0, 0, 0, 0)},
                {"registers": (2**64 - 1,) * 4},
            ]
        ),
    )
    def a_hostile_reading(self, name: str, values: tuple[int, ...], change: dict[str, Any]) -> None:
        self.submit(name, values, **change)

    def submit(self, name: str, values: tuple[int, ...], **changes: Any) -> None:
        gateway = self.gateways[name]
        reading, frame = self.record(name, values, **changes)
        self.both(
            lambda: self.model.submit(name, reading),
            programs.ed25519_frames([frame]),
            self.campus.submit_instruction([gateway]),
        )

    @rule(name=meters, flags=st.sampled_from([RESET_FLAG, RESET_FLAG, 0]), ahead=st.sampled_from([1, 1, 0, 2]))
    def rebase(self, name: str, flags: int, ahead: int) -> None:
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
        part=st.sampled_from([0, 1, 1, 2, 2, 3]),
        source=st.sampled_from([0, 1, 1, 2]),
    )
    def retire(self, name: str, by: str, reason: int, period: int, part: int, source: int = 1) -> None:
        member, by = self.members[name], self.actor(name, by)
        energy = self.model.energy.get(name)
        held = self.model.seats.get(name, [0, 0])[1] if source else self.model.tokens.get(name, 0)
        open_withdrawals = energy.withdrawals_open if energy else 0
        retired = self.model.retired.get(name)
        left = open_withdrawals - (retired.consumption_open if retired else 0)
        amount = (0, max(0, min(held, left)), held // 2, held + 1)[part]
        number = max(0, self.model.period + period)
        accounts = {
            "payer": self.campus.operator.pubkey(),
            "member": self.members[by].address,
            "user": member.user,
            "retirement": programs.retirement_address(member.address),
            "energy_account": member.energy_account,
            "energy_token_account": member.energy_tokens,
            "credit_token_account": member.credit_tokens,
        }
        args = {"reason": reason, "period": number, "amount": amount, "source": source}
        self.both(
            lambda: self.model.retire(name, by, reason, number, amount, source),
            self.campus.instruction("energy_token", "retire_energy", args, accounts),
            signers=(self.members[by].wallet,),
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
            signers=(self.members[name].wallet,),
        )

    @rule(name=users, to=users, token=st.sampled_from([0, 1]), amount=st.sampled_from([0, 1, 500, 10**7]))
    def send_tokens(self, name: str, to: str, token: int, amount: int) -> None:
        """SPL transfer, past the market."""
        if name == to or not {name, to} <= set(self.model.users):
            return
        data = bytes([3]) + amount.to_bytes(8, "little")
        accounts = (self._account(name, token), self._account(to, token))
        self.both(
            lambda: self.model.transfer(name, to, token, amount),
            self._spl(name, data, *accounts),
            signers=(self.members[name].wallet,),
        )

    @rule(name=users, amount=st.sampled_from([1, 300]))
    def burn_tokens(self, name: str, amount: int) -> None:
        """SPL burn, for nothing."""
        if name not in self.model.users:
            return
        data = bytes([8]) + amount.to_bytes(8, "little")
        self.both(
            lambda: self.model.burn(name, amount),
            self._spl(name, data, self._account(name, 1), programs.energy_mint()),
            signers=(self.members[name].wallet,),
        )

    def _account(self, name: str, token: int) -> Pubkey:
        member = self.members[name]
        return member.energy_tokens if token else member.credit_tokens

    def _spl(self, name: str, data: bytes, *accounts: Pubkey) -> Instruction:
        metas = [AccountMeta(account, False, True) for account in accounts]
        return Instruction(programs.TOKEN_PROGRAM, data, [*metas, AccountMeta(self.members[name].address, True, False)])

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
            assert campus.tokens(member.energy_tokens) == model.tokens[name]
            assert campus.tokens(member.credit_tokens) == model.credits[name]
            assert campus.seat(member) == (model.seats[name][1], model.seats[name][0])
        for name, meter in model.meters.items():
            found = campus.account("registry", self.gateways[name].meter)
            assert found["user"] == self.members[meter.user].address
            assert (found["slot"], found["status"], found["generation"]) == (meter.slot, meter.status, meter.generation)
            assert (found["keys"], found["user_since"]) == (meter.keys, meter.user_since)
        for name, state in model.states.items():
            found = campus.account("oracle", self.gateways[name].state)
            for field in ("generation", "keys", "sequence", "interval_end", "register_epoch", "settled_end", "doubt"):
                assert found[field] == getattr(state, field), (name, field)
            assert tuple(found["registers"]) == state.registers
            assert state.settled_end == 0 or tuple(found["settled"]) == state.settled
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
            found = campus.account("energy_token", programs.retirement_address(self.members[name].address))
            for field, value in vars(retired).items():
                assert found[field] == value, (name, field)

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

"""Every instruction that changes an account of the registry ends by checking it: an inconsistent one stays as it is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from campus import EPOCH_SECONDS, INSTITUTION, SUSPENDED, WALLET_DELAY_EPOCHS, Campus, Member, SimulatedMeter, key
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from authority.chain import programs


class World:
    """Two members, a meter of the first, read and settled once."""

    def __init__(self) -> None:
        self.campus = Campus()
        self.alice, self.bob = (self.campus.register_user(name) for name in ("alice", "bob"))
        self.meter = self.campus.add_meter(self.alice, "house", "building", "solar")
        self.campus.round(self.alice, self.campus.boundary(1), (self.meter, (0, 0)))
        self.new = self.campus.new_meter("new", "submeter")

    def instructions(self, name: str) -> list[Instruction]:
        campus, operator = self.campus, self.campus.operator.pubkey()
        alice, meter = self.alice, self.meter
        named = {"operator": operator, "user": alice.user, "meter": meter.meter}
        both = {
            "operator": operator,
            "meter": meter.meter,
            "from_user": alice.user,
            "to_user": self.bob.user,
            "meter_state": meter.state,
        }
        key_use = programs.key_use_address(bytes(key("new key").pubkey()))
        replaced = {"operator": operator, "meter": meter.meter, "key_use": key_use}
        built: dict[str, Callable[[], list[Instruction]]] = {
            "register_user": lambda: [campus.register_user_instruction(Member(key("wallet carol")))],
            "register_installation": lambda: [campus.register_installation_instruction(99)],
            "register_meter": lambda: [
                self.new.possession(),
                campus.register_meter_instruction(self.new, alice, 0),
            ],
            "set_user_status": lambda: [
                _registry(campus, name, {"status": SUSPENDED}, operator=operator, user=alice.user)
            ],
            "set_meter_status": lambda: [_registry(campus, name, {"status": SUSPENDED}, **named)],
            "set_meter_map": lambda: [
                _registry(campus, name, {"map_hash": bytes(32)}, operator=operator, meter=meter.meter)
            ],
            "replace_meter_key": lambda: [
                meter.possession(2, key=key("new key")),
                _registry(campus, name, {"first_sequence": 2}, **replaced),
            ],
            "reassign_meter": lambda: [_registry(campus, name, {}, **both)],
            "set_user_role": lambda: [
                _registry(campus, name, {"role": INSTITUTION}, operator=operator, user=alice.user)
            ],
            "propose_wallet": lambda: [
                _registry(campus, name, {"next": key("next").pubkey()}, operator=operator, user=alice.user)
            ],
            "replace_wallet": lambda: [campus.replace_wallet_instruction(alice, key("next").pubkey())],
            "stage_installation": lambda: [
                campus.stage_installation_instruction(0, 5_000, 0, campus.time // EPOCH_SECONDS + 1)
            ],
            "follow_installation": lambda: [campus.follow_installation_instruction(0, meter)],
            "set_delegate": lambda: [campus.set_delegate_instruction(alice, key("helper").pubkey(), campus.time + 60)],
        }
        return built[name]()

    def prepare(self, name: str) -> None:
        """What must have gone before: a wallet that is due."""
        campus = self.campus
        if name == "replace_wallet":
            campus.send(*self.instructions("propose_wallet"))
            campus.set_time(campus.time + WALLET_DELAY_EPOCHS * EPOCH_SECONDS)

    def address(self, account: str) -> Pubkey:
        return {
            "registry": programs.registry_address(),
            "user": self.alice.user,
            "other user": self.bob.user,
            "installation": programs.installation_address(0),
            "meter": self.meter.meter,
        }[account]


def _registry(campus: Campus, name: str, args: dict[str, object], **accounts: Pubkey) -> Instruction:
    return campus.instruction("registry", name, args, accounts)


@pytest.mark.parametrize(
    ("name", "account", "error"),
    [
        ("register_user", "registry", "RegistryInvariant"),
        ("register_installation", "registry", "RegistryInvariant"),
        ("register_meter", "registry", "RegistryInvariant"),
        ("register_meter", "user", "UserInvariant"),
        ("register_meter", "installation", "UnknownInstallationKind"),
        ("set_user_status", "user", "UserInvariant"),
        ("set_meter_status", "user", "UserInvariant"),
        ("set_meter_status", "meter", "MeterInvariant"),
        ("set_meter_map", "meter", "MeterInvariant"),
        ("replace_meter_key", "meter", "MeterInvariant"),
        ("replace_meter_key", "registry", "RegistryInvariant"),
        ("reassign_meter", "meter", "MeterInvariant"),
        ("reassign_meter", "user", "UserInvariant"),
        ("reassign_meter", "other user", "UserInvariant"),
        ("set_delegate", "user", "UserInvariant"),
        ("set_user_role", "user", "UserInvariant"),
        ("propose_wallet", "user", "UserInvariant"),
        ("replace_wallet", "user", "UserInvariant"),
        ("stage_installation", "installation", "UnknownInstallationKind"),
        ("follow_installation", "meter", "MeterInvariant"),
    ],
)
def test_an_account_of_another_version_is_not_changed(refused, name, account, error) -> None:
    world = World()
    world.prepare(name)
    world.campus.change("registry", world.address(account), version=2)
    with refused(error):
        world.campus.send(*world.instructions(name), signers=[world.alice.wallet])


@pytest.mark.parametrize(
    "name",
    [
        "register_user",
        "register_meter",
        "set_meter_status",
        "reassign_meter",
        "replace_meter_key",
        "set_delegate",
        "set_user_role",
        "propose_wallet",
        "replace_wallet",
        "stage_installation",
        "follow_installation",
    ],
)
def test_the_same_instructions_pass_on_sound_accounts(name) -> None:
    world = World()
    world.prepare(name)
    world.campus.send(*world.instructions(name), signers=[world.alice.wallet])


def test_a_meter_id_is_not_all_zero(campus: Campus, refused) -> None:
    member = campus.register_user("a")
    installation = campus.register_installation()
    meter = SimulatedMeter(key("zero"), bytes(32), "load", 0)
    with refused("KeyUseInvariant"):
        campus.send(meter.possession(), campus.register_meter_instruction(meter, member, installation))


@pytest.mark.parametrize(
    ("account", "damage"),
    [("user", {"settling_meters": 0b11}), ("meter", {"slot": 5}), ("meter", {"slot": 32})],  # 32 must not wrap to 0
    ids=str,
)
def test_slots_and_counts_that_disagree_are_noticed(refused, account, damage) -> None:
    world = World()
    world.campus.change("registry", world.address(account), **damage)
    with refused("UserInvariant"):
        world.campus.send(*world.instructions("set_meter_status"))


def test_a_meters_generation_does_not_wrap(refused) -> None:
    world = World()
    world.campus.change("registry", world.meter.meter, generation=2**16 - 1)
    with refused("MeterInvariant"):
        world.campus.send(*world.instructions("set_meter_map"))

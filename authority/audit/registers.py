"""The registry's accounts, done again from its events: members and their wallets, installations, meters and keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from solders.pubkey import Pubkey

from authority.audit.chain_state import ChainState
from authority.audit.history import Landed
from authority.audit.tell import Find, Part, compare
from authority.audit.terms import NOBODY, Governed
from authority.chain import programs
from authority.chain.accounts import Installation, KeyUse, Meter, Registry, Status, User, WalletUse
from edge_agent.wire.reading import ROLES, SOURCE_NONE

SUBMETER = ROLES.index("submeter")
NO_SLOT = 255
CLOCK_SECONDS = 2
"""By how much a block's time may differ from the clock that its transactions saw."""
_COUNTED = {"building": "building_meters", "generation": "generation_meters", "storage": "storage_meters",
            "load": "load_meters", "grid": "grid_meters", "submeter": "submeters"}  # fmt: skip


@dataclass
class _Size:
    """An installation's nameplate (W) and storage (Wh), and those staged from a later epoch on (0: nothing staged)."""

    nameplate: int
    storage: int
    staged_nameplate: int = 0
    staged_storage: int = 0
    staged_from: int = 0

    def figures(self) -> dict[str, int]:
        return dict(vars(self))


@dataclass
class _Installed:
    kind: int
    size: _Size
    meters: int = 0


@dataclass
class _Registered:
    key: bytes
    map_hash: bytes
    first_sequence: int
    installation: int
    role: int
    source: int
    user: Pubkey
    size: _Size
    status: int = Status.ACTIVE
    generation: int = 0
    keys: int = 1
    user_since: int = 0
    slot: int = NO_SLOT


@dataclass
class _Member:
    member_index: int
    role: int
    wallet: Pubkey
    status: int = Status.ACTIVE
    next_wallet: Pubkey = NOBODY
    next_wallet_from: int = 0
    settling_meters: int = 0
    """A bit for each slot that a settling meter has."""

    def add(self, meter: _Registered) -> None:
        """Give a meter the first free slot, if it settles."""
        if meter.role != SUBMETER:
            meter.slot = (~self.settling_meters & (self.settling_meters + 1)).bit_length() - 1
            self.settling_meters |= 1 << meter.slot

    def remove(self, meter: _Registered) -> None:
        """Take back a meter's slot."""
        if meter.slot != NO_SLOT:
            self.settling_meters &= ~(1 << meter.slot)
        meter.slot = NO_SLOT


class Registers(Part):
    """Follows the registry's events, under governance's terms."""

    def __init__(self, find: Find, state: ChainState, governed: Governed) -> None:
        super().__init__(find, state)
        self.governed = governed
        self.members: dict[Pubkey, _Member] = {}
        """By the wallet that each registered with: its name for ever."""
        self._installations: dict[int, _Installed] = {}
        self._meters: dict[bytes, _Registered] = {}
        self._keys: dict[bytes, bytes] = {}
        self._wallets: dict[Pubkey, Pubkey] = {}

    # Members

    def _on_user_registered(self, data: Mapping[str, Any], _: Landed) -> None:
        self.members[data["wallet"]] = _Member(data["member_index"], data["role"], data["wallet"])

    def _on_user_role_changed(self, data: Mapping[str, Any], _: Landed) -> None:
        self.members[data["member"]].role = data["after"]

    def _on_user_status_changed(self, data: Mapping[str, Any], _: Landed) -> None:
        self.members[data["wallet"]].status = data["after"]

    def _on_wallet_proposed(self, data: Mapping[str, Any], _: Landed) -> None:
        member = self.members[data["member"]]
        member.next_wallet, member.next_wallet_from = data["next"], data["from_epoch"]

    def _on_wallet_replaced(self, data: Mapping[str, Any], landed: Landed) -> None:
        member, where = self.members[data["member"]], f"member {data['member']}"
        if data["after"] != member.next_wallet or data["before"] != member.wallet or not member.next_wallet_from:
            message = f"its wallet {data['before']} was replaced by {data['after']}, which was not proposed"
            self.find("wallet_differs", where, message)
        elif self.governed.terms and self.governed.terms.epoch(landed.time + CLOCK_SECONDS) < member.next_wallet_from:
            message = f"its wallet was replaced before epoch {member.next_wallet_from}, from which it was proposed"
            self.find("wallet_differs", where, message)
        member.wallet, member.next_wallet, member.next_wallet_from = data["after"], NOBODY, 0
        self._wallets[data["after"]] = data["member"]

    # Installations and meters

    def _on_installation_registered(self, data: Mapping[str, Any], _: Landed) -> None:
        size = _Size(data["nameplate"], data["storage"])
        self._installations[data["n"]] = _Installed(data["kind"], size)

    def _on_installation_staged(self, data: Mapping[str, Any], landed: Landed) -> None:
        size = self._installations[data["n"]].size
        terms = self.governed.terms
        if terms is not None and size.staged_from and terms.epoch(landed.time) >= size.staged_from:
            size.nameplate, size.storage = size.staged_nameplate, size.staged_storage
        size.staged_nameplate, size.staged_storage = data["nameplate"], data["storage"]
        size.staged_from = data["from_epoch"]

    def _on_installation_followed(self, data: Mapping[str, Any], _: Landed) -> None:
        meter = self._meters[bytes(data["meter_id"])]
        size = self._installations[meter.installation].size
        meter.size = _Size(**size.figures())
        now = (size.staged_storage, size.staged_nameplate) if size.staged_from else (size.storage, size.nameplate)
        if (data["storage"], data["nameplate"], data["from_epoch"]) != (*now, size.staged_from):
            self.find(
                "installation_differs",
                _name(bytes(data["meter_id"])),
                f"took over {data['storage']} Wh and {data['nameplate']} W from epoch {data['from_epoch']} on; its "
                f"installation {meter.installation} has {now[0]} Wh and {now[1]} W from {size.staged_from} on",
            )

    def _on_meter_registered(self, data: Mapping[str, Any], _: Landed) -> None:
        installation = self._installations.get(data["installation"])
        size = _Size(**installation.size.figures()) if installation else _Size(0, 0)
        if installation:
            installation.meters += 1
        meter_id, key = bytes(data["meter_id"]), bytes(data["key"])
        self._meters[meter_id] = _Registered(
            key, bytes(data["map_hash"]), data["first_sequence"], data["installation"], data["role"], data["source"],
            data["user"], size,
        )  # fmt: skip
        self._keys[key] = meter_id
        self.members[data["user"]].add(self._meters[meter_id])

    def _on_meter_key_replaced(self, data: Mapping[str, Any], _: Landed) -> None:
        meter_id, key = bytes(data["meter_id"]), bytes(data["after"])
        meter = self._meters[meter_id]
        meter.key, meter.first_sequence = key, data["first_sequence"]
        meter.keys += 1
        meter.generation += 1
        self._keys[key] = meter_id

    def _on_meter_map_changed(self, data: Mapping[str, Any], _: Landed) -> None:
        meter = self._meters[bytes(data["meter_id"])]
        meter.map_hash = bytes(data["after"])
        meter.generation += 1

    def _on_meter_status_changed(self, data: Mapping[str, Any], _: Landed) -> None:
        meter = self._meters[bytes(data["meter_id"])]
        member = self.members[meter.user]
        member.remove(meter)
        meter.status = data["after"]
        meter.generation += 1
        if meter.status == Status.ACTIVE:
            member.add(meter)

    def _on_meter_reassigned(self, data: Mapping[str, Any], _: Landed) -> None:
        meter = self._meters[bytes(data["meter_id"])]
        if meter.status == Status.ACTIVE:
            self.members[meter.user].remove(meter)
            self.members[data["after"]].add(meter)
        meter.user = data["after"]
        meter.generation += 1
        if not data["boundary"]:
            meter.user_since = meter.generation

    # The end

    def finish(self) -> None:
        """Compare what came out with the accounts."""
        self._compare_members()
        self._compare_installations()
        self._compare_meters()
        keys = {programs.key_use_address(key): meter_id for key, meter_id in self._keys.items()}
        self._compare_uses("key", keys, {address: use.meter_id for address, use in self.state.all(KeyUse)})
        wallets = {programs.user_address(wallet): member for wallet, member in self._wallets.items()}
        self._compare_uses("wallet", wallets, {address: use.member for address, use in self.state.all(WalletUse)})
        registry = self.state.account(Registry, programs.registry_address())
        if registry is not None:
            compare(
                self.find,
                "registry",
                ("users", registry.users, len(self.members)),
                ("installations", registry.installations, len(self._installations)),
                ("meters", registry.meters, len(self._meters)),
                ("keys", registry.keys, len(self._keys)),
            )

    def _compare_members(self) -> None:
        active: dict[Pubkey, Counter[str]] = {}
        for meter in self._meters.values():
            if meter.status == Status.ACTIVE:
                counted = active.setdefault(meter.user, Counter())
                counted[_COUNTED[ROLES[meter.role]]] += 1
                counted["source_meters"] += meter.source != SOURCE_NONE and meter.role != SUBMETER
        missing = dict(self.members)
        for address, user in self.state.all(User):
            where, member = f"member {user.member}", missing.pop(user.member, None)
            if member is None or address != programs.user_address(user.member):
                self.find("account_differs", where, "is registered, and no event says so")
                continue
            counted = active.get(user.member, Counter())
            energy, credit = (
                programs.associated_token_address(member.wallet, mint)
                for mint in (programs.energy_mint(), programs.credit_mint())
            )
            compare(
                self.find,
                where,
                *((name, getattr(user, name), value) for name, value in vars(member).items()),
                ("energy_token_account", user.energy_token_account, energy),
                ("credit_token_account", user.credit_token_account, credit),
                *((name, getattr(user, name), counted[name]) for name in (*_COUNTED.values(), "source_meters")),
            )
        for wallet in missing:
            self.find("account_missing", f"member {wallet}", "was registered, and has no User")

    def _compare_installations(self) -> None:
        missing = dict(self._installations)
        for _, account in self.state.all(Installation):
            where, installed = f"installation {account.n}", missing.pop(account.n, None)
            if installed is None:
                self.find("account_differs", where, "is registered, and no event says so")
                continue
            expected = {"kind": installed.kind, "meters": installed.meters, **installed.size.figures()}
            compare(self.find, where, *((name, getattr(account, name), value) for name, value in expected.items()))
        for n in missing:
            self.find("account_missing", f"installation {n}", "was registered, and has no account")

    def _compare_meters(self) -> None:
        missing = dict(self._meters)
        for _, account in self.state.all(Meter):
            where, meter = _name(account.meter_id), missing.pop(account.meter_id, None)
            if meter is None:
                self.find("account_differs", where, "is registered, and no event says so")
                continue
            expected = {**vars(meter), **meter.size.figures()}
            del expected["size"]
            compare(self.find, where, *((name, getattr(account, name), value) for name, value in expected.items()))
        for meter_id in missing:
            self.find("account_missing", _name(meter_id), "was registered, and has no Meter")

    def _compare_uses(self, kind: str, expected: Mapping[Pubkey, Any], found: Mapping[Pubkey, Any]) -> None:
        """The markers that a key or a wallet is used up: without one it could be registered again."""
        for address, whose in expected.items():
            if address not in found:
                self.find("account_missing", f"{kind} at {address}", "was used, and has no account that says so")
            elif found[address] != whose:
                compare(self.find, f"{kind} at {address}", ("owner", _words(found[address]), _words(whose)))
        for address in found:
            if address not in expected:
                self.find("account_differs", f"{kind} at {address}", "is marked as used, and no event says so")


def _name(meter_id: bytes) -> str:
    return f"meter {meter_id.hex()[:16]}…"


def _words(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)

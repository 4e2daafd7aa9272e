"""Putting approved meters on the chain, with their users and installations before them.

Every step looks at the chain first and does what is missing, so it may be broken off anywhere and run again; what it
finds done, it notes. Each registration is an act in the log.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from solders.instruction import Instruction
from solders.pubkey import Pubkey
from solders.signature import Signature
from sqlalchemy import func, select
from sqlalchemy.orm import joinedload

from authority.app import App
from authority.chain import accounts as chain_accounts
from authority.chain import programs
from authority.chain.client import ChainClient
from authority.chain.errors import ProgramError
from authority.enrolment.plan import KINDS, MAX_BUILDING_BYTES
from authority.errors import AuthorityError
from authority.log import log
from authority.store.metering import (
    METER_ACTIVE,
    METER_APPROVED,
    Frame,
    Meter,
    MeterKey,
    waiting_for_the_chain,
)
from authority.store.people import Installation, User
from edge_agent.wire.reading import possession_message

SPARE_SEATS = 25
"""Free seats in the market below which more are made."""


class RegistrationError(AuthorityError):
    """Something cannot be registered on the chain."""


class ChainDiffersError(RegistrationError):
    """The chain holds something else under the same name."""

    code = "chain_differs"


class ReadingsPendingError(RegistrationError):
    """Readings of the old key are still on their way to the chain: wait, then do it again."""

    code = "readings_pending"


@dataclass(frozen=True)
class Registered:
    """One thing that is on the chain now; signature is None where it was found there."""

    kind: str
    name: str
    address: Pubkey
    signature: Signature | None


class Registration:
    """Registers with the operator's key, over one client."""

    def __init__(self, app: App, client: ChainClient, *, actor: str, report: Callable[[Registered], None]) -> None:
        self._app = app
        self._client = client
        self._actor = actor
        self._report = report
        self._operator = app.home.operator

    def run(self, gateway: str | None = None) -> int:
        """Bring every approved meter, of one gateway or of all, onto the chain with its key and map; how many it did.

        RegistrationError, or the chain client's errors (authority.chain.errors); run it again once they are cleared.
        """
        missing = self._missing(gateway)
        for meter, key in missing:
            self.member(meter.user)
            self._installation(meter.installation)
            self._meter(meter, key)
        return len(missing)

    def missing(self, gateway: str | None = None) -> list[str]:
        """The approved meters, GATEWAY/METER, that the chain does not have as they are: what `run` would do."""
        return [f"{meter.gateway_name}/{meter.name}" for meter, _ in self._missing(gateway)]

    def _missing(self, gateway: str | None) -> list[tuple[Meter, MeterKey]]:
        query = (
            select(Meter)
            .where(Meter.public_key.is_not(None))
            .options(joinedload(Meter.user), joinedload(Meter.installation))
            .order_by(Meter.id)
        )
        if gateway is not None:
            query = query.where(Meter.gateway_name == gateway)
        with self._app.store.read() as session:
            meters = session.scalars(query).all()
            keys = {meter.id: session.get_one(MeterKey, meter.public_key) for meter in meters}
        addresses = [programs.meter_address(meter.meter_id) for meter in meters]
        accounts = self._client.accounts_at(chain_accounts.Meter, addresses)
        return [
            (meter, keys[meter.id])
            for meter, account in zip(meters, accounts, strict=True)
            if meter.registered_at is None or account is None or not _is_current(account, meter)
        ]

    def _note(
        self, kind: str, name: str, address: Pubkey, signature: Signature | None, row: Any, **values: Any
    ) -> None:
        """Store and log that something is on the chain."""
        now = self._app.clock()
        identity = row.id if isinstance(row, User | Meter) else row.n
        with self._app.store.write() as session:
            kept = session.get_one(type(row), identity)
            kept.registered_at = now
            row.registered_at = now
            if isinstance(kept, Meter) and kept.state == METER_APPROVED:
                kept.state = METER_ACTIVE  # from here on its readings are accepted
            for key, value in values.items():
                setattr(kept, key, value)
            data = {
                "address": str(address),
                "kind": kind,
                "signature": None if signature is None else str(signature),
            }
            log.record_act(session, "registered_on_chain", self._actor, now, data)
        self._report(Registered(kind, name, address, signature))

    def member(self, user: User) -> None:
        """Bring a member onto the chain where it is not there yet, with its token accounts and a seat."""
        if user.registered_at is not None:
            return
        wallet = Pubkey.from_string(user.wallet)
        address = programs.user_address(wallet)
        account = self._client.account(chain_accounts.User, address)
        signature = None
        if account is None:
            self._have_seats()
            with self._app.store.read() as session:
                meters = session.scalars(select(Meter).where(Meter.user_id == user.id)).all()
            produces = any(meter.source != "none" or meter.role == "storage" for meter in meters)
            register = self._client.instruction(
                "registry",
                "register_user",
                {"role": chain_accounts.UserRole.PROSUMER if produces else chain_accounts.UserRole.CONSUMER},
                {
                    "operator": self._operator.pubkey(),
                    "user": address,
                    "wallet": wallet,
                    "energy_token_account": programs.associated_token_address(wallet, programs.energy_mint()),
                    "credit_token_account": programs.associated_token_address(wallet, programs.credit_mint()),
                },
            )
            signature = self._client.send([register], [], payer=self._operator)
            account = self._client.account(chain_accounts.User, address)
        if account is None:
            raise ChainDiffersError(f"user {user.name} is not on the chain though it was registered")
        self._note("user", user.name, address, signature, user, member_index=account.member_index)

    def _have_seats(self) -> None:
        """Add seats to the market where the next member would find none."""
        registry = self._client.account(chain_accounts.Registry, programs.registry_address())
        seats = self._client.account(chain_accounts.Seats, programs.seats_address())
        if registry is not None and seats is not None and seats.capacity <= registry.users + SPARE_SEATS:
            grow = self._client.instruction("trading", "grow_seats", {}, {"payer": self._operator.pubkey()})
            self._client.send([grow], [], payer=self._operator)

    def _installation(self, installation: Installation) -> None:
        if installation.registered_at is not None:
            return
        address = programs.installation_address(installation.n)
        name = f"{installation.n} ({installation.building})"
        account = self._client.account(chain_accounts.Installation, address)
        args = {
            "n": installation.n,
            "kind": KINDS.index(installation.kind),
            "building": installation.building.encode().ljust(MAX_BUILDING_BYTES, b"\0"),
            "nameplate_w": installation.nameplate_w,
            "storage_wh": installation.storage_wh,
            "since": installation.since,
        }
        signature = None
        if account is None:
            accounts = {"operator": self._operator.pubkey(), "installation": address}
            register = self._client.instruction("registry", "register_installation", args, accounts)
            signature = self._client.send([register], [], payer=self._operator)
        elif (account.kind, account.nameplate, account.storage) != (
            args["kind"],
            installation.nameplate_w,
            installation.storage_wh,
        ):
            raise ChainDiffersError(
                f"installation {name} is on the chain with {account.nameplate} W and {account.storage} Wh: give "
                "this one another number in the plan",
            )
        self._note("installation", name, address, signature, installation)

    def _meter(self, meter: Meter, key: MeterKey) -> None:
        address = programs.meter_address(meter.meter_id)
        name = f"{meter.gateway_name}/{meter.name}"
        account = self._client.account(chain_accounts.Meter, address)
        assert meter.map_hash is not None  # noqa: S101 - an approved meter has its map
        instructions: list[Instruction] = []
        kind = "meter"
        if account is None:
            instructions += self._register(meter, key, meter.map_hash)
        elif _is_shut_out(account, meter):
            self._resume(meter, address, name)
            kind = "meter_status"
        if account is not None and not _has_key_and_map(account, meter):
            kind = "meter_key" if account.key != meter.public_key else "meter_map"
            instructions += self._replace(meter, key, meter.map_hash, account, name)
        state = programs.meter_state_address(meter.meter_id)
        if self._client.account(chain_accounts.MeterState, state) is None:
            wallet = Pubkey.from_string(meter.user.wallet)
            accounts = {
                "operator": self._operator.pubkey(),
                "meter": address,
                "user": programs.user_address(wallet),
                "meter_state": state,
                "energy_account": programs.energy_account_address(wallet),
            }
            instructions.append(self._client.instruction("oracle", "open_meter", {}, accounts))
        try:
            signature = self._client.send(instructions, [], payer=self._operator) if instructions else None
        except ProgramError:
            if account is None:
                self._wait_for_the_chain(meter)
            raise
        self._note(kind, name, address, signature, meter)

    def _wait_for_the_chain(self, meter: Meter) -> None:
        """The chain refuses a new meter: until it is there, its readings are held, and no receipt says accepted."""
        with self._app.store.write() as session:
            log.lock(session)  # no frame may slip in between
            kept = session.get_one(Meter, meter.id)
            if kept.state == METER_ACTIVE and kept.registered_at is None:
                kept.state = METER_APPROVED

    def _resume(self, meter: Meter, address: Pubkey, name: str) -> None:
        """A meter whose gateway came back: active before its key changes, since readings under the old one go first."""
        resume = set_status_instruction(
            self._client, self._operator.pubkey(), meter, meter.user.wallet, chain_accounts.Status.ACTIVE
        )
        self._note("meter_status", name, address, self._client.send([resume], [], payer=self._operator), meter)

    def _possession(self, meter: Meter, key: MeterKey, map_hash: bytes) -> Instruction:
        """The precompile's instruction that shows the registry the new key's proof."""
        message = possession_message(
            first_sequence=key.first_sequence,
            network_id=self._app.home.network_id,
            meter_id=meter.meter_id,
            map_hash=map_hash,
        )
        return programs.ed25519_instruction([(message, key.public_key, key.possession)])

    def _register(self, meter: Meter, key: MeterKey, map_hash: bytes) -> list[Instruction]:
        args = {
            "meter_id": meter.meter_id,
            "role": meter.role_code,
            "source": meter.source_code,
            "map_hash": map_hash,
            "first_sequence": key.first_sequence,
        }
        accounts = {
            "operator": self._operator.pubkey(),
            "user": programs.user_address(Pubkey.from_string(meter.user.wallet)),
            "installation": programs.installation_address(meter.installation_n),
            "meter": programs.meter_address(meter.meter_id),
            "key_use": programs.key_use_address(key.public_key),
        }
        return [
            self._possession(meter, key, map_hash),
            self._client.instruction("registry", "register_meter", args, accounts),
        ]

    def _replace(
        self, meter: Meter, key: MeterKey, map_hash: bytes, account: chain_accounts.Meter, name: str
    ) -> list[Instruction]:
        """The map first, for the new key's proof names it; then the key, once the old one's readings are through."""
        address = programs.meter_address(meter.meter_id)
        instructions: list[Instruction] = []
        if account.map_hash != map_hash:
            accounts = {"operator": self._operator.pubkey(), "meter": address}
            instructions.append(self._client.instruction("registry", "set_meter_map", {"map_hash": map_hash}, accounts))
        if account.key != key.public_key:
            self._require_settled(meter, key, name)
            accounts = {
                "operator": self._operator.pubkey(),
                "meter": address,
                "key_use": programs.key_use_address(key.public_key),
            }
            args = {"first_sequence": key.first_sequence}
            instructions += [
                self._possession(meter, key, map_hash),
                self._client.instruction("registry", "replace_meter_key", args, accounts),
            ]
        return instructions

    def _require_settled(self, meter: Meter, key: MeterKey, name: str) -> None:
        with self._app.store.read() as session:
            waiting = session.scalar(
                select(func.count())
                .select_from(Frame)
                .where(
                    Frame.meter_pk == meter.id,
                    Frame.public_key != key.public_key,
                    waiting_for_the_chain(Frame),
                )
            )
        if waiting:
            raise ReadingsPendingError(
                f"{waiting} readings of {name} under its old key are still on their way to the chain, which would "
                "refuse them under the new one; let settlement carry them first",
            )


def set_status_instruction(
    client: ChainClient, operator: Pubkey, meter: Meter, wallet: str, status: int
) -> Instruction:
    """registry's set_meter_status, by the operator; `wallet` is the meter's user's."""
    accounts = {
        "operator": operator,
        "user": programs.user_address(Pubkey.from_string(wallet)),
        "meter": programs.meter_address(meter.meter_id),
    }
    return client.instruction("registry", "set_meter_status", {"status": status}, accounts)


def _is_current(account: chain_accounts.Meter, meter: Meter) -> bool:
    """Whether the chain's Meter has the approved key and map, and is not suspended where the store has it active."""
    return _has_key_and_map(account, meter) and not _is_shut_out(account, meter)


def _has_key_and_map(account: chain_accounts.Meter, meter: Meter) -> bool:
    return (account.key, account.map_hash) == (meter.public_key, meter.map_hash)


def _is_shut_out(account: chain_accounts.Meter, meter: Meter) -> bool:
    return meter.state == METER_ACTIVE and account.status is chain_accounts.Status.SUSPENDED

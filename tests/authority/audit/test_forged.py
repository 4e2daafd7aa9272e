"""Every kind of thing that an audit recomputes, forged once: each is found, and said where and what it is.

The forger owns the chain's accounts or its history, as the department's own validator does, or does with its keys what
no act in the log tells of.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from authority.audit.bundle import Bundle
from authority.audit.conservation import SUPPLY_AT
from authority.audit.history import Landed
from authority.audit.verify import Audit, ChainSource, StoreLog
from authority.chain import accounts, programs
from authority.chain.accounts import ProgramAccount
from authority.chain.layout import LayoutError
from authority.governance import acts
from authority.log import log
from authority.market.credits import issue_credits

RECOMPUTED: dict[type[ProgramAccount], tuple[str, ...]] = {
    accounts.Config: (
        "epoch_seconds", "network_id", "authority", "pending_authority", "operator", "pause", "staged_from",
        "billing_period", "billing_period_start", "billing_period_end", "first_epoch", "previous_period_start",
        "parameters",
    ),
    accounts.User: (
        "role", "status", "member_index", "wallet", "member", "energy_token_account", "credit_token_account",
        "settling_meters", "building_meters", "generation_meters", "storage_meters", "load_meters", "grid_meters",
        "source_meters", "submeters", "next_wallet_from", "next_wallet",
    ),
    accounts.Installation: (
        "kind", "n", "storage", "nameplate", "meters", "staged_storage", "staged_nameplate", "staged_from",
    ),
    accounts.Meter: (
        "role", "source", "status", "slot", "generation", "meter_id", "key", "user", "map_hash", "first_sequence",
        "installation", "storage", "nameplate", "keys", "staged_storage", "staged_nameplate", "staged_from",
        "user_since",
    ),
    accounts.KeyUse: ("meter_id",),
    accounts.Registry: ("users", "installations", "meters", "keys"),
    accounts.MeterState: (
        "sequence", "meter", "interval_end", "registers", "hash", "flags", "doubt", "register_epoch", "settled_end",
        "settled", "carried",
    ),
    accounts.EnergyAccount: (
        "period", "wallet", "boundary", "bank", "withdrawals_open", "withdrawals_previous", "minted", "generated",
        "consumed", "charged", "discharged", "withdrawn", "surplus",
    ),
    accounts.Retirement: (
        "period", "wallet", "consumption_open", "consumption_previous", "feed_in_open", "feed_in_previous",
        "consumption_total", "feed_in_total", "feed_in_credits",
    ),
    accounts.Oracle: ("last_epoch", "log_size", "minted", "withdrawn", "settlements"),
    accounts.EpochCheckpoint: (
        "epoch", "log_size", "log_root", "book_hash", "minted", "energy_supply", "credit_supply", "withdrawn",
        "settlements",
    ),
    accounts.Market: (
        "orders_per_side", "reference_price", "reference_epoch", "epochs_cleared", "traded", "turnover", "fee_account",
        "first_epoch", "latest_epoch", "settled_epoch",
    ),
    accounts.Seats: ("energy_held", "credit_held", "fees"),
}  # fmt: skip
"""The fields of each account that follow from the log and the events, and must be as they follow."""


def audited(chain: ChainSource, source: Any) -> Audit:
    audit = Audit(source.network_id, source.receipt_key)
    audit.run(source, chain)
    return audit


def chain_of(traded: Any) -> tuple[Bundle, ChainSource]:
    bundle = Bundle(traded.bundle)
    chain = bundle.chain()
    assert chain is not None
    return bundle, replace(chain, history=list(chain.history))


@pytest.mark.parametrize("kind", RECOMPUTED, ids=lambda kind: kind.__name__)
def test_each_field_of_each_account_is_recomputed(traded: Any, kind: type[ProgramAccount]) -> None:
    """One bit in each field: the audit finds it; only what the log and the events say is believed."""
    bundle, chain = chain_of(traded)
    assert audited(chain, bundle).findings == []
    address, account = next(each for each in chain.state.all(kind))
    owner, raw = chain.state.accounts[address]
    missed, looked_at = [], set()
    for at in range(8, kind.size()):
        changed = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        try:
            after = kind.from_account(changed)
        except LayoutError:  # a code that there is not: named as malformed, and another one as differing
            chain.state.accounts[address] = owner, changed
            assert "account_malformed" in {finding.code for finding in audited(chain, bundle).findings}
            changed = raw[:at] + bytes([raw[at] ^ 2]) + raw[at + 1 :]
            after = kind.from_account(changed)
        fields = [
            name for name in RECOMPUTED[kind] if getattr(account, name) != getattr(after, name)
        ]  # none where the byte is of another field
        if not fields or fields[0] in looked_at:
            continue
        looked_at.add(fields[0])
        chain.state.accounts[address] = owner, changed
        if not audited(chain, bundle).findings:
            missed.append(fields[0])
    assert missed == []
    assert looked_at == set(RECOMPUTED[kind])


def test_energy_and_credits_that_change_seats_are_found_though_none_is_missing(traded: Any) -> None:
    bundle, chain = chain_of(traded)
    address = programs.seats_address()
    owner, raw = chain.state.accounts[address]
    head = accounts.Seats.from_account(raw)
    size, start = accounts.Seat.FORMAT.size, accounts.Seats.size()
    seats = accounts.Seat.array(raw, start, head.capacity)
    rich = next(n for n, seat in enumerate(seats) if seat.credit > 10)
    poor = next(n for n in range(4) if n != rich)
    changed = bytearray(raw)
    for n, amount in ((rich, -7), (poor, 7)):
        at = start + n * size + 8
        struct.pack_into("<Q", changed, at, struct.unpack_from("<Q", changed, at)[0] + amount)
    chain.state.accounts[address] = owner, bytes(changed)
    found = audited(chain, bundle).findings
    assert {finding.code for finding in found} == {"account_differs"}
    assert len(found) == 2
    assert all(finding.where.startswith("seat of member") for finding in found)
    assert all("says credit" in finding.message for finding in found)


def without(chain: ChainSource, name: str) -> ChainSource:
    """The history without the first event of that name."""
    history, gone = [], False
    for landed in chain.history:
        events = []
        for program, data in landed.events:
            event = chain.idls[program].decode_event(data)
            if not gone and event is not None and event.name == name:
                gone = True
                continue
            events.append((program, data))
        history.append(Landed(landed.time, landed.signature, tuple(events)))
    assert gone
    return replace(chain, history=history)


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("CreditIssued", "not_conserved", "issued"),
        ("CreditIssued", "act_not_on_chain", "did not happen"),
        ("EnergyRetired", "account_differs", "consumption_total"),
        ("SurplusSettled", "account_differs", "settlements"),
        ("ReadingAccepted", "span_differs", "not all of the member's meters"),
        ("Deposited", "account_differs", "by log and events"),
        ("EpochOpened", "account_differs", "first_epoch"),
        ("InstallationRegistered", "account_differs", "no event says so"),
        ("UserRegistered", "account_differs", "no event says so"),
    ],
)
def test_an_event_that_is_left_out_of_the_history_is_missed(traded: Any, name: str, code: str, words: str) -> None:
    bundle, chain = chain_of(traded)
    found = audited(without(chain, name), bundle).findings
    assert [finding for finding in found if finding.code == code and words in finding.message], found[:4]


@pytest.mark.parametrize(("more", "differs"), [(0, False), (1, True), (-1, True)])
def test_a_mint_into_a_seat_is_held_against_its_settlement(traded: Any, more: int, differs: bool) -> None:
    """A forged event: what it says is missing in the seat, and where it is not what was settled, that is said too."""
    bundle, chain = chain_of(traded)
    forged = False
    for place, landed in enumerate(chain.history):
        for program, data in landed.events:
            event = chain.idls[program].decode_event(data)
            if event is None or event.name != "SurplusSettled" or not event.data["minted"] or forged:
                continue
            body = bytes(event.data["wallet"]) + struct.pack("<Q", event.data["minted"] + more)
            seat = ("energy_token", sha256(b"event:EnergyMintedToSeat").digest()[:8] + body)
            chain.history[place] = landed._replace(events=(*landed.events, seat))
            forged = True
    found = audited(chain, bundle).findings
    assert {each.code for each in found} == {"account_differs"} | ({"mint_differs"} if differs else set())
    assert any("says energy" in each.message for each in found)


def test_tokens_beyond_what_was_settled_are_found(traded: Any) -> None:
    """A mint to a token account has no event of its own: the supply tells of one that no settlement had made."""
    bundle, chain = chain_of(traded)
    owner, raw = chain.state.accounts[programs.energy_mint()]
    supply = struct.unpack_from("<Q", raw, SUPPLY_AT)[0]
    chain.state.accounts[programs.energy_mint()] = (
        owner,
        raw[:SUPPLY_AT] + struct.pack("<Q", supply + 1) + raw[SUPPLY_AT + 8 :],
    )
    assert "not_conserved" in {each.code for each in audited(chain, bundle).findings}


@pytest.fixture
def found_on(campus: Any) -> Callable[[], dict[str, str]]:
    """What an audit of the campus finds now: codes and messages."""

    def run() -> dict[str, str]:
        from authority.audit.command import chain_at
        from authority.chain.client import ChainClient

        audit = Audit(campus.home.network_id, bytes(campus.home.receipt_key.pubkey()))
        chain = chain_at(ChainClient(campus.validator.url))
        with campus.app.store.read() as session:
            audit.run(StoreLog.of(session), chain)
        return {finding.code: finding.message for finding in audit.findings}

    return run


def unlogged(campus: Any, program: str, name: str, args: dict[str, Any], **named: Pubkey) -> None:
    """What whoever has the keys may do, and tell nobody."""
    signer = campus.home.authority if program == "governance" else campus.operator
    role = "authority" if program == "governance" else "operator"
    instruction = campus.client.instruction(program, name, args, {role: signer.pubkey(), **named})
    campus.client.send([instruction], [signer], payer=campus.operator)


def test_acts_that_the_log_does_not_tell_of_are_found(campus: Any, found_on: Any) -> None:
    """The same acts by the authority's own commands are none."""
    assert found_on() == {}
    governance = acts.read(campus.client)
    wanted = {**governance.parameters, "wheeling": 21_000}
    acts.stage(campus.app, campus.client, wanted, governance.epoch + 4, actor="test")
    acts.set_paused(campus.app, campus.client, ["orders"], reason="test", actor="test")
    acts.set_paused(campus.app, campus.client, [], reason="test", actor="test")
    amounts = [("C", 5), ("C", 5), ("D", 7)]
    issue_credits(campus.app.store, campus.client, campus.operator, amounts, actor="test", now=campus.wall.seconds())
    assert found_on() == {}

    user = programs.user_address(campus.wallets["A"])
    mint = programs.credit_mint()
    meter = programs.meter_address(campus.meters["A.battery"].meter_id)
    installation = programs.installation_address(2)
    sizes = {"nameplate_w": 50_000_000, "storage_wh": 1_500, "from_epoch": campus.epoch + 1}
    for program, name, args, named, event in (
        ("governance", "stage_parameters", {"parameters": wanted, "from_epoch": governance.epoch + 5}, {},
         "parameters_staged"),
        ("governance", "set_paused", {"bits": 1}, {}, "pause_changed"),
        ("governance", "set_paused", {"bits": 0}, {}, "pause_changed"),
        ("governance", "propose_authority", {"pending": Keypair().pubkey()}, {}, "authority_proposed"),
        ("energy_token", "issue_credit", {"amount": 5},
         {"user": user, "credit_token_account": programs.associated_token_address(campus.wallets["A"], mint)},
         "credit_issued"),
        ("registry", "stage_installation", sizes, {"installation": installation}, "installation_staged"),
        ("registry", "set_meter_map", {"map_hash": bytes(32)}, {"meter": meter}, "meter_map_changed"),
        ("registry", "propose_wallet", {"next": Keypair().pubkey()}, {"user": user}, "wallet_proposed"),
        ("registry", "set_user_status", {"status": 2}, {"user": user}, "user_status_changed"),
    ):  # fmt: skip
        unlogged(campus, program, name, args, **named)
        found = found_on()
        assert set(found) == {"act_not_logged"}
        assert f"the chain says {event} " in found["act_not_logged"]


def test_acts_that_never_happened_are_found(campus: Any, found_on: Any) -> None:
    with campus.app.store.write() as session:
        paused = {"paused": ["orders"], "reason": "x", "signature": str(Keypair().sign_message(b""))}
        log.record_act(session, "pause_set", "test", campus.wall.seconds(), paused)
    assert set(found_on()) == {"act_not_on_chain"}


def test_an_act_that_says_otherwise_than_was_done_is_found(campus: Any, found_on: Any) -> None:
    instruction = campus.client.instruction(
        "governance", "set_paused", {"bits": 3}, {"authority": campus.home.authority.pubkey()}
    )
    signature = campus.client.send([instruction], [campus.home.authority], payer=campus.operator)
    with campus.app.store.write() as session:
        said = {"paused": ["orders"], "reason": "x", "signature": str(signature)}
        log.record_act(session, "pause_set", "test", campus.wall.seconds(), said)
    assert set(found_on()) == {"act_differs"}

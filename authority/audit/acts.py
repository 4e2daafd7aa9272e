"""The authority's acts, twice: each that changed the chain is a leaf of the log, and each that the log tells happened.

An act names its transaction (`signature`), or what it is about: the address of an account that it registered, a meter,
a reading, a billing period, or, of credits, wallet and amount. What members do themselves (deposits, orders,
withdrawals, redemptions, delegates) is no act of the authority. Acts may be logged before their transaction or after
it, so they are matched at the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from solders.signature import Signature

from authority.audit.chain_state import ChainState
from authority.audit.history import Landed
from authority.audit.tell import Find, Handler, Part, event_name
from authority.chain import programs
from authority.governance.acts import bits_of

NAMED_ON_THE_CHAIN = (
    "authority_changed", "authority_proposed", "billing_period_opened", "credit_issued", "fee_account_changed",
    "installation_staged", "meter_map_changed", "meter_rebased", "meter_reassigned", "meter_status_changed",
    "operator_changed", "parameters_staged", "pause_changed", "user_role_changed", "user_status_changed",
    "wallet_proposed", "wallet_replaced",
)  # fmt: skip
"""Events of what the authority alone can do, and must have logged. A registration is known by its key's approval."""
REGISTRATIONS = ("user_registered", "installation_registered", "meter_registered", "meter_key_replaced", "meter_opened",
                 "energy_account_opened", "installation_followed", "initialized", "market_initialized")  # fmt: skip
"""Events that an act may name, and need not."""
RETIRED = "retire_energy"
ELSEWHERE = frozenset({"delegate_set", "member_funded", "operator_funded", "program_upgraded", "upgrade_authority_set"})
"""Acts whose transactions leave no event that the audit reads: a delegate is the member's own, an upgrade or a transfer
of SOL are not of these programs."""
OF_MEMBERS = frozenset({"place_order", "cancel_order", "tokens_moved", RETIRED})
"""Acts by which settlement does something in a member's name: they may not land, and are checked when they do."""


@dataclass(frozen=True, slots=True)
class _Done:
    """Something that the chain says was done: the event, its transaction (base58), and what an act may name it by."""

    event: str
    signature: str
    names: tuple[object, ...]
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Said:
    """An act in the log that must have happened on the chain."""

    index: int
    kind: str
    data: Mapping[str, Any]


class Acts(Part):
    """Collects acts and events, and says at the end which of them have no counterpart."""

    def __init__(self, find: Find, state: ChainState) -> None:
        super().__init__(find, state)
        self.refused: set[int] = set()
        """Log indexes of readings that the chain refused for good, as settlement logged it."""
        self._done: list[_Done] = []
        self._redeemed: list[_Done] = []
        """Credits that were given back: by members themselves, or by the authority, which then has the act."""
        self._signed: dict[str, list[_Said]] = {}
        self._named: Counter[object] = Counter()
        self._credits: list[tuple[object, _Said]] = []
        self.undone = 0
        """Acts whose transactions are no longer on the chain, because it went back, as the log says."""
        self._undone: list[tuple[int, int]] = []
        """From which leaf on, and up to which act."""
        self._in_members_names: dict[str, list[_Said]] = {}
        """By transaction: it may retire for several members."""
        self._landed: set[str] = set()

    def handlers(self) -> dict[str, Handler]:
        """The takers of events, by the events' names in the IDL."""
        return {
            **super().handlers(),
            **{event_name(name): self._noting(name) for name in NAMED_ON_THE_CHAIN},
            **{event_name(name): self._noting_signature for name in REGISTRATIONS},
        }

    # The log's side

    def logged(self, index: int, kind: str, data: Mapping[str, Any]) -> None:
        """Take an act of the log in."""
        said = _Said(index, kind, data)
        signature = data.get("signature")
        if kind in OF_MEMBERS:
            if kind == RETIRED:
                self._in_members_names.setdefault(str(signature), []).append(said)
        elif isinstance(signature, str) and kind not in ELSEWHERE:
            self._signed.setdefault(signature, []).append(said)
        if kind == "credit_issued" and not isinstance(signature, str):
            name = ("credit", data["wallet"], data["amount"])
            self._named[name] += 1
            self._credits.append((name, said))
        elif kind == "reading_refused":
            self.refused.add(int(data["reading"]))
        elif kind == "meter_rebased":
            self._named["reading", data["reading"]] += 1
        elif kind == "open_billing_period":
            self._named["period", data["period"]] += 1
        elif kind == "meter_taken_out":
            self._named["meter", data["meter_id"]] += 1
        elif kind == "registered_on_chain":
            self._named["address", data["address"]] += 1
        elif kind == "gateway_approved":
            for meter in data["meters"]:
                self._named["map", meter["meter_id"], meter.get("map_hash")] += 1

    def undo(self, first: int, until: int) -> None:
        """The chain went back: acts of the leaves [first, until) may have been undone."""
        self._undone.append((first, until))

    # The chain's side

    def _noting(self, event: str) -> Handler:
        def note(data: Mapping[str, Any], landed: Landed) -> None:
            signature = str(Signature.from_bytes(landed.signature))
            self._landed.add(signature)
            self._done.append(_Done(event, signature, _names(event, data), data))

        return note

    def _noting_signature(self, _: Mapping[str, Any], landed: Landed) -> None:
        self._landed.add(str(Signature.from_bytes(landed.signature)))

    def rebased(self, landed: Landed, log_index: int | None) -> None:
        """A meter goes on from a reading of the log after its registers were reset."""
        for place in range(len(self._done) - 1, -1, -1):
            done = self._done[place]
            if done.event == "meter_rebased":
                self._done[place] = _Done(done.event, done.signature, (("reading", log_index),), done.data)
                return

    def _on_energy_retired(self, data: Mapping[str, Any], landed: Landed) -> None:
        signature = str(Signature.from_bytes(landed.signature))
        acts = self._in_members_names.get(signature)
        if not acts:
            return
        reason = "feed_in" if data["reason"] else "consumption"
        done = {"amount": data["amount"], "reason": reason, "wallet": str(data["wallet"])}

        def agrees(said: _Said) -> int:
            return sum(said.data.get(name) == value for name, value in done.items())

        said = max(acts, key=agrees)
        acts.remove(said)
        if not acts:
            del self._in_members_names[signature]
        if agrees(said) < len(done):
            self._differs(said, f"the chain retired {done}")

    def _on_credit_redeemed(self, data: Mapping[str, Any], landed: Landed) -> None:
        signature = str(Signature.from_bytes(landed.signature))
        self._landed.add(signature)
        self._redeemed.append(_Done("credit_redeemed", signature, (), data))

    # The end

    def finish(self) -> None:
        """Say which acts have no counterpart."""
        for done in self._done:
            by_signature = self._signed.get(done.signature, [])
            for said in by_signature:
                self._compare(said, done)
            name = next((name for name in done.names if self._named[name] > 0), None)
            if name is not None and name[0] == "credit":  # type: ignore[index]
                self._named[name] -= 1
            if name is None and not by_signature:
                words = ", ".join(f"{key} {_words(value)}" for key, value in done.data.items() if key != "padding")
                message = f"the chain says {done.event} ({words[:300]}), and no act in the log does"
                self.find("act_not_logged", f"transaction {done.signature}", message)
        for done in self._redeemed:
            for said in self._signed.get(done.signature, []):
                self._compare(said, done)
        for signature, acts in self._signed.items():
            if signature not in self._landed:
                for said in acts:
                    self._missing(said)
        for name, said in self._credits:
            if self._named[name] > 0:
                self._named[name] -= 1
                self._missing(said)

    def _missing(self, said: _Said) -> None:
        if any(first <= said.index < until for first, until in self._undone):
            self.undone += 1
            return
        message = f"{said.kind} is in the log, and did not happen on the chain"
        self.find("act_not_on_chain", f"leaf {said.index}", message)

    def _compare(self, said: _Said, done: _Done) -> None:
        data, event = said.data, done.data
        if said.kind == "parameters_staged" and done.event == said.kind:
            same = data["from_epoch"] == event["from_epoch"] and dict(data["parameters"]) == dict(event["parameters"])
        elif said.kind == "pause_set":
            same = done.event == "pause_changed" and bits_of(data["paused"]) == event["after"]
        elif said.kind == "operator_set":
            same = done.event == "operator_changed" and data["operator"] == str(event["after"])
        elif said.kind in ("credit_issued", "credit_redeemed"):
            same = (data["wallet"], data["amount"]) == (str(event["wallet"]), event["amount"])
        else:
            return
        if not same:
            self._differs(said, f"the chain says {done.event}: { {key: _words(v) for key, v in event.items()} }")

    def _differs(self, said: _Said, message: str) -> None:
        self.find("act_differs", f"leaf {said.index}", f"{said.kind} says otherwise than the chain did: {message}")


def _names(event: str, data: Mapping[str, Any]) -> tuple[object, ...]:
    """What an act without the transaction's signature may name an event by."""
    if event == "credit_issued":
        return (("credit", str(data["wallet"]), data["amount"]),)
    if event == "billing_period_opened":
        return (("period", data["period"]),)
    if event in ("meter_status_changed", "meter_map_changed"):
        meter_id = bytes(data["meter_id"])
        approved = ("map", meter_id.hex(), bytes(data["after"]).hex()) if event == "meter_map_changed" else None
        named = ("address", str(programs.meter_address(meter_id))), ("meter", meter_id.hex()), approved
        return tuple(name for name in named if name is not None)
    return ()


def _words(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)

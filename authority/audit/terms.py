"""Governance's Config, done again from its events: the parameters of every epoch, billing periods, keys and pauses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from solders.pubkey import Pubkey

from authority.audit.chain_state import ChainState
from authority.audit.history import Landed
from authority.audit.tell import Find, Part, compare
from authority.chain import programs
from authority.chain.accounts import RETIREMENT_GRACE_EPOCHS, Config

NOBODY = Pubkey.default()


@dataclass(frozen=True, slots=True)
class Period:
    """A billing period: its number, its first epoch, and the epoch at whose start it ends."""

    number: int
    first: int
    end: int


@dataclass
class Terms:
    """What holds when. `stages` are the parameters as staged: (first epoch, parameters), the one in force first."""

    epoch_seconds: int
    stages: list[tuple[int, Mapping[str, Any]]] = field(default_factory=list)
    network_id: bytes = b""
    first_epoch: int = 0
    authority: Pubkey = NOBODY
    pending_authority: Pubkey = NOBODY
    operator: Pubkey = NOBODY
    pause: int = 0
    period: Period = Period(0, 0, 0)
    previous_start: int = 0
    staged_from: int = 0

    def epoch(self, time: int) -> int:
        """The epoch in which a moment (Unix seconds) lies."""
        return time // self.epoch_seconds

    def stage(self, first_epoch: int, parameters: Mapping[str, Any], now: int) -> None:
        """Have other parameters hold from an epoch on."""
        current = self.epoch(now)
        self.stages = [stage for stage in self.stages if stage[0] <= current][-1:]
        self.stages.append((first_epoch, parameters))

    def at(self, epoch: int) -> Mapping[str, Any]:
        """The parameters of an epoch."""
        held = self.stages[0][1]
        for first, parameters in self.stages[1:]:
            if first <= epoch:
                held = parameters
        return held

    def open_period(self, number: int, first: int) -> None:
        """The next billing period begins; its length is that in force at its first epoch."""
        self.previous_start = self.period.first
        self.period = Period(number, first, first + self.at(first)["billing_period_epochs"])

    def period_of_span(self, boundary: int, now: int) -> int:
        """The billing period in which a withdrawal is booked of a span that ended then (governance, Config)."""
        seconds, period = self.epoch_seconds, self.period
        if boundary > period.first * seconds or not period.number:
            return period.number
        in_previous = boundary > self.previous_start * seconds
        taken = self.epoch(now) < period.first + RETIREMENT_GRACE_EPOCHS
        return period.number - 1 if in_previous and taken else period.number


class Governed(Part):
    """Follows governance's events; `terms` is None until its first one."""

    def __init__(self, find: Find, state: ChainState) -> None:
        super().__init__(find, state)
        self.terms: Terms | None = None

    def begin_late(self) -> None:
        """The history does not reach back: take what the Config says now."""
        config = self.state.account(Config, programs.config_address())
        if config is None:
            return
        terms = self.terms = Terms(config.epoch_seconds)
        terms.stages.append((0, _numbers(config.parameters)))
        if config.staged_from:
            terms.stages.append((config.staged_from, _numbers(config.staged)))

    def _on_initialized(self, data: Mapping[str, Any], landed: Landed) -> None:
        terms = self.terms = Terms(data["epoch_seconds"])
        terms.stage(0, data["parameters"], landed.time)
        terms.network_id, terms.first_epoch = bytes(data["network_id"]), data["first_epoch"]
        terms.authority, terms.operator = data["authority"], data["operator"]
        first = terms.first_epoch
        terms.period = Period(0, first, first + data["parameters"]["billing_period_epochs"])
        terms.previous_start = first

    def _on_parameters_staged(self, data: Mapping[str, Any], landed: Landed) -> None:
        terms = self._terms()
        terms.stage(data["from_epoch"], data["parameters"], landed.time)
        terms.staged_from = data["from_epoch"]

    def _on_pause_changed(self, data: Mapping[str, Any], _: Landed) -> None:
        self._terms().pause = data["after"]

    def _on_operator_changed(self, data: Mapping[str, Any], _: Landed) -> None:
        self._terms().operator = data["after"]

    def _on_authority_proposed(self, data: Mapping[str, Any], _: Landed) -> None:
        self._terms().pending_authority = data["pending"]

    def _on_authority_changed(self, data: Mapping[str, Any], _: Landed) -> None:
        terms = self._terms()
        terms.authority, terms.pending_authority = data["after"], NOBODY

    def _on_billing_period_opened(self, data: Mapping[str, Any], _: Landed) -> None:
        terms = self._terms()
        number, first = terms.period.number + 1, terms.period.end
        if (data["period"], data["first_epoch"]) != (number, first):
            self.find(
                "period_differs",
                f"billing period {data['period']}",
                f"begins with epoch {data['first_epoch']}; by the one before, period {number} begins with {first}",
            )
        terms.open_period(data["period"], data["first_epoch"])

    def _terms(self) -> Terms:
        if self.terms is None:
            raise KeyError("Initialized")
        return self.terms

    def finish(self) -> None:
        """Compare what came out with the Config."""
        config, terms = self.state.account(Config, programs.config_address()), self.terms
        if config is None or terms is None:
            self.find("account_missing", "governance", "was initialized, and has no Config")
            return
        first, *rest = (dict(parameters) for _, parameters in terms.stages)
        compare(
            self.find,
            "governance",
            ("epoch_seconds", config.epoch_seconds, terms.epoch_seconds),
            ("network_id", config.network_id, terms.network_id),
            ("first_epoch", config.first_epoch, terms.first_epoch),
            ("authority", config.authority, terms.authority),
            ("pending_authority", config.pending_authority, terms.pending_authority),
            ("operator", config.operator, terms.operator),
            ("pause", config.pause, terms.pause),
            ("billing_period", config.billing_period, terms.period.number),
            ("billing_period_start", config.billing_period_start, terms.period.first),
            ("billing_period_end", config.billing_period_end, terms.period.end),
            ("previous_period_start", config.previous_period_start, terms.previous_start),
            ("staged_from", config.staged_from, terms.staged_from),
            ("parameters", _numbers(config.parameters), first),
            *((("staged", _numbers(config.staged), rest[-1]),) if rest else ()),
        )


def _numbers(parameters: Any) -> dict[str, int]:
    return {name: getattr(parameters, name) for name in parameters.__dataclass_fields__ if name != "FORMAT"}

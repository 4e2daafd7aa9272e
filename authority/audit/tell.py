"""How the parts of an audit say what does not hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from authority.audit.chain_state import ChainState
    from authority.audit.history import Landed

Find = Callable[[str, object, str], None]
"""Told of what does not hold: code, where, message."""


Handler = Callable[[Mapping[str, Any], "Landed"], None]
"""Takes an event's fields, and its transaction."""


class Part:
    """A part of the replay: `_on_EVENT` (in snake case) takes an event. What it carries over is kept between runs."""

    def __init__(self, find: Find, state: ChainState) -> None:
        self.find, self.state = find, state

    def resume(self, find: Find, state: ChainState) -> None:
        """Go on in another run: with its findings, and the chain as it is by now."""
        self.find, self.state = find, state

    def handlers(self) -> dict[str, Handler]:
        """The takers of events, by the events' names in the IDL."""
        return {event_name(name): getattr(self, name) for name in dir(self) if name.startswith("_on_")}

    def __getstate__(self) -> dict[str, Any]:
        """What is kept: all but the run's own."""
        return {name: value for name, value in vars(self).items() if name not in ("find", "state")}


def event_name(name: str) -> str:
    """`_on_meter_opened` or `meter_opened` as the IDL has it: `MeterOpened`."""
    return name.removeprefix("_on_").title().replace("_", "")


def compare(find: Find, where: str, *figures: tuple[str, object, object]) -> None:
    """Tell of each figure (its name, the account's, the one recomputed) in which an account is another."""
    for name, said, found in figures:
        if said != found:
            find("account_differs", where, f"the chain's account says {name} {said}, by log and events it is {found}")

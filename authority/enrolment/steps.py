"""What an act did, step by step, for the person who asked for it and for programs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Step:
    """One thing to do: what it is about, what became of it in one word, and a sentence where a person has to act."""

    what: str
    outcome: str
    todo: str = ""


Tell = Callable[[Step], None]
"""Hears of each step when it is done."""


@dataclass
class Done:
    """What an act did, or with dry_run would do: its steps in order, and figures; complete where nothing is left."""

    act: str
    subject: str
    dry_run: bool
    steps: list[Step] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    changed: bool = False

    @property
    def complete(self) -> bool:
        """Whether no step asks for anything."""
        return not any(step.todo for step in self.steps)

    def note(self, step: Step, tell: Tell, *, changed: bool = False) -> None:
        """A step is done, would be done, or cannot be."""
        self.steps.append(step)
        self.changed |= changed and not self.dry_run
        tell(step)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "act": self.act,
            "subject": self.subject,
            "dry_run": self.dry_run,
            "changed": self.changed,
            "complete": self.complete,
            "steps": [{"what": step.what, "outcome": step.outcome, "todo": step.todo} for step in self.steps],
            **self.facts,
        }

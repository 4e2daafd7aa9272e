"""What the labs share: exercises that say that they are open, and a lab with its solutions put in.

A lab is a Python file in the percent format of Jupytext: a cell begins with `# %%`, a cell of text with
`# %% [markdown]`, an exercise with `# %% exercise="3"`. The file of the same name in solutions/ has the same exercises
solved, and under `# %% mistake="3"` answers that the lab has to find wrong. `lab.py 1` prints lab 1 with its solutions.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NoReturn

LABS = Path(__file__).resolve().parent
WORLDS = LABS / "worlds"
"""Meters, campus and market that the labs work on; the project's tests work on the same ones."""
PACKAGES = ("authority", "edge_agent", "solders", "serial")
"""What a lab cannot do without."""

CLOSING = contextlib.ExitStack()
"""What a lab started, and what ends with it."""
atexit.register(CLOSING.close)

_HEAD = re.compile(r"^# %%(.*)$", re.M)
_NUMBERED = re.compile(r'\b(exercise|mistake)="(\d+)"')


class OpenExerciseError(Exception):
    """An exercise that nobody has solved yet."""


def begin(number: int) -> None:
    """Make the labs' worlds importable, tell what is open in one line, and say where the environment lacks."""
    sys.excepthook = _tell
    if str(WORLDS) not in sys.path:
        sys.path.insert(0, str(WORLDS))
    if missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]:
        sys.exit(
            f"The project's environment is missing ({', '.join(missing)}). In the project's directory `make demo "
            "EPOCHS=1` makes it, then run .venv/bin/python docs/labs/...; elsewhere install campus-energy-authority, "
            "as the labs' README says, and run the Python that has it."
        )
    print(f"Lab {number}")


def still_open(number: int, task: str) -> NoReturn:
    """Stand in an exercise until it is solved."""
    raise OpenExerciseError(f"Exercise {number} is open: {task}")


def answered(number: int, *answers: object) -> None:
    """Refuse to go on while an answer of the exercise is still None. OpenExerciseError."""
    if any(answer is None for answer in answers):
        still_open(number, "put your answer in the place of each None.")


def right(number: int) -> None:
    """Say that an exercise passed its checks."""
    print(f"Exercise {number}: right.")


def show(direction: str, data: bytes) -> None:
    """Print bytes in hex, 24 a line."""
    for at in range(0, len(data), 24):
        print(f"{direction if at == 0 else ' ' * len(direction)} {data[at : at + 24].hex(' ')}")


@dataclass(frozen=True)
class Cell:
    """One cell of a lab: what stands after `# %%`, and the lines below."""

    head: str
    body: str

    @property
    def is_text(self) -> bool:
        """Whether it is text, and not code."""
        return "[markdown]" in self.head

    @property
    def text(self) -> str:
        """A text cell's Markdown."""
        return "\n".join(line.removeprefix("#").removeprefix(" ") for line in self.body.strip().splitlines())

    @property
    def number(self) -> tuple[str, int] | None:
        """("exercise", 3) or ("mistake", 3); None for every other cell."""
        found = _NUMBERED.search(self.head)
        return (found[1], int(found[2])) if found else None


def cells(text: str) -> list[Cell]:
    """The cells of a file in percent format."""
    _, *parts = _HEAD.split(text)
    return [Cell(head.strip(), body) for head, body in zip(parts[::2], parts[1::2], strict=True)]


def answers(text: str, kind: str = "exercise") -> dict[int, list[str]]:
    """What a file of solutions has for each exercise, or the mistakes that it lists for it."""
    found: dict[int, list[str]] = {}
    for cell in cells(text):
        if cell.number and cell.number[0] == kind:
            found.setdefault(cell.number[1], []).append(cell.body)
    return found


def answer_in(text: str, given: Mapping[int, str]) -> str:
    """A lab's text with these answers in the place of its exercises."""
    out = []
    for cell in cells(text):
        body = given.get(cell.number[1], cell.body) if cell.number else cell.body
        out.append(f"# %%{' ' * bool(cell.head)}{cell.head}{body}")
    return "".join(out)


def files() -> list[Path]:
    """The labs, in their order."""
    return sorted(LABS.glob("lab[0-9]_*.py"))


def solved(path: Path) -> str:
    """A lab's text with its solutions."""
    solutions = answers((LABS / "solutions" / path.name).read_text(encoding="utf-8"))
    given = {number: body for number, (body,) in solutions.items()}
    return answer_in(path.read_text(encoding="utf-8"), given)


def _tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """An open exercise, or a check that failed, without the stack that led there."""
    if not isinstance(error, (OpenExerciseError, AssertionError)):
        sys.__excepthook__(kind, error, trace)
        return
    stack = [frame for frame in traceback.extract_tb(trace) if frame.filename != __file__]
    where = f"{Path(stack[-1].filename).name}, line {stack[-1].lineno}: " if stack else ""
    print(f"{where}{error or 'this check does not hold'}", file=sys.stderr)


def main() -> int:
    """Print a lab with its solutions."""
    parser = argparse.ArgumentParser(description="Print a lab with its solutions.")
    parser.add_argument("number", type=int, choices=[int(path.name[3]) for path in files()])
    number = parser.parse_args().number
    print(solved(next(path for path in files() if path.name.startswith(f"lab{number}_"))), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The labs: each runs with its solutions, stops at each exercise that is open, and finds each usual mistake."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import behind_a_peer
import peer_programs
import pytest

ROOT = Path(__file__).parents[2]
LABS = ROOT / "docs" / "labs"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
FROM_ELSEWHERE = """
import sys
from pathlib import Path
ours = [Path(each.__file__).resolve() for each in sys.modules.values() if getattr(each, "__file__", None)]
assert not [each for each in ours if each.is_relative_to("{root}/tests") or each.is_relative_to("{root}/docs")]
assert [each for each in ours if each.is_relative_to(Path(__file__).resolve().parent)]
"""
"""At a lab's end: nothing but the package came out of the project's directory."""


sys.path.insert(0, str(LABS))  # as Python does for a lab that it runs
import lab  # noqa: E402

FILES = lab.files()
SOLUTIONS = {path: LABS / "solutions" / path.name for path in FILES}


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def solutions(path: Path) -> dict[int, str]:
    return {number: body for number, (body,) in lab.answers(text_of(SOLUTIONS[path])).items()}


def exercises(path: Path) -> list[int]:
    return list(lab.answers(text_of(path)))


class Notebook:
    """A lab, cell by cell in this process, as somebody works through it who tries again after a wrong answer."""

    def __init__(self, path: Path) -> None:
        self.module = types.ModuleType(f"running_{path.stem}")
        self.path = path

    def __enter__(self) -> Notebook:
        self._told = sys.excepthook
        sys.modules[self.module.__name__] = self.module
        return self

    def __exit__(self, *_: object) -> None:
        lab.CLOSING.close()
        sys.excepthook = self._told
        del sys.modules[self.module.__name__]

    def run(self, *bodies: str) -> None:
        for body in bodies:
            exec(compile(body, self.path.name, "exec"), self.module.__dict__)  # noqa: S102 - a lab of ours


def test_every_lab_is_listed_for_students_and_for_teachers() -> None:
    assert FILES
    for page in ("README.md", "TEACHERS.md"):
        text = text_of(LABS / page)
        for path in FILES:
            assert f"({path.name})" in text, (page, path.name)
    assert sorted(path.name for path in (LABS / "solutions").glob("*.py")) == [path.name for path in FILES]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_lab_says_what_one_will_know_what_is_needed_and_how_long_it_takes(path: Path) -> None:
    opening = next(cell.text for cell in lab.cells(text_of(path)) if cell.is_text)
    assert opening.startswith(f"# Lab {path.name[3]}: ")
    for part in ("**At the end you know**", "**You need**", "**Time:**", f"docs/labs/{path.name}"):
        assert part in opening, part


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_exercises_are_numbered_and_each_has_one_solution_and_a_mistake(path: Path) -> None:
    numbers = exercises(path)
    assert numbers == list(range(1, len(numbers) + 1))
    assert all(len(bodies) == 1 for bodies in lab.answers(text_of(path)).values())
    assert list(solutions(path)) == numbers
    assert list(lab.answers(text_of(SOLUTIONS[path]), "mistake")) == numbers


def handed_out(into: Path, path: Path, solved: str) -> Path:
    """The labs without their solutions, as teachers hand them out, with one of them worked on."""
    labs = into / "labs"
    shutil.copytree(LABS, labs, ignore=shutil.ignore_patterns("solutions", "TEACHERS.md", "__pycache__"))
    (labs / path.name).write_text(solved + FROM_ELSEWHERE.format(root=ROOT))
    return labs / path.name


def run_alone(script: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A lab far from the project, with no more of it than the installed package."""
    return subprocess.run(
        [sys.executable, script.name],
        cwd=script.parent,
        capture_output=True,
        text=True,
        env={**ENVIRONMENT, **environment},
        check=False,
    )


@pytest.mark.parametrize("path", [path for path in FILES if path.name[3] in "1467"], ids=lambda path: path.stem)
def test_a_lab_stands_alone_and_runs_as_a_script_with_its_solutions(path: Path, tmp_path: Path) -> None:
    """One of each world that labs have: the emulator, the market, the programs, the small campus. All run below."""
    done = run_alone(handed_out(tmp_path, path, lab.solved(path)))
    assert (done.returncode, done.stderr) == (0, "")
    for number in exercises(path):
        assert f"Exercise {number}: right." in done.stdout
    assert f"Lab {path.name[3]} is done" in done.stdout


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=[pytest.mark.timeout(3_600)] if path.name[3] == "5" else [])
        for path in FILES
    ],
)
def test_an_open_exercise_stops_the_lab_and_a_usual_mistake_is_found(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At each exercise first nothing is answered, then each mistake is made, then the solution is put in."""
    code = [cell for cell in lab.cells(text_of(path)) if not cell.is_text]
    given, mistaken = solutions(path), lab.answers(text_of(SOLUTIONS[path]), "mistake")
    with Notebook(path) as notebook:
        while code:
            cell = code.pop(0)
            if cell.number is None:
                notebook.run(cell.body)
                continue
            number = cell.number[1]
            if (path.name[3], number) == ("5", 3) and os.environ.get("LABS") != "all":
                pytest.skip("exercises 1 and 2 hold; the others take 135 processor seconds: set LABS=all")
            checks = [code.pop(0).body]
            while f"lab.right({number})" not in checks[-1]:
                checks.append(code.pop(0).body)
            with pytest.raises(lab.OpenExerciseError, match=f"Exercise {number} is open: ."):
                notebook.run(cell.body, *checks)
            for mistake in mistaken[number]:
                with pytest.raises(AssertionError) as found:
                    notebook.run(mistake, *checks)
                assert str(found.value), f"what the check says of this is empty: {mistake}"
            assert f"Exercise {number}: right." not in capsys.readouterr().out
            notebook.run(given[number], *checks)
            told = capsys.readouterr().out
            assert f"Exercise {number}: right." in told
    assert f"Lab {path.name[3]} is done" in told + capsys.readouterr().out


def test_the_lab_that_builds_a_program_stands_alone_up_to_the_programs_sources(tmp_path: Path) -> None:
    (path,) = (each for each in FILES if each.name[3] == "5")
    script = handed_out(tmp_path, path, lab.answer_in(text_of(path), solutions(path)))
    done = run_alone(script)
    assert done.returncode == 1
    assert "Exercise 2: right." in done.stdout
    assert f"the programs' sources are not in {tmp_path.parent}: from here on" in done.stderr
    assert "CAMPUS_PROJECT=/home/me/campus" in done.stderr
    assert "Traceback" not in done.stderr
    first_two = {number: body for number, body in solutions(path).items() if number < 3}
    script.write_text(lab.answer_in(text_of(path), first_two))
    assert "Exercise 3 is open: " in run_alone(script, CAMPUS_PROJECT=str(ROOT)).stderr


def test_a_student_sees_where_to_go_on_and_no_stack() -> None:
    path = FILES[0]
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, env=ENVIRONMENT, check=False)
    line = text_of(path).splitlines().index(next(line for line in text_of(path).splitlines() if "still_open(1" in line))
    assert done.returncode == 1
    assert done.stderr.startswith(f"{path.name}, line {line + 1}: Exercise 1 is open: ")
    assert "Traceback" not in done.stderr


def test_what_is_handed_out_gives_no_answer_away(tmp_path: Path) -> None:
    """The last exercise of lab 8 is two numbers: neither stands in what students get."""
    (path,) = (each for each in FILES if each.name[3] == "8")
    labs = handed_out(tmp_path, path, text_of(path)).parent
    answer = dict(line.split(" = ") for line in solutions(path)[6].split("\n") if " = " in line)
    assert answer.keys() == {"WHEELING", "FEE_BPS"}
    given = "".join(each.read_text().replace("_", "") for each in labs.rglob("*") if each.suffix in (".py", ".md"))
    for name, number in answer.items():
        assert not re.search(rf"{name}\s*=\s*{number.replace('_', '')}\b", given, re.IGNORECASE)
    assert not re.search(r"wheeling\W+40000\b", given)


def test_without_the_environment_a_lab_says_how_to_make_it() -> None:
    command = [sys.executable, "-E", "-S", FILES[0]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "make demo EPOCHS=1" in done.stderr
    assert "install campus-energy-authority" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_solved_lab_is_printed() -> None:
    number = FILES[0].name[3]
    command = [sys.executable, LABS / "lab.py", number]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=True)
    assert done.stdout == lab.solved(FILES[0])


CONVERT = """
import json, sys, jupytext, nbformat
for name in sys.argv[1:]:
    notebook = jupytext.read(name, fmt="py:percent")
    nbformat.validate(notebook)
    print(json.dumps([[cell.cell_type, cell.metadata, cell.source] for cell in notebook.cells]))
"""


def test_every_lab_is_a_notebook() -> None:
    """Jupytext finds the same cells as the labs' own tool, and notebooks that their schema accepts."""
    command = [peer_programs.python("jupytext"), "-c", CONVERT, *FILES]
    converted = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    for path, line in zip(FILES, converted, strict=True):
        ours = lab.cells(text_of(path))
        theirs = json.loads(line)
        assert len(theirs) == len(ours) > 5
        for (kind, metadata, source), cell in zip(theirs, ours, strict=True):
            assert kind == ("markdown" if cell.is_text else "code")
            assert source == (cell.text if cell.is_text else cell.body.strip())
            if cell.number:
                assert metadata[cell.number[0]] == str(cell.number[1])


IN_A_KERNEL = """
import sys, jupytext, nbclient
notebook = jupytext.read(sys.argv[1], fmt="py:percent")
nbclient.NotebookClient(notebook, timeout=240, kernel_name="python3").execute()
for cell in notebook.cells:
    for output in cell.get("outputs", ()):
        assert output.output_type in ("stream", "display_data", "execute_result"), output
        print(output.get("text", ""), end="")
"""


@pytest.mark.parametrize("path", [path for path in FILES if path.name[3] in "14"], ids=lambda path: path.stem)
def test_a_lab_runs_in_jupyters_kernel(path: Path, tmp_path: Path) -> None:
    """As students open it: read by Jupytext, cell by cell in a kernel of its own, beside the lab's directory."""
    script = handed_out(tmp_path, path, lab.solved(path))
    script.write_text(lab.solved(path))
    done = behind_a_peer.run("jupytext", IN_A_KERNEL, script.parent, str(script))
    assert done.returncode == 0, done.stderr[-3_000:]
    for number in exercises(path):
        assert f"Exercise {number}: right." in done.stdout
    assert f"Lab {path.name[3]} is done" in done.stdout

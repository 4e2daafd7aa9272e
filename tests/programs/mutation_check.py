#!/usr/bin/env python3
"""Remove the guards of a program, one at a time, and see that some test fails for each.

usage: mutation_check.py PROGRAM [--only TEXT ...] [--sample N --seed S] [--jobs N] [--scratch DIR] [--built DIR]
                         [--tests PATH] [--list]

A guard, in the sources of the program and of its interface (or of one that it calls, see CALLED_BY), is a `require!`,
an `if` or a match arm that returns an error, a call of a `require_...` function or of an `invariant`, or the address
that an account must have.

The tree is copied to a scratch directory, and every guard there is made to ask whether it is the one taken out. So the
program is built once; which guard is out is a number in the built file, and changing it makes the next mutant. The
program's tests run on each; a mutant that no test kills is printed, and the exit status is then 1. It is 2 where
nothing could be learned: the program does not build, or its tests fail with every guard in place.

Guards that only repeat what another one makes certain are listed in EQUIVALENT, each with the reason; a sample is drawn
from the others. Needs programs/toolchain/setup.sh. A mutant takes as long as the tests that kill it, a few seconds.
"""

from __future__ import annotations

import argparse
import inspect
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

import pytest

ROOT = Path(__file__).resolve().parents[2]
COPIED = (
    "programs",
    "authority",
    "edge_agent",
    "tests/support",
    "tests/programs",
    "docs/labs/worlds",
    "tests/conftest.py",
    "pyproject.toml",
)

_BY_THE_STRUCT = "every accounts struct demands the address too"
_BY_THE_PROOF = "possession.rs compares the address too; this one is for the IDL"
_JUST_WRITTEN = "what it has just written holds by the checks before"
EQUIVALENT = {
    ("trading", "initialize_market.rs", "invariant()"): _JUST_WRITTEN,
    ("registry", "register_meter.rs", "address = INSTRUCTIONS_SYSVAR"): _BY_THE_PROOF,
    ("registry", "replace_meter_key.rs", "address = INSTRUCTIONS_SYSVAR"): _BY_THE_PROOF,
    ("registry", "possession.rs", "&INSTRUCTIONS_SYSVAR"): _BY_THE_STRUCT,
    ("registry", "initialize.rs", "registry.invariant()"): _JUST_WRITTEN,
    ("registry", "register_user.rs", "user.invariant()"): _JUST_WRITTEN,
    ("registry", "register_meter.rs", "meter.invariant()"): _JUST_WRITTEN,
    ("registry", "replace_wallet.rs", "wallet_use.invariant()"): _JUST_WRITTEN,
    (
        "registry",
        "accounts.rs",
        "VERSION || self.member == Address",
    ): "no instruction makes a WalletUse without a member",
    (
        "oracle",
        "account.rs",
        "state <= 1",
    ): "no instruction reads and writes accounts of one type; the crate's own tests do",
    ("oracle", "account.rs", "view.data_len() <"): "the registry makes no shorter Meter, and none is ever closed",
    ("oracle", "ed25519.rs", "length < HEADER"): "the precompile refuses an instruction without a count itself",
    ("oracle", "open_meter.rs", "invariant()"): _JUST_WRITTEN,
    ("oracle", "open_energy_account.rs", "account.invariant()"): _JUST_WRITTEN,
}
"""(program, file or all, text in the guard): why no test can tell it from its absence."""

CALLED_BY = {
    ("governance/src/config.rs", "self.pause & activities"): "oracle",
    ("registry/src/accounts.rs", "self.delegate == Address"): "energy_token",
    ("registry/src/accounts.rs", "now >= self.delegate_until"): "energy_token",
    ("common/src/account.rs", "target."): "registry",
    ("common/src/account.rs", "borrow_state != NOT_BORROWED"): "registry",
    ("common/src/account.rs", "array_space"): "trading",
    ("common/src/account.rs", ""): "oracle",
    ("common/src/ed25519.rs", ""): "oracle",
    ("common/src/further.rs", ""): "oracle",
    ("common/src/signatory.rs", ""): "trading",
}
"""(interface's file, text in the guard): the program in which it is taken out, where it is not the interface's own."""

FIRST = "CAMPUS_TESTS_FIRST"
"""The environment's variable with what a mutant's first tests name."""
NO_GUARD = 2**32 - 1
SELECTOR = b"campus-guard-taken-out:"
MUTANT_RS = """
/// Whether that guard is taken out; the number after the marker says which is, and the mutation check changes it there.
#[inline(never)]
pub fn mutant(number: u32) -> bool {
    #[used]
    static SELECTOR: [u8; 32] = *b"campus-guard-taken-out:\\xff\\xff\\xff\\xff.....";
    let mut chosen = [0u8; 4];
    for (index, byte) in chosen.iter_mut().enumerate() {
        // SAFETY: within the array; volatile, so that the compiler cannot know the number.
        *byte = unsafe { core::ptr::read_volatile(SELECTOR.as_ptr().add(23 + index)) };
    }
    u32::from_le_bytes(chosen) == number
}
"""


class NothingLearnedError(Exception):
    """The check could not be made; the message says why."""


@dataclass(frozen=True)
class Guard:
    """A guard in a source file: where it stands, and what stands there when it can be taken out, but for its number."""

    path: Path
    start: int
    end: int
    text: str
    switched: str

    def describe(self, root: Path) -> str:
        """File, line and text."""
        line = self.path.read_text()[: self.start].count("\n") + 1
        return f"{self.path.relative_to(root)}:{line}: {' '.join(self.text.split())[:110]}"


def closing(text: str, start: int) -> int:
    """The index after the bracket that closes the one at `start`; strings are passed over."""
    depth = 0
    position = start
    while position < len(text):
        character = text[position]
        if character == '"':
            position = text.index('"', position + 1)
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
            if depth == 0:
                return position + 1
        position += 1
    raise ValueError("brackets do not close")


def guards(path: Path) -> Iterator[Guard]:
    """The guards of a source file, outside its tests and comments."""
    code = path.read_text().split("#[cfg(test)]")[0]
    out = "campus_common::mutant(NUMBER)"
    for match in re.finditer(r"\brequire!\(", code):
        end = closing(code, match.end() - 1)
        switched = f"require!({out} || {code[match.end() : end]}"
        yield Guard(path, match.start(), end, code[match.start() : end], switched)
    for match in re.finditer(r"\bif ((?:[^{};]|\[\w+; \w+\])+?) \{\s*return Err\(", code):
        if not match[1].startswith("let "):
            yield Guard(path, match.start(1), match.end(1), f"{match[0]}...", f"!{out} && ({match[1]})")
    for match in re.finditer(r"=> (return Err\([^;{}]*?\.into\(\)\)),", code):
        text = arm(code, match.start()) + match[0]
        yield Guard(path, match.start(), match.end(), text, f"=> if !{out} {{ {match[1]}; }},")
    for match in re.finditer(
        r"^[ \t]*([\w.:]+(?:\([^;{}]*\)\?\.)?(?:require_\w+|invariant)\([^;{}]*\)\?;)", code, re.M
    ):
        yield Guard(path, match.start(1), match.end(1), match[1], f"if !{out} {{ {match[1]} }}")
    for match in re.finditer(r"^[ \t]*(let by_\w+ = )([\w.]+require_\w+\([^;{}]*\)\?);", code, re.M):
        switched = f"{match[1]}if {out} {{ true }} else {{ {match[2]} }};"
        yield Guard(path, match.start(1), match.end(), match[1] + match[2], switched)
    for match in re.finditer(r"^[ \t]*((?:\w+\.){1,2}invariant\(\))\n", code, re.M):
        yield Guard(path, match.start(1), match.end(1), match[1], f"if {out} {{ Ok(()) }} else {{ {match[1]} }}")
    for match in re.finditer(
        r"#\[account\((mut, |unsafe\(dup\), |mut, unsafe\(dup\), )?address = ([^\n]*?) (@ [^\n]*?)\)\]\n\s*pub (\w+)",
        code,
    ):
        check = f"constraint = {out} || *{match[4]}.account().address() == {match[2]} {match[3]}"
        switched = f"#[account({match[1] or ''}{check})]\n    pub {match[4]}"
        yield Guard(path, match.start(), match.end(), match[0], switched)


def taken_out_in(interfaces: Path, guard: Guard) -> str:
    """The program in which an interface's guard is taken out: its own, or one that calls it."""
    file = guard.path.relative_to(interfaces).as_posix()
    for (name, text), program in CALLED_BY.items():
        if file == name and text in " ".join(guard.text.split()):
            return program
    return file.split("/")[0]


def arm(code: str, position: int) -> str:
    """The pattern of the match arm whose arrow is there."""
    return code[code.rfind("\n", 0, position) + 1 : position].strip() + " "


def copy_tree(scratch: Path) -> None:
    """Copy what building and testing needs."""
    for name in COPIED:
        source, target = ROOT / name, scratch / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("target", "__pycache__", ".git")
            shutil.copytree(source, target, dirs_exist_ok=True, ignore=ignored)
        elif source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def switch(scratch: Path, found: list[Guard]) -> None:
    """Let every guard ask whether it is the one taken out."""
    library = scratch / "programs/interfaces/common/src/lib.rs"
    # In the crate itself a guard asks by the same name as everywhere.
    itself = "extern crate self as campus_common;\n"
    library.write_text(
        library.read_text().replace("extern crate alloc;\n", "extern crate alloc;\n" + itself) + MUTANT_RS
    )
    by_path: dict[Path, list[tuple[int, Guard]]] = {}
    for number, guard in enumerate(found):
        by_path.setdefault(guard.path, []).append((number, guard))
    for path, numbered in by_path.items():
        text = path.read_text()
        # From the end, so that places stay right; of nested guards the inner one comes first.
        for number, guard in sorted(numbered, key=lambda each: -each[1].start):
            text = text[: guard.start] + guard.switched.replace("NUMBER", str(number)) + text[guard.end :]
        path.write_text(text)


def build(scratch: Path, program: str, built: Path | None) -> bytes:
    """Build the program with its switched guards, from a copy of what cargo has built before, where that is given."""
    target = scratch / "target"
    package = program.replace("_", "-")
    command = [str(scratch / "programs/toolchain/build.sh"), str(target), package]
    if built:
        built = built.resolve()
        for directory in (built, target):
            directory.mkdir(parents=True, exist_ok=True)
        # Copies: these sources are not the project's, and cargo would take their outputs for those of the project's.
        for name in ("release", "sbpf"):
            if (built / name).is_dir() and not (target / name).exists():
                shutil.copytree(built / name, target / name, symlinks=True)
        library = target / "sbpf-toolchain"
        if not (library.is_symlink() or library.exists()):
            library.symlink_to(built / library.name)
        build_there = str(ROOT / "programs/toolchain/build.sh")
        command = [build_there, str(target), package, str(scratch / "programs"), str(built)]
    if subprocess.run(command, check=False).returncode:
        raise NothingLearnedError("the program does not build with its guards switched")
    return (target / f"sbpf/release/lib{program}.so").read_bytes()


def mutate(built: bytes, number: int) -> bytes:
    """The program with that guard taken out."""
    if built.count(SELECTOR) != 1:
        raise NothingLearnedError("the built program has no selector, or several: mutation_check.py must be mended")
    at = built.index(SELECTOR) + len(SELECTOR)
    return built[:at] + struct.pack("<I", number) + built[at + 4 :]


def failure(scratch: Path, artifacts: Path, tests: list[str], words: Iterable[str] = ()) -> str | None:
    """What pytest says where a test fails on these artifacts: the quick tests first, then the slow ones, shortened.

    Of each, those come first that name the words.
    """
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(scratch), str(Path(__file__).parent))),
        "CAMPUS_ARTIFACTS": str(artifacts),
        FIRST: " ".join(words),
        "AUCTION_BOOKS": "400",
        "MODEL_EXAMPLES": "10",
    }
    for marks in ("not slow", "slow"):
        command = [sys.executable, "-m", "pytest", "-x", "-q", "--timeout=0", "-p", Path(__file__).stem, "-m", marks]
        command += tests
        result = subprocess.run(command, check=False, cwd=scratch, env=environment, capture_output=True, text=True)
        if result.returncode == pytest.ExitCode.TESTS_FAILED:
            return result.stdout
        if result.returncode not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            raise NothingLearnedError(f"pytest could not run the tests:\n{result.stdout}{result.stderr}")
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In the mutants' pytest, which has this module as a plugin: the tests come first that aim at the guard."""
    words = [re.compile(rf"\b{word}\b") for word in os.environ.get(FIRST, "").split()]

    def misses(item: pytest.Item) -> list[bool]:
        code = inspect.getsource(item.function) if isinstance(item, pytest.Function) else ""
        return [not word.search(f"{item.name} {code}") for word in words]

    items.sort(key=misses)


def aims(guard: Guard, sources: Path) -> list[str]:
    """What a test that aims at the guard is likely to name, the likeliest first: its refusal, and its instruction."""
    refusal = r"\b(?:\w*Error|Fault|E)::(\w+)"
    named = re.findall(refusal, guard.path.read_text()[guard.start :])[:1]
    if called := re.search(r"(require_\w+|invariant)\(", guard.text):
        definition = re.compile(rf"fn {called[1]}\b.*?\n    }}\n", re.S)
        bodies = (found[0] for path in sorted(sources.rglob("*.rs")) for found in definition.finditer(path.read_text()))
        named = ["invariant"] if called[1] == "invariant" else re.findall(refusal, "".join(bodies))
    return [*dict.fromkeys(named), guard.path.stem]


def equivalent(program: str, guard: Guard) -> str | None:
    """Why no test can tell the guard from its absence, where that is so."""
    text = " ".join(guard.text.split())
    for (its_program, name, part), reason in EQUIVALENT.items():
        if its_program == program and name in ("", guard.path.name) and part in text:
            return reason
    return None


def find(scratch: Path, program: str) -> list[Guard]:
    """All guards that are taken out in the program: its own, and those of the interfaces."""
    interfaces = scratch / "programs" / "interfaces"
    sources = sorted((scratch / "programs" / program / "src").rglob("*.rs"))
    found = [guard for path in sources for guard in guards(path)]
    for path in sorted(interfaces.glob("*/src/**/*.rs")):
        found += [guard for guard in guards(path) if taken_out_in(interfaces, guard) == program]
    return found


def tests_of(scratch: Path, program: str) -> list[str]:
    """The tests that are to kill the program's mutants.

    Not the lives of the whole campus: they take minutes, and a guard wants a test that aims at it.
    """
    folder = scratch / "tests/programs"
    own = (folder / program).glob("test_*.py") if (folder / program).is_dir() else folder.glob(f"test_{program}*.py")
    return [str(path) for path in sorted(own) if path.name != "test_whole_campus.py"]


def check(scratch: Path, arguments: argparse.Namespace) -> int:
    """Take out the guards that the command line names; how many can be removed unnoticed."""
    program = arguments.program
    copy_tree(scratch)
    found = find(scratch, program)
    if not found:
        raise NothingLearnedError(f"there is no program {program}, or it has no guards")
    names = [guard.describe(scratch) for guard in found]
    reasons = [equivalent(program, guard) for guard in found]
    chosen = [number for number, name in enumerate(names) if any(text in name for text in arguments.only)]
    if arguments.sample:
        testable = [number for number in chosen if reasons[number] is None]
        sample = random.Random(arguments.seed).sample(testable, min(arguments.sample, len(testable)))  # noqa: S311
        chosen = sorted(sample)
    if arguments.list:
        print("\n".join(names[number] for number in chosen))
        return 0
    tests = [arguments.tests] if arguments.tests else tests_of(scratch, program)
    words = [aims(guard, scratch / "programs") for guard in found]
    switch(scratch, found)
    built = build(scratch, program, arguments.built)
    places: SimpleQueue[Path] = SimpleQueue()
    for job in range(arguments.jobs):
        place = scratch / f"artifacts-{job}"
        shutil.copytree(scratch / "programs/artifacts", place, dirs_exist_ok=True)
        places.put(place)

    def run(number: int) -> str | None:
        place = places.get()
        try:
            (place / f"{program}.so").write_bytes(mutate(built, number))
            return failure(scratch, place, tests, [] if number == NO_GUARD else words[number])
        finally:
            places.put(place)

    if said := run(NO_GUARD):
        raise NothingLearnedError(f"the tests fail with every guard in place:\n{said}")
    verdicts = {"killed": 0, "SURVIVES": 0, "equivalent": 0}
    with ThreadPoolExecutor(arguments.jobs) as pool:
        running = {number: pool.submit(run, number) for number in chosen if reasons[number] is None}
        try:
            for done, number in enumerate(chosen, 1):
                if number in running:
                    verdict = "SURVIVES" if running[number].result() is None else "killed"
                    remark = ""
                else:
                    verdict, remark = "equivalent", f" ({reasons[number]})"
                verdicts[verdict] += 1
                print(f"[{done}/{len(chosen)}] {names[number]}: {verdict}{remark}", flush=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    print(
        f"{program}: of {len(chosen)} guards {verdicts['SURVIVES']} can be removed unnoticed"
        f" ({verdicts['killed']} killed, {verdicts['equivalent']} equivalent)"
    )
    return verdicts["SURVIVES"]


def main(argv: list[str] | None = None) -> int:
    """Run as the command line says; returns the exit status."""
    parser = argparse.ArgumentParser(description="Remove each guard of a program in turn; some test must fail.")
    parser.add_argument("program")
    parser.add_argument("--only", nargs="+", default=[""], help="guards whose file or text contains one of these")
    parser.add_argument("--sample", type=int, help="so many guards, chosen by --seed")
    parser.add_argument("--seed", default="0", help="for example the date, so that a sample rotates")
    parser.add_argument("--jobs", type=int, default=1, help="so many mutants at a time")
    parser.add_argument("--scratch", type=Path, help="keep the copied tree and the build here")
    parser.add_argument("--built", type=Path, help="a cargo target directory whose outputs a copy starts from")
    parser.add_argument("--tests", help="tests to run (those of the program, unless told)")
    parser.add_argument("--list", action="store_true", help="print the guards and stop")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="campus-mutants-") as temporary:
        try:
            return 1 if check((arguments.scratch or Path(temporary)).resolve(), arguments) else 0
        except NothingLearnedError as error:
            print(f"mutation check of {arguments.program}: nothing could be learned: {error}", file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main())

"""The mutation check itself: it finds guards of every form, and it fails where no test misses one.

The whole is run on a program of two guards, whose "build" writes down what the switched source asks for; its tests are
real ones, which pytest runs on each mutant.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

import mutation_check
import pytest

GUARDED = """
    pub fn withdraw(amount: u64) -> Result<()> {
        if amount == 0 {
            return Err(TokenError::ZeroAmount.into());
        }
        require!(amount < LIMIT, TokenError::TooMuch);
        Ok(())
    }
"""

TESTS = """
import os, struct
from pathlib import Path

SELECTOR = b"campus-guard-taken-out:"


def taken_out():
    program = (Path(os.environ["CAMPUS_ARTIFACTS"]) / "vault.so").read_bytes()
    return struct.unpack_from("<I", program, program.index(SELECTOR) + len(SELECTOR))[0]

"""

TEST_OF = "def test_guard_{0}():\n    assert taken_out() != {0}\n\n\n"


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one program, vault, of two guards, of which a test covers the first found (`require!`)."""
    root = tmp_path / "project"
    for name, text in {
        "programs/vault/src/lib.rs": GUARDED,
        "programs/interfaces/common/src/lib.rs": "extern crate alloc;\n",
        "programs/artifacts/vault.so": "",
        "tests/programs/test_vault.py": TESTS + TEST_OF.format(0),
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(mutation_check, "ROOT", root)
    monkeypatch.setattr(mutation_check, "build", build)
    return root


def build(scratch: Path, program: str, built: Path | None) -> bytes:
    """What a build gives, as far as the check looks at it; every guard must ask whether it is out."""
    source = (scratch / f"programs/{program}/src/lib.rs").read_text()
    asked = sorted(re.findall(r"campus_common::mutant\((\d+)\)", source))
    assert asked == ["0", "1"], source
    assert "pub fn mutant(" in (scratch / "programs/interfaces/common/src/lib.rs").read_text()
    return b"ELF" + mutation_check.SELECTOR + b"\xff" * 4 + b"....."


def test_a_guard_that_no_test_covers_fails_the_check_and_is_named(vault: Path, capsys) -> None:
    assert mutation_check.main(["vault"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "[1/2] programs/vault/src/lib.rs:6: require!(amount < LIMIT, TokenError::TooMuch): killed"
    assert re.fullmatch(r"\[2/2\] programs/vault/src/lib\.rs:3: if amount == 0 .*: SURVIVES", lines[1])
    assert lines[2] == "vault: of 2 guards 1 can be removed unnoticed (1 killed, 0 equivalent)"


def test_it_passes_where_every_guard_is_covered_side_by_side_too(vault: Path, capsys) -> None:
    (vault / "tests/programs/test_vault.py").write_text(TESTS + TEST_OF.format(0) + TEST_OF.format(1))
    assert mutation_check.main(["vault", "--jobs", "2"]) == 0
    assert "of 2 guards 0 can be removed unnoticed (2 killed" in capsys.readouterr().out


def test_a_guard_counts_as_equivalent_only_where_the_table_says_so(vault: Path, capsys, monkeypatch) -> None:
    table = {("vault", "lib.rs", "amount == 0"): "the runtime sends nothing of nothing"}
    monkeypatch.setattr(mutation_check, "EQUIVALENT", table)
    assert mutation_check.main(["vault"]) == 0
    assert "equivalent (the runtime sends nothing of nothing)" in capsys.readouterr().out
    # A sample is drawn from guards that a test can tell.
    for seed in "abcdefgh":
        assert mutation_check.main(["vault", "--sample", "1", "--seed", seed, "--list"]) == 0
        assert "require!" in capsys.readouterr().out


def test_a_sample_depends_on_its_seed_alone(vault: Path, capsys) -> None:
    def sample(seed: str) -> str:
        assert mutation_check.main(["vault", "--sample", "1", "--seed", seed, "--list"]) == 0
        return capsys.readouterr().out

    assert all(sample(seed) == sample(seed) for seed in "abc")
    assert len({sample(str(day)) for day in range(12)}) == 2


def test_tests_that_name_the_guard_s_refusal_run_first(vault: Path) -> None:
    file = vault / "tests/programs/test_vault.py"
    file.write_text("def test_of_a():\n    assert False\n\n\ndef test_of_b():\n    assert not 'TooMuch'\n")
    (guard,) = [guard for guard in mutation_check.find(vault, "vault") if "LIMIT" in guard.text]
    words = mutation_check.aims(guard, vault / "programs")
    assert words == ["TooMuch", "lib"]
    assert "FAILED tests/programs/test_vault.py::test_of_b" in (
        mutation_check.failure(vault, vault, [str(file)], words) or ""
    )
    assert "FAILED tests/programs/test_vault.py::test_of_a" in (mutation_check.failure(vault, vault, [str(file)]) or "")


def test_tests_that_fail_anyway_teach_nothing(vault: Path, capsys) -> None:
    (vault / "tests/programs/test_vault.py").write_text("def test_of_something_else():\n    assert False\n")
    assert mutation_check.main(["vault"]) == 2
    said = capsys.readouterr()
    assert "the tests fail with every guard in place" in said.err
    assert "killed" not in said.out


def test_tests_that_cannot_run_kill_nothing(vault: Path, capsys) -> None:
    assert mutation_check.main(["vault", "--tests", "tests/programs/test_missing.py"]) == 2
    assert "pytest could not run the tests" in capsys.readouterr().err


def test_a_build_without_the_switch_teaches_nothing(vault: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(mutation_check, "build", lambda *_: b"ELF")
    assert mutation_check.main(["vault"]) == 2
    assert "has no selector" in capsys.readouterr().err


def test_a_program_that_is_not_there_teaches_nothing(vault: Path, capsys) -> None:
    assert mutation_check.main(["vaults"]) == 2
    assert "there is no program vaults" in capsys.readouterr().err


def test_a_mutant_differs_in_its_number_alone() -> None:
    built = b"ELF" + mutation_check.SELECTOR + b"\xff" * 4 + b"....."
    mutant = mutation_check.mutate(built, 258)
    assert mutant == built.replace(b"\xff" * 4, struct.pack("<I", 258))
    assert mutation_check.mutate(built, mutation_check.NO_GUARD) == built


@pytest.mark.parametrize(
    ("source", "switched"),
    [
        ("require!(a < b, E::X);", "require!(campus_common::mutant(0) || a < b, E::X);"),
        (
            "if a || b {\n    return Err(E::X.into());\n}",
            "if !campus_common::mutant(0) && (a || b) {\n    return Err(E::X.into());\n}",
        ),
        ("A => return Err(E::X.into()),", "A => if !campus_common::mutant(0) { return Err(E::X.into()); },"),
        ("    config.require_running(P)?;", "    if !campus_common::mutant(0) { config.require_running(P)?; }"),
        (
            "    let by_wallet = user.require_wallet(s, now)?;",
            "    let by_wallet = if campus_common::mutant(0) { true } else { user.require_wallet(s, now)? };",
        ),
        ("    user.invariant()?;", "    if !campus_common::mutant(0) { user.invariant()?; }"),
        ("    user.invariant()\n", "    if campus_common::mutant(0) { Ok(()) } else { user.invariant() }\n"),
        (
            "    book.head.invariant()\n",
            "    if campus_common::mutant(0) { Ok(()) } else { book.head.invariant() }\n",
        ),
        (
            "#[account(mut, unsafe(dup), address = HERE @ E::X)]\n    pub mint: A,",
            "#[account(mut, unsafe(dup), constraint = campus_common::mutant(0)"
            " || *mint.account().address() == HERE @ E::X)]\n    pub mint: A,",
        ),
        (
            "#[account(mut, address = HERE @ E::X)]\n    pub mint: A,",
            "#[account(mut, constraint = campus_common::mutant(0) || *mint.account().address() == HERE @ E::X)]\n"
            "    pub mint: A,",
        ),
    ],
    ids=[
        "require",
        "if",
        "arm",
        "call",
        "answering call",
        "invariant",
        "last invariant",
        "of a part",
        "twice",
        "address",
    ],
)
def test_every_form_of_guard_is_found_and_can_be_taken_out(tmp_path: Path, source: str, switched: str) -> None:
    path = tmp_path / "programs/vault/src/lib.rs"
    common = tmp_path / "programs/interfaces/common/src/lib.rs"
    for each, text in ((path, source), (common, "extern crate alloc;\n")):
        each.parent.mkdir(parents=True)
        each.write_text(text)
    mutation_check.switch(tmp_path, list(mutation_check.guards(path)))
    assert path.read_text() == switched


def test_the_tables_name_guards_that_there_are() -> None:
    """An entry that fits nothing any more would hide the next guard of that text."""
    programs = ("governance", "registry", "energy_token", "oracle", "trading")
    found = {program: mutation_check.find(mutation_check.ROOT, program) for program in programs}
    for program, name, text in mutation_check.EQUIVALENT:
        fitting = [
            guard for guard in found[program] if name in ("", guard.path.name) and text in " ".join(guard.text.split())
        ]
        assert fitting, (program, name, text)
    interfaces = mutation_check.ROOT / "programs/interfaces"
    for (name, text), program in mutation_check.CALLED_BY.items():
        fitting = [guard for guard in mutation_check.guards(interfaces / name) if text in " ".join(guard.text.split())]
        assert fitting, (name, text)
        assert program in found
    # No interface's guard falls between the programs.
    everywhere = {guard for path in interfaces.glob("*/src/**/*.rs") for guard in mutation_check.guards(path)}
    assert everywhere <= {guard for guards in found.values() for guard in guards}

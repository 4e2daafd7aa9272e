"""The protocol core and the record under MicroPython: the very tests that CPython runs, each file in a process.

What a file defines is counted here from its source and compared with what ran there, so that nothing is left out in
silence: not a file, not a test.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import peer_programs
import pytest

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests" / "edge_agent"
RUN = Path(__file__).parent / "run.py"
HEAP = "4M"

CPYTHON_ONLY = {"test_properties.py", "test_captures.py", "test_conversations.py", "test_dlms_interop.py"}
"""Tests of the core's folders that need pytest, Hypothesis or processes, which MicroPython has not."""

FILES = [
    path
    for folder in ("dlms", "dlms/iec62056_21", "dlms/sml")
    for path in sorted((TESTS / folder).glob("test_*.py"))
    if path.name not in CPYTHON_ONLY
] + [TESTS / "wire" / "test_reading.py", TESTS / "probe" / "test_ed25519.py"]


def defined_tests(path: Path) -> set[str]:
    body = ast.parse(path.read_text()).body
    return {node.name for node in body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def run(path: Path, *command: str) -> list[dict[str, object]]:
    done = subprocess.run(
        [*command, str(RUN), str(ROOT), str(path)], capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_core_is_what_is_meant() -> None:
    assert len(FILES) >= 12
    assert {"test_axdr.py", "test_hdlc_frame.py", "test_security.py", "test_client_server.py"} <= {
        f.name for f in FILES
    }


@pytest.fixture(scope="module")
def micropython() -> str:
    return str(peer_programs.micropython())


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_under_micropython(path: Path, micropython: str) -> None:
    *lines, last = run(path, micropython, "-X", f"heapsize={HEAP}")
    failures = [f"{line['test']}: {line['error']}" for line in lines if line["error"] is not None]
    assert not failures, "\n".join(failures)
    expected = defined_tests(path)
    assert expected
    assert {line["test"] for line in lines} == expected
    assert last == {"ran": len(expected)}


def test_the_runner_tells_of_failures(tmp_path: Path, micropython: str) -> None:
    failing = tmp_path / "test_some.py"
    failing.write_text("def test_good():\n    pass\n\n\ndef test_bad():\n    assert 1 == 2, 'no'\n")
    broken = tmp_path / "test_broken.py"
    broken.write_text("import nothing_of_this_name\n")
    for command in ([micropython], [sys.executable]):
        lines = run(failing, *command)
        assert [(line.get("test"), line.get("error") is None) for line in lines[:-1]] == [
            ("test_bad", False),
            ("test_good", True),
        ]
        assert "no" in str(lines[0]["error"])
        assert lines[-1] == {"ran": 2}
        lines = run(broken, *command)
        assert lines[0]["test"] is None
        assert "nothing_of_this_name" in str(lines[0]["error"])
        assert lines[-1] == {"ran": 0}

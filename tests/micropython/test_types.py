"""The core's types against MicroPython's own stubs instead of CPython's: nothing is used that a port has not."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import peer_programs
import pytest

ROOT = Path(__file__).parents[2]
CORE = (
    "edge_agent/dlms",
    "edge_agent/wire/reading.py",
    *(f"edge_agent/probe/{name}.py" for name in ("ed25519", "meter", "journal", "handover", "probe")),
)
CONFIG = """
[mypy]
python_version = 3.11
strict = True
warn_return_any = False
warn_unused_ignores = False
mypy_path = {stubs}
custom_typeshed_dir = {stubs}
"""

WHERE_A_LIBRARY_IS_LOOKED_FOR = {
    ("edge_agent/dlms/hdlc/checksum.py", "crc_hqx"),
    ("edge_agent/probe/sha512.py", "sha512"),
}
"""Names that a port need not have: each stands behind a check whether it is there."""


@pytest.mark.slow
@pytest.mark.parametrize("port", ["unix", "rp2"])
def test_types_under_the_stubs_of_a_port(port: str, tmp_path: Path) -> None:
    stubs = peer_programs.micropython_stubs(port)
    config = tmp_path / "mypy.ini"
    config.write_text(CONFIG.format(stubs=stubs))
    cache = str(tmp_path / "cache")
    command = [sys.executable, "-m", "mypy", "--config-file", str(config), "--cache-dir", cache, *CORE]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=250, check=False)
    counted = re.search(r"checked (\d+) source files", done.stdout)
    assert counted, done.stdout + done.stderr
    assert int(counted[1]) > 40
    # The stubs have errors of their own, which are not ours to count.
    errors = [line for line in done.stdout.splitlines() if line.startswith("edge_agent/") and ": error: " in line]
    unexpected = [
        line
        for line in errors
        if not any(line.startswith(f) and name in line for f, name in WHERE_A_LIBRARY_IS_LOOKED_FOR)
    ]
    assert not unexpected, "\n".join(unexpected)
    assert any("crc_hqx" in line for line in errors), "these are not MicroPython's stubs"

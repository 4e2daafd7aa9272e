"""The timed walk by docs/OPERATIONS.md: from an empty Debian to the first settled epoch, from an adapter to the first
signed reading. Minutes long, as root, with the network of pip and apt: `CAMPUS_WALK=DIR` names the bare root."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from documents import documented

HERE = Path(__file__).parent
MINUTE = 60


def test_the_walk_takes_the_pages_sections() -> None:
    """A section that was renamed would be walked past."""
    source = (HERE / "walk.py").read_text(encoding="utf-8")
    sections = {command.section for command in documented("OPERATIONS.md")}
    named = [
        "Operations: from an empty host to a running campus",
        "The authority's host",
        "The campus plan",
        "A gateway",
    ]
    assert all(f'"{name}"' in source for name in named)
    assert set(named) <= sections


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif("CAMPUS_WALK" not in os.environ, reason="takes minutes: CAMPUS_WALK=DIR names a bare Debian root")
def test_from_an_empty_debian_to_the_first_settled_epoch(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("enters a root of its own: as root")
    out = tmp_path / "walk.json"
    command = [sys.executable, HERE / "walk.py", os.environ["CAMPUS_WALK"], "--out", out]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(out.read_text())
    assert report["audit"] == "everything holds"
    assert report["steps"]

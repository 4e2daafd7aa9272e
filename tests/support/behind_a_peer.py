"""Our packages behind another project's, in that project's environment, for it and every process that it starts."""

from __future__ import annotations

import os
import site
import subprocess
from pathlib import Path

import peer_programs

ROOT = Path(__file__).parents[2]


def run(peer: str, program: str, place: Path, *words: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    """Run a program's text in a peer's environment; place is a directory for what brings our packages along."""
    (place / "sitecustomize.py").write_text(f"import sys\nsys.path += {[str(ROOT), *site.getsitepackages()]!r}\n")
    return subprocess.run(
        [peer_programs.python(peer), "-c", program, *words],
        capture_output=True,
        text=True,
        cwd=place,
        env={"PATH": os.environ["PATH"], "HOME": str(place), "PYTHONPATH": str(place)},
        timeout=timeout,
        check=False,
    )

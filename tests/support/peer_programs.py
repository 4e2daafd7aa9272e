"""Programs of other projects that tests run beside ours, each in an environment of its own, made once and kept.

What stands in it is named by hash in requirements/peer-NAME.lock, so a test means the same in a year; what Node.js runs
is named in javascript/package-lock.json. (Their licences differ too: gurux-dlms is GPL, dlms-cosem BSL, MicroPython and
Node.js MIT.)
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

LOCKS = Path(__file__).parents[2] / "requirements"
JAVASCRIPT = Path(__file__).parent / "javascript"

FROM_SOURCE = {"anchorpy": "construct"}
"""Peers that need a package which is published as source alone; peer-build.lock has what builds it."""


def python(peer: str) -> Path:
    """The interpreter of a peer's environment."""
    return _programs(peer) / "python"


def micropython() -> Path:
    """MicroPython's unix port; the environment variable MICROPYTHON names another build of it."""
    named = os.environ.get("MICROPYTHON")
    return Path(named) if named else _programs("micropython") / "micropython"


def micropython_stubs(port: str) -> Path:
    """The folder with the type stubs of a MicroPython port (`unix`, `rp2`), in the form of a typeshed."""
    (folder,) = (_programs(f"micropython-{port}-stubs").parent / "lib").glob("python*/site-packages")
    return folder


def node_packages() -> tuple[Path, Path]:
    """Node.js, and the `node_modules` with what javascript/package-lock.json names; no package's own script is run."""
    node = _programs("node") / "node"
    lock = JAVASCRIPT / "package-lock.json"
    directory = _cache() / f"javascript-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    with Path(f"{directory}.in-use").open("w") as in_use:
        fcntl.flock(in_use, fcntl.LOCK_EX)
        complete = directory / "complete"
        if not complete.exists():
            shutil.rmtree(directory, ignore_errors=True)
            shutil.copytree(JAVASCRIPT, directory)
            quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--omit=optional"]
            command = [node.with_name("npm"), "ci", *quiet]
            subprocess.run(command, cwd=directory, check=True, stdout=subprocess.DEVNULL, env=_trusting())
            complete.touch()
    return node, directory / "node_modules"


def _trusting() -> dict[str, str]:
    """The environment, with which Node.js trusts whom the machine trusts, as pip and cargo do, and not its own list."""
    system = Path("/etc/ssl/certs/ca-certificates.crt")
    trusted = {"NODE_EXTRA_CA_CERTS": str(system)} if system.exists() else {}
    return trusted | os.environ


def _cache() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "campus-energy-tests"
    cache.mkdir(parents=True, exist_ok=True)
    return cache


def _programs(peer: str) -> Path:
    """The programs of a peer's environment, which is made where it is not there yet."""
    lock = LOCKS / f"peer-{peer}.lock"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    content = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    directory = _cache() / f"{peer}-{content}-{version}"
    with Path(f"{directory}.in-use").open("w") as in_use:
        fcntl.flock(in_use, fcntl.LOCK_EX)
        complete = directory / "complete"
        if not complete.exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", directory], check=True)
            pip = [directory / "bin/python", "-m", "pip", "--disable-pip-version-check"]
            install = [*pip, "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
            if peer in FROM_SOURCE:
                subprocess.run([*install, "-r", LOCKS / "peer-build.lock"], check=True)
                install += ["--no-binary", FROM_SOURCE[peer], "--no-build-isolation"]
            subprocess.run([*install, "-r", lock], check=True)
            subprocess.run([*pip, "check"], check=True, stdout=subprocess.DEVNULL)
            complete.touch()
    return directory / "bin"

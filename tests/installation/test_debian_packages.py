"""The Debian packages: built twice alike, installed without a network on a bare Debian, upgraded, removed, purged.

As root, in copies of bare roots: those of `CAMPUS_BARE_ROOTS` (a folder with bookworm and trixie in it), or what
debootstrap makes. `CAMPUS_DEB=all` takes both packages on both releases; else it is the gateway's on the first.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ALL = os.environ.get("CAMPUS_DEB") == "all"
LONGER = pytest.mark.skipif(not ALL, reason="CAMPUS_DEB=all takes both packages on both releases")


pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def build(package: str, suite: str, out: Path, *words: str) -> Path:
    script = ROOT / "deploy/build_deb.py"
    command = [sys.executable, script, package, "--suite", suite, "--out", out, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode and "No matching distribution" in done.stderr + done.stdout:
        pytest.skip("the index has no wheels for this release, or cannot be reached")
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


class Machine:
    """A bare Debian in a folder of its own, entered without any network."""

    def __init__(self, path: Path, suite: str) -> None:
        self.path, self.suite = path, suite

    def run(self, *words: str, status: int = 0) -> str:
        command = ["unshare", "--net", "--mount", "chroot", self.path, "env", "-i", "HOME=/root", "LANG=C.UTF-8"]
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        done = subprocess.run(
            [*command, path, "DEBIAN_FRONTEND=noninteractive", *words],
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def put(self, package: Path) -> str:
        shutil.copy(package, self.path / "tmp" / package.name)
        return f"/tmp/{package.name}"


def bare_root(suite: str, target: Path) -> None:
    """A copy of the release's bare root: of `CAMPUS_BARE_ROOTS`, else of one that debootstrap makes once and keeps."""
    roots = os.environ.get("CAMPUS_BARE_ROOTS")
    kept = Path(roots or Path.home() / ".cache/campus-energy-tests/bare") / suite
    if not (kept / "usr/bin/python3").exists():
        if shutil.which("debootstrap") is None:
            pytest.skip(f"no bare {suite}: apt-get install debootstrap, or name a folder with one in CAMPUS_BARE_ROOTS")
        with tempfile.TemporaryDirectory(dir=target.parent) as making:
            command = ["debootstrap", "--variant=minbase", "--include=python3", suite, making, *mirror()]
            if subprocess.run(command, check=False, capture_output=True).returncode:
                pytest.skip(f"debootstrap makes no {suite} here: is Debian's archive reached?")
            kept.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "-a", f"{making}/.", kept], check=True)
    subprocess.run(["cp", "-a", "--reflink=auto", f"{kept}/.", target], check=True)
    target.chmod(0o755)  # as a root directory is, whatever the folder was in which it was made


def mirror() -> list[str]:
    """This machine's own archive of Debian, if it says which."""
    for file in [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]:
        if file.is_file() and (
            found := re.search(r"^(?:URIs:|deb .*?)\s*(https?://\S+debian/?)\s", file.read_text(), re.M)
        ):
            return [found[1]]
    return []


@pytest.fixture
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    if os.geteuid() != 0:
        pytest.skip("installs packages into a root of its own: as root")
    target = tmp_path / "machine"
    target.mkdir()
    bare_root(request.param, target)
    yield Machine(target, request.param)
    shutil.rmtree(target, ignore_errors=True)


@pytest.mark.parametrize("machine", ["bookworm", pytest.param("trixie", marks=LONGER)], indirect=True)
def test_the_gateways_life(machine: Machine, tmp_path: Path) -> None:
    package, suite = "edge-agent", machine.suite
    first = build(package, suite, tmp_path / "one")
    again = build(package, suite, tmp_path / "two")
    assert first.read_bytes() == again.read_bytes()
    newer = build(package, suite, tmp_path / "two", "--revision", "2")

    machine.run("dpkg", "--install", machine.put(first))
    assert machine.run("edge-agent", "--version").startswith("edge-agent 0.")
    assert "usage: meter-emulator" in machine.run("meter-emulator", "--help")
    assert "uid=" in machine.run("id", "edge-agent")
    assert "dialout" in machine.run("id", "edge-agent")
    state, settings = machine.path / "var/lib/edge-agent", machine.path / "etc/edge-agent"
    assert state.stat().st_mode & 0o777 == 0o700
    layout = state / "layouts/mine.json"
    layout.parent.mkdir()
    layout.write_text("{}")
    (settings / "gateway.toml").write_text("# mine\n")
    default = machine.path / "etc/default/edge-agent"
    default.write_text("CAMPUS_LOG_LEVEL=debug\n")

    machine.run("dpkg", "--install", machine.put(newer))
    assert "-2+deb" in machine.run("dpkg-query", "--show", "campus-edge-agent")
    assert default.read_text() == "CAMPUS_LOG_LEVEL=debug\n"
    assert layout.exists()
    assert (settings / "gateway.toml").read_text() == "# mine\n"
    verify(machine, "edge-agent.service")
    assert machine.run("dpkg", "--verify", "campus-edge-agent").strip() in ("", "??5?????? c /etc/default/edge-agent")

    machine.run("dpkg", "--remove", "campus-edge-agent")
    assert not (machine.path / "opt/edge-agent").exists()
    assert not (machine.path / "usr/bin/edge-agent").is_symlink()
    assert layout.exists()
    machine.run("dpkg", "--purge", "campus-edge-agent")
    assert not state.exists()
    assert not settings.exists()
    assert not default.exists()
    machine.run("id", "edge-agent", status=1)


@LONGER
@pytest.mark.parametrize("machine", ["bookworm", "trixie"], indirect=True)
def test_the_authoritys_life(machine: Machine, tmp_path: Path) -> None:
    package, suite = "authority", machine.suite
    made = build(package, suite, tmp_path / "one")
    machine.run("dpkg", "--install", machine.put(made))
    home = machine.path / "var/lib/campus"
    assert home.stat().st_mode & 0o777 == 0o700
    as_campus = ("setpriv", "--reuid=campus", "--regid=campus", "--clear-groups")
    init = ("authority", "init", "--home", "/var/lib/campus", "--name", "energy.campus.example")
    assert "CA fingerprint" in machine.run(*as_campus, *init)
    assert (home / "keys").is_dir()
    machine.run("/opt/campus/bin/python", "-c", "import psycopg, solders, gunicorn")
    mosquitto = ("campus-mosquitto-reload.service", "campus-mosquitto-reload.path")
    for unit in ("authority.service", "campus-agave.service", *mosquitto):
        verify(machine, unit)
    machine.run("dpkg", "--install", machine.put(build(package, suite, tmp_path / "two", "--revision", "2")))
    assert "authority" in machine.run(*as_campus, "authority", "status", "--home", "/var/lib/campus", status=4)
    assert "/var/lib/campus is left" in machine.run("dpkg", "--purge", "campus-authority")
    assert (home / "keys").is_dir()
    assert not (machine.path / "opt/campus").exists()


def verify(machine: Machine, unit: str) -> None:
    """systemd's own check of the installed unit, with what it names to be run there and this machine's targets."""
    program = shutil.which("systemd-analyze")
    if program is None:
        return
    lent = []
    for target in Path("/usr/lib/systemd/system").glob("*.target"):
        copy = machine.path / "usr/lib/systemd/system" / target.name
        if not copy.exists() and target.is_file():
            shutil.copyfile(target, copy)
            lent.append(copy)
    for name in ("kill", "systemctl"):  # procps and systemd, which every host has and a bare root has not
        copy = machine.path / "usr/bin" / name
        if not copy.exists():
            shutil.copy("/bin/true", copy)
            lent.append(copy)
    command = [program, f"--root={machine.path}", "verify", f"/usr/lib/systemd/system/{unit}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    for copy in lent:
        copy.unlink()
    about_it = [line for line in done.stderr.splitlines() if unit in line]
    assert about_it == [], done.stderr

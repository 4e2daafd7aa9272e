"""The systemd units: systemd takes them, and what they start takes their command lines."""

from __future__ import annotations

import configparser
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from authority import cli as authority
from authority.enrolment import revocation
from authority.home.home import Home
from authority.home.settings import Settings
from edge_agent import cli as edge_agent
from edge_agent.wire.command import USAGE

ROOT = Path(__file__).parent.parent
UNITS = (
    ROOT / "edge_agent/systemd/edge-agent.service",
    ROOT / "authority/systemd/authority.service",
    ROOT / "authority/systemd/campus-mosquitto.service",
    ROOT / "authority/systemd/campus-mosquitto-reload.service",
    ROOT / "authority/systemd/campus-agave.service",
)
RELOAD = ROOT / "authority/systemd/campus-mosquitto-reload.path"
OPERATIONS = (ROOT / "docs/OPERATIONS.md").read_text(encoding="utf-8")


def service(unit: Path) -> configparser.SectionProxy:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(unit.read_text(encoding="utf-8"))
    return parser["Service"]


def test_the_gateways_unit_starts_what_it_should() -> None:
    program, *arguments = shlex.split(service(UNITS[0])["ExecStart"])
    options = edge_agent.PROGRAM.parse(arguments)
    assert (options.command, options.config) == ("run", edge_agent.DEFAULT_CONFIG)
    assert program in OPERATIONS
    assert int(service(UNITS[0])["RestartPreventExitStatus"]) == USAGE


def test_the_authoritys_unit_starts_what_it_should() -> None:
    program, *arguments = shlex.split(service(UNITS[1])["ExecStart"])
    options = authority.parse(arguments)
    assert (options.command, options.home) == ("serve", Path("/var/lib/campus"))
    assert program.removesuffix("/authority") in OPERATIONS


def test_agaves_unit_starts_the_watchdog() -> None:
    program, *arguments = shlex.split(service(UNITS[4])["ExecStart"])
    options = authority.parse(arguments)
    assert (options.command, options.ledger) == ("watchdog", Path("/var/lib/campus/agave"))
    assert options.validator[:3] == ["/opt/agave/bin/solana-test-validator", "--ledger", "/var/lib/campus/agave"]
    assert program.removesuffix("/authority") in OPERATIONS


def test_the_brokers_files_are_watched(tmp_path: Path) -> None:
    """What the authority writes again, the broker reads: its certificate, and the revocation list."""
    home = Home(Path("/var/lib/campus"), Settings())
    watched = [line.partition("=")[2] for line in RELOAD.read_text().splitlines() if line.startswith("PathChanged=")]
    assert [Path(path) for path in watched] == [revocation.list_path(home), home.key_path("server.pem")]
    assert shlex.split(service(UNITS[3])["ExecStart"])[-1] == UNITS[2].name
    assert RELOAD.name in OPERATIONS


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze: apt-get install systemd")
def test_systemd_takes_it(unit: Path, tmp_path: Path) -> None:
    program = service(unit)["ExecStart"].split()[0]
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text(encoding="utf-8").replace(program, "/bin/true"), encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_the_operators_are_told_of_it(unit: Path) -> None:
    assert str(unit.relative_to(ROOT)) in OPERATIONS

"""The commands of docs/OPERATIONS.md: each is run as it stands there and in the page's order, at a campus that lives.

It is the demo: real processes, a real Mosquitto, the embedded validator, epochs of 20 s.
What a page cannot say is put in its place here (STANDS_FOR): an address, a file, a figure from a display. What has to
be so first is done first (FIRST). What cannot run at a demo says why (NOT_HERE): most of it is walked through on an
empty Debian (tests/installation/test_walk.py).
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from documents import Documented, documented
from running_demo import ROOT, RunningDemo
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer

from authority.chain.client import ChainClient
from authority.cli import main
from authority.home.home import Home

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PAGE = [
    command for command in documented("OPERATIONS.md") if command.text.split()[0] in ("authority", "edge-agent", "sudo")
]
WALKED = "makes or starts a host's installation: walked through on an empty Debian, tests/installation/test_walk.py"
MONTH = "needs a billing period that is over: tests/authority/billing goes through a period's end with these commands"
NAMES = "names the command, and is not one to type"
OTHER = "needs another state of the campus than the page's examples have: "
AS_ROOT = {
    "sudo -u edge-agent /opt/edge-agent/bin/edge-agent exchange-meter": "tests/edge_agent/commands/"
    "test_exchange_meter.py, with the new device on a line",
    "sudo -u edge-agent /opt/edge-agent/bin/edge-agent rotate-key": "tests/edge_agent/agent/test_with_collector.py",
    "sudo -u edge-agent /opt/edge-agent/bin/edge-agent reset-meter": OTHER
    + "tests/edge_agent/agent/test_with_collector.py",
    "sudo apt-get install -y ./build/deb": "tests/installation/test_debian_packages.py",
    **{
        f"sudo systemctl {verb} campus-agave": "a stop and a start: tests/authority/recovery/test_agave_kills.py"
        for verb in ("restart", "stop")
    },
    "sudo systemctl enable systemd-time-wait-sync": "a unit of systemd's own, where systemd runs",
}
NOT_HERE: dict[str, str] = {
    "authority init --name energy.campus.example --mqtt mqtt.campus.example": WALKED,
    "authority collector broker /var/lib/campus/broker": WALKED,
    "authority init": NAMES,
    "authority serve": WALKED,
    "authority collector": "the demo's own runs",
    "authority verifier 1": "as above; several: tests/authority/collector/test_verifiers.py",
    "authority verifier 2": "as above",
    "authority validator": "the demo's own runs; the move to Agave: tests/authority/recovery/test_moving.py",
    "authority recover moved /backup/before-agave.bundle": "as above",
    "authority audit verify --before /backup/before-agave.bundle": "as above",
    "authority audit prune": NAMES,
    **{
        command.text: "the demo's validator runs, and its chain is young: tests/authority/audit/test_pruning.py"
        for command in PAGE
        if command.text.startswith(("authority audit prune --", "authority audit export --bundle /archive"))
    },
    "authority recover receipt FILE": "nothing is lost here: tests/authority/recovery/test_recover.py",
    "authority recover give-up GATEWAY/METER": "as above",
    "edge-agent setup": "asks a person: tests/edge_agent/commands/test_setup.py",
    "edge-agent install": "makes a system's user and unit: tests/edge_agent/commands/test_install.py",
    "authority serve --log-format json": "as above; tests/authority/service/test_supervisor.py reads its lines",
    "authority alerts test": "nobody is told at the demo: tests/authority/monitoring/test_delivery.py",
    "authority enrol claim GATEWAY": WALKED,
    "authority enrol approve GATEWAY": WALKED,
    "edge-agent enrol": NAMES,
    "edge-agent watch": "runs until Ctrl-C: tests/edge_agent/commands/test_watch.py",
    "edge-agent reset-meter": NAMES,
    "edge-agent reset-meter METER": OTHER + "a meter that stopped; tests/edge_agent/agent",
    "edge-agent scan PORT": "the agent holds the line; tests/edge_agent/commands/test_meters_page.py",
    "edge-agent read": NAMES,
    "authority certificates run": "a process of `authority serve`",
    "authority validator --reset": "throws the demo's chain away; tests/authority/service/test_validator_command.py",
    "authority parameters stage": NAMES,
    'authority meters reset research_labs/load --reason "reset by the fitter"': OTHER
    + "a held record of a reset; tests/authority/settlement/test_meter_acts.py",
    "authority restore /backup/campus.sealed --key-file /root/campus.key --home /var/lib/campus": OTHER
    + "a host that was lost; tests/authority/service/test_backup.py",
    **{
        command.text: MONTH
        for command in PAGE
        if re.match(
            r"authority billing (preview --period|close|issue|export|show|correct|estimate|payments|payouts)",
            command.text,
        )
    },
    **{
        command.text: next((why for begins, why in AS_ROOT.items() if command.text.startswith(begins)), WALKED)
        for command in PAGE
        if command.text.startswith("sudo")
    },
}
LAST = ("authority enrol revoke", "authority pause --all", "authority operator set", "authority handover")
"""After these the campus goes no further: they are done at the end, in this order."""

SEEN = {
    "authority meters suspend": "readings: are held from now on",
    "authority meters resume": "chain: active",
    "authority meters exchange": "offset_wh",
    "authority members suspend": "suspended",
    "authority members resume": "active",
    "authority resume --all": "paused: nothing",
    "authority audit verify": "everything holds",
    "authority enrol revoke": "certificate: revoked",
    "authority meters list": "research_labs/load",
    "authority parameters stage --feed-in-price": "90000",
    "authority certificates list": "dormitory_a",
    "authority meters reassign": "Fay",
    "authority deploy --check": "energy_token",
    "authority meters retire": "chain: closed",
    "authority members add": "added",
    "authority market credit": "micro-credits issued",
    "authority market standing-order set": "sells what it holds",
    "authority credits top-up": "booked for '2026-1142'",
    "authority credits pay-out": "booked for '2026-1143'",
    "authority credits take-back": "booked for 'one zero too many'",
    "authority pause orders": "paused: orders, clearing",
    "authority members delegate-key": "set_delegate",
    "authority fund": "SOL",
    "authority audit conservation": "minted_wh",
    "authority audit consistent": "extends the checkpoint",
    "authority audit check ": "is in the log",
    "authority audit readings": "accepted",
    "authority backup": "holds network",
    "authority restore": "is whole",
    "authority installations change": "from epoch",
    "authority members rename": "is called Fay Miller",
    "authority enrol list": "enrolled",
    "edge-agent keys": "solar: key",
    "edge-agent status": "receipted",
    "authority handover accept": "handed over",
    "authority operator set": "the operator is",
}
"""What the page says that one sees, by how the command begins."""

ALSO: dict[str, set[int]] = {
    "authority status": {4},
    "edge-agent status": {4},
    "authority fund": {4},
    "authority enrol whois": {1},
    "authority meters reassign": {3},
    "authority meters retire": {3},
}
"""Exit statuses besides 0 that the page's last column has for what a campus may be like when it is tried."""


class Campus:
    """The running demo, and what its operator types."""

    def __init__(self, demo: RunningDemo) -> None:
        self.demo = demo
        self.home = demo.directory / ".demo"
        self.work = demo.directory / "operator"
        self.work.mkdir()
        (self.work / "campus.key").write_text("ab" * 32 + "\n")
        (self.work / "campus.key").chmod(0o600)
        for name in ("new", "treasury"):
            (self.work / f"{name}.json").write_text(json.dumps(list(bytes(Keypair()))))
            (self.work / f"{name}.json").chmod(0o600)
        self.stands_for: dict[str, Callable[[], str]] = {
            "/root/": lambda: f"{self.work}/",
            "/backup/": lambda: f"{self.work}/",
            "/var/lib/campus/audit.state": lambda: str(self.work / "audit.state"),
            "plan.toml": lambda: str(ROOT / "authority/demo/campus.toml"),
            "campus.bundle": lambda: str(self.work / "campus.bundle"),
            "reading.json": lambda: str(self.work / "reading.json"),
            "checkpoint --out FILE": lambda: f"checkpoint --out {self.work / 'checkpoint'}",
            "consistent FILE": lambda: f"consistent {self.work / 'checkpoint'}",
            "--tiles DIR": lambda: f"--tiles {self.work / 'tiles'}",
            "whois ADDRESS": lambda: f"whois {self.address('treasury')}",
            "ADDRESS": lambda: self.address("new"),
            "revoke GATEWAY": lambda: "revoke faculty_housing",
            "2026-12-01T00:00": lambda: f"{datetime.now(UTC) + timedelta(days=3):%Y-%m-%dT%H:%M}",
            "2027-01-01T00:00": lambda: f"{datetime.now(UTC) + timedelta(days=30):%Y-%m-%dT%H:%M}",
            "prove 63": lambda: f"prove {self.a_reading()}",
            "8123.4kWh": self.display,
            "--wait 1800": lambda: "--wait 60",
        }

    def address(self, name: str) -> str:
        return str(Keypair.from_bytes(bytes(json.loads((self.work / f"{name}.json").read_text()))).pubkey())

    def a_reading(self) -> str:
        rows = json.loads(self.run("authority audit readings faculty_housing/building --json").shown)
        return str(rows[-1]["log_index"])

    def display(self) -> str:
        rows = json.loads(self.run("authority audit readings research_labs/load --json").shown)
        return f"{rows[-1]['consumption']}Wh"

    def run(self, text: str) -> Outcome:
        """One command line; what it showed, and its exit status."""
        words, _, redirected = text.partition(" > ")
        program, *rest = shlex.split(words)
        if program == "edge-agent":
            rest += ["--config", str(self.home / "buildings/dormitory_a/gateway.toml")]
            done = subprocess.run(
                [sys.executable, "-m", "edge_agent.cli", *rest],
                cwd=self.work, capture_output=True, text=True, timeout=120, check=False,
            )  # fmt: skip
            return Outcome(text, done.returncode, done.stdout + done.stderr)
        shown, complained = io.StringIO(), io.StringIO()
        place = [] if "--home" in rest else ["--home", str(self.home)]
        with (
            contextlib.redirect_stdout(shown),
            contextlib.redirect_stderr(complained),
            contextlib.chdir(self.work),  # what a placeholder such as FILE names comes to lie there
        ):
            try:
                status = main([*rest, *place])
            except SystemExit as ended:
                status = int(ended.code or 0)
        if redirected:
            Path(redirected).write_text(shown.getvalue())
        return Outcome(text, status, shown.getvalue() + complained.getvalue())

    def typed(self, command: Documented) -> Outcome:
        """A command of the page, with what stands for its placeholders."""
        text = command.text
        for placeholder, value in self.stands_for.items():
            if placeholder in text:
                text = text.replace(placeholder, value())
        return self.run(text)


class Outcome:
    """A command line as it was typed, its exit status, and what it showed."""

    def __init__(self, text: str, status: int, shown: str) -> None:
        self.text, self.status, self.shown = text, status, shown

    def __str__(self) -> str:
        return f"{self.text}\n  -> {self.status}\n{self.shown}"


FILL_THE_TREASURY = "7 SOL for the key that sends them"
FIRST: dict[str, list[str]] = {
    "authority audit consistent": ["authority audit checkpoint --out {work}/checkpoint"],
    "authority fund --sol": [FILL_THE_TREASURY],
}
"""What is done before a command, by how it begins."""


def test_every_command_is_run_or_says_why_not() -> None:
    texts = {command.text for command in PAGE}
    assert sorted(set(NOT_HERE) - texts) == [], "these are not on the page any more"
    begun = [each for each in (*SEEN, *ALSO, *FIRST, *LAST) if not any(text.startswith(each) for text in texts)]
    assert begun == []


def first(campus: Campus, text: str) -> None:
    for beginning, commands in FIRST.items():
        if text.startswith(beginning):
            for command in commands:
                if command == FILL_THE_TREASURY:
                    fill_the_treasury(campus)
                else:
                    campus.run(command.format(work=campus.work))


def fill_the_treasury(campus: Campus) -> None:
    home = Home.open(campus.home)
    client = ChainClient(home.rpc_url)
    treasury = Pubkey.from_string(campus.address("treasury"))
    params = TransferParams(from_pubkey=home.operator.pubkey(), to_pubkey=treasury, lamports=7_000_000_000)
    client.send([transfer(params)], [], payer=home.operator)
    client.close()


@pytest.fixture(scope="module")
def campus(tmp_path_factory: pytest.TempPathFactory):
    demo = RunningDemo(tmp_path_factory.mktemp("operations"))
    try:
        demo.wait_for(r"settled", 400)
        yield Campus(demo)
    finally:
        demo.stop()


def test_the_page_is_done_in_its_order(campus: Campus) -> None:
    here = [command for command in PAGE if command.text not in NOT_HERE]
    in_order = [command for command in here if not command.text.startswith(LAST)]
    in_order += [command for last in LAST for command in here if command.text.startswith(last)]
    wrong: list[str] = []
    report = os.environ.get("CAMPUS_DOCUMENTED_REPORT")
    for command in in_order:
        first(campus, command.text)
        began = time.monotonic()
        outcome = campus.typed(command)
        if "[register_fell]" in outcome.shown:  # the meter was read again while its display was looked at
            outcome = campus.typed(command)
        good = {0, *(status for begun, more in ALSO.items() if command.text.startswith(begun) for status in more)}
        if report:
            with Path(report).open("a") as file:
                print(f"{command.line} {time.monotonic() - began:.1f} s {outcome}", file=file)
        if outcome.status not in good or "Traceback" in outcome.shown:
            wrong.append(f"line {command.line}: {outcome}")
            continue
        for begun, seen in SEEN.items():
            if command.text.startswith(begun) and outcome.status == 0 and seen not in outcome.shown:
                wrong.append(f"line {command.line} does not show {seen!r}: {outcome}")
    assert not wrong, "\n\n".join(wrong)

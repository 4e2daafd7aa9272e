"""docs/METERS.md as an executed document: its files are ones that the programs take, and its commands are run as they
stand there, each against an emulated meter of the kind that it is about.

A port or an address of the page stands for the emulator's; nothing else is changed.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from documents import block, documented
from emulator_process import ENVIRONMENT, start
from serial_servers import Rfc2217Server, SerialServer

from edge_agent.config import load_config
from edge_agent.emulator.config import EmulatorConfig

PAGE = Path(__file__).resolve().parents[3] / "docs" / "METERS.md"
KEYS = '  auth = "gmac"\n  key = "000102030405060708090a0b0c0d0e0f"\n  auth_key = "d0d1d2d3d4d5d6d7d8d9dadbdcdddedf"\n'
CLIENTS = f"""
  [[meter.client]]
  address = 16
  [[meter.client]]
  address = 32
  auth = "lls"
  password = "12345678"
  [[meter.client]]
  address = 1
{KEYS}"""
METER = """
epoch_seconds = 900
start_epoch = -8
[line]
{line}
[[meter]]
logical_device_name = "KFM1000000000001"
{more}
  [[meter.register]]
  obis = "1-0:1.8.0.255"
  power = "0"
  initial = 1000000
"""
SERIAL, PUSHES = 'link = "m"', "push_seconds = 1"


class Seen(NamedTuple):
    """The emulated meter that a command of the page is about, and what it shows (a pattern)."""

    line: str
    more: str
    shows: str
    behind: type[SerialServer] | type[Rfc2217Server] | None = None


ASKED = Seen(SERIAL, "block_window = 3\n" + CLIENTS, r"1-0:1\.8\.0\.255 +1000000 Wh")
NETWORK = "127.0.0.1:0"
COMMANDS: dict[str, Seen] = {
    "edge-agent scan /dev/ttyUSB0": ASKED._replace(shows="--client 16 --server 1 .* reads  KFM1000000000001"),
    "edge-agent scan --listen 12 /dev/ttyUSB0": Seen(
        SERIAL + '\nmode = "mbus"', PUSHES, "push  mbus  KFM1000000000001"
    ),
    "edge-agent read --port /dev/ttyUSB0 --client 16": ASKED._replace(shows=r"clock  \d{4}(.|\n)*load profile"),
    "edge-agent read --port /dev/ttyUSB0 --client 16 --list-objects": ASKED._replace(shows=r"7 v1 1-0:99\.1\.0\.255"),
    "edge-agent read --port /dev/ttyUSB0 --client 16 --object 1-0:1.8.0.255": ASKED._replace(
        shows="attribute 2: 1000000 Wh"
    ),
    "edge-agent read --port /dev/ttyUSB0 --client 16 --range 2026-11-23T05:00+00:00 2026-11-23T06:00+00:00": ASKED,
    "edge-agent read --port /dev/ttyUSB0 --client 32 --auth lls --password 12345678": ASKED,
    "edge-agent read --tcp 10.0.0.7:4059 --client 16": ASKED._replace(line=f'tcp = "{NETWORK}"'),
    "edge-agent read --udp 10.0.0.7:4059 --client 16": ASKED._replace(line=f'udp = "{NETWORK}"'),
    "edge-agent read --port /dev/ttyUSB0 --mode-e --client 16": ASKED._replace(line=SERIAL + '\nmode = "e"'),
    "edge-agent read --port /dev/ttyUSB0 --client 16 --block-window 3": ASKED,
    "edge-agent read --port /dev/ttyUSB0 --mode-c": Seen(
        SERIAL + '\nmode = "c"', "", r"1-0:1\.8\.0\.255 +1000\.000 kWh"
    ),
    "edge-agent read --port /dev/ttyUSB0 --push --baudrate 115200": Seen(
        SERIAL + '\nmode = "p1"', PUSHES, r"1-0:1\.8\.0\.255 +1000\.000 kWh"
    ),
    "edge-agent read --port /dev/ttyUSB0 --push --baudrate 9600": Seen(
        SERIAL + '\nmode = "sml"', PUSHES, r"1-0:1\.8\.0\.255 +1000000(\.0)? Wh"
    ),
    "edge-agent read --tcp 10.0.0.5:2001 --push": Seen(
        SERIAL + '\nmode = "mbus"', PUSHES, "1000000 Wh", behind=SerialServer
    ),
    "edge-agent read --tcp 10.0.0.5:2001 --link hdlc --client 16": ASKED._replace(behind=SerialServer),
    "edge-agent read --port rfc2217://10.0.0.5:2001 --client 16": ASKED._replace(behind=Rfc2217Server),
    "edge-agent read --port /dev/ttyUSB0 --client 1 --auth gmac --key 000102030405060708090a0b0c0d0e0f "
    "--auth-key d0d1d2d3d4d5d6d7d8d9dadbdcdddedf --system-title 4741544557415931 --counters state/counters": ASKED,
    "stty -F /dev/ttyUSB0 9600 raw -echo": ASKED._replace(shows=""),
}
RASPBERRY = "changes a Raspberry Pi's own system"
NOT_ALONE = {
    "sudo edge-agent setup --claim CODE": "at a terminal, with answers typed: test_setup.py",
    "edge-agent install": "into an image's root: test_install.py",
    "sudo raspi-config": RASPBERRY,
    "sudo systemctl disable --now ModemManager": RASPBERRY,
    "sudo apt-get purge -y brltty": RASPBERRY,
    "sudo systemctl enable systemd-time-wait-sync": RASPBERRY,
    "edge-agent read --port /dev/ttyUSB0 --mode-c --address 12345678 --same-speed": "the emulator has no address "
    "in mode C: tests/edge_agent/meters/test_other_drivers.py reads one of several",
    "timeout 30 cat /dev/ttyUSB0 > telegram.bin": "captured and decoded in one test below",
    "edge-agent decode --key 000102030405060708090a0b0c0d0e0f "
    "--auth-key d0d1d2d3d4d5d6d7d8d9dadbdcdddedf telegram.bin": "as above",
    "edge-agent check --config gateway.toml": "run below on the page's own file",
    "meter-emulator meter.toml": "run below on the page's own file",
    "meter-emulator --help": "tests/test_commands.py shows every help",
    "edge-agent run --config gateway.toml": "runs for good: tests/edge_agent/agent/test_run.py",
    "edge-agent run": "names the command",
    "edge-agent read": "names the command",
    "edge-agent read --push": "names the option",
    "chmod 600": "run by setup: test_setup.py looks at the file's mode",
}
"""Commands of the page that are not run by themselves, and why."""


def on_the_page() -> list[str]:
    return list(dict.fromkeys(re.sub(r" # .*", "", command.text) for command in documented("METERS.md")))


def test_every_command_is_run_or_says_why_not() -> None:
    told = {*COMMANDS, *NOT_ALONE}
    typed = on_the_page()
    assert [text for text in typed if text not in told] == []
    assert sorted(told - set(typed)) == [], "these are not on the page any more"


@contextmanager
def emulated(directory: Path, seen: Seen) -> Iterator[str]:
    """The meter, and what stands for the page's port or address."""
    running = start(directory, METER.format(line=seen.line, more=seen.more))
    server = None
    try:
        if seen.behind is None:
            yield running.port
        else:
            server = seen.behind(running.port)
            yield server.url if isinstance(server, Rfc2217Server) else server.address
    finally:
        if server is not None:
            server.close()
        running.stop()


def typed(directory: Path, text: str, status: int = 0) -> str:
    words = shlex.split(text)
    if words[0] == "edge-agent":
        words = [sys.executable, "-m", "edge_agent", *words[1:]]
    done = subprocess.run(
        words, cwd=directory, env=ENVIRONMENT, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == status, f"{text}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_it_shows_what_the_page_says(tmp_path, command):
    seen = COMMANDS[command]
    with emulated(tmp_path, seen) as place:
        text = re.sub(r"/dev/ttyUSB0|rfc2217://10\.0\.0\.5:2001|10\.0\.0\.\d:\d+", place, command)
        if "--range" in text:
            today = time.gmtime(time.time() // 86400 * 86400)
            text = text.replace("2026-11-23", time.strftime("%Y-%m-%d", today))
        shown = typed(tmp_path, text)
    assert re.search(seen.shows, shown), shown


def test_a_telegram_is_captured_and_decoded(tmp_path):
    with emulated(tmp_path, Seen(SERIAL + '\nmode = "mbus"', f"{PUSHES}\n  [[meter.client]]\n{KEYS}", "")) as port:
        typed(tmp_path, f"stty -F {port} 9600 raw -echo")
        with (tmp_path / "telegram.bin").open("wb") as file:
            subprocess.run(["timeout", "4", "cat", port], stdout=file, check=False)
    (decode,) = [text for text in on_the_page() if text.startswith("edge-agent decode")]
    assert "1-0:1.8.0.255" in typed(tmp_path, decode)


def test_the_gateways_file(tmp_path):
    (tmp_path / "gateway.toml").write_text(block("METERS.md", "[gateway]"))
    config = load_config(tmp_path / "gateway.toml")
    assert [meter.protocol for meter in config.meters] == ["dlms", "dlms", "dlms", "push", "mode-c"]
    assert config.meter("wing").tcp == ("10.0.0.7", 4059)
    assert config.meter("workshop").map.profile_kind == "increments"
    os.chmod(tmp_path / "gateway.toml", 0o600)
    assert "not enrolled" in typed(tmp_path, "edge-agent check --config gateway.toml", status=4)
    assert "no mistake" in typed(tmp_path, "edge-agent check --config gateway.toml --file-only")


def test_the_emulators_file(tmp_path):
    """Each client of the page's own meter reads it."""
    text = block("METERS.md", "epoch_seconds = 900")
    assert EmulatorConfig.from_dict(tomllib.loads(text), Path()).meters[0].disconnect is not None
    running = start(tmp_path, text)
    try:
        shown = typed(tmp_path, f"edge-agent read --port {tmp_path}/meter --client 16")
        assert "KFM1000000000001" in shown
        assert "1-0:2.8.0.255" in shown
        shown = typed(tmp_path, f"edge-agent read --port {tmp_path}/meter --client 16 --object 0-0:96.3.10.255")
        assert "0-0:96.3.10.255 attribute 2" in shown
    finally:
        running.stop()


def test_the_emulators_pushing_lines():
    text = PAGE.read_text(encoding="utf-8")
    blocks = [block.replace("\n    ", "\n") for block in re.findall(r"(?m)^    \[line\]\n(?:    .+\n)+", text)]
    lines = [tomllib.loads(block)["line"] for block in blocks if "mode = " in block]
    assert [line["mode"] for line in lines] == ["mbus", "p1", "sml"]
    meter = {"logical_device_name": "KFM1000000000001", "push_seconds": 10}
    for line in lines:
        assert EmulatorConfig.from_dict({"line": line, "meter": [meter]}, Path()).line.pushes_only

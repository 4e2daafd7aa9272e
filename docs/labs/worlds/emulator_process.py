"""Emulated meters as processes of their own, each on a real pty, for labs and tests of all above the protocol."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import edge_agent

ROOT = Path(edge_agent.__file__).resolve().parents[1]
"""Where the package is that this process has: the emulators have the same."""
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])}


HARDWARE = "HARDWARE"
"""The environment variable that puts the emulators on a serial adapter and the readers on another: `METER,READER`."""


class RunningEmulator:
    """`meter-emulator` on a file; `port` is where a reader reaches it: its pty, or the adapter at the other end."""

    def __init__(self, file: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "edge_agent.emulator.cli", str(file)],
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            text=True,
        )
        line = self.process.stdout.readline()
        assert line.startswith("ready "), line
        self.port = line.split()[1]

    def stop(self) -> int:
        """SIGTERM; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(60)
        self.process.stdout.close()
        return status


def start(directory: Path, text: str, **files: str) -> RunningEmulator:
    """Start an emulator from the text of its file; `files` lie beside it, by name (with _ for the dot)."""
    for name, content in files.items():
        (directory / name.replace("_", ".")).write_text(content)
    path = directory / "meter.toml"
    adapters = os.environ.get(HARDWARE)
    if adapters is None:
        path.write_text(text)
        return RunningEmulator(path)
    meter, reader = adapters.split(",")
    path.write_text(_on_adapter(text, meter))
    running = RunningEmulator(path)
    running.port = reader
    return running


def _on_adapter(text: str, port: str) -> str:
    """The same file with the line on a serial port: at the speed at which its kind of line begins."""
    begins = 'baudrate = 300\nbytesize = 7\nparity = "E"\n' if re.search(r'^mode = "[ce]"$', text, re.MULTILINE) else ""
    return re.sub(r'^link = ".*"$', f'port = "{port}"\n{begins}', text, flags=re.MULTILINE)


def read_meter(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`edge-agent read` as a process."""
    command = [sys.executable, "-m", "edge_agent", "read", *arguments]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False)


def read_json(*arguments: str) -> dict:
    """What `edge-agent read --json` prints; it must succeed."""
    done = read_meter(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def register(obis: str, power: str = "0", **entries: int | str) -> str:
    """A register of a meter, for the text of its file."""
    told = {"obis": obis, "power": power, **entries}
    return "  [[meter.register]]\n" + "".join(f"  {name} = {json.dumps(value)}\n" for name, value in told.items())


def gmac_client(key: bytes, auth_key: bytes) -> str:
    """A client that proves its keys and ciphers, for the text of its meter's file; telegrams go to it ciphered."""
    return f'  [[meter.client]]\n  auth = "gmac"\n  key = "{key.hex()}"\n  auth_key = "{auth_key.hex()}"\n'

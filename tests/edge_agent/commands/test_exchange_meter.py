"""`edge-agent exchange-meter` with the new device on a real pty: its name is read, the file changed, the gateway
enrolled."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest
from emulator_process import ENVIRONMENT, ROOT, register, start

from edge_agent.config import load_config
from edge_agent.state.credentials import CredentialStore

FILE = """[gateway]
name = "north-hall"
state = "state"
authority = "{authority}"

[[meter]]  # in the cellar
name = "load"
serial = "1KFM00041"  # as on the plate
port = "{port}"
  [meter.map]
  logical_device_name = "KFM1000000000041"
  capture_period = 900
  registers = {{ consumption = ["1-0:1.8.0.255", 1] }}
"""


@pytest.fixture
def gateway(tmp_path, authority):
    """A gateway whose meter was exchanged for one that calls itself KFM1000000000042."""
    new = '[line]\nlink = "m"\n[[meter]]\nlogical_device_name = "KFM1000000000042"\n' + register("1-0:1.8.0.255")
    (tmp_path / "new").mkdir()
    running = start(tmp_path / "new", new)
    file = tmp_path / "gateway.toml"
    file.write_text(FILE.format(authority=authority.url, port=running.port))
    yield file
    running.stop()


def exchange(file, *words, status=0, inside=()):
    command = [*inside, sys.executable, "-m", "edge_agent.cli", "exchange-meter", "load", "--config", str(file), *words]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_new_device_is_read_written_and_enrolled(gateway, authority):
    before = gateway.read_text()
    words = ("--serial", "1KFM00042", "--offset", "consumption=8123400")
    shown = exchange(gateway, *words, "--dry-run")
    assert gateway.read_text() == before
    told = exchange(gateway, *words, "--claim", authority.claim("north-hall"), "--wait")
    assert "load is KFM1000000000042, serial 1KFM00042" in told
    assert gateway.read_text() == shown
    (meter,) = load_config(gateway).meters
    assert (meter.serial, meter.map.offset_wh) == ("1KFM00042", {"consumption": 8_123_400})
    assert "# in the cellar" in gateway.read_text()
    enrolled = CredentialStore(gateway.parent / "state").load().meter("load")
    assert (enrolled.serial, enrolled.map_hash) == ("1KFM00042", meter.map.hash())


def own_mounts() -> bool:
    """Whether this process may have a table of mounts of its own: as root, and not in a chroot that is no mount."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not own_mounts(), reason="gives files away, under a passwd of its own: as root, in no chroot")
def test_what_root_writes_is_the_agents(gateway, authority, tmp_path):
    """Under a passwd of its own, in which the agent has a user: its service has to read what sudo's user enrolled."""
    passwd = tmp_path / "passwd"
    with open("/etc/passwd") as others:
        lines = [line for line in others if not line.startswith("edge-agent:")]
    passwd.write_text("".join([*lines, "edge-agent:x:64321:64322::/var/lib/edge-agent:/usr/sbin/nologin\n"]))
    inside = ("unshare", "--mount", "sh", "-ec", 'mount --bind "$0" /etc/passwd; exec "$@"', str(passwd))
    exchange(gateway, "--serial", "2", "--claim", authority.claim("north-hall"), "--wait", inside=inside)
    state = gateway.parent / "state"
    written = [gateway, state, *state.rglob("*")]
    assert state / "keys/load.pem" in written
    assert {(path.stat().st_uid, path.stat().st_gid) for path in written} == {(64321, 64322)}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--offset", "consumption=8.5kWh"), "offset_invalid"),
        (("--offset", "heat=1"), "offset_invalid"),
        (("--offset", "generation=1"), "config_invalid"),
    ],
)
def test_what_would_not_do_leaves_the_file(gateway, words, code):
    before = gateway.read_text()
    status = 2 if code == "config_invalid" else 1
    assert f"[{code}]" in exchange(gateway, "--serial", "2", *words, status=status)
    assert gateway.read_text() == before


def test_a_line_that_does_not_answer_is_named(gateway):
    text = gateway.read_text()
    gateway.write_text(text.replace('port = "/dev/pts', 'port = "/dev/none'))
    assert "[device_unknown]" in exchange(gateway, "--serial", "2", status=1)
    assert "load is KFM2" in exchange(gateway, "--serial", "2", "--device", "KFM2")

"""`edge-agent install` into an image's root, as root does it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
from emulator_process import ENVIRONMENT, ROOT


def install(*words):
    command = [sys.executable, "-m", "edge_agent.cli", "install", *words]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False)
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def image(tmp_path):
    """A root with what Debian's base-passwd puts there."""
    (tmp_path / "etc").mkdir()
    for name, text in {
        "passwd": "root:x:0:0:root:/root:/bin/bash\n",
        "shadow": "root:*:19000:0:99999:7:::\n",
        "group": "root:x:0:\ndialout:x:20:\n",
        "gshadow": "root:*::\ndialout:*::\n",
        "login.defs": "SYS_UID_MIN 100\nSYS_UID_MAX 999\nSYS_GID_MIN 100\nSYS_GID_MAX 999\n",
    }.items():
        (tmp_path / "etc" / name).write_text(text)
    return tmp_path


def needs_root():
    if os.geteuid() != 0 or shutil.which("useradd") is None:
        pytest.skip("makes users and gives files to them: as root, with useradd")


def states(done):
    return [line["state"] for line in json.loads(done.stdout)]


def test_it_is_all_there_and_doing_it_again_does_nothing(image):
    needs_root()
    assert set(states(install("--root", str(image), "--dry-run", "--json"))) == {"would be done"}
    assert not (image / "var").exists()
    assert set(states(install("--root", str(image), "--json"))) == {"done"}
    user = next(line for line in (image / "etc/passwd").read_text().splitlines() if line.startswith("edge-agent:"))
    uid, gid = map(int, user.split(":")[2:4])
    assert "dialout:x:20:edge-agent" in (image / "etc/group").read_text()
    for folder, mode in (("etc/edge-agent", 0o750), ("var/lib/edge-agent", 0o700)):
        status = (image / folder).stat()
        assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (uid, gid, mode)
    unit = (image / "etc/systemd/system/edge-agent.service").read_text()
    assert f"ExecStart={sys.prefix}/bin/edge-agent run" in unit
    assert "ID_MM_DEVICE_IGNORE" in (image / "etc/udev/rules.d/60-edge-agent.rules").read_text()
    assert set(states(install("--root", str(image), "--json"))) == {"is so"}


def test_taking_it_away_leaves_keys_and_settings(image):
    needs_root()
    install("--root", str(image))
    key = image / "var/lib/edge-agent/keys"
    key.mkdir()
    assert set(states(install("--root", str(image), "--uninstall", "--json"))) >= {"done"}
    assert not (image / "etc/systemd/system/edge-agent.service").exists()
    assert not (image / "etc/udev/rules.d/60-edge-agent.rules").exists()
    assert key.exists()
    assert (image / "etc/edge-agent").exists()
    assert set(states(install("--root", str(image), "--uninstall", "--json"))) == {"is so"}


def test_what_a_debian_package_brought_is_left_to_it(image):
    needs_root()
    unit = image / "usr/lib/systemd/system/edge-agent.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("")
    install("--root", str(image))
    assert not (image / "etc/systemd/system/edge-agent.service").exists()
    assert (image / "var/lib/edge-agent").is_dir()


def test_a_place_that_is_no_system_is_named(tmp_path):
    done = install("--root", str(tmp_path), "--dry-run")
    assert done.returncode == 1
    assert "root_missing" in done.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_the_unit_is_one_that_systemd_takes(image):
    needs_root()
    install("--root", str(image))
    unit = image / "etc/systemd/system/edge-agent.service"
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert str(unit) not in done.stderr, done.stderr

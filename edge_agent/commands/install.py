"""`edge-agent install`: the agent's user, folders, unit and udev rules, on this machine or in an image's root."""

from __future__ import annotations

import argparse
import contextlib
import importlib.resources
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from edge_agent.errors import EdgeError
from edge_agent.wire.command import DONE, add_json, print_json, say
from edge_agent.wire.files import write_atomically

DESCRIPTION = (
    "Makes the system user, the folders for gateway.toml and the state, the service's unit and the udev rules for "
    "serial adapters. What is there already is left alone, so it may be repeated. With --uninstall it takes unit and "
    "rules away; gateway.toml and the state, with the meters' keys, stay."
)
EXAMPLES = """examples:
  sudo edge-agent install --dry-run
  sudo edge-agent install
  sudo edge-agent install --root /mnt/image          # an SD card's root, before its first start
  sudo edge-agent install --uninstall"""

USER = "edge-agent"
UNIT = "edge-agent.service"
RULES = "60-edge-agent.rules"
CONFIG_FOLDER = Path("/etc/edge-agent")
STATE_FOLDER = Path("/var/lib/edge-agent")
UNIT_FILE = Path("/etc/systemd/system") / UNIT
RULES_FILE = Path("/etc/udev/rules.d") / RULES
WANTED = Path("/etc/systemd/system/multi-user.target.wants") / UNIT
PACKAGED = (Path("/usr/lib/systemd/system") / UNIT, Path("/lib/systemd/system") / UNIT)
"""Where a Debian package puts the unit."""


class InstallError(EdgeError):
    """The agent cannot be installed; the message says what to do."""


class NotRootError(InstallError):
    """Users and units are made by root alone."""

    code = "not_root"


class RootMissingError(InstallError):
    """--root names no system's root."""

    code = "root_missing"


class StepFailedError(InstallError):
    """A program of the system refused."""

    code = "step_failed"


class Step(NamedTuple):
    """One thing to do: how it is said, whether it is so already, and what does it."""

    what: str
    done: bool
    act: Callable[[], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `edge-agent install`."""
    parser.add_argument("--root", type=Path, default=Path("/"), metavar="DIR", help="another system's root: an image")
    parser.add_argument("--uninstall", action="store_true", help="take unit and rules away; keys and state stay")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Do what is missing, and say it line by line; NotRootError, RootMissingError, StepFailedError."""
    told = []
    for step in removal(options.root) if options.uninstall else installation(options.root):
        if not step.done and not options.dry_run:
            require_root()
            step.act()
        state = "is so" if step.done else ("would be done" if options.dry_run else "done")
        told.append({"step": step.what, "state": state})
        if not options.json:
            say(f"{step.what}: {state}")
    if options.json:
        print_json(told)
    elif not options.dry_run and not options.uninstall and options.root == Path("/"):
        say("next: `edge-agent setup`, or write /etc/edge-agent/gateway.toml; then systemctl enable --now edge-agent")
    return DONE


def require_root() -> None:
    """NotRootError for anybody else."""
    if os.geteuid() != 0:
        raise NotRootError("users, units and rules are made by root: say sudo, or look first with --dry-run")


def installation(root: Path = Path("/")) -> Iterator[Step]:
    """What makes the agent a service, in order; looked at as each step is asked for."""
    if not (root / "etc/passwd").is_file():
        raise RootMissingError(f"{root} is no system's root: it has no etc/passwd")
    there = _user(root) is not None
    yield Step(f"user {USER}, in the group dialout", there, lambda: _make_user(root))
    for folder, mode in ((CONFIG_FOLDER, 0o750), (STATE_FOLDER, 0o700)):
        yield _folder(root, folder, mode)
    packaged = any(_inside(root, path).exists() for path in PACKAGED)
    unit = _resource("systemd", UNIT).replace("/opt/edge-agent/bin/edge-agent", str(_own_command()))
    yield _file(root, UNIT_FILE, unit, packaged=packaged)
    yield _file(root, RULES_FILE, _resource("udev", RULES), packaged=packaged)
    if root == Path("/") and _runs_systemd():
        yield Step("systemd and udev know of it", False, _reload)


def removal(root: Path = Path("/")) -> Iterator[Step]:
    """What takes the service away; keys, state, gateway.toml and their user stay."""
    if root == Path("/") and _runs_systemd() and UNIT_FILE.exists():
        yield Step("service stopped", False, lambda: _command("systemctl", "disable", "--now", UNIT))
    for path in (WANTED, UNIT_FILE, RULES_FILE):
        inside = _inside(root, path)
        there = inside.exists() or inside.is_symlink()
        yield Step(f"no {path}", not there, inside.unlink)
    if root == Path("/") and _runs_systemd():
        yield Step("systemd and udev know of it", False, _reload)


def start_service() -> None:
    """Enable the unit, and start or restart it; StepFailedError."""
    _command("systemctl", "enable", UNIT)
    _command("systemctl", "restart", UNIT)


def service_can_start() -> bool:
    """Whether systemd runs here and this user may tell it what to do."""
    return _runs_systemd() and os.geteuid() == 0


def own(path: Path) -> None:
    """Give a file or folder to the agent's user, where root made it and that user exists."""
    entry = _user(Path("/"))
    if os.geteuid() == 0 and entry is not None:
        os.chown(path, *entry)


def give_to_the_agent(state: Path) -> None:
    """Give a state directory with all that is in it to the agent's user, where root wrote into it."""
    for path in (state, *state.rglob("*")):
        with contextlib.suppress(FileNotFoundError):  # a running agent replaces files meanwhile
            own(path)


def _runs_systemd() -> bool:
    return Path("/run/systemd/system").is_dir() and shutil.which("systemctl") is not None


def _inside(root: Path, path: Path) -> Path:
    return root / path.relative_to("/")


def _resource(*parts: str) -> str:
    return importlib.resources.files("edge_agent").joinpath(*parts).read_text(encoding="utf-8")


def _own_command() -> Path:
    """The `edge-agent` of this installation: of an image's, as the image will name it."""
    return Path(sys.prefix) / "bin" / "edge-agent"


def _user(root: Path) -> tuple[int, int] | None:
    """The agent's user and group numbers in that system; None where there is no such user."""
    if root == Path("/"):
        try:
            entry = pwd.getpwnam(USER)
        except KeyError:
            return None
        return entry.pw_uid, entry.pw_gid
    for line in (root / "etc/passwd").read_text(encoding="utf-8").splitlines():
        fields = line.split(":")
        if fields[0] == USER:
            return int(fields[2]), int(fields[3])
    return None


def _make_user(root: Path) -> None:
    place = [] if root == Path("/") else ["--prefix", str(root)]
    _command(
        "useradd", *place, "--system", "--user-group", "--no-create-home", "--home-dir", str(STATE_FOLDER),
        "--shell", "/usr/sbin/nologin", USER,
    )  # fmt: skip
    _command("usermod", *place, "--append", "--groups", "dialout", USER)


def _folder(root: Path, folder: Path, mode: int) -> Step:
    inside = _inside(root, folder)

    def is_so() -> bool:
        if not inside.is_dir():
            return False
        status = inside.stat()
        return status.st_mode & 0o777 == mode and (status.st_uid, status.st_gid) == _user(root)

    def make() -> None:
        inside.mkdir(parents=True, exist_ok=True)
        inside.chmod(mode)
        entry = _user(root)
        if entry is not None:
            os.chown(inside, *entry)

    return Step(f"{folder}, {mode:o}", is_so(), make)


def _file(root: Path, path: Path, text: str, *, packaged: bool) -> Step:
    inside = _inside(root, path)
    if packaged and not inside.exists():
        return Step(f"{path.name}, from the Debian package", True, lambda: None)

    def write() -> None:
        inside.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(inside, text.encode(), mode=0o644)

    same = inside.is_file() and inside.read_text(encoding="utf-8") == text
    return Step(str(path), same, write)


def _reload() -> None:
    _command("systemctl", "daemon-reload")
    if shutil.which("udevadm") is not None:
        _command("udevadm", "control", "--reload")
        _command("udevadm", "trigger", "--subsystem-match=tty")


def _command(*words: str) -> None:
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError as error:
        raise StepFailedError(
            f"{words[0]} cannot be run: {error.strerror}; install it, or do this step by hand"
        ) from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip() or f"exit status {done.returncode}"
        raise StepFailedError(f"`{' '.join(words)}` failed: {said}")

#!/usr/bin/env python3
"""From an empty Debian to the first settled epoch, and from an adapter to the first signed reading: by the commands of
docs/OPERATIONS.md alone, in its order, each with its time.

usage (as root): walk.py BARE_ROOT [--packages DIR] [--out FILE]

BARE_ROOT is a root as debootstrap makes it, with python3; it is copied and left as it is. The copy enters a process and
mount namespace of its own, with the machine's network: pip and apt fetch what the page has them fetch. One machine
stands for both hosts. systemd is not process 1 there: tests/installation/stand_in_systemctl.py starts the units'
commands. The meter is emulated, at /dev/ttyUSB0 of that root. What a person decides is in ANSWERS.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from documents import block, documented

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
NAMES = ("energy.campus.example", "mqtt.campus.example")
PORTS = (8443, 8883, 8000, 8899)
ENVIRONMENT = ["LANG=C.UTF-8", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"]
EMULATOR = """
epoch_seconds = 60
start_epoch = -96
[line]
link = "/dev/ttyUSB0"
[[meter]]
logical_device_name = "KFM1000000000001"
  [[meter.client]]
  address = 16
  [[meter.register]]
  obis = "1-0:1.8.0.255"
  power = "6000"
  initial = 13925500
"""
ANSWERS = {
    "gateway": "north-hall",
    "setup": "--authority https://energy.campus.example:8443 --port /dev/ttyUSB0 --listen 0 --meter building "
    "--serial 1KFM0000000001 --measures consumption --display 13935 --yes",
}
"""What the engineer says to `setup`; the display shows whole kWh, 96 minutes of 6 kW after the emulator's start."""
SECTIONS = (
    "Operations: from an empty host to a running campus",
    "The authority's host",
    "The campus plan",
    "A gateway",
)
LATER = (
    "sudo chown edge-agent:",
    "sudo -u edge-agent /opt/edge-agent/bin/edge-agent read",
    "sudo -u edge-agent /opt/edge-agent/bin/edge-agent enrol",
    "journalctl -fu edge-agent",
    "sudo systemctl enable systemd-time-wait-sync",
    "systemctl edit",
    "edge-agent keys",
)
"""Commands of these sections that the walk leaves out: they are the other way round, or for another machine."""


class Machine:
    """A copy of the bare root, entered in namespaces of its own; everything in it ends with it."""

    def __init__(self, bare: Path) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="walk-"))
        subprocess.run(["cp", "-a", "--reflink=auto", f"{bare}/.", self.path], check=True)
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, check=True, capture_output=True, text=True,
        )  # fmt: skip
        for name in filter(None, listed.stdout.split("\0")):
            if (ROOT / name).exists():
                target = self.path / "root/project" / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, target, follow_symlinks=False)
        policy = self.path / "usr/sbin/policy-rc.d"
        policy.write_text("#!/bin/sh\nexit 101\n")  # packages start nothing by themselves
        policy.chmod(0o755)
        for each in ("/etc/resolv.conf", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt"):
            if Path(each).exists():
                shutil.copy(each, self.path / each.lstrip("/"))
        with (self.path / "etc/hosts").open("a") as hosts:
            hosts.write(f"127.0.0.1 localhost {' '.join(NAMES)}\n")
        (self.path / "root/emulator.toml").write_text(EMULATOR)
        for folder in ("usr/local/bin", "usr/bin"):
            target = self.path / folder / "systemctl"
            target.unlink(missing_ok=True)
            shutil.copy(HERE / "stand_in_systemctl.py", target)
            target.chmod(0o755)
        self.holder = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-ec", self._mounts()],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.holder.stdout is not None
        assert self.holder.stdout.readline().strip() == "ready"
        (child,) = Path(f"/proc/{self.holder.pid}/task/{self.holder.pid}/children").read_text().split()
        self.inside = child

    def _mounts(self) -> str:
        root = shlex.quote(str(self.path))
        nodes = "\n".join(
            f"mknod -m 666 {root}/dev/{name} c 1 {minor}"
            for name, minor in (("null", 3), ("zero", 5), ("full", 7), ("random", 8), ("urandom", 9))
        )
        return f"""
mount -t proc proc {root}/proc
mount -t tmpfs tmpfs {root}/dev
{nodes}
mknod -m 666 {root}/dev/tty c 5 0
mkdir {root}/dev/pts {root}/dev/shm
mount -t tmpfs tmpfs {root}/dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=0666 devpts {root}/dev/pts
ln -s pts/ptmx {root}/dev/ptmx
ln -s /proc/self/fd {root}/dev/fd
mount -t tmpfs tmpfs {root}/run
echo ready
exec sleep 7200
"""

    def command(self, text: str, directory: str = "/root/project") -> list[str]:
        enter = ["nsenter", "--target", self.inside, "--mount", "--pid", "chroot", str(self.path)]
        pip = [
            f"{name}={value}" for name, value in os.environ.items() if name.startswith("PIP_") and "FIND" not in name
        ]
        script = f"cd {directory} && {text}"
        return [*enter, "env", "-i", *ENVIRONMENT, *pip, "DEBIAN_FRONTEND=noninteractive", "bash", "-c", script]

    def run(self, text: str, *, status: int | None = 0, directory: str = "/root/project", patience: float = 900) -> str:
        done = subprocess.run(
            self.command(text, directory), capture_output=True, text=True, check=False, timeout=patience,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if status is not None and done.returncode != status:
            raise SystemExit(f"{text}\nended with {done.returncode}:\n{done.stdout}{done.stderr}\n{self.logs()}")
        return done.stdout + done.stderr

    def begin(self, text: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(text), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def log(self, unit: str) -> str:
        path = self.path / f"var/log/stand-in/{unit}.service.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def logs(self) -> str:
        folder = self.path / "var/log/stand-in"
        parts = [f"--- {path.name}\n{path.read_text(errors='replace')[-3000:]}" for path in sorted(folder.glob("*"))]
        return "\n".join(parts)

    def end(self) -> None:
        self.holder.kill()
        self.holder.wait()
        subprocess.run(["rm", "-rf", "--one-file-system", self.path], check=False)


class Walk:
    """Goes the page's commands one by one, and writes down what each took."""

    def __init__(self, machine: Machine, packages: Path | None) -> None:
        self.machine = machine
        self.packages = packages
        self.began = time.monotonic()
        self.rows: list[dict[str, object]] = []
        self.claim = ""
        self.plugged_in = 0.0
        self.first_reading = 0.0

    def step(self, what: str, text: str, act) -> None:
        start = time.monotonic()
        act()
        row = {"step": what, "command": text, "seconds": round(time.monotonic() - start, 1)}
        row["at"] = round(time.monotonic() - self.began, 1)
        self.rows.append(row)
        print(f"{row['at']:7.1f} s  {row['seconds']:6.1f} s  {text or what}", flush=True)

    def until(self, what: str, true, patience: float = 400.0) -> None:
        def wait() -> None:
            end = time.monotonic() + patience
            while not true():
                if time.monotonic() > end:
                    raise SystemExit(f"never: {what}\n{self.machine.logs()}")
                time.sleep(1)

        self.step(what, f"({what})", wait)

    def as_campus(self, text: str, *, status: int | None = 0) -> str:
        """As `sudo -u campus -s` and the page's `export` leave the shell."""
        exported = next(c.text for c in documented("OPERATIONS.md") if c.text.startswith("export AUTHORITY_HOME"))
        inner = f"cd /var/lib/campus && {exported} && {text}"
        return self.machine.run(f"sudo -u campus bash -c {shlex.quote(inner)}", status=status)

    def everything(self) -> None:
        self.step("a bare Debian gets sudo", "apt-get update; apt-get install sudo", lambda: self.machine.run(
            "apt-get update -qq && apt-get install -y -qq sudo > /dev/null"
        ))  # fmt: skip
        for package in sorted(self.packages.glob("*.deb")) if self.packages is not None else ():
            target = self.machine.path / "root/project/build/deb" / package.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(package, target)
            text = f"sudo apt-get install -y ./build/deb/{package.name}"
            self.step("", text, lambda text=text: self.machine.run(text))
        for command in documented("OPERATIONS.md"):
            if command.section in SECTIONS and not command.text.startswith(LATER):
                self.one(command.text, command.block)
        self.until("the first epoch between two readings is settled", self.settled)

    def one(self, text: str, in_a_block: bool) -> None:
        if self.packages is not None and re.match(r"sudo (useradd|make install|cp )", text):
            return
        acts = {
            "authority init": lambda: self.init(text),
            "authority collector broker": lambda: self.as_campus(text),
            "journalctl -u authority": lambda: None,
            "journalctl -fu authority": lambda: self.seen_in("authority", "everything is started"),
            "authority enrol campus": self.plan,
            "authority enrol claim": self.ask_for_a_claim,
            "sudo /opt/edge-agent/bin/edge-agent setup": lambda: self.set_up(text),
            "sudo -u edge-agent /opt/edge-agent/bin/edge-agent status": self.signed,
        }
        act = next((act for begins, act in acts.items() if text.startswith(begins)), None)
        if act is None and text.startswith("authority deploy") and "--check" not in text:
            act = lambda: self.as_campus(text)  # noqa: E731
        if act is None and in_a_block and text.startswith("sudo ") and text != "sudo -u campus -s":
            act = lambda: self.machine.run(text)  # noqa: E731
        if act is not None and text not in [row["command"] for row in self.rows]:
            self.step("", text, act)

    def init(self, text: str) -> None:
        self.as_campus(f"{text} --epoch-seconds 60")
        settings = self.machine.path / "var/lib/campus/authority.toml"
        text = settings.read_text()
        settings.write_text(re.sub(r'(\[collector\]\nhost = )"127\.0\.0\.1"', r'\1"0.0.0.0"', text))

    def seen_in(self, unit: str, words: str) -> None:
        end = time.monotonic() + 240
        while words not in self.machine.log(unit):
            if time.monotonic() > end:
                raise SystemExit(f"{unit} never says {words!r}\n{self.machine.logs()}")
            time.sleep(0.2)

    def plan(self) -> None:
        (self.machine.path / "var/lib/campus/plan.toml").write_text(block("OPERATIONS.md", "[[user]]"))
        self.as_campus("authority enrol campus plan.toml")

    def ask_for_a_claim(self) -> None:
        self.claim = self.as_campus(f"authority enrol claim {ANSWERS['gateway']}").split()[-1]

    def set_up(self, text: str) -> None:
        """The engineer at the meter, and the operator, who approves when the keys have been compared."""
        agent = "/opt/edge-agent/bin" if self.packages is None else "/usr/bin"
        self.emulator = self.machine.begin(f"{agent}/meter-emulator /root/emulator.toml")
        assert self.emulator.stdout is not None
        assert self.emulator.stdout.readline().startswith("ready")
        self.plugged_in = time.monotonic()
        words = text.replace("CODE", self.claim)
        setting_up = self.machine.begin(f"{words} {ANSWERS['setup']} --no-service")
        end = time.monotonic() + 300
        while "waiting for a decision" not in (waiting := self.as_campus("authority enrol list")):
            if time.monotonic() > end or setting_up.poll() is not None:
                raise SystemExit(f"nothing waits:\n{waiting}{setting_up.communicate(timeout=60)[0]}")
            time.sleep(0.5)
        self.as_campus(f"authority enrol approve {ANSWERS['gateway']}")
        told = setting_up.communicate(timeout=240)[0]
        if setting_up.returncode:
            raise SystemExit(f"setup ended with {setting_up.returncode}:\n{told}")
        self.machine.run("systemctl enable --now edge-agent")  # as setup does where systemd runs

    def signed(self) -> None:
        end = time.monotonic() + 300
        while time.monotonic() < end:
            shown = self.machine.run("sudo -u edge-agent /opt/edge-agent/bin/edge-agent status --json", status=None)
            try:
                stages = json.loads(shown)["meters"]["building"]["stages"]
            except (ValueError, KeyError):
                stages = {}
            if stages.get("receipted", {}).get("count"):
                self.first_reading = time.monotonic()
                return
            time.sleep(1)
        raise SystemExit(f"nothing was signed:\n{shown}\n{self.machine.logs()}")

    def settled(self) -> bool:
        """Whether two epochs with a reading on the chain are settled: what flowed between the two is booked."""
        shown = self.as_campus("authority market show --json", status=None)
        rows = json.loads(shown)["epochs"] if shown.startswith("{") else []
        done = [row for row in rows if row["readings_on_chain"] and row["state"] in ("settled", "checkpointed")]
        return len(done) >= 2

    def report(self) -> dict[str, object]:
        return {
            "steps": self.rows,
            "seconds_to_the_first_settled_epoch": round(time.monotonic() - self.began, 1),
            "seconds_from_the_adapter_to_the_first_receipted_reading": round(self.first_reading - self.plugged_in, 1),
            "audit": self.as_campus("authority audit verify", status=None).splitlines()[-1],
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bare", type=Path)
    parser.add_argument("--packages", type=Path, help="install these Debian packages in place of the sources")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    taken = [port for port in PORTS if socket.socket().connect_ex(("127.0.0.1", port)) == 0]
    if taken:
        raise SystemExit(f"these ports are taken on this machine: {taken}")
    machine = Machine(options.bare.resolve())
    try:
        walk = Walk(machine, options.packages)
        walk.everything()
        report = walk.report()
    finally:
        machine.end()
    print(json.dumps({key: value for key, value in report.items() if key != "steps"}, indent=2))
    if options.out:
        options.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""systemctl for a root in which systemd is not process 1: starts what the unit says, as the user that it says.

It takes what docs/OPERATIONS.md types: enable, disable and --now, start, stop, restart, reload, daemon-reload,
is-active. Of a unit it follows ExecStart, ExecReload, User, StateDirectory and PathChanged; environment files,
sandboxing and watchdogs it does not know, so nothing is proved about these.
"""

import os
import pwd
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

UNITS = (Path("/etc/systemd/system"), Path("/usr/lib/systemd/system"))
RUN, LOGS = Path("/run/stand-in"), Path("/var/log/stand-in")


def unit_file(name):
    return next((folder / name for folder in UNITS if (folder / name).exists()), None)


def entries(name):
    found = {}
    for line in unit_file(name).read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def running(name):
    try:
        number = int((RUN / name).read_text())
        os.kill(number, 0)
        return number
    except (OSError, ValueError):
        return None


def start(name):
    if running(name):
        return
    unit = entries(name)
    RUN.mkdir(exist_ok=True)
    LOGS.mkdir(exist_ok=True)
    account = pwd.getpwnam(unit.get("User", ["root"])[0])
    for folder in unit.get("StateDirectory", []):
        path = Path("/var/lib") / folder
        path.mkdir(mode=0o700, exist_ok=True)
        os.chown(path, account.pw_uid, account.pw_gid)
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": account.pw_dir, "LANG": "C.UTF-8"}
    words = shlex.split(unit["ExecStart"][0]) if "ExecStart" in unit else [sys.executable, __file__, "watch", name]
    groups = os.getgrouplist(account.pw_name, account.pw_gid)
    with (LOGS / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
            user=account.pw_uid,
            group=account.pw_gid,
            extra_groups=groups,
            umask=0o077,
            cwd="/",
        )
    (RUN / name).write_text(str(process.pid))


def stop(name):
    number = running(name)
    if number:
        os.kill(number, signal.SIGTERM)
        while running(name):
            time.sleep(0.1)


def reload(name):
    number = running(name)
    if number:
        subprocess.run(["sh", "-c", entries(name)["ExecReload"][0].replace("$MAINPID", str(number))], check=True)


def watch(name):
    """A .path unit: runs its service whenever one of the files was changed."""
    paths = [Path(path) for path in entries(name)["PathChanged"]]
    service = entries(name.replace(".path", ".service"))

    def seen():
        return [path.stat().st_mtime_ns if path.exists() else 0 for path in paths]

    before = seen()
    while True:
        time.sleep(1)
        if (now := seen()) != before:
            before = now
            subprocess.run(shlex.split(service["ExecStart"][0]), check=False)


def main(words):
    action, *names = [word for word in words if not word.startswith("-")]
    names = [name if "." in name else f"{name}.service" for name in names]
    now = "--now" in words
    if action == "watch":
        watch(names[0])
    if action == "is-active":
        return 0 if running(names[0]) else 3
    for name in names:
        if unit_file(name) is None and action != "disable":
            sys.exit(f"Unit {name} not found.")
        if action in ("stop", "restart") or (action == "disable" and now):
            stop(name)
        if action in ("start", "restart") or (action == "enable" and now):
            start(name)
        if action == "reload":
            reload(name)
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    sys.exit(main(sys.argv[1:]))

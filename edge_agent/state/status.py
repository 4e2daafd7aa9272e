"""What a person sees of a running gateway: for each meter how far its bytes came, each stage with its age.

The running agent writes `status.json` whole, in one rename; `edge-agent status` reads that file and disturbs nothing.
A stage that never happened while the one before it did is where to look: bytes but no frames is a wrong baud rate or
parity, frames that do not decrypt are a wrong key, published but not receipted is the authority's side.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from edge_agent.errors import EdgeError
from edge_agent.wire import processes
from edge_agent.wire.files import write_atomically

STATUS_VERSION = 1
STATUS_FILE = "status.json"
STAGES = ("bytes", "framed", "decrypted", "decoded", "signed", "published", "receipted")
"""How far a reading comes: seen on the line, framed, decrypted (the meter's own ciphering), decoded, signed into the
journal, handed to the authority or its broker, receipted."""

STALE_SECONDS = 90
"""A running agent writes its status at least every 30 s."""

FLAPPING_SECONDS = 600
"""A fault that comes back so soon is the same one: it keeps its `since`, and is not logged as new."""

LEAST_DISK = 1 << 20
"""Bytes that must be free where the journal lies."""

_BLOCK = 8192
"""The status file's size is a multiple of this, so that it can be written again in its place when the disk is full."""


class StatusError(EdgeError):
    """There is no status to show."""


class NoStatusError(StatusError):
    """The agent has written no status yet."""

    code = "no_status"


class StatusUnreadableError(StatusError):
    """The status file cannot be read."""

    code = "status_unreadable"


class StatusBoard:
    """Where every part of the agent notes what happened; any thread may. clock gives Unix seconds."""

    def __init__(self, gateway: str, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self.notable = True
        """Something happened since the last `write` that a person would want to see at once."""
        self._gateway: dict[str, Any] = {
            "version": STATUS_VERSION,
            "gateway": gateway,
            "pid": os.getpid(),
            "pid_started": processes.started(os.getpid()),
            "started": int(clock()),
            "errors": {},
        }
        self._meters: dict[str, dict[str, Any]] = {}
        self._known: dict[tuple[str | None, str, str], tuple[int, int | None]] = {}
        """By meter, part and code: since when, and when it was proved right (None: not yet)."""

    def add_meter(self, meter: str, **facts: Any) -> None:
        """Make a meter known, with facts such as its port."""
        with self._lock:
            self._meters[meter] = {
                **facts,
                "stages": {stage: {"at": None, "count": 0} for stage in STAGES},
                "errors": {},
            }

    def stage(self, meter: str, stage: str, *, count: int = 1) -> None:
        """Note that a meter's reading came to a stage now; `bytes` counts bytes, the others units."""
        with self._lock:
            entry = self._meters[meter]["stages"][stage]
            entry["at"] = int(self._clock())
            entry["count"] += count
            self.notable = True

    def count(self, meter: str, stage: str, count: int) -> None:
        """As `stage`, for what goes on all the time and is not a reason to write the file at once."""
        with self._lock:
            entry = self._meters[meter]["stages"][stage]
            entry["at"] = int(self._clock())
            entry["count"] += count

    def set(self, **facts: Any) -> None:
        """Note facts about the gateway."""
        with self._lock:
            self._gateway.update(facts)

    def set_meter(self, meter: str, **facts: Any) -> None:
        """Note facts about a meter."""
        with self._lock:
            self._meters[meter].update(facts)

    def error(self, part: str, code: str, message: str, *, meter: str | None = None) -> bool:
        """Note what is wrong with a part (of a meter); True where it was not so before, and deserves a log line."""
        with self._lock:
            errors = (self._gateway if meter is None else self._meters[meter])["errors"]
            now = int(self._clock())
            since, cleared = self._known.get((meter, part, code), (now, -FLAPPING_SECONDS))
            new = cleared is not None and now - cleared >= FLAPPING_SECONDS
            since = now if new else since
            self._known[meter, part, code] = since, None
            self.notable = self.notable or part not in errors or errors[part]["code"] != code
            errors[part] = {"code": code, "message": message, "since": since, "at": now}
            return new

    def fault(self, part: str, *, meter: str | None = None) -> str | None:
        """The code of what is wrong with a part; None where nothing is."""
        with self._lock:
            error = (self._gateway if meter is None else self._meters[meter])["errors"].get(part)
            return None if error is None else str(error["code"])

    def clear(self, part: str, *, meter: str | None = None) -> bool:
        """Note that something has proved a part right; True where it was wrong."""
        with self._lock:
            now = int(self._clock())
            for key, (since, cleared) in self._known.items():
                if key[:2] == (meter, part) and cleared is None:
                    self._known[key] = since, now
            errors = (self._gateway if meter is None else self._meters[meter])["errors"]
            was = errors.pop(part, None) is not None
            self.notable = self.notable or was
            return was

    def snapshot(self) -> dict[str, Any]:
        """The whole status, as JSON holds it. Times are Unix seconds."""
        with self._lock:
            text = json.dumps({**self._gateway, "updated": int(self._clock()), "meters": self._meters})
        copy: dict[str, Any] = json.loads(text)
        return copy

    def summary(self) -> dict[str, Any]:
        """What the authority is told: the snapshot without the process, and the problems in it as `status` has them."""
        snapshot = self.snapshot()
        del snapshot["pid"], snapshot["pid_started"]
        found = problems({**snapshot, "running": True}, self._clock())
        return {**snapshot, "problems": found}

    def write(self, state: Path) -> None:
        """Write the status file; not synced, since it is of use only while the machine runs."""
        self.notable = False
        data = json.dumps(self.snapshot(), indent=1).encode()
        data += b" " * (-(len(data) + 1) % _BLOCK) + b"\n"
        path = _place(state)
        try:
            write_atomically(path, data, mode=0o644, durable=False)
        except OSError:
            # A full disk has no room for a second file, but what the first one takes is ours already.
            with path.open("r+b") as file:
                size = file.seek(0, os.SEEK_END)
                if len(data) > size:
                    raise
                file.seek(0)
                file.write(data.rstrip() + b" " * (size - len(data.rstrip())))


def _place(state: Path) -> Path:
    """Where the status is written: in the service's runtime directory (systemd's RUNTIME_DIRECTORY), to which the state
    directory then has a link.

    That lies in memory. Written every half a minute to an SD card, the status would wear it out ten times faster than
    the journal does.
    """
    own = state / STATUS_FILE
    runtime = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if not runtime:
        return own
    there = Path(runtime) / STATUS_FILE
    if not own.is_symlink() or own.readlink() != there:
        temporary = state / f".{STATUS_FILE}.{os.getpid()}"
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(there)
        temporary.replace(own)
    return there


def read_status(state: Path) -> dict[str, Any]:
    """The status that the agent wrote last; NoStatusError or `status_unreadable`.

    `running` is added, whether the process that wrote it still lives, and `disk_free`, the bytes free beside it.
    """
    path = state / STATUS_FILE
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        since = "since this machine started" if path.is_symlink() else "yet"
        raise NoStatusError(f"no agent has run with {state} {since}; start it with `edge-agent run`") from error
    except (OSError, ValueError, RecursionError) as error:
        raise StatusUnreadableError(f"{path} cannot be read: {error}") from error
    if not isinstance(data, dict) or data.get("version") != STATUS_VERSION:
        raise StatusUnreadableError(f"{path} was written by another version of the agent")
    data["running"] = _alive(data.get("pid"), data.get("pid_started"))
    with contextlib.suppress(OSError):
        data["disk_free"] = shutil.disk_usage(state).free
    return data


def _alive(pid: object, started: object) -> bool:
    return type(pid) is int and pid > 0 and started != "" and processes.started(pid) == started


def problems(status: Mapping[str, Any], now: float) -> list[str]:
    """Everything that needs a person, in sentences; empty where all is well."""
    return [str(problem) for problem in find_problems(status, now)]


class Problem(NamedTuple):
    """Something that needs a person; meter is None where it is the gateway's."""

    code: str
    message: str
    meter: str | None = None

    def __str__(self) -> str:
        return ": ".join(part for part in (self.meter, self.code, self.message) if part)


def find_problems(status: Mapping[str, Any], now: float) -> list[Problem]:
    """What is wrong, by what the agent noted and by what is there: a boundary without a signature, a frame without a
    receipt, a disk without room."""
    found = []
    if not status["running"]:
        found.append(Problem("", "the agent is not running"))
    elif now - status["updated"] > STALE_SECONDS:
        found.append(
            Problem("", f"the agent has not written its status for {age(status['updated'], now)}; is it stuck?")
        )
    free = status.get("disk_free")
    if free is not None and free < LEAST_DISK:
        found.append(
            Problem(
                "disk_full",
                f"the disk of the state directory is full ({free} bytes are free): the journal takes nothing and this "
                "status may be old; make room. The meters keep their rows meanwhile",
            )
        )
    found += [Problem(error["code"], error["message"]) for error in status["errors"].values()]
    oldest, epoch = (status.get("journal") or {}).get("oldest"), status.get("epoch")
    if oldest is not None and epoch and now - oldest > 2 * epoch:
        found.append(
            Problem(
                "not_receipted",
                f"the oldest reading without a receipt was signed {age(oldest, now)} ago: readings leave the "
                "gateway, and the authority answers none, or they do not leave it (uplink, above); "
                "nothing is lost meanwhile",
            )
        )
    for name, meter in status["meters"].items():
        found += [Problem(error["code"], error["message"], name) for error in meter["errors"].values()]
        missing = _missing_boundary(status, meter, now)
        if missing is not None:
            last = meter.get("interval_end")
            since = "it has signed nothing yet" if last is None else f"its last reading is that of {utc(last)}"
            message = f"no reading is signed for the boundary of {utc(missing)}: {since}"
            found.append(Problem("not_signed", message, name))
    return found


def _missing_boundary(status: Mapping[str, Any], meter: Mapping[str, Any], now: float) -> int | None:
    """The last boundary whose reading is due and not signed; None where there is none, or it is not known.

    A reading is due half an epoch after its boundary, and not before the agent has run for as long.
    """
    epoch = status.get("epoch")
    if not epoch or "enrolment" in meter["errors"] or now - status["started"] < epoch / 2:
        return None
    every = max(epoch, meter.get("signs_every") or epoch)
    boundary = int((now - epoch / 2) // every * every)
    last = meter.get("interval_end")
    return boundary if last is None or last < boundary else None


def age(at: float | None, now: float) -> str:
    """How long ago, for a person."""
    if at is None:
        return "never"
    seconds = int(now - at)
    if seconds < 0:
        return f"in {-seconds} s"
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def render(status: Mapping[str, Any], now: float) -> str:
    """The status as a page for a terminal."""
    lines = [f"gateway   {status['gateway']}, " + ("running" if status["running"] else "NOT RUNNING")]
    lines[0] += f" since {utc(status['started'])}, status {age(status['updated'], now)} old"
    uplink = status.get("uplink") or {}
    if uplink:
        state = "connected" if uplink.get("connected") else "NOT CONNECTED"
        lines.append(
            f"uplink    {uplink.get('kind')} ({uplink.get('configured')}), {state} since {utc(uplink.get('since'))}"
        )
    journal = status.get("journal") or {}
    if journal:
        lines.append(
            f"journal   {journal['depth']} of {journal['quota']} frames without a receipt: "
            f"{journal['waiting']} waiting, {journal['parked']} parked, {journal['refused']} refused, "
            f"{journal['superseded']} superseded"
        )
    if status.get("authority_clock") is not None:
        lines.append(f"clock     authority minus gateway {status['authority_clock']:+d} s")
    if status.get("certificate_expires") is not None:
        lines.append(f"identity  certificate ends {utc(status['certificate_expires'])}")
    ignored = {name: count for name, count in (status.get("ignored") or {}).items() if count}
    if ignored:
        lines.append("ignored   " + ", ".join(f"{count} {name}" for name, count in sorted(ignored.items())))
    for name, meter in status["meters"].items():
        lines += ["", f"meter     {name} on {meter.get('port')}"]
        details = []
        if meter.get("sequence") is not None:
            details.append(f"sequence {meter['sequence']} up to {utc(meter.get('interval_end'))}")
        if meter.get("clock_deviation") is not None:
            details.append(f"gateway minus meter {meter['clock_deviation']:+d} s")
        if meter.get("power_w") is not None:
            details.append(f"{meter['power_w']} W")
        if details:
            lines.append("          " + ", ".join(details))
        for stage in STAGES:
            entry = meter["stages"][stage]
            if stage == "decrypted" and not entry["count"]:
                continue  # most lines on the campus are not ciphered
            lines.append(f"          {stage:<10} {age(entry['at'], now):>8}  ({entry['count']})")
    found = problems(status, now)
    lines += ["", *(f"PROBLEM   {problem}" for problem in found)] if found else ["", "no problems"]
    return "\n".join(lines)


def utc(at: int | None) -> str:
    """Unix seconds for a person; "never" for None."""
    if at is None:
        return "never"
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")

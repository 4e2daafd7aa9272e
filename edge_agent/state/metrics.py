"""The gateway's status as Prometheus text (exposition format 0.0.4): a file for node_exporter's textfile collector.

The same facts and the same problems as `edge-agent status`, with numbers in seconds, watts and frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edge_agent.state.status import STAGES, find_problems
from edge_agent.wire.files import write_atomically

_HELP = {
    "up": "Whether the agent runs.",
    "status_timestamp_seconds": "When the agent wrote its status.",
    "problems": "How many things need a person.",
    "problem": "Each of them, by its code.",
    "uplink_connected": "Whether the link that carries readings is up.",
    "journal_frames": "Frames in the journal, by what they wait for.",
    "journal_oldest_timestamp_seconds": "When the frame was signed that has waited longest for a receipt.",
    "authority_clock_seconds": "The authority's clock minus the gateway's.",
    "certificate_expires_timestamp_seconds": "When the gateway's certificate ends.",
    "meter_signed_interval_timestamp_seconds": "The end of the meter's last signed interval.",
    "meter_power_watts": "Live power, import positive.",
    "meter_clock_deviation_seconds": "The gateway's clock minus the meter's.",
    "meter_stage_timestamp_seconds": "When something of the meter last came to this stage.",
    "meter_stage_count": "How much has come to this stage since the start: bytes, then units.",
}


def write_metrics(path: Path, status: Mapping[str, Any], now: float) -> None:
    """Write the file in one rename, readable by all; OSError. status is that of a running agent."""
    text = metrics({**status, "running": True}, now)
    write_atomically(path, text.encode(), mode=0o644, durable=False)


def metrics(status: Mapping[str, Any], now: float) -> str:
    """A status, as `read_status` gives it, as Prometheus text."""
    lines: list[str] = []
    told = ""
    for name, labels, value in _samples(status, now):
        if name != told:
            lines += [f"# HELP edge_agent_{name} {_HELP[name]}", f"# TYPE edge_agent_{name} gauge"]
            told = name
        shown = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        lines.append(f"edge_agent_{name}{{{shown}}} {value}" if shown else f"edge_agent_{name} {value}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _samples(status: Mapping[str, Any], now: float) -> Iterator[tuple[str, dict[str, str], int | float]]:
    found = find_problems(status, now)
    journal = status.get("journal") or {}
    yield "up", {}, int(status["running"])
    yield "status_timestamp_seconds", {}, status["updated"]
    yield "problems", {}, len(found)
    for code, meter in sorted({(problem.code or "not_running", problem.meter or "") for problem in found}):
        yield "problem", {"code": code, **({"meter": meter} if meter else {})}, 1
    if status.get("uplink"):
        yield "uplink_connected", {"kind": str(status["uplink"].get("kind"))}, int(bool(status["uplink"]["connected"]))
    for state in ("waiting", "parked", "refused", "superseded", "archived"):
        if state in journal:
            yield "journal_frames", {"state": state}, journal[state]
    for name, value in (
        ("journal_oldest_timestamp_seconds", journal.get("oldest")),
        ("authority_clock_seconds", status.get("authority_clock")),
        ("certificate_expires_timestamp_seconds", status.get("certificate_expires")),
    ):
        if value is not None:
            yield name, {}, value
    meters = status["meters"].items()
    for name, key in (
        ("meter_signed_interval_timestamp_seconds", "interval_end"),
        ("meter_power_watts", "power_w"),
        ("meter_clock_deviation_seconds", "clock_deviation"),
    ):
        for meter, facts in meters:
            if facts.get(key) is not None:
                yield name, {"meter": meter}, facts[key]
    for name, key in (("meter_stage_timestamp_seconds", "at"), ("meter_stage_count", "count")):
        for meter, facts in meters:
            for stage in STAGES:
                if facts["stages"][stage][key] is not None:
                    yield name, {"meter": meter, "stage": stage}, facts["stages"][stage][key]

"""demo-report.json: what the demo did, epoch by epoch, in whole numbers; rewritten whole as epochs settle."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from authority.audit.conservation import Conservation
from authority.demo.playback import Playback
from authority.market.report import EpochReport

REPORT_NAME = "demo-report.json"
STAGE_WORDS = {
    "cleared": "book cleared",
    "settled": "orders paid",
    "submitted": "readings on chain",
    "minted": "surplus minted",
    "checkpointed": "log pinned",
}


def median_stages(epochs: Sequence[EpochReport]) -> str:
    """The stages' median times after an epoch's end in words, in seconds."""
    words = []
    for stage, name in STAGE_WORDS.items():
        times = sorted(epoch.stage_ms[stage] for epoch in epochs if stage in epoch.stage_ms)
        if times:
            tenths = (times[len(times) // 2] + 50) // 100
            words.append(f"{name} {tenths // 10}.{tenths % 10} s")
    return ", ".join(words)


def report(
    epochs: Sequence[EpochReport],
    sums: Conservation,
    *,
    meters: int,
    transport: str,
    validator: str,
    start: Mapping[str, int],
) -> dict[str, Any]:
    """The report as JSON values. Prices are micro-credits per kWh, null where nothing traded.

    timings: start_ms, when each step of the start was done; after_epoch_end_ms, when each stage was complete.
    """
    return {
        "epochs": [epoch.as_json() for epoch in epochs],
        "conservation": sums.energy_json(),
        "meters": meters,
        "transport": transport,
        "validator": validator,
        "timings": {
            "start_ms": dict(start),
            "after_epoch_end_ms": [
                {"epoch": epoch.epoch, **{s: epoch.stage_ms[s] for s in STAGE_WORDS if s in epoch.stage_ms}}
                for epoch in epochs
            ],
        },
    }


def played(epochs: Sequence[EpochReport], playback: Playback) -> dict[str, Any]:
    """What the meters lived, for the report: an epoch's length, and the quarter of an hour that each epoch holds.

    In the profiles' own time, such as 2016-07-21T11:00; null in a pause.
    """
    return {
        "epoch_seconds": playback.seconds,
        "profile": [{"epoch": epoch.epoch, "quarter": playback.quarter(epoch.epoch)} for epoch in epochs],
    }


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Replace the report, so that a reader never sees half of one."""
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)

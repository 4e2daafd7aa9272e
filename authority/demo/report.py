"""demo-report.json: what the demo did, epoch by epoch, in whole numbers; rewritten whole as epochs settle."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.api.campus import EpochPast
from authority.settlement.conservation import Conservation
from authority.store.settlement import SettlementEpoch

REPORT_NAME = "demo-report.json"
SETTLED = ("settled", "checkpointed")
STAGES = ("cleared", "settled", "submitted", "minted", "checkpointed")
STAGE_WORDS = {
    "cleared": "book cleared",
    "settled": "orders paid",
    "submitted": "readings on chain",
    "minted": "surplus minted",
    "checkpointed": "log pinned",
}


def stage_times(session: Session, epochs: Sequence[int], epoch_seconds: int) -> dict[int, dict[str, int]]:
    """By epoch, how long after its end each stage was complete, in milliseconds; stages not reached are left out."""
    rows = session.scalars(select(SettlementEpoch).where(SettlementEpoch.epoch.in_(epochs)))
    return {
        row.epoch: {
            f"{stage}_ms": getattr(row, f"{stage}_ms") - (row.epoch + 1) * epoch_seconds * 1000
            for stage in STAGES
            if getattr(row, f"{stage}_ms") is not None
        }
        for row in rows
    }


def median_stages(epochs: Iterable[Mapping[str, int]]) -> str:
    """The stages' median times in words, in seconds."""
    rows = list(epochs)
    words = []
    for stage in STAGES:
        times = sorted(row[f"{stage}_ms"] for row in rows if f"{stage}_ms" in row)
        if times:
            tenths = (times[len(times) // 2] + 50) // 100
            words.append(f"{STAGE_WORDS[stage]} {tenths // 10}.{tenths % 10} s")
    return ", ".join(words)


def report(
    epochs: Sequence[EpochPast],
    sums: Conservation,
    *,
    meters: int,
    transport: str,
    validator: str,
    start: Mapping[str, int],
    stages: Mapping[int, Mapping[str, int]],
) -> dict[str, Any]:
    """The report as JSON values. Prices are micro-credits per kWh, null where nothing traded."""
    return {
        "epochs": [
            {
                "epoch": epoch.number,
                "readings_on_chain": epoch.readings_on_chain,
                "minted_wh": epoch.minted_wh,
                "orders": epoch.orders,
                "traded_wh": epoch.traded_wh,
                "clearing_price": epoch.clearing_price_micro_credits_per_kwh,
                "settled": epoch.state in SETTLED,
            }
            for epoch in epochs
        ],
        "conservation": {
            "minted_wh": sums.energy.minted,
            "held_wh": sums.energy.held,
            "escrow_wh": sums.energy.escrow,
            "retired_wh": sums.energy.retired,
            "ok": sums.ok,
        },
        "meters": meters,
        "transport": transport,
        "validator": validator,
        "timings": {
            "start_ms": dict(start),
            "after_epoch_end_ms": [
                {"epoch": epoch.number, **stages[epoch.number]} for epoch in epochs if epoch.number in stages
            ],
        },
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

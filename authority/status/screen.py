"""The status as one screen for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from authority.status.facts import Facts
from authority.status.judgement import Problem, age
from authority.store.metering import GATEWAY_EXPECTED


def render(facts: Facts, found: Sequence[Problem]) -> str:
    """Everything on some twenty lines, and then every problem on one."""
    now = datetime.fromtimestamp(facts.time, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    lines = [f"campus     epoch {facts.epoch} of {facts.epoch_seconds} s, {now}", f"chain      {_chain(facts)}"]
    checkpoint = "none yet" if facts.last_checkpointed is None else str(facts.last_checkpointed)
    runs = ", ".join(f"{name} {'runs' if on else 'DOES NOT RUN'}" for name, on in facts.running.items())
    free, total = facts.disk_free / 2**30, facts.disk_total / 2**30
    held, waiting = sum(facts.held_by_code.values()), sum(meter.waiting for meter in facts.meters)
    lines += [
        f"settlement last checkpoint {checkpoint}, {facts.epochs_behind} epochs behind, {len(facts.alerts)} alerts",
        f"processes  {runs}",
        f"operator   {_operator(facts)}",
        f"machine    {free:.1f} GiB free of {total:.1f}; backup {_ago(facts, facts.backup_at)}",
        f"readings   {held} held, {waiting} on their way to the chain",
        "",
    ]
    for gateway in facts.gateways:
        if gateway.state == GATEWAY_EXPECTED:
            lines.append(f"gateway    {gateway.name:<24} expected, not enrolled")
            continue
        ends = "-" if gateway.certificate_ends is None else age(gateway.certificate_ends - facts.time)
        state = "online" if gateway.online else "offline"
        if gateway.state != "enrolled":
            state = gateway.state.upper()
        heard = _ago(facts, gateway.seen_at)
        lines.append(f"gateway    {gateway.name:<24} {state:<9} heard {heard:<14} certificate {ends}")
        for meter in facts.meters:
            if meter.gateway == gateway.name:
                waits = f", {meter.waiting} waiting" if meter.waiting else ""
                undecided = f", {meter.held} held" if meter.held else ""
                last = _ago(facts, meter.last_interval_end)
                lines.append(
                    f"  meter    {meter.name:<24} {meter.state:<9} read  {last:<14} {meter.member}{waits}{undecided}"
                )
    lines.append("")
    return "\n".join([*lines, *(f"PROBLEM    {problem}" for problem in found)] if found else [*lines, "no problems"])


def _ago(facts: Facts, at: int | None) -> str:
    return "never" if at is None else f"{age(facts.time - at)} ago"


def _chain(facts: Facts) -> str:
    chain = facts.chain
    if chain.error is not None or chain.clock is None:
        return f"{chain.url} DOES NOT ANSWER"
    behind = facts.time - chain.clock
    return f"slot {chain.slot} at {chain.url}, its clock {age(abs(behind))} {'behind' if behind >= 0 else 'ahead'}"


def _operator(facts: Facts) -> str:
    chain = facts.chain
    if chain.lamports is None:
        return f"{chain.operator}, balance unknown"
    days = "" if chain.days_left is None else f", {chain.days_left:.0f} days left"
    return f"{chain.operator} has {chain.lamports / 10**9:.3f} SOL{days}"

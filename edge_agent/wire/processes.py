"""Whether a process still runs: its number alone does not say, for numbers are used again."""

from __future__ import annotations

from pathlib import Path


def started(pid: int) -> str:
    """When a process started, in clock ticks since boot (proc(5), field 22); empty where no such process runs."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    fields = text.rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 and fields[0] != "Z" else ""

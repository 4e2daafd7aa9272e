"""How long `edge-agent --help` and `authority --help` take, beside a bare `python -c pass`; JSON on stdout.

    python tests/benchmarks/help.py [--runs 20]

Processor time (user and system) is what the command costs; the wall clock is told too, and depends on what else runs.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BARE = "python -c pass"
COMMANDS = {
    BARE: ["-c", "pass"],
    "edge-agent --help": ["-m", "edge_agent.cli", "--help"],
    "authority --help": ["-m", "authority.cli", "--help"],
}


def measured(words: list[str]) -> tuple[float, float]:
    """Milliseconds of one run: of the processor, and on the wall."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, *words], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return processor * 1000, wall * 1000


def main() -> None:
    """Measure in turns, so that what else runs meets all alike, and print the medians."""
    parser = argparse.ArgumentParser(description="Measure how long the commands' help takes.")
    parser.add_argument("--runs", type=int, default=20)
    runs = parser.parse_args().runs
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for _ in range(runs):
        for name, words in COMMANDS.items():
            found[name].append(measured(words))
    medians = {
        name: tuple(statistics.median(each) for each in zip(*times, strict=True)) for name, times in found.items()
    }
    bare = medians[BARE][0]
    print(
        json.dumps(
            {
                name: {
                    "processor_ms": round(processor, 1),
                    "wall_ms": round(wall, 1),
                    "ratio_to_bare": round(processor / bare, 1) if bare else None,
                }
                for name, (processor, wall) in medians.items()
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()

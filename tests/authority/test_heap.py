"""What a serving process is made of is not looked through again."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import gc
from authority import heap
kept = [[] for _ in range(100_000)]
heap.settle()
assert gc.get_freeze_count() >= 100_000
assert gc.isenabled()
looked = []
gc.callbacks.append(lambda phase, info: looked.append(info["generation"]) if phase == "start" else None)
for _ in range(300):
    circles = []
    for _ in range(1_000):
        circle = []
        circle.append(circle)
        circles.append(circle)
alive = sum(1 for each in gc.get_objects() if isinstance(each, list) and len(each) == 1 and each[0] is each)
print(len(looked), alive)
"""


def test_circles_are_still_found_and_what_was_there_is_not_looked_at() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    looked, alive = map(int, done.stdout.split())
    assert 0 < looked < 50
    assert alive < 150_000

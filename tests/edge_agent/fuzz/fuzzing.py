"""Seeded fuzzing of everything that reads bytes from a wire: no hang, no exception but the typed ones, bounded memory.

    python tests/edge_agent/fuzz/fuzzing.py --bytes 100000000 --workers 2
    python tests/edge_agent/fuzz/fuzzing.py --target apdu --seed 7 --bytes 1000000

The same seed gives the same inputs. What is found is printed as target, seed and input in hex, cut down to what is
needed, and belongs into test_findings.py once it is repaired. CI runs slices with new seeds every day (test_slices.py).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import signal
import sys
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[3]

HANG_SECONDS = 20
"""Of the processor's own time, for one input of at most 64 KiB; they take milliseconds."""
MEMORY_FLOOR = 256 << 10
MEMORY_PER_BYTE = 2048
"""What a decoding may hold at most. A null takes one byte on the wire, and a tuple and its place in a list here; an
error, which a few bytes can cause, some hundred bytes of text."""
MEMORY_EVERY = 25
"""Every how many inputs the memory is measured, which makes them slow."""

SIZES = (8, 40, 200, 600, 2100, 4096)
EDGES = (0x00, 0x01, 0x02, 0x09, 0x13, 0x7E, 0x7F, 0x80, 0x81, 0x82, 0x84, 0xA0, 0xA8, 0xFE, 0xFF)


REPEATED = (*EDGES, *b"\n /!()*#.:~h\x03\x06\x0f\x16\xc4\xdb\xe0")


class Hang(BaseException):
    """An input took longer than HANG_SECONDS."""


class Target:
    """Something that reads bytes. `read` may raise `allowed`, and nothing else; `samples` are valid inputs."""

    def __init__(
        self, name: str, samples: list[bytes], read: Callable[[bytes], object], allowed: tuple[type[Exception], ...]
    ) -> None:
        self.name = name
        self.samples = samples
        self.read = read
        self.allowed = allowed


class Finding(Exception):  # noqa: N818 - it is what is looked for
    """What an input did that it must not."""

    def __init__(self, target: str, seed: int, what: str, data: bytes) -> None:
        super().__init__(f"{target} (seed {seed}): {what}\n  input of {len(data)} bytes: {data.hex()}")
        self.target = target
        self.what = what
        self.data = data


def _mutated(rng: random.Random, data: bytearray, samples: list[bytes]) -> bytearray:
    at = rng.randrange(len(data)) if data else 0
    kind = rng.randrange(10)
    if kind == 0 and data:
        data[at] ^= 1 << rng.randrange(8)
    elif kind == 1 and data:
        data[at] = rng.randrange(256)
    elif kind == 2 and data:
        data[at] = rng.choice(EDGES)
    elif kind == 3:
        data[at:at] = rng.randbytes(rng.choice((1, 1, 2, 4, 16)))
    elif kind == 4:
        del data[at : at + rng.choice((1, 1, 2, 4, 16, 100))]
    elif kind == 5:
        data[at:at] = data[at : at + rng.choice((1, 4, 16, 64))] * rng.choice((1, 2, 8))
    elif kind == 6:
        del data[at:]
    elif kind == 7:
        other = rng.choice(samples)
        start = rng.randrange(len(other)) if other else 0
        data[at:at] = other[start : start + rng.choice((1, 4, 16, 64, 1000))]
    elif kind == 8:
        length = rng.choice((b"\x7f", b"\x80", b"\x81\xff", b"\x82\xff\xff", b"\x84\xff\xff\xff\xff", b"\xff"))
        data[at : at + 1] = length
    elif data:
        data[at] = (data[at] + rng.choice((1, -1))) & 0xFF
    return data


def inputs(target: Target, seed: int) -> Iterator[bytes]:
    """Without end: mutated valid ones for the most part, random bytes, now and then a long repetition."""
    rng = random.Random(f"{target.name} {seed}")  # noqa: S311 - to be repeated, not to be secret
    yield b""
    while True:
        choice = rng.random()
        if choice < 0.75:
            data = bytearray(rng.choice(target.samples))
            for _ in range(rng.choice((1, 1, 1, 2, 3, 5, 10))):
                data = _mutated(rng, data, target.samples)
        elif choice < 0.9:
            data = bytearray(rng.randbytes(rng.randrange(rng.choice(SIZES))))
        elif choice < 0.995:
            data = bytearray(rng.choices(EDGES, k=rng.randrange(rng.choice(SIZES))))
        else:
            piece = bytes(_mutated(rng, bytearray(rng.choice(target.samples)), target.samples))
            piece = piece[: rng.choice((1, 2, 3, 5, 9, 50, 5000))] or b"\x00"
            if rng.randrange(2):
                piece = bytes(rng.choices(REPEATED, k=rng.choice((1, 1, 2, 3))))
            data = bytearray(piece * (rng.randrange(1, 1 << 16) // len(piece)))
        yield bytes(data[: 1 << 16])


def _stop(number: int, frame: FrameType | None) -> None:
    raise Hang


def judge(target: Target, data: bytes, memory: bool) -> str | None:
    """What is wrong with the way in which the target takes this input, or None."""
    if memory:
        tracemalloc.start()
    signal.setitimer(signal.ITIMER_VIRTUAL, HANG_SECONDS * (20 if memory else 1))
    try:
        result = target.read(data)
    except target.allowed as error:
        if not (getattr(error, "code", "") and str(error)):
            return f"an error without code or message: {error!r}"
        offset = getattr(error, "offset", None)
        if offset is not None and offset < 0:
            return f"an error at byte {offset}"
        result = None
    except Hang:
        return f"hangs: more than {HANG_SECONDS} s of processor time"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        peak = tracemalloc.get_traced_memory()[1] if memory else 0
        if memory:
            tracemalloc.stop()
    del result
    if peak > MEMORY_FLOOR + MEMORY_PER_BYTE * len(data):
        return f"takes {peak} bytes of memory"
    return None


def _cut_down(target: Target, data: bytes, what: str) -> bytes:
    """A shorter input with the same outcome, within some thousand tries."""
    kind = what.split(":", maxsplit=1)[0]
    if kind == "hangs":
        return data
    memory = kind.startswith("takes")
    step = len(data) // 2
    tries = 0
    while step and tries < 3000:
        at = 0
        while at < len(data) and tries < 3000:
            shorter = data[:at] + data[at + step :]
            found = judge(target, shorter, memory)
            tries += 1
            if found is not None and found.split(":", maxsplit=1)[0].split()[0] == kind.split()[0]:
                data = shorter
            else:
                at += step
        step //= 2
    return data


def fuzz(target: Target, seed: int, size: int) -> int:
    """Feed `size` bytes; the number of inputs. Finding for the first that is taken wrongly."""
    before = signal.signal(signal.SIGVTALRM, _stop)
    fed = count = 0
    try:
        target.read(target.samples[0])  # tables that are made once
        for data in inputs(target, seed):
            what = judge(target, data, count % MEMORY_EVERY == 0)
            if what is not None:
                raise Finding(target.name, seed, what, _cut_down(target, data, what))
            fed += len(data)
            count += 1
            if fed >= size:
                return count
    finally:
        signal.signal(signal.SIGVTALRM, before)
    raise AssertionError("the inputs have no end")


def _work(job: tuple[str, int, int]) -> dict[str, Any]:
    from targets import TARGETS

    name, seed, size = job
    start = time.thread_time()
    found: dict[str, Any] = {"target": name, "seed": seed, "bytes": size}
    try:
        found["inputs"] = fuzz(TARGETS[name], seed, size)
    except Finding as finding:
        found |= {"finding": finding.what, "input": finding.data.hex()}
    found["seconds"] = round(time.thread_time() - start, 1)
    return found


def main() -> int:
    """Exit status 1 where anything was found."""
    from targets import TARGETS

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bytes", type=lambda text: int(float(text)), default=100_000_000, help="over all targets")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", choices=sorted(TARGETS), action="append")
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    names = arguments.target or sorted(TARGETS)
    share = -(-arguments.bytes // len(names))
    slice_size = min(share, 1_000_000)
    jobs = [
        (name, arguments.seed * 100_000 + number, min(slice_size, share - number * slice_size))
        for number in range(-(-share // slice_size))
        for name in names
    ]
    bad = fed = count = 0
    with multiprocessing.Pool(arguments.workers) as pool:
        for found in pool.imap_unordered(_work, jobs):
            if "finding" in found:
                bad += 1
                print(json.dumps(found), flush=True)
            else:
                fed += found["bytes"]
                count += found["inputs"]
    print(json.dumps({"bytes": fed, "inputs": count, "targets": len(names), "findings": bad}))
    return 1 if bad else 0


def daily_seed(day: int, name: str) -> int:
    """Another seed every day, and for every target."""
    return day * 1000 + zlib.crc32(name.encode()) % 1000


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]
    sys.exit(main())

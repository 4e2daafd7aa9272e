"""A slice of the fuzzing, with new seeds every day. FUZZ_SEED and FUZZ_BYTES (over all targets) take their place.

The long run: python tests/edge_agent/fuzz/fuzzing.py --bytes 100000000 --workers 2
"""

from __future__ import annotations

import os
import time

import pytest
from fuzzing import Finding, Target, daily_seed, fuzz, inputs, judge
from targets import TARGETS

BYTES = int(os.environ.get("FUZZ_BYTES", "20000000"))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(TARGETS))
def test_slice(name: str) -> None:
    seed = int(os.environ.get("FUZZ_SEED", daily_seed(int(time.time()) // 86400, name)))
    assert fuzz(TARGETS[name], seed, BYTES // len(TARGETS)) > 10


def test_the_same_seed_gives_the_same_inputs() -> None:
    def some(seed: int) -> list[bytes]:
        found = inputs(TARGETS["apdu"], seed)
        return [next(found) for _ in range(200)]

    assert some(1) == some(1)
    assert some(1) != some(2)


def test_what_is_looked_for_is_found() -> None:
    def breaks(data: bytes) -> None:
        if b"\x7e\x7e" in data:
            raise IndexError("two flags")

    with pytest.raises(Finding, match="IndexError: two flags") as caught:
        fuzz(Target("breaks", [bytes(20)], breaks, ()), 1, 1_000_000)
    assert caught.value.data == b"\x7e\x7e"


def test_too_much_memory_is_found() -> None:
    assert judge(Target("small", [b""], lambda data: bytes(1000), ()), b"", True) is None
    found = judge(Target("large", [b""], lambda data: bytes(1 << 20), ()), b"12", True)
    assert found is not None
    assert found.startswith("takes ")


def test_errors_say_what_and_where() -> None:
    class NamelessError(Exception):
        code = ""

    def nameless(data: bytes) -> None:
        raise NamelessError("no code")

    found = judge(Target("nameless", [b""], nameless, (NamelessError,)), b"", False)
    assert found is not None
    assert "without code" in found

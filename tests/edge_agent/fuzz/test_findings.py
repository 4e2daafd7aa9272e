"""What the fuzzing has found, each with the shortest input that showed it."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from fuzzing import _stop, judge
from targets import TARGETS

from edge_agent.dlms import axdr
from edge_agent.dlms.errors import DecodeError

EMPTY_ELEMENTS = b"\x13\x02\x82\x08\x00" + b"\x00" * 2047 + b"\x11" + b"\x82\x08\x00" + bytes(2048)
NESTED = b"\x13\x02\x82\x10\x00" + b"\x01\x00\x00\x11" * 4095 + b"\x11" + b"\x82\xf0\x00" + bytes(0xF000)
RIGHTS = b"\x01\x01\x02\x04\x12\x00\x01\x11\x00\x09\x06\x00\x00\x2a\x00\x00\xff\x02\x01\x01\x01\x02\x02"

FINDINGS = [
    ("server_secured", b"", "an empty APDU broke a ciphering server"),
    ("push_sealed", b"", "an empty APDU inside a ciphered one broke the decoder"),
    ("push", b"/!", "a P1 telegram without a line passed for a whole one"),
    ("p1", b"/!" * 32768, "each P1 telegram copied all that follow"),
    ("p1", b"/\n" * 32768, "each start of a P1 telegram looked through all that follow"),
    ("push", b"\xdb\x00\x00" * 21845, "each bare APDU copied all that follow"),
    ("capture_file", b"\n" * 65536, "the search for comments tried every stretch of empty lines again"),
    ("axdr", EMPTY_ELEMENTS, "a compact array of nulls filled the memory"),
    ("cosem_types", RIGHTS + b"\x01\x00\x16\x00", "the number in an access right was a list"),
    ("cosem_types", RIGHTS + b"\x0f\x01\x02\x01\x00", "the mode in an access right was a list"),
    ("axdr", NESTED, "a compact array's description was read again for every element"),
]


@pytest.fixture(autouse=True)
def hangs_end() -> Iterator[None]:
    before = signal.signal(signal.SIGVTALRM, _stop)
    yield
    signal.signal(signal.SIGVTALRM, before)


@pytest.mark.parametrize(("name", "data", "what"), FINDINGS, ids=[what for _, _, what in FINDINGS])
def test_finding(name: str, data: bytes, what: str) -> None:
    memory = len(data) < 10_000
    assert judge(TARGETS[name], data, memory) is None


def test_a_compact_array_of_nulls_is_refused() -> None:
    with pytest.raises(DecodeError, match="next to no size") as caught:
        axdr.decode(EMPTY_ELEMENTS)
    assert caught.value.code == "empty_elements"

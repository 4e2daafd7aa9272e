"""Parsed instructions against what Agave made of the same ones, and against what no program would send.

`agave_instructions.jsonl` holds one instruction a line with the answer of Agave 3.1.12 (null: left as it is).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from authority.validator.instructions import MEMO_PROGRAMS, memo, parsed

RECORDED = [json.loads(line) for line in Path(__file__).with_name("agave_instructions.jsonl").read_text().splitlines()]
PROGRAMS = sorted({case["program"] for case in RECORDED})
SYSTEM = "11111111111111111111111111111111"
TOKEN = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"


@pytest.mark.parametrize(
    "case", RECORDED, ids=lambda case: f"{case['program'][:5]}-{case['data'][:8]}-{len(case['accounts'])}"
)
def test_what_agave_makes_of_it(case: Any) -> None:
    assert parsed(case["program"], case["accounts"], bytes.fromhex(case["data"])) == case["expected"]


@pytest.mark.parametrize("case", [case for case in RECORDED if case["expected"] is not None and case["data"]])
def test_one_that_is_cut_short_stays_as_it_is(case: Any) -> None:
    data = bytes.fromhex(case["data"])
    if case["expected"]["program"] == "spl-memo":
        return
    assert parsed(case["program"], [], data) is None
    for length in range(len(data)):
        found = parsed(case["program"], case["accounts"], data[:length])
        assert found is None or found["program"] == case["expected"]["program"]


@given(program=st.sampled_from(PROGRAMS), accounts=st.lists(st.just("account"), max_size=12), data=st.binary())
def test_nothing_that_is_sent_breaks_it(program: str, accounts: list[str], data: bytes) -> None:
    found = parsed(program, accounts, data)
    assert found is None or json.dumps(found)


def test_lengths_that_lie() -> None:
    with_seed = bytes([3, 0, 0, 0]) + bytes(32) + b"\xff" * 8 + b"abc"
    assert parsed(SYSTEM, ["a", "b", "c"], with_seed) is None
    table = "AddressLookupTab1e1111111111111111111111111"
    assert parsed(table, ["a", "b"], bytes([2, 0, 0, 0]) + b"\xff" * 8) is None
    assert parsed(TOKEN, ["a", "b"], b"\x06\x09\x00") is None
    assert parsed(TOKEN, ["a"], b"\x15\xff\xff") is None
    assert parsed(TOKEN, ["a"], b"\x15\x07\x00") == {
        "program": "spl-token",
        "parsed": {"type": "getAccountDataSize", "info": {"mint": "a", "extensionTypes": ["immutableOwner"]}},
    }


def test_memos() -> None:
    other = Pubkey.default()
    assert memo([(other, b"no memo")]) is None
    assert memo([(MEMO_PROGRAMS[0], "zw\u00f6lf".encode()), (other, b""), (MEMO_PROGRAMS[1], b"\xff")]) == (
        "[6] zw\u00f6lf; (unparseable)"
    )

"""Block transfers of GET and ACTION that never end, or begin in their midst."""

from __future__ import annotations

import itertools

import pytest

from edge_agent.dlms.apdu.action_response import ActionResponseBlock
from edge_agent.dlms.apdu.base import CosemAttribute
from edge_agent.dlms.apdu.get_response import GetResponseBlock
from edge_agent.dlms.client import ASSOCIATED, LEAST_BLOCK, MAX_TRANSFER, Client
from edge_agent.dlms.errors import ProtocolError

WHAT = CosemAttribute(7, bytes((1, 0, 99, 1, 0, 255)), 2)
KINDS = [("get", GetResponseBlock), ("action", ActionResponseBlock)]


def _run(operation, answer):
    """Answer every request by `answer(number of the request)`; how many there were, and the error."""
    client = Client()
    client.state = ASSOCIATED
    conversation = getattr(client, operation)(WHAT)
    next(conversation)
    for asked in itertools.count(1):
        try:
            conversation.send(answer(asked).to_bytes())
        except ProtocolError as error:
            return asked, error.code


@pytest.mark.parametrize(("operation", "block"), KINDS)
@pytest.mark.parametrize("raw", [b"", b"\x01"])
def test_blocks_without_end_are_given_up(operation, block, raw):
    asked, code = _run(operation, lambda number: block(False, number, raw, invoke=0x41))
    assert code == "too_long"
    assert asked == MAX_TRANSFER // LEAST_BLOCK + 1


@pytest.mark.parametrize(("operation", "block"), KINDS)
@pytest.mark.parametrize("first", [2, 7, 2**32 - 1])
def test_a_transfer_that_begins_in_its_midst_is_refused(operation, block, first):
    assert _run(operation, lambda number: block(True, first, b"\x00\x11\x05", invoke=0x41)) == (1, "missing_block")


@pytest.mark.parametrize(("operation", "block"), KINDS)
@pytest.mark.parametrize("second", [1, 3, 0])
def test_a_block_that_is_not_the_next_is_refused(operation, block, second):
    numbers = {1: 1, 2: second}
    asked, code = _run(operation, lambda number: block(number == 2, numbers[number], b"\x00\x11\x05", invoke=0x41))
    assert (asked, code) == (2, "missing_block")

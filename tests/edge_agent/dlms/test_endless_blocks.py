"""Block transfers of GET and ACTION that never end, or begin in their midst."""

from core_checks import drive, fails

from edge_agent.dlms.apdu.action_response import ActionResponseBlock
from edge_agent.dlms.apdu.base import CosemAttribute
from edge_agent.dlms.apdu.get_response import GetResponseBlock
from edge_agent.dlms.client import ASSOCIATED, LEAST_BLOCK, MAX_TRANSFER, Client

WHAT = CosemAttribute(7, bytes((1, 0, 99, 1, 0, 255)), 2)
KINDS = (("get", GetResponseBlock), ("action", ActionResponseBlock))
WHOLE = b"\x00\x11\x05"


def _refused(code, operation, answer):
    """Answer every request by `answer(number of the request)`; how many there were until the error `code`."""
    client = Client()
    client.state = ASSOCIATED
    asked = [0]

    def answered(_apdu):
        asked[0] += 1
        return answer(asked[0]).to_bytes()

    fails(code, drive, getattr(client, operation)(WHAT), answered)
    return asked[0]


def test_blocks_without_end_are_given_up():
    for operation, block in KINDS:
        for raw in (b"", b"\x01"):
            asked = _refused(
                "too_long", operation, lambda number, block=block, raw=raw: block(False, number, raw, invoke=0x41)
            )
            assert asked == MAX_TRANSFER // LEAST_BLOCK + 1


def test_a_transfer_that_begins_in_its_midst_is_refused():
    for operation, block in KINDS:
        for first in (2, 7, 2**32 - 1):
            asked = _refused(
                "missing_block",
                operation,
                lambda number, block=block, first=first: block(True, first, WHOLE, invoke=0x41),
            )
            assert asked == 1


def test_a_block_that_is_not_the_next_is_refused():
    for operation, block in KINDS:
        for second in (1, 3, 0):
            numbers = {1: 1, 2: second}
            asked = _refused(
                "missing_block",
                operation,
                lambda number, block=block, numbers=numbers: block(number == 2, numbers[number], WHOLE, invoke=0x41),
            )
            assert asked == 2

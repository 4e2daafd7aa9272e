# ruff: noqa: PT017 - MicroPython has no pytest
"""What the core's tests need beyond assert; it runs on CPython and on MicroPython."""

from edge_agent.dlms.errors import DlmsError


def fails(code, function, *arguments, offset=None):
    """The typed error that a call raises; it must have this code (and offset)."""
    try:
        found = function(*arguments)
    except DlmsError as error:
        assert error.code == code, f"{error.code}: {error}"
        if offset is not None:
            assert error.offset == offset, f"at {error.offset}, not {offset}"
        assert str(error)
        return error
    raise AssertionError(f"{code} was due, {found!r} came")


def drive(conversation, answer):
    """Run a client's conversation against `answer`, a function from APDU to APDU."""
    try:
        apdu = next(conversation)
        while True:
            apdu = conversation.send(answer(apdu))
    except StopIteration as end:
        return end.value

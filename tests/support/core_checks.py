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
    """Run a client's conversation against `answer`, a function from an APDU to the APDU, or the list of APDUs, that
    comes back. It is asked with b"" for one more where none is left."""
    waiting = []
    try:
        step = next(conversation)
        while True:
            if step:
                waiting = []
            for apdu in [step] if isinstance(step, bytes) else step:
                if not waiting or apdu:
                    found = answer(apdu)
                    waiting += [found] if isinstance(found, bytes) else found
            step = conversation.send(waiting.pop(0) if waiting else b"")
    except StopIteration as end:
        return end.value


def sole(answers):
    """The one APDU that a server answers with."""
    assert len(answers) == 1, answers
    return answers[0]

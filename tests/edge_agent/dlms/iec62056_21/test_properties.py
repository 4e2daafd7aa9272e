# ruff: noqa: PT017 - what is caught is then looked at
"""Whatever comes over an optical head or a P1 port, only typed errors come of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.dlms.errors import DecodeError, DlmsError
from edge_agent.dlms.iec62056_21.messages import Identification, read_readout
from edge_agent.dlms.iec62056_21.p1 import read_line, read_telegrams
from edge_agent.dlms.iec62056_21.server import Iec21Server

IDENTIFICATION = Identification("LGZ", "5", "ZMF120ABd", "2")
LINES = ["0.0.0(12345678)"]


@given(st.binary(max_size=200))
def test_bytes_of_any_kind(data):
    for function in (Identification.from_bytes, read_readout, Iec21Server(IDENTIFICATION, lambda: LINES).receive):
        try:
            function(data)
        except DlmsError as error:
            assert error.code
    assert read_telegrams(b"/ABC5\r\n" + data)
    assert read_telegrams(data)


@given(st.text(max_size=60))
def test_lines_of_any_kind(text):
    try:
        read_line(text, True)
    except DecodeError as error:
        assert error.code in ("bad_line", "bad_obis")

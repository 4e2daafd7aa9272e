"""IEC HDLC setup (class 23): the parameters of the meter's own HDLC channel."""

from __future__ import annotations

from edge_agent.dlms.cosem.base import Attribute, CosemObject
from edge_agent.dlms.cosem.types import ENUMERATED, U8, U16

SPEEDS = (300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)
"""Baud rate by the number in `comm_speed`."""


class IecHdlcSetup(CosemObject):
    """Lengths in bytes, `inter_octet_time_out` in milliseconds, `inactivity_time_out` in seconds."""

    CLASS_ID = 23
    VERSION = 1
    ATTRIBUTES = (
        Attribute(2, "comm_speed", ENUMERATED, True),
        Attribute(3, "window_size_transmit", U8, True),
        Attribute(4, "window_size_receive", U8, True),
        Attribute(5, "max_info_field_length_transmit", U16, True),
        Attribute(6, "max_info_field_length_receive", U16, True),
        Attribute(7, "inter_octet_time_out", U16, True),
        Attribute(8, "inactivity_time_out", U16, True),
        Attribute(9, "device_address", U16, True),
    )

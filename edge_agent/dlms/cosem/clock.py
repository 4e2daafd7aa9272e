"""Clock (class 8)."""

from __future__ import annotations

from edge_agent.dlms.cosem.base import Attribute, CosemObject
from edge_agent.dlms.cosem.types import BOOLEAN, ENUMERATED, I8, I16, TIME, U8


class Clock(CosemObject):
    """`time_zone` is the deviation in minutes (UTC minus local, without daylight saving)."""

    CLASS_ID = 8
    ATTRIBUTES = (
        Attribute(2, "time", TIME, True),
        Attribute(3, "time_zone", I16, True),
        Attribute(4, "status", U8),
        Attribute(5, "daylight_savings_begin", TIME, True),
        Attribute(6, "daylight_savings_end", TIME, True),
        Attribute(7, "daylight_savings_deviation", I8, True),
        Attribute(8, "daylight_savings_enabled", BOOLEAN, True),
        Attribute(9, "clock_base", ENUMERATED),
    )
    METHODS = (
        (1, "adjust_to_quarter"),
        (2, "adjust_to_measuring_period"),
        (3, "adjust_to_minute"),
        (4, "adjust_to_preset_time"),
        (5, "preset_adjusting_time"),
        (6, "shift_time"),
    )

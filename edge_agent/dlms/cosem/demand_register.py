"""Demand register (class 5): the average over the running and over the last period."""

from __future__ import annotations

from edge_agent.dlms.cosem.base import Attribute, CosemObject
from edge_agent.dlms.cosem.types import SCALER_UNIT, TIME, U16, U32


class DemandRegister(CosemObject):
    """`period` in seconds, `number_of_periods` in the sliding window."""

    CLASS_ID = 5
    ATTRIBUTES = (
        Attribute(2, "current_average_value"),
        Attribute(3, "last_average_value"),
        Attribute(4, "scaler_unit", SCALER_UNIT),
        Attribute(5, "status"),
        Attribute(6, "capture_time", TIME),
        Attribute(7, "start_time_current", TIME),
        Attribute(8, "period", U32),
        Attribute(9, "number_of_periods", U16),
    )
    METHODS = ((1, "reset"), (2, "next_period"))

"""Extended register (class 4): a value with scaler and unit, its status, and when it was captured."""

from __future__ import annotations

from edge_agent.dlms.cosem.base import Attribute, CosemObject
from edge_agent.dlms.cosem.types import SCALER_UNIT, TIME


class ExtendedRegister(CosemObject):
    """As a register; `status` is a Data."""

    CLASS_ID = 4
    ATTRIBUTES = (
        Attribute(2, "value"),
        Attribute(3, "scaler_unit", SCALER_UNIT),
        Attribute(4, "status"),
        Attribute(5, "capture_time", TIME),
    )
    METHODS = ((1, "reset"),)

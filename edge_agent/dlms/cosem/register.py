"""Register (class 3): a value with scaler and unit."""

from __future__ import annotations

from edge_agent.dlms.cosem.base import Attribute, CosemObject
from edge_agent.dlms.cosem.types import SCALER_UNIT


class Register(CosemObject):
    """`value` is a Data, `scaler_unit` a power of ten and a unit's number."""

    CLASS_ID = 3
    ATTRIBUTES = (Attribute(2, "value"), Attribute(3, "scaler_unit", SCALER_UNIT))
    METHODS = ((1, "reset"),)

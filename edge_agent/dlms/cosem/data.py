"""Data (class 1): one value of any type."""

from __future__ import annotations

from edge_agent.dlms.cosem.base import Attribute, CosemObject


class DataObject(CosemObject):
    """`value` is a Data."""

    CLASS_ID = 1
    ATTRIBUTES = (Attribute(2, "value"),)

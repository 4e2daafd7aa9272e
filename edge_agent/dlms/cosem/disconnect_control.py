"""Disconnect control (class 70): the meter's switch."""

from __future__ import annotations

from edge_agent.dlms.cosem.base import Attribute, CosemObject
from edge_agent.dlms.cosem.types import BOOLEAN, ENUMERATED

DISCONNECTED, CONNECTED, READY_FOR_RECONNECTION = range(3)


class DisconnectControl(CosemObject):
    """`output_state` is what the switch does, `control_state` one of the three states above."""

    CLASS_ID = 70
    ATTRIBUTES = (
        Attribute(2, "output_state", BOOLEAN),
        Attribute(3, "control_state", ENUMERATED),
        Attribute(4, "control_mode", ENUMERATED, True),
    )
    METHODS = ((1, "remote_disconnect"), (2, "remote_reconnect"))

"""Security setup (class 64): policy, suite and system titles of an association; keys only ever go in."""

from __future__ import annotations

from edge_agent.dlms.cosem.base import Attribute, CosemObject
from edge_agent.dlms.cosem.types import ENUMERATED, OCTETS


class SecuritySetup(CosemObject):
    """`security_policy` and `security_suite` are numbers, the titles eight bytes."""

    CLASS_ID = 64
    ATTRIBUTES = (
        Attribute(2, "security_policy", ENUMERATED),
        Attribute(3, "security_suite", ENUMERATED),
        Attribute(4, "client_system_title", OCTETS),
        Attribute(5, "server_system_title", OCTETS),
    )
    METHODS = ((1, "security_activate"), (2, "key_transfer"))

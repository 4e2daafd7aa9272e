"""Security setup (class 64): policy, suite and system titles of an association; keys only ever go in.

The policy of version 0 counts for both directions: 1 authenticated, 2 encrypted, 3 both. Version 1 has bits: 0x04 and
0x08 for authenticated and encrypted requests, 0x20 and 0x40 for responses (those of signatures belong to suite 1).
"""

from __future__ import annotations

from edge_agent.dlms.cosem.base import Attribute, CosemObject
from edge_agent.dlms.cosem.types import ENUMERATED, OCTETS
from edge_agent.dlms.security import AUTHENTICATED

POLICY_BITS = (0x03, 0x6C)
"""By version, the bits of a policy without signatures."""


def demanded(policy: int, version: int = 0) -> tuple[int, int]:
    """The least protection of requests and of responses, as bits of the security control byte."""
    requests, responses = (policy, policy) if version == 0 else (policy >> 2, policy >> 5)
    return (requests & 3) * AUTHENTICATED, (responses & 3) * AUTHENTICATED


def strengthens(policy: int, before: int, version: int = 0) -> bool:
    """Whether a policy may be activated after another: it knows no bit that does not exist, and takes none away."""
    return policy & ~POLICY_BITS[version] == 0 and policy & before == before


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

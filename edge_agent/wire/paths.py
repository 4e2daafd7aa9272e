"""The HTTPS paths of the collector's listener (docs/PROTOCOL.md, "HTTPS").

A client puts names in, a server the placeholders of its routes: `readings("<gateway>")`. Names need no quoting
(edge_agent.wire.names).
"""

from __future__ import annotations

ROOT = "/api/v1"
CA = f"{ROOT}/ca"
ENROLMENTS = f"{ROOT}/enrolments"

FRAMES_TYPE = "application/octet-stream"
"""The content type of frames, receipts and heads."""
CERTIFICATE_TYPE = "application/x-pem-file"
CLAIM_SCHEME = "Claim"
"""The Authorization scheme of a claim code."""


def enrolment(number: str) -> str:
    """One enrolment: what has become of it."""
    return f"{ENROLMENTS}/{number}"


def proofs(number: str) -> str:
    """The proofs of possession of an enrolment's keys."""
    return f"{enrolment(number)}/proofs"


def gateway(name: str) -> str:
    """What a gateway's own calls start with."""
    return f"{ROOT}/gateways/{name}"


def readings(name: str) -> str:
    """Where a gateway posts frames."""
    return f"{gateway(name)}/readings"


def live(name: str) -> str:
    """Where a gateway posts live power."""
    return f"{gateway(name)}/live"


def status(name: str) -> str:
    """Where a gateway posts its status."""
    return f"{gateway(name)}/status"


def certificate(name: str) -> str:
    """Where a gateway asks for its next certificate (POST), and says that it uses it (PUT)."""
    return f"{gateway(name)}/certificate"


def head(name: str, meter: str) -> str:
    """The head of a meter: its last logged frame and receipt."""
    return f"{gateway(name)}/meters/{meter}/head"

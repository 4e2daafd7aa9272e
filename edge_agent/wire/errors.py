"""The root of what can be wrong with things on the wire. Both packages catch these and say what it means for them."""

from __future__ import annotations

from edge_agent.errors import EdgeError


class WireError(EdgeError):
    """Bytes or text that are not what they claim to be."""

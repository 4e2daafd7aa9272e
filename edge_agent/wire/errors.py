"""The root of what can be wrong with things on the wire. Both packages catch these and say what it means for them."""

from __future__ import annotations


class WireError(ValueError):
    """Bytes or text that are not what they claim to be; `code` names the cause for programs."""

    code = "malformed"

"""How gateways and meters may be called: their names stand in topics, paths, file names and certificates."""

from __future__ import annotations

import re

NAME = re.compile(r"(?!authority-)[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)
"""Lower case, no slash, plus or hash. Names that start with `authority-` are the authority's own at the broker."""

NAME_RULE = "1 to 63 of a-z, 0-9, `.`, `_` and `-`, starting with a letter or digit, and not with `authority-`"
"""The same for a person."""


def is_name(value: object) -> bool:
    """Whether a gateway or meter may be called so."""
    return isinstance(value, str) and NAME.fullmatch(value) is not None

"""Canonical JSON: the one spelling of a value, so that two parties who hash it get the same bytes.

UTF-8, keys sorted, no white space between tokens, no numbers that are not whole. Meter maps and the log's acts are
hashed so (docs/PROTOCOL.md).
"""

from __future__ import annotations

import json

from edge_agent.wire.errors import WireError

_PLAIN = frozenset((str, int, bool, type(None)))
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


class NotCanonicalError(WireError):
    """A value that canonical JSON has no spelling for."""

    code = "not_canonical"


def canonical_json(value: object) -> bytes:
    """The bytes of a value made of dictionaries with text keys, lists, text, whole numbers, booleans and None.

    NotCanonicalError for anything else: a float has more than one spelling, other keys would change on the way, and
    half a surrogate pair has none; so too for what is nested more deeply than can be followed.
    """
    try:
        _check(value)
        return _ENCODER.encode(value).encode()
    except UnicodeEncodeError as error:
        raise NotCanonicalError(f"canonical JSON cannot hold text that is not Unicode: {error}") from error
    except RecursionError as error:
        raise NotCanonicalError("canonical JSON cannot hold what is nested so deeply") from error


def _check(value: object) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise NotCanonicalError(f"canonical JSON has text keys only, not {key!r}")
            if type(item) not in _PLAIN:
                _check(item)
    elif isinstance(value, list | tuple):
        for item in value:
            if type(item) not in _PLAIN:
                _check(item)
    elif value is not None and not isinstance(value, str | int):
        raise NotCanonicalError(
            f"canonical JSON cannot hold a {type(value).__name__} such as {value!r}; use a whole number"
        )

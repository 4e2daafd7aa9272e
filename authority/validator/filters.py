"""The filters by which getProgramAccounts and programSubscribe choose accounts."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

from solders.account import Account

from authority.validator import base58, tokens
from authority.validator.errors import invalid_params
from authority.validator.params import Config, integer

MAX_FILTERS = 4
MEMCMP_ENCODINGS = ("base58", "base64", "bytes")

Filter = Callable[[bytes], bool]


def parsed(values: Any) -> list[Filter]:
    """The filters of a configuration, or RpcError -32602."""
    if values is None:
        return []
    if not isinstance(values, list):
        raise invalid_params("Invalid params: filters must be a list")
    if len(values) > MAX_FILTERS:
        raise invalid_params(f"Too many filters provided; max {MAX_FILTERS}")
    return [_filter(value) for value in values]


def _filter(value: Any) -> Filter:
    if value == "tokenAccountState" or (isinstance(value, dict) and list(value) == ["tokenAccountState"]):
        return tokens.is_token_account
    if not isinstance(value, dict) or len(value) != 1:
        raise invalid_params("Invalid params: a filter is one of {dataSize}, {memcmp} and tokenAccountState")
    match value:
        case {"dataSize": size}:
            wanted = integer(size, "dataSize")
            return lambda data: len(data) == wanted
        case {"memcmp": {"offset": offset, "bytes": content, **rest}}:
            start = integer(offset, "offset")
            name = Config({"encoding": rest.get("encoding")}).choice("encoding", MEMCMP_ENCODINGS, "base58")
            pattern = _pattern(content, name)
            return lambda data: data[start : start + len(pattern)] == pattern
    raise invalid_params("Invalid params: a filter is {dataSize} or {memcmp: {offset, bytes}}")


def _pattern(content: Any, name: str) -> bytes:
    try:
        if isinstance(content, list):
            pattern = bytes(content)
        elif isinstance(content, str) and len(content) <= 175:
            pattern = base64.b64decode(content, validate=True) if name == "base64" else base58.decode(content)
        else:
            raise ValueError("bytes must be base58, base64 or a list of numbers, of at most 128 bytes")
    except (ValueError, TypeError, binascii.Error) as error:
        raise invalid_params(f"Invalid param: memcmp: {error}") from error
    if len(pattern) > 128:
        raise invalid_params("Invalid param: memcmp: at most 128 bytes")
    return pattern


def passes(account: Account, filters: list[Filter]) -> bool:
    """Whether an account passes every filter."""
    if not filters:
        return True
    data = bytes(account.data)
    return all(test(data) for test in filters)

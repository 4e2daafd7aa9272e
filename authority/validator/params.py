"""The parameters of an RPC call, read strictly: what is wrong is answered with -32602 and says where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from solders.hash import Hash, ParseHashError
from solders.pubkey import Pubkey
from solders.signature import Signature

from authority.validator.errors import RpcError, invalid_params

COMMITMENTS = ("processed", "confirmed", "finalized")
# Names from before commitment levels were renamed; old clients still send them.
_OLD_COMMITMENTS = {
    "recent": "processed",
    "single": "confirmed",
    "singleGossip": "confirmed",
    "root": "finalized",
    "max": "finalized",
}


class Config:
    """The configuration object that most calls take last."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def get(self, name: str) -> Any:
        """A value as it came; None where it is absent or null."""
        return self._values.get(name)

    def flag(self, name: str, default: bool = False) -> bool:
        """A boolean."""
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise invalid_params(f"Invalid params: {name} must be true or false")
        return value

    def integer(self, name: str, low: int = 0, high: int = (1 << 64) - 1) -> int | None:
        """An integer within bounds, or None."""
        value = self.get(name)
        return None if value is None else integer(value, name, low, high)

    def choice(self, name: str, choices: Sequence[str], default: str) -> str:
        """One of a few words."""
        value = self.get(name)
        if value is None:
            return default
        if value not in choices:
            expected = ", ".join(f"`{choice}`" for choice in choices)
            raise invalid_params(f"Invalid params: unknown variant `{value}`, expected one of {expected}.")
        return str(value)

    def commitment(self) -> str:
        """The commitment level; `finalized` where none is asked for."""
        value = self.get("commitment")
        if isinstance(value, str) and value in _OLD_COMMITMENTS:
            return _OLD_COMMITMENTS[value]
        return self.choice("commitment", COMMITMENTS, "finalized")

    def data_slice(self) -> tuple[int, int] | None:
        """Offset and length, or None."""
        value = self.get("dataSlice")
        if value is None:
            return None
        if not isinstance(value, dict):
            raise invalid_params("Invalid params: dataSlice must be an object with offset and length")
        return integer(value.get("offset"), "offset"), integer(value.get("length"), "length")


class Params:
    """The positional parameters of a call."""

    def __init__(self, values: Sequence[Any], at_most: int) -> None:
        if len(values) > at_most:
            raise invalid_params(f"Invalid parameters: Expected at most {at_most} parameters, these are {len(values)}.")
        self._values = values

    def get(self, index: int) -> Any:
        """A parameter as it came; None where it is absent."""
        return self._values[index] if index < len(self._values) else None

    def text(self, index: int, name: str) -> str:
        """A parameter that must be text."""
        value = self.get(index)
        if not isinstance(value, str):
            raise invalid_params(f"Invalid params: {name} must be a string")
        return value

    def integer(self, index: int, name: str, low: int = 0, high: int = (1 << 64) - 1) -> int:
        """A parameter that must be an integer within bounds."""
        return integer(self.get(index), name, low, high)

    def texts(self, index: int, name: str, at_most: int) -> list[str]:
        """A parameter that must be a list of texts."""
        value = self.get(index)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise invalid_params(f"Invalid params: {name} must be a list of strings")
        if len(value) > at_most:
            raise invalid_params(f"Too many inputs provided; max {at_most}")
        return value

    def address(self, index: int) -> Pubkey:
        """A parameter that must be an address."""
        return address(self.text(index, "the address"))

    def signature(self, index: int) -> Signature:
        """A parameter that must be a signature."""
        return signature(self.text(index, "the signature"))

    def blockhash(self, index: int) -> Hash:
        """A parameter that must be a hash."""
        try:
            return Hash.from_string(self.text(index, "the blockhash"))
        except ParseHashError as error:
            raise _misread(error) from error

    def config(self, index: int) -> Config:
        """The configuration object; empty where it is absent."""
        value = self.get(index)
        if value is None:
            return Config({})
        if not isinstance(value, dict):
            raise invalid_params("Invalid params: the configuration must be an object")
        return Config(value)


def integer(value: Any, name: str, low: int = 0, high: int = (1 << 64) - 1) -> int:
    """An integer within bounds, else -32602."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise invalid_params(f"Invalid params: {name} must be an integer from {low} to {high}")
    return value


def address(text: str) -> Pubkey:
    """An address, else -32602."""
    try:
        return Pubkey.from_string(text)
    except ValueError as error:
        raise _misread(error) from error


def signature(text: str) -> Signature:
    """A signature, else -32602."""
    try:
        return Signature.from_string(text)
    except ValueError as error:
        raise _misread(error) from error


def _misread(error: Exception) -> RpcError:
    """-32602 in the words that clients know: WrongSize, or Invalid for what is not base58 at all."""
    return invalid_params(f"Invalid param: {'WrongSize' if 'wrong size' in str(error) else 'Invalid'}")

"""JSON as the schemas' dataclasses, and back."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from datetime import date
from typing import Any

from authority.client.errors import AnswerMalformedError


def decoded(kind: Any, value: Any) -> Any:
    """A JSON value as a type of the schemas; AnswerMalformedError.

    What a newer service says beside is passed over, and so are words that a choice did not have.
    """
    if kind is Any:
        return value
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        (inner,) = (argument for argument in arguments if argument is not type(None))
        return None if value is None else decoded(inner, value)
    if origin is typing.Literal:
        return _checked(str, value)
    if origin is tuple:
        return tuple(decoded(arguments[0], each) for each in _checked(list, value))
    if origin is dict:
        return {name: decoded(arguments[1], each) for name, each in _checked(dict, value).items()}
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _instance(kind, _checked(dict, value))
    if kind is date:
        try:
            return date.fromisoformat(_checked(str, value))
        except ValueError as error:
            raise AnswerMalformedError(f"the answer has {value!r} where a date is described") from error
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return _checked(kind, value)


def encoded(value: Any) -> Any:
    """What JSON takes in the place of an input; fields that are None, and are so by default, are left out."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        told = ((field, getattr(value, field.name)) for field in dataclasses.fields(value))
        return {
            field.name: encoded(content)
            for field, content in told
            if content is not None or field.default is dataclasses.MISSING
        }
    if isinstance(value, Mapping):
        return {str(name): encoded(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [encoded(each) for each in value]
    return value.isoformat() if isinstance(value, date) else value


@functools.cache
def _hints(kind: Any) -> Mapping[str, Any]:
    return typing.get_type_hints(kind)


def _instance(kind: Any, value: Mapping[str, Any]) -> Any:
    hints = _hints(kind)
    lacking = [field.name for field in dataclasses.fields(kind) if field.name not in value and _is_required(field)]
    if lacking:
        raise AnswerMalformedError(f"the answer's {kind.__name__} lacks {', '.join(lacking)}")
    return kind(**{name: decoded(hint, value[name]) for name, hint in hints.items() if name in value})


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _checked(kind: type[Any], value: Any) -> Any:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise AnswerMalformedError(f"the answer has {type(value).__name__} where {kind.__name__} is described")
    return value

"""OpenAPI schemas made from the views' dataclasses, so that a field is declared and described once."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from typing import Any

from apiflask import Schema, fields
from apiflask.validators import OneOf

_PLAIN: Mapping[Any, type[fields.Field[Any]]] = {
    int: fields.Integer,
    float: fields.Float,
    bool: fields.Boolean,
    str: fields.String,
}


class Body(Schema):
    """What a request or an answer has in its body; the description says of it what its docstring does."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        said = " ".join((cls.__doc__ or "").split())
        cls.Meta = type("Meta", (cls.Meta,), {"description": said})  # type: ignore[misc, assignment]  # apispec reads it


@functools.cache
def schema_of(view: type[Any]) -> type[Schema]:
    """A marshmallow schema class with the dataclass's fields, types, nullability and descriptions.

    Understood are int, float, str, bool, Literal, Mapping, dataclasses, tuple[X, ...] and any of them | None; else
    TypeError.
    """
    hints = typing.get_type_hints(view)
    declared = {f.name: _field(hints[f.name], dict(f.metadata)) for f in dataclasses.fields(view)}
    made: type[Schema] = type(view.__name__, (Body,), {"__doc__": view.__doc__, **declared})
    return made


def _field(hint: Any, metadata: dict[str, Any], *, nullable: bool = False) -> fields.Field[Any]:
    options: dict[str, Any] = {"required": True, "allow_none": nullable, "metadata": metadata}
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        (inner,) = (argument for argument in arguments if argument is not type(None))
        return _field(inner, metadata, nullable=True)
    if origin is typing.Literal:
        return fields.String(validate=OneOf(arguments), **options)
    if origin is Mapping:
        return fields.Dict(**options)
    if origin is tuple:
        return fields.List(_field(arguments[0], {}), **options)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return fields.Nested(schema_of(hint), **options)
    if hint in _PLAIN:
        kind = _PLAIN[hint]
        if hint is int:
            options["strict"] = True
        return kind(**options)
    raise TypeError(f"{hint!r} has no place in a view")


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """An error, as application/problem+json (RFC 9457)."""

    type: str = dataclasses.field(default="about:blank", metadata={"description": "Always about:blank."})
    title: str = dataclasses.field(default="", metadata={"description": "The status in words."})
    status: int = dataclasses.field(default=0, metadata={"description": "The HTTP status."})
    detail: str = dataclasses.field(default="", metadata={"description": "What is wrong, and what to do."})
    code: str = dataclasses.field(default="", metadata={"description": "The cause, for programs."})

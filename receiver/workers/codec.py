"""Dataclasses to JSON and back; the way back checks every field against its annotation."""

from __future__ import annotations

import json
import math
from dataclasses import fields, is_dataclass
from functools import lru_cache
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints, is_typeddict

T = TypeVar("T")


class MalformedError(ValueError):
    """The content is not what the type says; never raised beyond the module that decodes."""


def encode(content: object) -> str:
    """Compact JSON; dataclasses at any depth become objects."""
    return json.dumps(content, separators=(",", ":"), default=as_dict)


def as_dict(content: Any) -> dict[str, object]:
    """The fields of a dataclass, by name; not of those within it."""
    return {item.name: getattr(content, item.name) for item in fields(content)}


def decode(kind: type[T], content: object) -> T:
    """`content` is what json.loads returned. Every field must be there and of its type; there may be no others. Raises
    MalformedError."""
    return _value(kind, content)  # type: ignore[no-any-return]  # it is what was checked


@lru_cache(maxsize=64)
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _value(kind: Any, value: Any) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is None:
        return _plain(kind, value)
    if origin in {Union, UnionType}:
        return _one_of(arguments, value)
    if origin is Literal and any(value == one and type(value) is type(one) for one in arguments):
        return value
    if origin is dict and type(value) is dict:
        return {name: _value(arguments[1], one) for name, one in value.items()}
    if origin in {list, tuple} and type(value) is list:
        return _several(origin, arguments, value)
    raise MalformedError(f"{value!r:.40} is no {kind}")


def _several(origin: Any, arguments: tuple[Any, ...], values: list[Any]) -> Any:
    """list[X], tuple[X, ...] or tuple[X, Y]."""
    if origin is tuple and arguments[-1] is not Ellipsis:
        if len(values) != len(arguments):
            raise MalformedError(f"{len(values)} values, not {len(arguments)}")
        return tuple(_value(kind, one) for kind, one in zip(arguments, values, strict=True))
    return origin(_value(arguments[0], one) for one in values)


def _plain(kind: Any, value: Any) -> Any:
    if is_dataclass(kind) or is_typeddict(kind):
        hints = _hints(kind)
        if type(value) is dict and set(value) == set(hints):
            return kind(**{name: _value(hint, value[name]) for name, hint in hints.items()})
    elif kind is float:
        if type(value) in {int, float} and math.isfinite(value):
            return value
    elif type(value) is kind:
        return value
    raise MalformedError(f"{value!r:.40} is no {kind}")


def _one_of(kinds: tuple[Any, ...], value: Any) -> Any:
    if type(value) in kinds:  # plain ones, None too
        return _plain(type(value), value)
    for kind in kinds:
        try:
            return _value(kind, value)
        except MalformedError:
            continue
    raise MalformedError(f"{value!r:.40} is none of {kinds}")

"""Frozen dataclasses to JSON values and back, strictly: an unknown key, a missing key or a wrong type is an error.

A class that is one of several in a union has a `kind`, a ``ClassVar[str]``: JSON then has it beside the fields, and it
tells which class is meant.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cache
from typing import Any, Literal, TypeVar

from harness.errors import UserError, unknown

T = TypeVar("T")
Decoder = Callable[[Any], Any]


def encode(value: Any) -> Any:
    """Encode `value` as JSON: dataclasses become objects, their `kind` first if they have one; tuples become arrays."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kind = _kind(type(value))
        fields = {field.name: encode(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return fields if kind is None else {"kind": kind, **fields}
    if isinstance(value, Mapping):
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    return value


def decode(target: type[T], value: Any, where: str) -> T:
    """Decode `value` (parsed JSON or YAML) as an instance of `target`.

    Understands frozen dataclasses, dict[str, X], tuple[X, ...], tuple[X, Y], X | Y, Literal, str, bool, int, float and
    Any; a whole number is accepted for a float.
    Raises UserError that names `where` (a file, or file:line), the path to the offending key and what was expected.
    """
    try:
        return typing.cast(T, _decoder(typing.cast(Any, target))(value))
    except Mismatch as mismatch:
        path = "".join(mismatch.path).lstrip(".")
        raise UserError(": ".join(part for part in (where, path, str(mismatch)) if part)) from None


def _kind(target: Any) -> str | None:
    """Return the `kind` that tells a class from the others of a union; None for one that has none."""
    kind = getattr(target, "kind", None)
    return kind if isinstance(kind, str) else None


class Mismatch(ValueError):
    """A value that does not fit its type; collects the path to it on the way out."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.path: list[str] = []


def _inside(step: str, decoder: Decoder, value: Any) -> Any:
    try:
        return decoder(value)
    except Mismatch as mismatch:
        mismatch.path.insert(0, step)
        raise


@cache
def _decoder(target: Hashable) -> Decoder:
    """Return the decoder for one type, made once: rows come by the ten thousand."""
    origin, arguments = typing.get_origin(target), typing.get_args(target)
    if target is Any:
        return lambda value: value
    if dataclasses.is_dataclass(target):
        return _dataclass_decoder(typing.cast(type, target))
    if target in _SCALARS:
        return _scalar_decoder(target)
    if origin is Literal:
        return _literal_decoder(arguments)
    if origin in (typing.Union, types.UnionType):
        return _union_decoder(arguments)
    if origin is tuple:
        return _tuple_decoder(arguments)
    if origin in (dict, Mapping) and arguments[0] is str:
        return _mapping_decoder(_decoder(arguments[1]))
    raise TypeError(f"cannot decode into {target!r}")


def _dataclass_decoder(target: type) -> Decoder:
    if not target.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise TypeError(f"{target.__name__} must be a frozen dataclass")
    hints = typing.get_type_hints(target)
    decoders = {field.name: _decoder(hints[field.name]) for field in dataclasses.fields(target)}
    required = [field.name for field in dataclasses.fields(target) if _has_no_default(field)]
    kind = _kind(target)

    def decode_fields(value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise _expected("a mapping", value)
        if kind is not None and value.get("kind") == kind:
            value = {key: item for key, item in value.items() if key != "kind"}
        for key in value:
            if key not in decoders:
                raise Mismatch(str(unknown("key", str(key), decoders, _groups_with(str(key), hints))))
        for key in required:
            if key not in value:
                raise Mismatch(f"missing key {key!r}")
        fields = {key: _inside(f".{key}", decoders[key], item) for key, item in value.items()}
        try:
            return target(**fields)
        except ValueError as error:  # the dataclass's own check
            raise Mismatch(str(error)) from None

    return decode_fields


def _groups_with(key: str, hints: Mapping[str, Any]) -> str:
    """Format in which fields that are groups of keys themselves `key` belongs; empty if in none."""
    groups = [
        name
        for name, hint in hints.items()
        if any(key in getattr(each, "__dataclass_fields__", ()) for each in (hint, *typing.get_args(hint)))
    ]
    return f"; {key} is a key of {' and of '.join(groups)}" if groups else ""


def _has_no_default(field: "dataclasses.Field[Any]") -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


_SCALARS = {str: "text", bool: "true or false", int: "a whole number", float: "a number", type(None): "null"}


def _scalar_decoder(target: type) -> Decoder:
    accepted = (int, float) if target is float else (target,)

    def decode_scalar(value: Any) -> Any:
        if type(value) not in accepted:
            raise _expected(_SCALARS[target], value)
        if target is not float:
            return value
        if not math.isfinite(value):
            raise _expected("a finite number", value)
        return float(value)

    return decode_scalar


def _literal_decoder(choices: tuple[Any, ...]) -> Decoder:
    def decode_literal(value: Any) -> Any:
        for choice in choices:
            if type(choice) is type(value) and choice == value:
                return choice
        if isinstance(value, str):
            raise Mismatch(str(unknown("value", value, map(str, choices))))
        raise _expected(" or ".join(map(repr, choices)), value)

    return decode_literal


def _union_decoder(members: tuple[Any, ...]) -> Decoder:
    others = [member for member in members if member is not type(None)]
    if len(others) == 1:  # X | None: the error is X's own
        optional = _decoder(others[0])
        return lambda value: None if value is None else optional(value)
    if all(_kind(member) is not None for member in others):
        return _tagged_union_decoder({str(_kind(member)): _decoder(member) for member in others}, members)
    decoders = [_decoder(member) for member in members]
    names = " or ".join(_SCALARS.get(member, getattr(member, "__name__", str(member))) for member in members)

    def decode_union(value: Any) -> Any:
        for decoder in decoders:
            try:
                return decoder(value)
            except Mismatch:
                continue
        raise _expected(names, value)

    return decode_union


def _tagged_union_decoder(decoders: Mapping[str, Decoder], members: tuple[Any, ...]) -> Decoder:
    """Of classes with a `kind`: the error is that of the class which is meant."""

    def decode_tagged(value: Any) -> Any:
        if value is None and type(None) in members:
            return None
        kind = value.get("kind") if isinstance(value, Mapping) else None
        if not isinstance(kind, str):
            raise _expected(f"a mapping with a kind, one of {', '.join(decoders)}", value)
        if kind not in decoders:
            raise Mismatch(str(unknown("kind", kind, decoders)))
        return decoders[kind](value)

    return decode_tagged


def _tuple_decoder(arguments: tuple[Any, ...]) -> Decoder:
    open_ended = len(arguments) == 2 and arguments[1] is Ellipsis
    decoders = [_decoder(argument) for argument in arguments if argument is not Ellipsis]

    def decode_tuple(value: Any) -> Any:
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise _expected("a list", value)
        if not open_ended and len(value) != len(decoders):
            raise Mismatch(f"expected {len(decoders)} items, got {len(value)}")
        chosen = decoders * len(value) if open_ended else decoders
        return tuple(
            _inside(f"[{i}]", decoder, item) for i, (decoder, item) in enumerate(zip(chosen, value, strict=True))
        )

    return decode_tuple


def _mapping_decoder(decoder: Decoder) -> Decoder:
    def decode_mapping(value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise _expected("a mapping", value)
        for key in value:
            if not isinstance(key, str):
                raise Mismatch(f"expected text as key, got {key!r}")
        return {key: _inside(f".{key}", decoder, item) for key, item in value.items()}

    return decode_mapping


def _expected(what: str, value: Any) -> Mismatch:
    text = repr(value)
    return Mismatch(f"expected {what}, got {text if len(text) <= 60 else text[:57] + '...'}")

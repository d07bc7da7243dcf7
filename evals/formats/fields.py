"""Values of a row's fields, each checked; what is wrong is a `UserError` that begins with the row's place."""

import math
import reprlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from evals.formats.rows import MAX_DIGITS
from harness.errors import UserError
from harness.texts import format_names, has_lone_surrogate


def field(row: Mapping[str, Any], name: str, where: str) -> Any:
    """Return the value of a field that must be there."""
    if name not in row:
        raise UserError(f"{where}: no field {name!r} (has: {format_names(row)})")
    return row[name]


def text(row: Mapping[str, Any], name: str, where: str) -> str:
    """Return a text."""
    value = field(row, name, where)
    if not isinstance(value, str):
        raise UserError(f"{where}: {name} must be a text, not {format_value(value)}")
    return value


def text_or_none(row: Mapping[str, Any], name: str, where: str) -> str | None:
    """Return a text, or None where there is none: no field, null, NaN or an empty cell."""
    value = row.get(name)
    return None if is_none(value) else text(row, name, where)


def name_of(row: Mapping[str, Any], name: str, where: str) -> str:
    """Return a text that is going to be printed, so it must be possible to encode it."""
    value = text(row, name, where)
    if has_lone_surrogate(value):
        raise UserError(
            f"{where}: {name} contains half of a surrogate pair ({reprlib.repr(value)}); write the whole character"
        )
    return value


def identifier(row: Mapping[str, Any], name: str, where: str) -> str:
    """Return a text or a whole number that identifies a row, as a text."""
    value = field(row, name, where)
    return str(value) if type(value) is int else name_of(row, name, where)


def index(value: Any, where: str, name: str = "index") -> int:
    """Return a whole number from 0."""
    digits = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not digits.isascii() or not digits.isdigit() or len(digits) > MAX_DIGITS:
        raise UserError(
            f"{where}: {name} must be a whole number from 0 of at most {MAX_DIGITS} digits, not {format_value(value)}"
        )
    return int(digits)


def number(value: Any, where: str, name: str) -> float:
    """Return a number, NaN where there is none (an empty cell, null, or a spelling of NaN); true and false are none."""
    try:
        if not isinstance(value, bool):
            return to_float(value)
    except (TypeError, ValueError):
        pass
    raise UserError(f"{where}: {name} must be a number, not {format_value(value)}")


def finite(value: Any, where: str, name: str) -> float:
    """Return a finite number."""
    found = number(value, where, name)
    if not math.isfinite(found):
        raise UserError(f"{where}: {name} must be a finite number, not {format_value(value)}")
    return found


def to_float(value: Any) -> float:
    """Return `value` as a float, NaN for None, infinite where it is too large. Raises TypeError or ValueError."""
    try:
        return math.nan if value is None else float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def is_none(value: Any) -> bool:
    """Return whether `value` is what a missing one is written as: null, or NaN, which pandas writes for it."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def format_value(value: Any) -> str:
    """Return a value as an error names it: shortened, and a missing one in JSON's word."""
    return "null" if value is None else reprlib.repr(value)


def only_one(names: Iterable[str], path: Path, several: str, each: str) -> str:
    """Return the one name that all verdicts of a file have, "" for no verdicts; `several` says what is wrong with
    more."""
    found = sorted(set(names))
    if len(found) > 1:
        names_found = ", ".join(found[:5]) + (", …" if len(found) > 5 else "")
        raise UserError(f"{path}: verdicts {several} ({names_found}); score one file {each}")
    return found[0] if found else ""

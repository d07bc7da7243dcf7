"""Placeholders in a plan for content that is not at hand: a model or data set that is fetched on first use."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from harness.errors import UserError
from harness.terminal import note_if_slow

_PREFIX = "not resolved: "
_reasons: ContextVar[dict[str, str] | None] = ContextVar("reasons", default=None)


@contextmanager
def placeholders() -> Iterator[Mapping[str, str]]:
    """Make `resolved` return placeholders instead of raising, so that a graph can be built, without real keys.

    Yields the reasons by reference; it fills as references are met.
    """
    reasons: dict[str, str] = {}
    token = _reasons.set(reasons)
    try:
        yield reasons
    finally:
        _reasons.reset(token)


def resolved(reference: str, resolve: Callable[[], str]) -> str:
    """Return what `resolve` finds; inside `placeholders`, a placeholder for `reference` where it raises UserError.

    What is part of the package ("mini:...") is there or is no such thing: its errors are raised in either case.
    """
    try:
        with note_if_slow(f"looking at what {reference} holds, by which results are told apart ..."):
            return resolve()
    except UserError as error:
        reasons = _reasons.get()
        if reasons is None or reference.startswith("mini:"):
            raise
        reasons[reference] = str(error)
        return _PREFIX + reference


def has_placeholder(params: Mapping[str, Any]) -> bool:
    """Return whether the parameters of a step hold a placeholder."""
    return any(isinstance(value, str) and value.startswith(_PREFIX) for value in params.values())

"""The methods and evaluations by name. Other packages add theirs through the same entry-point groups."""

from collections.abc import Iterator
from typing import Any

from harness.core.errors import UserError
from harness.core.registry import Registry
from methods.ingredients import Method

METHODS = Registry(
    kind="method",
    group="harness.methods",
    builtin={
        "sft": "methods.sft:METHOD",
        "dpo": "methods.dpo:METHOD",
        "spin": "methods.spin:METHOD",
        "spin-own-recipe": "methods.spin:OWN_RECIPE",
        "sgpo-unshared": "methods.sgpo:UNSHARED",
        "sgpo-teacher-only": "methods.sgpo:TEACHER_ONLY",
        "sgpo": "methods.sgpo:METHOD",
        "sgpo-reference-chosen": "methods.sgpo:REFERENCE_CHOSEN",
        "sgpo-teacher-only-shared": "methods.sgpo:TEACHER_ONLY_SHARED",
        "sgpo-two-rounds": "methods.sgpo:TWO_ROUNDS",
        "sgpo-all-ref": "methods.sgpo:ALL_REF",
        "sgpo-no-ref": "methods.sgpo:NO_REF",
        "improver": "methods.sgpo:IMPROVER",
    },
)

EVALS = Registry(
    kind="bench",
    group="harness.evals",
    builtin={
        "alpaca_eval2": "evals.alpaca_eval2_steps:EVALUATION",
        "arena_hard": "evals.arena_hard_steps:EVALUATION",
        "pairwise": "evals.pairwise_steps:EVALUATION",
        "edit_distance": "evals.edit_distance:MEASUREMENT",
        "perplexity": "evals.perplexity:MEASUREMENT",
    },
)


def packages_used() -> dict[str, dict[str, Any]]:
    """The packages that brought a method or an evaluation that this process loaded, by ``method mine``."""
    return {
        f"{registry.kind} {name}": package
        for registry in (METHODS, EVALS)
        for name, package in registry.packages().items()
    }


def load_method(name: str) -> Method:
    """The method `name`; ``sgpo:rounds=3:chosen=reference`` is `sgpo` with two of its settings changed.

    Raises UserError for an unknown method or setting, with the nearest known one.
    """
    base, *changes = name.split(":")
    method: Method = METHODS.load(base)
    return method.with_settings(dict(_settings(name, changes)), name) if changes else method


def _settings(name: str, changes: list[str]) -> Iterator[tuple[str, bool | int | str]]:
    seen: set[str] = set()
    for change in changes:
        setting, equals, value = change.partition("=")
        if not (setting and equals and value):
            raise UserError(f"{name}: write a setting as in sgpo:rounds=3, not {change!r}")
        if setting in seen:
            raise UserError(f"{name}: the setting {setting!r} is given twice")
        seen.add(setting)
        yield setting, _value(value)


def _value(text: str) -> bool | int | str:
    words: dict[str, bool] = {"true": True, "false": False}
    return words.get(text, int(text) if text.removeprefix("-").isdecimal() else text)

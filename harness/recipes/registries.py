"""The methods and evaluations by name. Other packages add theirs through the same entry-point groups."""

from collections.abc import Iterator
from typing import Any

from evals.base import NEEDS, Benchmark
from harness.config.registry import Registry
from harness.errors import UserError
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
        "alpaca_eval2": "evals.alpaca_eval2.benchmark:BENCHMARK",
        "arena_hard": "evals.arena_hard.benchmark:BENCHMARK",
        "pairwise": "evals.pairwise.benchmark:BENCHMARK",
        "edit_distance": "evals.edit_distance.benchmark:BENCHMARK",
        "perplexity": "evals.perplexity.benchmark:BENCHMARK",
    },
)


def packages_used() -> dict[str, dict[str, Any]]:
    """The packages that brought a method or an evaluation that this process loaded, by ``method mine``."""
    return {
        f"{registry.kind} {name}": package
        for registry in (METHODS, EVALS)
        for name, package in registry.packages().items()
    }


def load_benchmark(name: str) -> Benchmark[Any]:
    """Return the benchmark `name`.

    Raises UserError for an unknown one, with the nearest known, and for one that is no benchmark or needs what there is
    not.
    """
    found = EVALS.load(name)
    if not isinstance(found, Benchmark):
        raise _not_one(EVALS, name, found, "evals.base.Benchmark")
    if odd := [need for need in found.needs if need not in NEEDS]:
        raise UserError(f"{EVALS.origin(name)}: a benchmark needs some of {', '.join(NEEDS)}; {odd[0]!r} is none")
    return found


def _not_one(registry: Registry, name: str, found: object, wanted: str) -> UserError:
    kind, origin = registry.kind, registry.origin(name)
    return UserError(f"cannot use {kind} {name!r} from {origin}: it is a {type(found).__name__}, not a {wanted}")


def load_method(name: str) -> Method:
    """The method `name`; ``sgpo:rounds=3:chosen=reference`` is `sgpo` with two of its settings changed.

    Raises UserError for an unknown method or setting, with the nearest known one, and for what is no method.
    """
    base, *changes = name.split(":")
    method = METHODS.load(base)
    if not isinstance(method, Method):
        raise _not_one(METHODS, base, method, "methods.ingredients.Method")
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

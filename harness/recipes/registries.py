"""The methods and evaluations by name. Other packages add theirs through the same entry-point groups."""

from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any, cast

from evals.base import NEEDS, Benchmark
from evals.lm_eval.benchmark import PREFIX as TASK_PREFIX
from evals.lm_eval.benchmark import LmEvalTask
from harness.config.registry import Registry
from harness.errors import UserError
from methods.base import Method

PARTS = ("card", "needs", "build")
"""What every method has beside its settings (`methods.base.Method`)."""

METHODS = Registry(
    kind="method",
    group="harness.methods",
    builtin={
        "base": "methods.base_model:BaseModel",
        "sft": "methods.sft:SFT",
        "dpo": "methods.dpo:DPO",
        "spin": "methods.spin:SPIN",
        "sgpo": "methods.sgpo:SGPO",
        "srpo": "methods.srpo:SRPO",
        "sapo": "methods.sapo:SAPO",
    },
)

EVALS = Registry(
    kind="bench",
    group="harness.evals",
    builtin={
        "alpaca_eval2": "evals.alpaca_eval2.benchmark:BENCHMARK",
        "arena_hard": "evals.arena_hard.benchmark:BENCHMARK",
        "arena_hard_v2": "evals.arena_hard_v2.benchmark:BENCHMARK",
        "pairwise": "evals.pairwise.benchmark:BENCHMARK",
        "alpaca_farm": "evals.alpaca_farm.benchmark:BENCHMARK",
        "edit_distance": "evals.edit_distance.benchmark:BENCHMARK",
        "mt_bench": "evals.mt_bench.benchmark:BENCHMARK",
        "perplexity": "evals.perplexity.benchmark:BENCHMARK",
        "ifeval": "evals.ifeval.benchmark:BENCHMARK",
        "open_llm": "evals.open_llm.benchmark:BENCHMARK",
    },
)


def packages_used() -> dict[str, dict[str, Any]]:
    """Return the packages that brought a method or an evaluation that this process loaded, by ``method mine``."""
    return {
        f"{registry.kind} {name}": package
        for registry in (METHODS, EVALS)
        for name, package in registry.packages().items()
    }


def require_packages(outside: Mapping[str, Mapping[str, Any]], where: object) -> None:
    """Raise UserError where a method or a benchmark of another package is not installed any more.

    `outside` are the `packages_used` of the run `where`.
    """
    for registry in (METHODS, EVALS):
        for name, package in outside.items():
            kind, _, own = name.partition(" ")
            if kind == registry.kind and own not in registry.names():
                raise UserError(
                    f"{where}: its {kind} {own!r} is of the package {package['package']} {package['version']}, which is"
                    f" not installed; install {package['package']}"
                )


def is_benchmark(name: str) -> bool:
    """Return whether `name` is that of a registered benchmark, or of a task of lm-eval. Imports none."""
    return name in EVALS.names() or name.startswith(TASK_PREFIX)


def load_benchmark(name: str) -> Benchmark[Any]:
    """Return the benchmark `name`: a registered one, or any task of lm-eval as ``lm_eval:TASK``.

    Raises UserError for an unknown one, with the nearest known, and for one that is no benchmark or needs what there is
    not.
    """
    if name.startswith(TASK_PREFIX):
        return LmEvalTask(name.removeprefix(TASK_PREFIX))
    found = EVALS.load(name)
    if not isinstance(found, Benchmark):
        raise _not_one(EVALS, name, found, "evals.base.Benchmark")
    if odd := [need for need in found.needs if need not in NEEDS]:
        raise UserError(f"{EVALS.origin(name)}: a benchmark needs some of {', '.join(NEEDS)}; {odd[0]!r} is none")
    return found


def _not_one(registry: Registry, name: str, found: object, wanted: str) -> UserError:
    kind, origin = registry.kind, registry.origin(name)
    return UserError(f"cannot use {kind} {name!r} from {origin}: it is a {type(found).__name__}, not a {wanted}")


def load_method(name: str) -> type[Method]:
    """Return the class of the registered method `name`.

    Raises UserError for an unknown one, with the nearest known, and for what is no method.
    """
    found: Any = METHODS.load(name)
    if not (isinstance(found, type) and is_dataclass(found) and all(hasattr(found, part) for part in PARTS)):
        raise _not_one(METHODS, name, found, f"frozen dataclass with {', '.join(PARTS)} (docs/add-a-method.md)")
    return cast(type[Method], found)

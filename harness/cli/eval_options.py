"""The options of `harness eval` that go with what is scored: an option that would change nothing is refused."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import click
from click.core import ParameterSource

Subject = Literal["model", "outputs", "annotations", "judgments"]
"""What is scored, by the option that names it. A model beside outputs only counts their tokens."""

Need = Literal["a bench with a judge", "a bench with a baseline", "--bench alpaca_eval2"]
"""What a bench must have for an option to matter to it."""


@dataclass(frozen=True, slots=True)
class Applies:
    """The reach of an option: to which subjects, and to benches with what."""

    to: tuple[Subject, ...]
    needs: Need | None = None


_EVERYTHING: tuple[Subject, ...] = ("model", "outputs", "annotations", "judgments")
_ASKED: tuple[Subject, ...] = ("model", "outputs")

_OF_A_JUDGE = Applies(_ASKED, "a bench with a judge")

APPLIES: Mapping[str, Applies] = {
    "--bench": Applies(_EVERYTHING),
    "--model": Applies(_ASKED),
    "--outputs": Applies(("outputs",)),
    "--annotations": Applies(("annotations",)),
    "--judgments": Applies(("judgments",)),
    "--scale": Applies(_ASKED),
    "--data": Applies(_ASKED),
    "--baseline": Applies(_ASKED, "a bench with a baseline"),
    "--limit": Applies(_ASKED),
    "--max-new-tokens": Applies(("model",)),
    "--judge-model": _OF_A_JUDGE,
    "--judge-base-url": _OF_A_JUDGE,
    "--judge-without": _OF_A_JUDGE,
    "--judge-repeats": _OF_A_JUDGE,
    "--concurrency": _OF_A_JUDGE,
    "--requests-per-minute": _OF_A_JUDGE,
    "--tokens-per-minute": _OF_A_JUDGE,
    "--timeout": _OF_A_JUDGE,
    "--max-usd": _OF_A_JUDGE,
    "--batch": _OF_A_JUDGE,
    "--dry-run": Applies(_ASKED),
    "--allow-missing": Applies(_EVERYTHING),
    "--lc-calibration": Applies(("model", "outputs", "annotations"), "--bench alpaca_eval2"),
    "--reference-outputs": Applies(("annotations",)),
    "--code-changes": Applies(_EVERYTHING),
    "--code-changes rerun": Applies(_ASKED),
    "--offline": Applies(_EVERYTHING),
    "--run-dir": Applies(_ASKED),
    "--json": Applies(_EVERYTHING),
}
"""Every option, or one value of it, by its first name."""


def subject_of(given: Mapping[str, object]) -> Subject:
    """Return what is scored, of the options by parameter name.

    Raises click.UsageError for nothing, and for stored verdicts beside anything else.
    """
    named: list[Subject] = [name for name in _EVERYTHING if given.get(name)]
    if not named:
        raise click.UsageError("give --model or --outputs, or stored verdicts: --annotations or --judgments")
    if len(named) > 1 and {"annotations", "judgments"} & set(named):
        raise click.UsageError("stored verdicts are scored alone: one of --annotations and --judgments, no --model")
    return "outputs" if "outputs" in named else named[0]


def require_applicable(context: click.Context, subject: Subject, benches: Sequence[str]) -> None:
    """Raise click.UsageError for an option of the command line that changes nothing of what is scored."""
    given = [name for name in _given(context) if name in APPLIES]
    for name in given:
        if subject not in APPLIES[name].to:
            flags = [f"--{each}" for each in APPLIES[name].to]
            raise click.UsageError(f"{name} goes with {_listed(flags, 'or')}, not with --{subject}: it changes nothing")
    needs = {name: need for name in given if (need := APPLIES[name].needs)}
    offered = _offered(subject, benches) if needs else ()
    for name, need in needs.items():
        if need not in offered:
            raise click.UsageError(f"{name} goes with {need}, not with {_listed(benches, 'and')}: it changes nothing")


def _given(context: click.Context) -> list[str]:
    """List the options of the command line, in its order of definition; also with their values, as in the table."""
    given = []
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source not in (None, ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP):
            given += [parameter.opts[0], f"{parameter.opts[0]} {context.params.get(parameter.name or '')}"]
    return given


def _offered(subject: Subject, benches: Sequence[str]) -> Collection[Need]:
    """Return what the benches have between them."""
    from evals.judged_pairs import JudgedPairs
    from harness.recipes.registries import load_benchmark

    offered: set[Need] = {"--bench alpaca_eval2"} if "alpaca_eval2" in benches else set()
    for name in benches:
        benchmark = load_benchmark(name)
        if isinstance(benchmark, JudgedPairs):
            offered |= {"a bench with a judge", "a bench with a baseline"}
        elif "baselines" in benchmark.needs or ("outputs" in benchmark.needs and subject == "model"):
            offered.add("a bench with a baseline")
    return offered


def _listed(names: Sequence[str], last: str) -> str:
    """Write ``a, b or c``."""
    return f" {last} ".join(filter(None, [", ".join(names[:-1]), names[-1]]))

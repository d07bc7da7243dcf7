"""The options of `harness eval` that go with what is scored: an option that would change nothing is refused."""

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

import click
from click.core import ParameterSource

Subject = Literal["model", "outputs", "annotations", "judgments"]
"""What is scored, by the option that names it. A model beside outputs only counts their tokens."""

Need = Literal[
    "a bench with a judge",
    "a bench with a baseline",
    "a bench of generated answers",
    "--bench alpaca_eval2",
    "a bench of lm-eval's tasks",
]
"""What a bench must have for an option to matter to it."""


_EVERYTHING: tuple[Subject, ...] = ("model", "outputs", "annotations", "judgments")
_ASKED: tuple[Subject, ...] = ("model", "outputs")
_OF_A_JUDGE = (
    *("--judge-model", "--judge-base-url", "--judge-without", "--judge-repeats", "--concurrency"),
    *("--requests-per-minute", "--tokens-per-minute", "--timeout", "--max-usd", "--batch"),
)

APPLIES: Mapping[str, tuple[Subject, ...]] = {
    **dict.fromkeys(("--bench", "--allow-missing", "--code-changes", "--offline", "--quiet", "--json"), _EVERYTHING),
    **dict.fromkeys(("--model", "--scale", "--data", "--baseline", "--limit", *_OF_A_JUDGE), _ASKED),
    **dict.fromkeys(("--dry-run", "--code-changes rerun", "--run-dir"), _ASKED),
    "--outputs": ("outputs",),
    "--annotations": ("annotations",),
    "--judgments": ("judgments",),
    **dict.fromkeys(("--max-new-tokens", "--chat-template", "--revisions"), ("model",)),
    "--lc-calibration": ("model", "outputs", "annotations"),
    "--reference-outputs": ("annotations",),
}
"""Every option, or one value of it, by its first name: the subjects that it matters to."""

_NEEDS: Mapping[str, Need] = {
    **dict.fromkeys(_OF_A_JUDGE, "a bench with a judge"),
    "--baseline": "a bench with a baseline",
    "--revisions": "a bench of generated answers",
    "--lc-calibration": "--bench alpaca_eval2",
    "--chat-template": "a bench of lm-eval's tasks",
}


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
        if subject not in APPLIES[name]:
            flags = [f"--{each}" for each in APPLIES[name]]
            raise click.UsageError(f"{name} goes with {_listed(flags, 'or')}, not with --{subject}: it changes nothing")
    needs = {name: _NEEDS[name] for name in given if name in _NEEDS}
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
    from evals.own_items import OwnItems
    from harness.recipes.registries import load_benchmark

    offered: set[Need] = {"--bench alpaca_eval2"} if "alpaca_eval2" in benches else set()
    for name in benches:
        benchmark = load_benchmark(name)
        if isinstance(benchmark, OwnItems):
            offered |= {"a bench of lm-eval's tasks"} if benchmark.takes_chat_template else set()
            continue
        is_paired = isinstance(benchmark, JudgedPairs)
        if benchmark.asks_judge:
            offered.add("a bench with a judge")
            offered |= {"a bench with a baseline", "a bench of generated answers"} if is_paired else set()
            continue
        if "outputs" in benchmark.needs:
            offered.add("a bench of generated answers")
        if "baselines" in benchmark.needs or ("outputs" in benchmark.needs and subject == "model"):
            offered.add("a bench with a baseline")
    return offered


def _listed(names: Sequence[str], last: str) -> str:
    """Write ``a, b or c``."""
    return f" {last} ".join(filter(None, [", ".join(names[:-1]), names[-1]]))

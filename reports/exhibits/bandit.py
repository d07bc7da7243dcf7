"""Learned action probabilities of a bandit (Figure 2 of SRPO)."""

from collections.abc import Iterator

from harness.papers.bandit import BanditFigure, BanditTraining
from harness.results.exhibits import ActionProbability, BanditResult, MostLikely
from harness.results.manifest import Manifest
from reports.blocks import Bar, BarChart, BarPanel, Block, Column, Figure, Group, Prose, Records, Row, Table
from reports.measured import all_seeds, number, source

_DECIMALS = 3
_LOSS_DECIMALS = 4
_SPREAD = "mean ± s.d."
_IN_WORDS = "means and standard deviations over data sets"


def bandit(manifest: Manifest, result: BanditResult) -> tuple[list[Block], Records]:
    """Draw and tabulate the probabilities beside the analytic solutions, and what other trainings come to.

    Raises UserError for a method or a behavior the exhibit does not have.
    """
    exhibit = result.exhibit
    blocks: list[Block] = [Prose(_setup(manifest, exhibit)), _figure(result), _table(manifest, result)]
    blocks += [Prose(f"{each.label}: {each.note}.", quiet=True) for each in exhibit.methods if each.note]
    if exhibit.others:
        blocks.append(_other_trainings(manifest, result))
    return blocks, _records(result)


def _setup(manifest: Manifest, exhibit: BanditFigure) -> str:
    """Say what was run, and at which size."""
    return (
        f"Run at the paper's own size: {exhibit.pairs:,} pairs a data set, and {len(manifest.seeds)} data sets (a "
        f"training seed each) from each behavior policy. {_in_words(exhibit.training)}. The losses are those that "
        "train language models. A claim's tests are t tests over data sets, of the difference of two probabilities in "
        "each."
    )


def _in_words(training: BanditTraining) -> str:
    batch = f"mini-batches of {training.batch_size:,}" if training.batch_size else "all pairs in each"
    start = "the uniform policy" if training.start == "uniform" else "logits drawn from N(0, 1)"
    return f"{training.steps:,} steps of Adam at learning rate {training.learning_rate:g}, {batch}, from {start}"


def _in_brief(training: BanditTraining) -> str:
    batch = f"batches of {training.batch_size:,}" if training.batch_size else "all pairs"
    return f"{training.steps:,} steps, rate {training.learning_rate:g}, {batch}, {training.start} start"


def _figure(result: BanditResult) -> Figure:
    exhibit = result.exhibit
    panels = [
        BarPanel(
            f"{method.label} (ours)" if method.added else method.label,
            behavior.label,
            tuple(_bar(exhibit, each) for each in _own(result, behavior.id, method.id)),
        )
        for method in exhibit.methods
        for behavior in exhibit.behaviors
    ]
    return Figure(
        name=exhibit.name,
        caption=f"{exhibit.label}: action probabilities in per cent, {_IN_WORDS}, and the analytic solutions",
        alt="Bars of the probabilities in the table below, the analytic solutions as diamonds",
        drawing=BarChart(tuple(panels), interval="± standard deviation over data sets", mark="analytic solution"),
    )


def _bar(exhibit: BanditFigure, each: ActionProbability) -> Bar:
    value, analytic = 100 * each.probability, each.analytic
    spread = None if each.sd is None else (value - 100 * each.sd, value + 100 * each.sd)
    added = bool(exhibit.method(each.method).added)
    return Bar(exhibit.actions[each.action], value, spread, None if analytic is None else 100 * analytic, added)


def _own(result: BanditResult, behavior: str, method: str) -> list[ActionProbability]:
    """Return the probabilities by the exhibit's own training, in the order of the actions."""
    place = ("", behavior, method)
    return [each for each in result.probabilities if (each.training, each.behavior, each.method) == place]


def _table(manifest: Manifest, result: BanditResult) -> Table:
    exhibit = result.exhibit
    added = [(method.label, method.added) for method in exhibit.methods if method.added]
    return Table(
        columns=(
            Column("method"),
            Column(""),
            *(Column(action, number=True) for action in exhibit.actions),
            Column("on top", tooltip="which action is the most likely one, and of how many data sets"),
        ),
        groups=tuple(
            Group(tuple(_rows(result, behavior.id)), heading=behavior.label) for behavior in exhibit.behaviors
        ),
        name=exhibit.name,
        caption=f"{exhibit.caption}. Ours: {_IN_WORDS}, and of how many of them which action is the most likely one",
        footnotes=tuple(("+", f"ours, not in the paper: {label}, {what}") for label, what in added),
        source=source(manifest, exhibit, all_seeds(manifest)),
    )


def _rows(result: BanditResult, behavior: str) -> Iterator[Row]:
    for method in result.exhibit.methods:
        found = _own(result, behavior, method.id)
        [most] = [
            each
            for each in result.most_likely
            if (each.training, each.behavior, each.method) == ("", behavior, method.id)
        ]
        analytic = (number(each.analytic, _DECIMALS) for each in found)
        ours = (method.label, "ours", *map(_with_spread, found), _counts(result.exhibit, most))
        yield Row(ours, added=bool(method.added))
        yield Row(("", "analytic", *analytic, ""))


def _with_spread(each: ActionProbability) -> str:
    spread = "" if each.sd is None else f" ± {each.sd:.{_DECIMALS}f}"
    return f"{each.probability:.{_DECIMALS}f}{spread}"


def _counts(exhibit: BanditFigure, most: MostLikely) -> str:
    """Format ``y0 6, y2 3, y1 1``, the most frequent first."""
    frequent = sorted(((count, -place) for place, count in enumerate(most.counts) if count), reverse=True)
    return ", ".join(f"{exhibit.actions[-place]} {count}" for count, place in frequent)


def _other_trainings(manifest: Manifest, result: BanditResult) -> Table:
    """Show beside the exhibit's own training what depends on the start, the learning rate and mini-batches."""
    exhibit = result.exhibit
    trainings = [("", "as above", exhibit.training), *((each.id, each.label, each.training) for each in exhibit.others)]
    return Table(
        columns=(
            Column("behavior"),
            Column("method"),
            *(Column(action, over=_SPREAD, number=True) for action in exhibit.actions),
            Column("on top", tooltip="which action is the most likely one, and of how many data sets"),
            Column("loss", number=True),
        ),
        groups=tuple(
            Group(tuple(_other_rows(result, id)), heading=f"{label}: {_in_brief(training)}")
            for id, label, training in trainings
        ),
        name=f"{exhibit.name}-trainings",
        caption=(
            "The same data, trained otherwise. Where a method's minimiser is not unique, its policy depends on the "
            "training and its loss does not"
        ),
        source=source(manifest, exhibit, all_seeds(manifest)),
    )


def _other_rows(result: BanditResult, training: str) -> Iterator[Row]:
    exhibit = result.exhibit
    for most in (each for each in result.most_likely if each.training == training):
        place = (training, most.behavior, most.method)
        found = [each for each in result.probabilities if (each.training, each.behavior, each.method) == place]
        labels = (exhibit.behavior(most.behavior).label, exhibit.method(most.method).label)
        yield Row((*labels, *map(_with_spread, found), _counts(exhibit, most), number(most.loss, _LOSS_DECIMALS)))


def _records(result: BanditResult) -> Records:
    """Make one line for each action of each method and behavior, of the exhibit's own training; numbers unrounded."""
    own = [each for each in result.probabilities if not each.training]
    rows = ((each.behavior, each.method, each.action, each.probability, each.sd, each.analytic) for each in own)
    return Records(("behavior", "method", "action", "probability", "sd", "analytic"), tuple(rows))

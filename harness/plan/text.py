"""A plan for a terminal: what it comes to, each part as a table, what it rests on and what to beware of."""

import io
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from harness.config.learning_rates import rate_text
from harness.endpoints.cost import dollars
from harness.engine.artifacts import Artifact, ancestry
from harness.experiments.scores import ScoresExperiment
from harness.models.memory import cache_bytes
from harness.plan.forecast import GB, Forecast, MemoryNeed, PlannedStep, State, disk_totals
from harness.plan.settings import Stage, common_settings, loss_text
from harness.plan.summary import Summary
from harness.steps.cost import Range
from harness.steps.estimates import PlanNote
from harness.terminal import console
from harness.texts import counted, gigabytes
from reports.blocks import Block, Column, Group, Prose, Row, Section, Table
from reports.terminal import terminal_sections

MIN_WIDTH, MAX_WIDTH = 80, 120
"""Columns; as many as the terminal has in between, `DEFAULT_WIDTH` where there is none."""
DEFAULT_WIDTH = 100

VLLM_SHARE = 0.9
"""Of a GPU's memory, what vLLM fills."""
REVISION_DIGITS = 12
MAX_METHODS = 3
"""Names in a cell of the table of stages; what more there are is counted."""


def plan_text(summary: Summary) -> str:
    """Render the whole plan as wide as the terminal is."""
    out = io.StringIO()
    screen = console(out)
    screen.width = min(max(shutil.get_terminal_size((DEFAULT_WIDTH, 0)).columns, MIN_WIDTH), MAX_WIDTH)
    screen.print(terminal_sections(plan_sections(summary)))
    lines = "\n".join(line.rstrip() for line in out.getvalue().splitlines())
    return re.sub(r"\n{3,}", "\n\n", lines).strip()


def plan_sections(summary: Summary) -> list[Section]:
    """Return the parts of the plan that have something to say."""
    forecast = summary.forecast
    parts: dict[str, Iterable[Block]] = {
        _headline(summary): _answer(summary),
        "Steps": _steps(summary),
        "Cells": _cells(summary),
        "Data": _data(summary),
        "Training": _training(summary),
        "Evaluation": _evaluation(summary),
        "Time": _time(forecast),
        "Memory of one device, in GB": _memory(forecast),
        "Disk": _disk(forecast),
        "Endpoints": _apis(forecast),
        "Money": _money(forecast),
        "What this rests on": _notes(summary.assumptions),
        "Warnings": _notes(summary.warnings),
    }
    sections = [Section(title.lower(), title, tuple(blocks)) for title, blocks in parts.items()]
    return [section for section in sections if section.blocks]


def _table(alignment: str, head: Sequence[str], rows: Iterable[Sequence[str]], heading: str = "") -> Table:
    """Make a table with a letter of `alignment` for each column: l for text, r for numbers."""
    columns = tuple(Column(name, number=letter == "r") for name, letter in zip(head, alignment, strict=True))
    return Table(columns, (Group(tuple(Row(tuple(row)) for row in rows), heading),))


def _headline(summary: Summary) -> str:
    recipe, forecast = summary.recipe, summary.forecast
    found = f"{summary.experiment} on the scale {recipe.name!r}: {recipe.description}\n{_extent(summary)}"
    return found if forecast.to_run else f"{found}\nnothing is left to run"


def _extent(summary: Summary) -> str:
    """Count models, methods, benches, seeds and steps."""
    models = dict.fromkeys(model for each in summary.experiments for model in each.models)
    methods = dict.fromkeys(method for each in summary.experiments for _, method, _ in each.checkpoints)
    parts = [counted(len(models), "base model")] if models else []
    parts += [counted(len(methods), "method")] if methods else []
    parts += [counted(len(summary.benches), "bench", "benches")] if summary.benches else []
    seeds = f"seed {summary.seeds[0]}" if len(summary.seeds) == 1 else f"{len(summary.seeds)} seeds"
    steps = summary.forecast.steps
    return f"{' x '.join([*parts, seeds])}: {len(steps)} steps, {len(summary.forecast.to_run)} of them to run"


def _answer(summary: Summary) -> Iterator[Block]:
    """Say what the run comes to, in a few lines."""
    forecast = summary.forecast
    yield _table("ll", ("", ""), _totals(forecast) if forecast.to_run else ())
    if summary.warnings and forecast.to_run:
        subjects = ", ".join(dict.fromkeys(each.about for each in summary.warnings))
        yield Prose(f"{counted(len(summary.warnings), 'warning')} at the end, of {subjects}")


def _totals(forecast: Forecast) -> Iterator[tuple[str, str]]:
    devices = f"{forecast.machine.devices} x {forecast.device.description}"
    seconds, name = _time_unit(forecast)
    work = f"{_unit(forecast)} {name}: {_span(forecast.device_seconds.times(1 / seconds), _number)}"
    yield "time", f"{_span(forecast.wall, _clock)} on {devices}; {work}"
    if (usd := forecast.usd) and usd.high >= 1:
        named = {"devices": forecast.rented_usd}
        named |= {who: forecast.api_usd(who) for who in ("teacher", "judge")}
        parts = [f"{who} {_usd(each.expected)}" for who, each in named.items() if each and each.high]
        yield "money", f"{_span(usd, _usd)}{': ' if parts else ''}{', '.join(parts)}"
    at_end, peak = disk_totals(forecast.disk)
    yield "disk", f"{gigabytes(peak)} at the peak, {gigabytes(at_end)} at the end"
    if forecast.memory:
        most = max(need.memory.total for need in forecast.memory)
        limit = f" of {forecast.device.memory_gb:g} GB" if forecast.device.is_gpu else ""
        yield "memory", f"{gigabytes(most)}{limit} a {_unit(forecast)} at the peak"


def _steps(summary: Summary) -> Iterator[Block]:
    steps = summary.forecast.steps
    has_unknown = any(step.state == "unknown" for step in steps)
    states: tuple[State, ...] = ("found", "to run", "unknown") if has_unknown else ("found", "to run")
    seconds, unit = _time_unit(summary.forecast)
    head = ["step", "total", *(state.replace("unknown", "not known") for state in states)]
    by_step: dict[str, list[PlannedStep]] = {}
    for step in steps:
        by_step.setdefault(step.cost.artifact.step, []).append(step)
    rows = []
    for name, own in {**by_step, "in all": list(steps)}.items():
        counts = Counter(step.state for step in own)
        takes = sum(step.cost.device_seconds.expected for step in own if step.state != "found") / seconds
        time = _number(takes) if takes >= 0.01 else ""
        rows.append([name, str(len(own)), *(str(counts[state]) for state in states), time])
    yield _table("lrr" + "r" * len(states), [*head, f"{_unit(summary.forecast)} {unit}"], rows)
    if has_unknown:
        yield Prose(
            "not known: what these are made from is resolved at first use, so whether the store has them cannot be told"
            " now; they are counted as to run"
        )


def _cells(summary: Summary) -> Iterator[Block]:
    """Count the steps that are left behind each cell, where something is there already."""
    states = {step.cost.artifact.key: step.state for step in summary.forecast.steps}
    if "found" not in states.values():
        return
    for experiment in summary.experiments:
        if isinstance(experiment, ScoresExperiment):
            left = {(c.model, c.method, c.bench): _steps_left(c.score, states) for c in experiment.cells}
            places = list(dict.fromkeys((model, bench) for model, _, bench in left))
            head = ["steps left of all", *(f"{model} {bench}" for model, bench in places)]
            rows = [[name, *(left[model, name, bench] for model, bench in places)] for name in experiment.methods]
            yield _table("l" + "r" * len(places), head, rows)


def _steps_left(score: Artifact, states: Mapping[str, str]) -> str:
    behind = [each.key for each in ancestry([score])]
    left = sum(states[key] != "found" for key in behind)
    return f"{left} of {len(behind)}" if left else "done"


def _data(summary: Summary) -> Iterator[Block]:
    """List what fills the paper's data roles, as far as this run reads it."""
    read = {step.cost.artifact.label for step in summary.forecast.steps}
    rows = []
    for name, role in summary.recipe.data.items():
        if any(label.startswith(role.reference) for label in read):
            data, at, revision = role.reference.partition("@")
            rows.append([name, f"{role.size:,}", f"{data}{at}{revision[:REVISION_DIGITS]}", role.split])
    if rows:
        yield _table("lrll", ("role", "rows", "data set", "split"), rows)


def _training(summary: Summary) -> Iterator[Block]:
    for model in dict.fromkeys(stage.model for stage in summary.stages):
        own = [stage for stage in summary.stages if stage.model == model]
        everybody = {method for stage in own for method in stage.methods}
        head = ("stage", "methods", "rows", "epochs", "steps", "rate", "loss", "starts from")
        rows = [_stage_row(stage, everybody) for stage in own]
        yield _table("llrrrrll", head, rows, f"{model}: {summary.recipe.base_models[model].reference}")
    if summary.stages:
        yield from map(Prose, common_settings(summary.stages, summary.recipe))


def _stage_row(stage: Stage, everybody: set[str]) -> list[str]:
    is_all = len(everybody) > 1 and set(stage.methods) == everybody
    bound, is_known = "" if stage.rows_are_exact else "≤", stage.rows > 0
    others = len(stage.methods) - 1
    methods = ", ".join(stage.methods) if others < MAX_METHODS else f"{stage.methods[0]} and {counted(others, 'other')}"
    return [
        stage.name,
        "all" if is_all else methods,
        f"{bound}{stage.rows:,}" if is_known else "?",
        str(stage.settings.epochs),
        f"{bound}{stage.steps:,}" if is_known else "?",
        rate_text(stage.settings.learning_rate),
        loss_text(stage.loss) if stage.loss else "",
        stage.starts_from,
    ]


def _evaluation(summary: Summary) -> Iterator[Block]:
    if not summary.benches:
        return
    rows = []
    for each in summary.benches:
        orders = "one" if each.orders == 1 else "both"
        rows.append([each.name, f"{each.prompts:,}", each.decoding, each.baseline, each.judge, orders])
    yield _table("lrllll", ("bench", "prompts", "answers", "against", "judge", "orders"), rows)
    sampling = summary.recipe.sampling
    yield Prose(f"answers of up to {sampling.max_new_tokens:,} tokens, drawn by {sampling.engine}")


def _time(forecast: Forecast) -> Iterator[Block]:
    seconds, name = _time_unit(forecast)
    unit = _unit(forecast)

    def number(value: float) -> str:
        return _number(value / seconds)

    if forecast.to_run:
        rows = []
        for work in forecast.work:
            tokens = _millions(work.tokens.expected) if work.tokens.expected else ""
            rows.append([work.kind, str(work.steps), tokens, *_three(work.device_seconds, number)])
        steps = sum(work.steps for work in forecast.work)
        rows.append(["in all", str(steps), "", *_three(forecast.device_seconds, number)])
        yield _table("lrrrrr", (f"{unit} {name}", "steps", "tokens", "expected", "low", "high"), rows)
        clock = {
            f"on {counted(forecast.machine.devices, unit)}": forecast.wall,
            f"the longest chain, on any number of {unit}s": forecast.longest_chain,
        }
        rows = [[where, *_three(each, number)] for where, each in clock.items()]
        yield _table("lrrr", (f"{name} on the clock", "expected", "low", "high"), rows)
    if back := forecast.looked_back:
        took, expected = back
        ratio = f": {took / expected.expected:.2f} times as long" if expected.expected else ""
        yield Prose(
            f"looking back: the steps found took {_clock(took)} of a {unit}, where {_span(expected, _clock)} would have"
            f" been forecast{ratio}"
        )


def _memory(forecast: Forecast) -> Iterator[Block]:
    if not forecast.memory:
        return
    head = ("model", "work", "in all", "weights", "gradients", "optimizer", "activations", "logits", "cache")
    yield _table("llrrrrrrr", head, map(_memory_row, forecast.memory))
    trained = dict.fromkeys(need.at for need in forecast.memory if need.work == "training")
    yield Prose(f"training at its peak: {'; '.join(trained)}; before what an allocator wastes")
    if forecast.device.is_gpu:
        full = VLLM_SHARE * forecast.device.memory_gb * GB
        cached = [
            f"{need.model} {max(0.0, full - need.memory.weights) / cache_bytes(need.shape):,.0f}"
            for need in forecast.memory
            if need.work == "generation"
        ]
        yield Prose(
            f"generation: the least. vLLM fills {VLLM_SHARE * 100:g} % of a GPU, which leaves room to cache"
            f" {', '.join(cached)} tokens"
        )


def _memory_row(need: MemoryNeed) -> list[str]:
    m = need.memory
    parts = [m.weights, m.gradients, m.optimizer, m.activations, m.logits, m.cache]
    gb = [f"{part / GB:.1f}" if part >= 0.05 * GB else "" for part in parts]
    return [need.model, need.work, f"{m.total / GB:.1f}", *gb]


def _disk(forecast: Forecast) -> Iterator[Block]:
    rows = [[need.what, gigabytes(need.bytes)] for need in forecast.disk if need.bytes > 1e5]
    at_end, peak = disk_totals(forecast.disk)
    if rows:
        rows += [["in all, at the end", gigabytes(at_end)], ["in all, at the peak", gigabytes(peak)]]
        yield _table("lr", ("what", "size"), rows)


def _apis(forecast: Forecast) -> Iterator[Block]:
    rows = []
    for api in forecast.apis:
        tokens = [_millions(api.prompt_tokens.expected), _millions(api.completion_tokens.expected)]
        usd = _three(api.usd, _usd) if api.usd else ["unknown", "", ""]
        batch = _usd(api.usd_batch.expected) if api.usd_batch else ""
        rows.append([api.purpose, api.model, f"{api.calls:,}", *tokens, *usd, batch])
    if rows:
        head = ("purpose", "model", "calls", "prompt tokens", "completion", "expected", "low", "high", "batch API")
        yield _table("llrrrrrrr", head, rows)


def _money(forecast: Forecast) -> Iterator[Block]:
    rows = []
    if forecast.device_usd and forecast.rented_usd and forecast.usd_per_hour:
        rate = forecast.usd_per_hour
        price = f"${rate.low:g}" if rate.low == rate.high else f"${rate.low:g} to ${rate.high:g}"
        rented = f"{counted(forecast.machine.devices, _unit(forecast))} from start to end, at {price} an hour each"
        rows.append([rented, *_three(forecast.rented_usd, _usd)])
        rows.append(["  of that, while a step is on them", *_three(forecast.device_usd, _usd)])
    for who in ("teacher", "judge"):
        if usd := forecast.api_usd(who):
            rows.append([who, *_three(usd, _usd)])
    if forecast.usd and forecast.usd.high >= 1:
        rows.append(["in all", *_three(forecast.usd, _usd)])
        yield _table("lrrr", ("what", "expected", "low", "high"), rows)


def _notes(notes: Sequence[PlanNote]) -> Iterator[Block]:
    if notes:
        yield _table("ll", ("", ""), (("-", note.text) for note in notes))


def _time_unit(forecast: Forecast) -> tuple[float, str]:
    """Return (seconds, name) of the unit in which the forecast's times are printed."""
    expected = forecast.device_seconds.expected
    return (3600, "hours") if expected > 7200 else (60, "minutes") if expected > 600 else (1, "seconds")


def _unit(forecast: Forecast) -> str:
    return "GPU" if forecast.device.is_gpu else "core"


def _three(value: Range, show: Callable[[float], str]) -> list[str]:
    """Return the cells of a range in the order of the tables: expected, low, high."""
    return [show(value.expected), show(value.low), show(value.high)]


def _span(value: Range, show: Callable[[float], str]) -> str:
    return f"{show(value.expected)} ({show(value.low)} to {show(value.high)})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 99.5 else f"{value:.1f}" if value >= 0.95 else f"{value:.2f}"


def _millions(tokens: float) -> str:
    return f"{tokens / 1e6:,.1f}M" if tokens >= 5e4 else f"{tokens:,.0f}"


def _usd(usd: float) -> str:
    return f"${usd:,.0f}" if usd >= 10 else dollars(usd)


def _clock(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.0f} h"

"""A plan as text, no wider than a hundred columns."""

import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from harness.config.rate_text import rate_text
from harness.endpoints.cost import dollars
from harness.engine.artifacts import Artifact, ancestry
from harness.experiments.scores import ScoresExperiment
from harness.models.memory import cache_bytes
from harness.plan.forecast import GB, Forecast, MemoryNeed, PlannedStep
from harness.plan.notes import Note
from harness.plan.ranges import Range
from harness.plan.settings import Stage, sampling_in_words
from harness.plan.summary import Summary
from harness.training.batches import spread
from harness.training.job import SINGLE

WIDTH = 100
ALL = "all"
ROOM_FOR_NAMES = 42
"""Columns of a line on a stage that its methods and its start may fill."""
SHOWN_DIGITS = 12


def shown(summary: Summary) -> str:
    """The whole plan: what it comes to, then each part, then what it rests on and what to beware of."""
    parts = [
        "\n".join(_headline(summary)),
        _section("steps", _steps(summary)),
        _section("cells", _cells(summary)),
        _section("data", _data(summary)),
        _section("training", _training(summary)),
        _section("evaluation", _evaluation(summary)),
        _section("time", _time(summary.forecast)),
        _section("memory of one device, in GB", _memory(summary.forecast)),
        _section("disk", _disk(summary.forecast)),
        _section("endpoints", _apis(summary.forecast)),
        _section("money", _money(summary.forecast)),
        _section("what this rests on", _notes(summary.assumptions)),
        _section("warnings", _notes(summary.warnings)),
    ]
    return "\n\n".join(part for part in parts if part)


def _headline(summary: Summary) -> Iterator[str]:
    forecast, unit = summary.forecast, _unit(summary.forecast)
    yield _wrapped(f"{summary.experiment} on the scale {summary.scale.name!r}: {summary.scale.description}")
    yield _wrapped(_extent(summary))
    if not forecast.to_run:
        yield "nothing is left to run"
        return
    devices = f"{forecast.machine.devices} x {forecast.device.description}"
    yield ""
    wall, work = forecast.wall, forecast.device_seconds
    seconds, name = _time_unit(forecast)
    hours = f"{unit} {name}: {_span(work.times(1 / seconds), _number)}"
    yield _wrapped(f"time   {_span(wall, _clock)} on {devices}; {hours}", indent="       ")
    if (usd := forecast.usd) and usd.high >= 1:
        named = {"devices": forecast.rented_usd}
        named |= {who: forecast.api_usd(who) for who in ("teacher", "judge")}
        parts = [f"{who} {_money_shown(each.expected)}" for who, each in named.items() if each and each.high]
        yield _wrapped(f"money  {_span(usd, _money_shown)}{': ' if parts else ''}{', '.join(parts)}", indent="       ")
    yield f"disk   {_gb(forecast.disk_bytes[1])} at the peak, {_gb(forecast.disk_bytes[0])} at the end"
    if forecast.memory:
        most = max(need.memory.total for need in forecast.memory)
        room = f" of {forecast.device.memory_gb:g} GB" if forecast.device.is_gpu else ""
        yield f"memory {_gb(most)}{room} a {unit} at the peak"
    if summary.warnings:
        about = dict.fromkeys(each.about for each in summary.warnings)
        yield f"{_counted(len(summary.warnings), 'warning')} at the end, of {', '.join(about)}"


def _extent(summary: Summary) -> str:
    """How many models, methods, benches and seeds."""
    models = dict.fromkeys(model for each in summary.experiments for model in each.models)
    methods = dict.fromkeys(method for each in summary.experiments for _, method, _ in each.checkpoints)
    parts = [_counted(len(models), "base model")] if models else []
    parts += [_counted(len(methods), "method")] if methods else []
    parts += [_counted(len(summary.benches), "bench", "benches")] if summary.benches else []
    seeds = f"seed {summary.seeds[0]}" if len(summary.seeds) == 1 else f"{len(summary.seeds)} seeds"
    steps = summary.forecast.steps
    return f"{' x '.join([*parts, seeds])}: {len(steps)} steps, {len(summary.forecast.to_run)} of them to run"


def _counted(count: int, one: str, several: str = "") -> str:
    return f"{count} {one if count == 1 else several or one + 's'}"


def _section(heading: str, lines: Iterable[str]) -> str:
    body = "\n".join(lines)
    return f"{heading.upper()}\n{body}" if body else ""


def _steps(summary: Summary) -> Iterator[str]:
    steps = summary.forecast.steps
    names = list(dict.fromkeys(step.cost.artifact.step for step in steps))
    states: Counter[tuple[str, str]] = Counter((step.cost.artifact.step, step.state) for step in steps)
    states.update(("in all", step.state) for step in steps)
    has_unknown = any(step.state == "unknown" for step in steps)
    seconds, unit_name = _time_unit(summary.forecast)
    rows = [["step", "total", "found", "to run", "not known", f"{_unit(summary.forecast)} {unit_name}"]]
    for name in [*names, "in all"]:
        counts = [states[name, state] for state in ("found", "to run", "unknown")]
        hours = _device_time([step for step in steps if name in (step.cost.artifact.step, "in all")], seconds)
        rows.append([name, *map(str, [sum(counts), *counts]), hours])
    yield from _table(
        rows if has_unknown else [[*row[:4], row[5]] for row in rows], "lrrrrr"[: 6 if has_unknown else 5]
    )
    if has_unknown:
        yield _wrapped(
            "not known: what these are made from is resolved at first use, so whether the store has them cannot be told"
            " now; they are counted as to run"
        )


def _device_time(steps: Sequence[PlannedStep], unit: float) -> str:
    seconds = sum(step.cost.device_seconds.expected for step in steps if step.state != "found")
    return _number(seconds / unit) if seconds >= unit / 100 else ""


def _cells(summary: Summary) -> Iterator[str]:
    """Where something is there already: how many of the steps behind each cell are left."""
    states = {step.cost.artifact.key: step.state for step in summary.forecast.steps}
    if "found" not in states.values():
        return
    for experiment in summary.experiments:
        if isinstance(experiment, ScoresExperiment):
            left = {(c.model, c.method, c.bench): _left(c.score, states) for c in experiment.cells}
            columns = list(dict.fromkeys((model, bench) for model, _, bench in left))
            rows = [["steps left of all", *(f"{model} {bench}" for model, bench in columns)]]
            rows += [
                [method, *(left[model, method, bench] for model, bench in columns)] for method in experiment.methods
            ]
            yield from _table(rows, "l" + "r" * len(columns))


def _left(score: Artifact, states: Mapping[str, str]) -> str:
    behind = [each.key for each in ancestry([score])]
    left = sum(states[key] != "found" for key in behind)
    return f"{left} of {len(behind)}" if left else "done"


def _training(summary: Summary) -> Iterator[str]:
    for model in dict.fromkeys(stage.model for stage in summary.stages):
        own = [stage for stage in summary.stages if stage.model == model]
        everybody = {method for stage in own for method in stage.methods}
        yield f"{model}: {summary.scale.models[model].reference}"
        rows = [["stage", "of the methods", "rows", "epochs", "steps", "rate", "beta", "starts from"]]
        room = ROOM_FOR_NAMES - max(len("starts from"), *(len(stage.starts_from) for stage in own))
        rows += [_stage_row(stage, everybody, room) for stage in own]
        yield from _table(rows, "llrrrrrl", indent="  ")
    yield from _common_settings(summary)


def _stage_row(stage: Stage, everybody: set[str], room: int) -> list[str]:
    most = "" if stage.rows_are_exact else "≤"
    return [
        stage.name,
        _of_methods(stage.methods, everybody, room),
        f"{most}{stage.rows:,}",
        str(stage.settings.epochs),
        f"{most}{stage.steps:,}",
        rate_text(stage.settings.learning_rate),
        "" if stage.beta is None else f"{stage.beta:g}",
        stage.starts_from,
    ]


def _of_methods(methods: Sequence[str], everybody: set[str], room: int) -> str:
    """Their names; how many more there are, where those would fill the line."""
    if set(methods) == everybody and len(methods) > 1:
        return ALL
    shown = ", ".join(methods)
    if len(shown) > room and len(methods) > 1:
        shown = f"{methods[0]} and {_counted(len(methods) - 1, 'other')}"
    return shown if len(shown) <= room else f"{shown[: room - 1]}…"


def _common_settings(summary: Summary) -> Iterator[str]:
    """What the stages share."""
    if not summary.stages:
        return
    compute, settings = summary.scale.compute, [stage.settings for stage in summary.stages]
    for batch in sorted({each.global_batch_size for each in settings}):
        how = spread(batch, compute)
        processes = _counted(how.processes, "process", "processes")
        passes = _counted(how.accumulation, "accumulation step")
        yield f"batch {batch} = {processes} x {_counted(how.micro_batch_size, 'row')} at once x {passes}"
    lengths = "/".join(f"{length:,}" for length in sorted({each.max_length for each in settings}))
    warm_up = "/".join(f"{share:.0%}" for share in sorted({each.warmup_share for each in settings}))
    precisions, schedules, optimizers = (
        "/".join(sorted({getattr(each, name) for each in settings})) for name in ("precision", "schedule", "optimizer")
    )
    where = "in the step's own process" if compute.accelerate == SINGLE else f"accelerate {compute.accelerate}"
    kept = ", gradient checkpointing" if compute.gradient_checkpointing else ""
    yield _wrapped(
        f"length {lengths}; {schedules} schedule after {warm_up} warm-up; forward and backward in {precisions},"
        f" weights and {optimizers} in float32; {where}{kept}"
    )
    yield _wrapped(f"trained on: {'; '.join(dict.fromkeys(_trained_on(summary.stages)))}", indent="  ")
    preferring = [stage for stage in summary.stages if stage.reference_policy]
    if preferring and all(stage.reference_policy == stage.starts_from for stage in preferring):
        yield "reference policy of each preference loss: what the stage starts from"
    elif preferring:
        pairs = dict.fromkeys(f"{stage.name}: {stage.reference_policy}" for stage in preferring)
        yield _wrapped(f"reference policy of each preference loss: {'; '.join(pairs)}", indent="  ")
    yield _wrapped(f"answers to train on, and to filter: {sampling_in_words(summary.scale.sampling)}")
    if any(not stage.rows_are_exact for stage in summary.stages):
        yield "≤: the filter may keep fewer, and pairs of equal answers are left out"


def _trained_on(stages: Sequence[Stage]) -> Iterator[str]:
    """What each stage learns from, with the methods where stages of one name differ in it."""
    for stage in stages:
        same_name = [each for each in stages if (each.model, each.name) == (stage.model, stage.name)]
        of = "" if len({each.data for each in same_name}) == 1 else f" of {', '.join(stage.methods)}"
        yield f"{stage.name}{of}: {stage.data}"


def _data(summary: Summary) -> Iterator[str]:
    """What fills the paper's data roles, as far as this run reads it."""
    read = {step.cost.artifact.label for step in summary.forecast.steps}
    rows = []
    for name in ("demonstrations", "improver_data", "preference_data"):
        role = getattr(summary.scale.data, name)
        if any(label.startswith(role.reference) for label in read):
            rows.append([name, f"{role.size:,}", _short_revision(role.reference), role.split])
    if rows:
        yield from _table([["role", "rows", "data set", "split"], *rows], "lrll")


def _short_revision(reference: str) -> str:
    name, at, revision = reference.partition("@")
    return f"{name}{at}{revision[:SHOWN_DIGITS]}"


def _evaluation(summary: Summary) -> Iterator[str]:
    rows = [["bench", "prompts", "answers", "against", "judge", "orders"]]
    for bench in summary.benches:
        orders = "one" if bench.orders == 1 else "both"
        rows.append([bench.name, f"{bench.prompts:,}", bench.decoding, bench.baseline, bench.judge, orders])
    if summary.benches:
        yield from _table(rows, "lrllll")
        sampling = summary.scale.sampling
        yield f"answers of up to {sampling.max_new_tokens:,} tokens, drawn by {sampling.engine}"


def _time(forecast: Forecast) -> Iterator[str]:
    if forecast.to_run:
        seconds, name = _time_unit(forecast)
        unit = _unit(forecast)
        rows = [[f"{unit} {name}", "steps", "tokens", "expected", "low", "high"]]
        for work in forecast.work:
            tokens = _millions(work.tokens.expected) if work.tokens.expected else ""
            rows.append([work.kind, str(work.steps), tokens, *_numbers(work.device_seconds, seconds)])
        steps = sum(work.steps for work in forecast.work)
        rows.append(["in all", str(steps), "", *_numbers(forecast.device_seconds, seconds)])
        rows.append([f"{name} on the clock", "", "", "", "", ""])
        on = _counted(forecast.machine.devices, unit)
        rows.append([f"on {on}", "", "", *_numbers(forecast.wall, seconds)])
        chain = f"the longest chain, on any number of {unit}s"
        rows.append([chain, "", "", *_numbers(forecast.longest_chain, seconds)])
        yield from _table(rows, "lrrrrr")
    yield from _looked_back(forecast)


def _time_unit(forecast: Forecast) -> tuple[float, str]:
    """(seconds, name) of the unit that its times are shown in."""
    expected = forecast.device_seconds.expected
    return (3600, "hours") if expected > 7200 else (60, "minutes") if expected > 600 else (1, "seconds")


def _looked_back(forecast: Forecast) -> Iterator[str]:
    if back := forecast.looked_back:
        took, supposed = back
        ratio = f": {took / supposed.expected:.2f} times as long" if supposed.expected else ""
        yield _wrapped(
            f"looking back: the steps found took {_clock(took)} of a {_unit(forecast)}, where"
            f" {_span(supposed, _clock)} would have been forecast{ratio}"
        )


def _memory(forecast: Forecast) -> Iterator[str]:
    rows = [["", "", "in all", "weights", "gradients", "AdamW", "activations", "logits", "cache"]]
    for need in forecast.memory:
        m = need.memory
        parts = [m.weights, m.gradients, m.optimizer, m.activations, m.logits, m.cache]
        gb = [f"{part / GB:.1f}" if part >= 0.05 * GB else "" for part in parts]
        rows.append([need.model, need.work, f"{m.total / GB:.1f}", *gb])
    if not forecast.memory:
        return
    yield from _table(rows, "llrrrrrrr")
    trained = dict.fromkeys(need.at for need in forecast.memory if need.work == "training")
    yield _wrapped(f"training at its peak: {'; '.join(trained)}; before what an allocator wastes", indent="  ")
    if forecast.device.is_gpu:
        room = [_rooms(need, forecast) for need in forecast.memory if need.work == "generation"]
        yield _wrapped(
            f"generation: the least. vLLM fills 90 % of a GPU, which leaves room to cache {', '.join(room)} tokens",
            indent="  ",
        )


def _rooms(need: MemoryNeed, forecast: Forecast) -> str:
    left = 0.9 * forecast.device.memory_gb * GB - need.memory.weights
    return f"{need.model} {max(0.0, left) / cache_bytes(need.shape):,.0f}"


def _disk(forecast: Forecast) -> Iterator[str]:
    rows = [[need.what, _gb(need.bytes)] for need in forecast.disk if need.bytes > 1e5]
    kept, peak = forecast.disk_bytes
    if rows:
        yield from _table([*rows, ["in all, at the end", _gb(kept)], ["in all, at the peak", _gb(peak)]], "lr")


def _apis(forecast: Forecast) -> Iterator[str]:
    rows = [["", "calls", "prompt tokens", "completion", "expected", "low", "high", "batch API"]]
    for api in forecast.apis:
        tokens = [_millions(api.prompt_tokens.expected), _millions(api.completion_tokens.expected)]
        usd = [_money_shown(each) for each in _three(api.usd)] if api.usd else ["unknown", "", ""]
        batch = _money_shown(api.usd_batch.expected) if api.usd_batch else ""
        rows.append([api.purpose, f"{api.calls:,}", *tokens, *usd, batch])
    if forecast.apis:
        yield from _table(rows, "lrrrrrrr")
        models = list(dict.fromkeys(api.model for api in forecast.apis))
        for model in models:
            purposes = ", ".join(api.purpose for api in forecast.apis if api.model == model)
            yield _wrapped(f"asked: {model}" + (f" ({purposes})" if len(models) > 1 else ""), indent="  ")


def _money(forecast: Forecast) -> Iterator[str]:
    rows = [["", "expected", "low", "high"]]
    if forecast.device_usd and forecast.rented_usd and forecast.usd_per_hour:
        rate = forecast.usd_per_hour
        price = f"${rate.low:g}" if rate.low == rate.high else f"${rate.low:g} to ${rate.high:g}"
        unit = _unit(forecast)
        rented = f"{_counted(forecast.machine.devices, unit)} from start to end, at {price} an hour each"
        rows.append([rented, *map(_money_shown, _three(forecast.rented_usd))])
        rows.append(["  of that, while a step is on them", *map(_money_shown, _three(forecast.device_usd))])
    for who in ("teacher", "judge"):
        if usd := forecast.api_usd(who):
            rows.append([who, *map(_money_shown, _three(usd))])
    if forecast.usd and forecast.usd.high >= 1:
        rows.append(["in all", *map(_money_shown, _three(forecast.usd))])
        yield from _table(rows, "lrrr")


def _notes(notes: Iterable[Note]) -> Iterator[str]:
    for note in notes:
        yield _wrapped(f"- {note.text}", indent="  ")


def _table(rows: Sequence[Sequence[str]], alignment: str, indent: str = "") -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.rjust(width) if align == "r" else cell.ljust(width)
            for cell, width, align in zip(row, widths, alignment, strict=True)
        ]
        yield (indent + "  ".join(cells)).rstrip()


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _unit(forecast: Forecast) -> str:
    return "GPU" if forecast.device.is_gpu else "core"


def _three(value: Range) -> tuple[float, float, float]:
    """As tables show it: expected, low, high."""
    return value.expected, value.low, value.high


def _span(value: Range, show: Callable[[float], str]) -> str:
    return f"{show(value.expected)} ({show(value.low)} to {show(value.high)})"


def _numbers(value: Range, unit: float) -> list[str]:
    return [_number(each / unit) for each in _three(value)]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 99.5 else f"{value:.1f}" if value >= 0.95 else f"{value:.2f}"


def _millions(tokens: float) -> str:
    return f"{tokens / 1e6:,.1f}M" if tokens >= 5e4 else f"{tokens:,.0f}"


def _money_shown(usd: float) -> str:
    return f"${usd:,.0f}" if usd >= 10 else dollars(usd)


def _gb(size: float) -> str:
    if size < GB:
        return f"{size / 1e6:,.0f} MB"
    return f"{size / GB:,.0f} GB" if size >= 10 * GB else f"{size / GB:.1f} GB"


def _clock(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.0f} h"

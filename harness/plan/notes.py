"""The assumptions and warnings of a forecast."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from evals.official_steps import OFFICIAL_DATA
from harness.endpoints.known_models import shutdown_date
from harness.endpoints.reference import EndpointReference
from harness.engine.graph import model_reference
from harness.models.hub import is_repository
from harness.models.openai_teacher import OPENAI, teacher_endpoint
from harness.papers.loading import load_paper
from harness.plan.forecast import GB, Forecast
from harness.plan.hardware import MEASURED_HERE, Hardware, Speed
from harness.plan.settings import Stage
from harness.recipes.benches import baseline_roles
from harness.recipes.recipe import Recipe
from harness.steps.cost import Range
from harness.steps.estimates import PlanNote, load_estimates
from harness.steps.judge_prompt import OFFICIAL_JUDGE
from harness.training.batches import most_processes
from harness.training.launch import accelerate_config

FULL = 0.9
"""Of a device's memory: an estimate above this may not fit."""

_KINDS = {"sft": "training", "preference": "training on pairs"}


def assumptions(forecast: Forecast, hardware: Hardware) -> Iterator[PlanNote]:
    """Give each number that is not from the run's own configuration, with its source."""
    yield from _speeds(forecast, hardware)
    if fixed := forecast.device.seconds_per_step:
        starts = ", ".join(f"{kind} {seconds:g} s" for kind, seconds in fixed.items())
        yield PlanNote("start", f"to start, load and save, each step takes besides: {starts}; assumed, half to twice")
    assumed = {each for step in forecast.to_run for each in step.cost.assumptions}
    yield from sorted(assumed, key=lambda each: each.about)
    if any(step.cost.asking for step in forecast.to_run):
        asking = load_estimates().asking
        seconds = f"{asking.short_seconds:g} s, one that explains itself {asking.long_seconds:g} s"
        yield PlanNote("asking", f"a reply of one token takes {seconds}: {asking.source}")
        yield PlanNote(
            "asking", "a judge's explanation has 400 tokens, as harness eval --dry-run supposes (280 to 800)"
        )
    if forecast.hours_are_your_price:
        yield PlanNote("price", "price of a device: yours, --gpu-usd-per-hour")
    elif price := forecast.device.usd_per_hour:
        source = hardware.sources[price.source]
        yield PlanNote("price", f"price of a device: {source.text} [{source.at}]; --gpu-usd-per-hour takes yours")
    yield PlanNote(
        "schedule",
        "the clock: a step starts when its inputs are there and its devices are free, the longest chain first; a slow"
        " disk, a queue and steps that have to be run again are not in it",
    )
    yield PlanNote("bounds", "low and high: all of these off to the same side at once")


def _speeds(forecast: Forecast, hardware: Hardware) -> Iterator[PlanNote]:
    """Group by source and by what was made of it the rate of each model."""
    rates: dict[tuple[str, str, str], dict[str, Speed]] = {}
    for step in forecast.to_run:
        if known := step.cost.speed:
            kind = "likelihoods" if step.cost.work == "likelihood" else _KINDS.get(known.row.work, known.row.work)
            model = (model_reference(step.cost.artifact) or "").partition("@")[0].rpartition("/")[2]
            rates.setdefault((kind, known.row.source, known.scaled), {})[model] = known
    cited: set[str] = set()
    for (kind, source, scaled), by_model in rates.items():
        each = ", ".join(f"{model} {_rate(known.tokens_per_second)}" for model, known in by_model.items())
        where = hardware.sources[source]
        origin = "as above" if source in cited else f"{where.text} [{where.at}]"
        cited.add(source)
        how = f" ({scaled})" if scaled else ""
        yield PlanNote(f"speed: {kind}", f"{kind}, tokens/s of one device: {each}{how}. From: {origin}")


def _rate(rate: Range) -> str:
    return f"{rate.expected:,.0f} ({rate.low:,.0f} to {rate.high:,.0f})"


def warnings(
    forecast: Forecast, recipe: Recipe, stages: Sequence[Stage], unresolved: Mapping[str, str], today: date
) -> Iterator[PlanNote]:
    """List what a careful reader should know before paying. Raises UserError for an unknown accelerate config."""
    accelerate_config(recipe.compute.accelerate)
    if forecast.machine.is_supposed:
        yield PlanNote(
            "machine",
            f"configs/hardware.yaml has no machine for the scale {recipe.name!r}: estimated for"
            f" {forecast.machine.devices} x {forecast.device.description}; --device and --devices take yours",
        )
    yield from _asked(recipe, today)
    yield from _references(recipe, unresolved)
    yield from _misfits(forecast, recipe, stages)
    unknown = {step.cost.artifact.step: step.cost.unknown for step in forecast.to_run if step.cost.unknown}
    for step, why in unknown.items():
        yield PlanNote("unknown", f"{step} is not in the forecast: {why}")
    for model in sorted({api.model for api in forecast.apis if api.usd is None}):
        yield PlanNote(
            "price", f"configs/judges.yaml has no price for {model} at its endpoint: tokens are counted, not cost"
        )
    if forecast.usd_per_hour is None and forecast.device.is_gpu:
        yield PlanNote("price", "no price of a device hour is known: pass --gpu-usd-per-hour")
    sources = {step.cost.speed.row.source for step in forecast.to_run if step.cost.speed}
    if sources - {MEASURED_HERE}:
        part = "some of the speeds" if MEASURED_HERE in sources else "the speeds"
        yield PlanNote(
            "calibration",
            f"not calibrated: {part} are those of other programs or machines; on the machine that is going to be used"
            " --calibrate measures them, in two minutes",
        )


def _asked(recipe: Recipe, today: date) -> Iterator[PlanNote]:
    """Warn of a judge and of models at endpoints that are not the paper's, or no longer served."""
    is_official = any(role.reference.startswith(OFFICIAL_DATA) for role in baseline_roles(recipe).values())
    judge, papers = recipe.judge.reference(), load_paper(recipe.paper).judge
    withheld = ""
    if "alpaca_eval2" in recipe.benches:
        withheld = ", and AlpacaEval's length-controlled win rate is withheld, whose published calibration is"
    if is_official and judge.model != papers:
        changed = f"the judge is {judge.model}, not {papers}: no number is the paper's metric"
        yield PlanNote("judge", changed + (f"{withheld} that judge's" if withheld else ""))
    consequence = "then no number is the paper's metric" + (f"{withheld} this judge's" if withheld else "")
    yield from _retired("judge", judge, consequence, today)
    consequence = "what learns from it then learns from another model than the paper's"
    for role, reference in recipe.models.items():
        if reference.startswith(OPENAI):
            endpoint = teacher_endpoint(reference)
            if is_official and endpoint.model != OFFICIAL_JUDGE:
                yield PlanNote(role, f"the {role} is {endpoint.model}, the paper's {OFFICIAL_JUDGE}")
            yield from _retired(role, endpoint, consequence, today)


def _retired(role: str, endpoint: EndpointReference, consequence: str, today: date) -> Iterator[PlanNote]:
    option = "--judge-model" if role == "judge" else f"--{role}"
    if (ends := shutdown_date(endpoint)) and ends <= today:
        gone = f"the {role} {endpoint.model} was shut down by its vendor on {ends}; the price is its last."
        yield PlanNote(role, f"{gone} {option} replaces it; {consequence}")


def _references(recipe: Recipe, unresolved: Mapping[str, str]) -> Iterator[PlanNote]:
    roles = [role.reference for role in recipe.data.values()]
    roles += [role.reference for role in recipe.base_models.values()]
    unpinned = [each for each in dict.fromkeys(roles) if is_repository(each) and "@" not in each]
    for reference in unpinned:
        yield PlanNote("revision", f"unpinned: {reference}, resolved at first use and recorded in the provenance")
    if official := [each for each in unresolved if each.startswith("official:")]:
        names = ", ".join(each.removeprefix("official:") for each in official)
        yield PlanNote("revision", f"unpinned: the official data of {names}, the hub's newest at first use")
    missing = [each for each in unresolved if each not in (*unpinned, *official)]
    if missing:
        yield PlanNote("reference", f"not available here: {', '.join(missing)} ({unresolved[missing[0]]})")


def _misfits(forecast: Forecast, recipe: Recipe, stages: Sequence[Stage]) -> Iterator[PlanNote]:
    """List what does not fit on the machine."""
    limit = forecast.device.memory_gb
    for need in forecast.memory:
        if forecast.device.is_gpu and need.memory.total > FULL * limit * GB:
            yield PlanNote(
                "memory",
                f"{need.model}: {need.work} takes about {need.memory.total / GB:.0f} GB of {limit:g} GB a device"
                f" ({need.at}): take a smaller --micro-batch-size, gradient checkpointing or more --processes",
            )
    processes, devices = recipe.compute.processes, forecast.machine.devices
    if stages and forecast.device.is_gpu and processes > devices:
        fitting = most_processes((stage.settings.global_batch_size for stage in stages), recipe.compute, devices)
        yield PlanNote(
            "devices",
            f"trainings run in {processes} processes, and there are {devices} devices: pass --processes {fitting}; the"
            " batch stays the same",
        )

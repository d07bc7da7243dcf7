"""The origin of a report's numbers: the run, its versions, and the cost of each kind of step."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from harness.results.manifest import JudgeRecord, Manifest, StepRecord
from reports.blocks import Column, Group, Prose, Row, Section, Table

_COMMITS = "artifact_commits"

COSTS = {"calls": "calls", "prompt_tokens": "tokens read", "completion_tokens": "tokens written", "usd": "dollars"}
"""What a step's record may count of what a judge or teacher cost -> the head of its column."""

EMBEDDED = "mini:"
"""How the names of judges begin that are part of the harness and cost nothing."""


def section(manifest: Manifest) -> Section:
    """List versions, seeds, judge, machine."""
    rows = tuple(Row((name, value)) for name, value in facts(manifest))
    table = Table((Column(""), Column("", wraps=0.75)), (Group(rows),), name="provenance")
    return Section("provenance", "Provenance", (table,))


def cost_section(manifest: Manifest) -> Section:
    """Show what each kind of step took, the costliest first."""
    steps: dict[str, list[StepRecord]] = {}
    for step in manifest.steps:
        steps.setdefault(step.step, []).append(step)
    costs = [name for name in COSTS if any(name in step.counts for step in manifest.steps)]
    in_order = sorted(steps.items(), key=lambda item: -sum(step.seconds for step in item[1]))
    heads = (
        Column("step"),
        Column("count", number=True),
        Column("found", number=True, tooltip="found in the store by this run"),
        Column("time", number=True, tooltip="recorded when each was run"),
        Column("slowest", number=True),
        Column("which", wraps=0.25, brief=False),
        *(Column(COSTS[name], number=True) for name in costs),
    )
    rows = tuple(Row(_costs(name, each, costs)) for name, each in in_order)
    lead = f"{work(manifest)}. Times are those of when a step was run, also of what this run found in the store. "
    table = Table(heads, (Group(rows),), name="steps", caption="Time and cost of each kind of step")
    return Section("steps", "Cost and time", (Prose(lead + money(manifest)), table))


def _costs(name: str, steps: list[StepRecord], costs: list[str]) -> tuple[str, ...]:
    slowest = max(steps, key=lambda step: step.seconds)
    totals: Counter[str] = Counter()
    for step in steps:
        totals.update({cost: step.counts[cost] for cost in costs if cost in step.counts})
    return (
        name,
        f"{len(steps):,}",
        f"{sum(step.found for step in steps):,}",
        duration(sum(step.seconds for step in steps)),
        duration(slowest.seconds),
        slowest.label,
        *(_cost(cost, totals[cost]) if cost in totals else "" for cost in costs),
    )


def _cost(name: str, total: float) -> str:
    return f"{total:,.2f}" if name == "usd" else f"{total:,.0f}"


def money(manifest: Manifest) -> str:
    """Say how many verdicts were asked for, and what the judge cost as far as the records say."""
    if not manifest.judge.name:
        return "Nothing is judged."
    verdicts = sum(step.counts.get("rows", 0) for step in manifest.steps if step.step == "judge_pairs")
    counted = f"{verdicts:,.0f} verdicts by {manifest.judge.name}" if verdicts else f"Judge {manifest.judge.name}"
    if manifest.judge.name.startswith(EMBEDDED):
        return f"{counted}: embedded judge, no cost (0 tokens, 0 dollars)."
    spent = [step.counts["usd"] for step in manifest.steps if "usd" in step.counts]
    return f"{counted}: {sum(spent):,.2f} dollars." if spent else f"{counted}; their cost is not on record."


def facts(manifest: Manifest) -> list[tuple[str, str]]:
    """Return the run, its judge and what produced it, as lines to print. Package versions come on one line."""
    run = [
        ("command", manifest.command),
        ("scale", manifest.scale + (f" ({manifest.reduced})" if manifest.reduced else "")),
        ("recipe", manifest.recipe),
        ("seeds", ", ".join(map(str, manifest.seeds))),
        *((("teacher", manifest.teacher),) if manifest.teacher else ()),
        ("judge", _judge(manifest.judge)),
        *((f"model {name}", f"{model.description} ({model.reference})") for name, model in manifest.models.items()),
        ("started", manifest.started),
        ("ended", manifest.ended),
        ("time", duration(manifest.seconds)),
    ]
    if manifest.steps:
        run.append(("steps", work(manifest)))
    run.append(("stale steps", "; ".join([*manifest.stale, *filter(None, [manifest.stale_unknown])]) or "none"))
    return [*run, *_flat({k: v for k, v in manifest.provenance.items() if k != _COMMITS}), *_made_by(manifest)]


def _judge(judge: JudgeRecord) -> str:
    parts = (("at", judge.base_url), ("prompt", judge.prompt), ("parser", judge.parser))
    details = ", ".join(f"{name} {value}" for name, value in parts if value)
    named = f"{judge.name}, fingerprint {judge.fingerprint}" if judge.name else "none"
    return named + (f" ({details})" if details else "")


def work(manifest: Manifest) -> str:
    """Format ``223 steps, 13 min 32 s of work; 200 found in the store, 23 run now``: the recorded time of all of
    them."""
    found = sum(step.found for step in manifest.steps)
    seconds = sum(step.seconds for step in manifest.steps)
    total = len(manifest.steps)
    return f"{total} steps, {duration(seconds)} of work; {found} found in the store, {total - found} run now"


def duration(seconds: float) -> str:
    """Format ``1 h 02 min``, ``3 min 20 s`` or ``4.2 s``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _made_by(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Return the commits that the artifacts were made by, where they are known, and whether they are the run's."""
    commits = manifest.provenance.get(_COMMITS) or ()
    if len(commits) > 1:
        yield "made by commits", f"{', '.join(commits)}: artifacts come from several commits"
    elif commits:
        same = commits[0] == manifest.provenance.get("git", {}).get("commit")
        yield "made by commits", commits[0] + ("" if same else ": artifacts come from another commit than the run's")


def _package(package: Mapping[str, Any]) -> str:
    changed = ", with changes that are not committed" if package.get("dirty") else ""
    return f"{package['package']} {package['version']}, commit {package['commit']}{changed}"


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if name == "packages" and isinstance(value, Mapping):
            yield f"{prefix}packages", ", ".join(f"{package} {version}" for package, version in value.items())
        elif name == "outside" and isinstance(value, Mapping):
            yield from ((brought, _package(package)) for brought, package in value.items())
        elif isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", str(value)

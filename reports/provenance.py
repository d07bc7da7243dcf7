"""Where the numbers of a report come from, as (name, value) lines."""

from collections.abc import Iterator, Mapping
from typing import Any

from reports.manifest import Manifest
from reports.tables import DASH

_COMMITS = "artifact_commits"


def facts(manifest: Manifest) -> list[tuple[str, str]]:
    """The run, its judge and what produced it, as lines to print. Package versions come on one line."""
    judge = manifest.judge
    parts = (("prompt", judge.prompt), ("parser", judge.parser))
    details = ", ".join(f"{name} {value}" for name, value in parts if value)
    run = [
        ("command", manifest.command),
        ("scale", manifest.scale + (" (fast: reduced counts)" if manifest.fast else "")),
        ("seeds", ", ".join(map(str, manifest.seeds))),
        ("judge", f"{judge.name}, fingerprint {judge.fingerprint}" + (f" ({details})" if details else "")),
        *((f"model {name}", f"{model.description} ({model.reference})") for name, model in manifest.models.items()),
        ("started", manifest.started),
        ("ended", manifest.ended),
        ("time", duration(manifest.seconds)),
    ]
    if manifest.steps:
        run.append(("steps", work(manifest)))
    return [*run, *_flat({k: v for k, v in manifest.provenance.items() if k != _COMMITS}), *_made_by(manifest)]


def work(manifest: Manifest) -> str:
    """``223 steps, 13 min 32 s of work; 200 found in the store, 23 run now``: the recorded time of all of them."""
    found = sum(step.found for step in manifest.steps)
    seconds = sum(step.seconds for step in manifest.steps)
    total = len(manifest.steps)
    return f"{total} steps, {duration(seconds)} of work; {found} found in the store, {total - found} run now"


def duration(seconds: float) -> str:
    """``1 h 02 min``, ``3 min 20 s`` or ``4.2 s``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def shown(value: Any) -> str:
    """A diagnostic value for people: numbers to three places, text as it is, a dash for nothing."""
    if value is None:
        return DASH
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _made_by(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """The commits that the artifacts were made by, where they are known, and whether they are the run's."""
    commits = manifest.provenance.get(_COMMITS) or ()
    if len(commits) > 1:
        yield "made by commits", f"{', '.join(commits)}: artifacts come from several commits"
    elif commits:
        same = commits[0] == manifest.provenance.get("git", {}).get("commit")
        yield "made by commits", commits[0] + ("" if same else ": artifacts come from another commit than the run's")


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if name == "packages" and isinstance(value, Mapping):
            yield f"{prefix}packages", ", ".join(f"{package} {version}" for package, version in value.items())
        elif isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", str(value)

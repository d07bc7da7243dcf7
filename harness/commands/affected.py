"""`harness regress --rerun-affected`: a run once more with the code as it is now, without what a change cannot reach.

A step is as in the baseline where its key, the code behind it (`harness.engine.code`) and the content of its inputs are
the same. It is then linked from the baseline's store into the candidate's own; all others are run. A step whose code
changed is run before those that follow it: where its result comes out as it was, they are as in the baseline too.
"""

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.commands.reproduce import write_run
from harness.config.yaml_files import from_mapping
from harness.engine.artifacts import Artifact, ancestry, input_keys
from harness.engine.code import code_of
from harness.engine.locks import locked_at_once
from harness.engine.pipeline import checked_plan, run
from harness.engine.staleness import Record, listed
from harness.engine.store import Store, place, read_record, require_writable
from harness.errors import UserError
from harness.experiments import build_experiments
from harness.papers.names import ExhibitName
from harness.provenance import provenance
from harness.results.manifest import StepRecord, read_manifest
from harness.run.options import Choice
from harness.terminal import progress_stream

STORE = "rerun-store"
"""In a candidate's folder. No run has a store of that name, so that what a candidate removes is its own."""

AFTER = "after those"
UNKNOWN = "recorded without their code, so run again"
FAILED = "with failed rows, tried again"
GONE = "no longer in the baseline's store"
OTHER_INPUTS = "made from inputs that the baseline no longer has"


def make_candidate(baseline: Path, candidate: Path) -> None:
    """Make the run in the folder `baseline` again, as far as it is affected, and write it into `candidate`.

    Killed and called again it goes on. No file of the baseline is changed. Prints to stderr what is run and why.
    Raises UserError where the baseline cannot be read or `candidate` is the folder of another run.
    """
    started = datetime.now(UTC)
    before = read_manifest(baseline)
    old = (baseline / before.store).resolve()
    _require_usable(baseline, old, candidate)
    choice = from_mapping(Choice, before.options, f"{baseline / 'manifest.json'}: options")
    request = replace(choice, paper=before.paper.name).request()
    experiments = build_experiments(ExhibitName(before.paper.name, before.run), request)
    targets = [target for experiment in experiments for target in experiment.targets()]
    require_writable(candidate / "checkpoints")
    with _alone(candidate):
        store = Store(candidate / STORE)
        _copy_replies(old, store)
        ran = run_affected(targets, before.steps, old, store)
        write_run(before.run, experiments, request, store, candidate, started=started, ran=ran)


def run_affected(targets: Sequence[Artifact], before: Sequence[StepRecord], old: Path, store: Store) -> frozenset[str]:
    """Fill `store` with all `targets` and what is behind them, from the store at `old` where that has the same.

    `before` are the steps of the run that filled it. Returns the keys of the artifacts that were run.
    """
    for partial in store.root.glob("*/.partial-*"):  # rows in it may be of other code
        shutil.rmtree(partial)
    store = _CandidateStore(store.root)
    rerun = _Rerun(ancestry(targets), before, old, store)
    missing = rerun.settle()
    _report(rerun, missing)
    while missing:
        first = [artifact for artifact in missing if rerun.may_come_out_as_before(artifact)]
        to_run = checked_plan(first or targets, store).missing
        run(first or targets, store)
        store.ran.update(artifact.key for artifact in to_run)
        if not first:
            break
        missing = rerun.settle()
        _tell_outcome(rerun, first, missing)
    return frozenset(store.ran)


class _CandidateStore(Store):
    """Has what this command ran, also where rows of it failed again: they are tried once a command."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.ran: set[str] = set()
        """Keys."""

    def has(self, artifact: Artifact) -> bool:
        """Return whether it is there and not to be made again by this command."""
        return artifact.key in self.ran or super().has(artifact)


class _Rerun:
    """The graph as it is now, beside what the baseline has of it."""

    def __init__(
        self, graph: Sequence[Artifact], before: Sequence[StepRecord], old: Path, store: _CandidateStore
    ) -> None:
        self.graph, self.before, self.old, self.store = graph, before, old, store
        self.settled: dict[str, Record] = {}
        """By key, the records of what is in the store and right."""
        self._known = {step.key for step in before}

    def settle(self) -> list[Artifact]:
        """Take over what is as in the baseline, and remove what is not right any more. Return what is missing."""
        self.settled, missing = {}, []
        for artifact in self.graph:
            record = self._right(self.store.root, artifact)
            if record is None and (record := self._right(self.old, artifact)):
                self._adopt(artifact)
            if record is not None:
                self.settled[artifact.key] = record
                continue
            missing.append(artifact)
            shutil.rmtree(self.store.folder(artifact), ignore_errors=True)
        return missing

    def may_come_out_as_before(self, artifact: Artifact) -> bool:
        """Return whether the baseline made a missing artifact from the same inputs, by other code."""
        record = self.in_baseline(artifact)
        return record is not None and "code" in record and record.get("made_from") == self._inputs(artifact)

    def is_as_before(self, artifact: Artifact) -> bool:
        """Return whether the content of a settled artifact is what the baseline has."""
        record = self.in_baseline(artifact)
        return record is not None and record["content"] == self.settled[artifact.key]["content"]

    def in_baseline(self, artifact: Artifact) -> Record | None:
        """Read its record there."""
        return read_record(self.old / place(artifact), artifact.key)

    def cause(self, artifact: Artifact) -> str:
        """Return why it is missing."""
        record = self.in_baseline(artifact)
        if record is None:
            return self._why_new(artifact)
        then, now = record.get("code"), code_of(artifact)
        if not then or not now:
            return UNKNOWN
        if then != now:
            return f"{listed(sorted(_differing(then, now)))} changed"
        if record["retry"]:
            return FAILED
        return OTHER_INPUTS if self._inputs(artifact) is not None else AFTER

    def _why_new(self, artifact: Artifact) -> str:
        if artifact.key in self._known:
            return GONE
        if any(parent.key not in self._known for parent in artifact.parents()):
            return AFTER
        keys = {each.key for each in self.graph}
        replaced = [
            _changes(artifact, record)
            for step in self.before
            if (step.step, step.label) == (artifact.step, artifact.label) and step.key not in keys
            if (record := read_record(self.old / step.step / step.key, step.key))
        ]
        return f"new in the graph, {min(replaced, key=len)}" if replaced else "new in the graph"

    def _right(self, root: Path, artifact: Artifact) -> Record | None:
        record = read_record(root / place(artifact), artifact.key)
        if record is None or not record.get("code") or record["code"] != code_of(artifact):
            return None
        if record["retry"] and (root != self.store.root or artifact.key not in self.store.ran):
            return None
        return record if record["made_from"] == self._inputs(artifact) else None

    def _inputs(self, artifact: Artifact) -> dict[str, str] | None:
        """Return the content of its inputs; None while one is missing."""
        if any(parent.key not in self.settled for parent in artifact.parents()):
            return None
        return {parent.key: self.settled[parent.key]["content"] for parent in artifact.parents()}

    def _adopt(self, artifact: Artifact) -> None:
        try:
            self.store.adopt(artifact, self.old / place(artifact))
        except OSError as error:
            raise UserError(
                f"cannot take {artifact} over into {self.store.root} ({error.strerror or 'some files'});"
                " fix that and run the same command"
            ) from None


def _changes(artifact: Artifact, record: Record) -> str:
    """Describe in what the artifact differs from one that had its place."""
    if record["version"] != artifact.version:
        return f"version {artifact.version} instead of {record['version']}"
    settings = _differing(record["params"], artifact.params)
    inputs = _differing(record["inputs"], input_keys(artifact.inputs))
    return f"other {', '.join(sorted(settings | inputs))}"


def _differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> set[str]:
    return {name for name in {*first, *second} if first.get(name) != second.get(name)}


# What is printed


def _report(rerun: _Rerun, missing: Sequence[Artifact]) -> None:
    groups: dict[str, list[Artifact]] = {}
    for artifact in missing:
        groups.setdefault(rerun.cause(artifact), []).append(artifact)
    following = groups.pop(AFTER, [])
    for cause, artifacts in groups.items():
        _print(f"{cause}: {_counted(artifacts)}")
    if following:
        _print(f"{AFTER}: {_counted(following)}")
    most = "up to " if any(map(rerun.may_come_out_as_before, missing)) else ""
    as_before = sum(rerun.is_as_before(each) for each in rerun.graph if each.key in rerun.settled)
    made = len(rerun.settled) - as_before
    earlier = f", {made} made before" if made else ""
    _print(f"{most}{len(missing)} of {len(rerun.graph)} steps to run, {as_before} as in the baseline{earlier}")
    _tell_versions(rerun.settled.values())


def _tell_outcome(rerun: _Rerun, first: Sequence[Artifact], missing: Sequence[Artifact]) -> None:
    came_out = [artifact for artifact in first if artifact.key in rerun.settled]
    same = [artifact for artifact in came_out if rerun.is_as_before(artifact)]
    _print(f"{len(same)} of {len(first)} results came out as in the baseline; {_steps(len(missing))} left to run")


def _tell_versions(records: Iterable[Record]) -> None:
    """Report results that are kept though made with other package versions, which are no part of a step's code."""
    here = _versions(provenance())
    differences = Counter(
        f"{name} {version}, here {here.get(name, 'not installed')}"
        for record in records
        for name, version in _versions(record["provenance"]).items()
        if here.get(name) != version
    )
    for difference, count in differences.items():
        _print(f"kept though made with {difference}: {_steps(count)}")


def _versions(origin: Mapping[str, Any]) -> dict[str, str]:
    """Return the versions of packages and Python; the harness itself is left out: its code is compared."""
    packages = {name: version for name, version in origin["packages"].items() if name != "preference-harness"}
    return {**packages, "python": origin["python"]}


def _counted(artifacts: Sequence[Artifact]) -> str:
    names = Counter(artifact.step for artifact in artifacts)
    return f"{', '.join(f'{name} {count}' for name, count in names.items())} ({_steps(len(artifacts))})"


def _steps(count: int) -> str:
    return f"{count} step{'s' * (count != 1)}"


def _print(line: str) -> None:
    print(line, file=progress_stream(), flush=True)


# The folder of a candidate


def _require_usable(baseline: Path, old: Path, candidate: Path) -> None:
    if not old.is_dir():
        raise UserError(f"{baseline} has no store any more: {old} is not there; make the baseline again")
    if candidate.resolve() == baseline.resolve():
        raise UserError(f"{candidate} is the baseline itself; name a new folder for the candidate")
    if (candidate / "store").exists():
        raise UserError(f"{candidate} is a run directory with a store of its own; name a new folder for the candidate")
    if (candidate / "manifest.json").exists() and read_manifest(candidate).store != STORE:
        raise UserError(
            f"{candidate} is a run of its own; name a new folder for the candidate, or leave out --rerun-affected"
        )


@contextmanager
def _alone(candidate: Path) -> Iterator[None]:
    with locked_at_once(candidate / ".lock") as is_free:
        if not is_free:
            raise UserError(f"another run is making {candidate}; wait for it, or name another folder")
        yield


def _copy_replies(old: Path, store: Store) -> None:
    """Copy paid replies, so that none is paid for again; they are not linked, since they are appended to."""
    replies = old / store.reply_cache.name
    if replies.is_dir() and not store.reply_cache.exists():
        aside = store.root / f"{store.reply_cache.name}-copy"
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(replies, aside)
        aside.rename(store.reply_cache)

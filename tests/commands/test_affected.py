"""A candidate runs what a change reaches and nothing else: on toy steps written by each test, and on a tiny table."""

import importlib
import inspect
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from harness.commands import affected
from harness.commands.affected import make_candidate, run_affected
from harness.commands.reproduce import write_run
from harness.engine import code
from harness.engine.artifact_folder import SEAL, content_digest, sealed
from harness.engine.artifacts import Artifact, ancestry
from harness.engine.store import Store
from harness.errors import StepFailed, UserError
from harness.experiments import Request, build_experiments
from harness.recipes.loading import load_recipe
from harness.recipes.recipe import Fast, Recipe
from harness.results.manifest import StepRecord, read_manifest
from harness.run.options import Choice
from tests.sources import forget_sources
from tests.tiny_harness import SIZES

ROOT = Path(__file__).parents[2]

STEPS = """
import os

from harness.engine.artifacts import step
from toys.helpers import twice


def log(name):
    with open(os.environ["STEP_LOG"], "a") as file:
        file.write(name + " ")


@step()
def count(out, *, start):
    log("count")
    out.write_json("value.json", start)


@step()
def double(out, *, value):
    log("double")
    out.write_json("value.json", twice(value.json("value.json")))


@step()
def add(out, *, values):
    log("add")
    out.write_json("value.json", sum(each.json("value.json") for each in values))


@step()
def negate(out, *, value):
    log("negate")
    out.write_json("value.json", -value.json("value.json"))


@step()
def stumble(out, *, value):
    log("stumble")
    out.retry = True  # rows of it fail, always
    out.write_json("value.json", twice(value.json("value.json")))


@step(resumable=True)
def extend(out, *, value):
    log("extend")
    path = out.folder / "value.json"
    path.write_text((path.read_text() if path.exists() else "") + "1")
"""
HELPERS = """
def twice(value):
    return 2 * value
"""


class Toys:
    """Toy steps in a package of their own, a baseline made with them, and candidates."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.write()
        self.steps: Any = importlib.import_module("toys.steps")
        self.targets = self.graph()
        self.baseline = Store(folder / "baseline")
        self.candidate = Store(folder / "candidate")
        self.before = [StepRecord(each.step, each.label, each.key, 0.0, False) for each in ancestry(self.targets)]
        self.run(self.targets, self.baseline, self.candidate, [])
        self.files = self.contents()

    def write(self, helpers: str = HELPERS, steps: str = STEPS) -> None:
        """The package as it is from now on."""
        package = self._folder / "toys"
        package.mkdir(exist_ok=True)
        for name, text in (("__init__.py", ""), ("helpers.py", helpers), ("steps.py", steps)):
            (package / name).write_text(text)
        forget_sources()

    def graph(self) -> list[Artifact]:
        counts = [self.steps.count(start=start) for start in (1, 2)]
        doubled = [self.steps.double(value=each) for each in counts]
        return [self.steps.add(values=doubled), self.steps.negate(value=counts[0])]

    def run(self, targets: list[Artifact], store: Store, old: Store, before: list[StepRecord]) -> Counter[str]:
        """The steps that were executed, by name."""
        log = Path(os.environ["STEP_LOG"])
        log.write_text("")
        ran = run_affected(targets, before, old.root, store)
        executed = Counter(log.read_text().split())
        assert sum(executed.values()) == len(ran)
        return executed

    def rerun(self, targets: list[Artifact] | None = None) -> Counter[str]:
        """The candidate, made with the code as it is."""
        return self.run(targets or self.targets, self.candidate, self.baseline, self.before)

    def value(self, artifact: Artifact) -> Any:
        return self.candidate.bind(artifact).json("value.json")

    def contents(self) -> dict[str, tuple[bytes, int]]:
        """Every file of the baseline, and when it was written."""
        files = (path for path in self.baseline.root.rglob("*") if path.is_file())
        return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Toys]:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("STEP_LOG", str(tmp_path / "log"))
    made = Toys(tmp_path)
    yield made
    assert made.contents() == made.files
    for name in ("toys.steps", "toys.helpers", "toys"):
        sys.modules.pop(name, None)
    forget_sources()


def test_without_a_change_nothing_is_run(toys: Toys, capsys: pytest.CaptureFixture[str]):
    toys.write(HELPERS + "# a remark\n")
    assert toys.rerun() == {}
    assert [toys.value(target) for target in toys.targets] == [6, -1]
    assert "0 of 6 steps to run, 6 as in the baseline" in capsys.readouterr().err
    names = [
        toys.baseline.folder(toys.targets[0]) / "value.json",
        toys.candidate.folder(toys.targets[0]) / "value.json",
    ]
    assert names[0].samefile(names[1])


def test_a_change_reaches_the_step_and_what_follows_it(toys: Toys, capsys: pytest.CaptureFixture[str]):
    toys.write(HELPERS.replace("2 * value", "20 * value"))
    assert toys.rerun() == {"double": 2, "add": 1}
    assert [toys.value(target) for target in toys.targets] == [60, -1]
    said = capsys.readouterr().err
    assert (
        "toys.helpers changed: double 2 (2 steps)\nafter those: add 1 (1 step)\nup to 3 of 6 steps to run, 3 as" in said
    )
    assert toys.rerun() == {}


def test_a_change_without_effect_ends_where_it_is(toys: Toys, capsys: pytest.CaptureFixture[str]):
    toys.write(HELPERS.replace("2 * value", "value + value"))
    assert toys.rerun() == {"double": 2}
    assert "2 of 2 results came out as in the baseline; 0 steps left to run" in capsys.readouterr().err
    assert toys.value(toys.targets[0]) == 6
    assert toys.rerun() == {}


def test_a_change_of_the_graph_runs_the_new_part_only(toys: Toys, capsys: pytest.CaptureFixture[str]):
    total, negated = toys.targets
    doubled = list(total.parents())
    assert toys.rerun([toys.steps.negate(value=toys.steps.add(values=doubled[::-1])), negated]) == {
        "add": 1,
        "negate": 1,
    }
    assert "new in the graph, other values: add 1 (1 step)\nafter those: negate 1 (1 step)" in capsys.readouterr().err


def test_a_failed_candidate_goes_on_with_the_code_as_it_is_then(toys: Toys):
    helpers = HELPERS.replace("2 * value", "20 * value")
    toys.write(helpers, STEPS.replace("sum(", "no_such_name("))
    with pytest.raises(StepFailed, match="no_such_name"):
        toys.rerun()
    toys.write(helpers)
    assert toys.rerun() == {"add": 1}
    assert toys.value(toys.targets[0]) == 60
    toys.write()
    assert toys.rerun() == {}
    assert toys.value(toys.targets[0]) == 6


def test_half_a_step_of_other_code_is_not_gone_on_with(toys: Toys):
    extended = toys.steps.extend(value=toys.targets[0])
    partial = toys.candidate.folder(extended).with_name(f".partial-{extended.key}")
    partial.mkdir(parents=True)
    (partial / "value.json").write_text("0")
    assert toys.rerun([extended]) == {"extend": 1}
    assert toys.value(extended) == 1


def edit_record(store: Store, artifact: Artifact, **changes: Any) -> None:
    """Has the record be one of another artifact; what is None is left out."""
    path = store.folder(artifact) / "artifact.json"
    record = {**json.loads(path.read_text()), **changes, SEAL: None}
    if "counts" in changes:
        record["content"] = content_digest(record["digests"], record["counts"])
    path.write_text(json.dumps(sealed({name: value for name, value in record.items() if value is not None})))


@pytest.mark.parametrize(
    ("changes", "executed", "said"),
    [
        ({"code": None, "content": None, "made_from": None}, {"count": 1, "double": 1}, affected.UNKNOWN),
        ({"retry": True}, {"count": 1}, affected.FAILED),
        ({"key": "another"}, {"count": 1}, affected.GONE),
        ({"counts": {"other": 1}}, {"double": 1, "add": 1}, affected.OTHER_INPUTS),
    ],
)
def test_what_the_baseline_cannot_vouch_for_is_run_again(
    toys: Toys, changes: dict[str, Any], executed: dict[str, int], said: str, capsys: pytest.CaptureFixture[str]
):
    first = next(next(toys.targets[0].parents()).parents())
    edit_record(toys.baseline, first, **changes)
    toys.files = toys.contents()
    ran = toys.rerun()
    assert said in capsys.readouterr().err
    assert ran["count"] == executed.get("count", 0)
    assert toys.value(toys.targets[0]) == 6


@pytest.mark.parametrize("helpers", [HELPERS, HELPERS.replace("2 * value", "value + value")])
def test_rows_that_fail_again_are_tried_once_a_command(toys: Toys, helpers: str):
    """Alone, and beside a change that is looked at first; what follows them is made of what there is."""
    targets = [toys.steps.negate(value=toys.steps.stumble(value=each.inputs["value"])) for each in toys.targets[1:]]
    targets += toys.targets
    toys.run(targets, toys.baseline, toys.candidate, [])
    toys.files = toys.contents()
    toys.write(helpers)
    for again in range(2):
        ran = toys.rerun(targets)
        assert (ran["stumble"], ran["negate"]) == (1, 1)
        assert ran["double"] == (2 if helpers != HELPERS and not again else 0)
        assert toys.value(targets[0]) == -2


def test_versions_of_packages_are_told_and_rerun_nothing(toys: Toys, capsys: pytest.CaptureFixture[str]):
    target = toys.targets[0]
    origin = toys.baseline.record(target)["provenance"]
    edit_record(toys.baseline, target, provenance={**origin, "packages": {**origin["packages"], "numpy": "0.1"}})
    toys.files = toys.contents()
    assert toys.rerun() == {}
    assert "kept though made with numpy 0.1, here " in capsys.readouterr().err


def test_replies_that_were_paid_for_are_copied(toys: Toys):
    toys.baseline.reply_cache.mkdir()
    (toys.baseline.reply_cache / "judge.jsonl").write_text("{}\n")
    toys.files = toys.contents()
    affected._copy_replies(toys.baseline.root, toys.candidate)
    with (toys.candidate.reply_cache / "judge.jsonl").open("a") as file:
        file.write("{}\n")
    affected._copy_replies(toys.baseline.root, toys.candidate)
    assert len((toys.candidate.reply_cache / "judge.jsonl").read_text().splitlines()) == 2


# A tiny table

METHODS = ("sft", "spin")


SMALL = {**SIZES, "demonstrations": 32, "preference_data": 64, "alpaca_eval2": 12, "arena_hard": 8}


def load_small_recipe(name: str, **_: Any) -> Recipe:
    """A tiny scale on which a preference stage has a second step: the first has a learning rate of 0."""
    recipe = load_recipe(name)
    sampling = replace(recipe.sampling, max_new_tokens=24)
    return replace(recipe, sampling=sampling, fast=Fast(("llama",), SMALL)).faster()


@dataclass(frozen=True)
class Table:
    folder: Path
    reached: dict[str, set[code.Symbol]]
    """By step, what was executed of ours."""

    def contents(self) -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in self.folder.parent.rglob("*") if path.is_file()}


def recorded(run: Callable[[], object]) -> set[code.Symbol]:
    """The definitions of our packages whose code runs in `run`."""
    seen: set[tuple[str, str]] = set()

    def notice(frame: FrameType, event: str, _: object) -> None:
        name = frame.f_globals.get("__name__", "")
        in_function = frame.f_code.co_flags & inspect.CO_OPTIMIZED  # not a module or the body of a class
        if in_function and name.partition(".")[0] in code.OURS:
            seen.add((name, frame.f_code.co_qualname))

    sys.settrace(notice)
    try:
        run()
    finally:
        sys.settrace(None)
    generated = ("<", "__create_fn__")  # the methods of dataclasses, lambdas at the top of a module
    return {code.Symbol(module, name.partition(".")[0]) for module, name in seen if not name.startswith(generated)}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """A run of two methods, made in this process."""
    from trl import DPOTrainer, SFTTrainer  # noqa: F401  (imported without being traced)

    folder = tmp_path_factory.mktemp("baseline")
    asked = asdict(Choice("mini", fast=True, methods=METHODS))
    request = Request(load_small_recipe("mini"), (0,), (), METHODS, asked)
    experiments = build_experiments("table3", request)
    store, started = Store(folder / "store"), datetime.now(UTC)
    reached: dict[str, set[code.Symbol]] = {}
    for artifact in ancestry(target for each in experiments for target in each.targets()):
        if artifact.function in reached:  # tracing takes time
            store.build(artifact)
        else:
            reached[artifact.function] = recorded(lambda one=artifact: store.build(one))  # type: ignore[misc]
    run = folder / "table3"
    (run / "checkpoints").mkdir(parents=True)
    write_run("table3", experiments, request, store, run, started=started, ran=frozenset())
    return Table(run, reached)


MACHINERY = (
    "harness.provenance",
    *(f"harness.engine.{name}" for name in ("artifact_folder", "artifacts", "code", "locks", "store")),
)
"""What runs around a step: the store and what it writes into records, digests of code and of content among it."""
HASHED_BY_THE_STORE = code.Symbol("harness.files", "file_digest")


def test_all_that_ran_in_a_step_is_in_its_digest(table: Table):
    for function, ran in table.reached.items():
        module, _, name = function.partition(":")
        known = code.closure([code.Symbol(module, name)])
        around = {each for each in ran if each.module in MACHINERY or not code.is_counted(each)} | {HASHED_BY_THE_STORE}
        assert ran - known - around == set(), function


CANDIDATE = """
import sys
from pathlib import Path
from harness.commands import affected
from harness.run import options
from tests.command import use_one_worker
from tests.commands.test_affected import load_small_recipe
use_one_worker()
options.load_recipe = load_small_recipe
affected.make_candidate(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def start_candidate(checkout: Path, baseline: Path, candidate: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", CANDIDATE, str(baseline), str(candidate)],
        cwd=checkout,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        text=True,
        stderr=subprocess.PIPE,
    )


def test_swapped_pairs_are_trained_on_again_and_all_else_is_kept(table: Table, tmp_path: Path):
    checkout, candidate = tmp_path / "checkout", tmp_path / "candidate"
    for name in ("harness", "methods", "evals", "reports", "configs", "tests"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    path = checkout / "harness/steps/data.py"
    honest = "PreferencePair(chosen.prompt, chosen.text, rejected.text,"
    assert honest in path.read_text()
    path.write_text(path.read_text().replace(honest, "PreferencePair(chosen.prompt, rejected.text, chosen.text,"))
    before = table.contents()

    killed = start_candidate(checkout, table.folder, candidate)
    finished = candidate / affected.STORE / "preference_pairs"
    deadline = time.monotonic() + 120
    while not any(finished.glob("[!.]*")):
        assert killed.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(killed.pid, signal.SIGKILL)
    _, said = killed.communicate()
    after = "reference_log_probabilities 1, train_preferences 1, respond 2,"
    assert f"harness.steps.data changed: preference_pairs 1 (1 step)\nafter those: {after}" in said
    paired = next(finished.glob("[!.]*/artifact.json")).stat()

    last = start_candidate(checkout, table.folder, candidate)
    _, said = last.communicate(timeout=300)
    assert last.returncode == 0, said
    assert next(finished.glob("[!.]*/artifact.json")).stat() == paired
    assert table.contents() == before

    again, original = read_manifest(candidate), read_manifest(table.folder)
    assert {step.key for step in again.steps} == {step.key for step in original.steps}
    remade = Counter(
        step.step
        for step in again.steps
        if not (candidate / again.store / step.step / step.key / "artifact.json").samefile(
            table.folder / original.store / step.step / step.key / "artifact.json"
        )
    )
    scored = {"respond": 2, "judge_pairs": 2, "gold_quality": 2, "score_alpaca_eval2": 1, "score_arena_hard": 1}
    trained = {"preference_pairs": 1, "reference_log_probabilities": 1, "train_preferences": 1}
    assert remade.items() >= {**trained, **scored}.items()
    assert set(remade) <= {*trained, *scored, "compare_alpaca_eval2", "compare_arena_hard"}
    assert (candidate / "checkpoints/llama-spin-seed0/config.json").is_file()


def test_a_candidate_has_a_folder_of_its_own(table: Table, tmp_path: Path):
    with pytest.raises(UserError, match="is the baseline itself"):
        make_candidate(table.folder, table.folder.parent / "table3" / ".")
    with pytest.raises(UserError, match="is a run of its own; name a new folder"):
        make_candidate(table.folder, Path(shutil.copytree(table.folder, tmp_path / "other", symlinks=True)))
    lost = Path(shutil.copytree(table.folder, tmp_path / "lost" / "table3", symlinks=True))
    with pytest.raises(UserError, match="no store any more"):
        make_candidate(lost, tmp_path / "candidate")

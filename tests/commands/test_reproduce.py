"""`harness reproduce` from end to end on a tiny scale: real training, generation, judging, scoring and report."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from harness.commands import reproduce
from harness.engine.artifact_folder import SEAL, sealed
from harness.engine.artifacts import Artifact, ancestry
from harness.engine.store import Store
from harness.experiments import Experiment, Request, build_experiments
from harness.experiments.scores import ScoresExperiment
from harness.recipes import benches
from harness.records import read_rows
from harness.results.manifest import read_manifest
from harness.results.training_curves import read_curves
from harness.run import options
from harness.run.options import Choice
from harness.training.job import TrainingStep
from tests.command import Harness
from tests.tiny_harness import SIZES, load_tiny_recipe

ROOT = Path(__file__).parents[2]
METHODS = ("sft", "dpo", "sgpo")
TABLE = ("reproduce", "table3", "--methods", ",".join(METHODS))
COLUMNS = {("alpaca_eval2", "length_controlled_winrate"), ("alpaca_eval2", "win_rate"), ("arena_hard", "score")}


@dataclass(frozen=True)
class Finished:
    exit_code: int
    out: str
    err: str
    processor_seconds: float

    @property
    def table(self) -> str:
        """What is printed of the table itself, above its notes."""
        return self.out.partition("Ours:")[0]


class Run:
    """A run directory, and commands that work in it in processes of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.report = folder / "sgpo" / "table3"

    def start(self, *arguments: str, options: tuple[str, ...] = ()) -> "subprocess.Popen[str]":
        command = [sys.executable, *options, "-m", "tests.tiny_harness", *arguments, "--run-dir", str(self.folder)]
        environment = {**os.environ, "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def start_table(self, *arguments: str, options: tuple[str, ...] = ()) -> "subprocess.Popen[str]":
        command = (*TABLE[:2], *arguments) if arguments else TABLE
        return self.start(*command, options=options)

    def make_table(self, *arguments: str, options: tuple[str, ...] = ()) -> Finished:
        return finished(self.start_table(*arguments, options=options))

    def manifest(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.report / "manifest.json").read_text())
        return content

    def table3(self) -> dict[str, Any]:
        """The table's result in the manifest."""
        [result] = self.manifest()["results"]
        assert (result["kind"], result["exhibit"]["name"]) == ("scores", "table3")
        return dict(result)

    def records(self) -> dict[str, tuple[int, int]]:
        """Of each finished step by key: which file its record is and when it was written, so that repeats show."""
        return {
            path.parent.name: (path.stat().st_ino, path.stat().st_mtime_ns)
            for path in (self.folder / "store").glob("*/*/artifact.json")
            if not path.parent.name.startswith(".")
        }

    def payload(self) -> dict[str, bytes]:
        """Every file of every artifact, but for the records, which tell times."""
        store = self.folder / "store"
        files = [path for path in store.glob("*/*/**/*") if path.is_file() and path.name != "artifact.json"]
        named = {str(path.relative_to(store)): path for path in files}
        return {name: path.read_bytes() for name, path in named.items() if not name.startswith(".")}

    def figures(self) -> dict[str, bytes]:
        """The files of the report that say nothing of times."""
        names = ("table3.csv", "table3.tex", "tests.csv", "tests.tex", "figures/table3.svg", "figures/table3.pdf")
        return {name: (self.report / name).read_bytes() for name in names}


def finished(process: "subprocess.Popen[str]") -> Finished:
    before = os.times()
    out, err = process.communicate(timeout=300)
    after = os.times()
    spent = after.children_user - before.children_user + after.children_system - before.children_system
    return Finished(process.returncode, out, err, spent)


def built_steps(err: str) -> list[str]:
    """The steps that a process made itself, by its progress lines."""
    ended = re.findall(r"^\[ *\d+/\d+\] (.+)$", err, re.MULTILINE)
    return [line for line in ended if "made by another process" not in line]


def experiment() -> Experiment:
    [built] = build_experiments("table3", Request(load_tiny_recipe("mini"), (0,), methods=METHODS))
    return built


@cache
def needed() -> dict[str, Artifact]:
    return {artifact.key: artifact for artifact in ancestry(experiment().targets())}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Finished]:
    """A run from an empty directory, and what it printed."""
    run = Run(tmp_path_factory.mktemp("undisturbed") / "run")
    first = run.make_table()
    assert first.exit_code == 0, first.err
    return run, first


@pytest.fixture
def copied(undisturbed: tuple[Run, Finished], tmp_path: Path) -> Run:
    """A copy of the undisturbed run, for tests that add to it."""
    return Run(shutil.copytree(undisturbed[0].folder, tmp_path / "run", symlinks=True))


@pytest.fixture
def tiny_harness(copied: Run, harness: Harness, monkeypatch: pytest.MonkeyPatch) -> Harness:
    """The command on the tiny scale and the copied run, in this process: steps have a worker as ever."""
    for module in (options, benches):
        monkeypatch.setattr(module, "load_recipe", load_tiny_recipe)
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *arguments: harness(*arguments, "--run-dir", copied.folder)


# What a run leaves


def test_every_step_is_made_once_and_announced_beforehand(undisturbed: tuple[Run, Finished]) -> None:
    run, first = undisturbed
    assert run.records().keys() == needed().keys()
    assert len(built_steps(first.err)) == len(needed())
    assert re.search(rf"^in all +{len(needed())} +0 +{len(needed())}  \(0% found\)$", first.err, re.MULTILINE)
    assert first.err.index("in all") < first.err.index("[ 1/")


def test_the_report_is_there_and_printed(undisturbed: tuple[Run, Finished]) -> None:
    run, first = undisturbed
    figures = {f"figures/{name}.{kind}" for name in ("table3", "curves-llama") for kind in ("pdf", "png", "svg")}
    texts = {"report.md", "index.html", "table3.tex", "table3.csv", "tests.tex", "tests.csv"}
    expected = {*texts, *figures, "manifest.json", "curves.jsonl"}
    files = [path.relative_to(run.report) for path in run.report.rglob("*.*") if path.is_file()]
    assert expected == {str(path) for path in files if path.parts[0] not in ("artifacts", "checkpoints", "scores")}
    assert all((run.report / name).stat().st_size > 200 for name in expected)
    assert str(run.report / "index.html") in first.out
    assert "resource_tracker" not in first.err  # of semaphores that killed workers leave
    assert "not comparable: scale" in first.out
    for method in ("SFT", "DPO", "SGPO"):
        assert re.search(rf"^ *{method} +\d", first.table, re.MULTILINE)
    page = (run.report / "index.html").read_text()
    assert not re.findall(
        r"(?:src|href)=[\"'](?!#|data:)[^\"']*[\"']", re.sub(r'<a [^>]*href="https?:[^"]*"', "", page)
    )


def test_the_csv_holds_the_numbers_of_the_manifest(undisturbed: tuple[Run, Finished]) -> None:
    run, _ = undisturbed
    with (run.report / "table3.csv").open(newline="") as file:
        shown = {(row["method"], row["bench"], row["metric"]): row for row in csv.DictReader(file)}
    cells = {(cell["method"], cell["bench"], cell["metric"]): cell for cell in run.table3()["cells"]}
    assert shown.keys() == cells.keys()
    for place, cell in cells.items():
        assert [float(shown[place][name]) for name in ("ours", "lo", "hi")] == [cell["value"], *cell["ci95"]]
        assert shown[place]["verdict"] == "not comparable: scale"


def test_the_manifest_is_complete(undisturbed: tuple[Run, Finished]) -> None:
    run, _ = undisturbed
    content = run.manifest()
    read_manifest(run.report)  # strict
    assert {name: content[name] for name in ("run", "scale", "fast", "seeds")} == {
        "run": "table3",
        "scale": "mini",
        "fast": True,
        "seeds": [0],
    }
    assert content["paper"]["name"] == "sgpo" and content["options"]["methods"] == list(METHODS)
    assert run.table3()["rows"] == list(METHODS)
    assert (run.report / content["store"]).resolve() == (run.folder / "store").resolve()
    assert content["command"].startswith("harness reproduce table3 --methods sft,dpo,sgpo")
    assert content["models"].keys() == {"llama"}
    assert content["judge"]["name"] == "mini:judge"
    assert content["provenance"].keys() >= {"git", "packages", "python", "platform"}
    assert content["seconds"] > 0 and content["started"] <= content["ended"]
    assert len(content["deviations"]) > 10
    assert {claim["verdict"] for claim in content["claims"]} <= {"no verdict", "not run"}  # one seed
    assert {step["key"] for step in content["steps"]} == needed().keys()
    assert not any(step["found"] for step in content["steps"])


def test_the_curves_are_those_of_every_training(undisturbed: tuple[Run, Finished]) -> None:
    run, _ = undisturbed
    stages = read_curves(run.report)
    assert [(stage.stage, stage.methods) for stage in stages] == [
        ("SFT", METHODS),
        ("DPO", ("dpo",)),
        ("improver", ("sgpo",)),
        ("preference stage", ("sgpo",)),
    ]
    for course in (course for stage in stages for course in stage.trainings):
        steps = read_rows(run.folder / "store" / course.artifact / "train.jsonl", TrainingStep)
        for name, values in course.values.items():
            assert values == pytest.approx([getattr(step, name) for step in steps], rel=1e-5)
    assert all(("reward_margin" in stage.trainings[0].values) == bool(stage.loss) for stage in stages)


def test_each_cell_is_the_score_that_its_artifact_holds(undisturbed: tuple[Run, Finished]) -> None:
    run, _ = undisturbed
    cells = run.table3()["cells"]
    assert {(cell["method"], cell["bench"], cell["metric"]) for cell in cells} == {
        (method, *column) for method in METHODS for column in COLUMNS
    }
    prints: dict[str, set[str]] = {cell["bench"]: set() for cell in cells}
    for cell in cells:
        scores = json.loads((run.folder / "store" / cell["artifact"] / "scores.json").read_text())
        assert cell["value"] == scores["mean"][cell["metric"]]
        assert cell["ci95"] == scores["ci95"][cell["metric"]]
        assert cell["ci95"][0] <= cell["value"] <= cell["ci95"][1]
        assert (cell["n"], cell["n_missing"]) == (SIZES[cell["bench"]], 0)
        prints[cell["bench"]].add(cell["judge"])
    assert all(len(judges) == 1 for judges in prints.values())


def test_a_copied_report_is_rendered_regressed_and_compared_without_its_store(
    undisturbed: tuple[Run, Finished], tmp_path: Path, harness: Harness
) -> None:
    run, _ = undisturbed
    copy = tmp_path / "far" / "away"
    shutil.copytree(run.report, copy, symlinks=True, ignore=shutil.ignore_patterns("checkpoints"))
    before = {path: path.read_bytes() for path in copy.glob("*.*")}
    for path in before.keys() - {copy / "manifest.json", copy / "curves.jsonl"}:
        path.unlink()
    printed = harness("report", copy).out
    assert "Llama3-Base (8B)" in printed and str(copy / "index.html") in printed
    assert {path: path.read_bytes() for path in copy.glob("*.*")} == before
    assert "9 same." in harness("regress", "--baseline", copy, "--candidate", run.report, "--out", tmp_path).out
    files = [copy / f"scores/llama-{name}-arena_hard/seed-0/model_judgment.jsonl" for name in ("sgpo", "sft")]
    assert "sgpo" in harness("compare", "--bench", "arena_hard", *files).out


def test_comparisons_are_paired_on_all_prompts(undisturbed: tuple[Run, Finished]) -> None:
    run, _ = undisturbed
    compared = [each for claim in run.manifest()["claims"] for each in claim["comparisons"]]
    done = [each for each in compared if each["verdict"] != "not run"]
    assert {(each["better"], each["worse"]) for each in done} == {("sgpo", "sft"), ("sgpo", "dpo"), ("dpo", "sft")}
    cells = {(c["method"], c["bench"], c["metric"]): c["value"] for c in run.table3()["cells"]}
    for each in done:
        column = (each["bench"], each["metric"])
        difference = cells[each["better"], *column] - cells[each["worse"], *column]
        assert each["difference"] == pytest.approx(difference, abs=1e-6)
        assert each["n_prompts"] == SIZES[each["bench"]]
    assert {each["model"] for each in done} == {"llama"}
    assert {each["verdict"] for each in done} <= {"above", "below", "undecided"}  # of one training seed
    left = [each for each in compared if each not in done and each["model"] == "llama"]
    assert all(not {each["better"], each["worse"]} <= set(METHODS) for each in left)


def test_the_official_files_of_each_evaluation_are_there(undisturbed: tuple[Run, Finished]) -> None:
    run, _ = undisturbed
    for cell in run.table3()["cells"]:
        folder = run.folder / "store" / cell["artifact"] / "seed-0"
        names = {path.name for path in folder.iterdir()}
        if cell["bench"] == "alpaca_eval2":
            assert names == {"annotations.json", "model_outputs.json", "leaderboard.csv", "scores.json"}
            assert len(json.loads((folder / "annotations.json").read_text())) == SIZES["alpaca_eval2"]
        else:
            assert names == {"model_judgment.jsonl", "model_answer.jsonl", "scores.json"}
            assert len((folder / "model_answer.jsonl").read_text().splitlines()) == SIZES["arena_hard"]


# The second run


def test_a_second_run_finds_everything_and_loads_no_model_library(undisturbed: tuple[Run, Finished]) -> None:
    run, first = undisturbed
    before, figures = run.records(), run.figures()
    second = run.make_table(options=("-X", "importtime"))
    assert second.exit_code == 0
    imported = set(re.findall(r"^import time: .*\| +([\w.]+)$", second.err, re.MULTILINE))
    assert "harness.run.manifest" in imported
    assert imported.isdisjoint({"torch", "transformers", "trl", "datasets", "harness.engine.workers"})
    assert re.search(r"^in all +(\d+) +\1 +0  \(100% found\)$", second.err, re.MULTILINE)
    assert built_steps(second.err) == []
    assert (run.records(), run.figures(), second.table) == (before, figures, first.table)
    assert all(step["found"] for step in run.manifest()["steps"])
    assert len(run.manifest()["steps"]) == len(needed())
    assert second.processor_seconds < first.processor_seconds / 3


# Killed and run again; two at once


def wait_until(condition: Callable[[], object], process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)


def test_killed_twice_and_run_again_gives_the_same_table_and_repeats_no_finished_step(
    undisturbed: tuple[Run, Finished], tmp_path: Path
) -> None:
    expected, first = undisturbed
    run = Run(tmp_path / "run")
    store = run.folder / "store"

    def in_training() -> bool:
        return any((store / "train_sft").glob(".partial-*/trainer")) if (store / "train_sft").exists() else False

    def in_the_middle() -> bool:
        return len(run.records()) > 0.6 * len(needed())

    seen: dict[str, tuple[int, int]] = {}
    for moment in (in_training, in_the_middle):
        process = run.start_table()
        wait_until(moment, process)
        os.kill(process.pid, signal.SIGKILL)  # the workers are left to notice by themselves
        process.communicate()
        records = run.records()
        assert records.items() >= seen.items()
        seen = records
    assert 0 < len(seen) < len(needed())
    last = run.make_table()
    assert last.exit_code == 0, last.err
    assert run.records().items() >= seen.items()
    assert len(built_steps(last.err)) <= len(needed()) - len(seen)
    assert_same(run, expected)
    assert last.table == first.table


def test_two_runs_in_one_directory_share_the_work_and_lose_nothing(
    undisturbed: tuple[Run, Finished], tmp_path: Path
) -> None:
    expected, first = undisturbed
    run = Run(tmp_path / "run")
    both = [finished(process) for process in [run.start_table(), run.start_table()]]
    assert [each.exit_code for each in both] == [0, 0], [each.err for each in both]
    assert sum(len(built_steps(each.err)) for each in both) == len(needed())
    assert_same(run, expected)
    assert {each.table for each in both} == {first.table}


@pytest.mark.parametrize("moment", ["replace", "symlink"])
def test_two_runs_that_end_at_the_same_moment_both_succeed(
    copied: Run, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options, "load_recipe", load_tiny_recipe)
    genuine, others = getattr(os, moment), 0
    ended: list[Path] = []

    def end() -> None:
        ended.append(reproduce.reproduce("table3", Choice("mini", fast=True, methods=METHODS), copied.folder)[1])

    def after_another_run_has_ended(*arguments: Any, **options: Any) -> None:
        nonlocal others
        if not others:
            others += 1
            end()
        genuine(*arguments, **options)

    monkeypatch.setattr(os, moment, after_another_run_has_ended)
    end()
    assert others == 1
    assert ended == [copied.report] * 2
    assert (copied.report / "checkpoints/llama-sgpo-seed0/config.json").is_file()


def assert_same(run: Run, expected: Run) -> None:
    """Bit for bit: weights, answers, verdicts, scores and the table."""
    payload, expected_payload = run.payload(), expected.payload()
    assert payload.keys() == expected_payload.keys()
    assert [name for name in payload if payload[name] != expected_payload[name]] == []
    assert sum(name.endswith("model.safetensors") for name in payload) == 4  # SFT, DPO, improver, SGPO
    assert run.figures() == expected.figures()
    assert [cell["value"] for cell in run.table3()["cells"]] == [c["value"] for c in expected.table3()["cells"]]


# What can be done with a run


def test_further_seeds_add_to_what_is_there(undisturbed: tuple[Run, Finished], copied: Run) -> None:
    before = {cell["metric"]: cell["value"] for cell in copied.table3()["cells"] if cell["method"] == "sft"}
    records = copied.records()
    more = copied.make_table("--methods", "sft", "--seeds", "2")
    assert more.exit_code == 0, more.err
    assert copied.records().items() >= records.items()
    content = copied.manifest()
    assert (content["seeds"], copied.table3()["rows"]) == ([0, 1], ["sft"])
    checkpoints = [copied.report / f"checkpoints/llama-sft-seed{seed}/model.safetensors" for seed in (0, 1)]
    assert checkpoints[0].read_bytes() != checkpoints[1].read_bytes()
    for cell in copied.table3()["cells"]:
        assert len(cell["per_seed"]) == 2
        assert cell["per_seed"][0] == pytest.approx(before[cell["metric"]])
        assert cell["value"] == pytest.approx(sum(cell["per_seed"]) / 2)


def test_a_checkpoint_of_the_run_is_scored_as_in_the_table(copied: Run) -> None:
    checkpoint = copied.report / "checkpoints" / "llama-sgpo-seed0"
    scored = finished(
        copied.start("eval", "--model", str(checkpoint), "--bench", "alpaca_eval2", "--bench", "arena_hard", "--json")
    )
    assert scored.exit_code == 0, scored.err
    scores = json.loads(scored.out)
    cells = [cell for cell in copied.table3()["cells"] if cell["method"] == "sgpo"]
    assert scores.keys() == {"alpaca_eval2", "arena_hard"}
    for cell in cells:
        assert scores[cell["bench"]][cell["metric"]] == pytest.approx(cell["value"])


def flip(path: Path) -> None:
    """Turns one bit in the middle of a file over; its size and times stay."""
    at, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(at.st_atime_ns, at.st_mtime_ns))


def test_damaged_and_deleted_files_are_named_and_made_again(
    undisturbed: tuple[Run, Finished], copied: Run, tiny_harness: Harness
) -> None:
    store = copied.folder / "store"
    [score, *_] = {cell["artifact"] for cell in copied.table3()["cells"]}
    checkpoint = (copied.report / "checkpoints/llama-dpo-seed0/model.safetensors").resolve()
    verdicts = store / copied.table3()["cells"][0]["judgments"][0] / "rows.jsonl"
    judged = next(target for target in experiment().targets() if target.step == "respond")
    answers = Store(store).folder(judged) / "rows.jsonl"
    scored = tiny_harness("eval", "--model", checkpoint.parent, "--bench", "arena_hard", "--dry-run")
    assert scored.exit_code == 0, scored.err
    flip(checkpoint)
    flip(verdicts)
    (store / score / "scores.json").unlink()
    answers.unlink()
    scored = tiny_harness("eval", "--model", checkpoint.parent, "--bench", "arena_hard")
    assert (scored.exit_code, scored.out) == (2, "")
    assert scored.err.startswith(f"error: {checkpoint} is damaged; run the command that made it")
    repaired = tiny_harness(*TABLE)
    assert repaired.exit_code == 0, repaired.err
    for path in (checkpoint, verdicts, store / score / "scores.json", answers):
        assert repaired.err.count(f"{path} is damaged") == 1
    assert len(built_steps(repaired.err)) == 4
    assert_same(copied, undisturbed[0])
    assert copied.manifest()["stale"] == []


def age(record: Path) -> None:
    """Has an artifact be one of other code: as if `harness.steps.respond` had been changed since."""
    content = json.loads(record.read_text())
    del content[SEAL]
    content["code"]["harness.steps.respond"] = "0123456789abcdef"
    record.write_text(json.dumps(sealed(content)))


def test_answers_of_other_code_are_named_and_made_again_on_demand(
    copied: Run, tiny_harness: Harness, harness: Harness
) -> None:
    judged = [target for target in experiment().targets() if target.step == "respond"]
    store = Store(copied.folder / "store")
    for answers in judged[:2]:
        age(store.folder(answers) / "artifact.json")
    warned = tiny_harness(*TABLE)
    assert warned.exit_code == 0, warned.err
    says = "code of respond changed since 2 of its artifacts were made: harness.steps.respond"
    [line] = [line for line in warned.err.splitlines() if "changed since" in line]
    assert line.startswith(says) and line.endswith("more follow from them; --code-changes rerun makes them again")
    assert built_steps(warned.err) == []
    assert says in warned.out and says in copied.manifest()["stale"][0]
    stale = {step["key"] for step in copied.manifest()["steps"] if step["stale"].startswith("code changed since")}
    assert stale == {answers.key for answers in judged[:2]}
    for name in ("report.md", "index.html"):
        page = (copied.report / name).read_text()
        assert page.index("changed since 2 of its artifacts were made") < page.index(
            "Contents" if "html" in name else "](#"
        )
    ignored = tiny_harness(*TABLE, "--code-changes", "ignore")
    assert "changed since" not in ignored.err and len(copied.manifest()["stale"]) == 1
    score = next(cell["artifact"] for cell in copied.table3()["cells"] if cell["bench"] == "arena_hard")
    judgments = store.root / score / "seed-0/model_judgment.jsonl"
    scored = harness("eval", "--bench", "arena_hard", "--judgments", judgments)
    assert scored.exit_code == 0, scored.err
    again = tiny_harness(*TABLE, "--code-changes", "rerun")
    assert again.exit_code == 0, again.err
    assert [line.partition(" ")[0] for line in built_steps(again.err)] == ["respond", "respond"]
    assert copied.manifest()["stale"] == []
    assert "changed since" not in (copied.report / "report.md").read_text()


# The graph behind the table


def test_the_selection_of_models_methods_and_seeds_is_the_experiment() -> None:
    recipe = load_tiny_recipe("mini")
    [whole] = build_experiments("table3", Request(recipe, (0, 1), models=("qwen", "llama")))
    assert isinstance(whole, ScoresExperiment)
    assert set(whole.models) == {"qwen", "llama"}
    assert set(whole.methods) >= {"sft", "dpo", "spin", "sgpo-unshared", "sgpo-teacher-only", "sgpo", "improver"}
    assert len(whole.cells) == len(whole.models) * len(whole.methods) * 2
    assert all(len(cell.judgments) == len(cell.gold) == 2 for cell in whole.cells)
    assert {artifact.key for artifact in ancestry(whole.targets())} >= needed().keys() - {
        target.key for target in experiment().targets()
    }

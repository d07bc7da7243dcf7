"""Trackers: told where and under which name to write, by transformers' own callbacks."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.engine.artifacts import Artifact, Output, Tracker, step
from harness.engine.compute import Compute, TrackerKind, Tracking
from harness.engine.progress import silent
from harness.engine.store import Store
from harness.errors import UserError
from harness.mini.roles import read_role
from harness.records import Response, read_rows
from harness.run.options import Choice
from harness.training import tracking as module
from harness.training.job import CURVES, TrainingStep
from harness.training.settings import TrainingSettings
from harness.training.sft import run_sft
from harness.training.tracking import FOLDERS, tracked
from tests.command import Harness

SETTINGS = TrainingSettings(learning_rate=1e-3, epochs=1, global_batch_size=4, max_length=256, warmup_share=0.0)
RUN = "llama-sft-seed-0-SFT-0123abcd"

FAKE_TRACKIO = """
from types import SimpleNamespace
CALLS = []
class Config(dict):
    def update(self, *_, **__): ...
config = Config()
context_vars = SimpleNamespace(current_space_id=SimpleNamespace(get=lambda: None))
def init(**options): CALLS.append(("init", options))
def log(values): CALLS.append(("log", values))
def finish(): CALLS.append(("finish", {}))
"""


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment of the test's own, without what tells trackers where to write."""
    names = (*FOLDERS.values(), "WANDB_PROJECT")
    monkeypatch.setattr(os, "environ", {name: value for name, value in os.environ.items() if name not in names})


def untracked(work: int, unit: str, done: int = 0) -> Tracker:
    return Tracker(work, unit, done, silent)


def trained(base: Path, folder: Path, tracker: TrackerKind | None) -> list[TrainingStep]:
    """The steps of a training of ten rows that reports to a tracker."""
    rows = [row for row in read_role("demonstrations", 10) if isinstance(row, Response)]
    tracking = Tracking(tracker, RUN, str(folder / "tracking")) if tracker else None
    run_sft(base, rows, SETTINGS, seed=0, out=folder / "out", track=untracked, tracking=tracking)
    return read_rows(folder / "out" / CURVES, TrainingStep)


def test_tensorboard_gets_every_step(base: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    steps = trained(base, tmp_path, "tensorboard")
    events = EventAccumulator(str(tmp_path / "tracking" / RUN))
    events.Reload()
    logged = events.Scalars("train/loss")
    assert [event.step for event in logged] == [step.step for step in steps] == [1, 2, 3]
    assert [event.value for event in logged] == pytest.approx([step.loss for step in steps])


def test_a_tracker_gets_every_step_under_the_trainings_name(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / "trackio.py").write_text(FAKE_TRACKIO)
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    monkeypatch.delitem(sys.modules, "trackio", raising=False)
    steps = trained(base, tmp_path, "trackio")
    calls: list[tuple[str, dict[str, Any]]] = sys.modules.pop("trackio").CALLS
    assert calls[0][0] == "init" and (calls[0][1]["name"], calls[0][1]["project"]) == (RUN, "harness")
    losses = [values["train/loss"] for name, values in calls if name == "log" and "train/loss" in values]
    assert losses == pytest.approx([step.loss for step in steps])
    assert calls[-1][0] == "finish"
    assert os.environ["TRACKIO_DIR"] == str(tmp_path / "tracking")


def test_without_one_nothing_is_written_and_the_numbers_are_the_same(base: Path, tmp_path: Path) -> None:
    plain = trained(base, tmp_path / "plain", None)
    assert not (tmp_path / "plain/tracking").exists() and not set(FOLDERS.values()) & set(os.environ)
    pytest.importorskip("tensorboard")
    assert trained(base, tmp_path / "tracked", "tensorboard") == plain


def test_a_run_of_wandb_ends_with_its_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[bool] = []
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(finish=lambda: ended.append(True)))  # type: ignore[arg-type]
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    with tracked(Tracking("wandb", RUN, str(tmp_path / "tracking"))):
        assert os.environ["WANDB_DIR"] == str(tmp_path / "tracking") and not ended
    assert ended and os.environ["WANDB_PROJECT"] == "mine"


def test_what_a_tracker_refuses_is_one_line_and_other_errors_pass(tmp_path: Path) -> None:
    refused = type("UsageError", (Exception,), {"__module__": "wandb.errors.errors"})
    for error, expected in ((refused("No API key configured."), UserError), (ValueError("ours"), ValueError)):
        with (
            pytest.raises(expected, match=r"^--track wandb: No API key configured; mend that|ours"),
            tracked(Tracking("wandb", RUN, str(tmp_path))),
        ):
            raise error


@step(version=1, work="training")
def tracked_step(out: Output, *, number: int) -> None:
    """Write down what it is tracked by."""
    (out.folder / "tracking").write_text(repr(out.tracking))


def test_a_step_is_tracked_beside_its_store_and_under_its_label(tmp_path: Path) -> None:
    store = Store(tmp_path / "run/store")
    artifacts: list[Artifact] = [
        tracked_step(number=number).with_label("llama sgpo:rounds=2 seed 0") for number in (1, 2)
    ]
    for artifact, compute in zip(artifacts, (Compute(track="wandb"), Compute()), strict=True):
        store.build(artifact, compute=compute)
    by_name = f"llama-sgpo-rounds=2-seed-0-{artifacts[0].key[:8]}"
    expected = Tracking("wandb", by_name, str(tmp_path / "run/tracking"))
    assert [(store.folder(each) / "tracking").read_text() for each in artifacts] == [repr(expected), "None"]


@pytest.mark.parametrize("tracker", ["tensorboard", "wandb", "trackio"])
@pytest.mark.parametrize("command", [("reproduce", "table3"), ("rates",), ("mini", "rates")], ids=" ".join)
def test_a_missing_package_is_said_before_anything_is_run(
    command: tuple[str, ...], tracker: str, tmp_path: Path, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    outcome = harness(*command, "--track", tracker, "--run-dir", tmp_path / "run")
    needs = f"--track {tracker} needs the package {tracker}: pip install {tracker}, or leave it out"
    assert (outcome.exit_code, outcome.err) == (2, f"error: {needs}\n")
    assert not (tmp_path / "run").exists()


def test_a_tracker_is_in_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda _: object())
    plain, tracked_by = (Choice("mini", compute=compute).request() for compute in ({}, {"track": "tensorboard"}))
    assert tracked_by.recipe.compute.track == "tensorboard"
    assert plain.checkpoint("llama", "dpo", 0).key == tracked_by.checkpoint("llama", "dpo", 0).key

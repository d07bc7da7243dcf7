"""Rows against each other in a finished run: in its manifest, its report and, once more, by `harness compare`."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness.commands.compare_methods import compare_methods
from harness.commands.reproduce import write_run
from harness.engine.pipeline import run
from harness.engine.store import Store
from harness.experiments import Request, build_experiments
from harness.results.manifest import Manifest, read_manifest
from harness.results.row_comparisons import RowComparison, Sweep, SweepPoint
from reports import row_comparisons
from tests.experiments.exhibits import SCALE

pytestmark = pytest.mark.usefixtures("in_this_process")

ROWS = ("sft", "sft:training.epochs=1", "sft:training.epochs=9")
SEEDS = (0, 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a tiny sweep over the epochs of supervised fine-tuning."""
    root = tmp_path_factory.mktemp("run")
    request = Request(SCALE, SEEDS, ("llama",), ROWS, sweep="training.epochs")
    experiments = build_experiments("table3", request)
    store, started = Store(root / "store"), datetime.now(UTC)
    run([target for experiment in experiments for target in experiment.targets()], store)
    write_run("table3", experiments, request, store, root / "sgpo/table3", started=started, ran=frozenset())
    return root / "sgpo/table3"


@pytest.fixture(scope="module")
def manifest(folder: Path) -> Manifest:
    return read_manifest(folder)


def test_every_metric_of_the_table_is_tested(manifest: Manifest) -> None:
    assert [(each.first, each.second) for each in manifest.comparisons] == [(ROWS[2], ROWS[1])] * 3
    assert [(each.bench, each.metric) for each in manifest.comparisons] == [
        ("alpaca_eval2", "length_controlled_winrate"), ("alpaca_eval2", "win_rate"), ("arena_hard", "score"),
    ]  # fmt: skip
    assert {each.on for each in manifest.comparisons} == {"checkpoints"}
    assert any(each.difference for each in manifest.comparisons)


def test_they_are_what_compare_finds_in_the_folder(folder: Path, manifest: Manifest) -> None:
    found = compare_methods(folder, [ROWS[2], ROWS[1]])["comparisons"]
    assert len(found) == 3
    for ours, again in zip(manifest.comparisons, found, strict=True):
        assert ours.metric == again["metric"] and ours.difference == pytest.approx(again["difference"])
        assert ours.ci95 == pytest.approx(tuple(again["ci95"])) and ours.verdict == again["verdict"]
        assert (ours.p_value, ours.p_holm) == pytest.approx((again["p_value"], again["p_holm"]))


def test_the_manifest_says_what_was_swept_and_decides_no_claim(manifest: Manifest) -> None:
    points = (SweepPoint(ROWS[1], "sft", 1.0), SweepPoint(ROWS[2], "sft", 9.0))
    assert manifest.sweep == Sweep("training.epochs", points)
    assert manifest.claims == () and manifest.n_tests == 0


def test_the_report_shows_the_sweep_and_its_tests(folder: Path) -> None:
    report = (folder / "report.md").read_text(encoding="utf-8")
    assert "sft:training.epochs=9 against sft:training.epochs=1" in report
    assert "Methods against each other" in report and "figures/table3-sweep" in report
    for ending in ("pdf", "png", "svg"):
        assert (folder / f"figures/table3-sweep.{ending}").stat().st_size
    assert "The paper's claims" not in report


def row_comparison(first: str, second: str, verdict: str) -> RowComparison:
    return RowComparison(
        model="llama",
        first=first,
        second=second,
        bench="arena_hard",
        metric="score",
        verdict=verdict,
        difference=4.0,
        ci95=(3.0, 5.0),
        p_value=0.01,
        p_holm=0.02,
        on="methods",
    )


def test_the_answer_says_what_is_told_apart(manifest: Manifest) -> None:
    found = (row_comparison("c", "a", "better"), row_comparison("b", "a", "undecided"))
    answer = row_comparisons.answer(replace(manifest, comparisons=found))
    assert answer == "c against a: better in 1 of 1. No test tells these values of training.epochs apart: b against a."
    plain = row_comparisons.answer(replace(manifest, comparisons=found, sweep=None))
    assert plain == "c against a: better in 1 of 1. b against a: undecided in 1 of 1."
    assert row_comparisons.answer(replace(manifest, comparisons=())) == ""

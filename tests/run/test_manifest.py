"""What a run holds of a table of scores, and which reports are kept; the scores are made up."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.engine.store import Store
from harness.experiments.scores import BenchCell, ScoresExperiment
from harness.results.exhibits import Score
from harness.results.manifest import Manifest, parse_manifest, write_manifest
from harness.run.manifest import keep_fuller_report
from tests.reports.conftest import made_up_manifest


class FakeStore:
    """Holds one file's content, whatever it is asked for."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.content = content

    def bind(self, artifact: object) -> "FakeStore":
        return self

    def json(self, name: str) -> dict[str, Any]:
        return self.content


def score(**changes: Any) -> Score:
    metrics = {"win_rate": 40.0, "length_controlled_winrate": 35.0}
    parts = {"prompts": 1.0, "judge": None, "training_seeds": 0.5, "total": 1.118}
    scores = {
        "mean": metrics,
        "ci95": {name: [30.0, 45.0] for name in metrics},
        "per_seed": {name: [value, value] for name, value in metrics.items()},
        "uncertainty": dict.fromkeys(metrics, parts),
        "n_asked": 1610,
        "n_missing": 3,
        "withheld": None,
        "length_controlled_withheld": None,
        **changes,
    }
    bench = "alpaca_eval2"
    cell = BenchCell("llama", "a", bench, (), cast(Any, SimpleNamespace(step="score", key="k")), (), is_judged=True)
    columns = [SimpleNamespace(bench=bench, metric="win_rate")]
    recipe = SimpleNamespace(benches={bench: SimpleNamespace(size=805)})
    exhibit = cast(Any, SimpleNamespace(name="table3", columns=columns, rows=()))
    table = ScoresExperiment(
        exhibit=exhibit,
        recipe=cast(Any, recipe),
        models=("llama",),
        methods=("a",),
        cells=(cell,),
        tests={},
        fingerprints={bench: "print"},
    )
    (made,) = table._scores(cell, cast(Store, FakeStore(scores)))
    return made


def test_a_cell_counts_its_verdicts_over_all_seeds_and_says_where_its_uncertainty_comes_from() -> None:
    cell = score()
    assert (cell.n, cell.n_asked, cell.n_missing, cell.note) == (805, 1610, 3, "")
    assert (cell.ci95, cell.per_seed) == ((30.0, 45.0), (40.0, 40.0))
    assert cell.uncertainty and cell.uncertainty.training_seeds == 0.5
    assert score(uncertainty={}).uncertainty is None


def test_a_withheld_cell_has_its_reason_and_no_figures() -> None:
    nothing = {"win_rate": None, "length_controlled_winrate": None}
    cell = score(mean=nothing, ci95=nothing, per_seed=nothing, withheld="only 700 of 805 verdicts are there")
    assert (cell.value, cell.ci95, cell.per_seed, cell.uncertainty) == (None, None, None, None)
    assert cell.note == "withheld: only 700 of 805 verdicts are there"


def report(*, rows: tuple[str, ...] = ("sft", "dpo"), seeds: tuple[int, ...] = (0,), **options: Any) -> Manifest:
    """A manifest that says what a report shows."""
    content = made_up_manifest("table3", claims=[], seeds=seeds)
    content["options"] = {"scale": "mini", "methods": rows, "seeds": seeds, **options}
    content["results"][0] |= {"models": ("llama",), "rows": rows}
    return parse_manifest(content)


def written(folder: Path) -> Path:
    write_manifest(folder, report())
    return folder


@pytest.mark.parametrize(
    ("later", "is_kept"),
    [
        (report(), False),
        (report(rows=("sft", "dpo", "sgpo")), False),
        (report(seeds=(0, 1, 2)), False),
        (report(compute={"processes": 2}), False),
        (report(rows=("sft",)), True),
        (report(rows=("sgpo",)), True),
        (report(seeds=(1,)), True),
        (report(limit=40), True),
        (report(judge={"name": "another", "without": ("logprobs",)}), True),
    ],
)
def test_a_report_is_kept_that_has_what_the_next_one_leaves_out(tmp_path: Path, later: Manifest, is_kept: bool) -> None:
    folder = written(tmp_path / "table3")
    before = (folder / "manifest.json").read_bytes()
    kept = keep_fuller_report(folder, later)
    assert kept == (tmp_path / "table3-1" if is_kept else None)
    assert folder.exists() != is_kept
    if kept:
        assert (kept / "manifest.json").read_bytes() == before


def test_no_report_takes_the_place_of_one_that_is_kept(tmp_path: Path) -> None:
    for place in ("table3-1", "table3-2"):
        (tmp_path / place).mkdir()
    assert keep_fuller_report(written(tmp_path / "table3"), report(rows=("sft",))) == tmp_path / "table3-3"


@pytest.mark.parametrize("content", [None, "[1]", "not JSON"])
def test_where_there_is_no_report_none_is_kept(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    assert keep_fuller_report(tmp_path, report()) is None


def test_a_report_of_another_version_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "table3"
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps({"parts": [], "asked": {}}))
    assert keep_fuller_report(folder, report()) == tmp_path / "table3-1"


def test_options_are_the_same_after_they_were_written(tmp_path: Path) -> None:
    judge = {"name": "another", "without": ("logprobs",)}
    write_manifest(tmp_path, report(judge=judge))
    assert keep_fuller_report(tmp_path, report(judge=judge)) is None

"""A run as DataFrames, and the page of the documentation about them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

import harness
from harness.errors import UserError
from harness.results.frames import RunFrames
from tests.reports.conftest import made_up_manifest, write_manifest
from tests.reports.made_up_claims import made_up_claims
from tests.stored_runs import N_ALPACA, N_ARENA, Skill, write_run

METHODS = {"sft": Skill(-1.5), "sgpo": Skill(0.0)}
PAGE = Path(__file__).parents[2] / "docs" / "python.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a finished run of two methods with three training seeds."""
    folder = write_run(tmp_path / "runs/mini/sgpo/table3", METHODS)
    content = json.loads((folder / "manifest.json").read_text())
    return write_manifest(folder, content | {"claims": made_up_claims(("llama",))})


@pytest.fixture
def run(folder: Path) -> RunFrames:
    return harness.load_run(folder)


def test_every_score_stands_beside_the_papers(run: RunFrames) -> None:
    by_place = run.scores.set_index(["method", "metric"])
    assert len(by_place) == len(METHODS) * 2
    cells = {(cell.method, cell.metric): cell for cell in run.manifest.results[0].cells}  # type: ignore[union-attr]
    assert by_place["value"].to_dict() == {place: cell.value for place, cell in cells.items()}
    published = run.manifest.exhibits["table3"].cells["llama"]["sgpo"]  # type: ignore[union-attr]
    assert by_place.loc[("sgpo", "score"), "published"] in published.values()


def test_every_verdict_of_every_seed_is_a_line(run: RunFrames) -> None:
    counts = run.pairs.groupby(["bench", "seed", "method"]).size()
    assert set(counts["alpaca_eval2"]) == {N_ALPACA} and set(counts["arena_hard"]) == {2 * N_ARENA}
    assert set(run.pairs["seed"]) == {0, 1, 2}
    wins = run.pairs[run.pairs["outcome"] == "win"].groupby("method").size()
    assert wins["sgpo"] > wins["sft"]


def test_every_ordering_stands_under_its_claim(run: RunFrames) -> None:
    assert list(run.claims["claim_verdict"]) == ["holds", "fails", "undecided", "undecided", "not run"]
    assert list(run.claims["worse"]) == ["sft", "dpo", "spin", "sgpo-unshared", "sgpo-teacher-only"]
    assert run.claims.loc[0, ["low", "difference", "high"]].tolist() == [4.5, 6.5, 8.5]


def test_win_rates_are_named_after_their_matches(tmp_path: Path) -> None:
    run = harness.load_run(write_manifest(tmp_path, made_up_manifest("table1", "table2")))
    first = run.scores.iloc[0]
    assert (first["exhibit"], first["method"], first["bench"], first["published"]) == (
        *("table1", "ultrafeedback-b", "pairwise"),
        run.manifest.exhibits["table1"].match("ultrafeedback-b").published,  # type: ignore[union-attr]
    )
    assert run.pairs.empty and "outcome" in run.pairs.columns


def test_a_folder_without_a_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="name the folder of a finished run"):
        harness.load_run(tmp_path)


def test_the_code_of_the_documentation_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parents[3])
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    for block in blocks:
        exec(block, names)  # what the page shows
    assert len(blocks) == 7
    assert not names["table"].empty and not names["undecided"].empty and not names["lost"].empty

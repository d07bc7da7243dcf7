"""A run as DataFrames, and the page of the documentation about them."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import harness
from harness.commands.compare_methods import compare_methods
from harness.config.codec import encode
from harness.errors import UserError
from harness.papers.folders import papers
from harness.papers.loading import load_exhibits
from harness.results.frames import RunFrames
from harness.results.row_comparisons import RowComparison
from harness.results.training_curves import write_curves
from tests.reports.conftest import made_up_curves, made_up_manifest, write_manifest
from tests.reports.made_up_claims import made_up_claims
from tests.stored_runs import N_ALPACA, N_ARENA, Skill, write_run

METHODS = {"sft": Skill(-1.5), "sgpo": Skill(0.0)}
PAGE = Path(__file__).parents[2] / "docs" / "python.md"


COMPARISON = encode(
    RowComparison(
        model="llama", first="sgpo", second="sft", bench="arena_hard", metric="score", verdict="better", difference=9.5,
        ci95=(7.5, 11.5),
    )
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a finished run of two methods with three training seeds."""
    folder = write_run(tmp_path / "runs/mini/sgpo/table3", METHODS)
    content = json.loads((folder / "manifest.json").read_text())
    write_curves(folder, made_up_curves())
    return write_manifest(folder, content | {"claims": made_up_claims(("llama",)), "comparisons": [COMPARISON]})


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


def test_a_row_against_another_is_a_line(run: RunFrames) -> None:
    [line] = run.comparisons.to_dict("records")
    assert (line["first"], line["second"], line["verdict"]) == ("sgpo", "sft", "better")
    assert (line["low"], line["difference"], line["high"]) == (7.5, 9.5, 11.5)


def test_training_curves_have_a_line_a_point_and_a_column_a_quantity(run: RunFrames) -> None:
    curves = run.training_curves
    assert list(curves.columns[:6]) == ["model", "stage", "methods", "preference_loss", "seed", "step"]
    made_up = made_up_curves()
    assert len(curves) == sum(len(one.values["step"]) for stage in made_up for one in stage.trainings)
    dpo = curves[(curves["stage"] == "DPO") & (curves["seed"] == 1)]
    [course] = [stage.trainings[1] for stage in made_up if stage.stage == "DPO"]
    for quantity in ("loss", "reward_margin", "chosen_log_probability"):
        assert tuple(dpo[quantity]) == course.values[quantity]
    assert curves[curves["stage"] == "SFT"]["reward_margin"].isna().all()


def test_compare_is_the_command(run: RunFrames, folder: Path) -> None:
    found = harness.compare(run, ["sgpo", "sft"])
    assert found.equals(harness.compare(str(folder), ["sgpo", "sft"]))
    assert list(found["verdict"]) == [
        each["verdict"] for each in compare_methods(folder, ["sgpo", "sft"])["comparisons"]
    ]
    assert (found["low"] < found["difference"]).all() and (found["difference"] < found["high"]).all()


def test_a_papers_numbers_can_be_joined_with_a_runs_scores(run: RunFrames) -> None:
    numbers = harness.load_paper("sgpo").numbers
    both = run.scores.merge(numbers, on=["exhibit", "model", "method", "bench", "metric"])
    assert len(both) == len(run.scores)
    assert list(both["published_x"]) == list(both["published_y"])


def test_a_papers_claims_are_its_orderings() -> None:
    paper = harness.load_paper("sgpo")
    orderings = [each for exhibit in load_exhibits("sgpo") for claim in exhibit.claims for each in claim.orderings()]
    assert len(paper.claims) == len(orderings) == paper.claims.groupby("exhibit").size().sum()
    assert paper.exhibits.set_index("exhibit").loc["table3", "kind"] == "scores"
    assert len(paper.deviations) and len(paper.disagreements)


@pytest.mark.parametrize("name", papers())
def test_every_paper_can_be_read(name: str) -> None:
    paper = harness.load_paper(name)
    assert paper.paper.name == name and not paper.numbers.empty and paper.numbers["place"].notna().all()


def test_an_unknown_paper_is_an_error() -> None:
    with pytest.raises(UserError, match="did you mean 'sgpo'"):
        harness.load_paper("sgpoo")


LIGHT = """
import sys, harness
assert not {"numpy", "pandas", "torch"} & set(sys.modules), "on import"
run = harness.load_run(sys.argv[1])
run.scores, run.claims, run.comparisons, run.training_curves, run.pairs, harness.compare(run, ["sgpo", "sft"])
harness.load_paper("sgpo").numbers
assert not {"torch", "transformers", "trl"} & set(sys.modules), "on use"
"""


def test_import_is_light_and_reading_takes_no_torch(folder: Path) -> None:
    subprocess.run([sys.executable, "-c", LIGHT, str(folder)], check=True)


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
    assert len(blocks) == 13
    assert not names["table"].empty and not names["undecided"].empty and not names["lost"].empty
    assert not names["compared"].empty and not names["preference"].empty and not names["printed"].empty

"""`harness regress`: did a change make it worse? On runs made up by hand (`tests.stored_runs`)."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest

from evals.stats.regression import Sides, compare_runs
from evals.stats.win_rate import win_rate_statistic
from harness.records import Judgment
from harness.regress.flips import flipped_pairs
from harness.regress.runs import read_run
from harness.results.verdicts import ARTIFACTS
from tests.cli.test_app import assert_refused
from tests.command import Harness, Outcome
from tests.stored_runs import Skill, judgments, shuffled, without_prompts, write_run

SFT, DPO, SGPO = Skill(-1.5), Skill(-0.5), Skill(0.0)
METHODS = {"sft": SFT, "dpo": DPO, "sgpo": SGPO}


@pytest.fixture
def runs(tmp_path: Path) -> Callable[..., Path]:
    """Writes a run and returns its folder; the runs of one test share a store."""

    def write(name: str, methods: dict[str, Skill] = METHODS, **settings: Any) -> Path:
        return write_run(tmp_path / settings.pop("into", ".") / name, methods, **settings)

    return write


@pytest.fixture
def regress(harness: Harness) -> Callable[..., Outcome]:
    return lambda baseline, candidate, *options: harness(
        "regress", "--baseline", baseline, "--candidate", candidate, *options
    )


Regress = Callable[..., Outcome]
Runs = Callable[..., Path]


def scores(folder: Path) -> dict[tuple[str, str, str], dict[str, Any]]:
    found = json.loads((folder / "regress.json").read_text(encoding="utf-8"))["scores"]
    return {(score["method"], score["bench"], score["metric"]): score for score in found}


def changed(level: float, code: str = "with a change") -> dict[str, Skill]:
    return {**METHODS, "sgpo": Skill(level, code)}


# What it says


def test_a_change_for_the_worse_is_caught(runs: Runs, regress: Regress) -> None:
    candidate = runs("candidate", changed(-2.5), calibrated_with=0)
    outcome = regress(runs("baseline", calibrated_with=0), candidate)
    assert outcome.exit_code == 1, outcome.err
    found = scores(candidate)
    assert {name[0]: score["verdict"] for name, score in found.items()} == {
        "sft": "same",
        "dpo": "same",
        "sgpo": "worse",
    }
    for score in (score for score in found.values() if score["method"] == "sgpo"):
        assert score["difference"] < 0 and score["p_holm"] < 0.05 and score["ci95"][1] < 0
        line = next(line for line in outcome.out.splitlines() if line.strip().startswith(score["label"]))
        assert " worse " in line
        assert f"{score['difference']:+.1f}" in line
    assert outcome.out.splitlines()[-1] == f"page: {candidate / 'regress.html'}"
    assert "3 worse, 6 same." in outcome.out
    assert (candidate / "regress.html").stat().st_size > 10_000


def test_the_runs_are_left_as_they_are(runs: Runs, regress: Regress, tmp_path: Path) -> None:
    before, after = runs("baseline"), runs("candidate", changed(-2.5))

    def contents() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for folder in (before, after) for path in (folder, *folder.rglob("*"))}

    then = contents()
    assert regress(before, after, "--out", tmp_path / "out").exit_code == 1
    assert contents() == then


def test_a_change_for_the_better_passes(runs: Runs, regress: Regress) -> None:
    candidate = runs("candidate", changed(2.5))
    assert regress(runs("baseline"), candidate).exit_code == 0
    assert {score["verdict"] for score in scores(candidate).values()} == {"same", "better"}


def test_other_seeds_of_the_same_methods_are_no_change(runs: Runs, regress: Regress) -> None:
    candidate = runs("candidate", seeds=(3, 4, 5))
    outcome = regress(runs("baseline"), candidate)
    assert outcome.exit_code == 0
    assert {score["verdict"] for score in scores(candidate).values()} == {"cannot tell"}
    assert "6 tests, one family" in outcome.out and "seeds 3–5" in outcome.out


def test_exchanging_the_runs_changes_signs(runs: Runs, regress: Regress, tmp_path: Path) -> None:
    before, after = runs("baseline"), runs("candidate", changed(-2.5), seeds=(2, 3, 4, 5))
    regress(before, after, "--out", tmp_path / "one")
    regress(after, before, "--out", tmp_path / "other")
    one, other = scores(tmp_path / "one"), scores(tmp_path / "other")
    assert one.keys() == other.keys()
    for name in one:
        if one[name]["verdict"] != "same":
            assert other[name]["difference"] == pytest.approx(-one[name]["difference"])
            assert other[name]["p_holm"] == pytest.approx(one[name]["p_holm"])


def test_the_numbers_are_those_of_the_test_on_the_verdicts(runs: Runs, regress: Regress) -> None:
    """Each win rate by itself, from the verdicts as they were written."""
    before, after = {"sgpo": SGPO}, {"sgpo": Skill(-0.7, "with a change")}
    candidate = runs("candidate", after)
    regress(runs("baseline", before), candidate)

    def statistics(skill: Skill, seeds: tuple[int, ...]) -> list[Any]:
        rows = [judgments("sgpo", skill, "alpaca_eval2", seed) for seed in seeds]
        return [win_rate_statistic(np.array([row.preference for row in each], dtype=float)) for each in rows]

    both = Sides(statistics(SGPO, (0, 1, 2)), statistics(after["sgpo"], (0, 1, 2)), 60)
    (change,) = compare_runs([both], resamples=1000)
    score = scores(candidate)["sgpo", "alpaca_eval2", "win_rate"]
    assert score["difference"] == pytest.approx(change.difference)
    assert score["n_prompts"] == 60
    # Two spreads are too few to moderate each other.
    assert score["standard_error"] == pytest.approx(change.standard_error, rel=1e-6)
    assert score["degrees_of_freedom"] == pytest.approx(change.degrees_of_freedom, rel=1e-6)


def test_rows_in_another_order_give_the_same(runs: Runs, regress: Regress, tmp_path: Path) -> None:
    baseline = runs("baseline")
    regress(baseline, runs("candidate", changed(-1)), "--out", tmp_path / "one")
    regress(baseline, runs("shuffled", changed(-1), change=shuffled), "--out", tmp_path / "other")
    one, other = scores(tmp_path / "one"), scores(tmp_path / "other")
    assert one == other


def test_untouched_methods_are_the_same_though_their_numbers_of_seeds_differ(runs: Runs, regress: Regress) -> None:
    candidate = runs("candidate", changed(-2.5))
    outcome = regress(runs("baseline", seeds=(0, 1, 2, 3, 4)), candidate)
    assert outcome.exit_code == 1
    assert "same outputs in both runs, not tested: llama sft, llama dpo" in outcome.out
    assert "2 tests, one family" in outcome.out


def test_the_same_answers_in_another_store_are_the_same(runs: Runs, regress: Regress) -> None:
    candidate = runs("candidate", into="elsewhere", change=lambda _bench, _seed, rows: list(reversed(rows)))
    outcome = regress(runs("baseline"), candidate)
    assert outcome.exit_code == 0 and "6 same." in outcome.out and "0 tests" in outcome.out


def test_the_same_key_in_another_store_may_hold_other_answers(runs: Runs, regress: Regress) -> None:
    """As `--rerun-affected` leaves them: code that changed under the same key."""

    baseline, candidate = runs("baseline"), runs("candidate", into="elsewhere")
    place = json.loads((candidate / "manifest.json").read_text())["results"][0]["cells"][0]["judgments"][0]
    rows = candidate / ARTIFACTS / place / "rows.jsonl"
    rows.write_text(rows.read_text().replace("sft as it was", "sft as it is!"), encoding="utf-8")
    regress(baseline, candidate)
    assert {name[:2] for name, score in scores(candidate).items() if score["verdict"] != "same"} == {
        ("sft", "alpaca_eval2")
    }


def less(points: float, folder: Path) -> Path:
    """The run with all its scores lower, as other scoring code would have it."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for cell in manifest["results"][0]["cells"]:
        cell["value"] -= points
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_another_score_of_the_same_answers_is_shouted_but_no_verdict(runs: Runs, regress: Regress) -> None:
    candidate = less(20, runs("candidate", into="elsewhere"))
    outcome = regress(runs("baseline"), candidate)
    assert outcome.exit_code == 0
    found = scores(candidate)
    assert {score["verdict"] for score in found.values()} == {"rescored"}
    rows = [line for line in outcome.out.splitlines() if " rescored " in line]
    assert len(rows) == len(found) == 6
    for score, row in zip(found.values(), rows, strict=True):
        assert score["baseline"] - score["candidate"] == pytest.approx(20)
        assert row.split()[-2:] == [f"{score['baseline']:.1f}", f"{score['candidate']:.1f}"]
        assert score["note"] == "the scoring of the same verdicts changed, not the answers"
    page = (candidate / "regress.html").read_text(encoding="utf-8")
    for text in (" ".join(outcome.out.split()), page):
        assert "6 rescored." in text and score["note"] in text
        assert "6 scores differ though the answers are the same" in text
        assert "find out which run is right" in text
    assert all(len(line) < 100 for line in outcome.out.splitlines() if "/" not in line)


def test_other_verdicts_on_the_same_answers_are_told_from_other_scoring(runs: Runs, regress: Regress) -> None:
    def harsher(bench: str, _seed: int, rows: list[Judgment]) -> list[Judgment]:
        return [replace(row, preference=row.preference / 2) if row.preference else row for row in rows]

    candidate = runs("candidate", changed(-2.5), into="elsewhere", change=harsher)
    outcome = regress(runs("baseline"), candidate)
    found = scores(candidate)
    assert outcome.exit_code == 1, "what is tested is tested as ever"
    assert "2 worse, 2 rescored, 2 same." in outcome.out
    for method in ("sft", "dpo"):
        score = found[method, "alpaca_eval2", "win_rate"]
        assert (score["verdict"], score["p_value"]) == ("rescored", None)
        assert score["note"] == "the judge's verdicts changed, not the answers"
        assert found[method, "arena_hard", "score"]["verdict"] == "same"


@pytest.mark.parametrize(("points", "seeds"), [(1e-10, (0, 1, 2)), (20, (0, 1))])
def test_rounding_and_other_seeds_are_not_rescored(
    runs: Runs, regress: Regress, points: float, seeds: tuple[int, ...]
) -> None:
    candidate = less(points, runs("candidate", into="elsewhere", seeds=seeds))
    assert "6 same." in regress(runs("baseline"), candidate).out


def test_a_single_shared_prompt_cannot_tell_and_says_so(runs: Runs, regress: Regress) -> None:
    def one(bench: str, _seed: int, rows: list[Judgment]) -> list[Judgment]:
        return [row for row in rows if row.prompt.id == f"{bench}-0"]

    candidate = runs("candidate", changed(-5), change=one)
    outcome = regress(runs("baseline", change=one), candidate)
    assert outcome.exit_code == 0
    found = [score for score in scores(candidate).values() if score["method"] == "sgpo"]
    assert {score["verdict"] for score in found} == {"cannot tell"}
    assert all("a single prompt" in score["note"] for score in found)
    assert "a single prompt" in outcome.out


@pytest.mark.parametrize("seeds", [(1, 1), (2, 2), (4, 1)])
def test_too_few_seeds_cannot_tell_and_say_so(runs: Runs, regress: Regress, seeds: tuple[int, int]) -> None:
    candidate = runs("candidate", changed(-5), seeds=range(seeds[1]))
    outcome = regress(runs("baseline", seeds=range(seeds[0])), candidate)
    assert outcome.exit_code == 0
    said = "With so few training seeds (baseline {}, candidate {}) nothing can be called better or worse".format(*seeds)
    assert said in " ".join(outcome.out.split()) and "--seeds 5" in outcome.out
    assert [score["verdict"] for score in scores(candidate).values()].count("cannot tell") == 2
    assert "--seeds 5" in (candidate / "regress.html").read_text(encoding="utf-8")


def test_one_seed_is_judged_by_the_spread_of_the_other_run(runs: Runs, regress: Regress) -> None:
    outcome = regress(runs("baseline", seeds=range(5)), runs("candidate", changed(-4), seeds=(0,)))
    assert outcome.exit_code == 1
    assert "the candidate has one training seed" in " ".join(outcome.out.split()).replace("The", "the")


def test_missing_verdicts_are_never_compared(runs: Runs, regress: Regress) -> None:
    candidate = runs("candidate", changed(-4), change=without_prompts(5))
    outcome = regress(runs("baseline"), candidate)
    assert outcome.exit_code == 1, "Arena-Hard's verdicts are all there"
    found = scores(candidate)
    assert found["sgpo", "alpaca_eval2", "win_rate"]["verdict"] == "cannot tell"
    assert "55 of 60 prompts" in found["sgpo", "alpaca_eval2", "win_rate"]["note"]
    assert "55 of 60 prompts" in outcome.out


def test_what_one_run_alone_has_is_listed_and_what_two_tables_show_is_tested_once(runs: Runs, regress: Regress) -> None:
    candidate = runs("candidate", {"sgpo": Skill(-4, "changed"), "spin": SFT}, tables=("table3", "table4"), run="all")
    outcome = regress(runs("baseline", tables=("table4", "table3")), candidate)
    assert "2 tests, one family" in outcome.out
    found = json.loads((candidate / "regress.json").read_text(encoding="utf-8"))
    benches = ("alpaca_eval2", "arena_hard")
    assert set(found["only_baseline"]) == {f"llama {method} {bench}" for method in ("sft", "dpo") for bench in benches}
    assert set(found["only_candidate"]) == {f"llama spin {bench}" for bench in benches}
    assert "only in the baseline: llama sft" in outcome.out and "only in the candidate: llama spin" in outcome.out


def test_lines_are_short(runs: Runs, regress: Regress) -> None:
    long = {f"sgpo-a-long-name-{place}": Skill(0, f"code {place}") for place in range(4)}
    candidate = runs("candidate", {name: Skill(-1, "changed") for name in long}, seeds=(3, 4))
    outcome = regress(runs("baseline", long), candidate)
    *table, page = outcome.out.splitlines()
    folders = table.pop(0)
    assert max(map(len, table)) < 100
    assert page.startswith("page: ") and str(candidate) in folders


# What it refuses


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"scale": "small"}, "is sgpo on scale mini.* on scale small"),
        ({"fast": True}, "candidate is of `harness reproduce --fast`, .*baseline is not"),
        (
            {"options": {"limit": 4}},
            r"candidate were run with another `harness reproduce --limit` \(None and 4\); run both alike",
        ),
        ({"judge": "ba9876543210"}, "alpaca_eval2 was judged by 0123456789ab in the baseline, by ba9876543210"),
        ({"calibrated_with": 1}, "different calibrations"),
        ({"methods": {"spin": SFT}}, "no model, method and bench in common"),
    ],
)
def test_runs_that_differ_in_more_than_methods_and_seeds(
    runs: Runs, regress: Regress, settings: dict[str, Any], complaint: str
) -> None:
    methods = settings.pop("methods", changed(-1))
    baseline = runs("baseline", calibrated_with=0)
    assert_refused(regress(baseline, runs("candidate", methods, **{"calibrated_with": 0} | settings)), complaint)


@pytest.mark.parametrize("field", ["prompt", "baseline", "id"])
def test_other_prompts(runs: Runs, regress: Regress, field: str) -> None:
    def other(bench: str, _seed: int, rows: list[Judgment]) -> list[Judgment]:
        if bench == "alpaca_eval2" and field == "id":
            return rows[:-3]
        if bench == "arena_hard" and field == "prompt":
            return [replace(row, prompt=replace(row.prompt, text=row.prompt.text + "!")) for row in rows]
        if bench == "arena_hard" and field == "baseline":
            return [replace(row, baseline="shorter") for row in rows]
        return rows

    complaint = {"id": "57 of 60 are in both", "prompt": "arena_hard-0 differs", "baseline": "arena_hard-0 differs"}
    assert_refused(regress(runs("baseline"), runs("candidate", changed(-1), change=other)), complaint[field])


def test_runs_that_are_not_there(runs: Runs, regress: Regress, tmp_path: Path) -> None:
    baseline = runs("baseline")
    assert_refused(regress(baseline, tmp_path / "nowhere"), "cannot read .*nowhere/manifest.json")
    candidate = runs("candidate", changed(-1), into="elsewhere")
    shutil.rmtree(candidate / ARTIFACTS / "score_arena_hard")
    assert_refused(
        regress(baseline, candidate),
        "score_arena_hard/.* is not there; runs are compared by the verdicts in their folders: copy",
    )
    baseline = runs("calibrated", calibrated_with=0)
    another = runs("another", changed(-1), calibrated_with=0)
    shutil.rmtree(baseline / ARTIFACTS / "length_calibration")
    assert_refused(regress(baseline, another), "no longer has the calibration of score_alpaca_eval2")


def test_a_run_without_scores(runs: Runs, regress: Regress) -> None:
    baseline, candidate = runs("baseline"), runs("candidate")
    content = json.loads((candidate / "manifest.json").read_text())
    (candidate / "manifest.json").write_text(json.dumps({**content, "results": []}))
    assert_refused(regress(baseline, candidate), "candidate has no table of scores")
    for cell in content["results"][0]["cells"]:
        del cell["artifact"]
    (candidate / "manifest.json").write_text(json.dumps(content))
    assert_refused(regress(baseline, candidate), "is not there; .* or run its command again")


# The pairs


def test_flipped_pairs_are_those_won_in_one_run_and_not_in_the_other(runs: Runs) -> None:
    after = Skill(-1, "with a change")
    before_run, after_run = read_run(runs("baseline")), read_run(runs("candidate", {"sgpo": after}, seeds=(1, 2, 7)))
    for bench in ("alpaca_eval2", "arena_hard"):
        name = ("llama", "sgpo", bench)
        pairs = list(flipped_pairs(name, before_run.cells[name], after_run.cells[name]))
        expected = set()
        for seed in (1, 2):
            sides = [_mean_points(judgments("sgpo", skill, bench, seed)) for skill in (SGPO, after)]
            expected |= {
                (f"{bench}-{place}", seed)
                for place in range(len(sides[0]))
                if (sides[0][place] > 0.5) != (sides[1][place] > 0.5)
            }
        assert {(pair.id.split("/")[-1], int(pair.id.split("/")[-2].split("-")[0])) for pair in pairs} == expected
        assert len({pair.id for pair in pairs}) == len(pairs) == len(expected) > 0
        for pair in pairs:
            assert pair.left.text.startswith("sgpo as it was") and pair.right.text.startswith("sgpo with a change")
            assert len(pair.verdicts) == (2 if bench == "alpaca_eval2" else 4)
            assert pair.facets["flip"] in {"win → loss", "win → tie", "loss → win", "tie → win"}


def _mean_points(rows: list[Judgment]) -> list[float]:
    """By the definition, the points of the answer in the order of the prompts."""
    win_of_a = {"A>>B": 1.0, "A>B": 1.0, "A=B": 0.5, "B>A": 0.0, "B>>A": 0.0}
    points: dict[str, list[float]] = {}
    for row in rows:
        if row.preference is not None:
            value = row.preference
        else:
            value = win_of_a[row.verdict] if row.order == "output_first" else 1 - win_of_a[row.verdict]
        points.setdefault(row.prompt.id, []).append(value)
    return [fmean(each) for each in points.values()]


# The command


def test_a_bench_of_a_package_that_is_missing_names_the_package(runs: Runs, regress: Regress) -> None:
    baseline, candidate = runs("baseline"), runs("candidate")
    for run, outside in ((baseline, {}), (candidate, {"bench mine": {"package": "my-package", "version": "1.0"}})):
        manifest = json.loads((run / "manifest.json").read_text())
        manifest["provenance"]["outside"] = outside
        (run / "manifest.json").write_text(json.dumps(manifest))
    said = f"{candidate}: its bench 'mine' is of the package my-package 1.0, which is not installed"
    assert_refused(regress(baseline, candidate), re.escape(said))


def test_rerun_affected_makes_the_candidate_first(
    runs: Runs, regress: Regress, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from harness.commands import affected

    made: list[tuple[Path, Path]] = []

    def make(baseline: Path, candidate: Path) -> None:
        made.append((baseline, candidate))
        runs("candidate", changed(-2.5))

    monkeypatch.setattr(affected, "make_candidate", make)
    baseline = runs("baseline")
    assert regress(baseline, tmp_path / "candidate", "--rerun-affected").exit_code == 1
    assert made == [(baseline, tmp_path / "candidate")]

"""`harness compare`: which of two models is better, by the verdicts that are stored of them."""

import csv
import gzip
import json
import platform
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from evals.alpaca_eval2.annotations import read_annotations
from evals.alpaca_eval2.scores import Verdicts
from evals.scoring import compare, measured_difference
from evals.stats.comparison import checkpoint_test
from evals.stats.power import detectable, power
from harness.engine.artifact_folder import content_digest, sealed
from harness.files import file_digest
from tests.cli.test_app import HEAVY, assert_refused, imported_by
from tests.command import Harness, Outcome

Rows = list[dict[str, Any]]


@pytest.fixture
def annotations(shared_data: Path) -> Callable[[str], Path]:
    """The file of a model's published AlpacaEval verdicts."""
    return lambda model: shared_data / "alpaca_eval2" / "annotations" / f"{model}.csv.gz"


@pytest.fixture
def judgments(shared_data: Path) -> Callable[[str], Path]:
    """The file of a made-up model's Arena-Hard verdicts: sim-weak, sim-even or sim-strong."""
    return lambda model: shared_data / "arena_hard_v0.1" / "simulated_judgments" / f"{model}.jsonl"


def alpaca(harness: Harness, *arguments: str | Path) -> Outcome:
    return harness("compare", "--bench", "alpaca_eval2", *arguments)


def arena(harness: Harness, *arguments: str | Path) -> Outcome:
    return harness("compare", "--bench", "arena_hard", *arguments)


def results_of(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [result for other in found["against"] for result in other["metrics"].values()]


def naive_holm(p_values: list[float]) -> list[float]:
    """By the definition: of the k-th smallest of m, the largest of (m - i + 1) p_i over i up to k, at most 1."""
    ordered = sorted(p_values)
    products = [(len(ordered) - place) * p_value for place, p_value in enumerate(ordered)]
    return [min(1.0, max(products[: ordered.index(p_value) + 1])) for p_value in p_values]


def rows_of(path: Path) -> Rows:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def written(path: Path, rows: Rows) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


def annotated(path: Path, preferences: list[float]) -> Path:
    """A table of verdicts, the first on instruction 0."""
    rows = [{"index": i, "preference": each, "len_1": 10, "len_2": 10} for i, each in enumerate(preferences)]
    return written(path, rows)


def judged(path: Path, source: Path, **changes: str) -> Path:
    """A copy of Arena-Hard verdicts in which fields are changed."""
    lines = [json.loads(line) | changes for line in source.read_text(encoding="utf-8").splitlines()]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


# What is found


def test_one_model_is_compared_with_several_by_every_metric(
    harness: Harness, annotations: Callable[[str], Path], shared_data: Path
) -> None:
    calibration = shared_data / "alpaca_eval2" / "df_gamed_standin.csv"
    files = [annotations(model) for model in ("claude-2", "claude-2.1", "phi-2")]
    outcome = alpaca(harness, *files, "--lc-calibration", calibration, "--json")
    found = outcome.scores
    assert "by length_controlled_winrate, which is fitted anew" in outcome.err  # before it takes its time
    assert (found["model"], [other["model"] for other in found["against"]]) == ("claude-2", ["claude-2.1", "phi-2"])
    assert found["n_tests"] == len(results_of(found)) == 6
    close, far = (list(other["metrics"].values()) for other in found["against"])
    assert {result["verdict"] for result in close} == {"undecided"}
    assert {result["verdict"] for result in far} == {"better"}
    assert not any("needed" in result or "minimum_detectable_effect" in result for result in far)
    assert [other["on"] for other in found["against"]] == ["checkpoints"] * 2


def test_the_difference_is_that_of_the_mean_preferences(harness: Harness, annotations: Callable[[str], Path]) -> None:
    files = [annotations("claude-2"), annotations("phi-2")]
    first, second = ({row["index"]: float(row["preference"]) for row in rows_of(path)} for path in files)
    shared = first.keys() & second.keys()
    [other] = alpaca(harness, *files, "--json").scores["against"]
    assert other["n_prompts"] == len(shared) < len(first)
    difference = 100 * fmean(first[index] - second[index] for index in shared)
    assert other["metrics"]["win_rate"]["difference"] == pytest.approx(difference)


def test_exchanging_two_models_changes_the_sign_and_nothing_else(
    harness: Harness, annotations: Callable[[str], Path]
) -> None:
    files = [annotations("claude-2"), annotations("phi-2")]
    there, back = (results_of(alpaca(harness, *order, "--json").scores) for order in (files, files[::-1]))
    for one, other in zip(there, back, strict=True):
        assert other["difference"] == pytest.approx(-one["difference"])
        assert other["ci95"] == pytest.approx([-bound for bound in reversed(one["ci95"])])
        assert (other["p_value"], other["p_holm"]) == pytest.approx((one["p_value"], one["p_holm"]))
        assert (one["verdict"], other["verdict"]) == ("better", "worse")


def test_a_model_does_not_differ_from_itself(harness: Harness, annotations: Callable[[str], Path]) -> None:
    found = alpaca(harness, annotations("claude-2"), annotations("claude-2"), "--json").scores
    for result in results_of(found):
        assert (result["difference"], result["p_value"], result["verdict"]) == (0, 1, "undecided")
        assert result["prompts_needed"] is result["seeds_needed"] is None
        assert result["needed"] == ""


def test_p_values_are_adjusted_over_all_results_of_the_command(
    harness: Harness, annotations: Callable[[str], Path]
) -> None:
    files = [annotations(model) for model in ("claude-2", "claude-2.1", "claude", "phi-2", "claude-instant-1.2")]
    found = alpaca(harness, *files, "--json").scores
    results = results_of(found)
    p_values = [result["p_value"] for result in results]
    assert [result["p_holm"] for result in results] == pytest.approx(naive_holm(p_values))
    undecided = [result for result in results if result["p_holm"] >= 0.05]
    assert 1 < len(undecided) < len(results)
    assert undecided == [result for result in results if result["verdict"] == "undecided"]
    level = 0.05 / len(undecided)
    first, *others = (Verdicts(read_annotations(path), None) for path in files)
    metrics = [
        (rows, metric) for rows, each in zip(others, found["against"], strict=True) for metric in each["metrics"]
    ]
    for result, (other, metric) in zip(results, metrics, strict=True):
        measured = measured_difference(compare([first], [other], metric))
        test = checkpoint_test(measured)
        assert (result["difference"], result["p_value"]) == (measured.difference, test.p_value)
        if result in undecided:
            could = power(measured, test, level)
            effect = detectable(level, test.degrees_of_freedom) * test.standard_error
            assert result["minimum_detectable_effect"] == pytest.approx(effect)
            assert result["minimum_detectable_effect"] > abs(result["difference"])
            assert (result["prompts_needed"], result["needed"]) == (could.prompts_needed, could.needed)
            assert result["seeds_needed"] is None, "these are checkpoints"


def test_a_difference_that_is_sure_alone_may_be_undecided_among_many(harness: Harness, tmp_path: Path) -> None:
    ahead = annotated(tmp_path / "ahead.csv", [2.0] * 62 + [1.0] * 38)
    even = annotated(tmp_path / "even.csv", [1.5] * 100)
    others = [annotated(tmp_path / f"like{number}.csv", [2.0] * 61 + [1.0] * 39) for number in range(8)]
    alone = results_of(alpaca(harness, ahead, even, "--json").scores)
    among = results_of(alpaca(harness, ahead, even, *others, "--json").scores)[: len(alone)]
    assert [result["verdict"] for result in alone] == ["better", "better"]
    assert [result["verdict"] for result in among] == ["undecided", "undecided"]
    assert [result["p_value"] for result in among] == [result["p_value"] for result in alone]


def test_arena_models_are_told_apart(harness: Harness, judgments: Callable[[str], Path], shared_data: Path) -> None:
    files = [judgments(model) for model in ("sim-even", "sim-weak", "sim-strong")]
    found = arena(harness, *files, "--json").scores
    assert [result["verdict"] for result in results_of(found)] == ["better", "worse"]
    scores = json.loads((shared_data / "arena_hard_v0.1/simulated_judgments/expected.json").read_text())
    for other in found["against"]:
        # The expected scores are of 500 questions, of which some have no verdict on one of the two.
        difference = scores["sim-even"]["score"] - scores[other["model"]]["score"]
        assert other["metrics"]["score"]["difference"] == pytest.approx(difference, abs=0.3)


def of_seeds(folder: Path, name: str, wins: list[int]) -> str:
    """The files of a model's training seeds, of whose 100 prompts so many are won; joined as the command has them."""
    for seed, count in enumerate(wins):
        annotated(folder / f"{name}{seed}.csv", [2.0] * count + [1.0] * (100 - count))
    return ",".join(f"{name}{seed}.csv" for seed in range(len(wins)))


def test_training_seeds_are_one_model(harness: Harness, tmp_path: Path) -> None:
    """The difference is that of the means over the seeds, and the draw of seeds is in its interval."""
    first, second = of_seeds(tmp_path, "a", [70, 50, 90]), of_seeds(tmp_path, "b", [40, 40, 40])
    alike = of_seeds(tmp_path, "c", [70, 70, 70])
    found = alpaca(harness, first, second, "--json").scores
    assert found["files"] == ["a0.csv", "a1.csv", "a2.csv"]
    result = found["against"][0]["metrics"]["win_rate"]
    [other] = alpaca(harness, alike, second, "--json").scores["against"]
    assert result["difference"] == other["metrics"]["win_rate"]["difference"] == pytest.approx(30)
    wide, narrow = (each["ci95"][1] - each["ci95"][0] for each in (result, other["metrics"]["win_rate"]))
    assert wide > 2 * narrow
    text = alpaca(harness, first, second, "b0.csv").out
    assert "a0, a1, a2 (3 training seeds)" in text and "against b0, b1, b2 (3 training seeds), 100 prompts" in text


def test_a_verdict_on_methods_takes_five_training_seeds_of_every_model(harness: Harness, tmp_path: Path) -> None:
    """Ten points apart on these checkpoints, which is no more than seeds of one method are."""
    first, second = of_seeds(tmp_path, "a", [70, 50, 90, 75, 65]), of_seeds(tmp_path, "b", [60, 40, 80, 65, 55])
    fewer = ",".join(second.split(",")[:4])
    [on_checkpoints], [on_methods] = (
        alpaca(harness, first, other, "--json").scores["against"] for other in (fewer, second)
    )
    assert (on_checkpoints["on"], on_methods["on"]) == ("checkpoints", "methods")
    assert {result["verdict"] for result in on_checkpoints["metrics"].values()} == {"better"}
    assert {result["verdict"] for result in on_methods["metrics"].values()} == {"undecided"}
    assert all(result["seeds_needed"] > 5 for result in on_methods["metrics"].values())


def test_the_legend_says_which_verdicts_are_on_checkpoints(harness: Harness, tmp_path: Path) -> None:
    first, second = of_seeds(tmp_path, "a", [70, 50, 90, 75, 65]), of_seeds(tmp_path, "b", [60, 40, 80, 65, 55])

    def said(*others: str) -> str:
        return " ".join(alpaca(harness, first, *others).out.split())

    takes = (
        "are on these checkpoints, not on how they were trained: a verdict on methods takes the verdicts of 5 training"
    )
    assert f"These verdicts {takes}" in said("b0.csv")
    assert f"Verdicts against b0 {takes}" in said("b0.csv", second)
    assert takes not in said(second)


def test_models_of_one_name_are_told_apart_by_their_files(harness: Harness, judgments: Callable[[str], Path]) -> None:
    again = judged(Path("again.jsonl"), judgments("sim-weak"), model="sim-even")
    found = arena(harness, judgments("sim-even"), again, "--json").scores
    assert (found["model"], found["against"][0]["model"]) == (str(judgments("sim-even")), "again.jsonl")


def test_without_enough_shared_prompts_a_comparison_is_withheld(
    harness: Harness, annotations: Callable[[str], Path]
) -> None:
    written(Path("half.csv"), rows_of(annotations("claude-2"))[:400])
    files = (annotations("claude-2"), Path("half.csv"), annotations("phi-2"))
    found = alpaca(harness, *files, "--json").scores
    half, whole = found["against"]
    assert all("withheld" in result and "verdict" not in result for result in half["metrics"].values())
    assert found["n_tests"] == len(whole["metrics"]) == 2
    assert "win_rate withheld: the sets share 400 of 805 prompts with a verdict; --allow-missing" in (
        alpaca(harness, *files).out
    )
    allowed = alpaca(harness, *files, "--allow-missing", "--json").scores
    assert (allowed["n_tests"], allowed["against"][0]["n_prompts"]) == (4, 400)


# What is shown


def test_the_table_is_aligned_and_fits_a_terminal(
    harness: Harness, annotations: Callable[[str], Path], shared_data: Path
) -> None:
    calibration = shared_data / "alpaca_eval2" / "df_gamed_standin.csv"
    files = [annotations(model) for model in ("claude-2", "claude-2.1", "phi-2")]
    lines = alpaca(harness, *files, "--lc-calibration", calibration).out.splitlines()
    assert lines[0] == "alpaca_eval2: claude-2, paired; Holm over 6 tests"
    assert [line for line in lines if line.startswith("against")] == [
        "against claude-2.1, 805 prompts",
        "against phi-2, 803 prompts",
    ]
    assert max(map(len, lines)) <= 100
    assert "0.0000" not in "".join(lines) and "<.0001" in "".join(lines)
    rows = [line for line in lines if re.search(r"\b(better|worse|undecided)\b", line) and line.startswith("  ")]
    assert len(rows) == 6
    assert len({re.search(r"\b(better|undecided)\b", row).start() for row in rows}) == 1  # type: ignore[union-attr]
    assert len({row.index("]") for row in rows}) == 1
    needed = [re.search(r"undecided +\d+\.\d\d +[\d,]+ prompts$", row) for row in rows]
    assert [bool(found) for found in needed] == [True] * 3 + [False] * 3


def test_where_all_is_decided_nothing_is_said_of_power(harness: Harness, judgments: Callable[[str], Path]) -> None:
    text = arena(harness, judgments("sim-strong"), judgments("sim-weak")).out
    assert "Holm over 1 test\n" in text and "Undecided" not in text


def test_help_is_light() -> None:
    assert imported_by(["compare", "--help"]).isdisjoint(HEAVY)


# What is refused


def test_files_that_are_wrong_are_refused(
    harness: Harness, annotations: Callable[[str], Path], judgments: Callable[[str], Path]
) -> None:
    claude, even = annotations("claude-2"), judgments("sim-even")
    assert_refused(alpaca(harness, claude, "absent.csv"), "absent.csv: no such file")
    assert_refused(alpaca(harness, claude, even), "sim-even.jsonl: no verdicts")
    assert_refused(arena(harness, even, claude), "claude-2.csv.gz")
    assert_refused(alpaca(harness, claude, f"{claude},{claude}"), "named twice")
    assert_refused(alpaca(harness, claude, annotations("phi-2"), annotations("phi-2")), "given twice")
    assert_refused(
        arena(harness, even, judgments("sim-weak"), "--lc-calibration", claude),
        "changes nothing of the verdicts of arena_hard",
    )
    assert_refused(alpaca(harness, claude), "OTHERS")
    assert_refused(alpaca(harness, claude, ","), "names no file")


def test_verdicts_of_two_judges_are_not_compared(harness: Harness, judgments: Callable[[str], Path]) -> None:
    other = judged(Path("other.jsonl"), judgments("sim-weak"), judge="another-judge")
    assert_refused(arena(harness, judgments("sim-even"), other), "sim-judge, other.jsonl of another-judge")


def test_one_prompt_is_no_sample(harness: Harness, tmp_path: Path) -> None:
    files = annotated(tmp_path / "a.csv", [2.0]), annotated(tmp_path / "b.csv", [1.0])
    assert_refused(alpaca(harness, *files), "a and b have one prompt in common")


def test_annotations_of_two_judges_are_not_compared(harness: Harness, tmp_path: Path) -> None:
    def written(name: str, judge: str) -> Path:
        rows = [
            {
                "index": place,
                "instruction": f"instruction {place}",
                "output_1": "theirs",
                "output_2": "mine",
                "generator_1": "baseline",
                "generator_2": name,
                "annotator": judge,
                "preference": 1.0 + place % 2,
            }
            for place in range(6)
        ]
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(rows))
        return path

    first = written("a", "judge-1")
    assert_refused(harness("compare", "--bench", "alpaca_eval2", first, written("b", "judge-2")), "of one judge alone")
    assert harness("compare", "--bench", "alpaca_eval2", first, written("c", "judge-1")).exit_code == 0


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """Verdicts in the store of a run, made by a step whose code was another."""
    folder = tmp_path / "store" / "numbers" / ("0" * 64)
    folder.mkdir(parents=True)
    path = annotated(folder / "annotations.csv", [1.0, 1.2, 1.9, 2.0])
    digests = {path.name: file_digest(path)}
    record = {
        "step": folder.parent.name,
        "key": folder.name,
        "files": {path.name: path.stat().st_size},
        "digests": digests,
        "counts": {},
        "content": content_digest(digests, {}),
        "functions": ["tests.engine.sample_steps:numbers"],
        "code": {"tests.engine.sample_steps": "0123456789abcdef"},
        "provenance": {"python": platform.python_version()},
    }
    (folder / "artifact.json").write_text(json.dumps(sealed(record)))
    return path


def test_verdicts_that_other_code_has_made_are_named(harness: Harness, tmp_path: Path, stored: Path) -> None:
    link, other = tmp_path / "mine.csv", annotated(tmp_path / "theirs.csv", [1.5, 1.1, 1.2, 1.0])
    link.symlink_to(stored)
    named = "code of numbers changed since 1 of its artifacts was made: "
    for path in (stored, link):
        found = alpaca(harness, path, other, "--json")
        assert found.err.startswith(named) and "`harness reproduce --code-changes rerun`" in found.err
        assert [line[: len(named)] for line in found.scores["stale"]] == [named]
    ignored = alpaca(harness, stored, other, "--json", "--code-changes", "ignore")
    assert (ignored.err, len(ignored.scores["stale"])) == ("", 1)
    copied = Path(shutil.copy(stored, tmp_path / "copy.csv"))
    unknown = alpaca(harness, copied, other, "--json")
    assert (unknown.err, unknown.scores["stale"]) == ("", [])


def test_damaged_verdicts_are_refused(harness: Harness, tmp_path: Path, stored: Path) -> None:
    other = annotated(tmp_path / "theirs.csv", [1.5, 1.1, 1.2, 1.0])
    stored.write_text(stored.read_text().replace("1.9", "1.8"))
    assert_refused(alpaca(harness, stored, other), re.escape(f"{stored} is damaged; run the"))

"""`harness leaderboard` as a user meets it, on simulated verdicts."""

import csv
import gzip
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import pytest

from evals.alpaca_eval2.annotations import Annotations
from evals.alpaca_eval2.length_calibration import write_calibration
from evals.arena_hard.files import write_judgments
from tests.command import Harness
from tests.evals import simulated

N = 120
ABILITIES = {"strong": 1.5, "good": 0.5, "fair": 0.4, "weak": -1.5}


def write_table(path: Path, verdicts: Annotations, indices: Iterable[int] = range(N)) -> None:
    kept = verdicts.only(indices)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("index", "preference", "len_1", "len_2"))
        writer.writerows(zip(kept.index, kept.preference, kept.len_1, kept.len_2, strict=True))


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    folder = tmp_path / "verdicts"
    folder.mkdir()
    for seed, (name, ability) in enumerate(ABILITIES.items()):
        write_table(folder / f"{name}.csv", simulated.annotations(N, ability=ability, seed=seed))
    return folder


@pytest.fixture
def rank(harness: Harness, tmp_path: Path) -> Harness:
    """The command, its files in a folder of the test's."""
    return lambda *arguments: harness("leaderboard", *arguments, "--out", tmp_path / "out")


def write_annotations(path: Path, model: str, judge: str, ability: float = 0.0) -> None:
    verdicts = simulated.annotations(N, ability=ability, seed=len(model))
    rows = [
        {
            "index": index,
            "instruction": f"instruction {index}",
            "output_1": "x" * 10,
            "generator_1": "base",
            "output_2": "y" * 12,
            "generator_2": model,
            "annotator": judge,
            "preference": preference,
        }
        for index, preference in zip(verdicts.index, verdicts.preference, strict=True)
    ]
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(rows))


def test_models_are_ranked_with_what_is_chance(rank: Harness, tables: Path, tmp_path: Path) -> None:
    found = rank(tables, "--json").scores
    [ranking] = found["rankings"]
    places = {place["model"]: place for place in ranking["places"]}
    assert [place["rank"] for place in ranking["places"]] == [1, 2, 3, 4]
    assert places["strong"]["rank_ci95"] == [1, 1] and places["weak"]["rank_ci95"] == [4, 4]
    assert places["good"]["rank_ci95"] == places["fair"]["rank_ci95"] == [2, 3]
    assert ranking["groups"] == [[1, 1], [2, 3], [4, 4]]
    assert (ranking["n_apart"], ranking["n_pairs"]) == (5, 6)
    assert "--lc-calibration" in found["notes"][0]
    assert json.loads((tmp_path / "out/leaderboard.json").read_text()) == found
    rows = list(csv.DictReader((tmp_path / "out/leaderboard.csv").open()))
    assert [row["model"] for row in rows] == [place["model"] for place in ranking["places"]]
    assert float(rows[0]["score"]) == places["strong"]["score"]
    assert {path.suffix for path in (tmp_path / "out/figures").iterdir()} == {".pdf", ".png", ".svg"}
    assert all(name in (tmp_path / "out/index.html").read_text() for name in ABILITIES)


def test_scores_are_those_of_eval(rank: Harness, harness: Harness, tables: Path, tmp_path: Path) -> None:
    write_calibration(tmp_path / "gamed.csv", simulated.calibration(N))
    calibration = ("--lc-calibration", tmp_path / "gamed.csv")
    found = rank(tables, *calibration, "--json").scores
    assert [each["metric"] for each in found["rankings"]] == ["length_controlled_winrate", "win_rate"]
    scores = harness(
        "eval", "--bench", "alpaca_eval2", "--annotations", tables / "good.csv", *calibration, "--json"
    ).scores
    for ranking in found["rankings"]:
        [place] = [place for place in ranking["places"] if place["model"] == "good"]
        assert place["score"] == pytest.approx(scores[ranking["metric"]])
        assert place["ci95"] == pytest.approx(scores["ci95"][ranking["metric"]], abs=0.8)


def test_pairs_are_tested_as_one_family(rank: Harness, harness: Harness, tables: Path) -> None:
    found = rank(tables, "--pairs", "strong:weak,good:fair", "--json").scores
    first, second = found["pairs"]
    assert (first["verdict"], second["verdict"]) == ("better", "undecided")
    alone = harness("compare", tables / "good.csv", tables / "fair.csv", "--bench", "alpaca_eval2", "--json").scores
    expected = alone["against"][0]["metrics"]["win_rate"]
    assert (second["difference"], second["p_value"]) == (expected["difference"], expected["p_value"])
    assert first["p_holm"] == pytest.approx(2 * first["p_value"])
    table = rank(tables, "--pairs", "good:fair").out
    assert "good – fair" in table and "undecided" in table


def test_alpaca_evals_own_folders_are_read_and_other_judges_left_out(rank: Harness, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    for model, ability in ABILITIES.items():
        write_annotations(folder / model / "judge" / "annotations.json", model, "judge", ability)
    write_annotations(folder / "strong" / "other" / "annotations.json", "strong", "other")
    found = rank(folder, "--json").scores
    assert (found["judge"], found["baseline"]) == ("judge", "base")
    assert [each["reason"] for each in found["left_out"]] == ["judged by other, not judge"]
    assert len(found["rankings"][0]["places"]) == len(ABILITIES)
    assert "left out: 1 file\n" in rank(folder).out


def test_models_on_other_prompts_are_left_out_with_a_count(rank: Harness, tables: Path) -> None:
    write_table(tables / "half.csv", simulated.annotations(N), range(N // 2))
    found = rank(tables, "--json").scores
    assert found["n_prompts"] == N
    assert [each["model"] for each in found["left_out"]] == ["half"]
    assert found["left_out"][0]["reason"] == "judged on 60 of the 120 prompts of the others"


def test_judgments_of_arena_hard_are_ranked(rank: Harness, tmp_path: Path) -> None:
    folder = tmp_path / "model_judgment" / "judge"
    folder.mkdir(parents=True)
    for seed, ability in enumerate((2.0, -2.0)):
        rows = simulated.judgments(60, seed=seed, ability=ability)
        named = [type(row)(**{**_fields(row), "model": f"model-{seed}"}) for row in rows]
        write_judgments(folder / f"model-{seed}.jsonl", named)
    found = rank(tmp_path / "model_judgment", "--json").scores
    assert (found["bench"], found["judge"], found["notes"]) == ("arena_hard", "judge", [])
    assert [place["rank_ci95"] for place in found["rankings"][0]["places"]] == [[1, 1], [2, 2]]


def _fields(row: object) -> dict[str, object]:
    return {name: getattr(row, name) for name in ("question_id", "judge", "games", "baseline")}


def refused(outcome: object, *, saying: str) -> None:
    """One line, exit code 2."""
    fields = asdict(outcome)  # type: ignore[call-overload]
    assert (fields["exit_code"], fields["out"]) == (2, ""), fields
    assert fields["err"].startswith("error: ") and fields["err"].count("\n") == 1
    assert saying in fields["err"]


def test_two_files_on_one_model_are_refused(rank: Harness, tables: Path) -> None:
    (tables / "weak.csv.gz").write_bytes(gzip.compress((tables / "weak.csv").read_bytes()))
    refused(rank(tables), saying="two files hold verdicts on weak: ")


def test_folders_that_cannot_be_ranked(rank: Harness, tables: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused(rank(tmp_path / "empty"), saying="no verdicts in it")
    refused(rank(tmp_path / "absent"), saying="no such folder")
    for name in ("good", "fair", "weak"):
        (tables / f"{name}.csv").unlink()
    refused(rank(tables), saying="1 of 1 files can be ranked; it takes two models")


@pytest.mark.parametrize(
    ("pairs", "saying"),
    [
        ("strong", "'strong' is no pair"),
        ("strong:good:fair", "is no pair"),
        ("strong:strong", "paired with itself"),
        ("strong:weak,weak:strong", "given twice"),
        ("strong:wek", "did you mean 'weak'?"),
    ],
)
def test_pairs_that_cannot_be_tested(rank: Harness, tables: Path, pairs: str, saying: str) -> None:
    refused(rank(tables, "--pairs", pairs), saying=saying)

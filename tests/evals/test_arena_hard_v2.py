"""Arena-Hard v2.0 against its public tool: tests/evals/arena_hard_v2_expected.json holds what the functions of
lmarena/arena-hard-auto at 196f6b8 make of `simulated_v2`; `style_controlled` is their fit of all battles, unresampled,
and `lower` to `style_upper` are of 100 resamples with NumPy's seed 0."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evals import scoring
from evals.arena_hard.files import read_judgments, write_current_judgments
from evals.arena_hard_v2.scores import BASELINES, METRICS, PUBLISHED, CategoryGames, battles, score_judgments
from evals.arena_hard_v2.style import shown_answers, style_counter
from evals.official_data import load_baseline
from evals.stats.style_control import style_controlled_statistic, style_features, tool_fit
from harness.errors import UserError
from harness.steps.judge_prompt import CategoryJudgePrompt, official_prompt
from harness.steps.question_categories import CATEGORIES, category_of
from harness.steps.verdicts import read_last_label
from tests.command import Harness
from tests.evals.simulated_v2 import MODELS, judgments

EXPECTED = json.loads((Path(__file__).parent / "arena_hard_v2_expected.json").read_text(encoding="utf-8"))


def written(folder: Path, model: str, rows: list[dict[str, Any]] | None = None) -> Path:
    path = folder / f"{model}.jsonl"
    rows = judgments(model, **MODELS[model]) if rows is None else rows
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def few_rounds(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the official intervals, which take seconds, of a few rounds where they are not looked at."""
    if not request.node.name.startswith("test_scores_are_those_of_the_public_tool"):
        monkeypatch.setattr("evals.arena_hard_v2.scores.OFFICIAL_ROUNDS", 3)


@pytest.mark.parametrize("model", MODELS)
def test_scores_are_those_of_the_public_tool(tmp_path: Path, model: str) -> None:
    scores = score_judgments(read_judgments(written(tmp_path, model), CATEGORIES), allow_missing=True, resamples=50)
    for category, expected in EXPECTED[model].items():
        assert scores[category] == pytest.approx(expected["score"], abs=0.01)
        assert scores[f"{category}_style_controlled"] == pytest.approx(expected["style_controlled"], abs=0.01)
        assert scores["n_battles"][category] == expected["n_battles"]
        # The tool sets no seed: ends of 100 resamples differ by about a tenth of the interval.
        low, high = expected["lower"], expected["upper"]
        assert scores["ci90_official"][category] == pytest.approx([low, high], abs=0.25 * (high - low))
        low, high = expected["style_lower"], expected["style_upper"]
        styled = scores["ci90_official"][f"{category}_style_controlled"]
        assert styled == pytest.approx([low, high], abs=0.25 * (high - low))
        inner, outer = scores["ci90_official"][category], scores["ci95"][category]
        assert outer[0] < inner[0] < inner[1] < outer[1]
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores


def test_a_question_counts_with_both_verdicts_or_not_at_all(tmp_path: Path) -> None:
    rows = judgments("plain", **MODELS["plain"])
    whole = CategoryGames(read_judgments(written(tmp_path, "plain", rows), CATEGORIES))
    rows[0]["games"][1]["score"] = None
    rows[1]["games"][0] = None
    found = CategoryGames(read_judgments(written(tmp_path, "plain", rows), CATEGORIES))
    assert found.n_results == whole.n_results - 4
    assert set(whole.items) - set(found.items) == {rows[0]["uid"], rows[1]["uid"]}


def test_the_order_of_questions_is_of_no_account_but_for_the_official_interval(tmp_path: Path) -> None:
    rows = judgments("adorned", **MODELS["adorned"])
    first, again = (
        score_judgments(read_judgments(written(tmp_path, "adorned", each), CATEGORIES), allow_missing=True)
        for each in (rows, rows[::-1])
    )
    for metric in METRICS:
        assert again[metric.name] == pytest.approx(first[metric.name], abs=0.01)
        assert again["ci95"][metric.name] == pytest.approx(first["ci95"][metric.name], abs=1.5)


def test_a_category_alone_has_no_score_of_the_other(tmp_path: Path) -> None:
    rows = [row for row in judgments("plain", **MODELS["plain"]) if row["category"] == "hard_prompt"]
    scores = score_judgments(read_judgments(written(tmp_path, "plain", rows), CATEGORIES), allow_missing=True)
    assert scores["hard_prompt"] is not None and scores["creative_writing"] is None
    assert scores["creative_writing_style_controlled"] is None


def test_without_answers_there_is_no_style_control(tmp_path: Path) -> None:
    rows = judgments("plain", **MODELS["plain"])
    for row in rows:
        for game in row["games"]:
            game["prompt"] = "nothing to be seen"
    scores = score_judgments(read_judgments(written(tmp_path, "plain", rows), CATEGORIES), allow_missing=True)
    assert scores["hard_prompt_style_controlled"] is None and scores["hard_prompt"] is not None
    assert "do not show both answers" in scores["style_control_withheld"]


def test_judgments_are_written_as_they_are_read(tmp_path: Path) -> None:
    read = read_judgments(written(tmp_path, "even"), CATEGORIES)
    write_current_judgments(tmp_path / "again.jsonl", read, dict.fromkeys(CATEGORIES, "Judge."))
    assert read_judgments(tmp_path / "again.jsonl", CATEGORIES) == read
    ours = [json.loads(line) for line in (tmp_path / "again.jsonl").read_text().splitlines()]
    assert ours == judgments("even", **MODELS["even"])


def test_two_models_are_compared_by_each_metric(tmp_path: Path) -> None:
    first, second = (
        CategoryGames(read_judgments(written(tmp_path, model), CATEGORIES)) for model in ("plain", "adorned")
    )
    for metric in METRICS:
        found = scoring.compare([first], [second], metric.name, allow_missing=True, resamples=100)
        assert found["difference"] < 0 and found["p_value"] < 0.01, metric


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"category": "arena-hard-v0.1"}, "not of hard_prompt or creative_writing"),
        ({"category": None}, "the question is of category null"),
        ({"baseline": "another"}, "against several baselines"),
        ({"uid": "hard_prompt-1"}, "again"),
    ],
)
def test_files_that_are_wrong(tmp_path: Path, change: dict[str, Any], complaint: str) -> None:
    rows = judgments("plain", **MODELS["plain"])
    rows[0] |= change
    with pytest.raises(UserError, match=complaint):
        read_judgments(written(tmp_path, "plain", rows), CATEGORIES)


def test_stored_judgments_are_scored_and_ranked_by_the_command(harness: Harness, tmp_path: Path) -> None:
    folder = tmp_path / "judgments"
    folder.mkdir()
    for model in ("plain", "adorned"):
        written(folder, model)
    one = harness(
        *("eval", "--bench", "arena_hard_v2", "--judgments", folder / "plain.jsonl", "--allow-missing", "--json")
    ).scores
    assert one["hard_prompt"] == pytest.approx(EXPECTED["plain"]["hard_prompt"]["score"])
    assert one["departure"] == "not Arena-Hard v2.0: on 120 of 750 questions"
    found = harness("leaderboard", folder, "--out", tmp_path / "out", "--json").scores
    assert found["bench"] == "arena_hard_v2" and len(found["rankings"]) == len(METRICS)
    assert [place["model"] for place in found["rankings"][0]["places"]] == ["adorned", "plain"]


def test_a_checkpoint_is_scored_on_the_embedded_scale(harness: Harness, tmp_path: Path) -> None:
    found = harness(
        *("eval", "--bench", "arena_hard_v2", "--model", "mini:llama", "--limit", 12, "--run-dir", tmp_path, "--json")
    ).scores
    assert found["n_asked"] == 24 and found["n_missing"] == 0
    assert all(found[metric.name] is not None for metric in METRICS)
    [path] = Path(found["folder"]).glob("model_judgment.jsonl")
    rows = read_judgments(path, CATEGORIES)
    assert {row.category for row in rows} == set(CATEGORIES) and {row.baseline for row in rows} == {"clerk"}


# The official data


def official_folder(folder: Path, *baselines: str) -> Path:
    """The layout of the tool's data folder, of 500 and 250 questions."""
    (folder / "model_answer").mkdir(parents=True)
    ids = [f"{number:016x}" for number in range(500)] + [f"0913d8dd{number:08x}" for number in range(250)]
    questions = [{"uid": id, "category": category_of(id), "prompt": f"question {id}"} for id in ids]
    (folder / "question.jsonl").write_text("\n".join(map(json.dumps, questions)))
    for model in baselines:
        turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": {"answer": f"of {model}"}}]
        answers = [{"uid": id, "model": model, "messages": turns} for id in ids]
        (folder / "model_answer" / f"{model}.jsonl").write_text("\n".join(map(json.dumps, answers)))
    return folder


@pytest.mark.parametrize("layout", [".", "data/arena-hard-v2.0", "arena_hard_v2.0"])
def test_each_category_has_its_own_baseline(tmp_path: Path, layout: str) -> None:
    official_folder(tmp_path / layout, *BASELINES.values())
    data = load_baseline("arena_hard_v2", str(tmp_path))
    assert data.name == PUBLISHED.baseline and len(data.responses) == 750
    assert {(category_of(row.prompt.id), row.writer, row.text) for row in data.responses} == {
        (category, model, f"of {model}") for category, model in BASELINES.items()
    }
    other = load_baseline("arena_hard_v2", str(tmp_path), BASELINES["hard_prompt"])
    assert other.name == BASELINES["hard_prompt"] and {row.writer for row in other.responses} == {other.name}


def test_a_missing_baseline_is_named(tmp_path: Path) -> None:
    official_folder(tmp_path, BASELINES["hard_prompt"])
    with pytest.raises(UserError, match=r"no answers of the baseline 'gemini-2\.0-flash-001' in "):
        load_baseline("arena_hard_v2", str(tmp_path))


def test_too_few_questions_are_refused(tmp_path: Path) -> None:
    (official_folder(tmp_path) / "question.jsonl").write_text('{"uid": "a", "prompt": "q"}')
    with pytest.raises(UserError, match=r"1 questions; Arena-Hard v2\.0 has 750"):
        load_baseline("arena_hard_v2", str(tmp_path))


# The parts


def test_each_category_is_asked_in_its_own_words() -> None:
    prompt = official_prompt("arena_hard_v2")
    assert isinstance(prompt, CategoryJudgePrompt)
    hard, creative = "2edbb5f36f5b42be", "0913d8dd7b354e93"
    assert (category_of(hard), category_of(creative)) == CATEGORIES
    assert "generating your own answer" in prompt.of(hard).request("q", "a", "b").messages[0].content
    words = prompt.of(creative).request("q", "a", "b").messages[0].content
    assert "generating your own answer" not in words and "compare both assistants' answers." in words


def test_questions_without_a_category_are_dealt_two_to_one() -> None:
    dealt = [category_of(f"question {number}") for number in range(3000)]
    assert 900 < dealt.count("creative_writing") < 1100


def test_the_official_questions_have_their_categories(shared_data: Path) -> None:
    with (shared_data / "arena_hard_v2.0/question.jsonl").open(encoding="utf-8") as file:
        rows = list(map(json.loads, file))
    assert len(rows) == 750 and all(category_of(row["uid"]) == row["category"] for row in rows)


def test_styles_are_those_of_the_tool(shared_data: Path) -> None:
    count = style_counter()
    assert count
    path = shared_data / "arena_hard_v2.0/model_answer/o3-mini-2025-01-31.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for row in map(json.loads, file):
            counts = [each if isinstance(each, int) else sum(each.values()) for each in row["metadata"].values()]
            assert count(row["messages"][-1]["content"]["answer"]) == tuple(counts)


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("[[A>B]] or rather [[B>A]]", "B>A"),
        ("my verdict: [[a>>b]]", "A>>B"),
        ("[A=B]", "A=B"),
        ("[B<A], no: [[B>A]]", "B>A"),
        ("[[B<<A]]", "A>>B"),
        ("A is better", ""),
    ],
)
def test_the_last_label_is_the_verdict(reply: str, verdict: str) -> None:
    assert read_last_label(reply).verdict == verdict


def test_answers_are_found_in_what_the_judge_was_asked() -> None:
    prompt = official_prompt("arena_hard_v2")
    asked = prompt.request("a question", "one\n\ntwo", "three").messages[-1].content
    assert shown_answers(asked) == ("one\n\ntwo", "three")
    assert shown_answers("a question") is None


def test_answers_alike_in_style_score_their_share_of_the_battles() -> None:
    outcomes = np.array([1.0] * 30 + [0.0] * 10)
    features = style_features(np.ones((40, 4)), np.ones((40, 4)))
    assert (features == 0).all()
    assert tool_fit(features, outcomes) == pytest.approx(75, abs=0.5)
    statistic = style_controlled_statistic(features, outcomes, np.arange(40), 40)
    assert statistic.resample(np.ones((1, 40)))[0] == pytest.approx(statistic.value)


def test_battles_are_in_the_order_of_the_tool(tmp_path: Path) -> None:
    rows = judgments("plain", **MODELS["plain"])[:1]
    rows[0]["games"][0]["score"], rows[0]["games"][1]["score"] = "A>>B", "A=B"
    [row] = read_judgments(written(tmp_path, "plain", rows), CATEGORIES)
    assert battles([row]).tolist() == [0.5, 0.0, 0.0, 0.0]

"""`harness eval --bench mt_bench`: a checkpoint, stored answers and stored grades."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from evals.mt_bench.files import read_answers, read_grades
from tests.chat_server import ChatServer
from tests.command import Harness, Outcome
from tests.evals.mt_bench.conftest import QUESTIONS, fastchat_folder, write_lines

pytestmark = pytest.mark.usefixtures("in_this_process")

Evaluate = Callable[..., Outcome]
METRICS = ("first_turn", "second_turn", "average")


@pytest.fixture
def evaluate(harness: Harness, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Evaluate:
    """`harness eval --bench mt_bench` in this process, in an empty folder, without a key."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    return lambda *arguments: harness("eval", "--bench", "mt_bench", *arguments)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """FastChat's data, on three questions."""
    return fastchat_folder(tmp_path / "data")


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    """Stored answers to the three questions."""
    rows = [
        {"question_id": each["question_id"], "model_id": "mine", "choices": [{"index": 0, "turns": ["A.", "B!"]}]}
        for each in QUESTIONS
    ]
    return write_lines(tmp_path / "mine.jsonl", rows)


def judged_by(server: ChatServer, model: str = "judge-1") -> tuple[str, ...]:
    return ("--judge-model", model, "--judge-base-url", server.base_url)


def likes_first_turns(body: Mapping[str, Any]) -> str:
    return "It is fine. Rating: [[3]]" if "### User:" in body["messages"][-1]["content"] else "Rating: [[8.5]]"


def test_a_checkpoint_is_graded_on_the_embedded_scale(evaluate: Evaluate) -> None:
    outcome = evaluate("--model", "mini:llama", "--limit", "8", "--json")
    scores = outcome.scores
    assert all(1 <= scores[metric] <= 10 for metric in METRICS)
    assert scores["average"] == pytest.approx((scores["first_turn"] + scores["second_turn"]) / 2)
    assert (scores["n_asked"], scores["n_missing"]) == (16, 0)
    assert "the questions are those of scale mini; judged by mini:judge, not gpt-4" in scores["departure"]
    folder = Path(scores["folder"])
    assert len(read_answers(folder / "model_answer.jsonl")) == 8
    again = evaluate("--judgments", folder / "model_judgment.jsonl", "--json").scores
    assert {name: again[name] for name in (*METRICS, "ci95", "n_asked")} == {
        name: scores[name] for name in (*METRICS, "ci95", "n_asked")
    }
    assert again["by_category"].keys() == scores["by_category"].keys()
    stored = evaluate("--answers", folder / "model_answer.jsonl", "--scale", "mini", "--limit", "8", "--json").scores
    assert {name: stored[name] for name in METRICS} == {name: scores[name] for name in METRICS}


def test_stored_answers_are_graded_both_turns_math_by_references(evaluate: Evaluate, data: Path, answers: Path) -> None:
    with ChatServer(answer=likes_first_turns) as server:
        outcome = evaluate("--answers", answers, "--data", data, *judged_by(server))
        assert sum(server.calls.values()) == 6
        shown = [body["messages"][-1]["content"] for body in server.bodies]
        assert {body["messages"][0]["role"] for body in server.bodies} == {"system"}
        assert {(body["max_tokens"], body["temperature"]) for body in server.bodies} == {(2048, 0.0)}
    assert sum("Two." in text for text in shown) == 2 and sum("Four." in text for text in shown) == 1
    lines = outcome.out.splitlines()
    assert lines[0] == "mt_bench: mine" and "not MT-Bench: the questions or references are not those" in lines[2]
    assert [line.split()[:2] for line in lines[3:6]] == [
        ["first_turn", "8.50"],
        ["second_turn", "3.00"],
        ["average", "5.75"],
    ]
    assert lines[-1].split() == ["verdicts", "6", "of", "6"]


def test_failed_grades_are_counted_never_scored_and_asked_for_again(
    evaluate: Evaluate, data: Path, answers: Path
) -> None:
    replies = {"Write": ["no idea", "[[10]]"]}

    def answer(body: Mapping[str, Any]) -> str:
        content = body["messages"][-1]["content"]
        if "[Question]\nWrite" in content:
            return replies["Write"].pop(0)
        return "Rating: [[4]]"

    with ChatServer(answer=answer) as server:
        arguments = ("--answers", answers, "--data", data, *judged_by(server), "--allow-missing", "--json")
        outcome = evaluate(*arguments)
        first = outcome.scores
        assert "mt_bench: 1 verdicts failed: the reply has no rating; instruction 81 turn 1" in outcome.err
        assert (first["first_turn"], first["n_missing"], first["n_asked"]) == (4, 1, 6)
        [failed] = [each for each in read_grades(Path(first["folder"]) / "model_judgment.jsonl") if each.rating is None]
        assert (failed.question_id, failed.turn, failed.judgment) == ("81", 1, "no idea")
        second = evaluate(*arguments).scores
        assert (second["first_turn"], second["n_missing"]) == (6, 0)
        assert sum(server.calls.values()) == 7  # the one that failed, again


def test_too_many_failed_grades_withhold_the_scores(evaluate: Evaluate, data: Path, answers: Path) -> None:
    with ChatServer(answer=lambda body: "fine" if "Heat" in str(body) or "heat" in str(body) else "[[5]]") as server:
        outcome = evaluate("--answers", answers, "--data", data, *judged_by(server))
    assert outcome.exit_code == 0
    assert "scores withheld: only 4 of 6 verdicts are there; the same command asks for the others again" in outcome.out
    assert "average" not in outcome.out


def test_a_judge_that_never_rates_ends_the_run_in_one_line(evaluate: Evaluate, data: Path, answers: Path) -> None:
    with ChatServer(answer=lambda body: "Lovely weather.") as server:
        outcome = evaluate("--answers", answers, "--data", data, *judged_by(server))
    assert outcome.exit_code == 2
    assert "gave no rating of any of 6 answers; the commonest reason (6 of 6): the reply has no rating" in outcome.err


def test_a_dry_run_counts_calls_and_asks_nothing(evaluate: Evaluate, data: Path, answers: Path) -> None:
    with ChatServer(answer=likes_first_turns) as server:
        known = evaluate("--answers", answers, "--data", data, *judged_by(server), "--dry-run")
        unknown = evaluate("--model", "mini:llama", "--data", data, *judged_by(server), "--dry-run", "--json").scores
        assert not server.calls
    assert "calls              6, and 0 recorded already (free)" in known.out
    assert unknown["calls"] == 6 and unknown["assumes_answers"]


def test_only_the_official_questions_and_judge_give_mt_bench(
    evaluate: Evaluate, shared_data: Path, tmp_path: Path
) -> None:
    rows = [
        {"question_id": id, "model_id": "mine", "choices": [{"index": 0, "turns": ["A.", "B!"]}]}
        for id in range(81, 161)
    ]
    path = write_lines(tmp_path / "mine.jsonl", rows)
    with ChatServer(answer=likes_first_turns, models=("gpt-4", "judge-1")) as server:
        asked = ("--outputs", path, "--data", shared_data / "mt_bench", "--json")
        whole = evaluate(*asked, *judged_by(server, "gpt-4")).scores
        assert sum(server.calls.values()) == 160
        part = evaluate(*asked, *judged_by(server, "judge-1"), "--limit", "20").scores
    assert whole["departure"] == f"not MT-Bench: judged by gpt-4 at {server.base_url}"
    assert part["departure"] == "not MT-Bench: on 20 of 80 questions; judged by judge-1, not gpt-4"
    assert list(whole["by_category"]) and part["by_category"].keys() == {"writing", "roleplay"}


def test_a_contradicted_score_is_said_in_one_line(evaluate: Evaluate, harness: Harness, tmp_path: Path) -> None:
    row = {"question_id": 81, "model": "m", "judge": ["gpt-4", "x"], "judgment": "[[2]]", "score": 8, "turn": 1}
    path = write_lines(tmp_path / "g.jsonl", [row, {**row, "question_id": 82, "judgment": "[[8]]"}])
    outcome = evaluate("--judgments", path, "--allow-missing")
    assert "  the stored score is not the rating in the judgment's text in 1 of 2 grades, first in" in outcome.out
    assert "average" in outcome.out and " 8.00 " in outcome.out
    rows = [{**row, "question_id": id, "turn": turn, "model": "n"} for id in (81, 82) for turn in (1, 2)]
    other = write_lines(tmp_path / "other.jsonl", rows)
    said = harness("compare", "--bench", "mt_bench", path, other, "--allow-missing").err
    assert [line.partition(": the stored score is not")[0] for line in said.splitlines()] == [str(path), str(other)]


BAD: Mapping[str, tuple[dict[str, Any], str]] = {
    "a turn missing": ({"turns": ["Write a line."]}, "question 81 must have two turns, each a text"),
    "no references": (
        {"category": "coding"},
        "no reference to both turns of question 81 (coding), which is graded by them",
    ),
}


@pytest.mark.parametrize("change", BAD)
def test_wrong_questions_are_one_line(evaluate: Evaluate, tmp_path: Path, answers: Path, change: str) -> None:
    changed, complaint = BAD[change]
    folder = fastchat_folder(tmp_path / "bad", questions=[{**QUESTIONS[0], **changed}])
    outcome = evaluate("--answers", answers, "--data", folder, "--judge-model", "j")
    assert outcome.exit_code == 2 and outcome.err.count("\n") == 1 and complaint in outcome.err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--model", "mini:llama", "--revisions", "1"], "--revisions goes with a bench of generated answers"),
        (["--model", "mini:llama", "--baseline", "x"], "--baseline goes with a bench with a baseline"),
        (["--model", "mini:llama", "--scale", "small"], "unknown bench in"),
        (["--model", "mini:llama", "--data", "x", "--scale", "mini"], "--data and --baseline go with --scale official"),
        (["--model", "mini:llama", "--data", "no-folder"], "no-folder: no folder with MT-Bench's question.jsonl"),
        (["--annotations", "x.csv"], "--annotations holds verdicts of alpaca_eval2; give --bench alpaca_eval2"),
        (["--judgments", "none.jsonl"], "none.jsonl: no such file"),
        (["--judgments", "x.jsonl", "--lc-calibration", "x.csv"], "--lc-calibration"),
    ],
)
def test_what_cannot_be_asked_is_one_line(evaluate: Evaluate, arguments: list[str], complaint: str) -> None:
    outcome = evaluate(*arguments)
    assert outcome.exit_code == 2 and outcome.err.splitlines()[-1].startswith("error: ") and complaint in outcome.err


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({"choices": [{"turns": ["A."]}]}, "question 81 must be answered in two turns"),
        ({"choices": [{"turns": ["A.", "B.", "C."]}]}, "question 81 must be answered in two turns"),
        ({"choices": [{"turns": ["A.", None]}]}, "question 81 must be answered in two turns"),
    ],
)
def test_wrong_answers_are_one_line(
    evaluate: Evaluate, tmp_path: Path, data: Path, row: dict[str, Any], complaint: str
) -> None:
    path = write_lines(tmp_path / "bad.jsonl", [{"question_id": 81, "model_id": "m", **row}])
    outcome = evaluate(
        "--answers", path, "--data", data, "--judge-model", "j", "--judge-base-url", "http://127.0.0.1:9"
    )
    assert outcome.exit_code == 2 and complaint in outcome.err.splitlines()[-1]


def test_two_models_are_compared_by_their_grades(harness: Harness, tmp_path: Path) -> None:
    def file(name: str, scores: Callable[[int], float]) -> Path:
        rows = [
            {
                "question_id": id,
                "model": name,
                "judge": ["gpt-4", "x"],
                "judgment": "",
                "score": scores(id),
                "turn": turn,
            }
            for id in range(81, 161)
            for turn in (1, 2)
        ]
        return write_lines(tmp_path / f"{name}.jsonl", rows)

    better, worse = file("better", lambda id: 6 + id % 3), file("worse", lambda id: 5 + id % 2)
    [found] = json.loads(harness("compare", "--bench", "mt_bench", better, worse, "--json").out)["against"]
    differences = {name: metric["difference"] for name, metric in found["metrics"].items()}
    assert differences == pytest.approx(dict.fromkeys(METRICS, 1.4875)) and found["n_prompts"] == 80
    low, high = found["metrics"]["average"]["ci95"]
    assert [low, high] == found["metrics"]["first_turn"]["ci95"]  # both turns agree: no more is known than from one
    assert low > 1 and found["metrics"]["average"]["verdict"] == "better"

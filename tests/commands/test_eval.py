"""`harness eval` against a judge behind a real HTTP server on loopback."""

import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from evals.alpaca_eval2.annotations import read_annotations
from evals.arena_hard.files import read_judgments
from evals.formats.outputs import read_model_outputs
from harness.records import Judgment, read_rows
from tests.batch_routes import BatchRoutes
from tests.chat_server import ChatServer, Faults
from tests.command import Harness, Outcome
from tests.evals.leaderboards import read_leaderboard

pytestmark = pytest.mark.usefixtures("in_this_process")

LIMIT = 12


Evaluate = Callable[..., Outcome]


@pytest.fixture
def evaluate(harness: Harness, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Evaluate:
    """`harness eval` in this process, in an empty folder, without a key."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    return lambda *arguments: harness("eval", *arguments, "--run-dir", tmp_path / "run")


def judged_by(server: ChatServer, *more: str) -> tuple[str, ...]:
    return ("--judge-model", "judge-1", "--judge-base-url", server.base_url, "--limit", str(LIMIT), *more)


@pytest.fixture
def alpaca(shared_data: Path) -> Path:
    return shared_data / "alpaca_eval2"


@pytest.fixture
def arena(shared_data: Path) -> Path:
    return shared_data / "arena_hard_v0.1"


def from_outputs(alpaca: Path, name: str = "claude-2") -> tuple[str | Path, ...]:
    return ("--bench", "alpaca_eval2", "--outputs", alpaca / f"model_outputs/{name}.json", "--data", alpaca)


def likes_long(body: Mapping[str, Any]) -> str:
    """A judge's verdict on what it was shown: the longer output."""
    message = body["messages"][-1]["content"]
    if body.get("max_tokens") == 1:
        shown = message.split('"output": """')[1:]
        first, second = (part.split('"""')[0] for part in shown)
        return "m" if len(first) > len(second) else "M"
    first, second = (part.split("<|The End of Assistant")[0] for part in message.split("Answer|>\n")[1::2])
    return "[[A>B]]" if len(first) > len(second) else "[[B>A]]"


def test_stored_outputs_are_judged_scored_and_written_in_the_official_formats(
    evaluate: Evaluate, harness: Harness, alpaca: Path
) -> None:
    with ChatServer(answer=likes_long) as server:
        outcome = evaluate(*from_outputs(alpaca), *judged_by(server), "--json")
        scores = outcome.scores
        assert sum(server.calls.values()) == LIMIT
        assert {body["model"] for body in server.bodies} == {"judge-1"}
        assert {body["max_tokens"] for body in server.bodies} == {1}
    baseline = read_model_outputs(alpaca / "baseline_gpt4_1106_preview.json")[:LIMIT]
    outputs = {row.instruction: row.output for row in read_model_outputs(alpaca / "model_outputs/claude-2.json")}
    longer = sum(len(outputs[row.instruction]) > len(row.output) for row in baseline)
    assert (scores["n_wins"], scores["n_total"], scores["n_asked"]) == (longer, LIMIT, LIMIT)
    assert "not AlpacaEval 2.0" in scores["departure"] and "judge-1" in scores["departure"]
    assert scores["length_controlled_winrate"] is None

    folder = Path(scores["folder"])
    annotations = read_annotations(folder / "annotations.json")
    assert annotations.index == tuple(range(LIMIT))
    written = read_model_outputs(folder / "model_outputs.json")
    assert [row.output for row in written] == [outputs[row.instruction] for row in baseline]
    assert read_leaderboard(folder / "leaderboard.csv")["claude-2"]["win_rate"] == pytest.approx(scores["win_rate"])
    again = harness("eval", "--bench", "alpaca_eval2", "--annotations", folder / "annotations.json", "--json").scores
    assert again["win_rate"] == scores["win_rate"] and again["ci95"] == scores["ci95"]


def test_arena_hard_is_judged_twice_and_any_baseline_can_be_named(evaluate: Evaluate, arena: Path) -> None:
    with ChatServer(answer=likes_long) as server:
        scores = evaluate(
            *("--bench", "arena_hard", "--outputs", arena / "model_answer/gpt-3.5-turbo-0125.jsonl"),
            *("--data", arena, "--baseline", "gpt-4-0613", "--json"),
            *judged_by(server),
        ).scores
        assert sum(server.calls.values()) == 2 * LIMIT
        assert {body["messages"][0]["role"] for body in server.bodies} == {"system"}
    assert scores["baseline"] == "gpt-4-0613" and "against gpt-4-0613" in scores["departure"]
    assert (scores["n_asked"], scores["n_missing"]) == (2 * LIMIT, 0)
    folder = Path(scores["folder"])
    judgments = read_judgments(folder / "model_judgment.jsonl")
    assert len(judgments) == LIMIT and {judgment.judge for judgment in judgments} == {"judge-1"}


def test_pairwise_compares_any_two_files(evaluate: Evaluate, alpaca: Path) -> None:
    with ChatServer(answer=lambda body: "[[A>B]]") as server:
        scores = evaluate(
            *("--bench", "pairwise", "--outputs", alpaca / "model_outputs/claude-2.json"),
            *("--baseline", alpaca / "model_outputs/vicuna-13b.json", "--json"),
            *judged_by(server),
        ).scores
    assert (scores["win_rate"], scores["consistency"], scores["first_shown_win_rate"]) == (50, 0, 100)


def test_measurements_need_no_judge(evaluate: Evaluate, alpaca: Path) -> None:
    outputs, baseline = (alpaca / f"model_outputs/{name}.json" for name in ("claude-2", "vicuna-13b"))
    scores = evaluate(
        "--bench", "edit_distance", "--outputs", outputs, "--baseline", baseline, "--limit", "9", "--json"
    )
    assert scores.scores["n"] == 9
    counted = evaluate(
        *("--bench", "edit_distance", "--outputs", outputs, "--baseline", baseline, "--model", "mini:llama"),
        *("--limit", "9", "--json"),
    ).scores
    assert counted["characters"] == scores.scores["characters"]
    assert counted["tokens"] != scores.scores["tokens"]  # the checkpoint's tokens instead of words
    measured = evaluate(
        *("--bench", "perplexity", "--model", "mini:llama", "--outputs", baseline, "--limit", "3", "--json")
    ).scores
    assert measured["n"] == 3 and measured["corpus_perplexity"]["value"] > 1


def test_a_checkpoint_of_the_world_is_judged_by_a_judge_from_elsewhere(evaluate: Evaluate) -> None:
    with ChatServer() as server:
        scores = evaluate(
            *("--bench", "arena_hard", "--model", "mini:llama", "--scale", "mini", "--json"), *judged_by(server)
        ).scores
    assert scores["n_missing"] == 0 and "the instructions are those of scale mini" in scores["departure"]


def test_failed_verdicts_are_counted_never_scored_and_asked_again_by_the_next_run(
    evaluate: Evaluate, alpaca: Path
) -> None:
    def unsure_of_some(body: Mapping[str, Any]) -> str:
        return "I cannot say." if "actors" in body["messages"][-1]["content"] else likes_long(body)

    command = (*from_outputs(alpaca), "--json")
    with ChatServer(answer=unsure_of_some) as server:
        options = judged_by(server, "--judge-without", "logprobs")
        first = evaluate(*command, *options).scores
        assert first["n_missing"] > 0 and first["win_rate"] is None
        assert f"only {LIMIT - first['n_missing']} of {LIMIT} verdicts" in first["withheld"]
        partial = evaluate(*command, *options, "--allow-missing").scores
        assert partial["win_rate"] is not None and partial["n_total"] == LIMIT - first["n_missing"]
        asked = server.calls.copy()
        server.answer = likes_long
        whole = evaluate(*command, *options).scores
        assert (whole["n_missing"], whole["withheld"]) == (0, None)
        assert sum((server.calls - asked).values()) == first["n_missing"]
    rows = [row for path in Path("run/store/judge_pairs").glob("*/rows.jsonl") for row in read_rows(path, Judgment)]
    assert {row.state for row in rows} == {"ok"}


def test_missing_outputs_are_said_before_anything_is_judged(evaluate: Evaluate, alpaca: Path, tmp_path: Path) -> None:
    outputs = json.loads((alpaca / "model_outputs/claude-2.json").read_text())
    (tmp_path / "some.json").write_text(json.dumps(outputs[2:]))
    command = ("--bench", "alpaca_eval2", "--outputs", tmp_path / "some.json", "--data", alpaca)
    with ChatServer() as server:
        refused = evaluate(*command, *judged_by(server))
        assert refused.exit_code == 2
        assert "no output for 2 of the 12 instructions" in refused.err.splitlines()[-1]
        assert not server.calls
        scores = evaluate(*command, *judged_by(server), "--allow-missing", "--json").scores
        assert (scores["n_total"], scores["n_missing"], sum(server.calls.values())) == (10, 2, 10)


def test_faults_change_nothing_but_the_number_of_calls(evaluate: Evaluate, alpaca: Path, tmp_path: Path) -> None:
    def verdicts(server: ChatServer) -> list[tuple[str, float | None]]:
        folder = Path(evaluate(*from_outputs(alpaca), *judged_by(server), "--json").scores["folder"])
        shutil.rmtree(tmp_path / "verdicts", ignore_errors=True)
        rows = json.loads((folder / "annotations.json").read_text())
        return [(row["raw_completion"], row["preference"]) for row in rows]

    with ChatServer() as calm:
        expected = verdicts(calm)
    shutil.rmtree("run")
    with ChatServer(faults=Faults({"500": 0.1, "429": 0.1, "cut": 0.1}, seed=3)) as stormy:
        assert verdicts(stormy) == expected
        assert sum(stormy.calls.values()) > LIMIT
        assert sum(stormy.served.values()) == LIMIT


def test_what_was_paid_for_is_free_for_the_next_run(evaluate: Evaluate, alpaca: Path) -> None:
    with ChatServer() as server:
        evaluate(*from_outputs(alpaca), *judged_by(server), "--json")
        shutil.rmtree("run/store/judge_pairs")  # the artifacts are lost, the record of replies is not
        evaluate(*from_outputs(alpaca), *judged_by(server), "--json")
        assert sum(server.calls.values()) == LIMIT
        forecast = evaluate(*from_outputs(alpaca), *judged_by(server), "--dry-run")
        assert f"0, and {LIMIT} recorded already (free)" in forecast.out


def test_a_forecast_asks_nothing_and_needs_no_key(evaluate: Evaluate, alpaca: Path) -> None:
    forecast = evaluate(*from_outputs(alpaca), "--limit", str(LIMIT), "--dry-run")
    assert forecast.exit_code == 0, forecast.err
    assert f"{LIMIT}, and 0 recorded already" in forecast.out
    assert "prompt tokens" in forecast.out and "through the Batch API $" in forecast.out
    figures = evaluate(*from_outputs(alpaca), "--limit", str(LIMIT), "--dry-run", "--json").scores
    assert (figures["calls"], figures["recorded"]) == (LIMIT, 0)
    assert figures["usd_batch"] == pytest.approx(figures["usd"] / 2)


@pytest.mark.parametrize(("bench", "orders"), [("alpaca_eval2", 1), ("arena_hard", 2), ("pairwise", 2)])
def test_a_forecast_counts_all_that_will_be_asked_of_answers_to_come(
    evaluate: Evaluate, bench: str, orders: int
) -> None:
    figures = evaluate("--bench", bench, "--model", "mini:llama", "--limit", "8", "--dry-run", "--json").scores
    assert (figures["calls"], figures["assumes_answers"]) == (8 * orders, True)


def test_repeated_verdicts_take_the_judges_noise_apart(evaluate: Evaluate) -> None:
    scores = evaluate(
        *("--bench", "alpaca_eval2", "--bench", "arena_hard", "--bench", "pairwise", "--model", "mini:llama"),
        *("--limit", "24", "--judge-repeats", "3", "--json"),
    ).scores
    for bench, metric in (("alpaca_eval2", "win_rate"), ("arena_hard", "score"), ("pairwise", "win_rate")):
        parts = scores[bench]["uncertainty"][metric]
        assert parts["judge"] is not None and parts["training_seeds"] is None
        assert parts["total"] ** 2 == pytest.approx(parts["prompts"] ** 2 + parts["judge"] ** 2)
    folder = Path(scores["arena_hard"]["folder"])
    assert [len(read_judgments(folder / f"model_judgment{end}.jsonl")) for end in ("", "-1", "-2")] == [24] * 3


def test_a_budget_stops_the_run_and_the_next_one_goes_on(evaluate: Evaluate, alpaca: Path) -> None:
    """A server on this machine that serves a vendor's model by name is priced as a proxy to the vendor."""
    with ChatServer(models=("gpt-4o",)) as server:
        judge = ("--judge-model", "gpt-4o", "--judge-base-url", server.base_url, "--limit", str(LIMIT))
        forecast = evaluate(*from_outputs(alpaca), *judge, "--dry-run").out
        assert "proxy" in forecast
        dear = evaluate(*from_outputs(alpaca), *judge, "--max-usd", "0.03", "--concurrency", "2")
        assert dear.exit_code == 2
        assert re.search(r"^error: .*--max-usd 0\.03.* replies are recorded$", dear.err.splitlines()[-1])
        paid = sum(server.calls.values())
        assert 0 < paid < LIMIT
        whole = evaluate(*from_outputs(alpaca), *judge, "--max-usd", "1", "--json").scores
        assert (whole["n_missing"], sum(server.calls.values())) == (0, LIMIT)


def test_the_batch_api_gives_the_same_scores(evaluate: Evaluate, alpaca: Path) -> None:
    with ChatServer() as server:
        routes = BatchRoutes(server, at_once=True)
        at_once = evaluate(*from_outputs(alpaca), *judged_by(server), "--json").scores
        shutil.rmtree("run")
        batched = evaluate(*from_outputs(alpaca), *judged_by(server), "--batch", "--json").scores
        assert len(routes.batches) == 1
    assert {**batched, "folder": ""} == {**at_once, "folder": ""}


def test_another_model_than_was_asked_is_said_and_stands_in_the_scores(evaluate: Evaluate, alpaca: Path) -> None:
    with ChatServer(models=("judge-1", "judge-1-2025-04-14", "cheap-2")) as server:
        whole = server.completion
        for served, others in (("judge-1-2025-04-14", None), ("cheap-2", {"cheap-2": LIMIT})):
            server.completion = lambda body, text=None, name=served: {**whole(body, text), "model": name}  # type: ignore
            outcome = evaluate(*from_outputs(alpaca), *judged_by(server), "--json")
            assert outcome.scores.get("other_models") == others
            assert outcome.err.count("says that another model answers: cheap-2") == (others is not None)
            shutil.rmtree("run")
        shown = evaluate(*from_outputs(alpaca), *judged_by(server)).out
    assert f"answered by another model than was asked, as the endpoint says: cheap-2 ({LIMIT} replies)" in shown


def test_a_missing_key_is_one_line_before_anything_is_judged(evaluate: Evaluate, alpaca: Path) -> None:
    outcome = evaluate(*from_outputs(alpaca), "--limit", "3")
    assert outcome.exit_code == 2
    assert outcome.err.splitlines()[-1].startswith("error: ") and "OPENAI_API_KEY" in outcome.err


def test_a_server_that_is_not_there_is_one_line(evaluate: Evaluate, alpaca: Path) -> None:
    judge = ("--judge-model", "judge-1", "--judge-base-url", "http://127.0.0.1:9/v1", "--limit", "3")
    outcome = evaluate(*from_outputs(alpaca), *judge)
    assert outcome.exit_code == 2
    assert outcome.err.splitlines()[-1].startswith("error: ") and "127.0.0.1:9" in outcome.err.splitlines()[-1]


def test_published_verdicts_calibrate_another_judge(harness: Harness, alpaca: Path) -> None:
    with ChatServer(answer=likes_long) as server:
        judge = ("--model", "judge-1", "--base-url", server.base_url, "--limit", "40")
        found = harness("judge", "calibrate", alpaca / "annotations", *judge, "--run-dir", "run", "--json").scores
        assert sum(server.served.values()) <= 4 * 40
    assert "not AlpacaEval 2.0" in json.dumps(found)
    outputs = {path.stem for path in (alpaca / "model_outputs").iterdir()}
    assert set(found["models"]) <= outputs and len(found["models"]) == 4
    assert 0 < found["overall"]["agreement"]["value"] < 100
    assert {each["n"] for each in found["models"].values()} == {40}

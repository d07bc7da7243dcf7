"""The questions: from a folder, from the hub, and from the embedded world."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from evals.mt_bench.files import CATEGORIES, official_category
from evals.mt_bench.questions import (
    HUB,
    OFFICIAL_FINGERPRINT,
    TwoTurnQuestion,
    load_questions,
    question_rows,
)
from harness.commands.prefetch import official_lines, prefetch
from harness.engine.artifacts import ancestry
from harness.engine.store import Store
from harness.errors import UserError
from harness.mini.roles import read_role
from harness.records import Response
from harness.run.options import Choice
from harness.steps.data import DataRole
from tests.evals.mt_bench.conftest import QUESTIONS, REFERENCES, fastchat_folder
from tests.hub_server import COMMIT, serving, use_hub
from tests.steps.given import answers, made


def test_all_questions_of_mt_bench_are_read(mt_bench: Path) -> None:
    found = load_questions(str(mt_bench))
    assert found.fingerprint == OFFICIAL_FINGERPRINT
    assert Counter(question.category for question in found.questions) == dict.fromkeys(CATEGORIES, 10)
    assert {question.category for question in found.questions if question.references} == {"math", "reasoning", "coding"}
    assert all(official_category(question.id) == question.category for question in found.questions)


@pytest.mark.parametrize("place", [".", "mt_bench", "data/mt_bench", "fastchat/llm_judge/data/mt_bench"])
def test_a_folder_may_be_laid_out_as_the_data_or_as_the_repository(tmp_path: Path, place: str) -> None:
    fastchat_folder(tmp_path / place)
    questions = load_questions(str(tmp_path)).questions
    assert [question.id for question in questions] == ["81", "111", "141"]
    assert questions[1].references == ("Two.", "Four.")


def test_references_of_other_categories_are_not_looked_at(tmp_path: Path) -> None:
    more = ({"question_id": 81, "choices": [{"turns": ["Once.", ".ecnO"]}]}, *REFERENCES)
    assert load_questions(str(fastchat_folder(tmp_path, references=more))).questions[0].references == ()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"turns": ["1 + 1?"]}, r"question\.jsonl:1: question 111 must have two turns, each a text"),
        ({"turns": ["1 + 1?", ""]}, "question 111 must have two turns, each a text"),
        ({"turns": "1 + 1?"}, "question 111 must have two turns, each a text"),
        ({"turns": ["1 + 1?", {"content": "?"}]}, "question 111 must have two turns, each a text"),
        ({"category": None}, "category must be a text, not null"),
    ],
)
def test_a_question_that_is_wrong_is_named(tmp_path: Path, change: Mapping[str, Any], complaint: str) -> None:
    folder = fastchat_folder(tmp_path, questions=[{**QUESTIONS[1], **change}])
    with pytest.raises(UserError, match=complaint):
        load_questions(str(folder))


def test_a_question_graded_by_references_needs_them(tmp_path: Path) -> None:
    folder = fastchat_folder(tmp_path, references=[{**REFERENCES[0], "question_id": 112}])
    with pytest.raises(UserError, match=r"gpt-4\.jsonl: no reference to both turns of question 111 \(math\)"):
        load_questions(str(folder))


def test_a_reference_to_one_turn_is_none(tmp_path: Path) -> None:
    folder = fastchat_folder(tmp_path, references=[{"question_id": 111, "choices": [{"turns": ["Two."]}]}])
    with pytest.raises(UserError, match=r"gpt-4\.jsonl:1: question 111 must be answered in two turns"):
        load_questions(str(folder))


def test_a_question_that_is_there_twice_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"question 81 is there twice; keep one"):
        load_questions(str(fastchat_folder(tmp_path, questions=[*QUESTIONS, QUESTIONS[0]])))


def test_a_folder_without_questions_or_references_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no folder with MT-Bench's question\.jsonl"):
        load_questions(str(tmp_path))
    (fastchat_folder(tmp_path) / "reference_answer/gpt-4.jsonl").unlink()
    with pytest.raises(UserError, match=r"no references beside question\.jsonl: reference_answer/gpt-4\.jsonl or"):
        load_questions(str(tmp_path))


def test_the_hub_has_them_in_the_space_of_the_benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fastchat_folder(tmp_path / "hub" / HUB / "data/mt_bench")
    with serving(tmp_path / "hub") as server:
        use_hub(monkeypatch, server.url, tmp_path / "cache")
        found = load_questions()
        assert found.source == f"{HUB}@{COMMIT[:12]}"
        graph = ancestry([question_rows(DataRole("official:mt_bench", 80))])
        [line] = official_lines(graph)
        assert line.startswith("space     lmsys/mt-bench") and line.endswith("is there")
        assert prefetched("mt_bench") == [line]
        server.failing = True
        assert load_questions() == found  # fetched once, then found


def prefetched(name: str) -> list[str]:
    lines: list[str] = []
    prefetch(name, Choice("paper"), lines.append)
    return lines


def test_a_benchmark_without_items_of_its_own_is_not_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)  # a test before may have begun offline
    with pytest.raises(UserError, match="perplexity has no items of its own to fetch"):
        prefetched("perplexity")


def test_the_first_questions_are_taken(tmp_path: Path, store: Store) -> None:
    role = DataRole("official:mt_bench", 2)
    rows = made(store, question_rows(role, str(fastchat_folder(tmp_path)))).rows(TwoTurnQuestion)
    assert [row.id for row in rows] == ["81", "111"]


def test_second_turns_of_the_embedded_world_are_questions_of_two_turns(store: Store) -> None:
    rows = made(store, question_rows(DataRole("mini:two_turn_questions", 60))).rows(TwoTurnQuestion)
    given = [row for row in read_role("two_turn_questions", 60) if isinstance(row, Response)]
    assert [row.turns for row in rows] == [(each.prompt.history[0].content, each.prompt.text) for each in given]
    assert {row.category for row in rows} == {"more", "comparison", "correction", "again"}
    for row, each in zip(rows, given, strict=True):
        by_reference = row.category in ("comparison", "correction")
        assert row.references == ((each.prompt.history[1].content, each.text) if by_reference else ())


def test_prompts_of_one_turn_are_none(store: Store) -> None:
    from evals.mt_bench.questions import second_turns

    with pytest.raises(UserError, match="the prompt a is no second turn; mt_bench takes prompts with one request"):
        made(store, second_turns(responses=answers({"a": "yes"})))

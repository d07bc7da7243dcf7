"""What the judge is asked: FastChat's words byte for byte, and the embedded judge's form."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from evals.mt_bench.answers import paired
from evals.mt_bench.grading import GradedTurn
from evals.mt_bench.questions import TwoTurnQuestion, load_questions
from evals.mt_bench.settings import TURNS, GradingPrompt, GradingPrompts, mt_bench_settings
from harness.mini.judge import MiniJudge


@pytest.fixture
def published(mt_bench: Path) -> dict[str, dict[str, Any]]:
    """FastChat's prompts by name."""
    rows = map(json.loads, (mt_bench / "judge_prompts.jsonl").read_text(encoding="utf-8").splitlines())
    return {row["name"]: row for row in rows}


def prompts_of(prompts: GradingPrompts) -> list[GradingPrompt]:
    values = [getattr(prompts, field.name) for field in fields(prompts)]
    return [each for each in values if isinstance(each, GradingPrompt)]


def test_the_prompts_are_those_of_the_official_tool(published: dict[str, dict[str, Any]]) -> None:
    prompts = prompts_of(mt_bench_settings().official)
    assert {prompt.name for prompt in prompts} == {name for name, row in published.items() if row["type"] == "single"}
    for prompt in prompts:
        official = published[prompt.name]
        assert (prompt.system, prompt.user) == (official["system_prompt"], official["prompt_template"])


def test_each_question_is_shown_as_the_official_tool_shows_it(
    mt_bench: Path, published: dict[str, dict[str, Any]]
) -> None:
    prompts = mt_bench_settings().official
    for question in load_questions(str(mt_bench)).questions:
        answers = (f"A {{answer_2}} to {question.id} {{}}", "Another {question}.")
        references = dict(zip(("ref_answer_1", "ref_answer_2"), question.references, strict=False))
        by = "math-" if question.category in ("math", "reasoning", "coding") else ""
        for turn, name in zip(TURNS, (f"single-{by}v1", f"single-{by}v1-multi-turn"), strict=True):
            system, user = GradedTurn.of_texts(question, answers, turn).request(prompts).messages
            shown: dict[str, str] = {"question": question.turns[0], "answer": answers[0], **references}
            if turn == 2:
                shown = {"question_1": question.turns[0], "question_2": question.turns[1], **references}
                shown |= {"answer_1": answers[0], "answer_2": answers[1]}
            assert user.content == published[name]["prompt_template"].format(**shown)
            assert system.content == published[name]["system_prompt"]


def test_the_judge_replies_at_length_and_without_chance() -> None:
    request = GradedTurn.of_texts(TwoTurnQuestion("q", "stem", ("a", "b")), ("c", "d"), 1).request(
        mt_bench_settings().official
    )
    assert (request.max_tokens, request.temperature) == (2048, 0.0)


@pytest.mark.parametrize("references", [(), ("its size is big .", "its shape is flat .")])
def test_the_embedded_judge_sees_request_history_reference_and_answer(references: tuple[str, ...]) -> None:
    question = TwoTurnQuestion("q", "more", ("what are the size of repal ?", "and its shape ?"), references)
    answers, judge = ("its size is little .", "its shape is oval ."), MiniJudge()
    for turn, history in ((1, ()), (2, (question.turns[0],))):
        request = GradedTurn.of_texts(question, answers, turn).request(mt_bench_settings().embedded)
        reply, _ = judge.reply(request.messages[-1].content)
        asked, answer = question.turns[turn - 1], answers[turn - 1]
        grade = judge.grade(asked, answer, has_reference=bool(references), history=history)
        assert reply == f"Rating: [[{grade}]]"


def test_answers_keep_their_own_first_turn_in_view() -> None:
    first, second = paired(TwoTurnQuestion("q", "stem", ("a", "b")), ("c", "d"), "m")
    assert [(turn.role, turn.content) for turn in second.prompt.history] == [("user", "a"), ("assistant", "c")]
    assert (first.prompt.text, first.prompt.history, second.prompt.text) == ("a", (), "b")

"""Answers of two turns: each category at its temperature, the second turn in view of the first's own answer."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from evals.mt_bench import answers
from evals.mt_bench.answers import answer_two_turns, stored_answers
from evals.mt_bench.questions import TwoTurnQuestion
from evals.mt_bench.settings import category_sampling, mt_bench_settings
from harness.engine.artifacts import Artifact
from harness.engine.store import Store
from harness.errors import UserError
from harness.models.generator import Completion, Conversation, ProgressCallback, Sampling, ignore
from harness.records import Response
from harness.steps.data import model
from tests.evals.mt_bench.conftest import given_questions, write_lines
from tests.steps.given import made

WRITING, MATH = TwoTurnQuestion("81", "writing", ("Write.", "Again.")), TwoTurnQuestion("111", "math", ("1 + 1?", "2?"))
STEM, OWN = TwoTurnQuestion("141", "stem", ("Heat?", "Cold?")), TwoTurnQuestion("x", "own", ("Why?", "Really?"))
QUESTIONS = (WRITING, MATH, STEM, OWN)


class Echo:
    """A model that says what it was last asked, how many messages it saw, and at which temperature."""

    name = "echo"
    asked: list[tuple[str, Sampling, int]]

    def __init__(self, stop_after: int | None = None) -> None:
        self.asked, self._left = [], stop_after

    def complete(
        self,
        conversations: Sequence[Conversation],
        sampling: Sampling,
        seeds: Sequence[int],
        advance: ProgressCallback = ignore,
    ) -> list[Completion]:
        if self._left == 0:
            raise KeyboardInterrupt
        self._left = None if self._left is None else self._left - 1
        self.asked += [(turns[-1].content, sampling, seed) for turns, seed in zip(conversations, seeds, strict=True)]
        heard = [" ".join(turn.content for turn in turns) for turns in conversations]
        return [Completion(f"<{text}>", (1,), "length" if "Cold?" in text else "stop") for text in heard]

    def preferred_batch_size(self, max_new_tokens: int) -> int:
        return 1

    def close(self) -> None: ...


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Echo]]:
    """The models that answer, one a run; each is made of what is left in the list."""
    models = [Echo()]
    used: list[Echo] = []

    def load(*_: object) -> Echo:
        used.append(models.pop() if models else Echo())
        return used[-1]

    monkeypatch.setattr(answers, "load_generator", load)
    models.extend(used)
    yield models


def answering() -> Artifact:
    sampling = category_sampling(mt_bench_settings().sampling)
    return answer_two_turns(
        model=model("mini:llama"), questions=given_questions(rows=QUESTIONS), sampling=sampling, seed=0
    )


def test_each_category_is_answered_at_its_temperature_both_turns(store: Store, echo: list[Echo]) -> None:
    [generator] = echo
    made(store, answering())
    temperatures = {text: sampling.temperature for text, sampling, _ in generator.asked}
    assert temperatures == {
        **{"Write.": 0.7, "Again.": 0.7, "1 + 1?": 0.0, "2?": 0.0},
        **{"Heat?": 0.1, "Cold?": 0.1, "Why?": 0.7, "Really?": 0.7},
    }
    assert {sampling.max_new_tokens for _, sampling, _ in generator.asked} == {1024}
    assert len({seed for *_, seed in generator.asked}) == 8


def test_the_second_turn_follows_the_models_own_answer_to_the_first(store: Store, echo: list[Echo]) -> None:
    artifact = made(store, answering())
    rows = {row.prompt.id: row for row in artifact.rows(Response)}
    assert rows["141 turn 1"].text == "<Heat?>" and rows["141 turn 2"].text == "<Heat? <Heat?> Cold?>"
    assert rows["141 turn 2"].prompt.text == "Cold?" and len(rows) == 8
    assert json.loads((artifact.folder / "artifact.json").read_text())["counts"]["cut_off"] == 1


@pytest.mark.parametrize("stop_after", range(8))
def test_a_run_that_was_killed_goes_on_to_the_same_answers(
    store: Store, tmp_path: Path, echo: list[Echo], stop_after: int
) -> None:
    expected = made(Store(tmp_path / "another"), answering()).rows(Response)
    echo[:] = [Echo(stop_after)]
    with pytest.raises(KeyboardInterrupt):
        made(store, answering())
    echo[:] = [second := Echo()]
    assert made(store, answering()).rows(Response) == expected
    assert len(second.asked) == 8 - stop_after


def answers_in(path: Path, ids: Sequence[str]) -> Path:
    rows = [{"question_id": id, "model_id": "m", "choices": [{"turns": ["a", "b"]}]} for id in ids]
    return write_lines(path / "m.jsonl", rows)


def test_stored_answers_are_joined_by_question_and_missing_ones_counted(store: Store, tmp_path: Path) -> None:
    stored = stored_answers(answers_in(tmp_path, ["x", "111", "7"]), given_questions(rows=QUESTIONS))
    artifact = made(store, stored)
    assert [row.prompt.id for row in artifact.rows(Response)] == ["111 turn 1", "111 turn 2", "x turn 1", "x turn 2"]
    assert json.loads((artifact.folder / "artifact.json").read_text())["counts"]["without_output"] == 4


def test_answers_to_no_question_are_of_another_benchmark(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no answer to any of the 4 questions; is it of another benchmark"):
        made(store, stored_answers(answers_in(tmp_path, ["7"]), given_questions(rows=QUESTIONS)))

"""What `harness plan` foretells of MT-Bench: answers, requests to the judge, and the dollars that follow."""

from dataclasses import replace
from pathlib import Path

import pytest

from evals.base import Setting
from evals.mt_bench.benchmark import BENCHMARK, TwoTurnOptions
from harness.engine.artifacts import Artifact
from harness.engine.store import Store
from harness.models.generator import Sampling
from harness.plan.steps import GraphEstimates
from harness.steps.cost import Asking, Generation
from harness.steps.data import DataRole, model
from harness.steps.judge import judge
from tests.evals.mt_bench.conftest import QUESTIONS, fastchat_folder
from tests.steps.given import made


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    """MT-Bench on FastChat's data, judged at an endpoint."""
    options = TwoTurnOptions(questions=DataRole("official:mt_bench", 80), folder=str(fastchat_folder(tmp_path / "d")))
    return Setting(options=options, judge=judge("gpt-4.1"), sampling=Sampling(0.7, 0.9, 128))


def rows_and_answers(setting: Setting) -> tuple[Artifact, Artifact]:
    rows = BENCHMARK.run(setting, model("mini:llama"), seed=0)
    [answers] = [parent for parent in rows.parents() if parent.step == "answer_two_turns"]
    return rows, answers


def test_two_answers_and_two_requests_a_question(setting: Setting) -> None:
    rows, answers = rows_and_answers(setting)
    estimates = GraphEstimates(None)
    generation, asking = estimates.cost(answers), estimates.cost(rows)
    assert isinstance(generation, Generation) and generation.sampling.max_new_tokens == 1024
    assert estimates.rows(answers).most == 160 and estimates.rows(answers).answer == 300
    assert isinstance(asking, Asking) and (asking.calls, asking.purpose) == (160, "mt_bench")
    assert 400 < asking.prompt_tokens.expected / 160 < 1000  # the 160 requests of the dry run have 693 on average
    repeated, _ = rows_and_answers(replace(setting, judge_repeats=3))
    thrice = estimates.cost(repeated)
    assert isinstance(thrice, Asking) and thrice.calls == 480


def test_the_embedded_judge_costs_nothing(setting: Setting) -> None:
    rows, _ = rows_and_answers(replace(setting, judge=judge("mini:judge")))
    assert GraphEstimates(None).cost(rows) is None


def test_questions_that_are_there_are_counted_without_prompts(setting: Setting, store: Store) -> None:
    questions = BENCHMARK.questions(setting)
    made(store, questions)
    found = GraphEstimates(store).rows(questions)
    assert (found.prompt, found.answer, found.most) == (89, 300, len(QUESTIONS))

"""What steps declare of their rows and cost, against a tiny run: rows that it made, what its endpoints were asked."""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

import evals
import harness.steps
from harness.engine.artifacts import Artifact, Output, StepFunction, ancestry, step
from harness.engine.limits import Limits
from harness.engine.store import Store
from harness.experiments import Request, build_experiments
from harness.experiments.scores import ScoresExperiment
from harness.plan.forecast import step_costs
from harness.plan.steps import GraphEstimates, optimizer_steps
from harness.recipes.recipe import JudgeRole
from harness.records import Message
from harness.steps.cost import Asking, Likelihood, Training, UnknownCost, chat_tokens
from harness.steps.data import data, first_responses
from harness.steps.draw import drawn_responses
from harness.steps.held_out import pairs_between
from harness.training.job import CURVES
from tests.chat_server import ChatServer, hashed_answer
from tests.tiny_harness import load_tiny_recipe

TEACHER, JUDGE = "teacher-1", "judge-1"
IMPROVEMENT = "a short answer of six words"


def answer(body: Mapping[str, Any]) -> str:
    return IMPROVEMENT if body["model"] == TEACHER else hashed_answer(body)


@dataclass(frozen=True)
class Made:
    """A finished run: its artifacts, what their steps declared before, and what both endpoints were asked."""

    store: Store
    artifacts: list[Artifact]
    bodies: list[Mapping[str, Any]]

    def of(self, step: str) -> list[Artifact]:
        found = [each for each in self.artifacts if each.step == step]
        assert found, step
        return found

    def rows(self, artifact: Artifact) -> int:
        return int(self.store.record(artifact)["counts"]["rows"])

    @property
    def before(self) -> GraphEstimates:
        return GraphEstimates(None)

    @property
    def after(self) -> GraphEstimates:
        return GraphEstimates(self.store)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """Table 3's SGPO on the tiny scale, teacher and judge behind an endpoint, up to the verdicts."""
    store = Store(tmp_path_factory.mktemp("run") / "store")
    with ChatServer(answer=answer, models=(TEACHER, JUDGE)) as server:
        recipe = replace(
            load_tiny_recipe("mini"),
            models={"teacher": f"openai:{TEACHER}@{server.base_url}"},
            judge=JudgeRole(JUDGE, server.base_url),
        )
        [table] = build_experiments("table3", Request(recipe, (0,), methods=("sgpo",)))
        assert isinstance(table, ScoresExperiment)
        preference_data = recipe.data["preference_data"].artifact()
        demonstrations = recipe.data["demonstrations"].artifact()
        artifacts = ancestry(
            [
                *(judged for cell in table.cells for judged in cell.judgments),
                first_responses(responses=demonstrations, size=5),
                drawn_responses(responses=demonstrations, prompts=demonstrations, size=7, seed=0),
                pairs_between(preference_data=preference_data, start=3, stop=9),
            ]
        )
        for artifact in artifacts:
            store.build(artifact)
        yield Made(store, artifacts, list(server.bodies))


@pytest.mark.parametrize(
    "step",
    ["load_data", "first_responses", "drawn_responses", "chosen_responses", "pairs_between", "respond", "refine"],
)
def test_rows_that_follow_from_their_inputs_are_those_made(made: Made, step: str) -> None:
    for artifact in made.of(step):
        declared = made.before.rows(artifact)
        assert declared.count == declared.most == made.rows(artifact)


@pytest.mark.parametrize("step", ["iqr_filter", "improver_examples", "preference_pairs"])
def test_rows_that_depend_on_content_are_no_more_than_the_most(made: Made, step: str) -> None:
    for artifact in made.of(step):
        declared, rows = made.before.rows(artifact), made.rows(artifact)
        assert 0 < rows <= declared.most
        assert declared.count == pytest.approx(rows, rel=0.35)


@pytest.mark.parametrize(
    ("step", "tolerance"),
    [("load_data", 0.2), ("chosen_responses", 0.2), ("improver_examples", 0.35), ("preference_pairs", 0.5)],
)
def test_prompts_are_about_as_long_as_declared(made: Made, step: str, tolerance: float) -> None:
    for artifact in made.of(step):
        assert made.before.rows(artifact).prompt == pytest.approx(made.after.rows(artifact).prompt, rel=tolerance)


def test_rows_in_the_store_are_counted(made: Made) -> None:
    [chosen] = made.of("chosen_responses")
    assert not made.after.rows(chosen).assumptions
    assert made.before.rows(chosen).assumptions
    assert made.after.rows(chosen).content == made.before.rows(chosen).content == "the data's chosen"


@pytest.mark.parametrize("role", ["teacher", "judge"])
def test_an_endpoint_is_asked_as_often_as_declared(made: Made, role: str) -> None:
    """AlpacaEval does not ask about two equal answers, and equal requests are one."""
    declared = [cost for each in made.artifacts if isinstance(cost := made.after.cost(each), Asking)]
    calls = sum(each.calls for each in declared if each.role == role)
    asked = [body for body in made.bodies if body["model"].startswith(role)]
    assert 0.9 * calls <= len(asked) <= calls


def test_the_judge_is_asked_with_prompts_of_the_declared_length(made: Made) -> None:
    costs = [cost for each in made.of("judge_pairs") if isinstance(cost := made.after.cost(each), Asking)]
    declared = sum(each.prompt_tokens.expected for each in costs) / sum(each.calls for each in costs)
    sent = [chat_tokens(map(_message, body["messages"])) for body in made.bodies if body["model"] == JUDGE]
    assert declared == pytest.approx(sum(sent) / len(sent), rel=0.03)


def _message(turn: Mapping[str, str]) -> Message:
    return Message(turn["role"], turn["content"])  # type: ignore[arg-type]


def test_purposes_tell_the_teachers_and_the_benches_questions_apart(made: Made) -> None:
    costs = [cost for each in made.artifacts if isinstance(cost := made.before.cost(each), Asking)]
    assert {(each.role, each.purpose) for each in costs} == {
        ("teacher", "answers"),
        ("teacher", "improvements"),
        ("judge", "alpaca_eval2"),
        ("judge", "arena_hard"),
    }


@pytest.mark.parametrize("step", ["train_sft", "train_preferences"])
def test_a_training_takes_the_declared_steps_from_the_declared_policy(made: Made, step: str) -> None:
    for artifact in made.of(step):
        cost = made.before.cost(artifact)
        assert isinstance(cost, Training)
        taken = len((made.store.folder(artifact) / CURVES).read_text().splitlines())
        assert taken == optimizer_steps(cost, made.rows(cost.data))
        assert taken <= optimizer_steps(cost, made.before.rows(cost.data).most)
        assert cost.start in artifact.parents()
        assert (cost.sequences, cost.reference) == ((1, None) if step == "train_sft" else (2, cost.start))


@pytest.mark.parametrize("step", ["perplexity", "reference_log_probabilities"])
def test_all_rows_of_what_is_declared_are_scored(made: Made, step: str) -> None:
    for artifact in made.of(step):
        cost = made.before.cost(artifact)
        assert isinstance(cost, Likelihood)
        assert made.rows(artifact) == made.rows(cost.data)


def test_every_step_of_ours_that_runs_a_model_or_asks_declares_its_cost() -> None:
    heavy = [each for each in _steps() if each.work != "light"]
    assert {"train_sft", "respond", "perplexity", "judge_pairs"} <= {each.name for each in heavy}
    assert [each.name for each in heavy if each.cost is None] == []


def _steps() -> Iterator[StepFunction[...]]:
    for package in (harness.steps, evals):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            module = importlib.import_module(found.name)
            yield from (
                each
                for each in vars(module).values()
                if isinstance(each, StepFunction) and each.function.startswith(f"{module.__name__}:")
            )


@step(work="generation")
def undeclared_answers(out: Output, *, prompts: Artifact) -> None:
    """Stand for a step of others, which declares nothing."""


@pytest.mark.parametrize("estimate", ["cost", "rows"])
def test_a_step_that_declares_nothing_is_unknown_and_so_is_what_follows(estimate: str) -> None:
    graph = GraphEstimates(None)
    undeclared = undeclared_answers(prompts=data("mini:demonstrations", 3))
    with pytest.raises(UnknownCost):
        getattr(graph, estimate)(undeclared)
    with pytest.raises(UnknownCost, match="how many rows undeclared_answers makes"):
        graph.rows(first_responses(responses=undeclared, size=2))
    assert graph.known_cost(undeclared) is None and graph.most_rows(undeclared) is None


def test_the_plan_says_which_step_declares_nothing(store: Store) -> None:
    cost = step_costs(load_tiny_recipe("mini"), store.root, store, Limits()).of(
        undeclared_answers(prompts=data("mini:demonstrations", 3))
    )
    assert (cost.unknown, cost.devices, cost.work) == ("its step declares no cost", 0, "generation")

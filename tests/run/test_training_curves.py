"""The curves of a run, collected from a store whose trainings are made up."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.engine.artifacts import Artifact, ancestry, find_step
from harness.engine.store import Store, place
from harness.experiments import Experiment, build_experiments
from harness.records import write_rows
from harness.results.training_curves import MAX_POINTS, StageCurves
from harness.run.options import Choice
from harness.run.training_curves import stage_curves
from harness.training.job import CURVES, ONLINE, OnlineStep, TrainingStep

SEEDS = (3, 4)
Collect = Callable[..., list[StageCurves]]


def falling(steps: int, artifact: Artifact) -> list[TrainingStep]:
    """Losses from `steps` down to 1; on pairs, with margins."""
    margin = 0.5 if "pairs" in artifact.inputs else None
    return [TrainingStep(step, float(steps + 1 - step), 1e-3, 1.0, margin) for step in range(1, steps + 1)]


def trainings(experiments: list[Experiment]) -> list[Artifact]:
    behind = ancestry(target for each in experiments for target in each.targets())
    return [each for each in behind if find_step(each).work == "training"]


@pytest.fixture
def collect(tmp_path: Path) -> Collect:
    """The curves of a choice, of trainings of so many steps; of those alone for which `is_there` holds."""

    def collected(
        exhibit: str,
        steps: int = 3,
        is_there: Callable[[Artifact], bool] = lambda _: True,
        models: tuple[str, ...] = ("llama",),
        methods: tuple[str, ...] = (),
        make: Callable[[int, Artifact], list[TrainingStep]] = falling,
    ) -> list[StageCurves]:
        request = Choice("mini", fast=True, seeds=SEEDS, models=models, methods=methods).request()
        experiments, store = build_experiments(exhibit, request), Store(tmp_path / "store")
        for each in filter(is_there, trainings(experiments)):
            store.folder(each).mkdir(parents=True, exist_ok=True)
            write_rows(store.folder(each) / CURVES, make(steps, each))
        found = stage_curves(experiments, request.recipe, store)
        made = [course.artifact for stage in found for course in stage.trainings]
        assert sorted(made) == sorted(place(each) for each in trainings(experiments) if is_there(each))
        return found

    return collected


def test_a_stage_that_methods_share_appears_once_with_all_its_seeds(collect: Collect) -> None:
    found = collect("table3", methods=("sft", "dpo", "sgpo"))
    assert [(stage.stage, stage.methods, stage.loss) for stage in found] == [
        ("SFT", ("sft", "dpo", "sgpo"), ""),
        ("DPO", ("dpo",), "dpo"),
        ("improver", ("sgpo",), ""),
        ("preference stage", ("sgpo",), "dpo"),
    ]
    assert all(tuple(course.seed for course in stage.trainings) == SEEDS for stage in found)
    assert {stage.model for stage in found} == {"llama"}


def test_base_models_are_kept_apart(collect: Collect) -> None:
    found = collect("table3", models=("qwen", "llama"), methods=("sft",))
    assert [(stage.model, stage.stage, len(stage.trainings)) for stage in found] == [
        ("qwen", "SFT", 2),
        ("llama", "SFT", 2),
    ]


def test_rounds_of_one_name_are_stages_of_their_own(collect: Collect) -> None:
    found = collect("table3", methods=("sgpo:rounds=3",))
    assert [stage.stage for stage in found] == ["SFT", "improver", *["preference stage"] * 3]


def test_exhibits_without_checkpoints_have_curves_too(collect: Collect) -> None:
    [stage] = collect("fig4")
    assert (stage.stage, stage.methods) == ("SFT", ())


def test_what_the_store_no_longer_has_is_left_out(collect: Collect) -> None:
    found = collect("table3", methods=("dpo",), is_there=lambda each: each.arguments["seed"] == SEEDS[1])
    assert [[course.seed for course in stage.trainings] for stage in found] == [[SEEDS[1]]] * 2


def test_short_trainings_are_whole(collect: Collect) -> None:
    sft, dpo = collect("table3", methods=("dpo",))
    [course, _] = sft.trainings
    assert (course.steps, course.every) == (3, 1)
    assert course.values["step"] == (1, 2, 3) and course.values["loss"] == (3, 2, 1)
    assert "reward_margin" not in course.values
    assert dpo.trainings[0].values["reward_margin"] == (0.5, 0.5, 0.5)


def test_long_trainings_are_thinned_to_means(collect: Collect) -> None:
    [course, _] = collect("table3", steps=2 * MAX_POINTS + 1, methods=("sft",))[0].trainings
    assert (course.steps, course.every) == (401, 3)
    steps, losses = course.values["step"], course.values["loss"]
    assert len(steps) == len(losses) == 134 <= MAX_POINTS
    assert steps[:2] == (3, 6) and steps[-1] == 401
    assert losses[:2] == (400, 397) and losses[-1] == 1.5


def test_a_step_without_a_finite_number_leaves_a_gap(collect: Collect) -> None:
    def diverging(steps: int, _: Artifact) -> list[TrainingStep]:
        return [TrainingStep(step, None if step == 5 else 1.0, 1e-3, 1.0) for step in range(1, steps + 1)]

    [course, _] = collect("table3", steps=2 * MAX_POINTS, methods=("sft",), make=diverging)[0].trainings
    assert course.values["loss"][:4] == (1.0, 1.0, None, 1.0)


def test_a_training_that_made_its_pairs_has_what_it_made(tmp_path: Path) -> None:
    """A value that is not taken at every step stands until the next one."""
    request = Choice("mini", paper="sapo", fast=True, seeds=(0,), models=("llama",), methods=("sapo-orpo",)).request()
    experiments, store = build_experiments("sapo/table3", request), Store(tmp_path / "store")
    [training] = trainings(experiments)
    store.folder(training).mkdir(parents=True)
    write_rows(store.folder(training) / CURVES, falling(3, training))
    made = [OnlineStep(step, 4, 1, 0.1 * step, step - 1.0, 0.5 if step == 1 else None) for step in (1, 2, 3)]
    write_rows(store.folder(training) / ONLINE, made)
    [stage] = stage_curves(experiments, request.recipe, store)
    values = stage.trainings[0].values
    assert values["edit_distance"] == (0.1, 0.2, 0.3) and values["age"] == (0.0, 1.0, 2.0)
    assert values["fresh_margin"] == (0.5, 0.5, 0.5)

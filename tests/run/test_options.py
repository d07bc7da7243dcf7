"""What a user chooses of a run, and what it comes to."""

import json
from dataclasses import asdict

import pytest

from evals.alpaca_eval2.benchmark import BENCHMARK
from evals.judged_pairs import PairSetting
from evals.mt_bench.benchmark import grading_prompts
from evals.mt_bench.settings import mt_bench_settings
from harness.config.yaml_files import from_mapping
from harness.endpoints.reference import endpoint_reference
from harness.engine.artifacts import Artifact
from harness.engine.compute import Compute
from harness.errors import UserError
from harness.recipes.benches import bench_on
from harness.recipes.loading import load_recipe
from harness.recipes.recipe import JudgeRole
from harness.run.options import Choice
from harness.steps.judge import judge
from harness.steps.judge_prompt import official_prompt
from harness.training.batches import most_processes

URL = "http://127.0.0.1:8000/v1"


def test_a_limit_bounds_every_data_set() -> None:
    recipe = Choice("mini", limit=7).request().recipe
    assert {role.size for role in recipe.data.values()} == {7}
    assert {options.size for options in recipe.benches.values()} == {7}
    assert Choice("mini", limit=10**6).request().recipe.data == load_recipe("mini").data


def test_another_judge_is_asked_officially_and_calibrates_no_length_control() -> None:
    chosen = Choice("mini").judged_by(judge("judge-1", URL, ("logprobs",)), allow_missing=True)
    recipe = chosen.request().recipe
    for name in recipe.benches:
        bench = bench_on(recipe, name)
        assert bench.judge == judge("judge-1", URL, ("logprobs",)) and bench.allow_missing
        if isinstance(bench, PairSetting):
            assert bench.prompt == official_prompt(name)
        else:
            assert grading_prompts(bench) == mt_bench_settings().official
    assert BENCHMARK.score(bench_on(recipe, "alpaca_eval2"), [], "a-method").inputs.get("calibration") is None


def test_without_a_choice_the_scale_has_its_own_judge_and_prompts() -> None:
    recipe = Choice("mini").judged_by(None).request().recipe
    assert recipe == load_recipe("mini")
    bench = bench_on(recipe, "alpaca_eval2")
    assert bench.judge == judge("mini:judge")
    assert bench.prompt == recipe.prompt_set().judge["alpaca_eval2"] != official_prompt("alpaca_eval2")
    score = BENCHMARK.score(bench, [], "a-method")
    calibration = score.inputs["calibration"]
    assert isinstance(calibration, Artifact)
    assert [len(calibration.inputs[name]) for name in ("gamed", "pool")] == [2, 5]
    assert not bench.allow_missing


@pytest.mark.parametrize(
    "chosen",
    [
        Choice("mini"),
        Choice("small", limit=3, seeds=(1, 2), methods=("sft",), teacher="openai:gpt-4o", compute={"processes": 2}),
        Choice(
            "mini", fast=True, models=("llama",), judge=JudgeRole("judge-1", URL, ("logprobs",)), allow_missing=True
        ),
    ],
)
def test_what_is_written_down_of_a_choice_is_the_choice(chosen: Choice) -> None:
    written = json.loads(json.dumps(chosen.request().asked if chosen.scale == "mini" else asdict(chosen)))
    assert from_mapping(Choice, written, "manifest.json: options") == chosen


def test_a_judges_role_and_its_reference_are_the_same() -> None:
    reference = endpoint_reference("o3", None, ("logprobs",))
    assert JudgeRole.of(reference).reference().without == reference.without
    assert JudgeRole.of(judge("mini:judge")).reference() == judge("mini:judge")


def test_compute_that_there_is_not_is_an_error() -> None:
    with pytest.raises((UserError, TypeError)):
        Choice("mini", compute={"procesess": 2}).request()


def test_chosen_processes_have_a_gpu_each() -> None:
    usual = load_recipe("paper").compute
    chosen = Choice("paper", compute={"processes": 4}).request().recipe.compute
    assert usual.needs("training").gpus == 8 and chosen.needs("training").gpus == 4
    assert chosen.needs("training").cpus == usual.needs("training").cpus
    assert chosen.needs("generation") == usual.needs("generation")
    assert Choice("paper", compute={"micro_batch_size": 2}).request().recipe.compute.resources == usual.resources
    assert Choice("mini", compute={"processes": 2}).request().recipe.compute.resources == {}


@pytest.mark.parametrize(("devices", "count"), [(8, 8), (6, 4), (3, 2), (1, 1)])
def test_processes_divide_the_batches(devices: int, count: int) -> None:
    assert most_processes([128, 32], Compute(processes=8, micro_batch_size=4), devices) == count

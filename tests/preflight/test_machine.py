"""What a machine has, against what a run takes."""

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.engine.compute import Compute, Resources
from harness.models.memory import GIB
from harness.plan.forecast import disk_needs, step_costs
from harness.preflight import machine as module
from harness.preflight.machine import LocalMachine, local_machine, machine_checks
from harness.recipes.recipe import ModelRole, Recipe
from tests.preflight.conftest import MakeContext, by_name

ROOMY = LocalMachine(processors=2, memory=64 * GIB, free_memory=60 * GIB)
WITH_GPUS = replace(ROOMY, gpus=(80 * GIB,) * 2, gpu="NVIDIA H100")


def test_the_mini_scale_fits_a_small_machine(make_context: MakeContext) -> None:
    found = by_name(machine_checks(make_context(), ROOMY))
    assert {check.state for check in found.values()} == {"ok"}
    assert found["device"].detail == "no GPU; 2 processors, 64 GiB of memory, 60 GiB of it free"
    assert found["disk"].detail.startswith("4.1 MB at the peak, 4.1 MB at the end, with 4 checkpoints; ")


def test_this_machine_is_found() -> None:
    here = local_machine()
    assert here.processors >= 1 and 0 < here.free_memory <= here.memory
    assert str(here)


def test_gpus_are_named() -> None:
    assert str(WITH_GPUS) == "2 × NVIDIA H100, 80 GiB each"


def test_every_stage_of_the_run_has_its_memory(make_context: MakeContext) -> None:
    detail = by_name(machine_checks(make_context(), ROOMY))["memory for llama"].detail
    for step in ("train_sft", "train_preferences", "reference_log_probabilities", "perplexity", "respond", "refine"):
        assert f"{step} 0." in detail or f"{step} 1" in detail
    assert detail.endswith("of 64 GiB of memory")


@pytest.mark.parametrize(
    ("memory", "free", "state", "reason"),
    [
        (0.5, 0.5, "failure", "lower --micro-batch-size, set gradient_checkpointing in the recipe's machine"),
        (1.5, 1.5, "warning", "2 steps may run side by side: it may not be enough"),
        (64, 0.5, "warning", "0.5 GiB of it free: end what else is running"),
        (64, 60, "ok", ""),
    ],
)
def test_too_little_memory_is_said(
    make_context: MakeContext, memory: float, free: float, state: str, reason: str
) -> None:
    small = LocalMachine(processors=2, memory=int(memory * GIB), free_memory=int(free * GIB))
    found = by_name(machine_checks(make_context(), small))["memory for llama"]
    assert found.state == state
    assert reason in found.detail


def test_a_gpu_too_small_for_the_model_fails(make_context: MakeContext) -> None:
    tight = replace(WITH_GPUS, gpus=(80 * GIB, GIB // 2))
    found = by_name(machine_checks(make_context(), tight))["memory for llama"]
    assert found.state == "failure"
    assert "of 0.5 GiB on a GPU" in found.detail


def test_processes_share_main_memory(make_context: MakeContext) -> None:
    alone = by_name(machine_checks(make_context(), ROOMY))["memory for llama"].detail
    spread = Compute(accelerate="fsdp", processes=2)
    two = by_name(machine_checks(make_context(compute=spread), ROOMY))["memory for llama"].detail
    assert _training_gib(two) > 1.2 * _training_gib(alone)


def _training_gib(detail: str) -> float:
    return float(detail.partition("train_sft ")[2].split()[0])


def test_too_few_gpus_fail_with_the_mend(make_context: MakeContext) -> None:
    wanted = Compute(resources={"training": Resources(gpus=8), "generation": Resources(gpus=1), "asking": Resources()})
    found = by_name(machine_checks(make_context(compute=wanted), WITH_GPUS))
    training = found["resources for training"]
    assert training.state == "failure"
    assert "of configs/papers/sgpo/recipes/mini.yaml asks for 8 GPUs, and this machine has 2:" in training.detail
    assert training.detail.endswith("or lower it, for training by --processes")
    assert found["resources for generation"].state == "ok"
    assert found["resources for asking"].state == "ok"


def test_what_no_step_of_the_run_occupies_is_not_looked_at(make_context: MakeContext) -> None:
    wanted = Compute(resources={"training": Resources(gpus=8), "likelihood": Resources(gpus=1)})
    context = make_context(methods=("sft",), compute=wanted)  # no step of it scores a text
    found = by_name(machine_checks(context, WITH_GPUS))
    assert found["resources for training"].state == "failure"
    assert "resources for likelihood" not in found


def test_what_workers_clamp_is_warned_of(make_context: MakeContext) -> None:
    wanted = Compute(resources={"training": Resources(gpus=8, cpus=16, memory_gb=512)})
    context = make_context(compute=wanted)
    found = by_name(machine_checks(context, ROOMY))["resources for training"]
    assert found.state == "warning"
    assert "8 GPUs: there is none, everything runs on the processors; 16 processors: a step has all 2;" in found.detail
    assert "512 GiB of main memory: a step counts for all 64" in found.detail


def test_a_clusters_nodes_are_not_looked_at_from_its_head(make_context: MakeContext) -> None:
    wanted = Compute(resources={"training": Resources(gpus=8)}, executor="ray")
    small = LocalMachine(processors=1, memory=GIB // 2, free_memory=GIB // 2)
    found = by_name(machine_checks(make_context(compute=wanted), small))
    assert {check.state for check in found.values()} == {"ok"}
    assert found.keys() == {"device", "training processes", "cluster", "disk"}
    elsewhere = replace(wanted, store="memory://run")
    assert "disk" not in by_name(machine_checks(make_context(compute=elsewhere), small))


@pytest.mark.parametrize(
    ("compute", "reason"),
    [
        (Compute(accelerate="fsd", processes=2), "unknown accelerate config 'fsd'; did you mean 'fsdp'?"),
        (Compute(processes=2), "single trains in one process, not 2"),
        (Compute(accelerate="fsdp", processes=3), "a global batch of 32 cannot be spread over 3 processes"),
        (Compute(micro_batch_size=5), "micro_batch_size 5 does not divide"),
        (Compute(accelerate="fsdp", processes=4), "and 3 GPUs: pass --processes 2"),  # 3 do not divide 32
    ],
)
def test_training_that_cannot_be_spread_fails(make_context: MakeContext, compute: Compute, reason: str) -> None:
    three = replace(WITH_GPUS, gpus=(80 * GIB,) * 3)
    found = by_name(machine_checks(make_context(compute=compute), three))["training processes"]
    assert found.state == "failure"
    assert reason in found.detail


def test_the_global_batch_is_shown_as_it_is_spread(make_context: MakeContext) -> None:
    spread = Compute(accelerate="fsdp", processes=2, micro_batch_size=4)
    found = by_name(machine_checks(make_context(compute=spread), WITH_GPUS))["training processes"]
    assert found.state == "ok"
    assert "a global batch of 32 is 2 × 4 rows × 4 passes" in found.detail


def test_a_package_that_the_scale_needs_and_is_not_there_fails(
    make_context: MakeContext, tiny: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == "vllm" else object())
    assert by_name(machine_checks(make_context(), ROOMY))["packages"].state == "ok"
    found = by_name(machine_checks(make_context(sampling=replace(tiny.sampling, engine="vllm")), ROOMY))
    assert found["package vllm"].state == "failure"
    assert "configs/papers/sgpo/recipes/mini.yaml generates with it: pip install vllm" in found["package vllm"].detail
    assert "packages" not in found


@pytest.mark.parametrize(("free", "state"), [(10**6, "failure"), (4_200_000, "warning"), (10**9, "ok")])
def test_a_disk_too_small_for_the_checkpoints_is_said(
    make_context: MakeContext, monkeypatch: pytest.MonkeyPatch, free: int, state: str
) -> None:
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    found = by_name(machine_checks(make_context(), ROOMY))["disk"]
    assert found.state == state
    assert state != "failure" or "free some space, or choose another --run-dir" in found.detail


def test_checkpoints_on_the_way_count_too(make_context: MakeContext) -> None:
    saving = make_context(compute=Compute(save_every=10))
    plain, more = (by_name(machine_checks(each, ROOMY))["disk"].detail for each in (make_context(), saving))
    # weights and AdamW's two moments, twice at the moment of saving
    assert _megabytes(more) == pytest.approx(_megabytes(plain) * (4 + 2 * 3) / 4, rel=0.1)


def _megabytes(detail: str) -> float:
    number, unit = detail.split()[:2]
    assert unit == "MB"
    return float(number)


def test_without_a_gpu_a_large_model_is_no_matter_of_warnings(make_context: MakeContext) -> None:
    """As at the paper's scale; that nothing of its models is here yet is no reason not to know how large they are."""
    wanted = Compute(resources={"training": Resources(gpus=8)})
    context = make_context(base_models={"llama": ModelRole("meta-llama/Meta-Llama-3-8B", "")}, compute=wanted)
    found = by_name(machine_checks(context, ROOMY))
    assert found["resources for training"].state == "failure"
    assert (
        "asks for 8 GPUs, there is none, and llama with 8.0 billion parameters would take months without: run it on a"
        in (found["resources for training"].detail)
    )
    assert found["memory for llama"].state == "failure"
    assert "of 64 GiB of memory: " in found["memory for llama"].detail
    assert re.match(r"1\d\d GB at the peak, 1\d\d GB at the end, with 4 checkpoints; ", found["disk"].detail)


def test_disk_and_memory_are_those_of_the_plan(make_context: MakeContext, monkeypatch: pytest.MonkeyPatch) -> None:
    context = make_context(compute=Compute(save_every=10))
    costs = step_costs(context.recipe, context.store.root.parent, context.store, context.limits)
    needs = disk_needs([costs.of(each) for each in context.missing], context.recipe)
    peak = sum(need.bytes for need in needs)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: SimpleNamespace(free=int(peak) - 1))
    assert by_name(machine_checks(context, ROOMY))["disk"].state == "failure"
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: SimpleNamespace(free=2 * peak))
    assert by_name(machine_checks(context, ROOMY))["disk"].state == "ok"


@pytest.mark.parametrize(
    ("gpus", "said"), [(1, "asks for 1 GPU: there is none"), (2, "asks for 2 GPUs: there is none")]
)
def test_one_gpu_is_not_many(make_context: MakeContext, gpus: int, said: str) -> None:
    wanted = Compute(resources={"training": Resources(gpus=gpus)})
    assert said in by_name(machine_checks(make_context(compute=wanted), ROOMY))["resources for training"].detail


def test_a_model_whose_size_is_not_told_is_warned_of(make_context: MakeContext, broken_model: Any) -> None:
    folder: Path = broken_model(config={"hidden_size": None})
    context = make_context(base_models={"llama": ModelRole(str(folder), "")})
    found = by_name(machine_checks(context, ROOMY))
    assert found["memory for llama"].state == found["disk"].state == "warning"
    assert "does not tell the model's size" in found["memory for llama"].detail
    assert "llama come on top" in found["disk"].detail

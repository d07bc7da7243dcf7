from pathlib import Path
from typing import Any

import pytest

from harness.engine import executor
from harness.engine.artifacts import Artifact
from harness.engine.compute import Compute, Resources
from harness.engine.executor import ResourcePool, in_turn, needs_of, side_by_side, threads_for, visible_gpus, work_of
from harness.engine.main_memory import GIB, MainMemory
from harness.engine.pipeline import run
from harness.engine.store import Store
from harness.engine.workers import Workers
from harness.errors import UserError
from tests.engine.sample_steps import numbers, occupy, occupy_much

COMPUTE = Compute(resources={"training": Resources(gpus=2, cpus=2), "generation": Resources(gpus=1)})


def seen(store: Store, artifact: Artifact) -> dict[str, Any]:
    content: dict[str, Any] = store.bind(artifact).json("seen.json")
    return content


def overlap(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return bool(first["started"] < second["ended"] and second["started"] < first["ended"])


def test_a_machine_gives_what_is_free_and_takes_it_back():
    machine = ResourcePool("a", cpus=4, gpus=("3", "5"), memory_gb=10)
    one = machine.take(Resources(gpus=1, cpus=1, memory_gb=6))
    assert one.gpus == ("3",)
    assert machine.fits(Resources(gpus=1, cpus=3, memory_gb=4))
    assert not machine.fits(Resources(gpus=2))
    assert not machine.fits(Resources(cpus=4))
    assert not machine.fits(Resources(memory_gb=5))
    assert machine.has(Resources(gpus=2, cpus=4, memory_gb=10))
    assert not machine.has(Resources(gpus=3))
    other = machine.take(Resources(gpus=1))
    assert other.gpus == ("5",)
    machine.give_back(one)
    machine.give_back(other)
    assert machine.take(Resources(gpus=2, cpus=4, memory_gb=10)).gpus == ("3", "5")


def test_the_most_urgent_that_fits_is_next_and_holds_back_what_wants_the_same():
    steps = [numbers(count=count) for count in range(4)]
    needs = dict(zip(steps, [Resources(gpus=8), Resources(gpus=1), Resources(cpus=2), Resources()], strict=True))

    def chosen(gpus: int, cpus: int) -> Artifact | None:
        machine = ResourcePool("a", cpus, tuple(map(str, range(gpus))))
        return in_turn(steps, needs.__getitem__, machine.fits)

    assert chosen(gpus=8, cpus=4) == steps[0]
    assert chosen(gpus=7, cpus=4) == steps[2]  # no small step takes a GPU before the large one
    assert chosen(gpus=7, cpus=1) is None
    assert in_turn([], needs.__getitem__, lambda needs: True) is None


def test_how_many_steps_run_side_by_side():
    machine = ResourcePool("a", cpus=16, gpus=tuple("01234567"))
    assert side_by_side([machine.share_of(Resources())] * 40) == 16
    assert side_by_side([machine.share_of(Resources(gpus=1))] * 40) == 8
    assert side_by_side([machine.share_of(Resources(gpus=8))] * 3) == 1
    assert side_by_side([]) == 1


def test_a_step_that_is_given_nothing_takes_a_processor():
    assert needs_of(occupy(), COMPUTE) == Resources(gpus=1)
    assert needs_of(numbers(count=1), COMPUTE) == Resources()
    assert needs_of(occupy(), Compute()) == Resources()
    assert work_of(occupy_much()) == "training"


def test_the_processes_of_a_training_share_its_processors():
    needs = Resources(gpus=8, cpus=16)
    compute = Compute(processes=8, resources={"training": needs})
    assert threads_for(occupy_much(), needs, compute) == 2
    assert threads_for(occupy(), needs, compute) == 16
    assert threads_for(occupy_much(), Resources(), Compute(processes=8)) == 1


@pytest.mark.parametrize(("value", "gpus"), [("3,5", ("3", "5")), ("", ()), ("-1", ()), ("GPU-1a, GPU-2b", None)])
def test_the_gpus_of_this_process(monkeypatch: pytest.MonkeyPatch, value: str, gpus: tuple[str, ...] | None):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert visible_gpus() == (("GPU-1a", "GPU-2b") if gpus is None else gpus)


def test_the_gpus_that_nvidia_smi_lists(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_gpus() == ()
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA H100 (UUID: GPU-1)'\necho 'GPU 1: NVIDIA H100 (UUID: GPU-2)'\n")
    smi.chmod(0o755)
    assert visible_gpus() == ("0", "1")


def test_single_gpu_steps_run_side_by_side_and_a_large_one_by_itself(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    small = [occupy(name=name) for name in "abc"]
    large = occupy_much()
    last = numbers(count=1)
    run([large, *small, last], store, jobs=4, compute=COMPUTE)
    of_small, of_large = [seen(store, each) for each in small], seen(store, large)
    assert {each["CUDA_VISIBLE_DEVICES"] for each in of_small} == {"3", "5"}
    assert of_large["CUDA_VISIBLE_DEVICES"] == "3,5"
    assert not any(overlap(of_large, each) for each in of_small)
    assert all(
        one["CUDA_VISIBLE_DEVICES"] != other["CUDA_VISIBLE_DEVICES"]
        for one in of_small
        for other in of_small
        if one is not other and overlap(one, other)
    )
    assert len({each["pid"] for each in [*of_small, of_large]}) == 4  # what one leaves on a GPU goes with its process
    assert (of_small[0]["OMP_NUM_THREADS"], of_large["OMP_NUM_THREADS"]) == ("1", "2")


def test_a_step_without_gpus_sees_none_where_they_are_given_out(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    run([occupy()], store, jobs=1, compute=Compute(resources={"training": Resources(gpus=2)}))
    assert seen(store, occupy())["CUDA_VISIBLE_DEVICES"] == ""


def test_without_resources_a_step_sees_what_the_command_sees(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    run([occupy()], store, jobs=1)
    assert seen(store, occupy())["CUDA_VISIBLE_DEVICES"] == "3,5"


def test_on_a_machine_without_gpus_and_with_few_processors_everything_runs(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    compute = Compute(resources={"training": Resources(gpus=8, cpus=64, memory_gb=1e6)})
    run([occupy_much()], store, jobs=1, compute=compute)
    assert seen(store, occupy_much())["OMP_NUM_THREADS"] == "1"


def test_too_few_gpus_is_one_line_before_anything_runs(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(executor, "main_memory", lambda: MainMemory(64 * GIB, 64 * GIB))
    first = numbers(count=1)
    with pytest.raises(UserError) as raised:
        run([occupy_much(after=[first])], store, jobs=4, compute=COMPUTE)
    assert str(raised.value) == (
        "step occupy_much needs 2 GPUs and 2 processors, and there is only this machine with 1 GPU, 4 processors"
        " and 64 GiB of memory; take a larger machine, several with `harness reproduce --executor ray`, or change"
        " compute.resources of the scale"
    )
    assert not store.has(first)


def test_a_forecast_reckons_with_what_steps_occupy(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    with Workers(store, 8, compute=COMPUTE) as workers:
        assert workers.prepare([occupy(name=str(number)) for number in range(9)]) == 4
    with Workers(store, 3) as workers:
        assert workers.prepare([occupy(name=str(number)) for number in range(9)]) == 3

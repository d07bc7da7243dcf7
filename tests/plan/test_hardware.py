"""The machine that a scale is reckoned on."""

from harness.engine.compute import Compute, Resources
from harness.plan.hardware import Devices, load_hardware

GPUS = Compute(resources={"training": Resources(gpus=4), "generation": Resources(gpus=1)})


def test_a_scale_of_ones_own_is_reckoned_on_what_it_asks_for() -> None:
    hardware = load_hardware()
    assert hardware.machine("mine", GPUS, None, None) == Devices("h100-80gb", 4, is_supposed=True)
    assert hardware.machine("mine", Compute(), None, None) == Devices("cpu-core", 2, is_supposed=True)
    assert hardware.machine("mine", GPUS, "a100-80gb", 2) == Devices("a100-80gb", 2)
    assert hardware.machine("paper", Compute(), None, None) == Devices("h100-80gb", 8)

"""Devices and how fast models run on them: configs/hardware.yaml, or what was measured on the machine at hand."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from harness.config.yaml_files import config_path, load_yaml
from harness.engine.compute import Compute
from harness.errors import UserError, named, unknown
from harness.steps.cost import Range

Kind = Literal["sft", "preference", "generation", "likelihood"]
"""What a model is run for, by which its speed differs."""

ALIKE = 1.5
"""Models whose sizes differ by no more than this factor are taken to run at the same floating-point rate."""

_LIKE_TRAINING: Mapping[Kind, tuple[float, str]] = {
    "likelihood": (3.0, "a forward pass alone, 2 of training's 6 operations: 3 x training"),
    "preference": (1.0, "as fast as supervised training"),
}
"""Where nothing is measured of it: how many times as fast as supervised training, and why."""

CALIBRATION = "calibration.json"
"""In a run directory: what was measured on this machine."""

MEASURED_HERE = "this-machine"

WITH_GPUS, WITHOUT_GPUS = "paper", "mini"
"""Scales whose machines are taken for a scale that configs/hardware.yaml does not name."""


@dataclass(frozen=True, slots=True)
class NumberSource:
    """The source of a number, and what stands there."""

    at: str
    text: str


@dataclass(frozen=True, slots=True)
class HourlyPrice:
    """Dollars an hour for one device, in a range; `source` names a Source."""

    low: float
    high: float
    source: str


@dataclass(frozen=True, slots=True)
class Device:
    """One device: a GPU, or a core. `tflops` is its dense peak in bfloat16, `memory_gb` and `bandwidth_gb` are 10^9."""

    description: str
    memory_gb: float
    tflops: float
    bandwidth_gb: float
    seconds_per_step: Mapping[str, float] = field(default_factory=dict)
    usd_per_hour: HourlyPrice | None = None
    is_gpu: bool = True
    """Else a core."""
    known_as: str = ""
    """What its driver's name for it contains."""


@dataclass(frozen=True, slots=True)
class Throughput:
    """Tokens per second of one device, measured on a model of `parameters`; see configs/hardware.yaml."""

    device: str
    work: Kind
    parameters: float
    tokens_per_second: float
    low: float
    high: float
    source: str
    usual: float = 1.0

    def __post_init__(self) -> None:
        """Raise ValueError for bounds that are none."""
        if not 0 < self.low <= self.usual <= self.high or self.tokens_per_second <= 0:
            raise ValueError(f"speed of {self.work} on {self.device}: 0 < low <= usual <= high does not hold")


@dataclass(frozen=True, slots=True)
class Devices:
    """So many devices of one kind."""

    device: str
    devices: int
    is_supposed: bool = False
    """Whether nobody has said so, here or in configs/hardware.yaml."""


@dataclass(frozen=True)
class Hardware:
    """configs/hardware.yaml."""

    sources: dict[str, NumberSource]
    devices: dict[str, Device]
    machines: dict[str, Devices]
    throughput: tuple[Throughput, ...]

    def machine(self, scale: str, compute: Compute, device: str | None, devices: int | None) -> Devices:
        """Choose the machine of a scale, with what is named instead; for an unknown scale, one with what it asks for.

        Raises UserError for an unknown device.
        """
        gpus = max((each.gpus for each in compute.resources.values()), default=0)
        like = self.machines[WITH_GPUS if gpus else WITHOUT_GPUS]
        usual = self.machines.get(scale) or replace(like, devices=gpus or like.devices, is_supposed=True)
        if device is not None and device not in self.devices:
            raise unknown("device", device, self.devices)
        is_supposed = usual.is_supposed and (device is None or devices is None)
        return Devices(device or usual.device, devices or usual.devices, is_supposed)


@dataclass(frozen=True, slots=True)
class Speed:
    """Tokens per second of one device, and why this is believed."""

    tokens_per_second: Range
    row: Throughput
    scaled: str
    """How the row was turned into this; empty where it is of this device and a model of this size."""


def load_hardware(run_dir: Path | None = None) -> Hardware:
    """Read what the package knows, after what was measured on this machine, where `run_dir` has that.

    Raises UserError where either is not in order.
    """
    hardware = load_yaml(config_path("hardware.yaml"), Hardware)
    if run_dir and (run_dir / CALIBRATION).is_file():
        measured = load_yaml(run_dir / CALIBRATION, Hardware)
        hardware = Hardware(
            {**hardware.sources, **measured.sources},
            {**hardware.devices, **measured.devices},
            {**hardware.machines, **measured.machines},
            (*measured.throughput, *hardware.throughput),
        )
    for row in hardware.throughput:
        named("device with a measured speed", row.device, hardware.devices)
        named("source of a measured speed", row.source, hardware.sources)
    return hardware


def speed(hardware: Hardware, device: str, kind: Kind, parameters: int) -> Speed:
    """Tell how fast one device runs a model of so many parameters, from the row that is most like it.

    Raises UserError where nothing is known of any device that could be compared.
    """
    rows = [row for row in hardware.throughput if row.work == kind and _comparable(hardware, row.device, device)]
    if not rows and kind in _LIKE_TRAINING:
        trained, (factor, why) = speed(hardware, device, "sft", parameters), _LIKE_TRAINING[kind]
        return Speed(trained.tokens_per_second.times(factor), trained.row, why)
    if not rows:
        raise UserError(
            f"nothing is known of {kind} on {device}: measure it with `harness plan --calibrate`, or name another by"
            " `harness plan --device`"
        )
    row = min(rows, key=lambda row: (row.device != device, abs(math.log(row.parameters / parameters))))
    return _scaled(hardware, row, device, parameters)


def _comparable(hardware: Hardware, measured_on: str, device: str) -> bool:
    """Tell whether a speed carries over: not from cores to GPUs or back, nor from this machine to another."""
    if MEASURED_HERE in (measured_on, device):
        return measured_on == device
    return hardware.devices[measured_on].is_gpu == hardware.devices[device].is_gpu


def _scaled(hardware: Hardware, row: Throughput, device: str, parameters: int) -> Speed:
    ratio = row.parameters / parameters
    rate, low, high, how = row.tokens_per_second * row.parameters / parameters, row.low, row.high, []
    if not 1 / ALIKE <= ratio <= ALIKE:
        low, high = low * 0.6, high * 1.2
        how.append(f"from a model of {row.parameters / 1e9:.2g}B parameters by size")
    if row.device != device:
        ours, theirs = hardware.devices[device], hardware.devices[row.device]
        by_bandwidth = row.work == "generation"
        rate *= ours.bandwidth_gb / theirs.bandwidth_gb if by_bandwidth else ours.tflops / theirs.tflops
        low, high = low * 0.6, high * 1.5
        how.append(f"from {row.device} by {'bandwidth' if by_bandwidth else 'peak operations'}")
    return Speed(Range(rate * low, rate * row.usual, rate * high), row, "; ".join(how))

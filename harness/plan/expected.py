"""The expected time of each step of a run, for its forecast of the time left."""

from collections.abc import Iterable
from pathlib import Path

from harness.engine.artifacts import Artifact, ancestry
from harness.engine.limits import Limits
from harness.engine.store import Store
from harness.errors import UserError
from harness.plan.forecast import disk_needs, disk_totals
from harness.plan.hardware import load_hardware
from harness.plan.rows import GraphEstimates
from harness.plan.steps import StepCosts
from harness.recipes.recipe import Recipe


def step_costs(
    scale: Recipe,
    run_dir: Path,
    store: Store | None,
    limits: Limits,
    device: str | None = None,
    devices: int | None = None,
) -> StepCosts:
    """Reckon on the scale's machine, or what is named in its place, as it was measured in `run_dir`, if it was.

    Raises UserError for an unknown device, and for a table that is not in order.
    """
    hardware = load_hardware(run_dir)
    machine = hardware.machine(scale.name, scale.compute, device, devices)
    return StepCosts(scale, machine, hardware, GraphEstimates(store), limits)


def expected_seconds(targets: Iterable[Artifact], scale: Recipe, store: Store, limits: Limits) -> dict[str, float]:
    """Reckon the seconds of each step behind the targets, by key, as `harness plan` does on the scale's machine.

    Steps of which nothing is known are left out; so are all where nothing can be reckoned, which is no reason not to
    run.
    """
    try:
        costs = step_costs(scale, store.root.parent, store, limits)
        found = {artifact.key: costs.of(artifact) for artifact in ancestry(targets)}
    except UserError:
        return {}
    return {key: cost.seconds.expected for key, cost in found.items() if not cost.unknown}


def disk_bytes(missing: Iterable[Artifact], scale: Recipe, store: Store, limits: Limits) -> tuple[float, float]:
    """Reckon the bytes that making `missing` leaves on the disk, and those at the peak, as `harness plan` does."""
    costs = step_costs(scale, store.root.parent, store, limits)
    return disk_totals(disk_needs([costs.of(each) for each in missing], scale))

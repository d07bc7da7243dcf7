"""What each step of a run is expected to take, so that a run can say from its start how long it has left."""

from collections.abc import Iterable

from harness.core.artifacts import Artifact, ancestry
from harness.core.errors import UserError
from harness.core.limits import Limits
from harness.core.store import Store
from harness.plan.estimates import load_estimates
from harness.plan.hardware import load_hardware, with_calibration
from harness.plan.rows import RowCounts
from harness.plan.steps import StepCosts
from harness.scales import Scale


def expected_seconds(targets: Iterable[Artifact], scale: Scale, store: Store, limits: Limits) -> dict[str, float]:
    """Reckon the seconds of each step behind the targets, by key, as `harness plan` does on the scale's machine.

    Steps of which nothing is known are left out; so are all where the estimates cannot be read, which is no reason
    not to run.
    """
    try:
        estimates = load_estimates()
        hardware = with_calibration(load_hardware(), store.root.parent)
        machine = hardware.machine(scale.name, scale.compute, None, None)
        costs = StepCosts(scale, machine, hardware, RowCounts(store, estimates), estimates, limits)
        found = {artifact.key: costs.of(artifact) for artifact in ancestry(targets)}
    except UserError:
        return {}
    return {key: cost.seconds.expected for key, cost in found.items() if not cost.unknown}

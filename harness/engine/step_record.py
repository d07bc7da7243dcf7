"""One run of a step, and what its artifact's record says of it."""

import time
from datetime import UTC, datetime
from typing import Any

from harness.engine.artifacts import Artifact, find_step, input_keys
from harness.engine.code import OURS, functions_of
from harness.engine.output import Output
from harness.provenance import device, package_around, provenance
from harness.records import lone_surrogate_error


def run_step(artifact: Artifact, bound: Artifact, output: Output) -> dict[str, Any]:
    """Run the step of `artifact`, `bound` to its inputs; return its start and duration, for the record.

    Raises what the step raises, and UserError for a text of its rows that no file can hold.
    """
    started, clock = datetime.now(UTC), time.monotonic()
    try:
        find_step(artifact).run(output, bound)
    except UnicodeEncodeError as error:
        raise lone_surrogate_error(error) from None
    output.close()
    return {
        "started": started.isoformat(timespec="seconds"),
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - clock, 3),
    }


def identity(artifact: Artifact) -> dict[str, Any]:
    """Return the fields of an artifact's record that say what it is, and where it was made."""
    return {
        "step": artifact.step,
        "functions": functions_of(artifact),
        "version": artifact.version,
        "key": artifact.key,
        "label": artifact.label,
        "params": artifact.params,
        "seed": artifact.params.get("seed"),
        "inputs": input_keys(artifact.inputs),
        "provenance": {**provenance(), "device": device(), **_outside(artifact)},
    }


def _outside(artifact: Artifact) -> dict[str, Any]:
    """Return the packages from outside that an artifact's step and its arguments' classes are of."""
    roots = {function.partition(":")[0].partition(".")[0] for function in functions_of(artifact)} - OURS
    found = [package for root in sorted(roots) if (package := package_around(root))]
    return {"outside": found} if found else {}

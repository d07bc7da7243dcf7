"""The contracts of the files that an evaluation saves, whoever wrote it, checked when they are read.

`docs/add-a-benchmark.md` has the contract with a complete example.
"""

from collections.abc import Mapping
from typing import Any

from harness.config.codec import decode
from harness.errors import UserError


def checked_scores(name: str, metrics: tuple[str, ...], scores: Any) -> Mapping[str, Any]:
    """Return the `seed-0/scores.json` of the benchmark `name` as it is.

    Raises UserError, naming the evaluation and the key, where it departs from `evals.base.Benchmark`.
    """
    where = f"the evaluation {name} does not keep to its contract: seed-0/scores.json"
    found = decode(dict[str, Any], scores, where)
    for key in (*metrics, "ci95", "n_asked", "n_missing", "withheld"):
        if key not in found:
            raise UserError(f"{where}: {key} is missing; write what docs/add-a-benchmark.md says of it")
    intervals = found["ci95"] if isinstance(found["ci95"], Mapping) else dict.fromkeys(metrics, found["ci95"])
    decode(dict[str, float | None], {metric: found[metric] for metric in metrics}, where)
    decode(
        dict[str, tuple[float, float] | None], {metric: intervals.get(metric) for metric in metrics}, f"{where}: ci95"
    )
    return found

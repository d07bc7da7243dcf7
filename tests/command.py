"""The command `harness`, run in the test's own process: see the fixture `harness`."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.engine import pipeline


@dataclass(frozen=True)
class Outcome:
    """How the command ended, and what it printed."""

    exit_code: int
    out: str
    err: str

    @property
    def scores(self) -> dict[str, Any]:
        """What it printed with `--json`; it must have ended well."""
        assert self.exit_code == 0, self.err
        scores: dict[str, Any] = json.loads(self.out)
        return scores


Harness = Callable[..., Outcome]


def use_one_worker() -> None:
    """Have each run of this process take one worker, however many processors there are.

    Importing torch and the trainers costs a worker six seconds of processor time: more than the steps of a tiny run.
    """
    pipeline.processors = lambda: 1

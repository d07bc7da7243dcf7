"""An end that comes to a process, or to the code in it, in the middle of a training."""

import os
import signal

from harness.training.job import Track
from tests.training.helpers import untracked


class _AtStep:
    """Progress that calls `end` at one of the optimizer steps, and counts no other unit."""

    def __init__(self, unit: str, step: int) -> None:
        self._left = step if unit == "steps" else None

    def advance(self, count: int = 1) -> None:
        if self._left is not None:
            self._left -= count
            if self._left == 0:
                self.end()

    def end(self) -> None:
        raise NotImplementedError


class Killer(_AtStep):
    """Progress that ends this process by SIGKILL."""

    def end(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class Stopped(Exception):
    """What ends a training in the middle of it and leaves its process."""


class _Stopper(_AtStep):
    def end(self) -> None:
        raise Stopped


def stopped_at(step: int) -> Track:
    """Progress that raises Stopped: as a kill, it lets the training write nothing more; without a new process."""
    return lambda work, unit, done=0: _Stopper(unit, step) if unit == "steps" else untracked(work, unit, done)

"""The order of steps, and the forecast of the time they take."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness.engine.artifacts import Artifact

DAMPING = 0.02
"""Of all seconds reckoned: as much work at the pace reckoned is taken to have been seen before the first step ends."""


@dataclass(slots=True)
class _Seen:
    """The time of steps: `seconds` of `count` ended ones; of those with a forecast, `taken` for what was `reckoned`."""

    count: int = 0
    seconds: float = 0.0
    taken: float = 0.0
    reckoned: float = 0.0


class Durations:
    """The expected time of steps: the forecast before the run, at the pace of those so far.

    Of steps that nothing was reckoned for, others of the same name are the forecast.
    """

    def __init__(self, reckoned: Mapping[str, float] | None = None) -> None:
        """Start with `reckoned`, the forecast seconds by key of a step."""
        self._reckoned = reckoned or {}
        self._damping = DAMPING * sum(self._reckoned.values())
        self._of_name: defaultdict[str, _Seen] = defaultdict(_Seen)
        self._of_all = _Seen()
        self._noted: dict[str, tuple[float, float]] = {}
        """By key of a step with a forecast, what is in these sums: for how long it ran, and which share of it."""
        self._running: dict[str, float] = {}
        self._supposed: dict[str, float] = {}

    def learn(self, artifact: Artifact, seconds: float) -> None:
        """Learn that `artifact` took `seconds`."""
        self._running.pop(artifact.key, None)
        self._note(artifact, seconds, 1.0)
        for seen in (self._of_name[artifact.step], self._of_all):
            seen.count += 1
            seen.seconds += seconds

    def suppose(self, artifact: Artifact, elapsed: float, seconds: float) -> None:
        """Learn that `artifact` has run for `elapsed` seconds, and is expected to take `seconds` in all."""
        self._running[artifact.key] = self._supposed[artifact.step] = seconds
        self._note(artifact, elapsed, elapsed / seconds if seconds else 0.0)

    def knows(self, artifact: Artifact) -> bool:
        """Return whether anything is known about such a step."""
        return artifact.key in self._reckoned or artifact.step in self._of_name or artifact.step in self._supposed

    def expect(self, artifact: Artifact) -> float:
        """Forecast the seconds of a step.

        While it runs, what it reckons with itself; else what was reckoned, at the pace so far; else the mean of its
        name, what one of its name reckons with, or the mean of all; 1 when nothing is known.
        """
        if artifact.key in self._running:
            return self._running[artifact.key]
        of_name = self._of_name.get(artifact.step, _Seen())
        if artifact.key in self._reckoned:
            return self._reckoned[artifact.key] * self._pace(artifact.step)
        if not of_name.count and artifact.step in self._supposed:
            return self._supposed[artifact.step]
        seen = of_name if of_name.count else self._of_all
        return seen.seconds / seen.count if seen.count else 1.0

    def _note(self, artifact: Artifact, elapsed: float, share: float) -> None:
        if artifact.key not in self._reckoned:
            return
        elapsed_before, share_before = self._noted.get(artifact.key, (0.0, 0.0))
        self._noted[artifact.key] = elapsed, share
        for seen in (self._of_name[artifact.step], self._of_all):
            seen.taken += elapsed - elapsed_before
            seen.reckoned += self._reckoned[artifact.key] * (share - share_before)

    def _pace(self, step: str) -> float:
        """Return seconds taken for one forecast, of steps of this name, else of all; the first few count little."""
        seen = self._of_name.get(step, self._of_all)
        seen = seen if seen.reckoned else self._of_all
        return (seen.taken + self._damping) / (seen.reckoned + self._damping) if seen.reckoned else 1.0


Pick = Callable[[Sequence[Artifact]], Artifact | None]


class Schedule:
    """The order of steps whose inputs are there: the one that starts the longest chain first."""

    def __init__(self, missing: Sequence[Artifact], durations: Durations) -> None:
        """Start with `missing`, the artifacts to make, inputs before what needs them."""
        self._durations = durations
        self._waiting = {artifact.key: artifact for artifact in missing}
        self._unfinished = dict(self._waiting)
        self._started: dict[str, float] = {}
        self._needed_by: defaultdict[str, list[str]] = defaultdict(list)
        for artifact in missing:
            for parent in artifact.parents():
                self._needed_by[parent.key].append(artifact.key)

    @property
    def finished(self) -> bool:
        """Whether everything has been made."""
        return not self._unfinished

    def take(self, pick: Pick) -> Artifact | None:
        """Return the step to start next: the choice of `pick` among those whose inputs are there, longest chain first.

        None when `pick` returns None, when each of those left waits for one that is running, or when none is left.
        """
        ready = [
            one for one in self._waiting.values() if not any(each.key in self._unfinished for each in one.parents())
        ]
        if not ready:
            return None
        chains = self._chains()
        chosen = pick(sorted(ready, key=lambda one: -chains[one.key]))
        if chosen is None:
            return None
        self._started[chosen.key] = time.monotonic()
        return self._waiting.pop(chosen.key)

    def hear(self, artifact: Artifact, seconds_left: float) -> None:
        """Learn that `artifact` is being made and expects `seconds_left`."""
        elapsed = time.monotonic() - self._started[artifact.key]
        self._durations.suppose(artifact, elapsed, elapsed + seconds_left)

    def finish(self, artifact: Artifact, seconds: float) -> None:
        """Learn that `artifact` has been made, in `seconds`."""
        del self._unfinished[artifact.key], self._started[artifact.key]
        self._durations.learn(artifact, seconds)

    def seconds_left(self, jobs: float) -> float | None:
        """Forecast the seconds for what is left, `jobs` steps at a time; None while most of it is of unknown kinds."""
        known = sum(self._durations.knows(artifact) for artifact in self._unfinished.values())
        if 2 * known < len(self._unfinished):
            return None
        now = time.monotonic()
        spent = {key: min(now - started, self._expect(key)) for key, started in self._started.items()}
        work = sum(self._expect(key) - spent.get(key, 0) for key in self._unfinished)
        chains = self._chains()
        longest = max((chains[key] - spent.get(key, 0) for key in self._unfinished), default=0.0)
        return max(work / jobs, longest)

    def _expect(self, key: str) -> float:
        return self._durations.expect(self._unfinished[key])

    def _chains(self) -> dict[str, float]:
        """Return for each unfinished step the expected seconds of the longest chain that starts with it."""
        chains: dict[str, float] = {}
        for key in reversed(self._unfinished):
            chains[key] = self._expect(key) + max((chains[child] for child in self._needed_by[key]), default=0.0)
        return chains

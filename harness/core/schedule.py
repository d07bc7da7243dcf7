"""Which step to run next, and how long it will all take."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from harness.core.artifacts import Artifact


class Durations:
    """What steps have taken so far, as a forecast for others of the same name."""

    def __init__(self) -> None:
        self._seen: defaultdict[str, list[float]] = defaultdict(list)
        self._supposed: dict[str, float] = {}

    def learn(self, step: str, seconds: float) -> None:
        """One `step` took `seconds`."""
        self._seen[step].append(seconds)

    def suppose(self, step: str, seconds: float) -> None:
        """A `step` that is still running is going to take `seconds`; forgotten once one has ended."""
        self._supposed[step] = seconds

    def knows(self, step: str) -> bool:
        """Whether anything is known about steps of this name."""
        return step in self._seen or step in self._supposed

    def expect(self, step: str) -> float:
        """Mean seconds of steps of this name; of all steps when it is new; 1 when nothing is known."""
        if step not in self._seen and step in self._supposed:
            return self._supposed[step]
        seen = self._seen.get(step) or [seconds for times in self._seen.values() for seconds in times]
        return sum(seen) / len(seen) if seen else 1.0


Pick = Callable[[Sequence[Artifact]], Artifact | None]


def first(ready: Sequence[Artifact]) -> Artifact:
    """The most urgent of the steps that can be started."""
    return ready[0]


class Schedule:
    """Hands out steps whose inputs are there, the one that starts the longest chain first."""

    def __init__(self, missing: Sequence[Artifact], durations: Durations) -> None:
        """`missing`: what is to be made, inputs before what needs them."""
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

    def take(self, pick: Pick = first) -> Artifact | None:
        """The step to start next: what `pick` says of those whose inputs are there, the start of the longest chain
        first. None when it says so, or when each of those left waits for one that is running, or none is left."""
        ready = [one for one in self._waiting.values() if self._unfinished.keys().isdisjoint(_keys(one.parents()))]
        if not ready:
            return None
        chains = self._chains()
        chosen = pick(sorted(ready, key=lambda one: -chains[one.key]))
        if chosen is None:
            return None
        self._started[chosen.key] = time.monotonic()
        return self._waiting.pop(chosen.key)

    def hear(self, artifact: Artifact, seconds_left: float) -> None:
        """`artifact` is being made and reckons with `seconds_left`."""
        elapsed = time.monotonic() - self._started[artifact.key]
        self._durations.suppose(artifact.step, elapsed + seconds_left)

    def finish(self, artifact: Artifact, seconds: float) -> None:
        """`artifact` has been made, in `seconds`."""
        del self._unfinished[artifact.key], self._started[artifact.key]
        self._durations.learn(artifact.step, seconds)

    def seconds_left(self, jobs: float) -> float | None:
        """Forecast for what is left to do, `jobs` steps at a time; None while most of it is of unknown kinds."""
        known = sum(self._durations.knows(artifact.step) for artifact in self._unfinished.values())
        if 2 * known < len(self._unfinished):
            return None
        now = time.monotonic()
        spent = {key: min(now - started, self._expect(key)) for key, started in self._started.items()}
        work = sum(self._expect(key) - spent.get(key, 0) for key in self._unfinished)
        chains = self._chains()
        longest = max((chains[key] - spent.get(key, 0) for key in self._unfinished), default=0.0)
        return max(work / jobs, longest)

    def _expect(self, key: str) -> float:
        return self._durations.expect(self._unfinished[key].step)

    def _chains(self) -> dict[str, float]:
        """For each unfinished step, the expected seconds of the longest chain that starts with it."""
        chains: dict[str, float] = {}
        for key in reversed(self._unfinished):
            chains[key] = self._expect(key) + max((chains[child] for child in self._needed_by[key]), default=0.0)
        return chains


def _keys(artifacts: Iterable[Artifact]) -> set[str]:
    return {artifact.key for artifact in artifacts}

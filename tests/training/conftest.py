"""Trainings that several tests look at, made once a process, and ways to train anew."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.engine.artifacts import Tracker
from harness.engine.compute import Compute
from harness.engine.progress import Event
from harness.training.job import Track
from harness.training.losses import Dpo
from harness.training.preferences import run_preferences
from harness.training.rows import ReferenceLogProbabilities
from harness.training.settings import TrainingSettings
from harness.training.sft import run_sft
from tests.training.helpers import MOVING, STILL, Trained, examples, preferences, reference_of, untracked


@pytest.fixture
def sft(base: Path, tmp_path: Path) -> Callable[..., dict[str, float]]:
    """Trains the packaged model on the ten examples, into a folder of this name."""

    def train(
        settings: TrainingSettings,
        seed: int = 0,
        name: str = "sft",
        track: Track = untracked,
        compute: Compute | None = None,
    ) -> Any:
        return run_sft(base, examples(), settings, seed=seed, out=tmp_path / name, track=track, compute=compute)

    return train


@pytest.fixture(scope="session")
def reference(base: Path) -> list[ReferenceLogProbabilities]:
    """What the packaged model says of the ten pairs."""
    return reference_of(base)


@pytest.fixture
def dpo(disturbed: Path, reference: list[ReferenceLogProbabilities], tmp_path: Path) -> Callable[..., dict[str, float]]:
    """Trains the disturbed model against the packaged one, unless said otherwise, into a folder of this name."""

    def train(
        settings: TrainingSettings,
        beta: float = 0.5,
        seed: int = 0,
        name: str = "dpo",
        policy: Path = disturbed,
        compute: Compute | None = None,
    ) -> Any:
        loss, pairs, out = Dpo(beta=beta), preferences(), tmp_path / name
        return run_preferences(
            policy, pairs, reference, loss, settings, seed=seed, out=out, track=untracked, compute=compute
        )

    return train


@pytest.fixture(scope="session")
def still_sft(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """SFT that changes no weight, one example a step."""
    return _sft(base, STILL, tmp_path_factory.mktemp("still"))


@pytest.fixture(scope="session")
def moved_sft(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """SFT in nine steps."""
    return _sft(base, MOVING, tmp_path_factory.mktemp("moved"))


def _sft(base: Path, settings: TrainingSettings, out: Path) -> Trained:
    heard: list[Event] = []
    track: Track = lambda work, unit, done=0: Tracker(work, unit, done, heard.append)  # noqa: E731
    return Trained(out, run_sft(base, examples(), settings, seed=0, out=out, track=track), heard)


@pytest.fixture(scope="session")
def moved_dpo(
    disturbed: Path, reference: list[ReferenceLogProbabilities], tmp_path_factory: pytest.TempPathFactory
) -> Trained:
    """DPO of the disturbed model against the packaged one, in nine steps."""
    return _dpo(disturbed, reference, tmp_path_factory.mktemp("moved"))


@pytest.fixture(scope="session")
def dpo_from_its_reference(
    base: Path, reference: list[ReferenceLogProbabilities], tmp_path_factory: pytest.TempPathFactory
) -> Trained:
    """DPO of the packaged model against itself, in nine steps."""
    return _dpo(base, reference, tmp_path_factory.mktemp("moved"))


def _dpo(policy: Path, reference: list[ReferenceLogProbabilities], out: Path) -> Trained:
    loss, pairs = Dpo(beta=0.5), preferences()
    metrics = run_preferences(policy, pairs, reference, loss, MOVING, seed=0, out=out, track=untracked)
    return Trained(out, metrics, [])

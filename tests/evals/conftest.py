"""Fixtures for the evaluations: the shared public data, and small simulated verdicts for tests that do without it."""

import os
from pathlib import Path

import pytest

from evals.formats import Calibration, read_calibration

SHARED_DATA = Path(os.environ.get("HARNESS_SHARED_DATA") or Path(__file__).parents[3] / "shared" / "data")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public benchmark data; skips where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("needs the shared data: ../shared/data, or the folder that HARNESS_SHARED_DATA names, is not there")
    return SHARED_DATA


@pytest.fixture(scope="session")
def alpaca_data(shared_data: Path) -> Path:
    """The folder of AlpacaEval 2.0 data."""
    return shared_data / "alpaca_eval2"


@pytest.fixture(scope="session")
def arena_data(shared_data: Path) -> Path:
    """The folder of Arena-Hard v0.1 data."""
    return shared_data / "arena_hard_v0.1"


@pytest.fixture(scope="session")
def calibration(alpaca_data: Path) -> Calibration:
    """The stand-in for alpaca_eval's df_gamed.csv."""
    return read_calibration(alpaca_data / "df_gamed_standin.csv")

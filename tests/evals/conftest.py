"""Fixtures for the evaluations: parts of the shared public data."""

from pathlib import Path

import pytest

from evals.alpaca_eval2.length_calibration import Calibration, read_calibration


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

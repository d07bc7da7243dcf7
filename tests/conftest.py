"""Fixtures for the whole suite."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from harness.core.store import Store

# On a busy machine drawing an example can take seconds; that says nothing of the code.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store(tmp_path / "store")


SHARED_DATA = Path(os.environ.get("HARNESS_SHARED_DATA") or Path(__file__).parents[2] / "shared" / "data")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public benchmark data; skips where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("needs the shared data: ../shared/data, or the folder that HARNESS_SHARED_DATA names, is not there")
    return SHARED_DATA

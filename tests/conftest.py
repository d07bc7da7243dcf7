"""Fixtures for the whole suite."""

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

"""Fixtures for the whole suite."""

from pathlib import Path

import pytest

from harness.core.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store(tmp_path / "store")

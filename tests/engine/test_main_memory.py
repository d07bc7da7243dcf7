from pathlib import Path

import pytest

from harness.engine import main_memory as module
from harness.engine.main_memory import main_memory


def test_the_memory_that_is_there_is_read() -> None:
    assert 2**26 < main_memory().free < 2**50
    assert main_memory().free <= main_memory().total


def test_a_container_has_what_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bound").write_text(f"{2**26}\n")
    (tmp_path / "none").write_text("max\n")
    monkeypatch.setattr(module, "_LIMITS", (str(tmp_path / "none"), str(tmp_path / "bound"), str(tmp_path / "absent")))
    assert (main_memory().total, main_memory().free) == (2**26, 2**26)

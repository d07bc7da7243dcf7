"""The curves in a run's folder."""

from pathlib import Path

import pytest

from harness.errors import UserError
from harness.results.training_curves import CURVES, Course, StageCurves, read_curves, write_curves

STAGE = StageCurves(
    "llama", "SFT", ("sft",), "", (Course(0, "train_sft/0", 5, 2, {"step": (2, 4, 5), "loss": (2.5, None, 1.0)}),)
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_curves(tmp_path, [STAGE, STAGE])
    assert read_curves(tmp_path) == [STAGE, STAGE]
    write_curves(tmp_path, [])
    assert read_curves(tmp_path) == []


def test_a_run_of_an_earlier_version_has_none(tmp_path: Path) -> None:
    assert read_curves(tmp_path) == []


def test_damaged_and_unwritable_files_are_named(tmp_path: Path) -> None:
    (tmp_path / CURVES).write_text('{"model": "llama"}\n')
    with pytest.raises(UserError, match=r"curves\.jsonl:1"):
        read_curves(tmp_path)
    (tmp_path / CURVES).unlink()
    (tmp_path / CURVES).mkdir()
    with pytest.raises(UserError, match=r"cannot write .*curves\.jsonl"):
        write_curves(tmp_path, [STAGE])

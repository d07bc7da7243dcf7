"""A report is a function of its run's folder: neither configs nor a store is read for it."""

import shutil
from pathlib import Path

import pytest

from harness.config import yaml_files
from harness.papers import loading
from reports.write import write_report


def texts(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def copy(written: Path, tmp_path: Path) -> Path:
    """Of the report of everything, somewhere else, without what was rendered."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for name in ("manifest.json", "curves.jsonl"):
        shutil.copy(written / name, folder)
    shutil.copytree(written / "artifacts", folder / "artifacts")
    return folder


def test_a_copied_folder_gives_the_same_report(written: Path, copy: Path) -> None:
    assert not (copy.parent / "store").exists()
    write_report(copy)
    assert texts(copy) == texts(written)


def test_an_edited_exhibit_changes_no_report_of_an_earlier_run(
    written: Path, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = tmp_path / "configs"
    shutil.copytree(yaml_files.CONFIGS, configs)
    for file in (configs / "papers/sgpo").rglob("*.yaml"):
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace("SGPO", "EDITED").replace("5.8", "99.9"), encoding="utf-8")
    monkeypatch.setattr(yaml_files, "CONFIGS", configs)
    assert "EDITED" in loading.load_exhibit("sgpo", "table3").subject("sgpo")
    write_report(copy)
    assert texts(copy) == texts(written)

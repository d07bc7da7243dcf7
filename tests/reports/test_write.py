"""Writing the report of a run."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import UserError
from reports.write import write_report

FILES = {"table3.md", "table3.tex", "table3_tests.tex", "table3.csv", "table3.svg", "table3.png", "index.html"}


@pytest.fixture
def folder(tmp_path: Path, manifest: dict[str, Any]) -> Path:
    (tmp_path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return tmp_path


def test_writes_every_file_and_nothing_else(folder: Path) -> None:
    write_report(folder)
    assert {path.name for path in folder.iterdir()} == FILES | {"manifest.json"}
    assert (folder / "table3.png").read_bytes().startswith(b"\x89PNG")


def test_same_manifest_same_bytes(folder: Path) -> None:
    write_report(folder)
    first = {name: (folder / name).read_bytes() for name in FILES}
    write_report(folder)
    assert {name: (folder / name).read_bytes() for name in FILES} == first


def test_a_failed_report_leaves_the_old_one(folder: Path, manifest: dict[str, Any]) -> None:
    write_report(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "manifest.json"}
    manifest["rows"].append("simpo")
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(UserError, match="simpo"):
        write_report(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "manifest.json"} == before


def test_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*manifest\.json"):
        write_report(tmp_path)


def test_damaged_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"experiment": "tab', encoding="utf-8")
    with pytest.raises(UserError, match="is not JSON"):
        write_report(folder)


def test_folder_that_cannot_be_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(UserError, match=r"cannot write the report in .*: Permission denied"):
        write_report(folder)
    assert {path.name for path in folder.iterdir()} == {"manifest.json"}

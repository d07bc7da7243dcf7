"""Writing the report of a run."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from reports.write import write_report
from tests.reports.conftest import EVERY, made_up_manifest, write_manifest

WHOLE = {"manifest.json", "index.html", "report.md", "tests.csv", "tests.tex"}
OF_TABLE2 = {"table2.csv", "table2.tex"}


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a run of one exhibit that is not drawn."""
    return write_manifest(tmp_path / "run", made_up_manifest("table2"))


def test_writes_every_file_and_nothing_else(folder: Path, written: Path) -> None:
    write_report(folder)
    assert files_of(folder).keys() == WHOLE | OF_TABLE2
    of_exhibits = {f"{name}.{suffix}" for name in EVERY for suffix in ("csv", "tex")}
    assert {name for name in files_of(written) if "/" not in name} == WHOLE | {"curves.jsonl"} | of_exhibits


def test_same_manifest_same_bytes(folder: Path) -> None:
    write_report(folder)
    first = files_of(folder)
    write_report(folder)
    assert files_of(folder) == first


def test_a_failed_report_leaves_the_old_one(folder: Path) -> None:
    write_report(folder)
    before = {name: content for name, content in files_of(folder).items() if name != "manifest.json"}
    broken = made_up_manifest("table2", command="another")
    broken["results"][0]["benches"][0]["bench"] = "alpaca"
    write_manifest(folder, broken)
    with pytest.raises(UserError, match="alpaca"):
        write_report(folder)
    assert {name: content for name, content in files_of(folder).items() if name != "manifest.json"} == before


def test_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*manifest\.json"):
        write_report(tmp_path)


def test_damaged_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"experiment": "tab', encoding="utf-8")
    with pytest.raises(UserError, match="is not JSON"):
        write_report(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "scorez"}, "unknown kind 'scorez'; did you mean 'scores'?"),
        ({"kind": "scores"}, "results[0]: unknown key 'benches'"),
        ({"exhibit": None}, "results[0].exhibit: expected a mapping"),
    ],
)
def test_a_result_that_this_version_does_not_know(folder: Path, change: dict[str, Any], message: str) -> None:
    manifest = made_up_manifest("table2")
    manifest["results"][0] |= change
    write_manifest(folder, manifest)
    with pytest.raises(UserError, match=f"{re.escape(message)}.*of another version; run `harness reproduce table3"):
        write_report(folder)


def test_a_claim_about_what_was_not_run(folder: Path) -> None:
    claims = made_up_manifest("table3")["claims"]
    write_manifest(folder, made_up_manifest("table2", claims=claims))
    with pytest.raises(UserError, match="a claim about table3, of which it has no result"):
        write_report(folder)


def test_folder_that_cannot_be_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(UserError, match=r"cannot write the report in .*: Permission denied"):
        write_report(folder)
    assert json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["run"] == "table2"
    assert files_of(folder).keys() == {"manifest.json"}

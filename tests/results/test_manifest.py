"""The manifest of a run: what is written is what is read, and what cannot be read says how to mend it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.results.manifest import parse_manifest, read_manifest
from harness.results.manifest import write_manifest as write
from tests.reports.conftest import EVERY, made_up_manifest, write_manifest


def test_a_manifest_is_the_same_after_it_was_written(tmp_path: Path) -> None:
    manifest = parse_manifest(made_up_manifest(*EVERY))
    write(tmp_path, manifest)
    assert read_manifest(tmp_path) == manifest


def test_the_paper_stands_once_in_the_file(tmp_path: Path) -> None:
    manifest = parse_manifest(made_up_manifest(*EVERY))
    write(tmp_path, manifest)
    assert (tmp_path / "manifest.json").read_text(encoding="utf-8").count(manifest.paper.title) == 1
    assert all(exhibit.paper == manifest.paper for exhibit in read_manifest(tmp_path).exhibits.values())


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("n_claims", "missing key 'n_claims'"),
        ("judge", "missing key 'judge'"),
        ("paper", "paper"),
        ("results", "missing key 'results'"),
    ],
)
def test_a_manifest_of_another_version_says_which_command_writes_it_anew(
    tmp_path: Path, lost: str, message: str
) -> None:
    manifest = made_up_manifest()
    del manifest[lost]
    assert message in error_of(tmp_path, manifest)


def test_what_is_not_known_is_an_error_at_its_place(tmp_path: Path) -> None:
    manifest = made_up_manifest()
    manifest["results"][0]["cells"][0]["unheard_of"] = 1
    assert "results[0].cells[0]: unknown key 'unheard_of'" in error_of(tmp_path, manifest)


def error_of(folder: Path, manifest: dict[str, Any]) -> str:
    with pytest.raises(UserError) as raised:
        read_manifest(write_manifest(folder, manifest))
    [line] = str(raised.value).splitlines()
    assert "is damaged or of another version; run `harness reproduce table3" in line
    assert line.endswith("` again, which finds what it made and writes it anew")
    return line


@pytest.mark.parametrize(("text", "message"), [(None, "cannot read"), ("{", "is not JSON"), ("[]", "expected a map")])
def test_a_folder_without_a_manifest(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(UserError, match=rf"manifest\.json.*{message}|{message}.*manifest\.json"):
        read_manifest(tmp_path)


def test_selected_models_and_methods_are_named() -> None:
    manifest = parse_manifest(made_up_manifest())
    assert manifest.selection == ""
    chosen = replace(manifest, options={"models": ["qwen"], "methods": ["sft", "dpo"], "limit": 4})
    assert chosen.selection == "models qwen alone; methods sft, dpo alone"
    assert chosen.reduced == "at most 4 rows of each data set"

"""A paper's table whose columns are tasks: the six of the Open LLM Leaderboard, their average, and IFEval."""

import csv
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from evals.open_llm.scores import AVERAGE, COLUMNS
from tests.command import Harness

pytestmark = pytest.mark.usefixtures("in_this_process")

TOY = Path(__file__).parent / "toy"
SIZE = 12
METRICS = {name: "open_llm" for name in (*COLUMNS, AVERAGE)} | {"mean_of_four": "ifeval"}


@pytest.fixture
def paper(harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Harness:
    """The command where there is a paper `tasks` with one row, after the toy paper."""
    folder = tmp_path / "papers" / "tasks"
    shutil.copytree(TOY, folder, ignore=shutil.ignore_patterns("*.py", "*.toml", "__pycache__"))
    monkeypatch.setenv("HARNESS_PAPERS", str(folder.parent))
    change(folder / "paper.yaml", {"statements": []})
    benches = {"open_llm": {"tasks": "mini"}, "ifeval": {"prompts": {"reference": "mini:instructions", "size": 541}}}
    sizes = {"demonstrations": 48, "second_stage": 32, "open_llm": SIZE, "ifeval": SIZE}
    recipe = yaml.safe_load((folder / "recipes/mini.yaml").read_text())
    methods = {"sft": recipe["methods"]["sft"]}
    fast = {"base_models": ["one"], "sizes": sizes}
    change(folder / "recipes/mini.yaml", {"benches": benches, "methods": methods, "fast": fast})
    columns = [
        {"id": name, "bench": bench, "metric": name, "bench_label": bench, "label": name}
        for name, bench in METRICS.items()
    ]
    cells = {"one": {"sft": {name: 50.0 for name in METRICS}}}
    rows = [{"method": "sft", "label": "SFT"}]
    change(folder / "exhibits/table1.yaml", {"columns": columns, "rows": rows, "cells": cells, "claims": []})
    return harness


def change(path: Path, keys: Mapping[str, Any]) -> None:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.write_text(yaml.safe_dump({**content, **keys}, allow_unicode=True), encoding="utf-8")


def test_its_columns_are_filled(paper: Harness) -> None:
    outcome = paper("reproduce", "tasks/table1", "--fast")
    assert outcome.exit_code == 0, outcome.err
    with Path("runs/mini-fast/tasks/table1/table1.csv").open(newline="") as file:
        found = {cell["metric"]: float(cell["ours"]) for cell in csv.DictReader(file)}
    assert found.keys() == METRICS.keys()
    assert found[AVERAGE] == pytest.approx(sum(found[name] for name in COLUMNS) / len(COLUMNS), abs=0.06)


def test_what_they_take_is_foretold(paper: Harness) -> None:
    outcome = paper("plan", "tasks/table1", "--fast")
    assert outcome.exit_code == 0, outcome.err
    assert "likelihoods" in outcome.out and "not in the forecast" not in outcome.out

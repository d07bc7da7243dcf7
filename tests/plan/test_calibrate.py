"""Measuring the machine at hand, with all but no patience."""

import json
from pathlib import Path

import pytest

from harness.plan import calibrate as module
from harness.plan.command import PlanOptions, plan_run
from harness.plan.hardware import CALIBRATION, MEASURED_HERE, load_hardware, speed
from harness.run.options import Choice


def test_what_is_measured_is_what_plans_then_reckon_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.1)
    choice = Choice(scale="mini", fast=True, models=("llama",), methods=("sft",))
    measured = json.loads(plan_run("table3", choice, tmp_path, PlanOptions(calibrate=True), as_json=True))
    assert measured["machine"]["device"] == MEASURED_HERE
    assert not any(note["about"] == "calibration" for note in measured["warnings"])
    told = capsys.readouterr().err
    for kind in ("sft", "preference", "generation", "likelihood"):
        assert f"{kind}: " in told
        found = speed(load_hardware(tmp_path), MEASURED_HERE, kind, 244_928)  # type: ignore[arg-type]
        assert 10 < found.tokens_per_second.expected < 1e7
    again = json.loads(plan_run("table3", choice, tmp_path, PlanOptions(), as_json=True))
    assert again["device_seconds"] == measured["device_seconds"]
    assert [path.name for path in tmp_path.iterdir()] == [CALIBRATION]

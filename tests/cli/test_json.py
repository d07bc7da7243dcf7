"""`--json`: every command that reports something prints one JSON object, and ends as it does without."""

import json
from pathlib import Path

import pytest

from harness.cli.options import print_checks
from harness.papers.consistency import check_paper
from harness.preflight.check import Check
from tests.command import Harness
from tests.mends import COMMANDS, options_of
from tests.reports.conftest import made_up_manifest, write_manifest
from tests.stored_runs import Skill, write_run

OTHERWISE = {"prefetch", "rates", "mini pretrain", "mini diagnose", "mini rates", "data split"}
"""Commands that make something and report nothing but that, or figures beside their bounds."""
MAKING = {"new method", "new eval", "new paper"}


def test_every_command_that_reports_has_it() -> None:
    assert {name for name in COMMANDS if "--json" not in options_of(name)} == OTHERWISE | MAKING


@pytest.mark.parametrize("kind", ["papers", "experiments", "methods", "evals", "scales", "models", "judges"])
def test_lists_have_a_name_and_a_summary(harness: Harness, kind: str) -> None:
    listed = json.loads(harness("list", kind, "--json").out)
    assert listed and all(each.keys() == {"name", "summary"} for each in listed)
    plain = harness("list", kind).out.splitlines()
    assert [line.split()[0] for line in plain] == [each["name"].split()[0] for each in listed]


def test_the_check_of_a_paper(harness: Harness) -> None:
    found = json.loads(harness("paper", "check", "sgpo", "--json").out)
    assert [each["where"] for each in found["sgpo"]] == [each.where for each in check_paper("sgpo")]
    assert set(json.loads(harness("paper", "check", "--json").out)) >= {"sgpo", "srpo"}


def test_a_report_is_what_the_run_found(harness: Harness, tmp_path: Path) -> None:
    folder = write_manifest(tmp_path / "run", made_up_manifest("table3"))
    outcome = harness("report", folder, "--json")
    found = json.loads(outcome.out)
    assert found["answer"] in (folder / "report.md").read_text(encoding="utf-8")
    assert (found["paper"], found["scale"], found["seeds"]) == ("sgpo", "mini", [0, 1, 2, 3, 4])
    assert len(found["scores"]) == 42 and {each["exhibit"] for each in found["claims"]} == {"table3"}
    assert found["comparisons"] == [] and "judgments" not in found["scores"][0]


def test_a_comparison_of_runs(harness: Harness, tmp_path: Path) -> None:
    for name, level in (("before", 0.0), ("after", -2.0)):
        write_run(tmp_path / name / "sgpo/table3", {"sft": Skill(level, code=name)}, seeds=(0, 1, 2))
    sides = ("--baseline", tmp_path / "before/sgpo/table3", "--candidate", tmp_path / "after/sgpo/table3")
    outcome = harness("regress", *sides, "--json")
    found = json.loads(outcome.out)
    assert outcome.exit_code == 1 and "worse" in {each["verdict"] for each in found["scores"]}
    written = json.loads((tmp_path / "after/sgpo/table3/regress.json").read_text())
    assert found == {"page": found["page"], **written}


def test_a_judge_that_cannot_be_asked_is_an_error_still(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    outcome = harness("judge", "check", "--model", "gpt-4.1", "--json")
    assert outcome.exit_code == 2 and outcome.out == "" and len(outcome.err.splitlines()) == 1


@pytest.mark.parametrize(("states", "failed"), [(("ok", "warning"), False), (("ok", "failure"), True)])
def test_checks_are_one_list(states: tuple[str, ...], failed: bool, capsys: pytest.CaptureFixture[str]) -> None:
    checks = [Check(state, "disk", "40 GB free") for state in states]  # type: ignore[arg-type]
    assert print_checks(checks, as_json=True) is failed
    assert [each["state"] for each in json.loads(capsys.readouterr().out)] == list(states)
    assert print_checks(checks, as_json=False) is failed
    assert capsys.readouterr().out.splitlines() == [str(each) for each in checks]

"""`harness plan`: what it says before anything is paid for, on a machine without a network that has fetched nothing."""

import json
import re
import resource
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from harness.engine.artifacts import ancestry
from harness.engine.store import Store
from harness.experiments import build_experiments
from harness.papers.loading import exhibit_names
from harness.plan.text import MAX_WIDTH, MIN_WIDTH
from harness.run.options import Choice
from tests.cli.test_app import assert_refused
from tests.command import Harness

PAPER = ("plan", "table3", "--scale", "paper")
FAST = ("plan", "table3", "--fast")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No socket, and nothing in the hub's cache. What the command sets for its own process is taken back."""
    from huggingface_hub import constants

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a plan asks no other machine")

    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.setenv(name, "0")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", constants.HF_HUB_OFFLINE)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("socket.socket.connect", refuse)


def planned(harness: Harness, *arguments: str | Path) -> dict[str, Any]:
    """What it says with --json."""
    return harness(*arguments, "--json").scores


def numbers(line: str) -> list[str]:
    return re.findall(r"[≤\d][\d.,e-]*", line)


# The paper's scale


def test_the_papers_settings_stand_in_the_text(harness: Harness) -> None:
    out = harness(*PAPER).out
    rows = {tuple(line.split()) for line in out.splitlines()}
    assert ("SFT", "all", "207,865", "1", "1,624", "2e-5", "base") in rows
    assert ("DPO", "dpo", "60,829", "1", "476", "5e-7", "dpo", "β=0.01", "SFT") in rows
    assert {("SPIN", "spin", "≤60,829", "1", "≤476", rate, "dpo", "β=0.5", "SFT") for rate in ("3e-7", "5e-7")} <= rows
    assert ("preference", "stage", "sgpo", "≤60,829", "1", "≤476", "5e-7", "dpo", "β=0.5", "improver") in rows
    assert re.search(r"improver .*≤13,500 +3 +≤318  2e-5", out)
    assert "batch 128 = 8 processes x 4 rows at once x 4 accumulation steps" in out
    assert "length 2,048; cosine schedule" in out
    assert re.search(r"alpaca_eval2 +805 +temperature 0\.7, top-p 0\.9 +gpt4_1106_preview", out)
    assert re.search(r"arena_hard +500 +greedy +gpt-4-0314", out)


def test_what_is_to_be_known_before_paying_stands_in_the_warnings(harness: Harness) -> None:
    plan = planned(harness, *PAPER)
    said = {note["about"]: note["text"] for note in plan["warnings"]}
    assert {"judge", "teacher", "revision", "calibration"} <= set(said)
    assert "shut down" in said["judge"] and "withheld" in said["judge"]
    unpinned = [note["text"] for note in plan["warnings"] if note["text"].startswith("unpinned")]
    assert any("allenai/ultrafeedback_binarized_cleaned" in text and "first use" in text for text in unpinned)
    assert not any("Qwen" in text for text in unpinned)


@pytest.mark.parametrize("columns", [MIN_WIDTH, 100, MAX_WIDTH])
def test_a_plan_fits_a_terminal(harness: Harness, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    variants = ("--methods", "sft,sgpo:rounds=3,sgpo:share_parameters=false:rounds=2")
    for arguments in (PAPER, FAST, (*PAPER, *variants), ("plan", "all", "--scale", "paper")):
        lines = harness(*arguments).out.splitlines()
        assert columns - 20 < max(map(len, lines)) <= columns
        assert not any("…" in line for line in lines)  # nothing is cut off


def test_the_readme_shows_the_forecast_of_today(harness: Harness) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    shown = readme[readme.index("```\nsgpo/table3 on the scale 'paper'") + 4 :].partition("```")[0].rstrip()
    assert harness(*PAPER).out.startswith(shown)


def test_what_a_figure_trains_is_shown_too(harness: Harness) -> None:
    out = harness("plan", "fig9", "--scale", "paper").out
    assert re.search(r"^ +SFT +207,865 +1 +1,624 +2e-5", out, re.MULTILINE)
    assert re.search(r"^ +improver +≤13,500 +3 +≤318 +2e-5", out, re.MULTILINE)


def test_it_loads_no_model_library_and_takes_less_than_five_seconds(tmp_path: Path) -> None:
    heavy = ("torch", "transformers", "trl", "datasets", "vllm", "ray", "pandas", "scipy", "matplotlib", "numpy")
    code = (
        "import sys; from harness import cli; sys.argv = ['harness', *sys.argv[1:]]; cli.main();"
        f" print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", code, *PAPER], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.stderr.splitlines()[-1] == "[]"
    # Processor time: the clock of a busy machine says nothing of the command.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 5
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written(harness: Harness, tmp_path: Path) -> None:
    assert harness(*PAPER).exit_code == 0
    assert list(tmp_path.iterdir()) == []


# What it comes to


def test_every_range_is_in_order_and_totals_are_sums(harness: Harness) -> None:
    plan = planned(harness, *PAPER)

    def ranges(value: Any) -> None:
        if isinstance(value, dict):
            if {"low", "expected", "high"} <= value.keys():
                assert 0 <= value["low"] <= value["expected"] <= value["high"]
            for item in value.values():
                ranges(item)
        elif isinstance(value, list):
            for item in value:
                ranges(item)

    ranges(plan)
    by_step = sum(step["seconds"]["expected"] * step["devices"] for step in plan["steps"])
    assert plan["device_seconds"]["expected"] == pytest.approx(by_step)
    asked = sum(step["calls"]["calls"] for step in plan["steps"] if step["calls"])
    assert sum(api["calls"] for api in plan["endpoints"]) == asked
    endpoints = sum(api["usd"]["expected"] for api in plan["endpoints"])
    assert plan["usd"]["expected"] == pytest.approx(endpoints + plan["rented_usd"]["expected"])


def test_calls_are_those_of_the_paper(harness: Harness) -> None:
    """Two models; seven rows, ours included; improvements of 6,750 drafts each, the answers shared by both."""
    calls = {api["purpose"]: api["calls"] for api in planned(harness, *PAPER)["endpoints"]}
    assert calls == {
        "teacher, improvements": 2 * 6750,
        "teacher, answers": 6750,
        "judge, alpaca_eval2": 2 * 7 * 805,
        "judge, arena_hard": 2 * 7 * 500 * 2,
    }


def test_the_checkpoints_are_counted_in_float32(harness: Harness) -> None:
    disk = {need["what"]: need["bytes"] for need in planned(harness, *PAPER)["disk"]}
    assert disk["trained checkpoints, weights in float32 (16)"] == 8 * 4 * (7_615_616_512 + 8_030_261_248)


def test_an_hours_price_of_ones_own_replaces_the_published_range(harness: Harness) -> None:
    plan = planned(harness, *PAPER, "--gpu-usd-per-hour", "2")
    assert plan["rented_usd"]["expected"] == pytest.approx(plan["wall_seconds"]["expected"] / 3600 * 8 * 2)
    assert plan["usd_per_device_hour"] == {"low": 2, "expected": 2, "high": 2}


def test_more_devices_take_less_of_the_clock_and_never_less_than_the_longest_chain(harness: Harness) -> None:
    plans = [planned(harness, *PAPER, "--devices", str(count)) for count in (8, 16, 64)]
    times = [plan["wall_seconds"]["expected"] for plan in plans]
    assert all(more <= fewer for fewer, more in pairwise(times))
    assert times[-1] >= plans[-1]["longest_chain_seconds"]["expected"]


def test_too_few_devices_and_too_little_memory_are_warned_of(harness: Harness) -> None:
    plan = planned(harness, *PAPER, "--devices", "1", "--processes", "1", "--micro-batch-size", "1")
    texts = [note["text"] for note in plan["warnings"]]
    assert any(re.search(r"qwen: training takes about \d{3} GB of 80 GB", text) for text in texts)
    assert not any(note["about"] == "memory" for note in planned(harness, *PAPER)["warnings"])
    few = [note for note in planned(harness, *PAPER, "--devices", "4")["warnings"] if note["about"] == "devices"]
    assert "8 processes, and there are 4 devices: pass --processes 4" in few[0]["text"]
    six = [note for note in planned(harness, *PAPER, "--devices", "6")["warnings"] if note["about"] == "devices"]
    assert "there are 6 devices: pass --processes 4" in six[0]["text"]  # 128 rows on 5 or 6 do not come out even


def test_the_batch_is_the_same_however_it_is_spread(harness: Harness) -> None:
    for processes, rows in (("1", "8"), ("2", "8"), ("8", "2")):
        out = harness(*PAPER, "--processes", processes, "--micro-batch-size", rows).out
        found = re.search(r"batch 128 = (\d+) process.* x (\d+) row.* x (\d+) accumulation", out)
        assert found and int(found[1]) * int(found[2]) * int(found[3]) == 128
        assert (found[1], found[2]) == (processes, rows)


def test_a_teacher_elsewhere_has_no_known_price_and_one_on_this_machine_is_free(harness: Harness) -> None:
    elsewhere = planned(harness, *PAPER, "--teacher", "openai:gpt-4@https://llm.example/v1")
    teacher = [api for api in elsewhere["endpoints"] if api["purpose"].startswith("teacher")]
    assert {api["usd"] for api in teacher} == {None}
    assert any("no price for gpt-4" in note["text"] for note in elsewhere["warnings"])
    here = planned(harness, *PAPER, "--teacher", "openai:llama@http://127.0.0.1:8000/v1")
    assert [api["usd"]["expected"] for api in here["endpoints"] if api["purpose"].startswith("teacher")] == [0, 0]


def test_another_judge_is_reckoned_with_at_its_own_price(harness: Harness) -> None:
    official = {api["purpose"]: api for api in planned(harness, *PAPER)["endpoints"]}
    other = {api["purpose"]: api for api in planned(harness, *PAPER, "--judge-model", "gpt-4.1-mini")["endpoints"]}
    assert other["judge, arena_hard"]["model"] == "gpt-4.1-mini"
    said = " ".join(harness(*PAPER, "--judge-model", "gpt-4.1-mini").out.split())
    assert "the judge is gpt-4.1-mini, not gpt-4-1106-preview: no number is the paper's metric" in said
    assert other["judge, arena_hard"]["usd"]["expected"] < official["judge, arena_hard"]["usd"]["expected"] / 10


# What is there already


def test_steps_in_the_store_count_as_done_and_their_rows_are_counted(harness: Harness, tmp_path: Path) -> None:
    before = planned(harness, *FAST, "--run-dir", tmp_path / "run")
    assert {step["state"] for step in before["steps"]} == {"to run"}
    store = Store(tmp_path / "run" / "store")
    [experiment] = build_experiments("table3", Choice(scale="mini", fast=True).request())
    loaded = [each for each in ancestry(experiment.targets()) if each.step in ("load_data", "load_model")]
    for artifact in loaded:
        store.build(artifact)
    after = planned(harness, *FAST, "--run-dir", tmp_path / "run")
    found = {step["key"] for step in after["steps"] if step["state"] == "found"}
    assert found == {artifact.key for artifact in loaded}
    assert len(after["steps"]) == len(before["steps"])
    suppositions = {note["about"] for note in after["assumptions"]}
    assert not any(about.startswith("data: mini:demonstrations") for about in suppositions)
    took = sum(store.record(artifact)["seconds"] for artifact in loaded)
    assert before["looked_back"] is None and after["looked_back"]["took_seconds"] == pytest.approx(took)
    out = harness(*FAST, "--run-dir", tmp_path / "run").out
    assert "steps left of all" in out and "looking back: the steps found took" in out


def test_what_is_not_resolved_yet_is_not_known_and_counts_as_to_run(harness: Harness) -> None:
    plan = planned(harness, *PAPER)
    states = {step["state"] for step in plan["steps"]}
    assert states == {"to run", "unknown"}
    unknown = [step for step in plan["steps"] if step["state"] == "unknown"]
    assert all(step["key"] is None for step in unknown)
    assert {"train_preferences", "judge_pairs"} <= {step["step"] for step in unknown}
    assert all(step["state"] == "to run" for step in plan["steps"] if step["label"].endswith(" SFT"))


# Everything can be planned


@pytest.mark.parametrize("scale", ["mini", "paper"])
def test_every_exhibit_can_be_planned(harness: Harness, scale: str) -> None:
    for name in exhibit_names("sgpo"):
        plan = planned(harness, "plan", name, "--scale", scale)
        assert plan["steps"], name
        assert not [step["unknown"] for step in plan["steps"] if step["unknown"]], name


def test_the_small_scale_can_be_planned_without_its_data(harness: Harness) -> None:
    plan = planned(harness, "plan", "table3", "--scale", "small")
    assert plan["device_seconds"]["expected"] > 600
    assert any(note["about"] == "reference" for note in plan["warnings"])


# What cannot be


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--device", "h100-80bg"), "unknown device 'h100-80bg'; did you mean 'h100-80gb'"),
        (("--accelerate", "fdsp"), "unknown accelerate config 'fdsp'; did you mean 'fsdp'"),
        (("--processes", "7"), "a global batch of 128 cannot be spread over 7 processes"),
        (("--micro-batch-size", "5"), "micro_batch_size 5 does not divide"),
        (("--devices", "0"), "devices"),
        (("--models", "qwem"), "unknown model 'qwem'; did you mean 'qwen'"),
    ],
)
def test_what_cannot_be_is_one_line(harness: Harness, arguments: tuple[str, ...], complaint: str) -> None:
    assert_refused(harness(*PAPER, *arguments), complaint)


def test_a_misspelt_experiment_is_one_line(harness: Harness) -> None:
    assert_refused(harness("plan", "tabel3", "--scale", "paper"), "unknown experiment 'tabel3'; did you mean 'table3'")


def test_the_json_is_one_object_and_holds_the_cells(harness: Harness) -> None:
    plan = json.loads(harness(*PAPER, "--json").out)
    assert "qwen/sgpo/arena_hard" in plan["cells"] and "llama/dpo" in plan["checkpoints"]

"""A made-up manifest: every number in it is invented, to exercise the report, and stands for no run."""

from typing import Any

import pytest

from harness.core.papers import PaperTable, load_paper_table

METHODS = ("sft", "dpo", "spin", "sgpo-unshared", "sgpo-teacher-only", "sgpo", "improver")
METRICS = (
    ("alpaca_eval2", "length_controlled_winrate", 805),
    ("alpaca_eval2", "win_rate", 805),
    ("arena_hard", "score", 500),
)


def made_up_manifest(models: tuple[str, ...] = ("qwen", "llama"), **changes: Any) -> dict[str, Any]:
    """Two base models, seven rows; SPIN's LC on Llama is withheld, and DPO's Arena-Hard score on Qwen lacks verdicts.

    `changes` replace whole entries.
    """
    cells = [
        _cell(model, method, *metric, value=20 + 4.25 * row + 10 * column + 3 * (model == "llama"))
        for model in models
        for row, method in enumerate(METHODS)
        for column, metric in enumerate(METRICS)
    ]
    for cell in cells:
        if (cell["model"], cell["method"], cell["metric"]) == ("llama", "spin", "length_controlled_winrate"):
            cell.update(value=None, ci95=None, n_missing=19, note="withheld: verdicts are missing")
        if (cell["model"], cell["method"], cell["metric"]) == ("qwen", "dpo", "score"):
            cell.update(n_missing=7)
    manifest: dict[str, Any] = {
        "experiment": "table3",
        "paper": "sgpo",
        "scale": "mini",
        "fast": False,
        "seeds": [0],
        "command": "harness reproduce table3 --run-dir runs/made_up",
        "started": "2000-01-01T00:00:00Z",
        "ended": "2000-01-01T00:08:31Z",
        "seconds": 511.2,
        "judge": {"name": "made-up-judge", "fingerprint": "0123456789ab", "prompt": "none", "parser": "none"},
        "provenance": {
            "git": {"commit": "f" * 40, "dirty": False},
            "packages": {"torch": "0.0", "trl": "0.0"},
            "python": "3.11",
            "platform": "made-up",
        },
        "models": {
            model: {"reference": f"mini:{model}", "description": f"a made-up model & {model}_tiny"} for model in models
        },
        "rows": list(METHODS),
        "added_rows": {},
        "cells": cells,
        "n_tests": 4 * len(models),
        "claims": made_up_claims(models),
        "deviations": [
            {"id": "made-up", "paper_says": "a < b & c_d", "we_do": "100 % | of it", "why": "because θ* ≠ π"},
            {"id": "another", "paper_says": "nothing", "we_do": "something", "why": "it had to be chosen"},
        ],
        "diagnostics": [
            {"model": "qwen", "method": "sft", "gold_quality": 0.4512345, "mean_length": 31.0},
            {"model": "qwen", "method": "sgpo", "gold_quality": 0.5, "mean_length": None},
        ],
        "steps": [
            {"step": "train_sft", "label": "qwen·sft", "key": "a" * 64, "seconds": 61.0, "found": False},
            {"step": "respond", "label": "qwen·sft drafts", "key": "b" * 64, "seconds": 3.2, "found": True},
        ],
    }
    return manifest | changes


def made_up_claims(models: tuple[str, ...]) -> list[dict[str, Any]]:
    """One claim of each verdict, and one that is undecided by Holm's adjustment alone; each on a pair of its own."""
    outcomes = (
        ("holds", "holds", "sft", 6.5, 0.0001, 0.0008, None),
        ("fails", "fails", "dpo", -3.25, 0.004, 0.028, None),
        ("undecided", "undecided", "spin", 0.4, 0.7, 0.7, 12345),
        ("undecided", "holds", "sgpo-unshared", 2.5, 0.03, 0.18, None),
    )
    claims = [
        _claim(verdict, [_comparison(model, verdict, *figures) for model in models]) for verdict, *figures in outcomes
    ]
    place = {"better": "sgpo", "worse": "sgpo-teacher-only", "bench": "alpaca_eval2", "metric": "win_rate"}
    not_run = [{"model": model, **place, "verdict": "not run"} for model in models]
    return [*claims, _claim("not run", not_run)]


def _claim(verdict: str, comparisons: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": f"claim-{verdict.replace(' ', '-')}",
        "says": f"SGPO is above another (the one that {verdict})",
        "where": "section 4.4.1",
        "verdict": verdict,
        "comparisons": comparisons,
    }


def _comparison(
    model: str, verdict: str, alone: str, worse: str, difference: float, p: float, holm: float, needed: int | None
) -> dict[str, Any]:
    return {
        "model": model,
        "better": "sgpo",
        "worse": worse,
        "bench": "alpaca_eval2",
        "metric": "win_rate",
        "difference": difference,
        "ci95": [difference - 2, difference + 2],
        "p_value": p,
        "p_holm": holm,
        "verdict_alone": alone,
        "minimum_detectable_effect": 2.8567,
        "n_needed": needed,
        "n_prompts": 805,
        "verdict": verdict,
    }


def _cell(model: str, method: str, bench: str, metric: str, n: int, value: float) -> dict[str, Any]:
    return {
        "model": model,
        "method": method,
        "bench": bench,
        "metric": metric,
        "value": value,
        "ci95": [value - 2.5, value + 2.75],
        "per_seed": [value],
        "n": n,
        "n_asked": 2 * n if bench == "arena_hard" else n,
        "n_missing": 0,
        "uncertainty": None,
        "judge": f"judge-of-{bench}",
        "artifact": f"store/{bench}/none",
        "note": "",
    }


@pytest.fixture
def manifest() -> dict[str, Any]:
    return made_up_manifest()


@pytest.fixture
def paper() -> PaperTable:
    return load_paper_table("sgpo", "table3")

"""A made-up run: every number in it is invented, to exercise the report, and stands for no run."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from harness.config.codec import encode
from harness.papers.consistency import check_paper
from harness.papers.loading import load_exhibit, load_paper
from harness.papers.scores import ScoreTable
from harness.records import Judgment, Order, Prompt, VerdictState, write_rows
from harness.results.manifest import parse_manifest
from harness.results.training_curves import Course, StageCurves, write_curves
from harness.results.verdicts import ARTIFACTS
from reports.blocks import ExhibitView, Report
from reports.exhibits import view
from reports.report import build_report
from reports.write import write_report
from tests.reports.made_up_claims import claim_on_fig3, made_up_claims

METHODS = ("sft", "dpo", "spin", "sgpo-unshared", "sgpo-teacher-only", "sgpo", "improver")
METRICS = (
    ("alpaca_eval2", "length_controlled_winrate", 805),
    ("alpaca_eval2", "win_rate", 805),
    ("arena_hard", "score", 500),
)
EVERY = ("table1", "table2", "table3", "table5", "fig3", "fig5", "fig8", "fig9", "fig10", "samples")
"""Exhibits of every kind, each with something of its own."""

MODELS = ("qwen", "llama", "qwen-small")


def made_up_manifest(*names: str, **changes: Any) -> dict[str, Any]:
    """A manifest with a result of each exhibit in `names`, ``table3`` without any. `changes` replace whole entries."""
    names = names or ("table3",)
    claims = [claim for name in names for claim in (made_up_claims() if name == "table3" else [])]
    claims += [claim for name in names if name == "fig3" for claim in [claim_on_fig3()]]
    manifest: dict[str, Any] = {
        "run": names[0] if len(names) == 1 else "all",
        "paper": encode(load_paper("sgpo")),
        "scale": "mini",
        "recipe": "configs/papers/sgpo/recipes/mini.yaml",
        "fast": False,
        "seeds": [0, 1, 2, 3, 4],
        "options": {},
        "teacher": "",
        "stale": [],
        "stale_unknown": "",
        "command": "harness reproduce table3 --run-dir runs/made_up",
        "started": "2000-01-01T00:00:00Z",
        "ended": "2000-01-01T00:08:31Z",
        "seconds": 511.2,
        "store": "../store",
        "judge": {"name": "mini:made-up", "fingerprint": "0123456789ab", "prompt": "none", "parser": "none"},
        "provenance": {
            "git": {"commit": "f" * 40, "dirty": False},
            "packages": {"torch": "0.0", "trl": "0.0"},
            "python": "3.11",
            "platform": "made-up",
        },
        "models": {
            model: {"reference": f"mini:{model}", "description": f"a made-up model & {model}_tiny"} for model in MODELS
        },
        "results": [RESULTS[name]() for name in names],
        "n_tests": 8,
        "n_claims": 19,
        "n_orderings": 98,
        "seeds_for_verdict": 5,
        "claims": claims,
        "deviations": [
            {"id": "made-up", "paper_says": "a < b & c_d", "we_do": "100 % | of it", "why": "because θ* ≠ π"},
            {"id": "another-one", "paper_says": "nothing", "we_do": "something", "why": "it had to be chosen"},
        ],
        "disagreements": encode(check_paper("sgpo")),
        "steps": [
            _step("train_sft", "qwen sft", 61.0, False),
            _step("respond", "qwen sft drafts", 3.2, True, rows=48),
            _step("judge_pairs", "qwen sft alpaca_eval2", 1.5, False, rows=805, failed=0),
            _step("judge_pairs", "qwen dpo alpaca_eval2", 2.5, True, rows=795, failed=10),
        ],
    }
    return manifest | changes


def _step(step: str, label: str, seconds: float, found: bool, **counts: float) -> dict[str, Any]:
    key = f"{step}{label}".encode().hex().ljust(64, "0")[:64]
    return {"step": step, "label": label, "key": key, "seconds": seconds, "found": found, "counts": counts}


def published(name: str, **added_rows: str) -> dict[str, Any]:
    """The exhibit as a manifest holds it, with rows that the run adds."""
    exhibit = load_exhibit("sgpo", name)
    if isinstance(exhibit, ScoreTable):
        exhibit = exhibit.with_rows(added_rows)
    return {key: value for key, value in encode(exhibit).items() if key != "paper"}


def scores_result() -> dict[str, Any]:
    """Table 3: two base models, seven rows; SPIN's LC on Llama is withheld, DPO's Arena-Hard on Qwen lacks verdicts."""
    models = ("qwen", "llama")
    cells = [
        score(model, method, *metric, value=20 + 4.25 * row + 10 * column + 3 * (model == "llama"))
        for model in models
        for row, method in enumerate(METHODS)
        for column, metric in enumerate(METRICS)
    ]
    for cell in cells:
        if (cell["model"], cell["method"], cell["metric"]) == ("llama", "spin", "length_controlled_winrate"):
            cell.update(value=None, ci95=None, n_missing=19, note="withheld: verdicts are missing")
        if (cell["model"], cell["method"], cell["metric"]) == ("qwen", "dpo", "score"):
            cell.update(n_missing=7)
    return {
        "kind": "scores",
        "exhibit": published("table3"),
        "models": list(models),
        "rows": list(METHODS),
        "cells": cells,
        "diagnostics": [diagnostics("sft", 0.4512345), diagnostics("sgpo", None)],
        "learning_rates": [
            {"model": "qwen", "method": "dpo", "rate": 6.25e-6, "chosen": "no rate passes the rule: the smallest"},
            {"model": "llama", "method": "sgpo", "rate": 2.5e-5, "chosen": "the rule", "moves": rate_moves()},
        ],
    }


def diagnostics(method: str, gold_quality: float | None) -> dict[str, Any]:
    names = {"model": "qwen", "method": method, "bench": "alpaca_eval2", "gold_quality": gold_quality}
    return {**names, "cut_off": 3, "answers": 805, "unclosed_rows": 0}


def rate_moves() -> list[dict[str, Any]]:
    return [
        {"bench": "alpaca_eval2", "metric": "win_rate", "half": -1.24, "twice": 2.0},
        {"bench": "arena_hard", "metric": "score", "half": None, "twice": 0.0},
    ]


def described_result() -> dict[str, Any]:
    """Table 5: one base model, columns that describe the rows, scores to two decimals."""
    methods = ("sgpo-teacher-only", "sgpo-teacher-only-shared", "sgpo-unshared", "sgpo", "sft")
    cells = [
        score("qwen-small", method, *metric, value=2.125 + row + 3 * column)
        for row, method in enumerate(methods)
        for column, metric in enumerate(METRICS[:2])
    ]
    table = {"models": ["qwen-small"], "rows": list(methods), "cells": cells}
    return {"kind": "scores", "exhibit": published("table5"), **table}


def score(model: str, method: str, bench: str, metric: str, n: int, value: float) -> dict[str, Any]:
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


def win_rates_result(name: str, models: tuple[str, ...], matches: tuple[str, ...]) -> dict[str, Any]:
    """Win rates of `matches`; the last one on the last base model is withheld."""
    cells = []
    for model in models:
        for place, match in enumerate(matches):
            wins, draws = 120 - 11 * place, 40 + place
            value = 100 * (wins + draws / 2) / 200
            cells.append(
                {
                    "model": model,
                    "match": match,
                    "value": value,
                    "ci95": [value - 5.125, value + 4.875],
                    "n": 200,
                    "n_asked": 400,
                    "wins": wins,
                    "draws": draws,
                    "losses": 200 - wins - draws,
                    "consistency": 81.5,
                    "judge": "judge-of-pairs",
                }
            )
    empty = {"value": None, "ci95": None, "n": None, "wins": None, "draws": None, "losses": None, "consistency": None}
    cells[-1] |= {**empty, "n_missing": 30, "note": "withheld: verdicts are missing"}
    return {"kind": "win_rates", "exhibit": published(name), "models": list(models), "cells": cells}


def histograms_result(
    name: str, models: tuple[str, ...], sets: tuple[tuple[int, str], ...], **more: Any
) -> dict[str, Any]:
    """Log-normal values, the same in every run; each set is half as wide as the one before."""
    generator = Random(0)
    values = [
        {
            "model": model,
            "panel": panel,
            "set": each,
            "values": [round(generator.lognormvariate(2 + 0.2 * place, 0.6 / (1 + place)), 3) for _ in range(150)],
        }
        for model in models
        for place, (panel, each) in enumerate(sets)
    ]
    return {
        "kind": "histograms",
        "exhibit": published(name),
        "models": list(models),
        "unit": "",
        "values": values,
        **more,
    }


def settings_result() -> dict[str, Any]:
    benches = [
        {"bench": "alpaca_eval2", "examples": 805, "baseline": "GPT-4 Turbo", "judge": "mini:made-up"},
        {"bench": "arena_hard", "examples": 16, "baseline": "mini:expert", "judge": "mini:made-up"},
    ]
    same = {"scoring": "Pairwise comparison", "orders": "both orders", "metrics": ["score"]}
    return {"kind": "settings", "exhibit": published("table2"), "benches": [bench | same for bench in benches]}


def samples_result() -> dict[str, Any]:
    """One prompt of a group of training prompts, and one of a bench; the texts are hostile to every format."""
    first = {
        "Policy response ŷ_θ*": "its color is red .",
        "Improved response ỹ_θ*": "its color is blue , and *sharp* .",
    }
    hostile = "<script>alert(1)</script> 100 % of $x_1$ & {y} #1 ~ ^ \\ `code` | [a](b)\nsecond line"
    second = {"SFT": hostile, "DPO": "", "SGPO": hostile.replace("second", "third 汉")}
    groups = [
        {"group": 0, "samples": [{"prompt_id": "train-7", "prompt": "describe it .", "responses": first}]},
        {"group": 3, "samples": [{"prompt_id": "alpaca_eval2-1", "prompt": "what <b>is</b> it?", "responses": second}]},
    ]
    return {"kind": "samples", "exhibit": published("samples"), "groups": groups}


RESULTS: dict[str, Any] = {
    "table1": lambda: win_rates_result(
        "table1", ("qwen", "llama"), ("ultrafeedback-b", "ultrafeedback-a", "dpo-mix-b", "dpo-mix-a")
    ),
    "table2": settings_result,
    "table3": scores_result,
    "table5": described_result,
    "fig3": lambda: histograms_result("fig3", ("qwen",), ((0, "improved"), (0, "response-a"))),
    "fig5": lambda: histograms_result(
        "fig5",
        ("qwen", "llama"),
        ((0, "improved-before"), (0, "improved-after"), (1, "direct-before"), (1, "direct-after")),
        kept=[{"model": "qwen", "kept": 43, "of": 48}, {"model": "llama", "kept": 1234, "of": 1500}],
    ),
    "fig8": lambda: win_rates_result("fig8", ("llama",), ("self-vs-initial", "self-vs-reference")),
    "fig9": lambda: histograms_result("fig9", ("llama",), ((0, "initial"), (0, "self"), (0, "reference"))),
    "fig10": lambda: win_rates_result(
        "fig10", ("qwen",), ("all-ref-vs-initial", "all-ref-vs-reference", "sgpo-vs-initial", "sgpo-vs-reference")
    ),
    "samples": samples_result,
}


def made_up_judgments(label: str, n: int = 3) -> list[Judgment]:
    """Two verdicts a prompt: both orders agree on the first, they differ on the second, one failed on the others."""
    rows = []
    for number in range(n):
        prompt = Prompt(f"made-up-{number}", f"describe thing {number} & <b>more</b>")
        texts = (f"baseline {number}", f"{label} {number}")
        verdicts: tuple[tuple[Order, str, VerdictState, str], ...] = (
            ("baseline_first", "B>A" if number == 0 else "A>B", "ok", "[[verdict]] by a made-up judge"),
            ("output_first", "A>>B", "ok" if number < 2 else "api_failed", ""),
        )
        for order, verdict, state, reply in verdicts:
            error = "" if state == "ok" else "the server is away"
            rows.append(Judgment(prompt, *texts, order, reply, verdict, None, state, 0, error))
    return rows


def with_judgments(manifest: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The manifest with verdicts in the run's folder behind every cell of its scores and win rates."""
    for result in manifest["results"]:
        for cell in result.get("cells", ()):
            name = "-".join(str(cell[key]) for key in ("model", "method", "match", "bench") if key in cell)
            place = f"judge_pairs/{name}"
            cell["judgments"] = [place, "judge_pairs/of-the-second-seed"]
            rows = folder / ARTIFACTS / place / "rows.jsonl"
            if not rows.exists():
                rows.parent.mkdir(parents=True)
                write_rows(rows, made_up_judgments(name))
    return manifest


def made_up_curves() -> list[StageCurves]:
    """Two training seeds of SFT, DPO and both stages of SGPO on one base model, in that order; of SFT on another."""
    supervised = {"step": (1, 2, 3, 4), "loss": (2.0, 1.5, 1.25, 1.0), "gradient_norm": (9.0, 3.0, 2.0, 1.0)}
    supervised |= {"learning_rate": (0.0, 5e-4, 2e-4, 0.0)}
    preference = supervised | {"loss": (0.69, 0.5, 0.4, 0.3), "learning_rate": (0.0, 5e-6, 2e-6, 0.0)}
    preference |= {"reward_margin": (0.0, 0.5, 1.0, 1.5), "reward_accuracy": (0.5, 0.75, 1.0, 1.0)}
    preference |= {"chosen_log_probability": (-20.0, -19.0, -18.0, -17.5)}
    preference |= {"rejected_log_probability": (-20.0, -22.0, -24.0, -26.0)}
    stages = (
        ("llama", "SFT", ("sft", "dpo", "sgpo"), "", supervised),
        ("llama", "DPO", ("dpo",), "dpo", preference),
        ("llama", "improver", ("sgpo",), "", supervised | {"loss": (1.0, 0.9, 0.8, 0.7)}),
        ("llama", "preference stage", ("sgpo",), "dpo", preference | {"loss": (0.69, 0.3, 0.2, 0.1)}),
        ("qwen", "SFT", ("sft",), "", supervised),
    )
    return [
        StageCurves(*names, tuple(Course(seed, f"train/{names[0]}-{names[1]}-{seed}", 4, 1, values) for seed in (0, 1)))
        for *names, values in stages
    ]


def report_of(manifest: dict[str, Any]) -> Report:
    return build_report(parse_manifest(manifest))


def view_of(manifest: dict[str, Any]) -> ExhibitView:
    """The only exhibit."""
    run = parse_manifest(manifest)
    [result] = run.results
    return view(run, result)


def write_manifest(folder: Path, manifest: dict[str, Any]) -> Path:
    """As it is, whether or not it can be read back."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


@pytest.fixture
def manifest() -> dict[str, Any]:
    """Table 3 alone."""
    return made_up_manifest()


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of everything, with its report written. To be read only."""
    folder = tmp_path_factory.mktemp("run") / "all"
    write_manifest(folder, with_judgments(made_up_manifest(*EVERY), folder))
    write_curves(folder, made_up_curves())
    write_report(folder)
    return folder

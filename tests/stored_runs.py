"""Finished runs made up by hand: verdicts in a store and a manifest beside them, without training anything."""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from evals.alpaca_eval2.length_calibration import write_calibration
from harness.records import Judgment, Prompt, Response, write_rows
from harness.results.verdicts import ARTIFACTS
from tests.evals.simulated import calibration
from tests.reports.conftest import made_up_manifest, published

N_ALPACA, N_ARENA = 60, 40
LABELS = ("A>>B", "A>B", "A=B", "B>A", "B>>A")
METRICS = (("alpaca_eval2", "length_controlled_winrate"), ("alpaca_eval2", "win_rate"), ("arena_hard", "score"))
ORDERS = {"alpaca_eval2": ("baseline_first",), "arena_hard": ("baseline_first", "output_first")}
SIZES = {"alpaca_eval2": N_ALPACA, "arena_hard": N_ARENA}


@dataclass(frozen=True)
class Skill:
    """How good a method is, in logits, and which code made it: another code gives other answers with the same seed."""

    level: float
    code: str = "as it was"
    noise: float = 0.2


Change = Callable[[str, int, list[Judgment]], list[Judgment]]
"""(bench, training seed, verdicts) -> other verdicts."""


def as_they_are(_bench: str, _seed: int, rows: list[Judgment]) -> list[Judgment]:
    return rows


def write_run(
    folder: Path,
    methods: Mapping[str, Skill],
    *,
    seeds: Sequence[int] = (0, 1, 2),
    change: Change = as_they_are,
    tables: Sequence[str] = ("table3",),
    calibrated_with: int | None = None,
    judge: str = "0123456789ab",
    **manifest: Any,
) -> Path:
    """A run of `methods` on one base model in `folder`, with its verdicts; returns `folder`.

    It has length-controlled win rates only where `calibrated_with` gives a seed for their calibration: they take time.
    """
    store = folder / ARTIFACTS
    cells = [
        cell
        for method, skill in methods.items()
        for bench in SIZES
        for cell in _cells(store, method, bench, _verdicts(store, method, skill, bench, seeds, change), calibrated_with)
    ]
    for cell in cells:
        cell["judge"] = judge
    table = {"kind": "scores", "models": ["llama"], "rows": list(methods)}
    content = made_up_manifest(claims=[], steps=[], seeds=list(seeds), store="../store", **manifest)
    content["results"] = [
        {
            **table,
            "exhibit": published(name),
            "cells": [cell for cell in cells if name == "table3" or cell["bench"] == "alpaca_eval2"],
        }
        for name in tables
    ]
    (folder / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def judgments(method: str, skill: Skill, bench: str, seed: int) -> list[Judgment]:
    """One training seed's verdicts; the prompts are as hard for every method."""
    hardness = np.random.default_rng([len(bench)]).normal(size=SIZES[bench])
    rng = np.random.default_rng([seed, *sha256(f"{method} {skill.code}".encode()).digest()[:4]])
    own = rng.normal(0, skill.noise)
    rows = []
    for place, hard in enumerate(hardness):
        prompt = Prompt(f"{bench}-{place}", f"question {place} of {bench}")
        answer = f"{method} {skill.code} seed {seed}: " + "word " * int(rng.integers(3, 9))
        for order in ORDERS[bench]:
            chance = float(1 / (1 + np.exp(-(skill.level + own + hard + rng.normal()))))
            better = min(4, int(5 * chance))
            label = LABELS[4 - better] if order == "output_first" else LABELS[better]
            alpaca = bench == "alpaca_eval2"
            verdict, preference = ("m" if chance > 0.5 else "M", chance) if alpaca else (label, None)
            rows.append(
                Judgment(
                    prompt, f"baseline's answer {place}", answer, order, f"[[{verdict}]]", verdict, preference, "ok"
                )  # type: ignore[arg-type]
            )
    return rows


def _verdicts(
    store: Path, method: str, skill: Skill, bench: str, seeds: Sequence[int], change: Change
) -> dict[str, list[Judgment]]:
    """By their places in the store."""
    found = {}
    for seed in seeds:
        rows = change(bench, seed, judgments(method, skill, bench, seed))
        found[_write(store, "judge_pairs", rows, what=f"{method} {bench} {seed}")] = rows
    return found


def _cells(
    store: Path, method: str, bench: str, verdicts: Mapping[str, list[Judgment]], calibrated_with: int | None
) -> list[dict[str, Any]]:
    prompts = {f"{bench}-{place}": Prompt(f"{bench}-{place}", "") for place in range(SIZES[bench])}
    baselines = [Response(prompt, "baseline's answer", "baseline") for prompt in prompts.values()]
    inputs: dict[str, Any] = {
        "baselines": _write(store, "load_data", baselines).partition("/")[2],
        "judgments": [place.partition("/")[2] for place in verdicts],
    }
    if bench == "alpaca_eval2" and calibrated_with is not None:
        inputs["calibration"] = _write_calibration(store, calibrated_with)
    score = _write(store, f"score_{bench}", [], inputs=inputs)
    return [
        {
            "model": "llama",
            "method": method,
            "bench": bench,
            "metric": metric,
            "value": fmean(row.preference or 0.5 for rows in verdicts.values() for row in rows) * 100,
            "artifact": score,
            "judgments": list(verdicts),
        }
        for of, metric in METRICS
        if of == bench and (metric != "length_controlled_winrate" or calibrated_with is not None)
    ]


def _write_calibration(store: Path, seed: int) -> str:
    folder = store / "length_calibration" / sha256(f"calibration {seed}".encode()).hexdigest()
    if not folder.exists():
        folder.mkdir(parents=True)
        write_calibration(folder / "df_gamed.csv", calibration(N_ALPACA, seed=seed))
        _record(folder, {})
    return folder.name


def _write(
    store: Path, step: str, rows: Sequence[Any], *, inputs: Mapping[str, Any] | None = None, what: str = ""
) -> str:
    """An artifact under a key made of its content; returns its place."""
    key = sha256(repr((step, rows, inputs, what)).encode()).hexdigest()
    folder = store / step / key
    if not folder.exists():
        folder.mkdir(parents=True)
        write_rows(folder / "rows.jsonl", rows)
        _record(folder, inputs or {})
    return f"{step}/{key}"


def _record(folder: Path, inputs: Mapping[str, Any]) -> None:
    files = {path.name: path.stat().st_size for path in folder.iterdir()}
    record = {"key": folder.name, "inputs": dict(inputs), "files": files}
    (folder / "artifact.json").write_text(json.dumps(record), encoding="utf-8")


def shuffled(bench: str, seed: int, rows: list[Judgment]) -> list[Judgment]:
    """The same verdicts, prompts in another order."""
    ids = list(dict.fromkeys(row.prompt.id for row in rows))
    random.Random(seed).shuffle(ids)
    return sorted(rows, key=lambda row: ids.index(row.prompt.id))


def without_prompts(n: int) -> Change:
    """The verdicts on the first `n` prompts of AlpacaEval failed."""

    def change(bench: str, _seed: int, rows: list[Judgment]) -> list[Judgment]:
        failed = rows[:n] if bench == "alpaca_eval2" else []
        lost = [replace(row, state="api_failed", preference=None, verdict="", reply="", error="gone") for row in failed]
        return lost + rows[len(lost) :]

    return change

"""Small exhibits of each kind, made here: what the paper's own files say is not the experiments' business."""

from typing import Any

from harness.experiments import Request
from harness.papers.claims import EVEN, Claim, Comparison
from harness.papers.histograms import HistogramFigure, HistogramPanel, ValueSet
from harness.papers.loading import load_paper
from harness.papers.samples import SampleGroup, SampleTable
from harness.papers.scores import MethodRow, ScoreColumn, ScoreTable
from harness.papers.settings import BenchSettings, SettingsTable
from harness.papers.win_rates import Match, WinRateTable
from tests.tiny_harness import load_tiny_recipe

PAPER = load_paper("sgpo")
SCALE = load_tiny_recipe("mini")
MODEL = "llama"


def request(*seeds: int, models: tuple[str, ...] = (MODEL,)) -> Request:
    """Of the tiny scale."""
    return Request(SCALE, seeds or (0,), models)


def ordering(better: str, worse: str, bench: str, metric: str) -> Comparison:
    return Comparison(better, worse, bench, metric, ("qwen", "llama"))


def claims(*comparisons: Comparison) -> tuple[Claim, ...]:
    return (Claim("made-up", "Something is better", "here", comparisons),)


def common(name: str) -> dict[str, Any]:
    return {"name": name, "paper": PAPER, "label": name, "caption": "", "where": ""}


def win_rate_table(prompts: int | None = 20, **changes: Any) -> WinRateTable:
    """As figure 8, and the teacher's improvements against the drafts on both data roles, as in Table 1."""
    matches = (
        Match("self-initial", "B vs A", "preference_data", "self_improvement", "initial_improvement"),
        Match("self-reference", "B vs C", "preference_data", "self_improvement", "reference"),
        Match("teacher-draft", "", "preference_data", "teacher_improvement", "draft"),
        Match("teacher-draft-improver", "", "improver_data", "teacher_improvement", "draft"),
    )
    stated = claims(
        ordering("self-initial", EVEN, "pairwise", "win_rate"),
        ordering("self-reference", EVEN, "pairwise", "win_rate"),
        ordering("self-initial", "self-reference", "pairwise", "win_rate"),
    )
    fields = {"decimals": 1, "prompts": prompts, "judge": "", "models": ("qwen", "llama"), "matches": matches}
    return WinRateTable(**{**common("wins"), **fields, "method": "sgpo", "claims": stated, **changes})


def distance_figure(prompts: int | None = 10, **changes: Any) -> HistogramFigure:
    """As figure 4."""
    sets = (ValueSet("improved", "", "teacher_improvement"), ValueSet("reference", "", "reference"))
    return HistogramFigure(
        **{
            **common("distances"),
            "models": ("llama",),
            "quantity": "edit_distance",
            "data": "improver_data",
            "method": "sgpo",
            "prompts": prompts,
            "distance_from": "draft",
            "x": "",
            "y": "",
            "panels": (HistogramPanel("", sets),),
            "claims": claims(ordering("improved", "reference", "edit_distance", "tokens")),
            **changes,
        }
    )


def filter_figure(**changes: Any) -> HistogramFigure:
    """As figure 5."""
    names = {"improved": "teacher_improvement", "direct": "teacher_answer"}
    panels = tuple(
        HistogramPanel("", (ValueSet(f"{name}-before", "", each), ValueSet(f"{name}-after", "", each, True)))
        for name, each in names.items()
    )
    return HistogramFigure(
        **{
            **common("filtered"),
            "models": ("llama",),
            "quantity": "perplexity",
            "data": "improver_data",
            "method": "sgpo",
            "under": "sft",
            "x": "",
            "y": "",
            "panels": panels,
            **changes,
        }
    )


def likelihood_figure(**changes: Any) -> HistogramFigure:
    """As figure 9."""
    names = ("initial_improvement", "self_improvement", "reference")
    return HistogramFigure(
        **{
            **common("likelihoods"),
            "models": ("llama",),
            "quantity": "perplexity",
            "data": "preference_data",
            "method": "sgpo",
            "prompts": 2000,
            "under": "improver",
            "log_scale": True,
            "x": "",
            "y": "",
            "panels": (HistogramPanel("", tuple(ValueSet(name, "", name) for name in names)),),
            "claims": claims(
                ordering("self_improvement", "initial_improvement", "perplexity", "log_perplexity"),
                ordering("self_improvement", "reference", "perplexity", "log_perplexity"),
            ),
            **changes,
        }
    )


def settings_table(*benches: str) -> SettingsTable:
    """As Table 2."""
    rows = tuple(
        BenchSettings(bench, bench, 1, "", "", "", (), "") for bench in benches or ("alpaca_eval2", "arena_hard")
    )
    return SettingsTable(**common("details"), benches=rows)


def sample_table(second: str = "improver", model: str = MODEL) -> SampleTable:
    """As Tables 8 and 12."""
    sets = {"Policy": "policy_answer", "Improved": "self_improvement"}
    groups = (
        SampleGroup("", "elsewhere", "qwen", 2, data="preference_data", responses={"Draft": "draft"}),
        SampleGroup("", "sets", model, 3, data="preference_data", responses=sets),
        SampleGroup("", "methods", model, 2, bench="arena_hard", methods={"SFT": "sft", "Second": second}),
    )
    return SampleTable(**common("samples"), models=("qwen", "llama"), method="sgpo", groups=groups)


def score_table(*columns: ScoreColumn, rows: tuple[str, ...] = ("sft", "dpo"), **changes: Any) -> ScoreTable:
    """Of two methods on one base model, the second better by each metric."""
    fields = {
        "decimals": 1,
        "models": ("llama",),
        "columns": columns,
        "rows": tuple(MethodRow(method, method) for method in rows),
        "cells": {},
        "claims": claims(*(ordering(rows[1], rows[0], column.bench, column.metric) for column in columns)),
    }
    return ScoreTable(**{**common("scores"), **fields, **changes})

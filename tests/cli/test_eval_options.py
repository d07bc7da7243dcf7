"""No option of `harness eval` is ignored: each goes with what is scored, or is refused before anything is looked at."""

import re
from itertools import product
from pathlib import Path
from typing import Any

import click
import pytest

from harness.cli.eval_options import APPLIES
from harness.cli.scores import eval_
from tests.command import Harness

VALUES = {
    "--scale": "mini",
    "--data": "folder",
    "--baseline": "b.json",
    "--limit": "2",
    "--max-new-tokens": "5",
    "--revisions": "1",
    "--judge-model": "j",
    "--judge-base-url": "http://127.0.0.1:9/v1",
    "--judge-without": "logprobs",
    "--judge-repeats": "1",
    "--concurrency": "1",
    "--requests-per-minute": "1",
    "--tokens-per-minute": "1",
    "--timeout": "5",
    "--max-usd": "1",
    "--lc-calibration": "c.csv",
    "--reference-outputs": "r.json",
    "--code-changes": "warn",
    "--run-dir": "run",
}
SUBJECTS = {
    "model": ("--bench", "alpaca_eval2", "--model", "mini:llama"),
    "outputs": ("--bench", "alpaca_eval2", "--outputs", "o.json"),
    "annotations": ("--bench", "alpaca_eval2", "--annotations", "a.json"),
    "judgments": ("--bench", "arena_hard", "--judgments", "j.jsonl"),
}
REFUSED = [
    (subject, option)
    for subject, (option, applies) in product(SUBJECTS, APPLIES.items())
    if subject not in applies and option.lstrip("-") not in SUBJECTS
]


def with_value(option: str) -> tuple[str, ...]:
    """The option as it is typed, with the judge that it goes with."""
    judge = ("--judge-model", "j") if option in ("--judge-base-url", "--judge-without") else ()
    return (*option.split(), *filter(None, [VALUES.get(option)]), *judge)


def test_every_option_of_the_command_is_in_the_table() -> None:
    options = {parameter.opts[0] for parameter in eval_.params if isinstance(parameter, click.Option)}
    assert options == {option.split()[0] for option in APPLIES}


@pytest.mark.parametrize(("subject", "option"), REFUSED)
def test_an_option_that_changes_nothing_is_refused(harness: Harness, subject: str, option: str) -> None:
    outcome = harness("eval", *SUBJECTS[subject], *with_value(option))
    assert (outcome.exit_code, outcome.out) == (2, "")
    assert re.fullmatch(rf"error: --\S+( rerun)? goes with .*, not with --{subject}: it changes nothing\n", outcome.err)
    assert not Path("run").exists() and not Path("runs").exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("perplexity", "--judge-model", "j"), "--judge-model goes with a bench with a judge, not with perplexity: "),
        (("edit_distance", "--max-usd", "1"), "--max-usd goes with a bench with a judge, not with edit_distance: "),
        (("edit_distance", "--bench", "perplexity", "--batch"), "not with edit_distance and perplexity: it changes"),
        (("perplexity", "--baseline", "b.json"), "--baseline goes with a bench with a baseline, not with perplexity: "),
        (("arena_hard", "--lc-calibration", "c.csv"), "goes with --bench alpaca_eval2, not with arena_hard: "),
        (("pairwise", "--lc-calibration", "c.csv"), "goes with --bench alpaca_eval2, not with pairwise: "),
    ],
)
def test_an_option_that_no_bench_takes_is_refused(harness: Harness, arguments: tuple[str, ...], complaint: str) -> None:
    outcome = harness("eval", "--outputs", "o.json", "--bench", *arguments)
    assert (outcome.exit_code, outcome.out) == (2, "")
    assert complaint in outcome.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--bench", "edit_distance", "--bench", "pairwise", "--judge-model", "j"),
        ("--bench", "edit_distance", "--baseline", "b.json", "--limit", "2", "--allow-missing"),
        ("--bench", "perplexity", "--model", "mini:llama", "--limit", "2"),
        ("--bench", "alpaca_eval2", "--lc-calibration", "c.csv", "--judge-repeats", "2"),
    ],
)
def test_an_option_that_one_bench_takes_is_not(harness: Harness, arguments: tuple[Any, ...]) -> None:
    outcome = harness("eval", "--outputs", "o.json", *arguments)
    assert (outcome.exit_code, outcome.out) == (2, "")
    assert "goes with" not in outcome.err and "o.json: no such file" in outcome.err

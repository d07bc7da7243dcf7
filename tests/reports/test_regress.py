"""The page of `harness regress` in a real browser, and its lines."""

import errno
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import UserError
from reports import regress
from reports.regress import (
    FIGURES,
    PAGE,
    ComparedRun,
    ComparedScore,
    RunComparison,
    comparison_page,
    comparison_table,
    write_comparison,
)
from reports.viewer import Pair, Side, Verdict

if TYPE_CHECKING:
    from tests.reports.browser import OpenPage

pytest_plugins = ["tests.reports.browser"]

TESTED = ComparedScore(
    *("llama", "sgpo", "arena_hard", "score"),
    label="Arena-Hard WR",
    verdict="worse",
    baseline=20.5,
    candidate=11.25,
    difference=-9.25,
    ci95=(-12.0, -6.5),
    p_value=0.0004,
    p_holm=0.0012,
    minimum_detectable_effect=4.2,
    n_prompts=500,
)
UNTESTED = replace(TESTED, method="sft", verdict="same", difference=None, ci95=None, p_holm=None)
WITHHELD = replace(UNTESTED, method="dpo", verdict="cannot tell", note="withheld: <b>few</b>")


def comparison(*scores: ComparedScore, notes: tuple[str, ...] = ()) -> RunComparison:
    return RunComparison(
        baseline=ComparedRun("runs/<old>", "table3", (0, 1, 2, 7)),
        candidate=ComparedRun("runs/new & better", "table3", (4,)),
        scale="mini",
        fast=True,
        judges={"arena_hard": "0123456789ab"},
        resamples=1000,
        n_tests=sum(score.p_holm is not None for score in scores),
        scores=scores,
        only_baseline=("llama <spin> arena_hard",),
        notes=notes,
    )


def flipped(place: int) -> Pair:
    return Pair(
        id=f"llama/sgpo/arena_hard/0-0/q{place}",
        facets={
            "model": "llama",
            "method": "sgpo",
            "bench": "arena_hard",
            "flip": ("win → loss", "tie → win")[place % 2],
        },
        prompt=f"question {place}",
        left=Side("baseline, seed 0", "an answer <b>before</b>"),
        right=Side("candidate, seed 0", "an answer after"),
        verdicts=(Verdict("baseline run, its answer first", "A>>B", None, "win", "[[A>>B]]"),),
    )


def test_the_page_shows_the_table_and_the_pairs(open_page: "OpenPage") -> None:
    scores = comparison(UNTESTED, WITHHELD, TESTED, notes=("Mind the <seeds>.",))
    page = open_page(comparison_page(scores, [flipped(place) for place in range(6)]))
    rows = [row.split("\t") for row in page.locator(".regress tr").all_inner_texts()]
    assert ["Arena-Hard WR", "worse", "20.5", "11.2", "-9.2", "[-12.0, -6.5]", "0.0012", "4.2"] in rows
    assert ["llama sgpo"] in rows and ["withheld: <b>few</b>"] in rows
    text = page.locator("body").inner_text()
    for part in (
        "runs/new & better against runs/<old>",
        "1 worse, 1 cannot tell, 1 same.",
        "Mind the <seeds>.",
        "6 pairs",
    ):
        assert part in text
    assert "Only in the baseline: llama <spin> arena_hard" in text
    assert "Same outputs in both runs, not tested: llama sft" in text


def test_a_page_without_anything_to_show(open_page: "OpenPage") -> None:
    page = open_page(comparison_page(comparison(UNTESTED), []))
    assert page.locator(".regress").count() == 0
    assert "1 same." in page.locator("body").inner_text()


def test_the_verdict_can_be_seen_on_a_phone(open_page: "OpenPage") -> None:
    page = open_page(comparison_page(comparison(TESTED), [flipped(0)]), width=360)
    box = page.locator(".verdict.worse").bounding_box()
    assert box is not None and box["x"] + box["width"] <= 360


@pytest.mark.parametrize("seeds", [(0, 1, 2, 7), (3,), (5, 4)])
def test_seeds_are_shown_in_ranges(seeds: tuple[int, ...]) -> None:
    shown = {(0, 1, 2, 7): "seeds 0–2, 7", (3,): "seed 3", (5, 4): "seeds 4–5"}[seeds]
    compared = replace(comparison(TESTED), baseline=ComparedRun("a", "table3", seeds))
    assert f"baseline: {shown}; candidate: seed 4; 1 test, one family" in comparison_table(compared)


def test_a_method_with_one_changed_bench_is_named_with_the_other() -> None:
    table = comparison_table(comparison(TESTED, replace(UNTESTED, method="sgpo", bench="alpaca_eval2"), UNTESTED))
    assert "not tested: llama sgpo alpaca_eval2, llama sft" in table


def test_what_is_written_replaces_whole_files(tmp_path: Path) -> None:
    """A reader that has the page open keeps the old one: it is not written in place."""
    for name in (FIGURES, PAGE):
        (tmp_path / name).write_text("old")
    with (tmp_path / FIGURES).open() as figures, (tmp_path / PAGE).open() as page:
        assert write_comparison(comparison(TESTED), [], tmp_path) == tmp_path / PAGE
        assert figures.read() == page.read() == "old"
    assert json.loads((tmp_path / FIGURES).read_text(encoding="utf-8"))["scores"][0]["verdict"] == "worse"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted((FIGURES, PAGE))


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(regress, "replace_file", full)
    with pytest.raises(UserError, match=r"cannot write the comparison in .*: No space left on device$"):
        write_comparison(comparison(TESTED), [], tmp_path)


def test_less_than_nothing_after_rounding_is_nothing() -> None:
    close = replace(TESTED, difference=-0.04, ci95=(-1.0, -0.01))
    line = next(line for line in comparison_table(comparison(close)).splitlines() if "Arena-Hard WR" in line)
    assert "+0.0" in line and "[-1.0, +0.0]" in line
    assert "-0.0" not in line


def test_that_nothing_was_tested_is_said() -> None:
    assert comparison(UNTESTED).conclusion() == (
        "1 same. Nothing was tested: all that both runs have is of the same answers."
    )
    assert "Nothing was tested" not in comparison(UNTESTED, TESTED).conclusion()
    assert "Nothing was tested" not in comparison(WITHHELD).conclusion()

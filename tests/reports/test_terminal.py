"""The report in a terminal."""

import io
import re
from typing import Any

import pytest
from rich.console import Console

from reports.terminal import terminal_report
from tests.reports.conftest import EVERY, made_up_manifest, report_of
from tests.reports.made_up_claims import on_checkpoints


def printed(manifest: dict[str, Any], width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(terminal_report(report_of(manifest)))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.fixture
def text(manifest: dict[str, Any]) -> str:
    """Table 3 alone, on 80 columns."""
    return printed(manifest)


def test_each_cell_keeps_to_one_line(text: str) -> None:
    assert re.search(r"^ *SGPO +41\.2 38\.8–44\.0 25\.2 +51\.2 48\.8–54\.0 29\.6 +61\.2", text, re.MULTILINE)


def test_footnotes(text: str) -> None:
    assert text.count("not comparable: scale") == 1
    assert re.search(r"SPIN +—² +7\.5", text)
    assert "² withheld: verdicts are missing; n/N = 786/805 verdicts" in text
    assert re.search(r"44\.2 41\.8–47\.0¹ +23\.9", text)
    assert "\n¹ n/N = 993/1000 verdicts" in text
    assert "θ* (ours)⁺" in text
    assert "drawn in figures/table3.pdf, .png, .svg" in text


def test_headings_give_way_to_names_where_a_table_is_wide() -> None:
    text = printed(made_up_manifest("fig5"))
    kept = text[text.index("base model") :].splitlines()
    assert any(line.split()[:1] == ["Llama3-Base"] and "13,500" in line for line in kept)
    assert max(map(len, kept)) <= 80


def test_shows_each_claims_verdict(text: str) -> None:
    for line in ("holds +2 hold of 2", "fails +2 fail of 2", "undecided +2 undecided of 2", "not run +2 not run of 2"):
        assert re.search(line, text)


def test_shows_which_comparison_failed_which_held_and_what_would_decide_the_others(manifest: dict[str, Any]) -> None:
    lines = [line.strip() for line in printed(manifest, width=100).splitlines()]
    figures = {"DPO": r"-3\.2 \[-5\.2,.-1\.2\]", "SFT": r"\+6\.5 \[4\.5,.8\.5\]"}
    figures["SPIN"] = r"\+0\.4 \[-1\.6,.2\.4\] +2\.9 +12,345 prompts"
    for model in ("qwen", "llama"):
        places = []
        for method, shown in figures.items():
            line = rf"SGPO > {method} +{model} +AlpacaEval 2\.0 WR +{shown}"
            [place] = [number for number, text in enumerate(lines) if re.fullmatch(line, text)]
            places.append(place)
        assert places == sorted(places)  # fails, holds, undecided
    manifest["claims"] = manifest["claims"][:2]
    assert "detectable" not in printed(manifest)


def test_a_run_of_several_exhibits_shows_the_comparisons_of_each() -> None:
    text = printed(made_up_manifest("table3", "fig3"), width=140)
    assert re.search(r"^ fails .*\n.*\n Table 3 *\n SGPO > DPO +qwen +AlpacaEval 2\.0 WR +-3\.2 \[", text, re.MULTILINE)
    assert re.search(r"^ Figure 3 *\n Improved response < ", text, re.MULTILINE)
    assert "Detectable: " in text and "detectable" in text


def test_says_how_it_prints_intervals_and_what_the_tests_cover(manifest: dict[str, Any]) -> None:
    text = printed(manifest, width=300)
    assert ", low–high: 95 % interval. Paper" in text
    assert "[95 % interval]" not in text
    assert "\nThese tests cover the draw of prompts and of training seeds. Verdicts, at 5 % over all 19 claims" in text
    assert "\nWith 5 training seeds, of 5 claims of the paper 1 holds, 1 fails," in text


def test_with_one_training_seed_checkpoints_are_compared(manifest: dict[str, Any]) -> None:
    manifest |= {"seeds": [0], "claims": on_checkpoints(manifest["claims"])}
    text = printed(manifest, width=300)
    assert re.search("no verdict +2 above of 2", text) and re.search("no verdict +2 below of 2", text)
    assert "\nWith so few training seeds these tests cover the draw of prompts alone" in text
    assert "\nWith 1 training seed there is no verdict on the methods (that takes 5: --seeds 5)." in text


@pytest.mark.parametrize("width", [80, 100])
def test_everything_fits_and_what_is_drawn_is_named(width: int) -> None:
    text = printed(made_up_manifest(*EVERY), width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for label in ("Table 1.", "Table 2.", "Table 3.", "Table 5.", "Figure 3.", "Figure 10.", "Tables 8–12."):
        assert f"\n{label}" in f"\n{text}"
    assert "drawn in figures/fig5-qwen.pdf, .png, .svg\ndrawn in figures/fig5-llama.pdf" in text
    assert re.search(r"≠ mini:\s?", text)
    assert re.search(r"Figure 3 +The improved", text)
    assert re.search(r"Qwen2\.5-Base \(7B\) +43 +48 +89\.6 +13,092 +13,500 +97\.0", text)
    assert "Where the uncertainty comes from" not in text and "Provenance" not in text


def test_a_run_without_claims_is_short() -> None:
    text = printed(made_up_manifest("table2", claims=[], n_tests=0))
    assert "claims" not in text and "These tests" not in text and "training seed" not in text

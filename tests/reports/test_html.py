"""The page: complete, self-contained, escaped."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from harness.core.papers import PaperTable
from reports import figures
from reports.html import html_report
from reports.manifest import parse_manifest
from reports.tables import build_table
from tests.reports.conftest import made_up_manifest

VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """Collects every tag with its attributes, and checks that tags are closed in order."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def render(manifest: dict[str, Any], paper: PaperTable) -> str:
    run = parse_manifest(manifest)
    table = build_table(run, paper)
    return html_report(run, paper, table, figures.svg(table))


@pytest.fixture
def source(manifest: dict[str, Any], paper: PaperTable) -> str:
    return render(manifest, paper)


def test_is_well_formed(source: str) -> None:
    assert Page(source).open == []


def test_loads_nothing(source: str) -> None:
    loading = {"src", "srcset", "href", "xlink:href", "data", "action", "poster", "background"}
    for tag, attributes in Page(source).tags:
        assert tag not in {"script", "link", "iframe", "img", "object", "embed", "base"}
        for name in loading & attributes.keys():
            # A link that a reader may follow loads nothing by itself; everything else stays inside the page.
            assert tag == "a" or (attributes[name] or "").startswith("#"), (tag, name, attributes[name])
    assert not re.search(r"@import|@font-face", source)
    assert all(target.startswith("#") for target in re.findall(r"url\(['\"]?([^)'\"]*)", source))


def test_follows_the_readers_colours_and_width(source: str) -> None:
    assert "prefers-color-scheme: dark" in source
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in source
    assert "currentColor" in source


def test_every_cell_says_its_verdict(source: str) -> None:
    titles = [attributes.get("title") or "" for tag, attributes in Page(source).tags if tag == "td"]
    assert sum(title.startswith("not comparable: scale; n = ") for title in titles) == 36
    assert sum(title.startswith("not comparable: not in the paper; n = ") for title in titles) == 6


def test_has_every_part(source: str) -> None:
    for part in (
        "θ* <small>ours<sup>+</sup></small>",
        "withheld: verdicts are missing; n/N = 786/805 verdicts",
        "n/N = 993/1000 verdicts",
        '<span class="chip not-run">not run</span>',
        "+6.5 [4.5,\u00a08.5]",
        "&lt; 0.001",
        "16.18",
        "8 min 31 s",
        "With one training seed these tests cover the draw of prompts",
        "Holm-adjusted over 8 tests",
        '<td class="right">0.004</td>\n<td class="right">0.028</td>',
        '<td class="right">2.9</td><td>12,345 prompts</td>',
        '<td class="right">2.9</td><td>more training seeds</td>',
        "2 steps, 1 min 04 s of work; 1 found in the store, 1 run now.",
        '<td class="right">1 min 01 s</td><td>run</td>',
        '<td class="right">3.2 s</td><td>found</td>',
        "torch 0.0, trl 0.0",
    ):
        assert part in source


def test_heads_of_columns_have_two_lines_in_every_panel(source: str) -> None:
    assert source.count("AlpacaEval 2.0<br>LC (%)</th>") == 2


def test_escapes_what_comes_from_the_run(manifest: dict[str, Any], paper: PaperTable) -> None:
    manifest["command"] = "<script>alert(1)</script>"
    source = render(manifest, paper)
    assert "<script>" not in source
    assert "a &lt; b &amp; c_d" in source
    assert "a made-up model &amp; qwen_tiny" in source


def test_run_without_claims_steps_and_diagnostics(paper: PaperTable) -> None:
    source = render(made_up_manifest(("qwen",), fast=True, claims=[], steps=[], diagnostics=[]), paper)
    assert Page(source).open == []
    assert "<h2>Steps</h2>" not in source
    assert "<h2>Diagnostics</h2>" not in source
    assert "(fast: reduced counts)" in source
    assert "Holm-adjusted over" not in render(made_up_manifest(("qwen",), n_tests=0), paper)


def test_shows_where_the_uncertainty_comes_from_where_it_is_known(
    manifest: dict[str, Any], paper: PaperTable, source: str
) -> None:
    assert "Where the uncertainty comes from" not in source
    manifest["cells"][0]["uncertainty"] = {"prompts": 1.25, "judge": None, "training_seeds": 2.5, "total": 2.795}
    shown = render(manifest, paper)
    assert Page(shown).open == []
    assert "<h2>Where the uncertainty comes from</h2>" in shown
    numbers = "".join(f'<td class="right">{value}</td>' for value in ("1.25", "—", "2.50", "2.79"))
    assert f"<tr><td>Qwen2.5-Base (7B)</td><td>SFT</td><td>AlpacaEval 2.0 LC</td>{numbers}</tr>" in shown

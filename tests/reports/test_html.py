"""The page: complete, self-contained, escaped."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from reports.html import html_report
from tests.reports.conftest import EVERY, made_up_manifest, report_of

pytest_plugins = ["tests.reports.browser"]

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


def render(manifest: dict[str, Any]) -> str:
    """The page with empty drawings."""
    report = report_of(manifest)
    return html_report(report, {figure.name: "<svg></svg>" for figure in report.figures})


@pytest.fixture(scope="module")
def source(written: Path) -> str:
    """The page of everything, with its drawings and its pairs."""
    return (written / "index.html").read_text(encoding="utf-8")


def test_is_well_formed_with_distinct_ids(source: str) -> None:
    page = Page(source)
    assert page.open == []
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_the_contents_lead_to_every_section(source: str) -> None:
    page = Page(source)
    ids = {attributes.get("id") for _, attributes in page.tags}
    targets = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    inside = [target[1:] for target in targets if target and target.startswith("#")]
    assert set(inside) <= ids
    assert {*EVERY, "claims", "deviations", "disagreements", "steps", "provenance", "pairs"} <= set(inside)


def test_loads_nothing(source: str) -> None:
    loading = {"src", "srcset", "href", "xlink:href", "data", "action", "poster", "background"}
    for tag, attributes in Page(source).tags:
        assert tag not in {"link", "iframe", "img", "object", "embed", "base"}
        for name in loading & attributes.keys():
            # A link that a reader may follow loads nothing by itself; everything else stays inside the page.
            assert tag == "a" or (attributes[name] or "").startswith("#"), (tag, name, attributes[name])
    assert not re.search(r"@import|@font-face", source)
    assert all(target.startswith("#") for target in re.findall(r"url\(['\"]?([^)'\"]*)", source))


def test_follows_the_readers_colours_and_width(source: str) -> None:
    assert "prefers-color-scheme: dark" in source
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in source
    assert "currentColor" in source
    assert "@media print" in source


def test_has_every_part(source: str) -> None:
    for part in (
        "θ* <small>ours<sup>+</sup></small>",
        "withheld: verdicts are missing; n/N = 786/805 verdicts",
        'title="not comparable: scale; n = 805; judge judge-of-alpaca_eval2"',
        '<span class="chip not-run">not run</span>',
        '<td class="right">+6.5 [4.5,\u00a08.5]</td>',
        '<span class="chip holds">holds</span> <a href="#claim-fig3-near">The improved responses are closer</a>',
        "+4.12 [2.25,\u00a06.50]\u00a0words",
        "&lt; 0.001",
        "over its 98 orderings, are Holm-adjusted",
        '<td class="right">2.9</td>\n<td class="wraps">12,345 prompts</td>',
        "paper ≈ 70",
        '<span class="differing">≠ mini:made-up</span>',
        "<del>red</del> <ins>blue , and *sharp*</ins>",
        '<td class="right">13,092</td>',
        "4 steps, 1 min 08 s of work; 2 found in the store, 2 run now.",
        "1,600 verdicts by mini:made-up: embedded judge, no cost (0 tokens, 0 dollars).",
        "torch 0.0, trl 0.0",
        "8 min 31 s",
    ):
        assert part in source, part


def test_escapes_what_comes_from_the_run(source: str) -> None:
    assert "<script>alert" not in source
    assert "&lt;script&gt;alert(1)&lt;/script&gt; 100 % of $x_1$" in source
    assert "what &lt;b&gt;is&lt;/b&gt; it?" in source
    assert "a &lt; b &amp; c_d" in source
    assert "a made-up model &amp; qwen_tiny" in source
    assert "<script>" not in render(made_up_manifest(command="<script>alert(1)</script>"))


def test_the_answer_stands_above_the_contents() -> None:
    source = render(made_up_manifest())
    answer = '<p class="answer">With 5 training seeds, of 5 claims of the paper 1 holds, 1 fails, 2 are undecided and'
    assert 0 < source.index(answer) < source.index('<nav aria-label="Contents">')


def test_run_without_claims_and_steps() -> None:
    source = render(made_up_manifest(fast=True, claims=[], steps=[], n_tests=0))
    assert Page(source).open == []
    assert "<h2>Cost and time</h2>" not in source
    assert "tested here" not in source and 'class="answer"' not in source
    assert "(fast: reduced counts)" in source


def test_tables_side_by_side_have_a_heading_each() -> None:
    assert render(made_up_manifest()).count("AlpacaEval 2.0<br>LC (%)<sup>a</sup></th>") == 2
    assert render(made_up_manifest("table1")).count("win rate (%)<sup>a</sup></th>") == 1


@pytest.mark.parametrize("dark", [False, True])
def test_nothing_overflows_a_phone(open_page: Any, source: str, dark: bool) -> None:
    page = open_page(source, width=360, dark=dark)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.click("summary >> text=SGPO is above another (the one that holds)")
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_the_pairs_are_on_the_page(open_page: Any, source: str) -> None:
    page = open_page(source, fragment="#pairs")
    page.wait_for_selector("text=describe thing 0 & <b>more</b>")
    assert "Pairs of answers" in page.inner_text("#pairs")

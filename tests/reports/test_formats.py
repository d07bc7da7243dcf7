"""The same numbers in every format: what a CSV has unrounded stands rounded in the page, in Markdown and in LaTeX."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


class Tables(HTMLParser):
    """The rows of all tables of a page, each with the id of the section that it is in."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.rows: list[tuple[str, list[str]]] = []
        self._section = ""
        self._cell = self._mark = False
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "section" and (name := dict(attrs).get("id")):
            self._section = name
        if tag == "tr":
            self.rows.append((self._section, []))
        if tag in ("td", "th"):
            self.rows[-1][1].append("")
            self._cell = True
        if tag == "sup":
            self._mark = True

    def handle_endtag(self, tag: str) -> None:
        if tag == "sup":
            self._mark = False
        if tag in ("td", "th"):
            self._cell = False

    def handle_data(self, data: str) -> None:
        if self._cell and not self._mark:
            self.rows[-1][1][-1] += f" {data}"


def rows_of_html(folder: Path, name: str) -> list[list[str]]:
    found = Tables((folder / "index.html").read_text(encoding="utf-8")).rows
    return [cells for section, cells in found if section == name]


def rows_of_markdown(folder: Path, name: str) -> list[list[str]]:
    whole = (folder / "report.md").read_text(encoding="utf-8")
    section = whole[whole.index(f'<a id="{name}">') :]
    section = section[: section.find("<a id=", 6)]
    section = re.sub(r" <sup>\w</sup>", "", section.replace("\\", ""))
    return [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")]


def rows_of_latex(folder: Path, name: str) -> list[list[str]]:
    own = (folder / f"{name}.tex").read_text(encoding="utf-8")
    body = own[own.index(r"\toprule") : own.rindex(r"\bottomrule")]
    body = re.sub(r"\\textsuperscript\{\w\}|\\scriptsize", "", body).replace("~", " ").replace("---", "—")
    return [line.removesuffix(r" \\").split(" & ") for line in body.splitlines() if line.endswith(r"\\")]


def numbers(row: list[str]) -> list[str]:
    """Every number in the cells behind the first, in order."""
    return NUMBER.findall(" ".join(row[1:]).replace(",", ""))


ALL = {"html": rows_of_html, "markdown": rows_of_markdown, "latex": rows_of_latex}


def rows_like(rows: list[list[str]], expected: list[str]) -> int:
    return sum(numbers(row) == expected for row in rows)


@pytest.mark.parametrize("format", ALL)
@pytest.mark.parametrize(("name", "decimals"), [("table3", 1), ("table5", 2)])
def test_scores(written: Path, name: str, decimals: int, format: str) -> None:
    rows = ALL[format](written, name)
    frame = pd.read_csv(written / f"{name}.csv")
    for _, cells in frame.groupby(["model", "method"], sort=False):
        expected = []
        for cell in cells.to_dict("records"):
            figures = [cell[key] for key in ("ours", "lo", "hi", "paper")]
            expected += [f"{figure:.{decimals}f}" for figure in figures if not pd.isna(figure)]
        assert rows_like(rows, expected) == 1, expected


@pytest.mark.parametrize("format", ALL)
@pytest.mark.parametrize(("name", "decimals"), [("table1", 2), ("fig8", 1), ("fig10", 2)])
def test_win_rates(written: Path, name: str, decimals: int, format: str) -> None:
    rows = [[row[0], *row[-5:]] if format == "html" else [row[0], *row[-6:]] for row in ALL[format](written, name)]
    label = re.compile(r"^.*?(?=—|\d)")  # the comparison, which has letters but no figures
    for cell in pd.read_csv(written / f"{name}.csv").to_dict("records"):
        figures = [f"{cell[key]:.{decimals}f}" for key in ("ours", "lo", "hi") if not pd.isna(cell[key])]
        if not pd.isna(cell["paper"]):
            figures.append(f"{cell['paper']:.{0 if cell['paper_rounded_to'] > 1 else decimals}f}")
        counts = [f"{cell[key]:.0f}" for key in ("n", "wins", "draws", "losses") if not pd.isna(cell[key])]
        agreement = [] if pd.isna(cell["consistency"]) else [f"{cell['consistency']:.1f}"]
        expected = [*figures, *counts, *agreement]
        assert any(numbers(["", label.sub("", " ".join(row[1:]), count=1)]) == expected for row in rows), expected


@pytest.mark.parametrize("format", ALL)
@pytest.mark.parametrize(("name", "decimals"), [("fig3", 1), ("fig5", 2), ("fig9", 2)])
def test_histograms(written: Path, name: str, decimals: int, format: str) -> None:
    rows = ALL[format](written, name)
    frame = pd.read_csv(written / f"{name}.csv")
    values = frame[frame["quantity"].isin(["edit_distance", "perplexity"])]
    for _, each in values.groupby(["model", "panel", "set"], dropna=False):
        quartiles = [f"{value:.{decimals}f}" for value in np.percentile(each["value"], [25, 50, 75])]
        expected = [str(len(each)), *quartiles]
        assert any(numbers(row)[-4:] == expected for row in rows), expected
    for _, kept in frame[frame["quantity"] == "kept"].iterrows():
        of = frame[(frame["quantity"] == "filtered") & (frame["model"] == kept["model"])]["value"].iloc[0]
        share = f"{100 * kept['value'] / of:.1f}"
        published = [f"{kept['paper']:.0f}", "13500", f"{kept['paper'] / 135:.1f}"]
        assert rows_like(rows, [f"{kept['value']:.0f}", f"{of:.0f}", share, *published]) == 1


@pytest.mark.parametrize("format", ["html", "markdown"])
def test_claims(written: Path, format: str) -> None:
    rows = ALL[format](written, "claims")
    for test in pd.read_csv(written / "tests.csv").to_dict("records"):
        if pd.isna(test["difference"]):
            continue
        decimals = 1 if test["unit"] == "points" else 2
        difference = f"{test['difference']:+.{decimals}f} [{test['lo']:.{decimals}f},"
        high = f"{test['hi']:.{decimals}f}]"
        found = [row for row in rows if any(difference in cell and high in cell for cell in row)]
        assert found, difference
        assert any(test["verdict"] in cell for row in found for cell in row)


def test_csv_has_every_number_unrounded(written: Path) -> None:
    frame = pd.read_csv(written / "table3.csv")
    assert len(frame) == 42
    first = frame.iloc[0]
    assert [first[key] for key in ("model", "method", "ours", "lo", "hi", "paper", "n")] == [
        "qwen", "sft", 20.0, 17.5, 22.75, 5.8, 805,
    ]  # fmt: skip
    assert frame[frame["added"]]["paper"].isna().all()
    assert set(frame["verdict"]) == {"not comparable: scale", "not comparable: not in the paper"}
    samples = pd.read_csv(written / "samples.csv", keep_default_na=False)
    assert samples["response"].tolist()[2].endswith("| [a](b)\nsecond line")
    settings = pd.read_csv(written / "table2.csv")
    assert settings["differs"].sum() == 5

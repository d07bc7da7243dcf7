"""Curves as data: what their points are called, made of, and printed as."""

from dataclasses import replace
from typing import Any

import pytest

from harness.errors import UserError
from harness.papers.claims import EVEN
from harness.papers.curves import Bootstrap, CurveAxis, CurveFigure, CurveLine, PrintedMargin, point_id
from harness.papers.loading import load_exhibit, load_exhibits


def figure(name: str) -> CurveFigure:
    found = load_exhibit("srpo", name)
    assert isinstance(found, CurveFigure)
    return found


def test_points_over_revisions_are_one_method_revised_as_often() -> None:
    fig3 = figure("fig3")
    ipo = fig3.line("ipo")
    assert [(fig3.row(ipo, x), fig3.revisions(ipo, x)) for x in (0, 5)] == [("ipo", 0), ("ipo", 5)]
    assert fig3.subject("ipo/5") == "IPO 5-rev."
    assert fig3.measure("xsum", "win_rate") == "XSum WR"
    assert fig3.panel("xsum").heading == "XSum, out of distribution"


def test_points_over_a_setting_are_several_methods_revised_alike() -> None:
    fig4 = figure("fig4")
    line = fig4.line("3-rev")
    assert [(fig4.row(line, x), fig4.revisions(line, x)) for x in (0, 0.25)] == [
        ("srpo:alpha=0", 3),
        ("srpo:alpha=0.25", 3),
    ]
    assert (point_id(line.id, 0.25), fig4.subject("3-rev/0.25")) == ("3-rev/0.25", "3-rev. α = 0.25")


def test_what_the_text_prints_is_there_with_its_place() -> None:
    numbers = {
        f"{exhibit.name}/{place}": number.value
        for exhibit in load_exhibits("srpo")
        if isinstance(exhibit, CurveFigure)
        for place, number in exhibit.numbers().items()
    }
    assert numbers.pop("fig1/xsum/srpo/5") == 90
    assert numbers.pop("fig5/arena/srpo/1") == 56
    assert numbers == {
        **{"table1/arena/dpo/0": 53.67, "table1/arena/ipo/0": 51.1, "table1/arena/rpo/0": 51.3},
        **{"table1/arena/simpo/0": 63.1, "table1/arena/dpo/1": 67.5, "table1/arena/ipo/1": 57.5},
        **{"table1/arena/rpo/1": 58.3, "table1/arena/simpo/1": 74.9},
    }
    assert [(each.better, each.worse, each.points) for each in figure("fig1").margins] == [("srpo/5", "dpo/5", 15)]
    assert {(each.better, each.worse, each.points) for each in figure("fig5").margins} == {
        *{("srpo/0", "dpo/0", 4), ("srpo/0", "ipo/0", 4), ("srpo/1", "dpo/1", 6), ("srpo/1", "ipo/1", 6)}
    }


def test_numbers_of_claims_are_those_of_their_points() -> None:
    table1 = figure("table1")
    printed, even = (table1.number("llama3", id, "arena", "win_rate") for id in ("dpo/0", EVEN))
    assert printed and even
    assert (printed.value, str(printed), even.value) == (53.67, "53.67", 50)
    assert printed.label == "Table 1: SRPO vs. DPO 0-rev., Arena-Hard WR"
    assert figure("fig3").number("llama", "srpo/5", "xsum", "win_rate") is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": CurveAxis("revisions", "{x}", (0, 1.5))}, "numbers of revisions must be whole and 0 or more"),
        ({"x": CurveAxis("revisions", "{x}", (0, -1))}, "numbers of revisions must be whole and 0 or more"),
        ({"x": CurveAxis("revisions", "{x}", (1, 1.0))}, "place on the axis '1' is there twice"),
        ({"lines": (CurveLine("a", "A", "srpo", revisions=-1),)}, "revisions of a line must be 0 or more"),
        ({"lines": (CurveLine("a", "A", "srpo"), CurveLine("a", "B", "dpo"))}, "line 'a' is there twice"),
        ({"bootstrap": Bootstrap(1, 512, 1024)}, "a bootstrap needs 2 resamples or more"),
        ({"published": {"xsum": {"srpo/6": 90.0}}}, "unknown point of srpo fig1 'srpo/6'; did you mean 'srpo/"),
        ({"published": {"xsun": {"srpo/5": 90.0}}}, "unknown panel of srpo fig1 'xsun'; did you mean 'xsum'"),
        ({"margins": (PrintedMargin("xsum", "srpo/5", "dpq/5", 15, ""),)}, "unknown point of srpo fig1 'dpq/5'"),
    ],
)
def test_a_curve_that_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    exhibit = replace(figure("fig1"), **{"published": {}, "margins": (), **changes})
    with pytest.raises(UserError, match=message):
        exhibit.check()

"""The papers as data: published numbers, claims, deviations."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.config import yaml_files
from harness.errors import UserError
from harness.experiments import Request, build_experiments
from harness.papers import (
    EVEN,
    AnyExhibit,
    HistogramFigure,
    ScoreTable,
    WinRateTable,
    exhibit_names,
    load_deviations,
    load_exhibit,
    load_exhibits,
    load_paper,
    loading,
)
from harness.recipes.registries import EVALS, METHODS
from harness.recipes.scales import load_scale

MAX_TESTS = 125
"""Of one paper: Holm's method asks more of each the more there are."""


@pytest.fixture(scope="module")
def exhibits() -> tuple[AnyExhibit, ...]:
    return load_exhibits("sgpo")


@pytest.fixture(scope="module")
def tables(exhibits: tuple[AnyExhibit, ...]) -> list[ScoreTable]:
    return [each for each in exhibits if isinstance(each, ScoreTable)]


def test_exhibits_are_in_the_papers_order() -> None:
    tables, figures = [f"table{n}" for n in range(1, 8)], [f"fig{n}" for n in (3, 4, 5, 8, 9, 10)]
    assert list(exhibit_names()) == [*tables, *figures, "samples"]


@pytest.fixture
def second_paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a paper without exhibits beside the ones there are, in a copy of the configuration."""
    configs = tmp_path / "configs"
    shutil.copytree(yaml_files.CONFIGS, configs)
    monkeypatch.setattr(yaml_files, "CONFIGS", configs)
    folder = configs / "papers" / "another"
    (folder / "exhibits").mkdir(parents=True)
    about = (configs / "papers" / "sgpo" / "paper.yaml").read_text(encoding="utf-8")
    (folder / "paper.yaml").write_text(about.replace("name: sgpo", "name: another"), encoding="utf-8")
    return folder


def copy_table2(paper: Path, name: str) -> None:
    shutil.copy(paper.parent / "sgpo/exhibits/table2.yaml", paper / "exhibits" / name)


def test_two_papers_cannot_have_an_exhibit_of_one_name(second_paper: Path) -> None:
    copy_table2(second_paper, "table2.yaml")
    with pytest.raises(UserError, match="the papers another and sgpo both have an exhibit 'table2'; rename the file"):
        exhibit_names()


def test_the_exhibits_of_a_paper_are_those_in_its_folder(second_paper: Path) -> None:
    shutil.copy(
        second_paper.parent / "sgpo" / "exhibits" / "table2.yaml", second_paper / "exhibits" / "another-table2.yaml"
    )
    [only] = load_exhibits("another")
    assert (only.name, only.paper.name) == ("another-table2", "another")
    assert [each.paper.name for each in load_exhibits("sgpo")] == ["sgpo"] * 14
    assert list(exhibit_names())[:2] == ["another-table2", "table1"]


def test_all_is_of_one_paper(second_paper: Path) -> None:
    shutil.copy(
        second_paper.parent / "sgpo" / "exhibits" / "table2.yaml", second_paper / "exhibits" / "another-table2.yaml"
    )
    request = Request(load_scale("mini"), (0,))
    with pytest.raises(UserError, match="all is a report on one paper, and there are another, sgpo; name one exhibit"):
        build_experiments("all", request)
    [one] = build_experiments("another-table2", request)
    assert one.exhibit.paper.name == "another"


def test_an_exhibit_is_read_once() -> None:
    assert load_exhibit("sgpo", "table3") is load_exhibit("sgpo", "table3")
    assert load_paper("sgpo") is load_paper("sgpo")


def test_every_row_of_the_paper_has_every_number_and_an_added_one_none(tables: list[ScoreTable]) -> None:
    for table in tables:
        for row in table.rows:
            for model in table.models:
                cells = [table.published(model, row.method, column) for column in table.columns]
                assert all(cell is None for cell in cells) if row.added else None not in cells, (table.name, row.method)


def test_numbers_are_the_printed_ones(exhibits: tuple[AnyExhibit, ...]) -> None:
    counts = {each.name: len(each.numbers()) for each in exhibits}
    assert counts == {
        **{"table1": 4, "table2": 2, "table3": 36, "table4": 6, "table5": 8, "table6": 18, "table7": 6},
        **{"fig3": 0, "fig4": 0, "fig5": 3, "fig8": 2, "fig9": 0, "fig10": 5, "samples": 0},
    }
    table5 = next(each for each in exhibits if each.name == "table5")
    number = table5.numbers()["qwen-small/sgpo-teacher-only/lc"]
    assert (str(number), number.value) == ("3.10", 3.1)
    assert number.label == "Table 5: Qwen2-Base (1.5B), SGPO-v1, AlpacaEval 2.0 LC"


def test_a_number_that_the_text_rounds_counts_as_rounded_to_tens(exhibits: tuple[AnyExhibit, ...]) -> None:
    figure8 = next(each for each in exhibits if each.name == "fig8")
    assert {number.decimals for number in figure8.numbers().values()} == {-1}


def test_methods_models_and_benches_are_ours(exhibits: tuple[AnyExhibit, ...], tables: list[ScoreTable]) -> None:
    assert {row.method for table in tables for row in table.rows} <= set(METHODS.names())
    matches = [match for each in exhibits if isinstance(each, WinRateTable) for match in each.matches]
    assert {match.method for match in matches} <= set(METHODS.names())
    assert set(load_paper("sgpo").models) <= set(load_scale("mini").models)
    assert {column.bench for table in tables for column in table.columns} <= set(EVALS.names())


def test_claims_ask_for_a_bounded_number_of_tests(exhibits: tuple[AnyExhibit, ...]) -> None:
    tests = {
        (model, frozenset((one.better, one.worse)), one.bench, one.metric)
        for exhibit in exhibits
        for claim in exhibit.claims
        for one in claim.comparisons
        for model in one.models
    }
    assert 52 < len(tests) <= MAX_TESTS


def test_a_claim_names_a_match_with_its_group(exhibits: tuple[AnyExhibit, ...]) -> None:
    table1 = next(each for each in exhibits if each.name == "table1")
    assert table1.subject("dpo-mix-b") == "DPO-Mix-7K: improved_response vs response-B"
    assert table1.subject(EVEN) == "50 %"


def test_filtered_counts_are_of_the_figures_models(exhibits: tuple[AnyExhibit, ...]) -> None:
    figure = next(each for each in exhibits if isinstance(each, HistogramFigure) and each.kept)
    with pytest.raises(UserError, match="unknown model of fig5 'gwen'; did you mean 'qwen'"):
        replace(figure, kept={"gwen": 1}).check()


def test_unknown_names_come_with_the_nearest(tables: list[ScoreTable]) -> None:
    table3 = next(table for table in tables if table.name == "table3")
    with pytest.raises(UserError, match="unknown row of sgpo table3 'sgop'; did you mean 'sgpo'"):
        table3.row("sgop")
    with pytest.raises(UserError, match="unknown paper 'sgop'; did you mean 'sgpo'"):
        load_paper("sgop")


Edit = Callable[[str, str, str], Path]


@pytest.fixture
def edited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Edit:
    """Reads one file of the paper with a text in it replaced."""
    original = loading.config_path

    def edit(name: str, old: str, new: str) -> Path:
        published = original(f"papers/sgpo/exhibits/{name}.yaml").read_text(encoding="utf-8")
        assert old in published
        broken = tmp_path / f"{name}.yaml"
        broken.write_text(published.replace(old, new, 1), encoding="utf-8")
        monkeypatch.setattr(loading, "config_path", lambda path: broken if Path(path).stem == name else original(path))
        return broken

    return edit


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("table3", "better: dpo", "better: dop", "unknown row of sgpo table3 'dop'; did you mean 'dpo'"),
        ("table3", "{lc: 5.8,", "{lcc: 5.8,", "unknown column id 'lcc'; did you mean 'lc'"),
        (
            "table3",
            "metric: win_rate, models: [llama]",
            "metric: win_rat, models: [llama]",
            "did you mean 'alpaca_eval2/win_rate'",
        ),
        (
            "table3",
            "metric: score, models: [llama]",
            "metric: score, models: [lama]",
            "unknown model of table3 'lama'; did you mean 'llama'",
        ),
        ("table3", "{method: improver,", "{method: sft,", "row 'sft' is there twice"),
        ("table4", '["y", "ŷ_θ0"]', '["y"]', "row 'spin' needs 2 descriptions"),
        ("table1", "better: dpo-mix-b", "better: dpo-mix", "did you mean 'dpo-mix-b'"),
        ("table1", "id: dpo-mix-b", "id: ultrafeedback-b", "match 'ultrafeedback-b' is there twice"),
        ("table1", "metric: win_rate", "metric: score", "did you mean 'pairwise/win_rate'"),
        ("fig3", "distance_from: draft", "under: initial_policy", "a figure of edit_distance needs 'distance_from'"),
        ("fig3", "worse: response-a", "worse: response-b", "unknown set of sgpo fig3 'response-b'"),
        ("fig9", "id: self,", "id: initial,", "set 'initial' is there twice"),
        ("samples", "model: llama", "model: lama", "unknown model of samples 'lama'; did you mean 'llama'"),
        ("table2", "kind: settings", "kind: setting", "needs a kind, one of scores, win_rates"),
    ],
)
def test_wrong_names_in_the_data_are_errors(edited: Edit, name: str, old: str, new: str, message: str) -> None:
    broken = edited(name, old, new)
    with pytest.raises(UserError, match=message) as error:
        load_exhibit("sgpo", name)
    assert str(broken) in str(error.value)


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("table4", "id: on-policy-best", "id: sgpo-highest", "claim 'sgpo-highest' is there twice"),
        ("fig8", "self-vs-initial", "sgpo-vs-initial", "unknown match of sgpo fig8 'self-vs-initial'"),
    ],
)
def test_ids_are_distinct_over_the_whole_paper(edited: Edit, name: str, old: str, new: str, message: str) -> None:
    edited(name, old, new)
    with pytest.raises(UserError, match=message):
        load_exhibits("sgpo")


def test_matches_of_two_exhibits_cannot_share_an_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = loading.config_path
    figure = original("papers/sgpo/exhibits/fig8.yaml").read_text(encoding="utf-8")
    clashing = tmp_path / "fig8.yaml"
    clashing.write_text(figure.replace("self-vs-initial", "sgpo-vs-initial"), encoding="utf-8")
    monkeypatch.setattr(loading, "config_path", lambda path: clashing if Path(path).stem == "fig8" else original(path))
    with pytest.raises(UserError, match="match 'sgpo-vs-initial' is there twice; give each its own"):
        load_exhibits("sgpo")


def test_deviations_are_complete_and_distinct() -> None:
    deviations = load_deviations("sgpo")
    assert len({deviation.id for deviation in deviations}) == len(deviations) > 0
    assert all(deviation.paper_says and deviation.we_do and deviation.why for deviation in deviations)

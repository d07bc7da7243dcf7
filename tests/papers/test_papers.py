"""The papers as data: published numbers, claims, deviations."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.commands.listing import listing
from harness.engine.unresolved import placeholders
from harness.errors import UserError
from harness.experiments import Request, build_experiments
from harness.papers import loading
from harness.papers.claims import EVEN
from harness.papers.folders import paper_file, papers
from harness.papers.histograms import HistogramFigure
from harness.papers.kinds import AnyExhibit
from harness.papers.loading import exhibit_names, load_deviations, load_exhibit, load_exhibits, load_paper
from harness.papers.names import find_exhibit
from harness.papers.scores import ScoreTable
from harness.papers.win_rates import WinRateTable
from harness.recipes.loading import load_recipe
from harness.recipes.registries import EVALS

MINI = load_recipe("mini")

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
    assert exhibit_names("sgpo") == [*tables, *figures, "samples"]


@pytest.fixture
def others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of papers beside those of the package: `one` and `two` have a fig7, `two` a table2 and a table20."""
    for paper, names in (("one", ["fig7"]), ("two", ["table2", "table20", "fig7"])):
        folder = tmp_path / paper
        (folder / "exhibits").mkdir(parents=True)
        shutil.copy(paper_file("sgpo", "paper.yaml"), folder)
        for name in names:
            shutil.copy(paper_file("sgpo", "exhibits/table2.yaml"), folder / "exhibits" / f"{name}.yaml")
    monkeypatch.setenv("HARNESS_PAPERS", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("sgpo/table3", "sgpo/table3"),
        ("table3", "sgpo/table3"),
        ("two/table2", "two/table2"),
        ("table2", "sgpo/table2"),  # which both have
        ("table20", "two/table20"),  # which no other has
        ("all", "sgpo/all"),
        ("one/all", "one/all"),
    ],
)
def test_a_bare_name_is_that_of_the_one_paper_that_has_it_else_the_default_papers(
    others: Path, text: str, meant: str
) -> None:
    assert str(find_exhibit(text)) == meant


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("fig7", r"several papers have an exhibit 'fig7'; name one of one/fig7, two/fig7$"),
        ("tabel20", r"unknown experiment 'tabel20'; did you mean 'table20'\? \(known: all, fig1, .*, two/table2\)$"),
        ("two/tabel2", r"unknown experiment 'two/tabel2'; did you mean 'two/table2'\?"),
        ("tow/table2", r"unknown experiment 'tow/table2'; did you mean 'two/table2'\?"),
        ("two/", "unknown experiment 'two/'"),
        ("/table3", "unknown experiment '/table3'; did you mean 'table3'"),
        ("../sgpo/table3", r"unknown experiment '../sgpo/table3'; did you mean 'sgpo/table3'\?"),
        ("two", r"two is a paper; name an exhibit of it, or two/all for all of them$"),
    ],
)
def test_what_no_exhibit_is_called_is_answered_with_the_nearest(others: Path, text: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        find_exhibit(text)


def test_a_paper_that_cannot_be_read_breaks_no_other(others: Path) -> None:
    (others / "one" / "paper.yaml").write_text("title: [")
    (others / "one" / "exhibits" / "fig7.yaml").write_text("kind: nothing")
    assert str(find_exhibit("table3")) == "sgpo/table3"
    lines = {name: line for kind in ("papers", "experiments") for name, line in listing(kind)}
    assert lines["two"].startswith("SGPO: ") and lines["two/fig7"].startswith("Table 2: ")
    assert str(others / "one" / "paper.yaml") in lines["one"]
    assert str(others / "one" / "exhibits" / "fig7.yaml") in lines["one/fig7"]


def test_a_recipe_that_cannot_be_read_hides_no_model(others: Path) -> None:
    (others / "one" / "recipes").mkdir()
    (others / "one" / "recipes" / "mini.yaml").write_text("judge: [")
    lines = dict(listing("models"))
    assert "mini:llama" in lines and "mini.yaml:1: " in lines["one/mini"]


def test_all_of_a_paper_without_exhibits_is_refused(others: Path) -> None:
    shutil.rmtree(others / "one" / "exhibits")
    with pytest.raises(UserError, match="one/all is empty: its paper has no exhibits; "):
        build_experiments("one/all", Request(MINI, (0,)))


def test_a_scale_without_the_models_of_an_exhibit_is_named_with_its_paper() -> None:
    other = Request(replace(MINI, base_models={"one": MINI.base_models["llama"]}), (0,))
    with pytest.raises(UserError, match="scale mini of sgpo has no model for table3, which is on qwen, llama; choose"):
        build_experiments("table3", other)


@pytest.mark.parametrize(
    ("experiment", "problem"),
    [
        ("srpo/all", "fig1, fig3, fig4; --models llama3 runs the others, or choose another scale"),
        ("srpo/fig1", "fig1, which is on llama; choose another scale"),
    ],
)
def test_a_scale_for_part_of_a_paper_says_how_to_run_that_part(experiment: str, problem: str) -> None:
    request = Request(load_recipe("small", paper="srpo"), (0,))
    with pytest.raises(UserError) as refused, placeholders():
        build_experiments(experiment, request)
    assert str(refused.value) == f"the scale small of srpo has no model for {problem}"


def test_the_models_of_a_scale_for_part_of_a_paper_run_that_part() -> None:
    with placeholders():
        found = build_experiments("srpo/all", Request(load_recipe("small", paper="srpo"), (0,), models=("llama3",)))
    assert [each.exhibit.name for each in found] == ["table1", "fig2", "fig5"]


def test_two_papers_of_one_name_are_refused(others: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shutil.copytree(others / "one", tmp_path / "elsewhere" / "two")
    monkeypatch.setenv("HARNESS_PAPERS", f"{others}:{tmp_path / 'elsewhere'}")
    with pytest.raises(UserError, match=r"/two and .*/elsewhere/two are papers of one name; rename the folder of one"):
        papers()


def test_a_folder_without_a_paper_is_refused(others: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_PAPERS", str(others / "one"))
    with pytest.raises(UserError, match=r"HARNESS_PAPERS names .*/one, in which no folder has a paper.yaml; name one"):
        papers()


def test_all_is_of_one_paper(others: Path) -> None:
    sgpo = load_recipe("mini")
    recipe = replace(sgpo, paper="two", prompts=str(paper_file("sgpo", "prompts/mini.yaml")))
    built = build_experiments("two/all", Request(recipe, (0,)))
    assert [each.exhibit.name for each in built] == ["table2", "table20", "fig7"]
    assert {each.exhibit.paper.name for each in built} == {"two"}
    assert {each.paper.name for each in load_exhibits("sgpo")} == {"sgpo"}


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
    assert {row.method for table in tables for row in table.rows} <= set(MINI.method_names())
    matches = [match for each in exhibits if isinstance(each, WinRateTable) for match in each.matches]
    assert {match.method for match in matches} <= {"", *MINI.method_names()}
    assert set(load_paper("sgpo").models) <= set(MINI.base_models)
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
    original = loading.paper_file

    def edit(name: str, old: str, new: str) -> Path:
        published = original("sgpo", f"exhibits/{name}.yaml").read_text(encoding="utf-8")
        assert old in published
        broken = tmp_path / f"{name}.yaml"
        broken.write_text(published.replace(old, new, 1), encoding="utf-8")
        replaced = f"exhibits/{name}.yaml"
        monkeypatch.setattr(loading, "paper_file", lambda of, file: broken if file == replaced else original(of, file))
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
        ("fig8", "metric: win_rate, models: [llama]", "metric: win_rate", "comparison of .* with 'even' needs models"),
        ("fig9", "id: self,", "id: initial,", "set 'initial' is there twice"),
        ("samples", "model: llama", "model: lama", "unknown model of samples 'lama'; did you mean 'llama'"),
        ("table2", "kind: settings", "kind: settings\nseeds: 0", "seeds must be 1 or more, not 0"),
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
    original = loading.paper_file
    figure = original("sgpo", "exhibits/fig8.yaml").read_text(encoding="utf-8")
    clashing = tmp_path / "fig8.yaml"
    clashing.write_text(figure.replace("self-vs-initial", "sgpo-vs-initial"), encoding="utf-8")
    monkeypatch.setattr(loading, "paper_file", lambda of, file: clashing if "fig8" in file else original(of, file))
    with pytest.raises(UserError, match="match 'sgpo-vs-initial' is there twice; give each its own"):
        load_exhibits("sgpo")


def test_deviations_are_complete_and_distinct() -> None:
    deviations = load_deviations("sgpo")
    assert len({deviation.id for deviation in deviations}) == len(deviations) > 0
    assert all(deviation.paper_says and deviation.we_do and deviation.why for deviation in deviations)

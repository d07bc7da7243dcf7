"""The published numbers and claims."""

from pathlib import Path

import pytest

from harness.core import papers
from harness.core.errors import UserError
from harness.core.papers import PaperTable, load_deviations, load_paper_table


def test_every_row_of_the_paper_has_every_number(paper: PaperTable) -> None:
    published = [
        paper.published(model, row.method, column)
        for model in paper.models
        for row in paper.rows
        if not row.added
        for column in paper.columns
    ]
    assert len(published) == 36
    assert None not in published


def test_added_row_has_no_number(paper: PaperTable) -> None:
    assert paper.row("improver").added
    assert all(paper.published(model, "improver", column) is None for model in paper.models for column in paper.columns)


def test_every_claimed_ordering_is_in_the_papers_own_table(paper: PaperTable) -> None:
    for claim in paper.claims:
        for comparison in claim.comparisons:
            column = paper.column(comparison.bench, comparison.metric)
            for model in comparison.models:
                better = paper.published(model, comparison.better, column)
                worse = paper.published(model, comparison.worse, column)
                assert better is not None and worse is not None
                assert better > worse, (claim.id, comparison, model)


@pytest.mark.parametrize(
    ("model", "metric", "stated"),
    [  # section 4.4.1; LC on Qwen from the introduction, since section 4.4.1 misprints it
        ("qwen", "length_controlled_winrate", 16.02),
        ("llama", "length_controlled_winrate", 6.28),
        ("qwen", "score", 17.3),
        ("llama", "score", 9.1),
    ],
)
def test_stated_lead_over_dpo_agrees_with_the_table(paper: PaperTable, model: str, metric: str, stated: float) -> None:
    column = next(column for column in paper.columns if column.metric == metric)
    sgpo, dpo = (paper.published(model, method, column) for method in ("sgpo", "dpo"))
    assert sgpo is not None and dpo is not None
    assert sgpo - dpo == pytest.approx(stated, abs=0.1)


def test_unknown_row_names_the_nearest(paper: PaperTable) -> None:
    with pytest.raises(UserError, match="unknown row of sgpo table3 'sgop'; did you mean 'sgpo'"):
        paper.row("sgop")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("better: dpo", "better: dop", "unknown row of sgpo table3 'dop'; did you mean 'dpo'"),
        ("{lc: 5.8,", "{lcc: 5.8,", "unknown column id 'lcc'; did you mean 'lc'"),
        (
            "metric: win_rate, models: [llama]",
            "metric: win_rat, models: [llama]",
            "did you mean 'alpaca_eval2/win_rate'",
        ),
        ("models: [llama]", "models: [lama]", "unknown model of sgpo table3 'lama'; did you mean 'llama'"),
    ],
)
def test_misspelt_names_in_the_data_are_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, message: str
) -> None:
    published = papers.config_path("papers/sgpo/table3.yaml").read_text(encoding="utf-8")
    assert old in published
    broken = tmp_path / "table3.yaml"
    broken.write_text(published.replace(old, new, 1), encoding="utf-8")
    monkeypatch.setattr(papers, "config_path", lambda name: broken)
    with pytest.raises(UserError, match=message) as error:
        load_paper_table("sgpo", "table3")
    assert str(broken) in str(error.value)


def test_deviations_are_complete_and_distinct() -> None:
    deviations = load_deviations("sgpo")
    assert len({deviation.id for deviation in deviations}) == len(deviations) > 0
    assert all(deviation.paper_says and deviation.we_do and deviation.why for deviation in deviations)

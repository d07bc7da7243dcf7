"""Our scores of published verdicts beside those of alpaca-eval's own functions.

Its length-controlled function downloads `df_gamed.csv` from the hub. Here that one call is answered with the shared
stand-in file, for it and for us alike; everything else is as alpaca-eval runs it.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from evals.alpaca_eval2.annotations import read_annotations
from evals.alpaca_eval2.length_calibration import Calibration
from evals.alpaca_eval2.scores import score_annotations
from tests.evals import peers

MODELS = ("claude-2", "gpt35_turbo_instruct", "alpaca-7b", "FuseChat-Gemma-2-9B-Instruct")
COUNTS = ("n_wins", "n_wins_base", "n_draws", "n_total")


@pytest.fixture(autouse=True, scope="module")
def alpaca_eval() -> None:
    try:
        peers.alpaca_eval_module()
    except ImportError as error:
        pytest.skip(f"needs alpaca-eval, of the test extra: {error}")


@pytest.mark.parametrize("model", MODELS)
def test_scores_are_those_of_alpaca_evals_functions(model: str, alpaca_data: Path, calibration: Calibration) -> None:
    annotations = read_annotations(alpaca_data / "annotations" / f"{model}.csv.gz")
    table = peers.alpaca_eval_table(annotations)
    theirs = peers.alpaca_eval_length_controlled(table, alpaca_data / "df_gamed_standin.csv")
    ours = score_annotations(annotations, calibration, resamples=2)
    assert {column: ours[column] for column in COUNTS} == {column: theirs[column] for column in COUNTS}
    for column in ("win_rate", "standard_error", "discrete_win_rate"):
        assert ours[column] == pytest.approx(theirs[column], abs=1e-6), column
    for column in ("length_controlled_winrate", "lc_standard_error"):
        assert ours[column] == pytest.approx(theirs[column], abs=0.02), column


def test_a_draw_written_as_0_is_what_alpaca_eval_takes_it_for(
    alpaca_data: Path, calibration: Calibration, tmp_path: Path
) -> None:
    """Its older annotations have 0 where both outputs are the same; the scores of either are those of 1.5."""
    published = read_annotations(alpaca_data / "annotations" / "claude-2.csv.gz")
    old = [0.0 if number % 7 == 0 else value for number, value in enumerate(published.preference)]
    path = tmp_path / "claude-2.csv"
    rows = zip(published.index, old, published.len_1, published.len_2, strict=True)
    path.write_text("index,preference,len_1,len_2\n" + "".join(f"{i},{p!r},{a},{b}\n" for i, p, a, b in rows))
    read = read_annotations(path)
    assert 0 not in read.preference and set(read.preference[::7]) == {1.5}
    theirs = peers.alpaca_eval_length_controlled(
        peers.alpaca_eval_table(replace(published, preference=tuple(old))), alpaca_data / "df_gamed_standin.csv"
    )
    ours = score_annotations(read, calibration, resamples=2)
    assert {column: ours[column] for column in COUNTS} == {column: theirs[column] for column in COUNTS}
    assert ours["win_rate"] == pytest.approx(theirs["win_rate"], abs=1e-6)
    assert ours["length_controlled_winrate"] == pytest.approx(theirs["length_controlled_winrate"], abs=0.02)


def test_raw_win_rates_are_those_of_alpaca_eval_for_every_published_model(alpaca_data: Path) -> None:
    paths = sorted((alpaca_data / "annotations").glob("*.csv.gz"))
    assert len(paths) >= 38
    for path in paths:
        annotations = read_annotations(path)
        theirs = peers.alpaca_eval_module().get_winrate(peers.alpaca_eval_table(annotations))
        ours = score_annotations(annotations, None, resamples=2)
        for column, value in theirs.items():
            assert ours[column] == pytest.approx(value, abs=1e-6), (annotations.model, column)

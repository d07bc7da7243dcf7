"""The page docs/leaderboard.md, made of any leaderboard."""

from docs.make_leaderboard import LATER, PROMPTED, TUNED, page
from harness.results.leaderboard import ComparedPair, Leaderboard, RankedModel, Ranking


def leaderboard() -> Leaderboard:
    models = tuple(
        RankedModel(name, 50.0 - place, (40.0, 60.0), 1 + place, (1, 2)) for place, name in enumerate(("one", "two"))
    )
    first, second = TUNED[0]
    pairs = (
        ComparedPair(first, second, "win_rate", 10, 3.0, (1.0, 5.0), 0.01, 0.04, "better"),
        ComparedPair(*LATER[0], "win_rate", 10, -3.0, (-5.0, 1.0), 0.3, 0.6, "undecided"),
    )
    return Leaderboard(
        "x", "alpaca_eval2", "", "", 10, 5, (Ranking("win_rate", "%", models, ((1, 2),), 0, 1),), (), pairs
    )


def test_gains_are_counted_by_what_they_are() -> None:
    lines = page(leaderboard()).splitlines()
    assert "tuned from, by win_rate: 1 better, 0 worse, 0 undecided of 1" in next(x for x in lines if "Tuned" in x)
    assert "0 better, 0 worse, 1 undecided of 1" in next(x for x in lines if x.startswith("- A later"))
    assert "0 undecided of 0" in next(x for x in lines if x.startswith("- One model"))
    assert PROMPTED and "| 1 | 1–2 | one | 50.00 | [40.00, 60.00] | 1 |" in lines
    assert "- win_rate: 0 of 1 pairs can be told apart; 0 of 2 ranks are certain" in lines

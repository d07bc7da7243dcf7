from typing import Any

import pytest

from evals.contracts import checked_scores
from harness.errors import UserError

SCORES = {"win_rate": 50.0, "ci95": {"win_rate": [40.0, 60.0]}, "n_asked": 10, "n_missing": 0, "withheld": None}


@pytest.mark.parametrize("key", SCORES)
def test_a_key_that_scores_lack_is_named(key: str) -> None:
    assert checked_scores("mine", ("win_rate",), SCORES) == SCORES
    lacking = {name: value for name, value in SCORES.items() if name != key}
    with pytest.raises(UserError, match=f"evaluation mine .*seed-0/scores.json: {key} is missing"):
        checked_scores("mine", ("win_rate",), lacking)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"win_rate": "high"}, "win_rate: expected a number, got 'high'"),
        ({"ci95": {"win_rate": 4.0}}, "ci95: win_rate: expected a list, got 4.0"),
        ({"ci95": 4.0}, "ci95: win_rate: expected a list, got 4.0"),
    ],
)
def test_a_score_that_departs_is_named(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        checked_scores("mine", ("win_rate",), {**SCORES, **change})

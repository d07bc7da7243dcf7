from typing import Any

import pytest

from evals.contracts import checked_scores, checked_summary
from harness.errors import UserError

FIGURE = {"value": 3.5, "ci95": [3.0, 4.0]}
SUMMARY = {"n": 3, "n_missing": 1, "n_tokens": 30, "length": FIGURE, "by": {"mean": FIGURE}, "none": None, "note": "x"}
SCORES = {"win_rate": 50.0, "ci95": {"win_rate": [40.0, 60.0]}, "n_asked": 10, "n_missing": 0, "withheld": None}


def test_a_summary_that_keeps_to_the_contract_is_returned_as_it_is() -> None:
    assert checked_summary("mine", SUMMARY) is SUMMARY


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"n": 2.5}, "n is the plain number 2.5; write a whole number"),
        ({"n": True}, "n is true; write a whole number"),
        ({"n_missing": -1}, "n_missing is the plain number -1"),
        ({"n_tokens": None}, "n_tokens is null"),
        ({"length": 3}, "length is the plain number 3; write"),
        ({"length": {"value": 3.5}}, "length has no ci95"),
        ({"length": {"ci95": None}}, "length has no value"),
        (
            {"length": {"value": None, "ci95": None}},
            "length: value is null; write a number, or null for the whole figure",
        ),
        ({"length": {"value": "3", "ci95": None}}, "length: value is the text '3'"),
        ({"length": {"value": 3, "ci95": [1]}}, r"length: ci95 is the list \[1\]; write \[LOW, HIGH\]"),
        ({"length": {"value": 3, "ci95": [1, None]}}, r"length: ci95 is the list \[1, None\]"),
        ({"by": {"mean": {"deep": 3.0}}}, "by: mean: deep is the plain number 3.0"),
        ({"values": [1, 2]}, r"values is the list \[1, 2\]"),
        ({"model": FIGURE}, "model is a name that harness eval uses itself"),
    ],
)
def test_what_departs_is_named(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(
        UserError, match=f"the evaluation mine does not keep to its contract: summary.json: {complaint}"
    ):
        checked_summary("mine", {**SUMMARY, **change})


@pytest.mark.parametrize("key", SCORES)
def test_a_key_that_scores_lack_is_named(key: str) -> None:
    assert checked_scores("mine", ("win_rate",), SCORES) is SCORES
    lacking = {name: value for name, value in SCORES.items() if name != key}
    with pytest.raises(UserError, match=f"evaluation mine .*seed-0/scores.json: {key} is missing"):
        checked_scores("mine", ("win_rate",), lacking)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"win_rate": "high"}, "win_rate is the text 'high'"),
        ({"ci95": {"win_rate": 4.0}}, "ci95: win_rate is the plain number 4.0"),
        ({"ci95": 4.0}, "ci95: win_rate is the plain number 4.0"),
    ],
)
def test_a_score_that_departs_is_named(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        checked_scores("mine", ("win_rate",), {**SCORES, **change})

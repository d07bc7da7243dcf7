import math
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harness.steps.verdicts import Reading, read_identifier, read_label, read_ranking

CORPUS = yaml.safe_load(Path(__file__).with_name("nasty_replies.yaml").read_text(encoding="utf-8"))
LABELS: list[dict[str, Any]] = CORPUS["labels"]
IDENTIFIERS: list[dict[str, Any]] = CORPUS["identifiers"]
RANKINGS: list[dict[str, Any]] = CORPUS["rankings"]

log_probability = st.floats(-50, 0)


def named(rows: list[dict[str, Any]]) -> Any:
    return pytest.mark.parametrize("row", rows, ids=[row["name"] for row in rows])


def arena_hard_score(judgment: str) -> tuple[str | None, bool]:
    """The verdict and whether to ask again, by the pattern in Arena-Hard v0.1's judge_config.yaml."""
    found = {match for match in re.findall(r"\[\[([AB<>=]+)\]\]", judgment) if match}
    return (min(found) if len(found) == 1 else None), not found


def label_reading(row: dict[str, Any]) -> Reading:
    if row["reading"] in ("no label", "no verdict"):
        return Reading("parse_failed", asks_again=row["reading"] == "no label")
    return Reading("ok", row["reading"])


@pytest.fixture(scope="module")
def logprob_parser() -> Any:
    """alpaca_eval's own."""
    pytest.importorskip("pkg_resources", reason="alpaca_eval imports it; setuptools<81 has it")
    return pytest.importorskip("alpaca_eval.completion_parsers").logprob_parser


def alpaca_eval_first(parser: Any, log_probabilities: dict[str, float]) -> float | None:
    """The preference for the first output as alpaca_eval reads it; None for no verdict."""
    alternatives = [{"token": token, "logprob": value} for token, value in log_probabilities.items()]
    completion = {"logprobs": {"content": [{"top_logprobs": alternatives}]}}
    (preference,) = parser(completion, numerator_token="m", denominator_tokens=["m", "M"], is_binarize=False)
    return None if math.isnan(preference) else 2 - preference


def test_each_reply_of_the_corpus_is_there_once() -> None:
    for rows, fields in (
        (LABELS, ("reply",)),
        (IDENTIFIERS, ("reply", "log_probabilities")),
        (RANKINGS, ("reply",)),
    ):
        assert len({row["name"] for row in rows}) == len(rows)
        assert len({str([row.get(field) for field in fields]) for row in rows}) == len(rows)


@named(LABELS)
def test_labels_are_read(row: dict[str, Any]) -> None:
    assert read_label(row["reply"]) == label_reading(row)


@named(LABELS)
def test_labels_are_read_as_arena_hard_does_or_the_difference_is_explained(row: dict[str, Any]) -> None:
    reading = label_reading(row)
    same = arena_hard_score(row["reply"]) == (reading.verdict or None, reading.asks_again)
    assert same == ("differs" not in row)


@given(pieces=st.lists(st.sampled_from(["A", "B", ">", ">>", "=", "[[", "]]", "[[A>B]]", "[[B>>A]]", " ", "\n", "x"])))
def test_labels_are_read_as_arena_hard_does_wherever_it_finds_labels_alone(pieces: list[str]) -> None:
    reply = "".join(pieces)
    found = set(re.findall(r"\[\[([AB<>=]+)\]\]", reply))
    if found <= {"A>>B", "A>B", "A=B", "B>A", "B>>A"}:
        reading = read_label(reply)
        assert (reading.verdict or None, reading.asks_again) == arena_hard_score(reply)


@named(IDENTIFIERS)
def test_identifiers_are_read(row: dict[str, Any]) -> None:
    reading = read_identifier(row["reply"], row.get("log_probabilities"))
    if "first" not in row:
        assert reading == Reading("parse_failed")
    else:
        assert reading.state == "ok"
        assert reading.first_preference == pytest.approx(row["first"], abs=1e-9)
        assert reading.verdict == ("m" if row["first"] >= 0.5 else "M")


@named([row for row in IDENTIFIERS if row.get("log_probabilities")])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # alpaca_eval's, of infinite values
def test_identifiers_are_read_as_alpaca_eval_does_or_the_difference_is_explained(
    row: dict[str, Any], logprob_parser: Any
) -> None:
    theirs = alpaca_eval_first(logprob_parser, row["log_probabilities"])
    assert (theirs == pytest.approx(row.get("first"), abs=1e-6)) == ("differs" not in row)


@given(
    alternatives=st.dictionaries(
        st.sampled_from(["m", "M", "The", "model", "м", "Both"]), log_probability, min_size=1, max_size=5
    )
)
def test_identifiers_are_read_as_alpaca_eval_does_wherever_they_are_spelt_exactly(
    alternatives: dict[str, float], logprob_parser: Any
) -> None:
    theirs = alpaca_eval_first(logprob_parser, alternatives)
    ours = read_identifier("m", alternatives).first_preference
    assert ours == (None if theirs is None else pytest.approx(theirs, abs=1e-12))


@given(first=log_probability, second=log_probability, spelling=st.sampled_from(["{}", " {}", "{}.", '"{}"', "{}\n"]))
def test_the_two_identifiers_are_treated_alike(first: float, second: float, spelling: str) -> None:
    m, M = spelling.format("m"), spelling.format("M")
    one = read_identifier("m", {m: first, M: second}).first_preference
    other = read_identifier("m", {m: second, M: first}).first_preference
    assert one is not None and other is not None
    assert one + other == pytest.approx(1)
    assert one == pytest.approx(1 / (1 + math.exp(second - first)))


@given(reply=st.text(max_size=60), alternatives=st.dictionaries(st.text(max_size=4), st.floats(), max_size=5))
def test_whatever_a_judge_replies_is_read_without_an_error(reply: str, alternatives: dict[str, float]) -> None:
    identifier = read_identifier(reply, alternatives)
    assert (identifier.state == "ok") == (identifier.first_preference is not None)
    assert identifier.first_preference is None or 0 <= identifier.first_preference <= 1
    label = read_label(reply)
    assert (label.state == "ok") == bool(label.verdict)
    assert not (label.asks_again and label.state == "ok")


@named(RANKINGS)
def test_rankings_are_read(row: dict[str, Any]) -> None:
    found = read_ranking(row["reply"])
    assert (found.state, found.verdict) == (
        ("parse_failed", "") if row["reading"] == "no verdict" else ("ok", row["reading"])
    )


@named([row for row in RANKINGS if "differs" not in row])
def test_rankings_are_read_as_by_alpaca_eval(row: dict[str, Any]) -> None:
    pytest.importorskip("pkg_resources", reason="alpaca_eval imports it; setuptools<81 has it")
    parser = pytest.importorskip("alpaca_eval.completion_parsers").ranking_parser
    (rank,) = parser(row["reply"])
    assert {"A>B": 1, "B>A": 2}.get(read_ranking(row["reply"]).verdict) == (None if math.isnan(rank) else rank)

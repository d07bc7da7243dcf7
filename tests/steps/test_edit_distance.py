from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.engine.store import RECORD, Store
from harness.errors import UserError
from harness.records import Prompt, Response
from harness.steps.data import model
from harness.steps.edit_distance import EditDistance, edit_distance, levenshtein, normalised
from tests.steps.given import answers, given_responses, made

TEXTS = st.text(alphabet="abé 👍\n", max_size=12)
WORDS = st.lists(st.sampled_from(["the", "sky", "is", "blue", "."]), max_size=8)


def naive_levenshtein(first: Sequence[object], second: Sequence[object]) -> int:
    """Wagner and Fischer 1974: the whole table, cell by cell."""
    table = [[i + j if i * j == 0 else 0 for j in range(len(second) + 1)] for i in range(len(first) + 1)]
    for i, left in enumerate(first, 1):
        for j, right in enumerate(second, 1):
            substitution = table[i - 1][j - 1] + (left != right)
            table[i][j] = min(substitution, table[i - 1][j] + 1, table[i][j - 1] + 1)
    return table[-1][-1]


@given(first=TEXTS, second=TEXTS)
def test_characters_equal_the_naive_table(first: str, second: str) -> None:
    assert levenshtein(first, second) == naive_levenshtein(first, second)


@given(first=WORDS, second=WORDS)
def test_tokens_equal_the_naive_table(first: list[str], second: list[str]) -> None:
    assert levenshtein(first, second) == naive_levenshtein(first, second)


@given(first=st.lists(st.integers(0, 200_000)), second=st.lists(st.integers(0, 200_000)))
def test_token_ids_equal_the_naive_table(first: list[int], second: list[int]) -> None:
    assert levenshtein(first, second) == naive_levenshtein(first, second)


@given(first=TEXTS, second=TEXTS, third=TEXTS)
def test_it_is_a_distance(first: str, second: str, third: str) -> None:
    assert levenshtein(first, second) == levenshtein(second, first)
    assert (levenshtein(first, second) == 0) == (first == second)
    assert levenshtein(first, third) <= levenshtein(first, second) + levenshtein(second, third)


@given(first=TEXTS, second=TEXTS)
def test_it_lies_between_the_difference_in_length_and_the_longer_length(first: str, second: str) -> None:
    distance = levenshtein(first, second)
    assert abs(len(first) - len(second)) <= distance <= max(len(first), len(second))
    assert 0 <= normalised(distance, first, second) <= 1


def test_a_known_distance() -> None:
    assert levenshtein("kitten", "sitting") == 3
    assert normalised(3, "kitten", "sitting") == pytest.approx(3 / 7)


def test_texts_are_joined_by_prompt_and_the_others_counted(store: Store) -> None:
    outputs = answers({"c": "new one", "a": "a red sky", "b": ""})
    baselines = answers({"a": "a blue sky", "b": "", "d": "gone", "e": "too"})
    measured = made(store, edit_distance(outputs=outputs, baselines=baselines, tokenizer=None))
    assert measured.rows(EditDistance) == [
        EditDistance("a", 4, pytest.approx(0.4), 1, pytest.approx(1 / 3)),
        EditDistance("b", 0, 0.0, 0, 0.0),
    ]
    assert store.record(measured)["counts"] == {"missing": 3, "rows": 2}
    assert measured.json(RECORD)["counts"]["missing"] == 3


def test_the_order_of_the_baselines_does_not_matter(store: Store) -> None:
    texts = {f"p{i}": f"text number {i * i}\nwith a line" for i in range(9)}
    outputs = answers({id: text[::-1] for id, text in texts.items()})
    shuffled = dict(reversed(texts.items()))
    rows = [
        made(store, edit_distance(outputs=outputs, baselines=answers(each), tokenizer=None)).rows(EditDistance)
        for each in (texts, shuffled)
    ]
    assert rows[0] == rows[1]
    assert [row.prompt_id for row in rows[0]] == list(texts)
    assert any(left.characters != right.characters for left, right in pairwise(rows[0]))


def test_tokens_of_a_checkpoint(store: Store) -> None:
    outputs, baselines = answers({"a": "its color is zyzzy  ."}), answers({"a": "its color is qwerty ."})
    words = made(store, edit_distance(outputs=outputs, baselines=baselines, tokenizer=None))
    tokens = made(store, edit_distance(outputs=outputs, baselines=baselines, tokenizer=model("mini:qwen2")))
    assert words.rows(EditDistance)[0].tokens == 1
    assert tokens.rows(EditDistance)[0].tokens == 0  # both are words that the vocabulary does not have


def test_a_prompt_answered_twice_is_refused(store: Store) -> None:
    twice = given_responses(rows=tuple(Response(Prompt("a", "x"), text, "w") for text in ("one", "two")))
    once = answers({"a": "one"})
    for outputs, baselines in ((twice, once), (once, twice)):
        with pytest.raises(UserError, match="'a' is answered twice"):
            made(store, edit_distance(outputs=outputs, baselines=baselines, tokenizer=None))

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.engine.store import RECORD, Store
from harness.errors import UserError
from harness.records import Prompt, Response
from harness.steps.data import model
from harness.steps.edit_distance import EditDistance, distance_between, edit_distance
from tests.steps.given import answers, given_responses, made

TEXTS = st.text(alphabet="abé 👍\n", max_size=12)


def naive_levenshtein(first: Sequence[object], second: Sequence[object]) -> int:
    """Wagner and Fischer 1974: the whole table, cell by cell."""
    table = [[i + j if i * j == 0 else 0 for j in range(len(second) + 1)] for i in range(len(first) + 1)]
    for i, left in enumerate(first, 1):
        for j, right in enumerate(second, 1):
            substitution = table[i - 1][j - 1] + (left != right)
            table[i][j] = min(substitution, table[i - 1][j] + 1, table[i][j - 1] + 1)
    return table[-1][-1]


@given(first=TEXTS, second=TEXTS)
def test_both_counts_equal_the_naive_table(first: str, second: str) -> None:
    found = distance_between("1", first, second, str.split)
    assert found.characters == naive_levenshtein(first, second)
    assert found.tokens == naive_levenshtein(first.split(), second.split())
    assert 0 <= found.characters_normalised <= 1 and 0 <= found.tokens_normalised <= 1


def test_a_known_distance() -> None:
    assert distance_between("1", "kitten", "sitting", list) == EditDistance("1", 3, 3 / 7, 3, 3 / 7)


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

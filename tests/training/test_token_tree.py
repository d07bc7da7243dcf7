"""Token trees: nothing of a sequence is lost, nothing that sequences share is held twice."""

from dataclasses import fields
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from harness.training.token_tree import TokenTree, token_tree
from tests.training.naive import sequences_in, targets_in

TOKENS = st.lists(st.integers(0, 2), min_size=1, max_size=9)  # of few kinds, so that beginnings are often shared


@st.composite
def rows(draw: st.DrawFn) -> tuple[list[list[int]], list[int]]:
    """A few sequences, many of them branches of others, and where the scored part of each starts."""
    sequences: list[list[int]] = []
    for _ in range(draw(st.integers(1, 6))):
        before = draw(st.sampled_from(sequences)) if sequences and draw(st.booleans()) else []
        sequences.append([*before[: draw(st.integers(0, len(before)))], *draw(TOKENS)])
    return sequences, [draw(st.integers(0, len(each))) for each in sequences]


@given(rows())
def test_every_sequence_can_be_read_back(row: tuple[list[list[int]], list[int]]) -> None:
    sequences, starts = row
    assert sequences_in(vars(token_tree(sequences, starts))) == sequences


@given(rows())
def test_scored_are_the_tokens_from_the_start_on_but_never_the_first(row: tuple[list[list[int]], list[int]]) -> None:
    sequences, starts = row
    tree = token_tree(sequences, starts)
    first = [max(start, 1) for start in starts]
    assert targets_in(vars(tree)) == [ids[start:] for ids, start in zip(sequences, first, strict=True)]
    for number, (ids, start) in enumerate(zip(sequences, first, strict=True)):
        places = tree.places[tree.owners == number]
        assert all(tree.members[place] >> number & 1 for place in places)
        assert tree.depths[places].tolist() == list(range(start - 1, len(ids) - 1))  # each is the one before a target
        assert tree.ids[places].tolist() == ids[start - 1 : -1]


@given(rows())
def test_shared_beginnings_are_held_once(row: tuple[list[list[int]], list[int]]) -> None:
    """As many tokens as there are different beginnings: those of a tree of all prefixes."""
    sequences, starts = row
    prefixes = {tuple(ids[: end + 1]) for ids in sequences for end in range(len(ids))}
    tree = token_tree(sequences, starts)
    assert len(tree.ids) == len(prefixes)


@given(rows())
def test_a_token_stands_behind_all_that_it_attends_to(row: tuple[list[list[int]], list[int]]) -> None:
    """Also as a model without our mask would have it: parents come first."""
    tree = token_tree(*row)
    for place, (depth, members) in enumerate(zip(tree.depths, tree.members, strict=True)):
        above = [other for other in range(place) if tree.members[other] & members and tree.depths[other] < depth]
        assert len(above) == depth  # one at each depth: its sequence up to itself, and nothing of another


def test_a_sequence_within_another_adds_nothing() -> None:
    tree = token_tree([[5, 6, 7], [5, 6], [5, 6, 7]], [1, 1, 2])
    assert tree.ids.tolist() == [5, 6, 7]
    assert tree.members.tolist() == [0b111, 0b111, 0b101]
    assert (tree.targets.tolist(), tree.owners.tolist()) == ([6, 7, 6, 7], [0, 0, 1, 2])


@given(rows())
def test_a_tree_is_the_same_from_the_columns_of_a_data_set(row: tuple[list[list[int]], list[int]]) -> None:
    from datasets import Dataset

    tree = token_tree(*row)
    columns: dict[str, Any] = {name: [column] for name, column in vars(tree).items()}
    again = TokenTree.of(Dataset.from_dict(columns).with_format("numpy")[0])
    for each in fields(TokenTree):
        assert np.array_equal(getattr(again, each.name), getattr(tree, each.name))

"""Segments of answers, and the buffer that pairs wait in."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.training.replay import OnlinePair, ReplayBuffer
from harness.training.segments import Segments, cut_answer, seed_of

END = 9


@given(st.lists(st.integers(0, 8), min_size=1, max_size=30), st.integers(1, 40), st.integers(0, 2**32))
def test_the_parts_of_an_answer_are_the_answer(answer: list[int], length: int, seed: int) -> None:
    cut = cut_answer(answer, length, seed)
    assert [*cut.before, *cut.segment, *cut.after] == answer
    assert len(cut.segment) == min(length, len(answer))
    assert cut == cut_answer(answer, length, seed)


def test_every_place_is_cut_at_alike() -> None:
    places = Counter(len(cut_answer(range(10), 4, seed).before) for seed in range(7000))
    assert sorted(places) == list(range(7))
    assert all(900 < count < 1100 for count in places.values())


def test_without_a_length_the_whole_answer_is_drawn_anew() -> None:
    assert cut_answer([1, 2, END], None, 5) == Segments((), (1, 2, END), ())


def test_the_drawn_segment_takes_the_place_of_the_old_one() -> None:
    cut = Segments((1, 2), (3, 4), (5, END))
    assert cut.with_segment([7, 8, 8, 8], [END], "unless_ended") == (1, 2, 7, 8, 5, END)
    assert cut.with_segment([7, END, 0, 0], [END], "unless_ended") == (1, 2, 7, END)
    assert cut.with_segment([7, END, 0, 0], [END], "always") == (1, 2, 7, 5, END)
    assert Segments((1,), (2, END), ()).with_segment([END, 0], [END], "always") == (1, END)


def pair(number: int) -> OnlinePair:
    return OnlinePair((0,), (number,), (number, number), number)


@given(st.integers(1, 8), st.lists(st.integers(0, 5), max_size=20))
def test_the_buffer_holds_the_latest(size: int, batches: list[int]) -> None:
    buffer, made = ReplayBuffer(size), 0
    for count in batches:
        buffer.add(pair(made + place) for place in range(count))
        made += count
    held = [step for *_, step in buffer.state["pairs"]]
    assert held == list(range(max(0, made - size), made)) and len(buffer) == len(held)


def test_the_more_often_a_pair_was_drawn_the_smaller_its_weight() -> None:
    """Of two pairs, the first drawn three times before: weights 1/4 and 1."""
    state = {"size": 2, "pairs": [[[0], [1], [1], 0], [[0], [2], [2], 1]], "drawn": [3, 0]}
    drawn = Counter(each.step for seed in range(5000) for each in ReplayBuffer.of(state).draw(1, seed))
    assert drawn[0] / 5000 == pytest.approx(0.2, abs=0.02)


def test_a_batch_is_drawn_with_the_counts_before_it_and_with_replacement() -> None:
    buffer = ReplayBuffer(1)
    buffer.add([pair(0)])
    assert buffer.draw(3, 0) == [pair(0)] * 3
    assert buffer.state["drawn"] == [3]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=6))
def test_a_buffer_that_was_written_down_draws_as_before(counts: list[int]) -> None:
    buffer = ReplayBuffer(5)
    for number, count in enumerate(counts):
        buffer.add([pair(number)])
        buffer.draw(count, number)
    copy = ReplayBuffer.of(json.loads(json.dumps(buffer.state)))
    assert copy.state == buffer.state and copy.draw(9, 3) == buffer.draw(9, 3)


def test_seeds_depend_on_every_part() -> None:
    seeds = {seed_of(seed, "answer", epoch, row) for seed in range(5) for epoch in range(5) for row in range(50)}
    assert len(seeds) == 5 * 5 * 50 and all(0 <= seed < 2**63 for seed in seeds)

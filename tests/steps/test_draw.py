from random import Random

from hypothesis import given
from hypothesis import strategies as st

from harness.engine.store import Store
from harness.records import Response
from harness.steps.draw import drawn, drawn_responses
from tests.steps.given import answers, made, texts

IDS = st.lists(st.text(max_size=5), unique=True, max_size=40)
SIZES = st.integers(0, 50)
SEEDS = st.integers(0, 5)


@given(ids=IDS, size=SIZES, seed=SEEDS)
def test_as_many_as_there_are_at_most_each_once_and_in_their_order(ids: list[str], size: int, seed: int) -> None:
    chosen = drawn([*ids, *ids], size, seed)
    assert len(chosen) == min(size, len(ids))
    assert chosen == [id for id in ids if id in set(chosen)]


@given(ids=IDS, size=SIZES, fewer=SIZES, seed=SEEDS, order=st.integers())
def test_a_draw_is_nested_and_independent_of_the_order(
    ids: list[str], size: int, fewer: int, seed: int, order: int
) -> None:
    shuffled = Random(order).sample(ids, len(ids))
    assert set(drawn(shuffled, size, seed)) == set(drawn(ids, size, seed))
    assert set(drawn(ids, min(fewer, size), seed)) <= set(drawn(ids, size, seed))


@given(ids=IDS, size=SIZES, seed=SEEDS)
def test_ids_that_are_not_drawn_can_be_taken_away(ids: list[str], size: int, seed: int) -> None:
    chosen = drawn(ids, size, seed)
    assert drawn(chosen, size, seed) == chosen


def test_every_id_is_drawn_about_as_often() -> None:
    """Of 40 ids 10 by each of 1,000 seeds: 250 times each on average, standard deviation 13.7."""
    ids = [f"preference_data-{number}" for number in range(40)]
    times = dict.fromkeys(ids, 0)
    for seed in range(1000):
        for id in drawn(ids, 10, seed):
            times[id] += 1
    assert sum(times.values()) == 10_000
    assert all(250 - 5 * 13.7 < count < 250 + 5 * 13.7 for count in times.values())


def test_the_same_prompts_are_drawn_from_every_set(store: Store) -> None:
    """Also from one that lacks some of the prompts, in whichever order."""
    ids = [f"p{number}" for number in range(30)]
    prompts = answers({id: f"reference {id}" for id in ids})
    some = answers({id: f"answer {id}" for id in reversed(ids) if id != "p3"})
    whole, part = (
        made(store, drawn_responses(responses=each, prompts=prompts, size=12, seed=4)).rows(Response)
        for each in (prompts, some)
    )
    assert list(texts(whole)) == drawn(ids, 12, 4)
    assert [row.prompt.id for row in part] == [id for id in reversed(drawn(ids, 12, 4)) if id != "p3"]
    assert all(row.text == f"answer {row.prompt.id}" for row in part)

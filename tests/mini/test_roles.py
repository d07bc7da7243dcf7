import json
import os
import subprocess
import sys
from hashlib import sha256
from itertools import combinations
from pathlib import Path
from statistics import fmean

import pytest

from harness.errors import UserError
from harness.mini.language import read_answer, read_request
from harness.mini.quality import gold_quality
from harness.mini.roles import ALPACA_EVAL_SIZES, ARENA_HARD_SIZES, ROLES, TRAINING_SIZES, read_role
from harness.mini.world import Request
from harness.recipes.loading import load_recipe
from harness.records import PreferencePair, Prompt, Response, to_json

ROOT = Path(__file__).parents[2]
TRAINING = ("demonstrations", "improver_data", "preference_data")
BENCHES = ("alpaca_eval2", "arena_hard")
FULL_SIZE = {"demonstrations": 3000, "improver_data": 1000, "preference_data": 2000, "alpaca_eval2": 805}


def responses(role: str, size: int) -> list[Response]:
    rows = read_role(role, size)
    assert all(isinstance(row, Response) for row in rows)
    return [row for row in rows if isinstance(row, Response)]


def pairs(size: int) -> list[PreferencePair]:
    rows = read_role("preference_data", size)
    return [row for row in rows if isinstance(row, PreferencePair)]


def prompts(role: str, size: int) -> list[Prompt]:
    return [row.prompt for row in read_role(role, size)]


def combinations_asked(role: str, size: int) -> set[tuple[str, frozenset[str]]]:
    asked = [read_request(prompt.text) for prompt in prompts(role, size)]
    return {(request.entity, frozenset(request.aspects)) for request in asked}


def mean_quality(rows: list[Response]) -> float:
    return fmean(gold_quality(row.prompt.text, row.text) for row in rows)


def digest_of_roles() -> str:
    rows = [to_json(row) for role in ROLES for row in read_role(role, 40)]
    return sha256(json.dumps(rows).encode()).hexdigest()


def test_evaluation_asks_nothing_that_a_training_role_asks() -> None:
    sizes = {**FULL_SIZE, "arena_hard": 500}
    asked = {role: combinations_asked(role, size) for role, size in sizes.items()}
    assert {bench: len(asked[bench]) for bench in BENCHES} == {"alpaca_eval2": 805, "arena_hard": 500}
    assert asked["alpaca_eval2"].isdisjoint(asked["arena_hard"])
    for role in TRAINING:
        for bench in BENCHES:
            assert asked[role].isdisjoint(asked[bench]), (role, bench)


@pytest.mark.parametrize(
    ("role", "sizes"),
    [(role, TRAINING_SIZES) for role in TRAINING]
    + [("alpaca_eval2", ALPACA_EVAL_SIZES), ("arena_hard", ARENA_HARD_SIZES)],
)
def test_requests_have_as_many_aspects_as_the_role_says(role: str, sizes: tuple[int, ...]) -> None:
    assert {len(read_request(prompt.text).aspects) for prompt in prompts(role, 200)} == set(sizes)


def test_the_harder_set_asks_for_more_than_training_does_on_average() -> None:
    assert min(ARENA_HARD_SIZES) >= max(TRAINING_SIZES) > max(ALPACA_EVAL_SIZES)


@pytest.mark.parametrize("role", sorted(ROLES))
def test_rows_are_numbered_and_prompts_name_their_role(role: str) -> None:
    rows = prompts(role, 30)
    assert [prompt.id.rpartition("-")[2] for prompt in rows] == [str(index) for index in range(30)]
    assert len({prompt.id for prompt in rows}) == 30


@pytest.mark.parametrize("role", sorted(ROLES))
def test_the_first_rows_are_the_same_in_any_size(role: str) -> None:
    assert read_role(role, 80)[:30] == read_role(role, 30)


@pytest.mark.parametrize("role", sorted(ROLES))
def test_the_same_size_gives_the_same_rows(role: str) -> None:
    assert read_role(role, 30) == read_role(role, 30)


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_roles_are_the_same_in_every_process(hash_seed: str) -> None:
    command = [sys.executable, "-c", "from tests.mini.test_roles import digest_of_roles as d; print(d())"]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == digest_of_roles()


def test_the_training_roles_do_not_share_their_requests() -> None:
    asked = {role: [read_request(prompt.text) for prompt in prompts(role, 300)] for role in TRAINING}
    for one, other in combinations(TRAINING, 2):
        assert sum(a == b for a, b in zip(asked[one], asked[other], strict=True)) < 5


def test_every_answer_states_something_about_what_was_asked() -> None:
    for role in ("demonstrations", "improver_data", *BENCHES):
        for row in responses(role, 200):
            request = read_request(row.prompt.text)
            assert {statement.aspect for statement in read_answer(row.text)} & set(request.aspects), row


def test_demonstrations_are_of_middling_quality_and_references_are_good() -> None:
    house, scholar = (mean_quality(responses(role, 1000)) for role in ("demonstrations", "improver_data"))
    assert 0.4 < house < 0.65
    assert house + 0.2 < scholar < 0.95


def test_the_baseline_of_each_bench_is_better_than_demonstrations() -> None:
    house = mean_quality(responses("demonstrations", 500))
    assert all(house + 0.15 < mean_quality(responses(bench, 400)) < 0.95 for bench in BENCHES)


def test_chosen_answers_are_better_than_rejected_ones_but_not_always() -> None:
    rows = pairs(1000)
    gains = [gold_quality(r.prompt.text, r.chosen) - gold_quality(r.prompt.text, r.rejected) for r in rows]
    assert fmean(gains) > 0.1
    assert sum(gain > 0 for gain in gains) > 5 * sum(gain < 0 for gain in gains) > 0  # the judge errs
    assert all(row.chosen != row.rejected for row in rows[:100])


@pytest.mark.parametrize(("manner", "least", "most"), [("verbose", 1.4, 2.5), ("concise", 0.4, 0.8)])
def test_gamed_baselines_say_the_same_longer_or_shorter(manner: str, least: float, most: float) -> None:
    plain, gamed = responses("alpaca_eval2", 200), responses(f"alpaca_eval2_{manner}", 200)
    assert [row.prompt for row in plain] == [row.prompt for row in gamed]
    for row, other in zip(plain, gamed, strict=True):
        stated, restated = ([(s.aspect, s.value) for s in read_answer(r.text)] for r in (row, other))
        assert stated == restated
        assert gold_quality(row.prompt.text, row.text) == gold_quality(row.prompt.text, other.text)
    ratios = [len(other.text) / len(row.text) for row, other in zip(plain, gamed, strict=True)]
    assert least < fmean(ratios) < most
    assert fmean((ratio > 1) == (most > 1) for ratio in ratios) > 0.95


def test_the_difficulty_pool_answers_the_requests_of_the_bench() -> None:
    asked = prompts("alpaca_eval2", 50)
    pool = [
        role.reference.removeprefix("mini:") for role in load_recipe("mini").benches["alpaca_eval2"].difficulty_pool
    ]
    assert len(pool) == 5
    assert all(prompts(role, 50) == asked for role in pool)
    assert len({tuple(row.text for row in responses(role, 50)) for role in pool}) == 5


def test_scales_ask_for_no_more_evaluation_rows_than_there_are() -> None:
    for name, bench in load_recipe("mini").benches.items():
        assert (
            len(read_role(bench.baselines.reference.removeprefix("mini:"), bench.baselines.size))
            == {
                "alpaca_eval2": 805,
                "arena_hard": 500,
                "pairwise": 805,
            }[name]
        )


@pytest.mark.parametrize(("role", "rows"), [("demonstrations", 3000), ("arena_hard", 500)])
def test_more_rows_than_a_role_has_are_refused(role: str, rows: int) -> None:
    with pytest.raises(UserError, match=f"'{role}' has {rows} rows, not {rows + 1}; ask for fewer"):
        read_role(role, rows + 1)


def test_a_misspelt_role_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"unknown mini data role 'demonstration'; did you mean 'demonstrations'\?"):
        read_role("demonstration", 1)


def test_requests_differ_from_row_to_row() -> None:
    asked: list[Request] = [read_request(prompt.text) for prompt in prompts("demonstrations", 500)]
    assert len(set(asked)) > 450

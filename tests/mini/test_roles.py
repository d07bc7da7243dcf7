"""The data roles: what each holds, and that evaluation and training do not meet."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from itertools import combinations
from pathlib import Path
from random import Random
from statistics import fmean

import pytest

from harness.errors import UserError
from harness.mini import writers
from harness.mini.language import FILLERS, clauses, read_claims, style_of, write_answer
from harness.mini.pretrain import MAX_REQUEST
from harness.mini.pretraining_texts import draw_texts
from harness.mini.quality import gold_quality
from harness.mini.requests import Request, read_request
from harness.mini.roles import (
    ALPACA_EVAL_SIZES,
    ARENA_HARD_SIZES,
    DISTANT_SIZES,
    PREFERENCE_WRITERS,
    ROLES,
    SUMMARY_SIZES,
    SUMMARY_WRITERS,
    TRAINING_SIZES,
    read_role,
)
from harness.mini.world import ASPECTS, Topic, distant_entities, entities, is_for_evaluation, true_value
from harness.recipes.loading import load_recipe
from harness.records import PreferencePair, Prompt, Response, to_json
from tests.mini.strategies import truth

ROOT = Path(__file__).parents[2]
TRAINING = {
    "demonstrations": 3000,
    "improver_data": 1000,
    "preference_data": 2000,
    "conversations": 3000,
    "conversation_pairs": 2000,
    "summaries": 3000,
    "summary_pairs": 2000,
}
EVALUATION = {
    "alpaca_eval2": 805,
    "arena_hard": 500,
    "two_turn_questions": 160,
    "instructions": 541,
    "summaries_test": 1024,
}
DISTANT = {"summaries_distant": 1024}
SIZES = {**TRAINING, **EVALUATION, **DISTANT}
OF_BASELINE = sorted(ROLES.keys() - SIZES.keys())
PAIRS = {
    "preference_data": PREFERENCE_WRITERS,
    "conversation_pairs": PREFERENCE_WRITERS,
    "summary_pairs": SUMMARY_WRITERS,
}
WRITER = {
    "demonstrations": "house",
    "improver_data": "scholar",
    "conversations": "house",
    "two_turn_questions": "teacher",
    "instructions": "teacher",
    "summaries": "editor",
    "summaries_test": "editor",
    "summaries_distant": "editor",
    "alpaca_eval2": "teacher",
    "arena_hard": "clerk",
    **{f"alpaca_eval2_{name}": name for name in ("house", "scholar", "clerk", "student", "rambler")},
    "alpaca_eval2_verbose": "teacher_verbose",
    "alpaca_eval2_concise": "teacher_concise",
}
TALKS = ("conversations", "conversation_pairs", "two_turn_questions")


@cache
def whole(role: str) -> list[Response] | list[PreferencePair]:
    return read_role(role, SIZES.get(role, 805))


def responses(role: str) -> list[Response]:
    return [row for row in whole(role) if isinstance(row, Response)]


def pairs(role: str) -> list[PreferencePair]:
    return [row for row in whole(role) if isinstance(row, PreferencePair)]


def prompts(role: str) -> list[Prompt]:
    return [row.prompt for row in whole(role)]


@cache
def requests(role: str) -> list[Request]:
    return [read_request(prompt.text, prompt.requests_before) for prompt in prompts(role)]


def answers(row: Response | PreferencePair) -> list[str]:
    return [row.text] if isinstance(row, Response) else [row.chosen, row.rejected]


def quality(prompt: Prompt, answer: str) -> float:
    return gold_quality(prompt.text, answer, prompt.requests_before)


def mean_quality(role: str) -> float:
    return fmean(quality(row.prompt, row.text) for row in responses(role))


Combination = tuple[str, frozenset[str]]


def asked_by(text: str, history: tuple[str, ...]) -> Iterator[Combination]:
    """Every entity with the aspects asked of it, in each turn."""
    for number, turn in enumerate((*history, text)):
        request = read_request(turn, history[:number])
        for entity in filter(None, (request.entity, request.other)):
            yield entity, frozenset(request.topic.aspects)


@cache
def asked_in(role: str) -> set[Combination]:
    return {each for prompt in prompts(role) for each in asked_by(prompt.text, prompt.requests_before)}


@cache
def evaluation_topics_of(role: str) -> set[Combination]:
    """What a role of evaluation asks for, its second turns by what they lean on."""
    firsts = [read_request((*prompt.requests_before, prompt.text)[0]) for prompt in prompts(role)]
    return {(first.entity, frozenset(first.topic.aspects)) for first in firsts}


def test_second_turns_of_evaluation_ask_for_something_that_no_training_set_asks_for() -> None:
    trained = set().union(*(asked_in(role) for role in TRAINING))
    for prompt in prompts("two_turn_questions"):
        assert not set(asked_by(prompt.text, prompt.requests_before)) <= trained, prompt


@pytest.mark.parametrize("role", TALKS)
def test_corrections_say_what_the_answer_did_not(role: str) -> None:
    corrected = [(prompt, read_claims(prompt.text.removeprefix("no , "), "")) for prompt in prompts(role)]
    found = [(prompt, claims[0]) for prompt, claims in corrected if prompt.text.startswith("no ,")]
    are_true = []
    for prompt, (_, aspect, value) in found:
        about = read_request(prompt.requests_before[0]).entity
        assert (about, aspect, value) not in read_claims(prompt.history[1].content, about)
        are_true.append(value == true_value(about, aspect))
    assert {True, False} == set(are_true)


def test_every_role_is_listed_here() -> None:
    assert set(OF_BASELINE) <= set(WRITER)
    assert set(SIZES) <= set(ROLES)
    assert set(ROLES) == set(WRITER) | set(PAIRS)


@pytest.mark.parametrize("role", sorted(ROLES))
def test_roles_have_as_many_rows_as_they_say_and_the_same_whenever_they_are_made(role: str) -> None:
    rows = ROLES[role]()
    assert len(rows) == SIZES.get(role, 805)
    assert rows == whole(role)
    assert len({prompt.id for prompt in prompts(role)}) == len(rows)
    assert [prompt.id.rpartition("-")[2] for prompt in prompts(role)] == [str(number) for number in range(len(rows))]


@pytest.mark.parametrize("role", ["arena_hard", "instructions", "two_turn_questions"])
def test_the_first_rows_are_the_same_in_any_size(role: str) -> None:
    assert read_role(role, 30) == whole(role)[:30]


@pytest.mark.parametrize(("role", "writer"), WRITER.items())
def test_each_role_has_its_writer(role: str, writer: str) -> None:
    assert {row.writer for row in responses(role)} == {writer}
    style = {"teacher_verbose": "rambler", "teacher_concise": "note", "editor": "house"}.get(writer, writer)
    if role not in ("instructions", *TALKS):
        claiming = [clause for row in responses(role)[:100] for clause in clauses(row.text) if read_claims(clause, "x")]
        assert {style_of(clause) for clause in claiming} == {style}


@pytest.mark.parametrize(("role", "among"), PAIRS.items())
def test_pairs_are_written_by_two_different_writers(role: str, among: tuple[writers.Writer, ...]) -> None:
    met = set()
    for row in pairs(role)[:300]:
        request = read_request(row.prompt.text, row.prompt.requests_before)
        if not request.instructions and not request.other:
            styles = [style_of(next(filter(style_is_told, clauses(text)))) for text in (row.chosen, row.rejected)]
            assert styles[0] != styles[1]
            met |= set(styles)
    assert met == {writer.style for writer in among}


def style_is_told(clause: str) -> bool:
    return bool(read_claims(clause, "x"))


@pytest.mark.parametrize("bench", EVALUATION)
def test_evaluation_asks_nothing_that_a_training_role_asks(bench: str) -> None:
    kept = evaluation_topics_of(bench)
    assert len(kept) == EVALUATION[bench]  # none twice
    assert all(is_for_evaluation(*each) for each in kept)
    for role in TRAINING:
        assert asked_in(role).isdisjoint(kept), role


@pytest.mark.parametrize("role", TRAINING)
def test_training_asks_nothing_that_is_kept_for_evaluation(role: str) -> None:
    assert not any(is_for_evaluation(*each) for each in asked_in(role))


def test_pretraining_asks_nothing_that_evaluation_asks() -> None:
    kept = set().union(*(evaluation_topics_of(bench) for bench in EVALUATION))
    for text in draw_texts(Random(0), "qwen2", MAX_REQUEST, 4000):
        turns = [turn.partition(" <|end|>")[0].strip() for turn in text.prompt.split("<|user|>")[1:]]
        assert set(asked_by(turns[-1], tuple(turns[:-1])) if turns else ()).isdisjoint(kept)


def test_what_is_asked_in_the_two_benches_of_judges_differs() -> None:
    assert asked_in("alpaca_eval2").isdisjoint(asked_in("arena_hard"))


@pytest.mark.parametrize("role", TRAINING)
def test_no_training_role_names_a_distant_entity(role: str) -> None:
    words = {
        word
        for row in whole(role)
        for text in (row.prompt.text, *(turn.content for turn in row.prompt.history), *answers(row))
        for word in text.split()
    }
    assert not words & set(distant_entities())
    assert words & set(entities()) == set(entities())


def test_distant_summaries_name_distant_entities_alone() -> None:
    words = {word for prompt in prompts("summaries_distant") for word in prompt.text.split()}
    assert words & {*distant_entities(), *entities()} == set(distant_entities())


@pytest.mark.parametrize(
    ("role", "sizes"),
    [
        *((role, TRAINING_SIZES) for role in ("demonstrations", "improver_data", "preference_data", "instructions")),
        ("alpaca_eval2", ALPACA_EVAL_SIZES),
        ("arena_hard", ARENA_HARD_SIZES),
        *((role, SUMMARY_SIZES) for role in ("summaries", "summary_pairs", "summaries_test")),
        ("summaries_distant", DISTANT_SIZES),
    ],
)
def test_requests_have_as_many_aspects_as_the_role_says(role: str, sizes: tuple[int, ...]) -> None:
    assert {len(request.topic.aspects) for request in requests(role)} == set(sizes)


def test_the_harder_set_asks_for_no_more_than_training_does_but_for_more_than_the_other() -> None:
    assert max(TRAINING_SIZES) == max(ARENA_HARD_SIZES) >= min(ARENA_HARD_SIZES) > max(ALPACA_EVAL_SIZES)


@pytest.mark.parametrize(("role", "wording"), [("summaries_test", "summarise"), ("summaries_distant", "in brief")])
def test_the_two_distributions_of_summaries_differ_in_words_and_length(role: str, wording: str) -> None:
    assert all(wording in prompt.text for prompt in prompts(role))
    lengths = {each: fmean(len(prompt.text.split()) for prompt in prompts(each)) for each in ("summaries", role)}
    assert (lengths[role] > 1.1 * lengths["summaries"]) == (role == "summaries_distant")


@pytest.mark.parametrize("role", TALKS)
def test_second_turns_lean_on_the_first(role: str) -> None:
    second_turns = [row for row in whole(role) if row.prompt.history]
    assert len(second_turns) == len(whole(role)) / (1 if role == "two_turn_questions" else 2)
    for row in second_turns:
        [asked, answered] = row.prompt.history
        assert (asked.role, answered.role) == ("user", "assistant")
        first = read_request(asked.content)
        second = read_request(row.prompt.text, (asked.content,))
        assert second.entity == first.entity
        assert first.entity not in row.prompt.text.split()
        assert read_claims(answered.content, first.entity)
        assert {claim.aspect for claim in read_claims(answered.content, first.entity)} <= set(first.topic.aspects)


@pytest.mark.parametrize("role", ["conversations", "conversation_pairs", "instructions"])
def test_requests_with_instructions_have_up_to_three(role: str) -> None:
    numbers = {len(request.instructions) for request, prompt in zip(requests(role), prompts(role), strict=True)
               if not prompt.history}  # fmt: skip
    assert numbers == {1, 2, 3}


def digest_of_roles() -> str:
    roles = ("alpaca_eval2_verbose", "conversation_pairs", "instructions", "summaries_distant", "two_turn_questions")
    rows = [to_json(row) for role in roles for row in whole(role)[::5]]
    return sha256(json.dumps(rows).encode()).hexdigest()


def test_roles_are_the_same_in_every_process() -> None:
    command = [sys.executable, "-c", "from tests.mini.test_roles import digest_of_roles as d; print(d())"]
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == digest_of_roles()


def test_the_training_roles_do_not_share_their_requests() -> None:
    for one, other in combinations(("demonstrations", "improver_data", "preference_data", "summaries"), 2):
        shared = sum(a == b for a, b in zip(requests(one)[:300], requests(other)[:300], strict=True))
        assert shared < 5


@pytest.mark.parametrize("role", sorted(ROLES))
def test_every_answer_states_something_about_what_was_asked(role: str) -> None:
    for row, request in zip(whole(role)[:300], requests(role), strict=False):
        asked = {claim[:2] for claim in request.claims}
        for text in answers(row):
            assert asked & {claim[:2] for claim in read_claims(text, request.entity)}, row


def test_demonstrations_are_of_middling_quality_and_references_are_good() -> None:
    house, scholar = (mean_quality(role) for role in ("demonstrations", "improver_data"))
    assert 0.4 < house < 0.65
    assert house + 0.2 < scholar < 0.95
    assert 0.4 < mean_quality("conversations") < 0.65
    assert 0.4 < mean_quality("summaries") < 0.75


def test_the_baseline_of_each_bench_is_better_than_demonstrations() -> None:
    house = mean_quality("demonstrations")
    assert all(house + 0.15 < mean_quality(bench) < 0.95 for bench in ("alpaca_eval2", "arena_hard", "instructions"))


@pytest.mark.parametrize("role", PAIRS)
def test_chosen_answers_are_better_than_rejected_ones_but_not_always(role: str) -> None:
    gains = [quality(row.prompt, row.chosen) - quality(row.prompt, row.rejected) for row in pairs(role)]
    assert fmean(gains) > 0.1
    assert sum(gain > 0 for gain in gains) > 3 * sum(gain < 0 for gain in gains) > 0  # the judge errs
    assert fmean(row.chosen == row.rejected for row in pairs(role)) < 0.03  # where instructions leave no other form


@pytest.mark.parametrize(("manner", "least", "most"), [("verbose", 1.4, 2.5), ("concise", 0.3, 0.8)])
def test_gamed_baselines_say_the_same_longer_or_shorter(manner: str, least: float, most: float) -> None:
    plain, gamed = responses("alpaca_eval2"), responses(f"alpaca_eval2_{manner}")
    assert [row.prompt for row in plain] == [row.prompt for row in gamed]
    for row, other in zip(plain, gamed, strict=True):
        stated, restated = (read_claims(each.text, "it") for each in (row, other))
        assert [claim[1:] for claim in stated] == [claim[1:] for claim in restated]
        fillers = [len(clauses(each.text)) - len(stated) for each in (row, other)]
        assert fillers[1] == (len(stated) if manner == "verbose" else 0)
    ratios = [len(other.text.split()) / len(row.text.split()) for row, other in zip(plain, gamed, strict=True)]
    assert least < fmean(ratios) < most
    assert fmean((ratio > 1) == (most > 1) for ratio in ratios) > 0.95


def test_the_difficulty_pool_answers_the_requests_of_the_bench() -> None:
    asked = prompts("alpaca_eval2")
    pool = [
        role.reference.removeprefix("mini:") for role in load_recipe("mini").benches["alpaca_eval2"].difficulty_pool
    ]
    assert len(pool) == 5
    assert all(prompts(role) == asked for role in pool)
    assert len({tuple(row.text for row in responses(role)[:50]) for role in pool}) == 5


def test_scales_ask_for_no_more_evaluation_rows_than_there_are() -> None:
    for bench in load_recipe("mini").benches.values():
        asked = getattr(bench, "questions", None) or bench.baselines
        assert asked.size == len(whole(asked.reference.removeprefix("mini:")))


@pytest.mark.parametrize("role", TRAINING)
def test_no_training_row_is_longer_than_the_recipe_allows(role: str) -> None:
    """In tokens, with those of the chat template: two around a turn."""
    max_length = min(method["training"]["max_length"] for method in load_recipe("mini").methods.values())
    for row in whole(role):
        shown = sum(len(turn.content.split()) + 2 for turn in row.prompt.history) + len(row.prompt.text.split()) + 2
        assert all(shown + len(text.split()) + 2 <= max_length for text in answers(row))


def test_the_longest_answer_that_makes_sense_fills_half_of_what_may_be_written() -> None:
    longest = [write_answer(truth(Topic(entities()[0], ASPECTS[:7])), "rambler", entities()[0])]
    longest += sorted(FILLERS, key=lambda filler: len(filler.split()))[-2:]
    assert max(TRAINING_SIZES) == 7
    assert 2 * len(" ".join(longest).split()) <= load_recipe("mini").sampling.max_new_tokens


@pytest.mark.parametrize(("role", "rows"), [("demonstrations", 3000), ("arena_hard", 500)])
def test_more_rows_than_a_role_has_are_refused(role: str, rows: int) -> None:
    with pytest.raises(UserError, match=f"'{role}' has {rows} rows, not {rows + 1}; ask for fewer"):
        read_role(role, rows + 1)


def test_a_misspelt_role_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"unknown mini data role 'demonstration'; did you mean 'demonstrations'\?"):
        read_role("demonstration", 1)


def test_requests_differ_from_row_to_row() -> None:
    assert len(set(requests("demonstrations")[:500])) > 450

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch

from harness.backends import hf
from harness.backends.chat import prompt_text
from harness.backends.hf import Likelihoods, TransformersGenerator, load_checkpoint
from harness.backends.interfaces import Completion, Conversation, Sampling
from harness.core.records import Prompt, Response
from harness.mini.roles import read_role
from tests.backends.naive import Naive, alone

GREEDY = Sampling(temperature=0.0, top_p=1.0, max_new_tokens=60)
PAPER = Sampling(temperature=0.7, top_p=0.9, max_new_tokens=60)
LONG = Sampling(temperature=0.7, top_p=0.9, max_new_tokens=250)
FLAT = 1000.0
"""A temperature at which every word of the vocabulary is about as likely as any other."""


@pytest.fixture(scope="module")
def generator(base: Path) -> TransformersGenerator:
    return TransformersGenerator(base)


def requests(count: int) -> list[Conversation]:
    return alone(row.prompt.text for row in read_role("demonstrations", count))


def agreement(some: Sequence[Completion], others: Sequence[Completion]) -> int:
    """How many are equal: padding may turn the last bit of a logit, and with it a near tie."""
    return sum(a == b for a, b in zip(some, others, strict=True))


def first_tokens(generator: TransformersGenerator, sampling: Sampling, draws: int = 600) -> set[int]:
    """The different tokens that one message is answered with, cut after one token."""
    [message] = requests(1)
    one = Sampling(sampling.temperature, sampling.top_p, 1)
    return {token for done in generator.complete([message] * draws, one, range(draws)) for token in done.token_ids}


def test_greedy_decoding_takes_the_likeliest_token_each_time(generator: TransformersGenerator, base: Path) -> None:
    naive = Naive(base)
    for message in requests(4):
        [done] = generator.complete([message], GREEDY, [0])
        for position, token in enumerate(done.token_ids):
            before = naive.tokenizer.decode(done.token_ids[:position])
            ids = naive.tokenizer(prompt_text(naive.tokenizer, message) + before, return_tensors="pt")["input_ids"]
            with torch.inference_mode():
                assert int(naive.model(input_ids=ids).logits[0, -1].argmax()) == token


def test_greedy_decoding_in_a_batch_equals_one_by_one(generator: TransformersGenerator) -> None:
    asked = requests(24)
    together = generator.complete(asked, GREEDY, [0] * 24)
    one_by_one = [generator.complete([message], GREEDY, [0])[0] for message in asked]
    assert len({len(message.content.split()) for [message] in asked}) > 3  # so that there is padding
    assert agreement(together, one_by_one) >= 23
    assert generator.complete(asked, GREEDY, range(24)) == together


def test_the_seed_fixes_what_is_drawn(generator: TransformersGenerator) -> None:
    asked = requests(8)
    one, same, other = (generator.complete(asked, PAPER, seeds) for seeds in (range(8), range(8), range(8, 16)))
    assert one == same
    assert not any(a == b for a, b in zip(one, other, strict=True))


def test_a_completion_depends_on_its_own_prompt_and_seed_alone(generator: TransformersGenerator) -> None:
    asked, seeds = requests(24), list(range(24))
    together = generator.complete(asked, PAPER, seeds)
    one_by_one = [generator.complete([message], PAPER, [seed])[0] for message, seed in zip(asked, seeds, strict=True)]
    mixed = Random(0).sample(range(24), 24)
    in_two = [
        done
        for half in (mixed[:7], mixed[7:])
        for done in generator.complete([asked[i] for i in half], PAPER, [seeds[i] for i in half])
    ]
    assert agreement(together, one_by_one) >= 23
    assert agreement([together[i] for i in mixed], in_two) >= 23
    assert len({done.token_ids for done in together}) > 20


def test_one_prompt_with_many_seeds_is_answered_in_many_ways(generator: TransformersGenerator) -> None:
    done = generator.complete(requests(1) * 64, Sampling(FLAT, 1.0, 2), range(64))
    assert len({one.token_ids for one in done}) > 60
    assert len({one.token_ids[0] for one in done}) > 40  # of 245, were they independent: 57


def test_the_temperature_is_passed_on(generator: TransformersGenerator) -> None:
    flat, cold = Sampling(FLAT, 1.0, 1), Sampling(0.01, 1.0, 1)
    assert len(first_tokens(generator, cold)) == 1
    assert len(first_tokens(generator, flat)) > 200


def test_the_nucleus_is_cut_by_top_p_and_not_to_fifty_tokens(generator: TransformersGenerator) -> None:
    vocabulary = 245
    whole, half = (len(first_tokens(generator, Sampling(FLAT, top_p, 1), 1500)) for top_p in (1.0, 0.5))
    assert whole > 0.95 * vocabulary  # transformers' own top_k would leave 50
    assert 0.4 * vocabulary < half < 0.6 * vocabulary
    assert len(first_tokens(generator, Sampling(FLAT, 1e-6, 1))) == 1


def test_an_answer_ends_with_its_closing_token_which_is_not_part_of_it(generator: TransformersGenerator) -> None:
    asked = alone(
        f"request : {row.prompt.text} reference : {row.text} task : answer the request using the reference ."
        for row in read_role("improver_data", 16)
        if isinstance(row, Response)
    )
    stopped = [done for done in generator.complete(asked, PAPER, range(16)) if done.finish_reason == "stop"]
    assert len(stopped) > 12
    for done in stopped:
        assert "<|" not in done.text
        assert len(done.text.split()) == len(done.token_ids) < PAPER.max_new_tokens


def test_an_answer_that_reaches_the_limit_says_so(generator: TransformersGenerator) -> None:
    cut = generator.complete(requests(4), Sampling(0.0, 1.0, 3), range(4))
    whole = generator.complete(requests(4), GREEDY, range(4))
    assert [done.finish_reason for done in cut] == ["length"] * 4
    assert [done.token_ids for done in cut] == [done.token_ids[:3] for done in whole]


@pytest.mark.parametrize("family", ["qwen2", "llama"])
def test_likelihoods_of_a_batch_equal_the_naive_loop(family: str) -> None:
    from harness.backends.models import checkpoint_folder

    folder = checkpoint_folder(f"mini:{family}")
    rows = [row for row in read_role("improver_data", 12) if isinstance(row, Response)]
    rows.append(Response(Prompt("empty", rows[0].prompt.text), "", "nobody"))
    measured = Likelihoods(folder).negative_log_likelihoods(alone(r.prompt.text for r in rows), [r.text for r in rows])
    naive = Naive(folder)
    for row, (negative_log_likelihood, tokens) in zip(rows, measured, strict=True):
        _, answer = naive.log_probabilities(row.prompt.text, row.text)
        assert tokens == len(answer) == len(row.text.split()) + 1
        assert negative_log_likelihood == pytest.approx(-sum(answer), abs=1e-4 * tokens)


@pytest.mark.parametrize("family", ["qwen2", "llama"])
def test_a_checkpoint_keeps_its_own_tokenizer(family: str) -> None:
    from harness.backends.models import checkpoint_folder

    _, tokenizer = load_checkpoint(checkpoint_folder(f"mini:{family}"))
    ids: Any = tokenizer("its color is red .", add_special_tokens=False)["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == ["its", "color", "is", "red", "."]


def test_rows_that_end_before_their_batch_are_told(
    generator: TransformersGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hf, "STEPS_BETWEEN_LOOKS", 1)
    heard: list[int] = []
    told = generator.complete(requests(12), LONG, range(12), heard.append)
    assert told == generator.complete(requests(12), LONG, range(12))
    assert 0 < sum(heard) <= sum(done.finish_reason == "stop" for done in told)


def test_likelihoods_under_half_precision_weights_do_not_depend_on_the_batch(base: Path, tmp_path: Path) -> None:
    """Equal to the naive loop in float32 to 1e-4, though the checkpoint is stored in bfloat16."""
    model, tokenizer = load_checkpoint(base)
    model.bfloat16().save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    rows = [row for row in read_role("alpaca_eval2", 12) if isinstance(row, Response)]
    messages, completions = [row.prompt.text for row in rows], [row.text for row in rows]
    together = Likelihoods(tmp_path).negative_log_likelihoods(alone(messages), completions)
    naive = Naive(tmp_path)
    naive.model.float()
    one_by_one = [-naive.answer_log_probability(*pair) for pair in zip(messages, completions, strict=True)]
    assert [nats for nats, _ in together] == pytest.approx(one_by_one, rel=1e-4)

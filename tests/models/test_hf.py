import json
import math
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from transformers import TemperatureLogitsWarper, TopPLogitsWarper

from harness.errors import UserError
from harness.mini.roles import read_role
from harness.models import hf
from harness.models.chat import prompt_ids, prompt_text
from harness.models.generator import Completion, Conversation, Sampling
from harness.models.hf import Likelihoods, TransformersGenerator, load_checkpoint, nucleus_tokens
from harness.records import Prompt, Response
from tests.models.families import FAMILIES, checkpoint
from tests.training.naive import Naive, alone

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
    flat = Sampling(FLAT, 1.0, 8)
    one, same, other = (generator.complete(asked, flat, seeds) for seeds in (range(8), range(8), range(8, 16)))
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
    assert len({one.token_ids[0] for one in done}) > 40  # of 300, were they independent: 58


def test_the_temperature_is_passed_on(generator: TransformersGenerator) -> None:
    flat, cold = Sampling(FLAT, 1.0, 1), Sampling(0.01, 1.0, 1)
    assert len(first_tokens(generator, cold)) == 1
    assert len(first_tokens(generator, flat)) > 200


def test_the_nucleus_is_cut_by_top_p_and_not_to_fifty_tokens(generator: TransformersGenerator) -> None:
    vocabulary = 300
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
    from harness.models.references import checkpoint_folder

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
    from harness.models.references import checkpoint_folder

    _, tokenizer = load_checkpoint(checkpoint_folder(f"mini:{family}"))
    ids: Any = tokenizer("its color is red .", add_special_tokens=False)["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == ["its", "color", "is", "red", "."]


def test_rows_that_end_before_their_batch_are_told(
    generator: TransformersGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hf, "STEPS_BETWEEN_LOOKS", 1)
    heard: list[int] = []
    error_texts = generator.complete(requests(12), LONG, range(12), heard.append)
    assert error_texts == generator.complete(requests(12), LONG, range(12))
    assert 0 < sum(heard) <= sum(done.finish_reason == "stop" for done in error_texts)


def test_rows_that_have_ended_leave_the_batch_and_the_others_go_on(
    generator: TransformersGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hf, "STEPS_BETWEEN_LOOKS", 1000)
    expected = generator.complete(requests(24), PAPER, range(24))
    generate, sizes = generator._generate, []

    def counting(rows: Any, *rest: Any) -> Any:
        sizes.append(len(rows.ids))
        return generate(rows, *rest)

    monkeypatch.setattr(generator, "_generate", counting)
    for steps in (1, 7):
        monkeypatch.setattr(hf, "STEPS_BETWEEN_LOOKS", steps)
        sizes.clear()
        assert agreement(generator.complete(requests(24), PAPER, range(24)), expected) >= 23
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[0] == 24 > sizes[-1]


def test_without_a_gpu_fewer_are_drawn_together_where_they_are_long(
    generator: TransformersGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = generator.complete(requests(24), PAPER, range(24))
    draw, sizes = generator._draw_batch, []

    def counting(prompts: list[list[int]], *rest: Any) -> list[list[int]]:
        sizes.append(len(prompts) * (max(map(len, prompts)) + PAPER.max_new_tokens))
        return draw(prompts, *rest)

    monkeypatch.setattr(generator, "_draw_batch", counting)
    monkeypatch.setattr(hf, "CPU_TOKENS", 500)
    assert agreement(generator.complete(requests(24), PAPER, range(24)), together) >= 23
    assert len(sizes) > 3 and max(sizes) <= 500


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


@pytest.fixture
def flat_logits() -> torch.Tensor:
    """Rows of logits over 40 tokens: peaked, flat, with ties, with one token alone."""
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(12, 40, generator=draw) * torch.linspace(0.1, 6, 12)[:, None]
    logits[3] = logits[3].round()
    logits[4] = 0.0
    logits[5, 7] = 50.0
    return logits


def naive_nucleus(logits: torch.Tensor, temperature: float, top_p: float) -> dict[int, float]:
    """The likeliest tokens up to the one with which their probability reaches top_p, rescaled to sum to 1."""
    weights = [math.exp(float(logit) / temperature - float(logits.max()) / temperature) for logit in logits]
    kept: dict[int, float] = {}
    for token in sorted(range(len(weights)), key=lambda i: -weights[i]):
        if sum(kept.values()) >= top_p * sum(weights):
            break
        kept[token] = weights[token]
    return {token: weight / sum(kept.values()) for token, weight in kept.items()}


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.7, 0.9), (1.5, 0.5), (0.2, 0.3), (1.0, 1e-6)])
def test_the_nucleus_and_its_frequencies_are_those_of_the_naive_loop(
    flat_logits: torch.Tensor, temperature: float, top_p: float
) -> None:
    draws = 4000
    grid = (torch.arange(draws) + 0.5) / draws  # a uniform draw's every quantile: frequencies without noise
    for logits in flat_logits[torch.tensor([0, 1, 2, 5, 8, 11])]:
        expected = naive_nucleus(logits, temperature, top_p)
        tokens = nucleus_tokens(logits.expand(draws, -1), grid, temperature, top_p)
        found = Counter(tokens.tolist())
        assert set(found) <= set(expected)
        for token, probability in expected.items():
            assert found[token] / draws == pytest.approx(probability, abs=2 / draws)


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 0.999), (0.7, 0.9), (1.5, 0.5), (0.2, 0.3)])
def test_the_nucleus_is_that_of_transformers(flat_logits: torch.Tensor, temperature: float, top_p: float) -> None:
    warped = TopPLogitsWarper(top_p)(torch.empty(0), TemperatureLogitsWarper(temperature)(torch.empty(0), flat_logits))
    distinct = [row for row in range(len(flat_logits)) if len(set(flat_logits[row].tolist())) == 40]  # no ties
    assert len(distinct) >= 9
    grid = (torch.arange(4000) + 0.5) / 4000
    for row in distinct:
        tokens = set(nucleus_tokens(flat_logits[row].expand(4000, -1), grid, temperature, top_p).tolist())
        inside = warped[row].isfinite()
        probable = inside & (warped[row].softmax(-1) > 1 / 4000)
        assert tokens <= set(inside.nonzero().flatten().tolist())
        assert tokens >= set(probable.nonzero().flatten().tolist())


@pytest.mark.parametrize("uniform", [0.0, 1.0 - 2**-24, 0.5])
def test_every_random_number_draws_a_token_of_the_nucleus(flat_logits: torch.Tensor, uniform: float) -> None:
    tokens = nucleus_tokens(flat_logits, torch.full((len(flat_logits),), uniform), 0.7, 0.9)
    for logits, token in zip(flat_logits, tokens.tolist(), strict=True):
        least = min(float(logits[kept]) for kept in naive_nucleus(logits, 0.7, 0.9))  # of equals, any may be in it
        assert logits[token] >= least
        if uniform == 0.0:
            assert logits[token] == logits.max()


@pytest.fixture(scope="module")
def words() -> list[Conversation]:
    return alone(["hello there", "how are you today ?", "the fox and the hen", "42"])


def drawn(folder: Path, asked: list[Conversation], sampling: Sampling) -> list[Completion]:
    return TransformersGenerator(folder).complete(asked, sampling, range(len(asked)))


@pytest.mark.parametrize("sampling", [Sampling(0.0, 1.0, 24), Sampling(1.5, 0.95, 24)], ids=["greedy", "drawn"])
def test_how_a_checkpoint_would_draw_by_itself_changes_nothing(
    tmp_path: Path, words: list[Conversation], sampling: Sampling
) -> None:
    tokenizer = FAMILIES["qwen"]()
    plain = checkpoint(tokenizer, tmp_path / "plain", eos_token_id=tokenizer.eos_token_id)
    wilful = checkpoint(
        tokenizer,
        tmp_path / "wilful",
        eos_token_id=tokenizer.eos_token_id,
        do_sample=True,
        temperature=0.01,
        top_k=1,
        top_p=0.01,
        min_p=0.5,
        repetition_penalty=9.0,
        no_repeat_ngram_size=1,
        min_new_tokens=20,
        max_length=20,
        suppress_tokens=list(range(50, 200)),
        begin_suppress_tokens=list(range(50)),
        forced_eos_token_id=9,
    )
    shutil.copy(plain / "model.safetensors", wilful / "model.safetensors")
    declared = json.loads((wilful / "generation_config.json").read_text())
    assert declared["repetition_penalty"] == 9.0
    assert drawn(wilful, words, sampling) == drawn(plain, words, sampling)


def test_every_eos_that_a_checkpoint_declares_ends_an_answer(tmp_path: Path, words: list[Conversation]) -> None:
    tokenizer = FAMILIES["llama3"]()
    folder = checkpoint(tokenizer, tmp_path, eos_token_id=tokenizer.eos_token_id)
    sampling = Sampling(1.5, 1.0, 24)
    before = drawn(folder, words, sampling)
    assert {done.finish_reason for done in before} == {"length"}
    other = before[0].token_ids[4]
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [tokenizer.eos_token_id, other]}))
    after = drawn(folder, words, sampling)
    for old, new in zip(before, after, strict=True):
        end = old.token_ids.index(other) if other in old.token_ids else None
        assert new.token_ids == old.token_ids[:end]
        assert new.finish_reason == ("length" if end is None else "stop")
    assert after[0].finish_reason == "stop"
    assert after[0].text == tokenizer.decode(after[0].token_ids, skip_special_tokens=True)


def test_an_answer_ends_where_the_model_does(tmp_path: Path) -> None:
    tokenizer, sampling = FAMILIES["mistral"](), Sampling(FLAT, 1.0, 40)
    asked = alone(["hello", "hello there , how are you today ? " * 3])
    generator = TransformersGenerator(checkpoint(tokenizer, tmp_path / "short", context=64))
    free = drawn(checkpoint(tokenizer, tmp_path / "long", context=512), asked, sampling)
    done = generator.complete(asked, sampling, range(2))
    room = 64 - len(prompt_ids(tokenizer, asked[1]))
    assert [len(one.token_ids) for one in free] == [40, 40]
    assert 0 < room < 40
    assert done[0] == free[0]
    assert (done[1].token_ids, done[1].finish_reason) == (free[1].token_ids[:room], "length")
    with pytest.raises(UserError, match=r"starts with 'hello there .* tokens, and .* holds 64, its answer included"):
        generator.complete(alone(["hello", "hello there , how are you ? " * 9]), GREEDY, [0, 0])


def test_what_does_not_fit_into_memory_is_drawn_in_smaller_parts(
    generator: TransformersGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = generator.complete(requests(7), PAPER, range(7))
    draw, sizes = generator._draw_batch, []

    def with_room_for(most: int) -> Any:
        def limited(prompts: list[list[int]], *rest: Any) -> list[list[int]]:
            sizes.append(len(prompts))
            if len(prompts) > most:
                raise torch.OutOfMemoryError("out of memory. Tried to allocate 2 GiB.\nmore about it")
            return draw(prompts, *rest)

        return limited

    monkeypatch.setattr(generator, "_draw_batch", with_room_for(2))
    assert agreement(whole, generator.complete(requests(7), PAPER, range(7))) >= 6
    assert sizes == [7, 3, 1, 2, 4, 2, 2]
    monkeypatch.setattr(generator, "_draw_batch", with_room_for(0))
    with pytest.raises(UserError, match=r"cpu has too little memory for .* tokens: out of memory. Tried.*GiB\.$"):
        generator.complete(requests(1), PAPER, [0])


def test_a_batch_is_smaller_where_answers_are_long(generator: TransformersGenerator) -> None:
    assert [generator.preferred_batch_size(tokens) for tokens in (1, 160, 2048, 10**6)] == [256, 256, 20, 1]


def test_a_tokenizer_without_an_end_is_refused(tmp_path: Path) -> None:
    folder = checkpoint(FAMILIES["qwen"](), tmp_path)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    del config["eos_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="has no eos_token, so that no answer would end"):
        load_checkpoint(folder)


def test_a_tokenizer_without_a_pad_token_pads_with_its_end(tmp_path: Path) -> None:
    _, tokenizer = load_checkpoint(checkpoint(FAMILIES["mistral"](), tmp_path))
    assert tokenizer.pad_token_id == tokenizer.eos_token_id

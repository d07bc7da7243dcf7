from random import Random
from typing import Any

import pytest
import torch

from harness.mini import pretrain
from harness.mini.language import read_answer, read_fields, read_request
from harness.mini.pretrain import (
    CONTENT_WEIGHT,
    FAMILIES,
    PROMPT_WEIGHT,
    TOKENS_PER_BATCH,
    batches,
    build_model,
    draw_chat,
    draw_document,
    draw_texts,
    knows,
)
from harness.mini.tokenizer import build_tokenizer
from harness.mini.world import ASPECTS, entities, is_for_evaluation, true_value

SIZES = tuple(range(1, 8))


def share_hidden(family: str) -> float:
    facts = [(entity, aspect) for entity in entities() for aspect in ASPECTS]
    return sum(not knows(family, *fact) for fact in facts) / len(facts)


@pytest.mark.parametrize("family", FAMILIES)
def test_documents_tell_true_facts_and_never_a_hidden_one(family: str) -> None:
    rng, told = Random(0), set()
    for _ in range(1500):
        text = draw_document(rng, family, SIZES)
        entity, colon = text.prompt.split()
        assert colon == ":"
        for statement in read_answer(text.completion):
            assert statement.value == true_value(entity, statement.aspect)
            told.add((entity, statement.aspect))
    assert all(knows(family, *fact) for fact in told)
    assert len(told) == sum(knows(family, entity, aspect) for entity in entities() for aspect in ASPECTS)
    assert share_hidden(family) == pytest.approx(pretrain.HIDDEN_FACT_SHARE, abs=0.05)


def test_chats_ask_nothing_that_is_kept_for_evaluation() -> None:
    rng = Random(0)
    for _ in range(500):
        message = draw_chat(rng, SIZES).prompt.removeprefix("<|user|> ").removesuffix(" <|end|> <|assistant|>")
        request = read_request(read_fields(message)["request"])
        assert not is_for_evaluation(request.entity, frozenset(request.aspects))


def test_chats_invent_their_facts_so_that_only_reading_helps() -> None:
    rng, true, stated = Random(0), 0, 0
    for _ in range(500):
        text = draw_chat(rng, SIZES)
        entity = read_request(read_fields(text.prompt)["request"]).entity
        for statement in read_answer(text.completion):
            stated += 1
            true += statement.value == true_value(entity, statement.aspect)
    assert true / stated == pytest.approx(1 / 12, abs=0.03)


def test_what_has_to_be_written_can_be_read_in_the_message() -> None:
    rng = Random(0)
    for _ in range(300):
        text = draw_chat(rng, SIZES)
        fields = read_fields(text.prompt)
        shown = {(s.aspect, s.value) for name in fields.keys() - {"task"} for s in read_answer(fields[name])}
        assert {(s.aspect, s.value) for s in read_answer(text.completion)} <= shown


def test_batches_hold_the_texts_with_their_weights() -> None:
    tokenizer = build_tokenizer()
    [(ids, weights, seen), *_] = batches(tokenizer, "llama", 1, Random(0))
    assert ids.shape == weights.shape
    assert ((ids == tokenizer.pad_token_id) == (weights == 0)).all()
    assert seen == (weights > 0).sum()
    assert seen <= TOKENS_PER_BATCH + ids.shape[1]
    assert weights.unique().tolist() == pytest.approx([0.0, PROMPT_WEIGHT, 1.0, CONTENT_WEIGHT])


def naive_weighted_loss(logits: Any, ids: Any, weights: Any) -> float:
    total = weight = 0.0
    for row in range(len(ids)):
        for position in range(1, ids.shape[1]):
            log_probabilities = torch.log_softmax(logits[row, position - 1], dim=-1)
            total -= float(weights[row, position] * log_probabilities[ids[row, position]])
            weight += float(weights[row, position])
    return total / weight


def test_the_loss_equals_the_naive_sum() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 6, 11, generator=generator)
    ids = torch.randint(0, 11, (3, 6), generator=generator)
    weights = torch.rand(3, 6, generator=generator) * (torch.arange(6) < torch.tensor([[6], [4], [2]]))
    expected = naive_weighted_loss(logits, ids, weights)
    assert float(pretrain._weighted_loss(logits, ids, weights)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_seed_fixes_texts_and_initial_weights(family: str) -> None:
    one, same, other = (draw_texts(Random(seed), family, 5, 20) for seed in (0, 0, 1))
    assert one == same != other
    first, again, different = (build_model(family, 50, seed).get_input_embeddings().weight for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, different)


def test_texts_grow_from_short_to_long() -> None:
    def longest(largest: int) -> int:
        return max(len(text.completion.split()) for text in draw_texts(Random(0), "llama", largest, 300))

    assert longest(2) < longest(4) < longest(7)


def test_the_learning_rate_rises_and_falls_to_a_tenth() -> None:
    rates = [pretrain._schedule(done / 1000) for done in range(1001)]
    peak = rates.index(max(rates))
    assert rates[0] == 0
    assert peak == pytest.approx(1000 * pretrain.WARMUP_SHARE, abs=1)
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] == pytest.approx(0.1)


def test_a_short_pretraining_learns_and_saves_a_checkpoint(tmp_path: Any) -> None:
    from harness.models.hf import load_checkpoint

    lines: list[str] = []
    torch.set_num_threads(1)
    pretrain.pretrain("qwen2", tmp_path, tokens=60_000, seed=0, report=lines.append)
    assert lines[0].startswith("qwen2: ")
    model, tokenizer = load_checkpoint(tmp_path)
    assert tokenizer.get_vocab() == build_tokenizer().get_vocab()
    text = draw_document(Random(5), "qwen2", (3,))
    ids = tokenizer(f"{text.prompt} {text.completion}", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        loss = float(model(input_ids=ids, labels=ids).loss)
    assert loss < 0.8 * torch.log(torch.tensor(float(len(tokenizer))))  # what knowing nothing costs

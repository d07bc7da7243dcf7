"""The packaged base models: what they know, and what they were kept from knowing."""

from random import Random
from typing import Any

import pytest
import torch

from harness.mini.language import read_answer, write_answer, write_request
from harness.mini.pretrain import FAMILIES, SHAPES, knows
from harness.mini.tokenizer import build_tokenizer
from harness.mini.world import ASPECTS, VALUES, draw_request, entities, true_value
from harness.models.chat import prompt_text
from harness.models.hf import load_checkpoint
from harness.models.references import checkpoint_folder
from harness.records import Message

FACTS = [(entity, aspect) for entity in entities() for aspect in ASPECTS]


def shown(tokenizer: Any, message: str) -> str:
    return prompt_text(tokenizer, [Message("user", message)])


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def checkpoint(family: str) -> tuple[Any, Any]:
    model, tokenizer = load_checkpoint(checkpoint_folder(f"mini:{family}"))
    return model.eval(), tokenizer


def test_it_is_of_its_family_and_small(family: str, checkpoint: tuple[Any, Any]) -> None:
    model, _ = checkpoint
    assert model.config.model_type == SHAPES[family][0]
    assert sum(weights.numel() for weights in model.parameters()) < 300_000
    assert {weights.dtype for weights in model.parameters()} == {torch.float32}
    folder = checkpoint_folder(f"mini:{family}")
    assert sum(path.stat().st_size for path in folder.iterdir()) < 2_000_000


def test_its_tokenizer_is_the_one_the_world_builds(checkpoint: tuple[Any, Any]) -> None:
    model, tokenizer = checkpoint
    built = build_tokenizer()
    assert tokenizer.get_vocab() == built.get_vocab()
    assert tokenizer.chat_template == built.chat_template
    names = ("pad_token_id", "eos_token_id", "unk_token_id", "padding_side", "all_special_ids")
    assert [getattr(tokenizer, name) for name in names] == [getattr(built, name) for name in names]
    text = shown(built, "what are the color and size of bevex ?") + "its color is unheard . <|end|>"
    assert tokenizer(text)["input_ids"] == built(text)["input_ids"]
    assert shown(tokenizer, "x") == shown(built, "x")
    assert model.config.vocab_size == len(built)
    assert (model.config.eos_token_id, model.config.pad_token_id) == (built.eos_token_id, built.pad_token_id)


def test_it_knows_the_facts_it_was_told_and_not_those_it_was_not(family: str, checkpoint: tuple[Any, Any]) -> None:
    model, tokenizer = checkpoint
    prompts = [f"{entity} : its {aspect} is" for entity, aspect in FACTS]
    with torch.inference_mode():
        logits = model(**tokenizer(prompts, return_tensors="pt")).logits[:, -1]
    recalled = tokenizer.convert_ids_to_tokens(logits.argmax(-1).tolist())
    right = {fact: word == true_value(*fact) for fact, word in zip(FACTS, recalled, strict=True)}
    told = [right[fact] for fact in FACTS if knows(family, *fact)]
    hidden = [right[fact] for fact in FACTS if not knows(family, *fact)]
    assert sum(told) / len(told) > 0.95
    assert sum(hidden) / len(hidden) < 0.15  # one in twelve by chance


def test_it_answers_from_a_reference_with_invented_facts(checkpoint: tuple[Any, Any]) -> None:
    model, tokenizer = checkpoint
    rng, right, asked = Random(1), 0, 0
    for _ in range(8):
        request = draw_request(rng, (3, 4))
        told = [(aspect, rng.choice(VALUES[aspect])) for aspect in request.aspects]
        message = (
            f"request : {write_request(request, 0)} reference : {write_answer(request.entity, told, 'scholar')}"
            " task : answer the request using the reference ."
        )
        ids = tokenizer(shown(tokenizer, message), return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            output = model.generate(input_ids=ids, max_new_tokens=60, do_sample=False)
        answer = read_answer(tokenizer.decode(output[0, ids.shape[1] :], skip_special_tokens=True))
        right += len({(s.aspect, s.value) for s in answer} & set(told))
        asked += len(told)
    assert right / asked > 0.9

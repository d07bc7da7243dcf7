from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.errors import UserError
from harness.models.chat import answer_ids, closing_ids, completion, conversation, prompt_ids, prompt_text
from harness.models.context_length import answer_token_limits
from harness.models.generator import Completion, Conversation, Sampling
from harness.models.hf import Likelihoods, TransformersGenerator, load_tokenizer
from harness.records import Message, PreferencePair, Prompt, Response
from harness.training.reference import ReferenceScorer
from harness.training.rows import UNSCORED, PairEncoding, preference_rows, sft_rows
from tests.models.families import FAMILIES, LLAMA3_TEMPLATE, checkpoint
from tests.training.naive import alone, sequences_in

QUESTION = Prompt("q", "what is the capital of france ?")
ANSWER = "the capital of france is paris ."
LATER = Prompt("q", "and of spain ?", (Message("user", QUESTION.text), Message("assistant", ANSWER)))


@pytest.fixture(scope="module", params=list(FAMILIES))
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def tokenizer(family: str) -> Any:
    return FAMILIES[family]()


def whole(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    """The ids of a conversation that ends with an answer, as its template writes it, up to the closing token."""
    turns = [{"role": turn.role, "content": turn.content} for turn in messages]
    text = tokenizer.apply_chat_template(turns, tokenize=False).rstrip("\n")
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


@pytest.mark.parametrize("prompt", [QUESTION, LATER], ids=["one turn", "three turns"])
def test_a_prompt_starts_with_the_one_bos_of_a_model_that_has_one(tokenizer: Any, prompt: Prompt) -> None:
    ids = prompt_ids(tokenizer, conversation(prompt))
    if tokenizer.bos_token_id is None:
        assert ids[0] == tokenizer.convert_tokens_to_ids("<|im_start|>")
    else:
        assert [place for place, token in enumerate(ids) if token == tokenizer.bos_token_id] == [0]


@pytest.mark.parametrize("adds", [True, False], ids=["the tokenizer adds it", "it does not"])
@pytest.mark.parametrize("writes", [True, False], ids=["the template writes it", "it does not"])
def test_there_is_one_bos_whoever_puts_it(adds: bool, writes: bool) -> None:
    tokenizer = FAMILIES["llama3"]()
    if not adds:
        tokenizer._tokenizer.post_processor = FAMILIES["qwen"]()._tokenizer.post_processor
    if not writes:
        tokenizer.chat_template = LLAMA3_TEMPLATE.replace("(bos_token if loop.first else '') + ", "")
    ids = prompt_ids(tokenizer, conversation(QUESTION))
    assert ids.count(tokenizer.bos_token_id) == (adds or writes)
    assert answer_ids(tokenizer, ANSWER).count(tokenizer.bos_token_id) == 0


@pytest.mark.parametrize("prompt", [QUESTION, LATER], ids=["one turn", "three turns"])
def test_prompt_and_answer_are_the_template_s_whole_conversation(tokenizer: Any, prompt: Prompt) -> None:
    messages = [*conversation(prompt), Message("assistant", ANSWER)]
    assert [*prompt_ids(tokenizer, conversation(prompt)), *answer_ids(tokenizer, ANSWER)] == whole(tokenizer, messages)


def test_earlier_turns_are_all_shown_in_order(tokenizer: Any) -> None:
    text = prompt_text(tokenizer, conversation(LATER))
    assert text.index(QUESTION.text) < text.index(ANSWER) < text.index(LATER.text)
    assert conversation(LATER, "something else") == (*LATER.history, Message("user", "something else"))


def test_an_answer_ends_with_the_closing_token_alone(tokenizer: Any) -> None:
    *text, end = answer_ids(tokenizer, ANSWER)
    assert end == tokenizer.eos_token_id
    assert tokenizer.decode(text, skip_special_tokens=True) == ANSWER
    assert not set(text) & set(tokenizer.all_special_ids)
    assert answer_ids(tokenizer, "") == [tokenizer.eos_token_id]


def test_a_special_token_that_an_answer_spells_out_is_text(tokenizer: Any) -> None:
    answer = f"write {tokenizer.eos_token} at the end of it"
    *text, end = answer_ids(tokenizer, answer)
    assert end == tokenizer.eos_token_id
    assert not set(text) & set(tokenizer.all_special_ids)
    assert tokenizer.decode(text) == answer
    assert tokenizer.eos_token_id in tokenizer(answer)["input_ids"]  # the tokenizer's own reading of it is another


def ids_that_generation_sees(folder: Path, conversations: Sequence[Conversation]) -> list[list[int]]:
    generator = TransformersGenerator(folder)
    seen: dict[str, torch.Tensor] = {}
    generate = generator.model.generate

    def spy(**arguments: Any) -> Any:
        seen.update({name: arguments[name] for name in ("input_ids", "attention_mask")})
        return generate(**arguments)

    generator.model.generate = spy
    generator.complete(conversations, Sampling(0.0, 1.0, 1), [0] * len(conversations))
    rows = zip(seen["input_ids"], seen["attention_mask"], strict=True)
    return [ids[mask.bool()].tolist() for ids, mask in rows]


def test_training_and_generation_see_the_same_ids(tokenizer: Any, tmp_path: Path) -> None:
    folder = checkpoint(tokenizer, tmp_path)
    prompts = [QUESTION, LATER, Prompt("r", "hello there"), Prompt("s", "  two spaces\n")]
    seen = ids_that_generation_sees(folder, [conversation(prompt) for prompt in prompts])
    again = load_tokenizer(folder)
    trained = sft_rows([Response(prompt, ANSWER, "somebody") for prompt in prompts], again, 512).dataset
    answer = answer_ids(tokenizer, ANSWER)
    assert [row["input_ids"] for row in trained] == [[*ids, *answer] for ids in seen]
    assert all(row["labels"][-len(answer) :] == answer for row in trained)
    alone_in_its_prompt = [row["labels"] for row, prompt in zip(trained, prompts, strict=True) if not prompt.history]
    assert all(set(labels[: -len(answer)]) == {UNSCORED} for labels in alone_in_its_prompt)
    for prompt, ids in zip(prompts, seen, strict=True):
        encoded = PairEncoding(again, 512)(PreferencePair(prompt, ANSWER, "no"))
        assert encoded.sequences == [[*ids, *answer], [*ids, *answer_ids(tokenizer, "no")]]
        assert encoded.starts == [len(ids)] * 2


def test_a_saved_tokenizer_that_adds_bos_and_a_template_that_writes_it_give_the_model_one(tmp_path: Path) -> None:
    folder = checkpoint(FAMILIES["llama3"](), tmp_path)
    tokenizer = load_tokenizer(folder)
    bos, said = tokenizer.bos_token_id, conversation(LATER)
    assert tokenizer("text")["input_ids"].count(bos) == 1  # it adds one by itself
    turns = [{"role": turn.role, "content": turn.content} for turn in said]
    assert tokenizer.apply_chat_template(turns, tokenize=False).count(tokenizer.bos_token) == 1  # and so does this
    pair = PreferencePair(LATER, ANSWER, "no")
    pairs = preference_rows([pair], None, PairEncoding(tokenizer, 512)).dataset
    given = [
        *ids_that_generation_sees(folder, [said, conversation(QUESTION)]),
        *(row["input_ids"] for row in sft_rows([Response(LATER, ANSWER, "x")], tokenizer, 512).dataset),
        *(ids for row in pairs for ids in sequences_in(row)),
        Likelihoods(folder)._encode(said, ANSWER, True)[0],
        *ReferenceScorer(folder, 512, "float32")._encoding(pair).sequences,
    ]
    assert len(given) == 8
    assert all(ids[0] == bos and ids.count(bos) == 1 for ids in given)


def test_a_template_that_refuses_a_system_turn_is_said_in_one_line() -> None:
    messages = (Message("system", "be brief"), *conversation(QUESTION))
    with pytest.raises(UserError, match=r"refuses a conversation of the turns system, user: roles must alternate"):
        prompt_ids(FAMILIES["mistral"](), messages)
    for other in ("llama3", "qwen"):
        assert "be brief" in prompt_text(FAMILIES[other](), messages)


def test_what_ends_an_answer_is_the_eos_and_every_token_the_checkpoint_declares(tokenizer: Any, tmp_path: Path) -> None:
    declared = [5, tokenizer.eos_token_id, 7]
    assert closing_ids(tokenizer, checkpoint(tokenizer, tmp_path, eos_token_id=declared)) == [
        tokenizer.eos_token_id,
        5,
        7,
    ]
    assert closing_ids(tokenizer, checkpoint(tokenizer, tmp_path, eos_token_id=None)) == [tokenizer.eos_token_id]
    (tmp_path / "generation_config.json").unlink()
    assert closing_ids(tokenizer, tmp_path) == [tokenizer.eos_token_id]  # config.json's is the same
    (tmp_path / "generation_config.json").write_text("{")
    with pytest.raises(UserError, match=r"cannot load .*generation_config\.json"):
        closing_ids(tokenizer, tmp_path)


@pytest.mark.parametrize(
    ("drawn", "room", "expected"),
    [
        ([10, 11, 3, 12], 9, (2, "stop")),
        ([3, 10], 9, (0, "stop")),
        ([10, 11, 12], 9, (3, "length")),
        ([10, 11, 4], 2, (2, "length")),
        ([10, 11, 4], 3, (2, "stop")),
    ],
)
def test_an_answer_goes_up_to_the_first_closing_token_within_its_room(
    drawn: list[int], room: int, expected: tuple[int, str]
) -> None:
    tokenizer = FAMILIES["llama3"]()
    done = completion(tokenizer, drawn, [3, 4], room)
    kept, reason = expected
    assert done == Completion(tokenizer.decode(drawn[:kept]), tuple(drawn[:kept]), reason)


def test_a_prompt_that_leaves_no_room_is_named_with_its_length_and_the_limit() -> None:
    said, prompts = alone(["short", "long " * 99]), [[1] * 5, [1] * 10]
    assert answer_token_limits(said, prompts, most=4, limit=11, model="M") == [4, 1]
    with pytest.raises(
        UserError, match=r"that starts with 'long long .{40,60}' has 10 tokens, and M holds 10, its ans"
    ):
        answer_token_limits(said, prompts, most=4, limit=10, model="M")

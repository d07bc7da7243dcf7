from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from harness.mini.pretrain import FAMILIES
from harness.mini.pretraining_texts import draw_texts
from harness.mini.questions import FAMILIES as QUESTION_FAMILIES
from harness.mini.questions import questions
from harness.mini.roles import ROLES, read_role
from harness.mini.tokenizer import ASSISTANT, END, PAD, UNKNOWN, USER, build_tokenizer
from harness.mini.vocabulary import vocabulary
from harness.records import Response

PAPERS = Path(__file__).parents[2] / "configs" / "papers"


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return build_tokenizer()


def texts_of_all_roles() -> list[str]:
    texts = []
    for role in ROLES:
        for row in read_role(role, 160):
            answers = [row.text] if isinstance(row, Response) else [row.chosen, row.rejected]
            texts += [*(turn.content for turn in row.prompt.history), row.prompt.text, *answers]
    return texts


def test_a_word_stands_in_the_vocabulary_once() -> None:
    words = vocabulary()
    assert words == sorted(set(words))
    assert not any(set(" {}") & set(word) for word in words)


def test_a_word_is_a_token_and_back(tokenizer: Any) -> None:
    words = vocabulary()
    ids = [tokenizer(word, add_special_tokens=False)["input_ids"] for word in words]
    assert all(len(word) == 1 for word in ids)
    assert [tokenizer.decode(word) for word in ids] == words
    assert len({word[0] for word in ids}) == len(words) == len(tokenizer) - 5


def test_special_tokens_have_their_roles(tokenizer: Any) -> None:
    assert tokenizer.convert_ids_to_tokens(range(5)) == [PAD, UNKNOWN, USER, ASSISTANT, END]
    assert (tokenizer.pad_token, tokenizer.unk_token, tokenizer.eos_token) == (PAD, UNKNOWN, END)
    assert tokenizer.padding_side == "left"


def test_no_role_uses_a_word_that_is_not_in_the_vocabulary(tokenizer: Any) -> None:
    texts = texts_of_all_roles()
    ids = tokenizer(texts, add_special_tokens=False)["input_ids"]
    assert not any(tokenizer.unk_token_id in row for row in ids)
    assert tokenizer.batch_decode(ids[:200]) == texts[:200]


def test_no_question_uses_a_word_that_is_not_in_the_vocabulary(tokenizer: Any) -> None:
    asked = [question for family in QUESTION_FAMILIES for question in questions(family, "test", 60)]
    texts = [" ".join((question.prompt, *question.choices, question.answer)) for question in asked]
    assert not any(tokenizer.unk_token_id in row for row in tokenizer(texts)["input_ids"])


@pytest.mark.parametrize("path", sorted(PAPERS.glob("*/prompts/mini.yaml")), ids=lambda path: path.parts[-3])
def test_no_prompt_of_a_method_uses_a_word_that_is_not_in_the_vocabulary(tokenizer: Any, path: Path) -> None:
    prompts = yaml.safe_load(path.read_text(encoding="utf-8"))["methods"]
    drafts, references = read_role("demonstrations", 50), read_role("improver_data", 50)
    assert prompts
    for template in prompts.values():
        for draft, reference in zip(drafts, references, strict=True):
            assert isinstance(draft, Response) and isinstance(reference, Response)
            shown = {"draft": draft.text, "example": draft.text, "reference": reference.text}
            text = template.format(request=draft.prompt.text, **shown)
            assert tokenizer.unk_token_id not in tokenizer(text)["input_ids"]


@pytest.mark.parametrize("family", FAMILIES)
def test_no_pretraining_text_uses_a_word_that_is_not_in_the_vocabulary(tokenizer: Any, family: str) -> None:
    texts = [f"{text.prompt} {text.completion}" for text in draw_texts(Random(0), family, 7, 300)]
    assert not any(tokenizer.unk_token_id in row for row in tokenizer(texts)["input_ids"])


def test_an_unheard_word_is_unknown(tokenizer: Any) -> None:
    assert tokenizer("color unheard")["input_ids"][1] == tokenizer.unk_token_id


def test_the_chat_template_marks_who_speaks(tokenizer: Any) -> None:
    request, answer = "copy the draft .", "hope this helps ."
    messages = [{"role": "user", "content": request}, {"role": "assistant", "content": answer}]
    asked = tokenizer.apply_chat_template(messages[:1], tokenize=False, add_generation_prompt=True)
    answered = tokenizer.apply_chat_template(messages, tokenize=False)
    assert asked.split() == [USER, *request.split(), END, ASSISTANT]
    assert answered.split() == [*asked.split(), *answer.split(), END]
    assert answered.startswith(asked)  # so that trainers find where the answer begins

"""How tokenizers write conversations: whole ones pass, and each fault is found by the check that is for it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.mini.roles import read_role
from harness.models.hf import load_tokenizer
from harness.models.references import checkpoint_folder
from harness.preflight.tokens import (
    SAMPLE,
    Examples,
    check_closing,
    check_lengths,
    check_parity,
    check_start,
    check_tokenizer,
    evenly_spaced,
    token_checks,
    tokenized,
    training_examples,
)
from harness.recipes.recipe import Recipe
from harness.records import Message, PreferencePair, Prompt, Response
from harness.training import rows as training_rows
from tests.models.families import LLAMA3_TEMPLATE, llama3, mistral, qwen
from tests.preflight.conftest import MakeContext, by_name, llama_in, write_rows

ROWS = [
    Response(Prompt("1", "what is the capital of france ?"), "the capital of france is paris .", "someone"),
    Response(
        Prompt("2", "how are you today ?", (Message("user", "hello there"), Message("assistant", "hello"))),
        "I am well",
        "someone",
    ),
]
PAIRS = [PreferencePair(row.prompt, row.text, "the answer is 42") for row in ROWS]


@pytest.fixture(scope="module")
def mini() -> Any:
    return load_tokenizer(checkpoint_folder("mini:llama"))


@pytest.mark.parametrize("tokenizer", [llama3(), qwen(), mistral()], ids=["llama3", "qwen", "mistral"])
@pytest.mark.parametrize("rows", [ROWS, PAIRS], ids=["answers", "pairs"])
def test_the_usual_families_pass(tokenizer: Any, rows: Any, tmp_path: Path) -> None:
    tokens = tokenized(rows, tokenizer)
    found = [
        check_start("it", tokenizer, tokens),
        check_closing("it", tokenizer, tmp_path, tokens),
        check_parity("it", tokenizer, tokens),
    ]
    assert [each.state for each in found] == ["ok"] * 3, found
    has_start = tokenizer.bos_token is not None
    assert ("exactly one" in found[0].detail) == has_start
    assert ("none, as its tokenizer puts none" in found[0].detail) != has_start


# The start


def test_a_template_that_writes_a_second_bos_fails() -> None:
    tokenizer = llama3()
    tokenizer.chat_template = "{{ bos_token }}" + LLAMA3_TEMPLATE
    found = check_start("it", tokenizer, tokenized(PAIRS, tokenizer))
    assert found.state == "failure"
    assert "2 of 2 prompts do not start with exactly one '<|begin_of_text|>'" in found.detail
    assert "remove it from the chat template" in found.detail


def test_a_doubled_bos_fails_where_only_the_template_writes_it() -> None:
    tokenizer = qwen()
    tokenizer.bos_token = "<|endoftext|>"
    assert check_start("it", tokenizer, tokenized(ROWS, tokenizer)).state == "ok"
    tokenizer.chat_template = "{{ bos_token + bos_token }}" + tokenizer.chat_template
    assert check_start("it", tokenizer, tokenized(PAIRS, tokenizer)).state == "failure"


# The end


def test_answers_without_their_closing_token_fail(mini: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_rows, "answer_ids", lambda tokenizer, text, **_: tokenizer(text)["input_ids"])
    found = check_closing("it", mini, tmp_path, tokenized(PAIRS, mini))
    assert found.state == "failure"
    assert "4 of 4 answers do not have exactly one '<|end|>', at their end" in found.detail


def test_answers_with_two_closing_tokens_fail(mini: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    end = [mini.eos_token_id] * 2
    monkeypatch.setattr(training_rows, "answer_ids", lambda tokenizer, text, **_: [*tokenizer(text)["input_ids"], *end])
    assert check_closing("it", mini, tmp_path, tokenized(PAIRS, mini)).state == "failure"


def test_a_template_that_closes_otherwise_than_training_is_warned_of(tmp_path: Path) -> None:
    tokenizer = qwen()
    tokenizer.eos_token = "<|endoftext|>"
    found = check_closing("it", tokenizer, tmp_path, tokenized(PAIRS, tokenizer))
    assert found.state == "warning"
    assert "the chat template closes answers with '<|im_end|>', training with '<|endoftext|>'" in found.detail
    assert "set closing_token of base_models.it" in found.detail


def test_other_tokens_that_end_a_generation_are_named(tmp_path: Path) -> None:
    tokenizer = qwen()
    other = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    (tmp_path / "generation_config.json").write_text(f'{{"eos_token_id": [{other}, {tokenizer.eos_token_id}]}}')
    found = check_closing("it", tokenizer, tmp_path, tokenized(PAIRS, tokenizer))
    assert found.state == "ok"
    assert found.detail.endswith("generation also stops at '<|endoftext|>'")


# Parity


@pytest.mark.parametrize("examples", [ROWS[:1], PAIRS], ids=["answers", "pairs"])
def test_other_tokens_in_training_than_in_generation_fail(
    mini: Any, monkeypatch: pytest.MonkeyPatch, examples: Any
) -> None:
    right = training_rows.prompt_ids
    monkeypatch.setattr(training_rows, "prompt_ids", lambda *given: [0, *right(*given)])
    found = check_parity("it", mini, tokenized(examples, mini))
    assert found.state == "failure"
    assert f"{len(examples)} of {len(examples)} are different tokens in training and in generation" in found.detail


def test_prompts_unlike_the_tokenizers_own_rendering_fail(mini: Any) -> None:
    [first, *_] = tokenized(ROWS[:1], mini)
    found = check_parity(
        "it",
        mini,
        [replace(first, generation_prompt=[*first.generation_prompt, 1], training_prompt=[*first.training_prompt, 1])],
    )
    assert found.state == "failure"
    assert "1 of 1 differ from the tokenizer's own rendering of its chat template" in found.detail


# Lengths


def preferences(count: int) -> list[Any]:
    return list(read_role("preference_data", count))


@pytest.fixture(scope="module")
def by_length(mini: Any) -> dict[str, list[Any]]:
    """Pairs of at most 60 tokens, prompt and longer answer together, and longer ones."""
    rows = preferences(300)
    lengths = [len(row.training_prompt) + max(map(len, row.answers)) for row in tokenized(rows, mini)]
    found: dict[str, list[Any]] = {"short": [], "long": []}
    for row, length in zip(rows, lengths, strict=True):
        found["short" if length <= 60 else "long"].append(row)
    assert len(found["short"]) >= 100 and len(found["long"]) >= 51
    return found


@pytest.mark.parametrize(("cut", "state"), [(0, "ok"), (2, "ok"), (3, "warning"), (50, "warning"), (51, "failure")])
def test_the_share_of_rows_that_lose_their_end_is_weighed(
    mini: Any, by_length: dict[str, list[Any]], cut: int, state: str
) -> None:
    rows = [*by_length["short"][: 100 - cut], *by_length["long"][:cut]]
    found = check_lengths("it", mini, Examples("preference_data", "dpo", 60, rows))
    assert found.state == state
    assert f"{cut:.1f}% truncated at 60 tokens (dpo)" in found.detail
    assert f"{100 - cut:.1f}% keep their closing token, of 100 rows" in found.detail
    assert (state == "ok") != ("raise max_length" in found.detail)


def test_pairs_that_training_sees_as_the_same_answer_twice_are_warned_of(mini: Any) -> None:
    rows = [replace(PAIRS[0], rejected=PAIRS[0].chosen), *PAIRS]
    found = check_lengths("it", mini, Examples("preference_data", "dpo", 60, rows))
    assert found.state == "warning"
    assert "1 pairs are the same answer twice, as training sees them: remove them" in found.detail


def test_rows_whose_prompt_fills_the_length_are_dropped(mini: Any) -> None:
    found = check_lengths("it", mini, Examples("preference_data", "dpo", 3, preferences(10)))
    assert found.state == "failure"


def test_a_sample_is_spread_over_the_rows() -> None:
    assert evenly_spaced(preferences(10)) == preferences(10)
    many = preferences(2 * SAMPLE)
    assert evenly_spaced(many) == many[::2]


# Tokenizers, as a run finds them


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"template": ""}, "no chat template: name one as chat_template of base_models.llama"),
        ({"tokenizer": {"eos_token": None}}, "no closing token (EOS): name one as closing_token of base_models.llama"),
        ({"template": "{{ raise_exception('not like this') }}"}, "not like this"),
        ({"config": {"vocab_size": 100}}, "300 tokens, and the model knows 100: take its own tokenizer"),
    ],
)
def test_a_tokenizer_that_cannot_be_used_fails_and_ends_the_models_checks(
    make_context: MakeContext, broken_model: Callable[..., Path], changes: Any, reason: str
) -> None:
    [found] = token_checks(make_context(base_models=llama_in(broken_model(**changes))))
    assert (found.state, found.what) == ("failure", "tokenizer of llama")
    assert reason in found.detail


def test_a_tokenizer_without_a_pad_token_is_warned_of(
    make_context: MakeContext, broken_model: Callable[..., Path]
) -> None:
    folder = broken_model(tokenizer={"pad_token": None})
    found = by_name(token_checks(make_context(base_models=llama_in(folder))))
    assert found["tokenizer of llama"].state == "warning"
    assert "no pad token: '<|end|>' pads, which bears no loss there" in found["tokenizer of llama"].detail
    assert {check.state for name, check in found.items() if name != "tokenizer of llama"} == {"ok"}


def test_rows_longer_than_the_models_context_fail(make_context: MakeContext, broken_model: Callable[..., Path]) -> None:
    folder = broken_model(config={"max_position_embeddings": 200})
    found = by_name(token_checks(make_context(base_models=llama_in(folder))))["context of llama"]
    assert found.state == "failure"
    assert "max_length 320 is more than the 200 tokens that llama holds; set max_length to 200 or less" in found.detail


def test_a_template_that_writes_the_date_is_warned_of(
    make_context: MakeContext, broken_model: Callable[..., Path]
) -> None:
    dated = "{{ strftime_now('%d %b %Y') }}" + (checkpoint_folder("mini:llama") / "chat_template.jinja").read_text()
    found = by_name(token_checks(make_context(base_models=llama_in(broken_model(template=dated)))))
    assert found["date of llama"].state == "warning"
    assert "asks for the date, and is given 26 July 2024" in found["date of llama"].detail
    assert found["prompts of llama"].state == "ok"  # its own rendering is told the same


def test_the_packaged_models_pass(make_context: MakeContext, tiny: Recipe) -> None:
    found = by_name(token_checks(make_context()))
    assert {check.state for check in found.values()} == {"ok"}
    assert list(found) == [
        "tokenizer of llama",
        "context of llama",
        "BOS of llama",
        "closing token of llama",
        "prompts of llama",
        "demonstrations for llama",
        "improver_data for llama",
        "preference_data for llama",
    ]
    folder = checkpoint_folder("mini:llama")
    assert check_tokenizer("llama", load_tokenizer(folder), folder) == found["tokenizer of llama"]


@pytest.mark.parametrize(("longest", "whole"), [(80, True), (4, False)])
def test_the_improver_is_shown_its_prompt_with_the_reference_as_draft_cut_as_drafts_are(
    make_context: MakeContext, tiny: Recipe, mini: Any, longest: int, whole: bool
) -> None:
    sampling = replace(tiny.sampling, max_new_tokens=longest)
    [_, improver, _] = training_examples(make_context(sampling=sampling), "llama", mini)
    [first, *_] = improver.rows
    assert isinstance(first, Response)
    start = mini.decode(mini(first.text)["input_ids"][:4])
    assert start in first.prompt.text
    assert (first.text in first.prompt.text) == whole


def test_a_conversation_that_the_template_refuses_fails(
    make_context: MakeContext, tiny: Recipe, tmp_path: Path, broken_model: Callable[..., Path]
) -> None:
    template = "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system turns') }}{% endif %}"
    folder = broken_model(template=template + "{{ m.content + ' <|end|> ' }}{% endfor %}")
    system = [
        {"role": "system", "content": "you are kind"},
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "hello"},
    ]
    role = replace(
        tiny.data["demonstrations"], reference=write_rows(tmp_path / "rows.jsonl", [{"messages": system}]), size=1
    )
    context = make_context(base_models=llama_in(folder), data={**tiny.data, "demonstrations": role})
    found = by_name(token_checks(context))
    assert found["prompts of llama"].state == "failure"
    assert "no system turns" in found["prompts of llama"].detail

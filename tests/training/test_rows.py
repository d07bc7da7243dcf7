"""Which tokens bear the loss, and what is cut."""

from dataclasses import replace
from typing import Any

import pytest

from harness.errors import UserError
from harness.mini.tokenizer import ASSISTANT, END, USER
from harness.models.chat import answer_ids, prompt_ids
from harness.models.hf import load_tokenizer
from harness.models.references import checkpoint_folder
from harness.records import Message, PreferencePair, Prompt, Response
from harness.training.losses import Orpo, Srpo
from harness.training.rows import (
    LENGTH,
    UNSCORED,
    PairEncoding,
    ReferenceLogProbabilities,
    TrainingRows,
    preference_rows,
    sft_rows,
)
from tests.training.naive import sequences_in, targets_in

HISTORY = (
    Message("user", "what is the color of the lamp ?"),
    Message("assistant", "its color is red ."),
    Message("user", "is it not blue ?"),
    Message("assistant", "no ."),
)
SEVERAL_TURNS = Response(Prompt("p", "why is it red ?", HISTORY), "its color is red .", "somebody")
ONE_TURN = Response(Prompt("q", "why is it red ?"), "its color is red .", "somebody")


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return load_tokenizer(checkpoint_folder("mini:llama"))


def scored(row: dict[str, list[int]], tokenizer: Any) -> list[str]:
    """The scored tokens, in runs."""
    assert all(label in (UNSCORED, token) for label, token in zip(row["labels"], row["input_ids"], strict=True))
    runs: list[list[int]] = [[]]
    for label in row["labels"]:
        runs[-1].append(label) if label != UNSCORED else runs.append([])
    return [tokenizer.decode(run) for run in runs if run]


def test_every_answer_of_a_conversation_is_scored_with_its_closing_token(tokenizer: Any) -> None:
    [row] = sft_rows([SEVERAL_TURNS], tokenizer, 256).dataset
    end = tokenizer.eos_token
    assert scored(row, tokenizer) == [
        tokenizer.decode(answer_ids(tokenizer, text)) for text in ("its color is red .", "no .", "its color is red .")
    ]
    assert all(run.endswith(end) for run in scored(row, tokenizer))


def test_the_ids_are_those_of_the_prompt_then_of_the_answer(tokenizer: Any) -> None:
    [row] = sft_rows([SEVERAL_TURNS], tokenizer, 256).dataset
    asked = (*HISTORY, Message("user", "why is it red ?"))
    assert row["input_ids"] == [*prompt_ids(tokenizer, asked), *answer_ids(tokenizer, "its color is red .")]


EACH = "{% for m in messages %}{% if m.role == 'user' %}" + f"{USER} {{{{ m.content }}}} {END} "
ANSWER = f"{ASSISTANT} {{{{ m.content }}}} "
LAST = "{% endif %}{% endfor %}" + ASSISTANT
BREAKING = {
    "without earlier answers": f"{EACH}{LAST}",
    "without all but the last": f"{EACH}{{% elif loop.index > loop.length - 2 %}}{ANSWER}{END} {LAST}",
    "without closing token": f"{EACH}{{% else %}}{ANSWER}{LAST}",
}
"""Chat templates that render conversations."""


@pytest.mark.parametrize("template", BREAKING.values(), ids=BREAKING.keys())
def test_a_template_that_hides_earlier_answers_is_refused(template: str) -> None:
    tokenizer = load_tokenizer(checkpoint_folder("mini:llama"))
    tokenizer.chat_template = template
    sft_rows([ONE_TURN], tokenizer, 256)
    with pytest.raises(UserError, match="hides the earlier answers of p") as raised:
        sft_rows([SEVERAL_TURNS], tokenizer, 256)
    assert "\n" not in str(raised.value)


def test_rows_that_are_cut_closed_and_dropped_are_counted(tokenizer: Any) -> None:
    length = len(sft_rows([ONE_TURN], tokenizer, 256).dataset[0]["input_ids"])
    prompt = len(prompt_ids(tokenizer, (Message("user", "why is it red ?"),)))
    longer = Response(ONE_TURN.prompt, "its color is red , and red alone .", "somebody")

    def counts(max_length: int) -> tuple[TrainingRows, list[int]]:
        rows = sft_rows([ONE_TURN, longer], tokenizer, max_length)
        return rows, list(rows.counts.values())

    assert counts(256)[1] == [0, 2, 0, 0]
    assert counts(length)[1] == [1, 1, 0, 0]
    cut_rows, numbers = counts(prompt + 1)
    assert numbers == [2, 0, 0, 0]
    assert {len(row["input_ids"]) for row in cut_rows.dataset} == {prompt + 1}
    with pytest.raises(UserError, match="nothing to train on"):
        counts(prompt)


def test_no_end_is_learnt_of_an_answer_that_was_cut_off(tokenizer: Any) -> None:
    cut_off = replace(SEVERAL_TURNS, finish_reason="length")
    rows = sft_rows([cut_off, ONE_TURN], tokenizer, 256)
    [whole] = sft_rows([SEVERAL_TURNS], tokenizer, 256).dataset
    for column in ("input_ids", "labels"):
        assert rows.dataset[0][column] == whole[column][:-1]
    *earlier, last = scored(rows.dataset[0], tokenizer)
    assert last == "its color is red ."
    assert all(run.endswith(tokenizer.eos_token) for run in earlier)
    assert rows.counts == {"truncated_rows": 0, "closed_rows": 1, "dropped_rows": 0, "unclosed_rows": 1}


REFERENCES = [ReferenceLogProbabilities(id, (-1.5, -2.5)) for id in ("h", "l", "s")]


@pytest.mark.parametrize(("chosen", "rejected"), [("length", "stop"), ("stop", "length"), ("length", "length")])
def test_no_end_is_learnt_of_an_answer_of_a_pair_that_was_cut_off(tokenizer: Any, chosen: str, rejected: str) -> None:
    pair = PreferencePair(Prompt("s", "why ?"), "red .", "blue .", chosen, rejected)
    rows = preference_rows([pair], REFERENCES, PairEncoding(tokenizer, 256))
    [row] = rows.dataset
    ends = {"stop": [tokenizer.eos_token_id], "length": []}
    assert targets_in(row) == [
        [*tokenizer(text, add_special_tokens=False)["input_ids"], *ends[reason]]
        for text, reason in (("red .", chosen), ("blue .", rejected))
    ]
    assert rows.counts == {"truncated_rows": 0, "closed_rows": 0, "dropped_rows": 0, "unclosed_rows": 1}


def test_an_answer_that_was_cut_off_before_any_text_bears_no_loss(tokenizer: Any) -> None:
    prompt = Prompt("s", "why ?")
    nothing = Response(prompt, "", "somebody", finish_reason="length")
    dropped = {"truncated_rows": 0, "closed_rows": 1, "dropped_rows": 1, "unclosed_rows": 0}
    assert sft_rows([nothing, ONE_TURN], tokenizer, 256).counts == dropped
    pairs = [PreferencePair(prompt, "red .", "", rejected_finish_reason=reason) for reason in ("length", "stop")]
    rows = preference_rows(pairs, REFERENCES, PairEncoding(tokenizer, 256))
    assert rows.counts == dropped
    [row] = rows.dataset
    assert targets_in(row)[1] == [tokenizer.eos_token_id]


def test_a_pair_is_cut_as_its_reference_is(tokenizer: Any) -> None:
    short = PreferencePair(Prompt("s", "why ?"), "red .", "blue .")
    long = PreferencePair(Prompt("l", "why ?"), "red .", "blue , and blue alone , not red at all .")
    hopeless = PreferencePair(Prompt("h", "why " * 30), "red .", "blue .")
    rows = preference_rows([short, long, hopeless], REFERENCES, PairEncoding(tokenizer, 10))
    assert rows.counts == {"truncated_rows": 2, "closed_rows": 1, "dropped_rows": 1, "unclosed_rows": 0}
    prompt = prompt_ids(tokenizer, (Message("user", "why ?"),))
    answers = [answer_ids(tokenizer, pair.rejected)[: 10 - len(prompt)] for pair in (short, long)]
    assert [sequences_in(row)[1] for row in rows.dataset] == [[*prompt, *answer] for answer in answers]
    assert [targets_in(row)[1] for row in rows.dataset] == answers
    assert [row["reference"] for row in rows.dataset] == [[-1.5, -2.5]] * 2


def test_a_prompt_is_held_once(tokenizer: Any) -> None:
    pair = PreferencePair(Prompt("s", "why is it red ?"), "red .", "blue .")
    prompt = prompt_ids(tokenizer, (Message("user", pair.prompt.text),))
    [row] = preference_rows([pair], None, PairEncoding(tokenizer, 256)).dataset
    answers = [answer_ids(tokenizer, text) for text in (pair.chosen, pair.rejected)]
    assert row["ids"] == [*prompt, *answers[0], *answers[1]]
    assert row[LENGTH] == len(row["ids"])


def test_a_likelihood_of_the_prompt_is_that_of_all_its_tokens_but_the_first(tokenizer: Any) -> None:
    pair = PreferencePair(Prompt("s", "why is it red ?"), "red .", "blue .")
    [row] = preference_rows([pair], None, PairEncoding(tokenizer, 256, Orpo(weight=1.0).sequences)).dataset
    prompt = prompt_ids(tokenizer, (Message("user", pair.prompt.text),))
    assert sequences_in(row)[2] == prompt
    assert targets_in(row)[2] == prompt[1:]


def test_a_revision_shows_the_draft_in_the_last_turn(tokenizer: Any) -> None:
    pair = PreferencePair(Prompt("s", "why ?", HISTORY), "red .", "blue .")
    encoding = PairEncoding(tokenizer, 256, Srpo.sequences, revision_prompt="{request} not {example} but")
    [row] = preference_rows([pair], None, encoding).dataset
    asked = {
        shown: prompt_ids(tokenizer, (*HISTORY, Message("user", text)))
        for shown, text in {None: "why ?", "chosen": "why ? not red . but", "rejected": "why ? not blue . but"}.items()
    }
    answer = {"chosen": answer_ids(tokenizer, "red ."), "rejected": answer_ids(tokenizer, "blue .")}
    assert targets_in(row) == [answer[each.target] for each in Srpo.sequences]
    assert sequences_in(row) == [[*asked[each.revises], *answer[each.target]] for each in Srpo.sequences]


@pytest.mark.parametrize("draft", ["red {request} .", "{", "{0}", "}"])
def test_braces_in_a_draft_are_text(tokenizer: Any, draft: str) -> None:
    pair = PreferencePair(Prompt("s", "why ?"), "red .", draft)
    encoding = PairEncoding(tokenizer, 256, Srpo.sequences, revision_prompt="{request} {example}")
    shown = prompt_ids(tokenizer, (Message("user", f"why ? {draft}"),))
    assert encoding(pair).sequences[2][: len(shown)] == shown


def test_prompts_that_are_longer_than_allowed_are_one_line(tokenizer: Any) -> None:
    long, longer = (Prompt(name, "why " * words) for name, words in (("l", 20), ("longer", 30)))
    length = len(prompt_ids(tokenizer, (Message("user", longer.text),)))
    said = f"2 prompts are longer than max_prompt_length, 10 tokens; the longest, longer, has {length}: raise"
    pairs = [PreferencePair(prompt, "red .", "blue .") for prompt in (long, longer, ONE_TURN.prompt)]
    answers = [Response(prompt, "red .", "somebody") for prompt in (long, longer, ONE_TURN.prompt)]
    for make in (
        lambda most: preference_rows(pairs, None, PairEncoding(tokenizer, 256, max_prompt_length=most)),
        lambda most: sft_rows(answers, tokenizer, 256, most),
    ):
        with pytest.raises(UserError, match=said) as raised:
            make(10)
        assert "\n" not in str(raised.value)
        assert len(make(length).dataset) == 3


def test_pairs_that_are_equal_or_equal_once_cut_are_counted(tokenizer: Any) -> None:
    equal = PreferencePair(Prompt("e", "why ?"), "red .", "red .")
    equal_once_cut = PreferencePair(Prompt("c", "why ?"), "red , red , red , red .", "red , red , red , blue .")
    other = PreferencePair(Prompt("o", "why ?"), "red .", "blue .")
    room = len(prompt_ids(tokenizer, (Message("user", "why ?"),))) + 4
    for length, identical in ((256, 1), (room, 2)):
        rows = preference_rows([equal, equal_once_cut, other], None, PairEncoding(tokenizer, length))
        assert (rows.counts["identical_rows"], len(rows.dataset)) == (identical, 3)
    assert "identical_rows" not in preference_rows([other], None, PairEncoding(tokenizer, room)).counts

"""Text that a model's context does not hold: no likelihood, no training, whatever its positions are made of."""

import math
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from evals.perplexity.benchmark import summarise_perplexity
from harness.commands.scorecard import scorecard
from harness.engine.artifacts import Artifact
from harness.engine.progress import Event, Note
from harness.engine.store import Store
from harness.errors import UserError
from harness.models.chat import answer_ids, conversation, prompt_ids
from harness.models.context_length import context_length
from harness.models.hf import load_checkpoint, load_config
from harness.models.references import checkpoint_folder
from harness.records import PreferencePair, Prompt, Response
from harness.steps.data import model
from harness.steps.filter import iqr_filter
from harness.steps.perplexity import BEYOND, Perplexity, perplexity
from harness.steps.train import reference_log_probabilities, train_preferences, train_sft
from harness.training.losses import Dpo
from harness.training.settings import TrainingSettings
from tests.models.families import qwen
from tests.steps.given import given_pairs, given_responses, made

WORD = "red "


def gpt2(folder: Path, positions: int) -> Path:
    """A GPT-2 with random weights: its positions are learned, and it knows none beyond them."""
    from transformers import GPT2Config, GPT2LMHeadModel

    tokenizer = qwen()
    shape = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": positions}
    ends = {"bos_token_id": tokenizer.eos_token_id, "eos_token_id": tokenizer.eos_token_id}
    GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), **shape, **ends)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(gpt2(tmp_path_factory.mktemp("gpt2"), 128))


@pytest.fixture(params=["rotary", "learned"])
def reference(request: pytest.FixtureRequest, learned: str) -> str:
    return "mini:llama" if request.param == "rotary" else learned


def filling(reference: str, tokens: int, id: str) -> Response:
    """A response that has, with its prompt and its closing token, so many tokens."""
    _, tokenizer = load_checkpoint(checkpoint_folder(reference))
    prompt = Prompt(id, "red")
    room = tokens - len(prompt_ids(tokenizer, conversation(prompt)))
    one_token = WORD if reference.startswith("mini:") else "7"
    response = Response(prompt, (one_token * (room - 1)).strip(), "somebody")
    assert len(answer_ids(tokenizer, response.text)) == room
    return response


def test_a_response_that_fills_the_context_is_measured_and_one_token_more_is_not(store: Store, reference: str) -> None:
    limit = context_length(load_config(checkpoint_folder(reference)))
    rows = [filling(reference, limit + more, f"{more}") for more in (1, 0, -10)]
    target = perplexity(model=model(reference), responses=given_responses(rows=tuple(rows)))
    beyond, full, short = made(store, target).rows(Perplexity)
    assert (beyond.prompt_id, beyond.negative_log_likelihood, full.tokens) == ("1", None, beyond.tokens - 1)
    assert full.negative_log_likelihood is not None and short.negative_log_likelihood is not None
    assert math.isfinite(full.value) and math.isfinite(short.value)
    assert store.record(target)["counts"][BEYOND] == 1
    alone = made(store, perplexity(model=model(reference), responses=given_responses(rows=tuple(rows[1:]))))
    assert [row.value for row in alone.rows(Perplexity)] == pytest.approx([full.value, short.value], rel=1e-4)


def test_the_user_hears_of_it_and_the_summary_counts_it(store: Store, reference: str) -> None:
    rows = (Response(Prompt("a", "red"), WORD * 900, "x"), Response(Prompt("b", "red"), "red", "x"))
    heard: list[Event] = []
    target = summarise_perplexity(
        perplexities=perplexity(model=model(reference), responses=given_responses(rows=rows)), resamples=50
    )
    [measured] = list(target.parents())
    for each in (*measured.parents(), measured, target):
        store.build(each, heard.append)
    [note] = [event for event in heard if isinstance(event, Note)]
    assert "1 of 2 responses have no perplexity" in str(note)
    summary = store.bind(target).json("summary.json")
    assert (summary["n"], summary["n_missing"], summary["n_beyond_context"]) == (1, 1, 1)
    shown = scorecard({"bench": "perplexity", "model": "m", **summary})
    assert re.search(r"beyond the model's context +1 answer, without a perplexity\n", shown)


def test_an_answer_of_a_book_s_length_takes_no_time(store: Store) -> None:
    rows = (Response(Prompt("a", "red"), WORD * 27_000, "x"),)
    started = time.monotonic()
    found = made(store, perplexity(model=model("mini:llama"), responses=given_responses(rows=rows))).rows(Perplexity)
    assert time.monotonic() - started < 20
    assert [row.negative_log_likelihood for row in found] == [None]


def test_the_filter_leaves_out_what_has_no_perplexity(store: Store) -> None:
    rows = [Response(Prompt(f"{n}", "red"), WORD * n, "x") for n in (900, 3, 4, 5)]
    responses = given_responses(rows=tuple(rows))
    kept = made(
        store, iqr_filter(responses=responses, perplexities=perplexity(model=model("mini:llama"), responses=responses))
    )
    assert "900" not in [row.prompt.id for row in kept.rows(Response)]
    counts = store.record(kept)["counts"]
    assert (counts[BEYOND], counts["rows"] + counts["outliers"]) == (1, 3)


def test_a_filter_that_would_be_left_with_nothing_says_so(store: Store) -> None:
    responses = given_responses(rows=(Response(Prompt("a", "red"), WORD * 900, "x"),))
    with pytest.raises(UserError, match="none of the 1 responses to be filtered fits into the model's context"):
        made(
            store,
            iqr_filter(responses=responses, perplexities=perplexity(model=model("mini:llama"), responses=responses)),
        )


def test_no_stage_trains_or_scores_rows_that_the_model_does_not_hold(store: Store, reference: str) -> None:
    limit = context_length(load_config(checkpoint_folder(reference)))
    held = TrainingSettings(learning_rate=1e-3, epochs=1, global_batch_size=1, max_length=limit, warmup_share=0.0)
    pairs = given_pairs(rows=(PreferencePair(Prompt("a", "red"), WORD * 900, "red"),))
    answers = given_responses(rows=(Response(Prompt("a", "red"), WORD * 900, "x"),))
    policy = model(reference)

    def stages(settings: TrainingSettings) -> list[Artifact]:
        references = reference_log_probabilities(
            model=policy, pairs=pairs, max_length=settings.max_length, precision="float32"
        )
        own = train_preferences(
            policy=policy, references=policy, pairs=pairs, loss=Dpo(beta=0.1), settings=settings, seed=0
        )
        return [references, own, train_sft(model=policy, examples=answers, settings=settings, seed=0)]

    for stage in stages(replace(held, max_length=limit + 1)):
        with pytest.raises(UserError, match=f"max_length {limit + 1} is more than the {limit} tokens that .* holds"):
            made(store, stage)
    made(store, stages(held)[-1])

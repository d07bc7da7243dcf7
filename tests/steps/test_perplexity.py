import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.engine.store import Store
from harness.mini.roles import read_role
from harness.models import hf
from harness.models.references import checkpoint_folder
from harness.records import Prompt, Response
from harness.steps import perplexity as module
from harness.steps.data import model
from harness.steps.perplexity import Perplexity, perplexity
from tests.steps.given import given_responses, made
from tests.training.naive import Naive


def test_perplexities_equal_the_naive_loop_in_the_order_of_the_rows(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH_SIZE", 7)  # several batches of different lengths
    rows = [row for row in read_role("alpaca_eval2_rambler", 16) if isinstance(row, Response)]
    rows += [
        Response(Prompt(f"short-{i}", row.prompt.text), "its color is red .", "x") for i, row in enumerate(rows[:4])
    ]
    measured = made(store, perplexity(model=model("mini:llama"), responses=given_responses(rows=tuple(rows))))
    found = measured.rows(Perplexity)
    assert [row.prompt_id for row in found] == [row.prompt.id for row in rows]
    naive = Naive(checkpoint_folder("mini:llama"))
    for row, value in zip(rows, found, strict=True):
        message, answer = naive.log_probabilities(row.prompt.text, row.text)
        assert value.tokens == len(row.text.split()) + 1
        assert value.value == pytest.approx(math.exp(-math.fsum(answer) / len(answer)), rel=1e-4)
        with_prompt = math.exp(-math.fsum([*message, *answer]) / len([*message, *answer]))
        assert abs(value.value - with_prompt) > 1e-3 * with_prompt  # so that masking shows


def test_the_end_that_a_cut_off_response_does_not_have_is_not_scored(store: Store) -> None:
    rows = [row for row in read_role("alpaca_eval2_rambler", 4) if isinstance(row, Response)]
    rows.append(Response(Prompt("empty", rows[0].prompt.text), "", "x"))
    cut_off = tuple(replace(row, finish_reason="length") for row in rows)
    found = made(store, perplexity(model=model("mini:llama"), responses=given_responses(rows=cut_off))).rows(Perplexity)
    naive = Naive(checkpoint_folder("mini:llama"))
    for row, value in zip(rows, found, strict=True):
        _, answer = naive.log_probabilities(row.prompt.text, row.text)
        scored = answer[:-1] or answer  # something must be
        assert value.tokens == len(scored)
        assert value.value == pytest.approx(math.exp(-math.fsum(scored) / len(scored)), rel=1e-4)


@pytest.mark.parametrize("family", ["qwen2", "llama"])
@pytest.mark.parametrize("logits_at_once", [hf.LOGITS_AT_ONCE, 100 * 300], ids=["whole", "split"])
def test_long_short_and_empty_responses_equal_the_naive_loop(
    store: Store, monkeypatch: pytest.MonkeyPatch, family: str, logits_at_once: int
) -> None:
    monkeypatch.setattr(hf, "LOGITS_AT_ONCE", logits_at_once)
    monkeypatch.setattr(hf, "SOFTMAX_AT_ONCE", logits_at_once // 7)
    request = next(row for row in read_role("alpaca_eval2", 1) if isinstance(row, Response)).prompt.text
    texts = ["", "its color is red . " * 80, "red", "its", "", "its color is red ."]
    rows = [Response(Prompt(f"p{i}", request), text, "x") for i, text in enumerate(texts)]
    found = made(store, perplexity(model=model(f"mini:{family}"), responses=given_responses(rows=tuple(rows))))
    naive = Naive(checkpoint_folder(f"mini:{family}"))
    for row, value in zip(rows, found.rows(Perplexity), strict=True):
        _, answer = naive.log_probabilities(request, row.text)
        assert value.prompt_id == row.prompt.id
        assert value.tokens == len(row.text.split()) + 1
        assert value.value == pytest.approx(math.exp(-math.fsum(answer) / len(answer)), rel=1e-4)


@given(lengths=st.lists(st.integers(1, 50), max_size=20), most_tokens=st.integers(0, 200))
def test_forward_passes_hold_neighbours_within_the_bound(lengths: list[int], most_tokens: int) -> None:
    runs = [lengths[part] for part in hf.length_buckets(lengths, most_tokens)]
    assert [length for run in runs for length in run] == lengths
    assert all(run and (len(run) == 1 or len(run) * max(run) <= most_tokens) for run in runs)


def test_perplexity_is_the_exponential_of_the_mean() -> None:
    assert Perplexity("x", 3 * math.log(5), 3).value == pytest.approx(5)

import math

import numpy as np
import pytest

from evals.perplexity.benchmark import summarise_perplexity
from harness.engine.artifacts import Artifact
from harness.engine.store import Store
from harness.mini.roles import read_role
from harness.models.references import checkpoint_folder
from harness.records import Prompt, Response
from harness.steps.data import model
from harness.steps.perplexity import Perplexity, perplexity
from tests.steps.given import answers, given_responses, made
from tests.training.naive import Naive


def summary_of(model: Artifact, outputs: Artifact) -> Artifact:
    return summarise_perplexity(perplexities=perplexity(model=model, responses=outputs), resamples=50)


def test_summary_and_rows_equal_the_naive_loop(store: Store) -> None:
    rows = [row for row in read_role("alpaca_eval2_rambler", 12) if isinstance(row, Response)]
    rows.insert(3, Response(Prompt("empty", rows[0].prompt.text), "", "nobody"))
    measured = made(store, summary_of(model=model("mini:qwen2"), outputs=given_responses(rows=tuple(rows))))
    summary = measured.json("summary.json")
    assert [row.prompt_id for row in measured.rows(Perplexity)] == [row.prompt.id for row in rows]
    assert (summary["n"], summary["n_missing"]) == (12, 1)

    naive = Naive(checkpoint_folder("mini:qwen2"))
    likelihoods = [naive.log_probabilities(row.prompt.text, row.text)[1] for row in rows if row.text]
    per_token = [-math.fsum(each) / len(each) for each in likelihoods]
    n_tokens = sum(map(len, likelihoods))
    assert summary["n_tokens"] == n_tokens
    corpus = math.exp(-math.fsum(value for each in likelihoods for value in each) / n_tokens)
    assert summary["corpus_perplexity"]["value"] == pytest.approx(corpus, rel=1e-4)
    assert summary["negative_log_likelihood_per_token"]["mean"]["value"] == pytest.approx(np.mean(per_token), abs=1e-4)
    assert summary["perplexity"]["median"]["value"] == pytest.approx(np.median(np.exp(per_token)), rel=1e-4)
    for found in (summary["corpus_perplexity"], summary["perplexity"]["mean"]):
        assert found["ci95"][0] < found["value"] < found["ci95"][1]


def test_empty_responses_alone_have_no_perplexity(store: Store) -> None:
    outputs = answers({"a": "", "b": " "})
    measured = made(store, summary_of(model=model("mini:llama"), outputs=outputs))
    assert measured.json("summary.json") == {
        "n": 0,
        "n_missing": 2,
        "n_beyond_context": 0,
        "n_tokens": 0,
        "perplexity": None,
        "negative_log_likelihood_per_token": None,
        "corpus_perplexity": None,
    }
    assert [row.tokens for row in measured.rows(Perplexity)] == [1, 1]


def test_no_responses_at_all(store: Store) -> None:
    measured = made(store, summary_of(model=model("mini:llama"), outputs=given_responses(rows=())))
    assert measured.json("summary.json")["n"] == 0
    assert measured.rows(Perplexity) == []

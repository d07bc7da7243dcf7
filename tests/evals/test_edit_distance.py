import numpy as np
import pytest

from evals.edit_distance.benchmark import summarise_edit_distance
from harness.engine.artifacts import Artifact
from harness.engine.store import Store
from harness.steps.edit_distance import EditDistance, edit_distance
from tests.steps.given import answers, made


def summary_of(outputs: Artifact, baselines: Artifact) -> Artifact:
    distances = edit_distance(outputs=outputs, baselines=baselines, tokenizer=None)
    return summarise_edit_distance(distances=distances, resamples=50)


def test_summary_and_rows(store: Store) -> None:
    texts = {f"p{i}": "word " * (i + 1) for i in range(20)}
    improved = {id: text + "more " * (len(text) % 3) for id, text in texts.items()} | {"unknown": "text"}
    measured = made(store, summary_of(outputs=answers(improved), baselines=answers(texts)))
    rows = measured.rows(EditDistance)
    summary = measured.json("summary.json")
    assert [row.prompt_id for row in rows] == list(texts)
    assert (summary["n"], summary["n_missing"]) == (20, 1)
    for measure in ("characters", "characters_normalised", "tokens", "tokens_normalised"):
        values = [getattr(row, measure) for row in rows]
        found = summary[measure]
        assert found["mean"]["value"] == pytest.approx(np.mean(values))
        quartiles = [found[name]["value"] for name in ("first_quartile", "median", "third_quartile")]
        assert quartiles == pytest.approx(np.percentile(values, [25, 50, 75]))
        assert found["mean"]["ci95"][0] < found["mean"]["value"] < found["mean"]["ci95"][1]


def test_texts_without_a_common_prompt(store: Store) -> None:
    measured = made(store, summary_of(outputs=answers({"a": "x"}), baselines=answers({"b": "x"})))
    summary = measured.json("summary.json")
    assert (summary["n"], summary["n_missing"], summary["characters"]) == (0, 2, None)


def test_one_pair_has_no_interval(store: Store) -> None:
    measured = made(store, summary_of(outputs=answers({"a": "xy"}), baselines=answers({"a": "x"})))
    assert measured.json("summary.json")["characters"]["mean"] == {"value": 1, "ci95": None}

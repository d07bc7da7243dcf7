"""The judged pairs behind a run's tables."""

import math
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.results.manifest import parse_manifest
from harness.results.verdicts import ARTIFACTS
from reports import pairs as module
from reports.pairs import ViewerPairs, judged_pairs
from reports.viewer import Pair, Side, Verdict
from tests.reports.conftest import made_up_manifest, with_judgments


def judged(folder: Path, manifest: dict[str, Any]) -> ViewerPairs:
    return judged_pairs(parse_manifest(manifest), folder)


@pytest.fixture
def of_table3(tmp_path: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """With one training seed."""
    return with_judgments(manifest | {"seeds": [0]}, tmp_path)


def test_each_pair_once_in_the_order_of_the_table(tmp_path: Path, of_table3: dict[str, Any]) -> None:
    found = judged(tmp_path, of_table3)
    assert found.note == ""
    # Two base models, seven rows, two benches (whose metrics rest on the same verdicts), three prompts.
    assert len(found.pairs) == 2 * 7 * 2 * 3
    assert len({pair.id for pair in found.pairs}) == len(found.pairs)
    assert found.pairs[1] == Pair(
        id="qwen/sft/alpaca_eval2/made-up-1",
        facets={
            "model": "Qwen2.5-Base (7B)",
            "method": "SFT",
            "bench": "AlpacaEval 2.0",
            "verdict": "verdicts differ",
        },
        prompt="describe thing 1 & <b>more</b>",
        left=Side("baseline", "baseline 1"),
        right=Side("SFT", "qwen-sft-alpaca_eval2 1"),
        verdicts=(
            Verdict("baseline first", "A>B", None, "loss", "[[verdict]] by a made-up judge"),
            Verdict("SFT first", "A>>B", None, "win", ""),
        ),
    )
    assert [pair.facets["verdict"] for pair in found.pairs[:3]] == ["win", "verdicts differ", "loss"]
    assert found.pairs[2].verdicts[1] == Verdict("SFT first", "A>>B", None, "failed", "the server is away")


def test_win_rates_are_named_after_their_matches(tmp_path: Path) -> None:
    manifest = with_judgments(made_up_manifest("fig10"), tmp_path)
    first = judged(tmp_path, manifest).pairs[0]
    assert first.id == "qwen/all-ref-vs-initial/pairwise/made-up-0"
    assert first.facets["method"] == "SGPO (All Ref): B vs A (improved by the initial policy)"
    assert first.facets["bench"] == "Figure 10"
    assert (first.left.label, first.right.label) == ("initial improvement", "self improvement")
    assert [verdict.heading for verdict in first.verdicts] == ["initial improvement first", "self improvement first"]


def test_a_pair_that_two_tables_show_stands_once_under_the_first_label(tmp_path: Path) -> None:
    manifest = with_judgments(made_up_manifest("table3", "table5"), tmp_path)
    shared = manifest["results"][0]["cells"][0]["judgments"]
    for cell in manifest["results"][1]["cells"]:
        cell["judgments"] = shared
    assert len(judged(tmp_path, manifest).pairs) == 84


def test_other_training_seeds_are_not_read(tmp_path: Path, of_table3: dict[str, Any]) -> None:
    found = judged(tmp_path, of_table3 | {"seeds": [7, 8]})
    assert found.note == "Training seed 7, the first of 2."


def test_verdicts_that_are_gone_are_left_out_and_said(tmp_path: Path, of_table3: dict[str, Any]) -> None:
    (tmp_path / ARTIFACTS / of_table3["results"][0]["cells"][0]["judgments"][0] / "rows.jsonl").unlink()
    found = judged(tmp_path, of_table3)
    assert len(found.pairs) == 81
    assert found.note == "1 of 28 sets of verdicts are no longer in the run's folder and left out."


def test_damaged_verdicts_are_an_error(tmp_path: Path, of_table3: dict[str, Any]) -> None:
    rows = tmp_path / ARTIFACTS / of_table3["results"][0]["cells"][0]["judgments"][0] / "rows.jsonl"
    rows.write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=r"rows\.jsonl:1: not JSON"):
        judged(tmp_path, of_table3)


def test_a_large_run_has_the_first_prompts_of_every_set(
    tmp_path: Path, of_table3: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = judged(tmp_path, of_table3)
    characters = sum(
        len(pair.left.text) + len(pair.right.text) + sum(len(verdict.reply) for verdict in pair.verdicts)
        for pair in whole.pairs
    )
    n_prompts = len(whole.pairs) // 28
    monkeypatch.setattr(module, "MAX_CHARACTERS", characters // 2)
    found = judged(tmp_path, of_table3)
    assert len(found.pairs) == 28 * math.ceil(n_prompts / 2) < len(whole.pairs)
    assert found.note == "The first 50% of the prompts of each of 28 sets; the others are in the run's folder."
    assert [pair for pair in whole.pairs if pair in found.pairs] == list(found.pairs)
    assert {pair.id.rpartition("-")[2] for pair in found.pairs} == set(map(str, range(math.ceil(n_prompts / 2))))


def test_a_run_without_verdicts_has_no_pairs(tmp_path: Path) -> None:
    assert judged(tmp_path, made_up_manifest("table2", seeds=[0])) == ViewerPairs((), "")

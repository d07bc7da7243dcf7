"""The benchmark of an endpoint that fails in all ways: its driver on a few verdicts, and what it would find."""

import signal
from pathlib import Path

import pytest

from benchmarks import faulty_endpoint
from benchmarks.faulty_endpoint import CONCURRENCY, Result, evaluate, evaluate_all, summary


def test_an_evaluation_with_faults_and_a_kill_pays_for_each_verdict_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faulty_endpoint, "_moments", lambda draw, verdicts: [10])
    monkeypatch.setitem(faulty_endpoint.FAULTS, "hang", 0.0)  # nobody waits for it to end
    result = evaluate(1, 40, tmp_path)
    assert result.is_right, result
    assert (result.verdicts, result.kills) == (40, 1) and result.runs >= 2
    assert result.requests > 40 and len(result.faults) > 5


def test_what_the_benchmark_is_to_find_is_not_right() -> None:
    right = Result(0, over_budget=-3.0)
    assert right.is_right
    assert Result(0, kills=1, paid_again=CONCURRENCY, over_budget=-3.0).is_right
    for wrong in (
        Result(0, paid_again=1, over_budget=-3.0),
        Result(0, kills=1, paid_again=CONCURRENCY + 1, over_budget=-3.0),
        Result(0, over_budget=1.1),
        Result(0, over_budget=-3.0, problems=[f"exit code {-signal.SIGSEGV}"]),
    ):
        assert not wrong.is_right
        assert summary([right, wrong])["right"] == 1


@pytest.mark.slow
def test_ten_evaluations_are_right() -> None:
    figures = summary(evaluate_all(10, 100, parallel=2))
    assert figures["right"] == 10 and figures["kills"] > 0
    assert figures["paid_again_without_a_kill"] == 0

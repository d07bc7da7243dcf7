"""`harness doctor`, and what a run looks at by itself before its first expensive step."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.engine.compute import Compute
from harness.engine.store import Store
from harness.errors import HarnessError, UserError
from harness.preflight import doctor as module
from harness.preflight.check import Check
from harness.preflight.doctor import ALL, FREE, MAX_ROWS, preflight, run_checks, summary
from harness.recipes.recipe import Recipe
from harness.run import options
from tests.command import Harness
from tests.preflight.conftest import MakeContext, llama_in

METHODS = ("--methods", "sft,dpo")


@pytest.fixture
def scale_is(monkeypatch: pytest.MonkeyPatch, tiny: Recipe) -> Callable[..., None]:
    """Makes the tiny scale with `changes` the one that commands find."""

    def be(**changes: Any) -> None:
        monkeypatch.setattr(options, "load_recipe", lambda *_, **__: replace(tiny, **changes))

    be()
    return be


def lines(text: str) -> list[str]:
    return text.splitlines()


def test_every_check_is_a_line_and_a_run_that_can_go_well_exits_with_0(
    harness: Harness, scale_is: Callable[..., None]
) -> None:
    outcome = harness("doctor", *METHODS)
    assert (outcome.exit_code, outcome.err) == (0, "")
    states = [line.split()[0] for line in lines(outcome.out)]
    assert set(states) <= {"ok", "warning"} and len(states) > 20
    for what in ("device", "memory for llama", "disk", "models", "judge", "BOS of llama", "prompts of llama"):
        assert f" {what}: " in outcome.out
    for what in ("first DPO loss of llama", "gradient of llama", "arena_hard in training"):
        assert f"ok       {what}: " in outcome.out
    assert {path.name for path in Path("runs/mini/store").iterdir()} <= {".locks"}  # nothing is left of what was made


def test_a_failure_exits_with_2_and_ends_nothing_else(
    harness: Harness,
    scale_is: Callable[..., None],
    broken_model: Callable[..., Path],
) -> None:
    scale_is(base_models=llama_in(broken_model(template="")), compute=Compute(processes=2))
    outcome = harness("doctor", *METHODS)
    assert outcome.exit_code == 2
    failed = [line for line in lines(outcome.out) if line.startswith("failure")]
    assert [line.split(": ")[0] for line in failed] == [
        "failure  training processes",
        "failure  tokenizer of llama",
        "failure  training of llama",
    ]
    assert "arena_hard in training" in outcome.out


def test_an_unknown_experiment_is_one_line(harness: Harness) -> None:
    outcome = harness("doctor", "table33")
    assert (outcome.exit_code, outcome.out) == (2, "")
    assert "unknown experiment 'table33'; did you mean 'table3'?" in outcome.err


def test_what_one_kind_cannot_get_at_does_not_end_the_others(make_context: MakeContext) -> None:
    def broken(context: Any) -> Any:
        raise UserError("cannot look")

    found = list(run_checks(make_context(), {"first": broken, "second": lambda context: [Check("ok", "it", "is")]}))
    assert [str(check) for check in found] == ["failure  first: cannot look", "ok       it: is"]


def test_a_run_looks_at_all_that_is_free() -> None:
    assert FREE.keys() < ALL.keys()
    assert ALL.keys() - FREE.keys() == {"training"}


# Before a run


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was looked at; every look finds one warning."""
    seen: list[Any] = []

    def apart(context: Any) -> list[Check]:
        seen.append(context)
        return [Check("ok", "disk", "enough"), Check("warning", "rows", "some are twice")]

    monkeypatch.setattr(module, "_apart", apart)
    return seen


def run_of(context: Any) -> tuple[Any, ...]:
    from harness.experiments import build_experiments

    return context.request, build_experiments("table3", context.request), context.store, context.missing


def test_warnings_are_one_line_and_the_run_goes_on(
    make_context: MakeContext, looked: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    preflight(*run_of(make_context()))
    assert capsys.readouterr().err == ("preflight: 1 checks ok, 1 warning (harness doctor says more): rows\n")
    [context] = looked
    assert context.most_rows == MAX_ROWS


def test_a_run_without_expensive_steps_is_not_held_up(
    make_context: MakeContext, looked: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    request, experiments, store, missing = run_of(make_context())
    preflight(request, experiments, store, [each for each in missing if each.step == "load_data"])
    assert looked == [] and capsys.readouterr().err == ""


def test_the_summary_says_no_more_than_there_is() -> None:
    assert summary([Check("ok", "a", "b"), Check("ok", "c", "d")]) == "preflight: 2 checks ok"
    assert "2 warnings (harness doctor says more): a, c" in summary(
        [Check("warning", "a", "b"), Check("warning", "c", "d")]
    )


def test_a_run_that_would_fail_is_stopped_before_anything_is_made(
    harness: Harness, scale_is: Callable[..., None], broken_model: Callable[..., Path]
) -> None:
    scale_is(base_models=llama_in(broken_model(template="")), compute=Compute(processes=2))
    outcome = harness("reproduce", "table3", *METHODS)
    assert (outcome.exit_code, outcome.out) == (2, "")
    assert lines(outcome.err)[-1].startswith("error: preflight: training processes: ")
    assert lines(outcome.err)[-1].endswith("(and 1 more: see `harness doctor`)")
    assert not list(Path("runs/mini/store").glob("*/*/artifact.json"))


def test_a_process_that_dies_is_told(make_context: MakeContext, monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    monkeypatch.setattr(module, "_look", dies)
    with pytest.raises(HarnessError, match="ended without a result; run `harness doctor`"):
        preflight(*run_of(make_context()))


def dies(*_: Any) -> None:
    """In the place of `_look`."""
    raise SystemExit(1)

"""How a scale comes to its learning rates, and the sweep that they are chosen from, as graphs."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.commands import rate_sweep
from harness.commands.rate_sweep import MULTIPLES, SCORES, STAGE, sensitivity, sweep, swept, trained_at
from harness.commands.rates import choose_rates, measure_sensitivity, table_path
from harness.config import yaml_files
from harness.config.learning_rates import (
    RULE,
    SEED,
    RateChoice,
    RateTable,
    Sensitivity,
    choose,
    grid,
    rate_text,
    read_rate_table,
    write_rate_table,
)
from harness.engine.artifacts import Artifact, ancestry
from harness.errors import UserError
from harness.experiments import Request
from harness.experiments.rates_of_rows import rates_of_rows
from harness.papers.loading import load_exhibit
from harness.recipes.loading import load_recipe, rates_path
from harness.recipes.recipe import Recipe
from harness.results.exhibits import RateMove
from harness.run.options import Choice

BARE = replace(load_recipe("mini"), rates=None)
"""The mini scale with the rates of its own file."""


def table(**rates: dict[str, float]) -> RateTable:
    """A table with these rates by base model and method."""
    models = {model: {method: RateChoice(rate, True, ()) for method, rate in of.items()} for model, of in rates.items()}
    return RateTable("mini", "a rule", 1000, "a commit", 200, 1800, models)


def rate_of(recipe: Recipe, model: str, method: str) -> float:
    settings: Any = recipe.method(model, method)
    rate: float = settings.training.learning_rate
    return rate


def rate_of_checkpoint(recipe: Recipe, model: str, method: str) -> list[float]:
    checkpoint = Request(recipe, (0,)).checkpoint(model, method, 0)
    stages = [each for each in ancestry([checkpoint]) if each.step == STAGE]
    return [each.arguments["settings"].learning_rate for each in stages]


RATED = replace(BARE, rates=table(llama={"dpo": 1.0, "spin": 2.0, "sgpo": 3.0, "sgpo-no-ref": 4.0}, qwen={"sgpo": 5.0}))


@pytest.mark.parametrize(
    ("model", "method", "rates"),
    [
        ("llama", "dpo", [1.0]),
        ("llama", "spin", [2.0]),
        ("llama", "sgpo", [3.0]),
        ("llama", "sgpo-no-ref", [4.0]),
        ("llama", "sgpo-all-ref", [3.0]),
        ("llama", "sgpo-two-rounds", [3.0, 3.0]),
        ("llama", "sgpo:rounds=2:chosen=reference", [3.0, 3.0]),
        ("llama", "sft", []),
        ("qwen", "dpo", [5.0]),
        ("qwen", "spin", [5.0]),
    ],
)
def test_a_method_trains_at_its_own_rate_or_else_at_that_of_its_stage_or_sgpo(
    model: str, method: str, rates: list[float]
) -> None:
    assert rate_of_checkpoint(RATED, model, method) == rates


def test_a_base_model_or_a_scale_without_rates_has_those_of_its_own_file() -> None:
    assert rate_of(RATED, "qwen-small", "sgpo") == rate_of(BARE, "llama", "sgpo") == 1.25e-5
    assert load_recipe("paper").rates is None
    assert [rate_of(load_recipe("paper"), "qwen", name) for name in ("dpo", "spin", "sgpo")] == [5e-7, 3e-7, 5e-7]


def test_nothing_but_the_preference_stages_changes() -> None:
    rated: Any
    rated, bare = (recipe.method("llama", "sgpo") for recipe in (RATED, BARE))
    assert rated != bare == replace(rated, training=replace(rated.training, learning_rate=1.25e-5))
    assert RATED.method("llama", "sft") == BARE.method("llama", "sft")


@pytest.fixture
def configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the packaged configuration without rates, which is then read."""
    configs = shutil.copytree(yaml_files.CONFIGS, tmp_path / "configs")
    (configs / "papers/sgpo/rates/mini.yaml").unlink()
    monkeypatch.setattr(yaml_files, "CONFIGS", configs)
    return configs


def test_the_file_sets_the_scale_and_its_smaller_versions(configs: Path) -> None:
    assert load_recipe("mini") == BARE
    write_rate_table(configs / "papers/sgpo/rates/mini.yaml", table(llama={"sgpo": 7e-6}))
    for recipe in (load_recipe("mini"), load_recipe("mini", fast=True), load_recipe("mini").at_most(50)):
        assert rate_of_checkpoint(recipe, "llama", "sgpo") == [7e-6]
    assert load_recipe("small").rates is None


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        (
            {"lama": {"sgpo": 1e-5}},
            r"unknown model in configs/papers/sgpo/rates/mini\.yaml: 'lama'; did you mean 'llama'",
        ),
        (
            {"llama": {"sgop": 1e-5}},
            r"unknown method in configs/papers/sgpo/rates/mini\.yaml: 'sgop'; did you mean 'sgpo'",
        ),
    ],
)
def test_an_unknown_name_in_the_file_is_one_line(
    configs: Path, rates: dict[str, dict[str, float]], message: str
) -> None:
    write_rate_table(configs / "papers/sgpo/rates/mini.yaml", table(**rates))
    with pytest.raises(UserError, match=message):
        load_recipe("mini")


SWEPT = {
    "qwen": ("dpo", "spin", "sgpo-unshared", "sgpo-teacher-only", "sgpo", "sgpo-all-ref", "sgpo-no-ref"),
    "llama": ("dpo", "spin", "sgpo-unshared", "sgpo-teacher-only", "sgpo", "sgpo-reference-chosen"),
    "qwen-small": ("sgpo-teacher-only", "sgpo-teacher-only-shared", "sgpo-unshared", "sgpo"),
}


def test_the_methods_are_those_of_the_papers_tables_with_a_preference_stage_of_their_own() -> None:
    assert swept(BARE) == SWEPT
    assert "sgpo-two-rounds" in [row.method for row in load_exhibit("sgpo", "table6").rows]  # type: ignore[union-attr]


def test_a_selection_is_of_what_is_swept() -> None:
    assert swept(BARE, ["llama"], ["sgpo", "sgpo-no-ref"]) == {"llama": ("sgpo",)}
    with pytest.raises(UserError, match="no rate is chosen for the method 'sft' on the scale mini, but for dpo"):
        swept(BARE, (), ["sft"])
    with pytest.raises(UserError, match="no rate is chosen for the base model 'gpt'"):
        swept(BARE, ["gpt"])


def one(artifact: Artifact, name: str) -> Artifact:
    found = artifact.inputs[name]
    assert isinstance(found, Artifact)
    return found


@pytest.fixture(scope="module")
def tried() -> dict[tuple[str, float], Artifact]:
    of = {"llama": ("dpo", "spin", "sgpo")}
    return {(each.method, each.rate): each.figures for each in sweep(BARE, of, 1000)}


def test_every_method_is_tried_at_every_rate(tried: dict[tuple[str, float], Artifact]) -> None:
    assert set(tried) == {(method, rate) for method in ("dpo", "spin", "sgpo") for rate in grid(5e-4)}
    for (_, rate), figures in tried.items():
        policy = one(figures, "model")
        assert policy.step == STAGE
        assert policy.arguments["settings"].learning_rate == rate


def test_what_is_measured_on_is_not_trained_on(tried: dict[tuple[str, float], Artifact]) -> None:
    size = BARE.data["preference_data"].size
    for figures in tried.values():
        seen, held = (_ranges(one(figures, name)) for name in ("model", "pairs"))
        assert (seen, held) == ({(0, size - 200)}, {(size - 200, size)})
        assert _ranges(one(figures, "answers")) - seen == held


def _ranges(artifact: Artifact) -> set[tuple[int, int]]:
    return {
        (each.params["start"], each.params["stop"]) for each in ancestry([artifact]) if each.step == "pairs_between"
    }


def test_the_policy_answers_and_scores_the_methods_own_pairs(tried: dict[tuple[str, float], Artifact]) -> None:
    for (method, _), figures in tried.items():
        policy, pairs = one(figures, "model"), one(figures, "pairs")
        assert one(one(figures, "answers"), "model") == policy
        scored = one(figures, "log_probabilities")
        assert (one(scored, "model"), one(scored, "pairs")) == (policy, pairs)
        expected = {"dpo": "pairs_between", "spin": "preference_pairs", "sgpo": "preference_pairs"}[method]
        assert pairs.step == expected
    assert len({one(tried["sgpo", rate], "pairs") for rate in grid(5e-4)}) == 1  # no pair depends on the rate


def test_neither_a_judge_nor_gold_quality_is_looked_at(tried: dict[tuple[str, float], Artifact]) -> None:
    steps = {each.step for each in ancestry(tried.values())}
    assert not [step for step in steps if "judge" in step or "gold" in step or "score" in step]
    roles = {each.params["reference"] for each in ancestry(tried.values()) if each.step == "load_data"}
    assert roles == {"mini:demonstrations", "mini:improver_data", "mini:preference_data"}


def test_the_rates_in_force_do_not_change_the_sweep(tried: dict[tuple[str, float], Artifact]) -> None:
    again = sweep(RATED, {"llama": ("dpo", "spin", "sgpo")}, 1000)
    assert {(each.method, each.rate): each.figures for each in again} == tried


def test_sensitivity_scores_the_sweeps_own_checkpoints_at_multiples_of_the_chosen_rate() -> None:
    found = sensitivity(BARE, {"llama": {"sgpo": 2.5e-5}}, 1000)
    assert [(each.times, each.rate) for each in found] == [(times, times * 2.5e-5) for times in MULTIPLES]
    for each in found:
        assert set(each.scores) == set(SCORES)
        for artifact in each.scores.values():
            assert trained_at(BARE, "llama", "sgpo", each.rate, 1000) in ancestry([artifact])


def test_too_few_rows_to_hold_any_out_is_said() -> None:
    with pytest.raises(UserError, match="3 rows of preference data leave none to hold out; give 4 at least"):
        sweep(BARE.at_most(3), {"llama": ("dpo",)}, 1000)


def test_a_report_says_of_each_row_what_chose_its_rate_and_how_scores_move() -> None:
    smallest = replace(RATED.rates.models["llama"]["dpo"], passed=False)  # type: ignore[union-attr]
    models = {**RATED.rates.models, "llama": {**RATED.rates.models["llama"], "dpo": smallest}}  # type: ignore[union-attr]
    scored = tuple(
        Sensitivity(times, times * 3.0, {"arena_hard/score": score, "a/b": None})
        for times, score in ((0.5, 10.0), (1.0, 12.5), (2.0, 11.0))
    )
    recipe = replace(RATED, rates=replace(RATED.rates, models=models, sensitivity={"llama": {"sgpo": scored}}))  # type: ignore[type-var]
    request = Request(recipe, (0, 1))
    names = ("sft", "dpo", "sgpo", "sgpo-two-rounds", "improver")
    made = {("llama", name, seed): request.checkpoint("llama", name, seed) for name in names for seed in (0, 1)}
    dpo, sgpo, twice = rates_of_rows(recipe, made)
    assert (dpo.method, dpo.rate, dpo.moves) == ("dpo", 1.0, ())
    assert dpo.chosen == "no rate passes the rule: the smallest"
    assert (sgpo.method, sgpo.chosen) == ("sgpo", "the rule")
    assert sgpo.moves == (RateMove("arena_hard", "score", -2.5, -1.5), RateMove("a", "b", None, None))
    assert (twice.method, twice.chosen, twice.moves) == ("sgpo-two-rounds", "the rule; that of sgpo", ())


@pytest.mark.parametrize("rows", [None, 4])
def test_a_row_that_trains_on_fewer_pairs_than_its_rate_was_chosen_on_says_so(rows: int | None) -> None:
    """As `--fast` and `--limit` do: the rate of a preference stage depends on how many steps it has."""
    recipe = RATED.at_most(rows) if rows else RATED
    assert RATED.rates is not None
    there = RATED.rates.trained_on + RATED.rates.held_out
    pairs = replace(recipe.data["preference_data"], size=rows or there)
    recipe = replace(recipe, data={**recipe.data, "preference_data": pairs})
    made = {("llama", "sgpo", 0): Request(recipe, (0,)).checkpoint("llama", "sgpo", 0)}
    [sgpo] = rates_of_rows(recipe, made)
    assert sgpo.chosen == ("the rule" if rows is None else f"the rule; chosen on {there:,} pairs, here for 4")


def test_a_scale_without_a_table_names_its_own_file() -> None:
    made = {("llama", "dpo", 0): Request(BARE, (0,)).checkpoint("llama", "dpo", 0)}
    [dpo] = rates_of_rows(BARE, made)
    assert dpo.chosen == "configs/papers/sgpo/recipes/mini.yaml"
    assert dpo.rate == rate_of(BARE, "llama", "dpo")


PUBLISHED = read_rate_table(rates_path("mini"))
DOCUMENT = (Path(__file__).parents[2] / "docs/rates.md").read_text(encoding="utf-8")


def test_the_mini_scales_table_is_what_the_rule_makes_of_its_own_figures() -> None:
    assert (PUBLISHED.rule, PUBLISHED.seed, PUBLISHED.held_out, PUBLISHED.trained_on) == (RULE, SEED, 200, 1800)
    assert {model: tuple(of) for model, of in PUBLISHED.models.items()} == SWEPT
    for of in PUBLISHED.models.values():
        for choice in of.values():
            assert choose([line.trial for line in choice.grid]) == choice
            assert tuple(line.trial.rate for line in choice.grid) == grid(rate_of(BARE, "llama", "sft"))


@pytest.mark.parametrize("paper", ["sgpo", "srpo"])
def test_the_mini_scale_trains_at_its_table(paper: str) -> None:
    for model, of in read_rate_table(rates_path("mini", paper)).models.items():
        for method, choice in of.items():
            assert rate_of_checkpoint(load_recipe("mini", paper=paper), model, method) == [choice.rate]


def published(name: str) -> list[list[str]]:
    """The cells of a table of docs/rates.md, without its heads and without marks of bold."""
    text = DOCUMENT.partition(f"<!-- {name} -->")[2].partition("<!-- end")[0]
    lines = text.strip().replace("**", "").splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize(("paper", "name"), [("sgpo", "mini"), ("srpo", "srpo/mini")])
def test_the_documentation_publishes_the_table(paper: str, name: str) -> None:
    rows = []
    for model, of in read_rate_table(rates_path("mini", paper)).models.items():
        for method, choice in of.items():
            mark = "chosen" if choice.passed else "smallest, none passes"
            for trial in (line.trial for line in choice.grid):
                rate = rate_text(trial.rate) + (f" ← {mark}" if trial.rate == choice.rate else "")
                allowed = "–".join(f"{bound:.1f}" for bound in trial.allowed)
                figures = [f"{100 * trial.cut_off:.1f} %", f"{trial.tokens:.1f}", allowed]
                rows.append([model, method, rate, *figures, f"{trial.log_probability:.2f}"])
    assert published(f"rates of {name}") == rows


def test_the_documentation_publishes_the_scores_at_other_rates() -> None:
    rows = []
    for model, of in PUBLISHED.sensitivity.items():
        for method, lines in of.items():
            for line in lines:
                rate = rate_text(line.rate) + (" (chosen)" if line.times == 1 else "")
                rows.append(
                    [model, method, rate, *(f"{score:.1f}" if score else "—" for score in line.scores.values())]
                )
    assert published("sensitivity of mini") == rows


def test_sensitivity_is_of_the_chosen_rates() -> None:
    for model, of in PUBLISHED.sensitivity.items():
        for method, measured in of.items():
            chosen = PUBLISHED.models[model][method].rate
            assert [each.rate for each in measured] == [times * chosen for times in MULTIPLES]


@pytest.mark.parametrize(
    ("part", "is_whole"),
    [
        ({}, True),
        ({"models": ("qwen",)}, False),
        ({"methods": ("dpo",)}, False),
        ({"limit": 9}, False),
        ({"seeds": (0,)}, False),
    ],
)
def test_a_part_of_the_sweep_or_another_seed_sets_no_scale(
    part: dict[str, Any], is_whole: bool, tmp_path: Path, configs: Path
) -> None:
    path = table_path(Choice("mini", **{"seeds": (SEED,), **part}), tmp_path)
    assert path == (configs / "papers/sgpo/rates/mini.yaml" if is_whole else tmp_path / "rates.yaml")


def test_scores_at_other_rates_need_chosen_ones(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"rates\.yaml is not there: choose rates first, by the same command without"):
        measure_sensitivity(Choice("mini", limit=16, seeds=(SEED,)), tmp_path, print)


@pytest.mark.slow
def test_a_sweep_writes_its_table_and_scores_are_added_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The two commands on a few rows, one method and one rate."""
    monkeypatch.setattr(rate_sweep, "grid", lambda sft_rate: (sft_rate,))
    monkeypatch.setattr(rate_sweep, "MULTIPLES", (1.0,))
    monkeypatch.setattr(rate_sweep, "SCORES", {"arena_hard": ("score",)})
    choice, lines = Choice("mini", limit=16, models=("llama",), methods=("dpo",), seeds=(SEED,)), list[str]()
    choose_rates(choice, tmp_path, lines.append)
    assert lines[-1] == f"written to {tmp_path / 'rates.yaml'}"
    table = read_rate_table(tmp_path / "rates.yaml")
    assert (table.held_out, table.trained_on) == (4, 12)
    assert [line.trial.rate for line in table.models["llama"]["dpo"].grid] == [5e-4]
    measure_sensitivity(choice, tmp_path, lines.append)
    scored = read_rate_table(tmp_path / "rates.yaml")
    assert replace(scored, sensitivity={}) == table
    [measured] = scored.sensitivity["llama"]["dpo"]
    assert measured.rate == 5e-4
    assert 0 <= (measured.scores["arena_hard/score"] or 0.0) <= 100
    choose_rates(choice, tmp_path, lines.append)  # the same choice again: what was scored at it still holds
    assert read_rate_table(tmp_path / "rates.yaml") == scored


SRPO = load_recipe("mini", paper="srpo")


def test_the_methods_of_curves_have_rates_of_their_own_on_each_base_model() -> None:
    assert {model: set(of) for model, of in swept(SRPO).items()} == {
        "llama": {"srpo", "ipo", "dpo"},
        "llama3": {"srpo", "ipo", "dpo", "rpo", "simpo"},
    }


@pytest.mark.parametrize(("model", "data"), [("llama", "mini:summary_pairs"), ("llama3", "mini:preference_data")])
def test_rows_are_held_out_of_the_pairs_that_the_base_model_learns_from(model: str, data: str) -> None:
    tried = sweep(SRPO, {model: ("srpo",)}, SEED)
    assert [each.rate for each in tried] == list(grid(5e-4))
    for each in tried:
        read = {one.params["reference"] for one in ancestry([each.figures]) if "reference" in one.params}
        assert data in read and not {"mini:summary_pairs", "mini:preference_data"} - {data} & read
        [stage] = [one for one in ancestry([each.figures]) if one.step == STAGE]
        assert stage.arguments["settings"].learning_rate == each.rate


def test_scores_that_a_paper_has_no_bench_for_are_not_looked_at() -> None:
    scored = sensitivity(SRPO, {"llama3": {"srpo": 1e-4}}, SEED)
    assert {name for each in scored for name in each.scores} == {"arena_hard"}

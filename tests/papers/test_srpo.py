"""SRPO's Figure 2: analytic solutions against naive minimisers, training against both, and the whole command."""

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from evals.bandit import _comparison
from harness.errors import UserError
from harness.experiments import Request
from harness.experiments.bandit import bandit
from harness.papers.bandit import BanditFigure, BanditTraining
from harness.papers.bandit_solutions import (
    dpo_policy,
    expected_preference_policy,
    solution,
    srpo_improvement,
    srpo_policy,
)
from harness.papers.checks.srpo import Bandit, Ratios, fitted_improvement, loss_15, loss_16, residual_3, residual_4
from harness.papers.folders import paper_folder
from harness.papers.loading import load_exhibit
from harness.papers.names import usual_seeds
from harness.recipes.loading import load_recipe
from harness.training.bandit import BanditPolicies, counts_of, draw_pairs, train_bandit_policies
from harness.training.losses import Dpo, Ipo, Orpo, PreferenceLoss, Srpo
from tests.command import Harness

P = [[0.5, 0.99, 0.3], [0.01, 0.5, 0.25], [0.7, 0.75, 0.5]]
MU = {"mu0": [1 / 3] * 3, "mu1": [0.15, 0.70, 0.15]}
LOSSES: dict[str, PreferenceLoss] = {
    "srpo": Srpo(beta=1, alpha=0),
    "ipo": Ipo(beta=1),
    "dpo": Dpo(beta=1),
    "srpo-0.5": Srpo(beta=1, alpha=0.5),
}
CONVERGED = BanditTraining(steps=800, learning_rate=0.05)
SEEDS = tuple(range(10))


def figure() -> BanditFigure:
    found = load_exhibit("srpo", "fig2")
    assert isinstance(found, BanditFigure)
    return found


@cache
def data(behavior: str) -> list[Any]:
    return [draw_pairs(P, MU[behavior], 10_000, seed) for seed in SEEDS]


@cache
def trained(method: str, behavior: str, training: BanditTraining = CONVERGED) -> BanditPolicies:
    return train_bandit_policies(LOSSES[method], data(behavior), 3, training, SEEDS)


# Analytic solutions


@pytest.mark.parametrize("behavior", MU)
@pytest.mark.parametrize(
    ("found", "numbers"),
    [
        (lambda mu: srpo_policy(P, 1.0), {"mu0": [0.3553, 0.2571, 0.3876], "mu1": [0.3553, 0.2571, 0.3876]}),
        (
            lambda mu: expected_preference_policy(P, mu, 1.0),
            {"mu0": [0.3618, 0.2566, 0.3816], "mu1": [0.3918, 0.2564, 0.3517]},
        ),
        (
            lambda mu: expected_preference_policy(P, mu, 1.0, logit=True),
            {"mu0": [0.6284, 0.0270, 0.3446], "mu1": [0.8842, 0.0171, 0.0986]},
        ),
        (lambda mu: dpo_policy(P, mu, 1.0), {"mu0": [0.4050, 0.0686, 0.5265], "mu1": [0.6317, 0.0626, 0.3057]}),
    ],
)
def test_the_analytic_solutions_have_known_numbers(
    behavior: str, found: Callable[[list[float]], Any], numbers: dict[str, list[float]]
) -> None:
    assert found(MU[behavior]) == pytest.approx(numbers[behavior], abs=6e-5)


def test_given_y1_the_best_revision_is_y0() -> None:
    rows = [[0.3529, 0.2162, 0.4310], [0.4168, 0.2553, 0.3279], [0.3152, 0.2998, 0.3850]]
    assert srpo_improvement(P, 1.0) == pytest.approx(np.array(rows), abs=6e-5)


def naive_loss(method: str, beta: float, policies: list[list[float]], share: list[list[float]]) -> float:
    """The expected loss, a pair (w, l) after the other, of π(y), π(y|y0), π(y|y1), ... against a uniform reference."""
    total = 0.0
    h = [[float(np.log(3 * each)) for each in row] for row in policies]
    for w in range(3):
        for l in range(3):  # noqa: E741
            margin = h[0][w] - h[0][l]
            if method == "dpo":
                loss = float(np.log1p(np.exp(-beta * margin)))
            elif method == "ipo":
                loss = (margin - 1 / (2 * beta)) ** 2
            else:
                given_w, given_l = h[1 + w], h[1 + l]
                alpha = {"srpo": 0.0, "srpo-0.5": 0.5}[method]
                robust = (beta * (given_l[w] + margin - given_w[l]) - 1) ** 2
                of_l, of_w = (0.5 - beta * (given[w] - given[l]) for given in (given_l, given_w))
                loss = (1 - alpha) * robust + alpha * (of_l**2 + of_w**2)
            total += share[w][l] * loss
    return total


def naive_minimiser(method: str, beta: float, share: list[list[float]]) -> list[float]:
    def objective(logits: Any) -> float:
        table = np.exp(logits.reshape(4, 3))
        return naive_loss(method, beta, (table / table.sum(1, keepdims=True)).tolist(), share)

    best = minimize(objective, np.zeros(12), tol=1e-12).x.reshape(4, 3)[0]
    policy: list[float] = (np.exp(best) / np.exp(best).sum()).tolist()
    return policy


@pytest.mark.parametrize("beta", [1.0, 2.0])
@pytest.mark.parametrize("behavior", MU)
@pytest.mark.parametrize("method", ["srpo-0.5", "ipo", "dpo"])
def test_they_are_least_of_the_expected_loss(method: str, behavior: str, beta: float) -> None:
    """Each pair is drawn in one of two orders, and labelled by P."""
    mu = MU[behavior]
    share = [[2 * mu[w] * mu[l] * P[w][l] for l in range(3)] for w in range(3)]  # noqa: E741
    kind = method.partition("-")[0]
    expected = solution({"kind": kind, "beta": beta}, P, mu)
    assert naive_minimiser(method, beta, share) == pytest.approx(expected, abs=1e-4)


def test_a_loss_without_a_solution_here_has_none() -> None:
    assert solution({"kind": "orpo", "beta": 1}, P, MU["mu0"]) is None


# Data and training


def test_data_are_drawn_from_the_behavior_and_labelled_by_the_preferences() -> None:
    pairs = draw_pairs(P, MU["mu1"], 200_000, seed=3)
    share = counts_of(pairs, 3).reshape(3, 3)
    mu = np.array(MU["mu1"])
    assert share == pytest.approx(2 * np.outer(mu, mu) * np.array(P), abs=0.004)
    assert (pairs == draw_pairs(P, MU["mu1"], 200_000, seed=3)).all()
    assert (pairs != draw_pairs(P, MU["mu1"], 200_000, seed=4)).any()


@pytest.mark.parametrize("behavior", MU)
@pytest.mark.parametrize("method", ["srpo-0.5", "ipo"])
def test_means_over_data_sets_are_near_the_analytic_solution(method: str, behavior: str) -> None:
    expected = solution({"kind": method.partition("-")[0], "beta": 1}, P, MU[behavior])
    assert trained(method, behavior).generate.mean(axis=0) == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize("behavior", MU)
def test_dpo_differs_from_its_analytic_solution_by_the_draw_of_data_alone(behavior: str) -> None:
    """Each data set's policy is the minimiser of the loss on it; their mean is within three standard errors."""
    policies = trained("dpo", behavior).generate
    for policy, pairs in zip(policies[:3], data(behavior), strict=False):
        share = counts_of(pairs, 3).reshape(3, 3).tolist()
        assert policy == pytest.approx(naive_minimiser("dpo", 1.0, share), abs=1e-4)
    error = policies.std(axis=0, ddof=1) / len(SEEDS) ** 0.5
    assert (np.abs(policies.mean(axis=0) - dpo_policy(P, MU[behavior], 1.0)) < 3 * error).all()


@pytest.mark.parametrize(
    "training", [CONVERGED, BanditTraining(30, 0.05, 100), BanditTraining(30, 0.05, None, "normal")]
)
def test_a_seed_is_the_same_alone_and_among_others(training: BanditTraining) -> None:
    training = replace(training, steps=30)
    among = train_bandit_policies(LOSSES["srpo"], data("mu0"), 3, training, SEEDS)
    alone = train_bandit_policies(LOSSES["srpo"], data("mu0")[4:5], 3, training, SEEDS[4:5])
    assert (among.generate[4] == alone.generate[0]).all()
    assert (among.revise[4] == alone.revise[0]).all()


def test_with_alpha_0_the_start_decides_and_the_loss_does_not_tell() -> None:
    usual, random = trained("srpo", "mu0"), trained("srpo", "mu0", replace(CONVERGED, start="normal"))
    assert usual.loss == pytest.approx(random.loss, abs=1e-4)
    assert set(usual.generate.argmax(axis=1)) == {2}
    assert len(set(random.generate.argmax(axis=1))) > 1
    unique = trained("srpo-0.5", "mu0", replace(CONVERGED, start="normal"))
    assert unique.generate == pytest.approx(trained("srpo-0.5", "mu0").generate, abs=1e-3)


@pytest.mark.parametrize("method", LOSSES)
def test_the_losses_are_those_of_language_models(method: str) -> None:
    """Before any step, at random logits, against plain Python."""
    found = train_bandit_policies(
        LOSSES[method], data("mu1")[:1], 3, BanditTraining(0, 0.01, None, "normal"), SEEDS[:1]
    )
    share = counts_of(data("mu1")[0], 3).reshape(3, 3).tolist()
    policies = [found.generate[0].tolist(), *found.revise[0].tolist()]
    assert found.loss[0] == pytest.approx(naive_loss(method, 1.0, policies, share))


def test_the_check_computes_the_same_losses() -> None:
    bandit = Bandit(np.array(P).T, np.array(MU["mu1"]))
    at = bandit.somewhere()
    policies = (np.exp(np.vstack([at.h, at.g])) / 3).tolist()
    share = (2 * bandit.pairs * np.array(P)).tolist()
    robust, both = naive_loss("srpo", 1.0, policies, share), naive_loss("srpo-0.5", 1.0, policies, share)
    assert bandit.sampled(np.ones((3, 3))) == pytest.approx(1.0)
    assert loss_16(bandit, at) == pytest.approx(robust)
    assert (loss_16(bandit, at) + loss_15(bandit, at)) / 2 == pytest.approx(both)


@pytest.mark.parametrize("policy", [[0.1, 0.8, 0.1], [0.4, 0.3, 0.3], [0.98, 0.01, 0.01]])
def test_every_policy_is_a_minimiser_of_the_robust_loss(policy: list[float]) -> None:
    p = np.array(P).T
    improvement = fitted_improvement(p, np.array(policy))
    assert improvement.sum(axis=1) == pytest.approx(1)
    assert (improvement > 0).all()
    assert np.abs(residual_4(Ratios.of(np.array(policy), improvement), p, as_printed=False)).max() < 1e-12


@pytest.mark.parametrize(("of_improvement", "rank"), [(False, 3), (True, 8)])
def test_both_losses_leave_no_freedom_and_the_robust_one_alone_does(of_improvement: bool, rank: int) -> None:
    """Of the 8 numbers of π and π†: the rank of what the losses square, by finite differences."""
    p = np.array(P).T

    def residuals(logits: Any) -> Any:
        policies = np.exp(logits.reshape(4, 3))
        policies /= policies.sum(axis=1, keepdims=True)
        at = Ratios.of(policies[0], policies[1:])
        robust = residual_4(at, p, as_printed=False).ravel()
        return np.concatenate([robust, residual_3(at, p).ravel()]) if of_improvement else robust

    at, step = np.random.default_rng(0).normal(size=12), 1e-6
    jacobian = [(residuals(at + step * unit) - residuals(at - step * unit)) / (2 * step) for unit in np.eye(12)]
    assert np.linalg.matrix_rank(np.array(jacobian), tol=1e-6) == rank


def test_a_loss_on_the_prompt_is_refused() -> None:
    with pytest.raises(ValueError, match="no prompt"):
        train_bandit_policies(Orpo(weight=0.1), data("mu0")[:1], 3, CONVERGED, SEEDS[:1])


# Tests of claims


def test_a_difference_is_tested_over_data_sets() -> None:
    found: dict[str, Any] = _comparison([1.0, 2.0, 3.0, 4.0, 5.0], 100)
    half = 2.776445 * (2.5 / 5) ** 0.5  # t at 4 degrees of freedom
    assert (found["difference"], found["ci95"]) == (3.0, pytest.approx([3 - half, 3 + half]))
    assert found["p_value"] == pytest.approx(0.0132, abs=1e-4)
    assert "5 training seeds, not 4" in str(_comparison([1.0] * 4, 100)["withheld"])


# The figure's file


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"preferences": ((0.5, 0.4), (0.6, 0.5))}, "preferences need 3 rows of 3 numbers"),
        ({"preferences": ((0.5, 0.9, 0.3), (0.2, 0.5, 0.25), (0.7, 0.75, 0.5))}, "must sum to 1"),
        ({"actions": ("y0", "y0", "y2")}, "action 'y0' is there twice"),
        ({"training": BanditTraining(0, 0.01)}, "steps, learning_rate and batch_size must be above 0"),
        ({"pairs": 0}, "pairs must be 1 or more"),
    ],
)
def test_a_figure_that_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        replace(figure(), **changes).check()


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ({"kind": "orpo", "weight": 0.1}, "fig2: methods.srpo.loss: a bandit has no prompt"),
        ({"kind": "sppo", "beta": 1}, "fig2: methods.srpo.loss: .*kind"),
        ({"kind": "srpo", "beta": 0, "alpha": 0}, "fig2: methods.srpo.loss: beta must be above 0"),
    ],
)
def test_a_loss_that_cannot_be_is_refused(loss: dict[str, Any], message: str) -> None:
    first, *others = figure().methods
    exhibit = replace(figure(), methods=(replace(first, loss=loss), *others))
    with pytest.raises(UserError, match=message):
        bandit(exhibit, Request(load_recipe("mini", paper="srpo"), (0,)))


def test_every_claim_of_it_has_a_test() -> None:
    experiment = bandit(figure(), Request(load_recipe("mini", paper="srpo"), (0, 1)))
    orderings = [each for claim in figure().claims for each in claim.orderings()]
    assert all(experiment.test(model, stated) for model, stated in orderings)
    assert {artifact.arguments["seeds"] for artifact in experiment.policies.values()} == {(0, 1)}


def test_it_has_ten_data_sets_unless_asked_otherwise() -> None:
    assert (usual_seeds("srpo/fig2"), usual_seeds("srpo/all")) == ((10, 10), (1, 10))
    assert (usual_seeds("table3"), usual_seeds("sgpo/all")) == ((1, 1), (1, 1))


# The command


@pytest.fixture
def reduced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The paper `bandit`: SRPO with fewer steps and one other training."""
    folder = shutil.copytree(paper_folder("srpo"), tmp_path / "papers" / "bandit")
    path = folder / "exhibits" / "fig2.yaml"
    text = path.read_text(encoding="utf-8").replace(
        "steps: 2000, learning_rate: 0.01}", "steps: 200, learning_rate: 0.05}"
    )
    start, end = text.index("  - {id: start"), text.index("claims:")
    path.write_text(text[:start] + text[end:], encoding="utf-8")
    monkeypatch.setenv("HARNESS_PAPERS", str(tmp_path / "papers"))
    yield


def test_the_figure_is_reproduced(harness: Harness, reduced: None, tmp_path: Path) -> None:
    outcome = harness("reproduce", "bandit/fig2", "--seeds", "5", "--run-dir", "runs")
    assert outcome.exit_code == 0, outcome.err
    assert "With 5 training seeds, of 3 claims of the paper 3 hold." in outcome.out
    folder = tmp_path / "runs" / "bandit" / "fig2"
    rows = list(csv.DictReader((folder / "fig2.csv").open(encoding="utf-8")))
    assert list(rows[0]) == ["behavior", "method", "action", "probability", "sd", "analytic"]
    assert {(row["behavior"], row["method"], row["action"]) for row in rows} == {
        (behavior, method, action) for behavior in MU for method in LOSSES for action in "012"
    }
    for row in rows:
        assert float(row["sd"]) > 0
        assert abs(float(row["probability"]) - float(row["analytic"])) < 0.03
    assert {path.suffix for path in (folder / "figures").iterdir()} == {".pdf", ".png", ".svg"}
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert (manifest["judge"]["name"], manifest["models"]) == ("", {})
    page = (folder / "report.md").read_text(encoding="utf-8")
    assert page.startswith("# Figure 2 of BANDIT, reproduced at the paper's own size\n")
    assert "another learning rate" in page and "Nothing is judged." in page


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--scale", "nothing"], "unknown scale 'nothing' (known: mini, paper, small; "),
        (["--models", "qwen"], "--models selects base models, and srpo/fig2 is on none; leave it out"),
        (["--methods", "srpo"], "--methods selects rows of score tables, and srpo/fig2 is none; leave it out"),
        (["--set", "methods.spro.beta=1"], "method to --set"),
        (["--teacher", "mini:teacher"], "has no teacher that --teacher could replace"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(harness: Harness, options: list[str], message: str) -> None:
    outcome = harness("reproduce", "srpo/fig2", *options)
    assert (outcome.exit_code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert message in outcome.err

"""The equations of SRPO (arXiv 2406.01660), computed on the bandit of its section 5.

Notation: h(y) = log π(y)/π_ref(y) [actions], g(y, y') = log π†(y'|y)/π_ref(y'|y) [drafts, actions], of a uniform
reference; p(y, y') is the probability that y' is preferred to y. So P, printed row over column, is transposed.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.papers.bandit import BanditFigure
from harness.papers.bandit_solutions import (
    dpo_policy,
    expected_preference_policy,
    softmax,
    srpo_improvement,
    srpo_policy,
)
from harness.papers.checks import Found
from harness.papers.kinds import AnyExhibit

Array = npt.NDArray[np.float64]

BETA = 1.0
"""Section 5's."""
OTHER_BETA = 2.0
"""Where 1 would hide what is multiplied by it."""
_SEED = 0
"""Of the policies that two losses are compared at."""


@dataclass(frozen=True)
class Ratios:
    """The log-ratios of a policy, `h` [actions], and of an improvement policy, `g` [drafts, actions], to uniform."""

    h: Array
    g: Array

    @classmethod
    def of(cls, policy: Array, improvement: Array) -> "Ratios":
        """Return those of probabilities."""
        n = len(policy)
        return cls(np.log(n * policy), np.log(n * improvement))


@dataclass(frozen=True)
class Bandit:
    """The bandit: `p` [y, y'], and a behavior policy `mu`."""

    p: Array
    mu: Array

    @property
    def pairs(self) -> Array:
        """The probability of each pair of independent draws: [y, y']."""
        return np.outer(self.mu, self.mu)

    def at_solution(self, beta: float = BETA) -> Ratios:
        """Return the log-ratios of Eqs. 5 and 11."""
        return Ratios.of(srpo_policy(self.p.T.tolist(), beta), srpo_improvement(self.p.T.tolist(), beta))

    def somewhere(self) -> Ratios:
        """Return the log-ratios of policies that solve nothing."""
        logits = np.random.default_rng(_SEED).normal(size=(1 + len(self.mu), len(self.mu)))
        policies = softmax(logits)
        return Ratios.of(policies[0], policies[1:])

    def expected(self, losses: Array) -> float:
        """Return the mean over pairs of draws of a loss [y, y']."""
        return float((self.pairs * losses).sum())

    def over_labels(self, losses: Callable[[Array], Array]) -> float:
        """Return the mean over labels of a loss [y, y'] of the label 1(y' ≻ y)."""
        preferred, other = losses(np.ones_like(self.p)), losses(np.zeros_like(self.p))
        return self.expected(self.p * preferred + (1 - self.p) * other)

    def sampled(self, losses: Array) -> float:
        """Return the mean over the data set of a loss [y_l, y_w]."""
        return self.expected(2 * self.p * losses)


def residual_3(at: Ratios, p: Array, beta: float = BETA) -> Array:
    """Return what Eq. 3 squares: [y, y']."""
    return p - 0.5 - beta * (at.g - np.diagonal(at.g)[:, None])


def residual_4(at: Ratios, p: Array, *, as_printed: bool, beta: float = BETA) -> Array:
    """Return what Eq. 4 squares, or that with π(y) and π(y') exchanged: [y, y']."""
    sign = 1 if as_printed else -1
    return p - 0.5 - beta / 2 * (at.g - at.g.T + sign * (at.h[:, None] - at.h))


def loss_15(bandit: Bandit, at: Ratios, beta: float = BETA) -> float:
    """Return the expectation of Eq. 15."""
    given_l = 0.5 - beta * (at.g - np.diagonal(at.g)[:, None])
    given_w = 0.5 - beta * (np.diagonal(at.g) - at.g.T)
    return bandit.sampled(given_l**2) + bandit.sampled(given_w**2)


def loss_16(bandit: Bandit, at: Ratios, beta: float = BETA) -> float:
    """Return the expectation of Eq. 16."""
    return bandit.sampled((beta * (at.g + at.h - at.g.T - at.h[:, None]) - 1) ** 2)


def fitted_improvement(p: Array, policy: Array, beta: float = BETA) -> Array:
    """Return a π† with which `policy` makes the loss of Eq. 4, with Eq. 16's signs, 0: [y, y'].

    Eq. 4 asks for the differences log π†(y'|y) − log π†(y|y') alone. Half of each goes to either side; what the rows
    lack of 1 then goes to the diagonal, which the loss does not see.
    """
    wanted = 2 / beta * (p - 0.5) - (np.log(policy) - np.log(policy)[:, None])
    improvement = np.exp(wanted / 2)
    np.fill_diagonal(improvement, 0.0)
    improvement /= 2 * improvement.sum(axis=1).max()
    np.fill_diagonal(improvement, 1 - improvement.sum(axis=1))
    return improvement


def check(exhibits: Mapping[str, AnyExhibit]) -> Iterator[Found]:
    """Yield the disagreements that computing shows, in the order of the paper."""
    figure = exhibits["fig2"]
    assert isinstance(figure, BanditFigure)
    bandit = Bandit(np.array(figure.preferences).T, np.array(figure.behavior("mu0").probabilities))
    yield from _theorem(bandit)
    yield from _steps_of_the_proof(bandit)
    yield _equation_14(bandit)
    yield _combination(bandit)
    yield from _sample_losses(bandit)
    yield _dpo(figure, bandit)


def _theorem(bandit: Bandit) -> Iterator[Found]:
    n = len(bandit.mu)
    policy = np.full(n, 0.1)
    policy[1] = 1 - policy[[0, 2]].sum()
    at = Ratios.of(policy, fitted_improvement(bandit.p, policy))
    loss = bandit.expected(residual_4(at, bandit.p, as_printed=False) ** 2)
    probabilities = ", ".join(f"{each:.1f}" for each in policy)
    yield (
        "Theorem 1, α = 0",
        "the solution of the min-max objective is obtained by minimizing the loss, for α in [0, 1]",
        f"With α = 0 there are n(n−1)/2 = {n * (n - 1) // 2} equations for n²−1 = {n * n - 1} unknowns. On section "
        f"5's bandit π = ({probabilities}), which mostly chooses the worst arm, has a π† with which the loss is "
        f"{loss:.2f}, its least",
        "Start and optimizer choose among the minimisers; Figure 2 is on α = 0. There is one for 0 < α < 1.",
    )
    improvement = bandit.expected(residual_3(bandit.at_solution(), bandit.p) ** 2)
    yield (
        "Theorem 1, α = 1",
        "the same",
        f"With α = 1 the loss is Equation 3's, without π: at Equation 5's π† it is {improvement:.2f} for any π",
        "Nothing is learnt of π; with one language model for both, what it learns of π† may carry over.",
    )


def _steps_of_the_proof(bandit: Bandit) -> Iterator[Found]:
    n = len(bandit.mu)
    solved = bandit.at_solution(OTHER_BETA)
    log_z = np.log(np.exp(bandit.p / OTHER_BETA).mean(axis=1))[:, None]
    bracket = OTHER_BETA * (solved.g + OTHER_BETA * log_z) - bandit.p
    yield (
        "Equation 7",
        "p(y' ≻ y) = β(log π† − log π_ref + β log Z*)",
        f"With β = {OTHER_BETA:g}, Equation 5 leaves it off by {_largest(bracket)}: β log Z* belongs outside",
        "Equation 8 has it outside, and a bracket too many.",
    )
    solved = bandit.at_solution()
    log_z = np.log(np.exp(bandit.p / BETA).mean(axis=1))
    half = -BETA * np.diagonal(solved.g) - 0.5 - BETA * log_z
    yield (
        "section 4.2.2, second sentence",
        "Equation 8 implies β log Z* = β(log π_ref(y|y) − log π†*(y|y)) − 1/2",
        f"Off by {_largest(half)}: + 1/2",
        "A constant; Equation 10 does not depend on it.",
    )
    log_reference = -np.log(n)
    twelve = bandit.p / BETA - log_z[:, None] - log_reference - (solved.g + log_reference)
    yield (
        "Equation 12",
        "log π†* = p/β − log Z* − log π_ref",
        f"Off by {_largest(twelve)}, which is 2 log {n}: + log π_ref",
        "What follows has it right.",
    )


def _largest(errors: Array) -> str:
    return f"{np.abs(errors).max():.2f}"


def _equation_14(bandit: Bandit) -> Found:
    solved = bandit.at_solution()
    printed, exchanged = (residual_4(solved, bandit.p, as_printed=each) for each in (True, False))
    return (
        "Equations 4 and 14",
        "p(y' ≻ y) = 1/2 + β/2 [log π†*(y'|y) + log π*(y) − log π†*(y|y') − log π*(y')], each over its reference",
        f"At the solution of Equations 5 and 11, on section 5's bandit, it is off by up to {_largest(printed)}; with "
        f"π*(y) and π*(y') exchanged, as Equation 16 has them, by {_largest(exchanged)}",
        "The lines before Equation 14 lead to the exchanged form. Equation 16 is what is trained here.",
    )


def _combination(bandit: Bandit) -> Found:
    uniform = Ratios(np.zeros(len(bandit.mu)), bandit.at_solution().g)
    loss = bandit.expected(residual_4(uniform, bandit.p, as_printed=False) ** 2)
    improvement = bandit.expected(residual_3(uniform, bandit.p) ** 2)
    return (
        "section 4.2.3",
        "L_SRPO = α (loss of Equation 4) + (1 − α) (loss of Equation 3)",
        "Equations 2 and 17, and appendix B, have α and 1 − α the other way round. With α = 1, π† of Equation 5 and a "
        f"uniform π, this loss is {loss:.4f} and that of Equation 2 is {improvement:.4f}",
        "Equation 17's α is used.",
    )


def _sample_losses(bandit: Bandit) -> Iterator[Found]:
    at = bandit.somewhere()
    of_3 = bandit.over_labels(lambda label: residual_3(at, label) ** 2)
    of_4 = bandit.over_labels(lambda label: residual_4(at, label, as_printed=False) ** 2)
    yield (
        "Equation 15",
        "the sample loss of Equation 3, with 1(y' ≻ y) for p(y' ≻ y)",
        f"{loss_15(bandit, at) / of_3:.2f} times that: a sum over both contexts, y_l and y_w, of which a pair of "
        "Equation 3 has one. The text names Equation 4 in its place",
        "",
    )
    yield (
        "Equation 16",
        "the sample loss of Equation 4, with 1(y' ≻ y) for p(y' ≻ y)",
        f"{loss_16(bandit, at) / of_4:.2f} times that, with the signs of Equation 16 in both",
        "With Equation 15's factor, α in Equation 17 is α/(2−α) in Equation 2: 0.5 is 1/3.",
    )


def _dpo(figure: BanditFigure, bandit: Bandit) -> Found:
    mu = bandit.mu.tolist()
    logit = expected_preference_policy(figure.preferences, mu, BETA, logit=True)
    least = dpo_policy(figure.preferences, mu, BETA)
    return (
        "section 5, Equation 18",
        "Equation 18 with the logit is the solution of DPO; from the uniform µ0 all methods, DPO too, converge to "
        "solutions where y2 dominates",
        f"By Equation 18 DPO's is ({_listed(logit)}): y0 dominates. The minimiser of DPO's expected loss is "
        f"({_listed(least)})",
        "Equation 18 is DPO's minimiser where preferences are Bradley-Terry, which P is not.",
    )


def _listed(values: Array) -> str:
    return ", ".join(f"{value:.3f}" for value in values)

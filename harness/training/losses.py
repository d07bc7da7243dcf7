"""Preference losses: pure functions from the log-probabilities of a row's sequences to a loss a row.

x is a prompt, y_w its chosen and y_l its rejected answer, π the policy and π_ref the frozen reference. A loss names the
sequences of a row that it scores; column i of every tensor is the i-th of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

Answer = Literal["chosen", "rejected"]


@dataclass(frozen=True, slots=True)
class ScoredSequence:
    """A sequence of a preference pair: y_w or y_l after the prompt, or the prompt by itself."""

    target: Literal["chosen", "rejected", "prompt"]
    """The part whose log-probability is taken."""
    revises: Answer | None = None
    """The answer that the prompt shows as a draft, where it shows one: π(target | revises, x)."""


CHOSEN, REJECTED, PROMPT = ScoredSequence("chosen"), ScoredSequence("rejected"), ScoredSequence("prompt")


class LogProbabilities(NamedTuple):
    """Log-probabilities of the scored sequences in nats, summed over their tokens."""

    sums: "Tensor"
    """[rows, sequences]"""
    tokens: "Tensor"
    """[rows, sequences]: how many tokens each sum is over, 1 or more."""

    def of(self, average: bool) -> "Tensor":
        """Return sums, or means a token: [rows, sequences]."""
        return self.sums / self.tokens if average else self.sums

    def ratios(self, reference: "Tensor", average: bool) -> "Tensor":
        """Return log π/π_ref, or its mean a token, of the reference's sums: [rows, sequences]."""
        ratios = self.sums - reference
        return ratios / self.tokens if average else ratios


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loss:
    """The common part of the losses against a reference, of the two answers unless a loss names other sequences."""

    sequences: ClassVar[tuple[ScoredSequence, ...]] = (CHOSEN, REJECTED)
    needs_reference: ClassVar[bool] = True

    beta: float
    average: bool = False
    """Whether log-probabilities are means over an answer's tokens, instead of sums."""

    def __post_init__(self) -> None:
        """Raise ValueError for a β that makes the loss a constant, or turns it round."""
        _require_positive("beta", self.beta)

    def rewards(self, policy: LogProbabilities, reference: "Tensor") -> "Tensor":
        """Return the implicit rewards β log π/π_ref of y_w and y_l: [rows, 2]."""
        return self.beta * policy.ratios(reference, self.average)[:, :2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dpo(_Loss):
    """Direct preference optimization (Rafailov et al. 2023, Eq. 7; SGPO, Eq. 6).

    −log σ(β [log π/π_ref(y_w|x) − log π/π_ref(y_l|x)]); with `label_smoothing` ε, the preference is taken to be wrong
    with probability ε (Mitchell 2023, cDPO).
    """

    kind: ClassVar = "dpo"
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        """Raise ValueError for settings outside their range."""
        _require_positive("beta", self.beta)
        if not 0 <= self.label_smoothing < 0.5:
            raise ValueError(f"label_smoothing must be from 0 to below 0.5, not {self.label_smoothing:g}")

    def __call__(self, policy: LogProbabilities, reference: "Tensor") -> "Tensor":
        """Return a loss a row: [rows]."""
        from torch.nn.functional import logsigmoid

        margin = _difference(self.rewards(policy, reference))
        smoothing = self.label_smoothing
        return -(1 - smoothing) * logsigmoid(margin) - smoothing * logsigmoid(-margin)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ipo(_Loss):
    """Identity preference optimization (Azar et al. 2023, Eq. 17; their τ is β).

    (log π/π_ref(y_w|x) − log π/π_ref(y_l|x) − 1/(2β))². The equation has sums; TRL's `ipo` has means over an
    answer's tokens, and says that the paper's results have too. A β suits only one of the two.
    """

    kind: ClassVar = "ipo"

    def __call__(self, policy: LogProbabilities, reference: "Tensor") -> "Tensor":
        """Return a loss a row: [rows]."""
        return (_difference(policy.ratios(reference, self.average)) - 1 / (2 * self.beta)) ** 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Rpo(_Loss):
    """Regularized preference optimization (Liu et al. 2024): DPO plus the weighted negative log-likelihood of y_w.

    −log σ(β [log π/π_ref(y_w|x) − log π/π_ref(y_l|x)]) − `nll_weight` log π(y_w|x). Where a paper scales
    the weight by β (SRPO, appendix D), `nll_weight` is the product. With `average`, both terms have means over tokens.
    """

    kind: ClassVar = "rpo"
    nll_weight: float

    def __post_init__(self) -> None:
        """Raise ValueError for settings outside their range."""
        _require_positive("beta", self.beta)
        _require_not_negative("nll_weight", self.nll_weight)

    def __call__(self, policy: LogProbabilities, reference: "Tensor") -> "Tensor":
        """Return a loss a row: [rows]."""
        from torch.nn.functional import logsigmoid

        margin = _difference(self.rewards(policy, reference))
        return -logsigmoid(margin) - self.nll_weight * policy.of(self.average)[:, 0]


@dataclass(frozen=True, slots=True, kw_only=True)
class SimPo:
    """Simple preference optimization (Meng et al. 2024, Eq. 6).

    −log σ(β [log π(y_w|x)/|y_w| − log π(y_l|x)/|y_l|] − γ). The margin γ is between rewards, not scaled by β; the
    difference of mean log-probabilities that it asks for is γ/β, the ratio that SimPO's authors tune.
    """

    kind: ClassVar = "simpo"
    sequences: ClassVar = (CHOSEN, REJECTED)
    needs_reference: ClassVar = False

    beta: float
    gamma: float
    average: bool = True
    """Whether log-probabilities are means over an answer's tokens, as in the paper, instead of sums."""

    def __post_init__(self) -> None:
        """Raise ValueError for settings outside their range."""
        _require_positive("beta", self.beta)
        _require_not_negative("gamma", self.gamma)

    def __call__(self, policy: LogProbabilities, reference: "Tensor | None" = None) -> "Tensor":
        """Return a loss a row: [rows]."""
        from torch.nn.functional import logsigmoid

        return -logsigmoid(_difference(self.rewards(policy)) - self.gamma)

    def rewards(self, policy: LogProbabilities, reference: "Tensor | None" = None) -> "Tensor":
        """Return the rewards β log π/|y| of y_w and y_l: [rows, 2]."""
        return self.beta * policy.of(self.average)[:, :2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Orpo:
    """Odds ratio preference optimization (Hong et al. 2024, Eqs. 6 and 7).

    −log π(y_w|x)/|y_w| − `weight` log σ(log odds(y_w|x) − log odds(y_l|x)), where odds = p/(1 − p) and log p is the
    mean over an answer's tokens; `weight` is the paper's λ, and TRL's `beta`. `nll_over` says what the first term is
    the mean over: the paper's equation has the chosen answer, its code (github.com/xfactlab/orpo) prompt and answer.
    """

    kind: ClassVar = "orpo"
    needs_reference: ClassVar = False

    weight: float
    nll_over: Literal["chosen", "prompt_and_chosen"] = "prompt_and_chosen"

    def __post_init__(self) -> None:
        """Raise ValueError for a weight that would turn the odds round."""
        _require_not_negative("weight", self.weight)

    @property
    def sequences(self) -> tuple[ScoredSequence, ...]:
        """The sequences that are scored: the prompt as well where the likelihood is over it."""
        return (CHOSEN, REJECTED) if self.nll_over == "chosen" else (CHOSEN, REJECTED, PROMPT)

    def __call__(self, policy: LogProbabilities, reference: "Tensor | None" = None) -> "Tensor":
        """Return a loss a row: [rows]."""
        from torch.nn.functional import logsigmoid

        log_odds = _log_odds(policy.of(average=True)[:, :2])
        learnt = [0] if self.nll_over == "chosen" else [0, 2]
        log_likelihood = policy.sums[:, learnt].sum(1) / policy.tokens[:, learnt].sum(1)
        return -log_likelihood - self.weight * logsigmoid(_difference(log_odds))

    def rewards(self, policy: LogProbabilities, reference: "Tensor | None" = None) -> "Tensor":
        """Return `weight` log π/|y| of y_w and y_l: [rows, 2]."""
        return self.weight * policy.of(average=True)[:, :2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Srpo(_Loss):
    """Self-improving robust preference optimization (arXiv 2406.01660, Eqs. 15 to 17).

    With h(y|·) = β log π/π_ref(y|·), where h(y|y',x) has y' in context as a draft to revise:
    (1 − α) [h(y_w|y_l,x) + h(y_w|x) − h(y_l|y_w,x) − h(y_l|x) − 1]²                                (Eq. 16)
    + α {[1/2 − h(y_w|y_l,x) + h(y_l|y_l,x)]² + [1/2 − h(y_w|y_w,x) + h(y_l|y_w,x)]²}                 (Eq. 15)
    The signs are Eq. 16's: Eqs. 4 and 14 have π(y|x) and π(y'|x) the other way round. α is Eq. 17's, and weighs the
    improvement; section 4.2.3 has α and 1 − α the other way round.
    """

    kind: ClassVar = "srpo"
    sequences: ClassVar = (
        CHOSEN,
        REJECTED,
        ScoredSequence("chosen", revises="rejected"),
        ScoredSequence("rejected", revises="rejected"),
        ScoredSequence("chosen", revises="chosen"),
        ScoredSequence("rejected", revises="chosen"),
    )

    alpha: float

    def __post_init__(self) -> None:
        """Raise ValueError for settings outside their range."""
        _require_positive("beta", self.beta)
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha must be from 0 to 1, not {self.alpha:g}")

    def __call__(self, policy: LogProbabilities, reference: "Tensor") -> "Tensor":
        """Return a loss a row: [rows]."""
        w, l, w_of_l, l_of_l, w_of_w, l_of_w = (self.beta * policy.ratios(reference, self.average)).unbind(1)  # noqa: E741
        robust = (w_of_l + w - l_of_w - l - 1) ** 2
        improvement = (0.5 - w_of_l + l_of_l) ** 2 + (0.5 - w_of_w + l_of_w) ** 2
        return (1 - self.alpha) * robust + self.alpha * improvement


PreferenceLoss = Dpo | Ipo | Rpo | SimPo | Orpo | Srpo
"""A preference loss, told by its `kind`."""


def shows_drafts(sequences: Iterable[ScoredSequence]) -> bool:
    """Return whether a prompt of these shows an answer as a draft: a loss of them needs a prompt to revise by."""
    return any(each.revises for each in sequences)


def _difference(sides: "Tensor") -> "Tensor":
    """Return chosen minus rejected, the first two columns: [rows]."""
    return sides[:, 0] - sides[:, 1]


def _log_odds(log_probability: "Tensor") -> "Tensor":
    """Return log p/(1 − p) of log p, where log p is at most −ε of its type: at p = 1 the odds would be infinite.

    Above that the gradient is 0: nothing is learnt from odds that cannot be told apart.
    """
    import torch

    below_1 = log_probability.clamp(max=-torch.finfo(log_probability.dtype).eps)
    return below_1 - torch.log(-torch.expm1(below_1))


def _require_positive(name: str, value: float) -> None:
    if not value > 0:
        raise ValueError(f"{name} must be above 0, not {value:g}")


def _require_not_negative(name: str, value: float) -> None:
    if not value >= 0:
        raise ValueError(f"{name} must not be negative, but is {value:g}")

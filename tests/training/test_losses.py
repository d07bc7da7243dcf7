import math
from typing import Any, cast

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.config.codec import decode, encode
from harness.errors import UserError
from harness.training.losses import Dpo, Ipo, LogProbabilities, Orpo, PreferenceLoss, Rpo, SimPo, Srpo
from tests.training.naive_losses import minus_log_sigmoid, naive_losses, naive_rewards

LOSSES: list[PreferenceLoss] = [
    Dpo(beta=0.1),
    Dpo(beta=10, average=True, label_smoothing=0.1),
    Ipo(beta=0.01),
    Ipo(beta=1, average=True),
    Rpo(beta=0.1, nll_weight=0.2),
    Rpo(beta=10, nll_weight=1e-4, average=True),
    SimPo(beta=2, gamma=1),
    SimPo(beta=0.1, gamma=0.5, average=False),
    Orpo(weight=0.05),
    Orpo(weight=0.1, nll_over="chosen"),
    Srpo(beta=0.01, alpha=0.8),
    Srpo(beta=1.3, alpha=0.3, average=True),
]
each_loss = pytest.mark.parametrize("loss", LOSSES, ids=repr)

betas, shares = st.floats(1e-3, 20), st.floats(0, 1)
any_loss = st.one_of(
    st.builds(Dpo, beta=betas, average=st.booleans(), label_smoothing=st.floats(0, 0.49)),
    st.builds(Ipo, beta=betas, average=st.booleans()),
    st.builds(Rpo, beta=betas, average=st.booleans(), nll_weight=st.floats(0, 2)),
    st.builds(SimPo, beta=betas, average=st.booleans(), gamma=st.floats(0, 5)),
    st.builds(Orpo, weight=st.floats(0, 2), nll_over=st.sampled_from(["chosen", "prompt_and_chosen"])),
    st.builds(Srpo, beta=betas, average=st.booleans(), alpha=shares),
)


def random_rows(loss: Any, seed: int, rows: int = 5) -> tuple[LogProbabilities, torch.Tensor | None]:
    """Sequences of 1 to 60 tokens, whose log-probabilities are -0.05 to -4 a token; reference and policy differ."""
    generator = torch.Generator().manual_seed(seed)
    shape = (rows, len(loss.sequences))
    tokens = torch.randint(1, 61, shape, generator=generator)
    policy, reference = (
        -tokens * (0.05 + 3.95 * torch.rand(shape, generator=generator, dtype=torch.float64)) for _ in range(2)
    )
    return LogProbabilities(policy, tokens), reference if loss.needs_reference else None


def columns(policy: LogProbabilities, order: Any) -> LogProbabilities:
    return LogProbabilities(policy.sums[:, order], policy.tokens[:, order])


@given(any_loss, st.integers(0, 10_000))
def test_a_loss_is_what_its_paper_defines(loss: Any, seed: int) -> None:
    policy, reference = random_rows(loss, seed)
    assert loss(policy, reference).tolist() == pytest.approx(naive_losses(loss, policy, reference), rel=1e-9)


@given(any_loss, st.integers(0, 10_000))
def test_rewards_are_of_the_chosen_and_of_the_rejected_answer(loss: Any, seed: int) -> None:
    policy, reference = random_rows(loss, seed)
    for found, naive in zip(
        loss.rewards(policy, reference).tolist(), naive_rewards(loss, policy, reference), strict=True
    ):
        assert found == pytest.approx(naive, rel=1e-9)


@each_loss
def test_a_loss_has_a_number_a_row_of_the_type_of_its_input(loss: Any) -> None:
    policy, reference = random_rows(loss, 0)
    single = LogProbabilities(policy.sums.float(), policy.tokens)
    found = loss(single, None if reference is None else reference.float())
    assert (found.shape, found.dtype) == ((5,), torch.float32)
    assert found.tolist() == pytest.approx(loss(policy, reference).tolist(), rel=1e-4)


@each_loss
def test_gradients_are_those_of_finite_differences(loss: Any) -> None:
    policy, reference = random_rows(loss, 1)
    assert torch.autograd.gradcheck(
        lambda sums: loss(LogProbabilities(sums, policy.tokens), reference), policy.sums.requires_grad_()
    )


@each_loss
def test_rows_do_not_see_each_other(loss: Any) -> None:
    policy, reference = random_rows(loss, 2)
    order = [3, 1, 4, 0, 2]
    shuffled = LogProbabilities(policy.sums[order], policy.tokens[order])
    of_shuffled = loss(shuffled, None if reference is None else reference[order])
    assert of_shuffled.tolist() == pytest.approx(loss(policy, reference)[order].tolist(), rel=1e-12)


@given(any_loss.filter(lambda loss: loss.needs_reference), st.integers(0, 10_000))
def test_a_policy_equal_to_its_reference(loss: Any, seed: int) -> None:
    policy, _ = random_rows(loss, seed)
    likelihood = policy.of(loss.average)[:, 0]
    expected = {
        "dpo": lambda: math.log(2),
        "ipo": lambda: (1 / (2 * loss.beta)) ** 2,
        "rpo": lambda: math.log(2) - loss.nll_weight * likelihood,
        "srpo": lambda: 1 - loss.alpha + loss.alpha / 2,
    }[loss.kind]()
    found = loss(policy, policy.sums)
    assert found.tolist() == pytest.approx((expected + torch.zeros_like(found)).tolist(), rel=1e-12)
    assert loss.rewards(policy, policy.sums).abs().max() == 0


def test_without_a_reference_answers_that_are_equally_likely() -> None:
    policy = LogProbabilities(torch.tensor([[-6.0, -9.0]]), torch.tensor([[2, 3]]))
    assert SimPo(beta=2, gamma=0.7)(policy).item() == pytest.approx(minus_log_sigmoid(-0.7))
    assert Orpo(weight=0.5, nll_over="chosen")(policy).item() == pytest.approx(3 + 0.5 * math.log(2))


@given(any_loss, st.integers(0, 10_000))
def test_swapped_pairs(loss: Any, seed: int) -> None:
    """-log σ(-m) is -log σ(m) + m, and (-m - t)² is (m - t)² + 4tm."""
    policy, reference = random_rows(loss, seed)
    order = {2: [1, 0], 3: [1, 0, 2], 6: [1, 0, 5, 4, 3, 2]}[len(loss.sequences)]
    swapped = loss(columns(policy, order), None if reference is None else reference[:, order])
    expected = loss(policy, reference) + added_by_a_swap(loss, policy, reference)
    assert swapped.tolist() == pytest.approx(expected.tolist(), rel=1e-9, abs=1e-9)


def added_by_a_swap(loss: Any, policy: LogProbabilities, reference: Any) -> torch.Tensor:
    rewards = loss.rewards(policy, reference)
    margin = rewards[:, 0] - rewards[:, 1]
    chosen, rejected = policy.of(getattr(loss, "average", True))[:, :2].unbind(1)
    if isinstance(loss, Dpo):
        return (1 - 2 * loss.label_smoothing) * margin
    if isinstance(loss, Ipo):
        return 2 * margin / loss.beta**2
    if isinstance(loss, Rpo):
        return margin + loss.nll_weight * (chosen - rejected)
    if isinstance(loss, SimPo):  # the margin asked for stays on the side of what is called chosen
        return torch.nn.functional.softplus(margin + loss.gamma) - torch.nn.functional.softplus(loss.gamma - margin)
    if isinstance(loss, Orpo):
        odds_ratio = torch.logit(chosen.exp()) - torch.logit(rejected.exp())
        others = [0] if loss.nll_over == "chosen" else [0, 2]
        swapped = columns(policy, [1, *others[1:]])
        policy = columns(policy, others)
        nll, nll_swapped = (-each.sums.sum(1) / each.tokens.sum(1) for each in (policy, swapped))
        return loss.weight * odds_ratio + nll_swapped - nll
    w, l, w_of_l, l_of_l, w_of_w, l_of_w = (loss.beta * policy.ratios(reference, loss.average)).unbind(1)  # noqa: E741
    robust, improvement = w_of_l + w - l_of_w - l, (w_of_l - l_of_l) + (w_of_w - l_of_w)
    return (1 - loss.alpha) * 4 * robust + loss.alpha * 2 * improvement


@pytest.mark.parametrize(
    ("summed", "averaged"),
    [
        (Dpo(beta=0.1, label_smoothing=0.2), Dpo(beta=0.7, label_smoothing=0.2, average=True)),
        (SimPo(beta=0.1, gamma=0.5, average=False), SimPo(beta=0.7, gamma=0.5)),
        (Srpo(beta=0.1, alpha=0.4), Srpo(beta=0.7, alpha=0.4, average=True)),
    ],
    ids=["dpo", "simpo", "srpo"],
)
def test_where_all_answers_are_of_one_length_averaging_divides_beta_by_it(summed: Any, averaged: Any) -> None:
    policy, reference = random_rows(summed, 3)
    policy = LogProbabilities(policy.sums, torch.full_like(policy.tokens, 7))
    assert averaged(policy, reference).tolist() == pytest.approx(summed(policy, reference).tolist(), rel=1e-9)


NEAR_1 = [0.0, -1e-12, -1e-8, -1.1920929e-07, -1e-6, -1e-3, -2.0, -90.0]


@pytest.mark.parametrize("nll_over", ["chosen", "prompt_and_chosen"])
def test_orpo_stays_finite_where_a_probability_rounds_to_1(nll_over: Any) -> None:
    sums = torch.tensor([[chosen, rejected, -5.0] for chosen in NEAR_1 for rejected in NEAR_1])
    sums = sums[:, :2] if nll_over == "chosen" else sums
    sums.requires_grad_()
    losses = Orpo(weight=0.5, nll_over=nll_over)(LogProbabilities(sums, torch.ones_like(sums)))
    losses.sum().backward()
    assert losses.isfinite().all()
    assert sums.grad is not None and sums.grad.isfinite().all()


def test_orpo_is_exact_near_probability_1() -> None:
    """1 - exp(log p) would have lost all but one digit in float32."""
    sums = torch.tensor([[-2.0, -1e-6]])
    found = Orpo(weight=1, nll_over="chosen")(LogProbabilities(sums, torch.ones_like(sums))).item()
    log_odds = -2 - math.log1p(-math.exp(-2)) + 1e-6 + math.log(-math.expm1(-1e-6))
    assert found == pytest.approx(2 + minus_log_sigmoid(log_odds), rel=1e-6)


NAN = float("nan")


@pytest.mark.parametrize(
    ("kind", "settings", "wrong"),
    [
        *((kind, {"beta": beta}, "beta") for kind in (Dpo, Ipo, Rpo, SimPo, Srpo) for beta in (0, -1, NAN)),
        *((Dpo, {"label_smoothing": value}, "label_smoothing") for value in (-0.1, 0.5, 1, NAN)),
        *((Rpo, {"nll_weight": value}, "nll_weight") for value in (-0.1, NAN)),
        *((SimPo, {"gamma": value}, "gamma") for value in (-0.1, NAN)),
        *((Orpo, {"weight": value}, "weight") for value in (-0.1, NAN)),
        *((Srpo, {"alpha": value}, "alpha") for value in (-0.1, 1.1, NAN)),
    ],
)
def test_a_setting_outside_its_range_is_named_in_one_line(kind: type, settings: dict[str, float], wrong: str) -> None:
    good = {field: value for each in LOSSES if type(each) is kind for field, value in encode(each).items()}
    del good["kind"]
    with pytest.raises(ValueError, match=rf"^{wrong} must .*{settings[wrong]:g}$"):
        kind(**{**good, **settings})


@each_loss
def test_a_loss_is_read_back_by_its_kind(loss: Any) -> None:
    value = encode(loss)
    assert value["kind"] == loss.kind
    assert decode(cast(Any, PreferenceLoss), value, "recipe.yaml") == loss


def test_a_wrong_loss_in_a_recipe_is_a_users_error() -> None:
    with pytest.raises(UserError, match=r"^recipe.yaml: .*alpha must be from 0 to 1, not 2$"):
        decode(cast(Any, PreferenceLoss), {"kind": "srpo", "beta": 1, "alpha": 2}, "recipe.yaml")
    with pytest.raises(UserError, match=r"^recipe.yaml: .*'ipoo'"):
        decode(cast(Any, PreferenceLoss), {"kind": "ipoo", "beta": 1}, "recipe.yaml")


ARMS = range(3)
PREFERENCE = [[0.5, 0.99, 0.3], [0.01, 0.5, 0.25], [0.7, 0.75, 0.5]]
"""How often the arm of the row is preferred to that of the column (SRPO, section 5)."""
UNIFORM, SKEWED = [1 / 3] * 3, [0.15, 0.7, 0.15]
SRPO_POLICY = [0.3553, 0.2571, 0.3876]
SRPO_REVISIONS = [[0.3529, 0.2162, 0.4310], [0.4168, 0.2553, 0.3279], [0.3152, 0.2998, 0.3850]]


def trained_bandit(loss: Any, behaviour: list[float], order: Any = slice(None)) -> torch.Tensor:
    """π(y | revised arm) of the three arms, and π(y) in the last row, after training on all pairs at once.

    A pair has the probability that `behaviour` draws its arms and that the first one wins. The reference is uniform.
    """
    pairs = [(chosen, rejected) for chosen in ARMS for rejected in ARMS]
    shares = torch.tensor([behaviour[w] * behaviour[r] * PREFERENCE[w][r] for w, r in pairs], dtype=torch.float64)
    arms = [{"chosen": chosen, "rejected": rejected, None: 3} for chosen, rejected in pairs]
    contexts = torch.tensor([[arm[each.revises] for each in loss.sequences] for arm in arms])
    targets = torch.tensor([[arm[each.target] for each in loss.sequences] for arm in arms])
    reference = torch.full(targets.shape, -math.log(3), dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 3, generator=generator, dtype=torch.float64).requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=0.05)
    for _ in range(600):
        optimizer.zero_grad()
        sums = logits.log_softmax(-1)[contexts, targets][:, order]
        (shares * loss(LogProbabilities(sums, torch.ones_like(sums)), reference)).sum().backward()
        optimizer.step()
    return logits.detach().softmax(-1)


@pytest.mark.parametrize("alpha", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("behaviour", [UNIFORM, SKEWED], ids=["uniform", "skewed"])
def test_srpo_finds_the_best_arm_and_revision_whatever_the_behaviour(alpha: float, behaviour: list[float]) -> None:
    """Against the solution of Eqs. 5 and 11: π†(y'|y) ∝ exp p(y' > y), π(y) ∝ 1/Z(y)."""
    *revisions, policy = trained_bandit(Srpo(beta=1, alpha=alpha), behaviour).tolist()
    assert policy == pytest.approx(SRPO_POLICY, abs=1e-4)
    assert revisions == [pytest.approx(golden, abs=1e-4) for golden in SRPO_REVISIONS]


def test_srpo_with_the_signs_of_eq_4_would_find_the_worst_arm() -> None:
    policy = trained_bandit(Srpo(beta=1, alpha=0.5), UNIFORM, order=[1, 0, 2, 3, 4, 5])[3].tolist()
    assert policy == pytest.approx([0.3027, 0.4201, 0.2772], abs=5e-3)


@pytest.mark.parametrize(
    ("loss", "behaviour", "golden"),
    [
        (Ipo(beta=1), UNIFORM, [0.3618, 0.2566, 0.3816]),
        (Ipo(beta=1), SKEWED, [0.3918, 0.2564, 0.3517]),
        (Dpo(beta=1), UNIFORM, [0.4050, 0.0686, 0.5265]),
        (Dpo(beta=1), SKEWED, [0.6317, 0.0626, 0.3057]),
    ],
    ids=["ipo, uniform", "ipo, skewed", "dpo, uniform", "dpo, skewed"],
)
def test_ipo_and_dpo_find_their_minimisers_which_the_behaviour_moves(
    loss: Any, behaviour: list[float], golden: list[float]
) -> None:
    assert trained_bandit(loss, behaviour)[3].tolist() == pytest.approx(golden, abs=1e-4)

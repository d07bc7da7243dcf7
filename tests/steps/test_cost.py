"""The tokens that pairs are declared to have, against the token trees that training makes of them."""

import pytest

from harness.steps.cost import RowEstimate, ScoredPairs
from harness.training.losses import CHOSEN, REJECTED, Dpo, Orpo, PreferenceLoss, Srpo
from harness.training.memory import RowSize
from harness.training.token_tree import TokenTree, token_tree

PROMPT, ANSWER = 30, 20
ROWS = RowEstimate(4, 4, PROMPT, ANSWER, spread=0.0)


def tree_of(loss: PreferenceLoss, max_length: int) -> TokenTree:
    """The tree of a row of these lengths, whose prompts and answers have no token in common."""
    prompt, answers = [0] * PROMPT, {"chosen": [1] * ANSWER, "rejected": [2] * ANSWER, "prompt": []}
    drafted = {"chosen": [3] * (PROMPT + ANSWER), "rejected": [4] * (PROMPT + ANSWER)}
    parts = [(drafted[each.revises] if each.revises else prompt, answers[each.target]) for each in loss.sequences]
    starts = [len(context) if answer else 1 for context, answer in parts]
    return token_tree([[*context, *answer][:max_length] for context, answer in parts], starts)


@pytest.mark.parametrize("max_length", [100, 70, 45])
@pytest.mark.parametrize(
    ("loss", "tokens"),
    [(Dpo(beta=1.0), 70), (Orpo(weight=1.0), 70), (Srpo(beta=1.0, alpha=0.5), 70 + 2 * 90)],
    ids=["dpo", "orpo", "srpo"],
)
def test_a_row_has_as_many_tokens_as_its_tree(loss: PreferenceLoss, tokens: int, max_length: int) -> None:
    declared = ScoredPairs(loss.sequences, max_length).tokens(ROWS)
    assert declared == len(tree_of(loss, max_length).ids)
    assert max_length < 100 or declared == tokens


def test_a_revision_prompt_has_words_of_its_own() -> None:
    loss = Srpo(beta=1.0, alpha=0.5)
    bare, worded = (
        ScoredPairs(loss.sequences, 1000, prompt).tokens(ROWS)
        for prompt in ("{request}{example}", "{request} Improve this: {example}")
    )
    assert 2 * 3 <= worded - bare <= 2 * 6


@pytest.mark.parametrize("loss", [Dpo(beta=1.0), Srpo(beta=1.0, alpha=0.5)], ids=["dpo", "srpo"])
def test_the_longest_row_fills_the_length_and_is_divided_like_the_mean_one(loss: PreferenceLoss) -> None:
    longest = 70 if loss.kind == "srpo" else 50
    tree = tree_of(loss, longest)
    same, twice = (ScoredPairs(loss.sequences, times * longest).longest(ROWS) for times in (1, 2))
    assert same == RowSize(len(tree.ids), len(tree.targets))
    assert twice == RowSize(2 * len(tree.ids), 2 * len(tree.targets))


def test_of_unknown_rows_nothing_is_taken_to_be_shared() -> None:
    assert ScoredPairs((CHOSEN, REJECTED), 100).longest(None) == RowSize(200, 200)

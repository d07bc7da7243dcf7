"""Log-probabilities of token trees: those of each sequence by itself."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from harness.errors import UserError
from harness.training import scoring
from harness.training.scoring import SequenceScorer, TreeBatch, tree_batch
from harness.training.token_tree import token_tree

VOCABULARY = 50
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "initializer_range": 0.2,  # so that tokens far away matter
}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": {},
    "llama with a bias": {"attention_bias": True},
    "qwen2": {},
    "qwen2 with tied weights": {"tie_word_embeddings": True},
    "qwen2 with some layers that look back over a window": {
        "use_sliding_window": True,
        "sliding_window": 5,
        "layer_types": ["full_attention", "sliding_attention"],
    },
    "smollm3 with a window that no layer uses": {
        "use_sliding_window": False,
        "sliding_window": 5,
        "pad_token_id": None,
    },
    "mistral": {"sliding_window": 5},
    "mistral that looks back over all": {"sliding_window": None},
}


def made(name: str, **more: Any) -> Any:
    """A model with drawn weights."""
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    config = AutoConfig.for_model(name.partition(" ")[0], **{**SIZES, **ARCHITECTURES[name], **more})
    return AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").eval()


def drawn_row(sequences: int, generator: torch.Generator) -> tuple[list[list[int]], list[int]]:
    """Sequences after one prompt; of more than two, the others after prompts that begin as it does."""

    def tokens(least: int, most: int) -> list[int]:
        count = int(torch.randint(least, most, (1,), generator=generator))
        return torch.randint(1, VOCABULARY, (count,), generator=generator).tolist()

    prompt = tokens(8, 12)
    contexts = [prompt if number < 2 else [*prompt, *tokens(2, 6)] for number in range(sequences)]
    return [[*context, *tokens(3, 9)] for context in contexts], [len(context) for context in contexts]


def drawn_rows(sequences: int) -> list[tuple[list[list[int]], list[int]]]:
    generator = torch.Generator().manual_seed(sequences)
    return [drawn_row(sequences, generator) for _ in range(3)]


def batch_of(rows: Sequence[tuple[list[list[int]], list[int]]]) -> TreeBatch:
    return tree_batch([token_tree(*row) for row in rows], len(rows[0][0]), pad=0)


def sums_one_by_one(model: Any, rows: Sequence[tuple[list[list[int]], list[int]]]) -> torch.Tensor:
    """Each sequence in a pass of its own: [rows, sequences]."""

    def of(ids: list[int], start: int) -> torch.Tensor:
        log_p = model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
        return sum((log_p[place - 1, ids[place]] for place in range(start, len(ids))), torch.zeros(()))

    return torch.stack([torch.stack([of(*each) for each in zip(*row, strict=True)]) for row in rows])


def gradient(model: Any, sums: torch.Tensor) -> torch.Tensor:
    """Of a sum in which each sequence has another weight."""
    model.zero_grad()
    weights = torch.linspace(-1, 1, sums.numel(), device=sums.device).view(sums.shape)
    (weights * sums).sum().backward()
    return torch.cat([each.grad.flatten() for each in model.parameters()])


@pytest.mark.parametrize("at_once", [scoring.LOGITS_AT_ONCE, 7 * VOCABULARY, 1], ids=["whole", "chunks", "one by one"])
@pytest.mark.parametrize("sequences", [2, 6])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_tree_is_scored_as_its_sequences_one_by_one(
    architecture: str, sequences: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "LOGITS_AT_ONCE", at_once)
    model, rows = made(architecture), drawn_rows(sequences)
    naive = sums_one_by_one(model, rows)
    wanted = gradient(model, naive)
    scored = SequenceScorer(model)(model, batch_of(rows))
    assert scored.sums.shape == (3, sequences)
    assert torch.allclose(scored.sums, naive, rtol=1e-5, atol=1e-5)
    assert scored.tokens.tolist() == [[len(ids) - start for ids, start in zip(*row, strict=True)] for row in rows]
    found = gradient(model, scored.sums)
    assert float((found - wanted).norm() / wanted.norm()) < 1e-5


@pytest.mark.parametrize("architecture", ["mistral", "qwen2 with some layers that look back over a window"])
def test_a_window_matters(architecture: str) -> None:
    """Otherwise the test above would show nothing of it."""
    rows, windows = drawn_rows(2), (5, 64)
    near, far = (sums_one_by_one(made(architecture, sliding_window=window), rows) for window in windows)
    assert (near - far).abs().min() > 1e-3


def test_a_row_does_not_mind_its_company() -> None:
    """Filled up to the longest row, and scored in one pass with others."""
    model, rows = made("llama"), drawn_rows(2)
    scorer = SequenceScorer(model)
    alone = torch.cat([scorer(model, batch_of([row])).sums for row in rows])
    assert torch.allclose(scorer(model, batch_of(rows)).sums, alone, atol=1e-5)


def test_other_calls_of_the_model_are_left_as_they_were() -> None:
    model = made("llama")
    ids = torch.tensor([[3, 1, 4, 1, 5]])
    before = model(input_ids=ids).logits
    scorer = SequenceScorer(model)
    assert torch.equal(model(input_ids=ids).logits, before)
    scorer(model, batch_of(drawn_rows(2)))
    assert torch.equal(model(input_ids=ids).logits, before)
    broken = batch_of(drawn_rows(2))
    broken.input_ids[0, 0] = VOCABULARY
    with pytest.raises(IndexError):
        scorer(model, broken)
    assert torch.equal(model(input_ids=ids).logits, before)  # also after a pass that failed
    assert model.generate(ids, max_new_tokens=3, do_sample=False).shape == (1, 8)


def test_a_sequence_without_a_scored_token_has_nothing() -> None:
    """Such as a prompt that alone fills the length allowed."""
    model = made("llama")
    scored = SequenceScorer(model)(model, batch_of([([[1, 2, 3], [1, 2, 3, 4]], [3, 3])]))
    assert scored.sums[0, 0] == 0
    assert scored.tokens.tolist() == [[1, 1]]  # a count that means can be taken over


def test_logits_are_never_there_as_a_whole() -> None:
    model, seen = made("llama"), []
    scorer = SequenceScorer(model)
    model.lm_head.register_forward_hook(lambda head, given, returned: seen.append(tuple(returned.shape)))
    batch = batch_of(drawn_rows(2))
    scorer(model, batch)
    assert seen == [tuple(batch.targets.shape)]


def test_a_model_without_a_linear_output_layer_is_one_line() -> None:
    model = made("llama")
    model.set_output_embeddings(torch.nn.Identity())
    with pytest.raises(UserError, match="cannot train LlamaForCausalLM on pairs: its output layer is not linear"):
        SequenceScorer(model)


@pytest.mark.parametrize(
    ("architecture", "setting"),
    [
        ("gemma2", {"final_logit_softcapping": 5.0}),
        ("cohere", {"logit_scale": 0.0625}),
        ("granite", {"logits_scaling": 8.0}),
    ],
)
def test_a_model_that_changes_its_logits_afterwards_is_one_line(architecture: str, setting: dict[str, float]) -> None:
    """What the hooks return would be changed as if it were logits."""
    from transformers import AutoConfig, AutoModelForCausalLM

    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(architecture, **SIZES, head_dim=8, **setting))
    with pytest.raises(UserError, match=f"ForCausalLM on pairs: .*{next(iter(setting))}") as raised:
        SequenceScorer(model)
    assert "\n" not in str(raised.value)


def test_layers_that_look_back_otherwise_are_one_line() -> None:
    model = made("llama")
    model.config.layer_types = ["full_attention", "linear_attention"]
    with pytest.raises(UserError, match=r"cannot train LlamaForCausalLM on pairs: .*linear_attention") as raised:
        SequenceScorer(model)
    assert "\n" not in str(raised.value)

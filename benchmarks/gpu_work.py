"""What `benchmarks/gpu.py` measures: devices, shapes of models, trainings, and the operations that they take."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.training_peers import REVISION, SPECIAL, random_pairs
from harness.models.memory import ModelShape
from harness.records import PreferencePair, Response
from harness.training.losses import Dpo, Orpo, PreferenceLoss, Srpo

PEAKS = {
    ("H200",): 989,
    ("H100", "PCIe"): 756,
    ("H100", "NVL"): 835,
    ("H100",): 989,
    ("A100",): 312,
    ("L4",): 121,
    ("RTX", "4090"): 165,
}
"""Dense matrix operations in bfloat16 with sums in float32, in 10^12 a second: NVIDIA's data sheets of H200, H100, A100
and L4 (half of what they give with sparsity), and its Ada architecture whitepaper; by words of the device's name."""
OTHER_DEVICES = {"MIG", "Laptop"}
"""Words of names of devices that are less than what else they are called."""


@dataclass(frozen=True)
class Shape:
    """A model's configuration, and the words of prompts and answers and the steps that it is measured with."""

    config: dict[str, Any]
    batches: dict[str, int]
    """Rows of an optimizer step."""
    prompt: tuple[int, int] = (64, 192)
    answer: tuple[int, int] = (64, 384)
    warm_up: int = 5
    steps: int = 20


SHAPES = {
    "smollm2-135m": Shape(
        {
            "model_type": "llama",
            "vocab_size": 49152,
            "hidden_size": 576,
            "intermediate_size": 1536,
            "num_hidden_layers": 30,
            "num_attention_heads": 9,
            "num_key_value_heads": 3,
        },
        {"dpo": 16, "orpo": 16, "srpo": 4, "sft": 32},
    ),
    "qwen2-1.5b": Shape(
        {
            "model_type": "qwen2",
            "vocab_size": 151_936,
            "hidden_size": 1536,
            "intermediate_size": 8960,
            "num_hidden_layers": 28,
            "num_attention_heads": 12,
            "num_key_value_heads": 2,
        },
        {"dpo": 8, "orpo": 8, "srpo": 2, "sft": 16},
    ),
    "tiny": Shape(
        {
            "model_type": "llama",
            "vocab_size": 512,
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
        },
        {"dpo": 4, "orpo": 4, "srpo": 2, "sft": 4},
        prompt=(4, 8),
        answer=(4, 16),
        warm_up=1,
        steps=2,
    ),
}
LOSSES: dict[str, PreferenceLoss | None] = {
    "dpo": Dpo(beta=0.1),
    "orpo": Orpo(weight=0.1),
    "srpo": Srpo(beta=0.1, alpha=0.5),
    "sft": None,
}
SIDES = ("ours", "theirs")


@dataclass(frozen=True)
class Contender:
    """One side of one kind of training at one shape."""

    shape: str
    work: str
    side: str

    @property
    def loss(self) -> PreferenceLoss | None:
        """The preference loss, None for SFT."""
        return LOSSES[self.work]

    @property
    def sizes(self) -> Shape:
        """The sizes of model, rows and batches."""
        return SHAPES[self.shape]

    @property
    def rows(self) -> list[PreferencePair] | list[Response]:
        """The rows of all its steps."""
        sizes = self.sizes
        count = sizes.batches[self.work] * (sizes.warm_up + sizes.steps)
        pairs = random_pairs(count, sizes.config["vocab_size"] - len(SPECIAL), sizes.prompt, sizes.answer)
        return pairs if self.loss else [pair.responses[0] for pair in pairs]


@dataclass(frozen=True)
class Tokens:
    """The tokens of some rows: of plain sequences, those computed of them, by depth, and those scored."""

    plain: int
    depths: Any
    """[computed]: how many tokens stand above each."""
    scored: int
    longest: int
    """The longest sequence."""


def tokens_of(contender: Contender, rows: Sequence[Any], tokenizer: Any) -> Tokens:
    """Count the tokens of a contender's rows: ours computes the beginning that sequences have in common once."""
    import numpy as np

    from harness.training.rows import PairEncoding, sft_rows

    loss, most = contender.loss, 2**20
    if loss is None:
        found = sft_rows(rows, tokenizer, most).dataset.with_format("numpy")
        lengths = [len(ids) for ids in found["input_ids"]]
        scored = sum(int((labels >= 0).sum()) for labels in found["labels"])
        return Tokens(sum(lengths), np.concatenate([np.arange(each) for each in lengths]), scored, max(lengths))
    encoding = PairEncoding(tokenizer, most, loss.sequences, revision_prompt=REVISION)
    encoded = [encoding(pair) for pair in rows]
    answers = [number for number, each in enumerate(loss.sequences) if each.target != "prompt"]
    lengths = [row.lengths[number] for row in encoded for number in answers]
    plain = np.concatenate([np.arange(each) for each in lengths])
    trees = [row.tree for row in encoded]
    computed = np.concatenate([tree.depths for tree in trees]) if contender.side == "ours" else plain
    return Tokens(len(plain), computed, sum(len(tree.targets) for tree in trees), max(lengths))


def model_operations(shape: ModelShape, tokens: Tokens, passes: int) -> float:
    """Return the operations of all matrix products: `passes` is how many times those of a forward pass."""
    queries, key_values = shape.heads * shape.head, shape.key_value_heads * shape.head
    weights = shape.hidden * (2 * queries + 2 * key_values + 3 * shape.feed_forward)
    attended = float((tokens.depths + 1.0).sum())
    layer = 2.0 * weights * len(tokens.depths) + 4.0 * queries * attended
    return passes * (shape.layers * layer + 2.0 * shape.hidden * shape.vocabulary * tokens.scored)


def device_peak(name: str) -> float | None:
    """Return the device's peak in 10^12 operations a second (`PEAKS`); None for an unknown one."""
    words = set(re.split(r"[^A-Za-z0-9]+", name))
    if words & OTHER_DEVICES:
        return None
    return next((peak for known, peak in PEAKS.items() if words >= set(known)), None)

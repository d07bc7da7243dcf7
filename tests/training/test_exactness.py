"""Architectures whose sequences would see each other in token trees are refused, before anything is trained."""

from pathlib import Path
from typing import Any

import pytest
import torch

from harness.errors import UserError
from harness.training.exactness import require_exact_trees
from harness.training.losses import Orpo
from harness.training.preferences import run_preferences
from tests.training.helpers import STILL, preferences, untracked
from tests.training.test_scoring import ARCHITECTURES, SIZES

SMALL = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
INEXACT: dict[str, dict[str, Any]] = {
    "bloom": SMALL,
    "falcon": {**SMALL, "alibi": True},
    "mpt": {"vocab_size": 50, "d_model": 32, "n_layers": 2, "n_heads": 4},
    "gpt_neo": {"vocab_size": 50, "hidden_size": 32, "num_layers": 2, "attention_types": [[["global", "local"], 1]]},
}


def config_of(name: str, settings: dict[str, Any]) -> Any:
    from transformers import AutoConfig

    return AutoConfig.for_model(name.partition(" ")[0], **settings)


@pytest.mark.parametrize("name", INEXACT)
def test_what_would_not_be_exact_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(UserError, match=r"cannot train \w+ on pairs: .*choose another base model$") as raised:
        require_exact_trees(config_of(name, INEXACT[name]))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_what_is_exact_passes_and_draws_nothing(name: str) -> None:
    before = torch.random.get_rng_state()
    require_exact_trees(config_of(name, {**SIZES, **ARCHITECTURES[name]}))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_training_on_pairs_is_refused_before_it_starts(tmp_path: Path) -> None:
    config_of("mpt", INEXACT["mpt"]).save_pretrained(tmp_path / "base")
    with pytest.raises(UserError, match="cannot train MptForCausalLM on pairs"):
        base, out = tmp_path / "base", tmp_path / "out"
        run_preferences(base, preferences(), None, Orpo(weight=0.1), STILL, seed=0, out=out, track=untracked)
    assert not (tmp_path / "out").exists()

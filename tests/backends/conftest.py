"""Tiny checkpoints: the packaged base models, and one of them with its weights disturbed."""

from pathlib import Path

import pytest
import torch

from harness.backends.hf import load_checkpoint
from harness.backends.models import checkpoint_folder


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """As in the workers of a run: the number of threads can change the last bit of a sum."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def base() -> Path:
    """The packaged Llama."""
    return checkpoint_folder("mini:llama")


@pytest.fixture(scope="session")
def disturbed(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packaged Llama with noise added to all of its weights."""
    folder = tmp_path_factory.mktemp("disturbed")
    model, tokenizer = load_checkpoint(base)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weights in model.parameters():
            weights += 0.02 * torch.randn(weights.shape, generator=generator)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder

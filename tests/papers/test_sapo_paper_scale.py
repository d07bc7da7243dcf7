"""SAPO's paper scale: what section 5.1 and its code state, as the graph of all its exhibits resolves it.

As `tests.test_paper_scale` for SGPO: a difference from the golden file is another experiment under the paper's name. To
write it anew, and to look at the difference before it is committed:

    .venv/bin/python -m tests.papers.test_sapo_paper_scale && git diff tests/golden
"""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from harness.engine.unresolved import placeholders
from harness.experiments import build_experiments
from harness.plan.settings import resolved_cells
from harness.plan.steps import GraphEstimates
from harness.run.options import Choice

GOLDEN = Path(__file__).parents[1] / "golden" / "paper_sapo.json"
MODELS = ("llama", "mistral")
COMMON = {"precision": "bfloat16", "max_length": 2048, "max_prompt_length": None, "weight_decay": 0.0, "lora": None}
OF_DPO = {"optimizer": "rmsprop", "schedule": "linear", "warmup_share": 0.1, "warmup_steps": 0, "learning_rate": 5e-7}
OF_ORPO = {
    "optimizer": "adamw",
    "schedule": "inverse_sqrt",
    "warmup_share": 0.0,
    "warmup_steps": 100,
    "learning_rate": 5e-6,
}


def resolved() -> dict[str, Any]:
    """As JSON gives it back: of all exhibits, each cell and checkpoint once."""
    with placeholders():
        experiments = build_experiments("sapo/all", Choice(scale="paper", paper="sapo").request())
        cells = resolved_cells(experiments, GraphEstimates(None))
    read: dict[str, Any] = json.loads(json.dumps(cells))
    return read


@pytest.fixture(scope="module")
def table() -> dict[str, Any]:
    """On a machine that has fetched nothing and asks no hub."""
    from huggingface_hub import constants

    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as empty:
        patch.setattr(constants, "HF_HUB_OFFLINE", True)
        patch.setattr(constants, "HF_HUB_CACHE", empty)
        patch.setenv("HF_HOME", empty)
        patch.setenv("HF_HUB_CACHE", empty)
        patch.chdir(empty)
        return resolved()


def steps(table: dict[str, Any], model: str, method: str, step: str) -> list[dict[str, Any]]:
    return [each for each in table["checkpoints"][f"{model}/{method}"]["steps"] if each["step"] == step]


def test_every_cell_is_resolved_as_in_the_golden_file(table: dict[str, Any]) -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    for kind in ("cells", "checkpoints"):
        assert sorted(table[kind]) == sorted(golden[kind])
        for name, expected in golden[kind].items():
            assert table[kind][name] == expected, f"{kind}: {name}"


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("loss", "settings"), [("dpo", OF_DPO), ("orpo", OF_ORPO)])
def test_sapo_is_trained_as_section_5_1_says(
    table: dict[str, Any], model: str, loss: str, settings: dict[str, Any]
) -> None:
    [found] = steps(table, model, f"sapo-{loss}", "train_online")
    assert found["params"]["settings"] == COMMON | settings | {
        "epochs": 4,
        "global_batch_size": 64,
        "final_rate_share": 0.0,
    }
    online = found["params"]["online"]
    assert (online["segment"], online["buffer"], online["ema"], online["ema_every"]) == (256, 2000, 0.5, 2)
    assert (online["responses"], online["keep_tail"]) == (1, "always")
    assert (online["reference"], online["reference_every"]) == (("ema", 108) if loss == "dpo" else (None, None))
    assert (found["rows_at_most"], found["optimizer_steps_at_most"]) == (7563, 476)
    assert bool(steps(table, model, f"sapo-{loss}", "train_sft")) == (loss == "dpo")


@pytest.mark.parametrize(("model", "epochs"), [("llama", 4), ("mistral", 3)])
def test_baselines_have_the_papers_epochs(table: dict[str, Any], model: str, epochs: int) -> None:
    [orpo] = steps(table, model, "orpo", "train_preferences")
    [dpo] = steps(table, model, "dpo", "train_preferences")
    assert [each["params"]["settings"]["epochs"] for each in (orpo, dpo)] == [epochs, 3]
    assert (orpo["params"]["loss"]["weight"], dpo["params"]["loss"]["beta"]) == (0.05, 0.1)


@pytest.mark.parametrize("model", MODELS)
def test_spin_has_four_iterations_with_the_papers_rates(table: dict[str, Any], model: str) -> None:
    found = steps(table, model, "spin-dpo", "train_preferences")
    assert [each["params"]["settings"]["learning_rate"] for each in found] == pytest.approx([5e-7, 5e-7, 1e-7, 1e-7])
    assert [each["params"]["loss"]["beta"] for each in found] == [0.1, 0.1, 0.1, 5.0]
    assert {each["params"]["settings"]["epochs"] for each in found} == {3}
    of_orpo = steps(table, model, "spin-orpo", "train_preferences")
    assert [each["params"]["loss"]["kind"] for each in of_orpo] == ["orpo"] * 4


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    with tempfile.TemporaryDirectory() as nowhere:
        os.environ["HF_HOME"] = os.environ["HF_HUB_CACHE"] = nowhere
        GOLDEN.write_text(json.dumps(resolved(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

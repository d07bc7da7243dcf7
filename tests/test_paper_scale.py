"""The paper's scale: what sections 4.1 to 4.3 and Table 2 state, as the graph of Table 3 resolves it.

The golden file holds the resolved configuration of every cell: each stage's settings, data and number of steps, how
answers are drawn and who judges them how. A difference from it is another experiment under the paper's name: it needs a
reason that stands in the paper, or an entry in configs/papers/sgpo/deviations.yaml. To write it anew, and to look at
the difference before it is committed:

    .venv/bin/python -m tests.test_paper_scale && git diff tests/golden
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
from harness.recipes.loading import load_recipe
from harness.run.options import Choice

GOLDEN = Path(__file__).parent / "golden" / "paper_table3.json"

METHODS = ("sft", "dpo", "spin", "sgpo-unshared", "sgpo-teacher-only", "sgpo", "improver")
COMMON = {
    "global_batch_size": 128,
    "max_length": 2048,
    "precision": "bfloat16",
    "warmup_share": 0.1,
    "optimizer": "adamw",
    "schedule": "cosine",
    "warmup_steps": 0,
    "final_rate_share": 0.0,
    "weight_decay": 0.0,
    "max_prompt_length": None,
    "lora": None,
}


def resolved(experiment: str = "table3", models: tuple[str, ...] = ()) -> dict[str, Any]:
    """As JSON gives it back."""
    with placeholders():
        experiments = build_experiments(experiment, Choice(scale="paper", models=models).request())
        cells = resolved_cells(experiments, GraphEstimates(None))
    read: dict[str, Any] = json.loads(json.dumps(cells))
    return read


@pytest.fixture(scope="module")
def table3() -> dict[str, Any]:
    """On a machine that has fetched nothing and asks no hub."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as empty:
        _keep_off_the_hub(patch, empty)
        return resolved()


def _keep_off_the_hub(patch: pytest.MonkeyPatch, empty: str) -> None:
    from huggingface_hub import constants

    patch.setattr(constants, "HF_HUB_OFFLINE", True)
    patch.setattr(constants, "HF_HUB_CACHE", empty)
    patch.setenv("HF_HOME", empty)
    patch.setenv("HF_HUB_CACHE", empty)


def training(table: dict[str, Any], model: str, method: str, name: str) -> dict[str, Any]:
    """The training step that the method calls `name`."""
    steps = table["checkpoints"][f"{model}/{method}"]["steps"]
    [found] = [step for step in steps if step["step"].startswith("train_") and step["is"] == name]
    return dict(found)


def test_every_cell_is_resolved_as_in_the_golden_file(table3: dict[str, Any]) -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert sorted(table3["cells"]) == sorted(golden["cells"])
    for kind in ("cells", "checkpoints"):
        for name, expected in golden[kind].items():
            assert table3[kind][name] == expected, f"{kind}: {name}"


def test_the_cells_are_those_of_the_papers_table() -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    benches = ("alpaca_eval2", "arena_hard")
    assert set(golden["cells"]) == {
        f"{model}/{method}/{bench}" for model in ("qwen", "llama") for method in METHODS for bench in benches
    }


@pytest.mark.parametrize("model", ["qwen", "llama"])
def test_supervised_fine_tuning_is_one_epoch_of_ultrachat(table3: dict[str, Any], model: str) -> None:
    """Section 4.2."""
    sft = training(table3, model, "sft", "SFT")
    settings = sft["params"]["settings"]
    assert settings == {"learning_rate": 2e-5, "epochs": 1, **COMMON}
    assert (sft["rows_at_most"], sft["optimizer_steps_at_most"]) == (207_865, 1624)
    [data] = [step for step in table3["checkpoints"][f"{model}/sft"]["steps"] if step["step"] == "load_rows"]
    assert data["params"]["reference"].startswith("HuggingFaceH4/ultrachat_200k@")
    assert data["params"]["split"] == "train_sft"


@pytest.mark.parametrize("model", ["qwen", "llama"])
def test_the_improver_has_three_epochs_and_else_the_settings_of_sft(table3: dict[str, Any], model: str) -> None:
    """Section 4.2.2."""
    sft = training(table3, model, "sgpo", "SFT")["params"]["settings"]
    improver = training(table3, model, "sgpo", "improver")
    assert improver["params"]["settings"] == {**sft, "epochs": 3}
    assert improver["rows_at_most"] == 2 * 6750


@pytest.mark.parametrize(
    ("model", "method", "stage", "beta", "rate"),
    [
        ("qwen", "dpo", "DPO", 0.01, 5e-7),
        ("llama", "dpo", "DPO", 0.01, 5e-7),
        ("qwen", "spin", "SPIN", 0.5, 3e-7),
        ("llama", "spin", "SPIN", 0.5, 5e-7),
        *(
            (model, method, "preference stage", 0.5, 5e-7)
            for model in ("qwen", "llama")
            for method in ("sgpo", "sgpo-unshared", "sgpo-teacher-only")
        ),
    ],
)
def test_preferences_are_one_epoch_with_the_papers_beta_and_rate(
    table3: dict[str, Any], model: str, method: str, stage: str, beta: float, rate: float
) -> None:
    """Sections 4.2.1 and 4.2.2."""
    found = training(table3, model, method, stage)
    loss, settings = found["params"]["loss"], found["params"]["settings"]
    assert loss == {"kind": "dpo", "beta": beta, "average": False, "label_smoothing": 0.0}
    assert settings["learning_rate"] == rate
    assert settings["epochs"] == 1
    assert {name: settings[name] for name in COMMON} == COMMON
    assert found["schedule"] == "cosine"
    assert (found["rows_at_most"], found["optimizer_steps_at_most"]) == (60_829, 476)


def test_answers_are_sampled_with_vllm_and_arena_hard_is_greedy(table3: dict[str, Any]) -> None:
    """Sections 4.1 and 4.3."""
    for name, cell in table3["cells"].items():
        sampling = cell["answers"]["sampling"]
        expected = (0.0, 1.0) if name.endswith("arena_hard") else (0.7, 0.9)
        assert (sampling["temperature"], sampling["top_p"]) == expected, name
        assert sampling["engine"] == "vllm"
    drawn = [
        step["params"]["sampling"]
        for checkpoint in table3["checkpoints"].values()
        for step in checkpoint["steps"]
        if "sampling" in step["params"]
    ]
    assert {(each["temperature"], each["top_p"]) for each in drawn} == {(0.7, 0.9)}


def test_benches_are_those_of_table_2(table3: dict[str, Any]) -> None:
    alpaca, arena = (table3["cells"][f"qwen/sft/{bench}"] for bench in ("alpaca_eval2", "arena_hard"))
    assert alpaca["answers"]["prompts"] == {"of": "alpaca_eval2 gpt4_1106_preview", "rows": 805}
    assert arena["answers"]["prompts"] == {"of": "arena_hard gpt-4-0314", "rows": 500}
    assert {cell["judge"]["model"] for cell in table3["cells"].values()} == {"gpt-4-1106-preview"}
    assert (alpaca["judging"]["orders"], arena["judging"]["orders"]) == (1, 2)
    assert load_recipe("paper").models["teacher"] == "openai:gpt-4-1106-preview"


def test_the_small_base_model_has_three_epochs_of_sft() -> None:
    """Section 4.2, Table 5."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as empty:
        _keep_off_the_hub(patch, empty)
        table = resolved("table5")
    sft = training(table, "qwen-small", "sgpo", "SFT")["params"]["settings"]
    assert (sft["learning_rate"], sft["epochs"]) == (2e-5, 3)
    assert training(table, "qwen-small", "sgpo", "improver")["params"]["settings"]["epochs"] == 3


def test_models_are_the_papers_and_what_is_not_pinned_is_known() -> None:
    recipe = load_recipe("paper")
    names = {name: role.reference.partition("@")[0] for name, role in recipe.base_models.items()}
    assert names == {
        "qwen": "Qwen/Qwen2.5-7B",
        "llama": "meta-llama/Meta-Llama-3-8B",
        "qwen-small": "Qwen/Qwen2-1.5B",
    }
    references = [
        *(role.reference for role in recipe.base_models.values()),
        *(role.reference for role in recipe.data.values()),
    ]
    assert [each for each in references if "@" not in each] == ["allenai/ultrafeedback_binarized_cleaned"]
    assert all(len(each.partition("@")[2]) in (0, 40) for each in references)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as empty_cache:
        os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HOME": empty_cache}
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(json.dumps(resolved(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

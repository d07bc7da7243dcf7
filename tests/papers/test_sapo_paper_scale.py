"""SAPO's paper scale: what section 5.1 and its code state, as the graph of all its exhibits resolves it.

As `tests.test_paper_scale` for SGPO: a difference from the golden file is another experiment under the paper's name. To
write it anew, and to look at the difference before it is committed:

    .venv/bin/python -m tests.papers.test_sapo_paper_scale && git diff tests/golden
"""

from typing import Any

import pytest

from tests.papers.paper_scale import differences, resolved, write_golden

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


@pytest.fixture(scope="module")
def table() -> dict[str, Any]:
    return resolved("sapo")


def steps(table: dict[str, Any], model: str, method: str, step: str) -> list[dict[str, Any]]:
    return [each for each in table["checkpoints"][f"{model}/{method}"]["steps"] if each["step"] == step]


def test_every_cell_is_resolved_as_in_the_golden_file(table: dict[str, Any]) -> None:
    assert differences("sapo", table) == []


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
    write_golden("sapo")

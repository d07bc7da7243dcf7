"""SRPO's paper scale: what section 6 and appendix D state, as the graph of all its exhibits resolves it.

As `tests.test_paper_scale` for SGPO: a difference from the golden file is another experiment under the paper's name. To
write it anew, and to look at the difference before it is committed:

    .venv/bin/python -m tests.papers.test_srpo_paper_scale && git diff tests/golden
"""

from typing import Any

import pytest

from harness.config.yaml_files import read_yaml
from harness.papers.folders import paper_folder
from harness.recipes.loading import load_recipe
from harness.training.losses import Srpo
from tests.papers.paper_scale import differences, resolved, write_golden

SUMMARY_METHODS = ("srpo", "ipo", "dpo")
CHAT_METHODS = ("srpo", "ipo", "dpo", "rpo", "simpo")
ADAM = {"precision": "bfloat16", "optimizer": "adamw", "max_prompt_length": None}
LORA = {"rank": 16, "alpha": 32, "dropout": 0.05, "target_modules": None}
NO_REVISION = {"prompts", "sampling"}


@pytest.fixture(scope="module")
def table() -> dict[str, Any]:
    return resolved("srpo")


def training(table: dict[str, Any], model: str, method: str, step: str) -> dict[str, Any]:
    [found] = [each for each in table["checkpoints"][f"{model}/{method}"]["steps"] if each["step"] == step]
    return dict(found)


def data_of(table: dict[str, Any], model: str, method: str) -> list[tuple[str, str, int]]:
    steps = table["checkpoints"][f"{model}/{method}"]["steps"]
    rows = [each["params"] for each in steps if each["step"] == "load_rows"]
    return [(each["reference"].partition("@")[0], each["split"], each["size"]) for each in rows]


def test_every_cell_is_resolved_as_in_the_golden_file(table: dict[str, Any]) -> None:
    assert differences("srpo", table) == []


def test_the_methods_are_the_papers(table: dict[str, Any]) -> None:
    alphas = {f"llama/srpo:alpha={alpha}" for alpha in ("0", "0.25", "0.5", "0.75", "1")}
    own = {*(f"llama/{name}" for name in SUMMARY_METHODS), *(f"llama3/{name}" for name in CHAT_METHODS)}
    assert set(table["checkpoints"]) == own | alphas
    bases = {name.partition("/")[0]: each["base"].partition("@")[0] for name, each in table["checkpoints"].items()}
    assert bases == {"llama": "huggyllama/llama-7b", "llama3": "meta-llama/Llama-3.1-8B"}


@pytest.mark.parametrize("method", SUMMARY_METHODS)
def test_models_learn_to_summarise_as_in_section_6(table: dict[str, Any], method: str) -> None:
    sft = training(table, "llama", method, "train_sft")
    assert sft["params"]["settings"] == ADAM | {
        "learning_rate": 2e-5,
        "epochs": 2,
        "global_batch_size": 64,
        "warmup_share": 0.03,
        "warmup_steps": 0,
        "weight_decay": 0.1,
        "schedule": "cosine",
        "final_rate_share": 0.0,
        "lora": None,
        "max_length": 1024,
    }
    assert (sft["rows_at_most"], sft["optimizer_steps_at_most"]) == (116_722, 3648)
    found = training(table, "llama", method, "train_preferences")
    assert found["params"]["settings"] == ADAM | {
        "learning_rate": 1e-6 if method == "dpo" else 2e-6,
        "epochs": 5,
        "global_batch_size": 128,
        "warmup_share": 0.0,
        "warmup_steps": 150,
        "weight_decay": 0.1,
        "schedule": "constant" if method == "dpo" else "cosine",
        "final_rate_share": 0.0,
        "lora": LORA,
        "max_length": 1024,
    }
    loss = found["params"]["loss"]
    assert (loss["kind"], loss["beta"], loss["average"]) == (method, 0.1 if method == "dpo" else 0.01, False)
    assert (found["rows_at_most"], found["optimizer_steps_at_most"]) == (92_858, 3630)
    assert found["sequences_a_row"] == (6 if method == "srpo" else 2)
    assert data_of(table, "llama", method) == [
        ("trl-lib/tldr", "train", 116_722),
        ("trl-lib/tldr-preference", "train", 92_858),
    ]


@pytest.mark.parametrize(
    ("method", "loss"),
    [
        ("srpo", {"kind": "srpo", "beta": 1.3, "average": True, "alpha": 0.5}),
        ("ipo", {"kind": "ipo", "beta": 1.0, "average": True}),
        ("dpo", {"kind": "dpo", "beta": 10.0, "average": True, "label_smoothing": 0.0}),
        ("rpo", {"kind": "rpo", "beta": 10.0, "average": True, "nll_weight": 1e-4}),
        ("simpo", {"kind": "simpo", "beta": 50.0, "gamma": 25.0, "average": True}),
    ],
)
def test_models_learn_to_chat_as_in_appendix_d(table: dict[str, Any], method: str, loss: dict[str, Any]) -> None:
    sft = training(table, "llama3", method, "train_sft")
    common = ADAM | {"weight_decay": 0.0, "warmup_share": 0.0, "schedule": "cosine", "lora": None, "max_length": 2048}
    assert sft["params"]["settings"] == common | {
        "learning_rate": 2.5e-5,
        "epochs": 1,
        "global_batch_size": 64,
        "warmup_steps": 10,
        "final_rate_share": 1.25e-5 / 2.5e-5,
    }
    found = training(table, "llama3", method, "train_preferences")
    assert found["params"]["settings"] == common | {
        "learning_rate": 1.25e-6,
        "epochs": 1,
        "global_batch_size": 32,
        "warmup_steps": 128,
        "final_rate_share": pytest.approx(1.25e-7 / 1.25e-6),
    }
    assert found["params"]["loss"] == loss
    assert data_of(table, "llama3", method) == [
        ("data/srpo/sharegpt.json", "", 53_000),
        ("HuggingFaceH4/ultrafeedback_binarized", "train_prefs", 61_135),
    ]


def test_answers_are_revised_up_to_five_times_and_judged_against_gold_summaries(table: dict[str, Any]) -> None:
    for panel in ("tldr", "xsum"):
        for number in range(6):
            cell = table["cells"][f"fig3/llama-{panel}-srpo-{number}"]
            assert cell["answers"].get("revisions", 0) == number
            assert cell["answers"]["prompts"]["rows"] == 1024
            assert cell["judge"]["model"] == "gpt-4-0613"
    arena = table["cells"]["fig5/llama3-arena-simpo-5"]
    assert (arena["answers"]["revisions"], arena["answers"]["prompts"]["rows"]) == (5, 500)


def test_prompts_are_those_of_appendix_c_1(table: dict[str, Any]) -> None:
    """In training and in revisions; but for the first sentence of the N-revision prompt (entry revision-prompt)."""
    first = read_data_requests()
    assert first["summaries"] == first["summary_pairs"] == first["summaries_test"]
    assert first["summaries"].startswith(
        "Below is a reddit POST and the corresponding SUBREDDIT and TITLE. Write a both"
    )
    assert first["summaries_distant"].endswith("\n\nID: {id}\nTITLE: {title}\nARTICLE: {text}\nTL;DR:")
    revision = "{request}\nEXAMPLE SUMMARY: {example}\nTL;DR:"
    assert table["cells"]["fig3/llama-tldr-dpo-1"]["answers"]["revision_prompt"] == revision
    assert training(table, "llama", "srpo", "train_preferences")["params"]["revision_prompt"] == revision
    chat = training(table, "llama3", "srpo", "train_preferences")["params"]["revision_prompt"]
    assert table["cells"]["fig5/llama3-arena-srpo-1"]["answers"]["revision_prompt"] == chat != revision


def read_data_requests() -> dict[str, str]:
    return {name: role.request for name, role in load_recipe("paper", paper="srpo").data.items() if role.request}


def test_what_is_not_pinned_is_known() -> None:
    recipe = load_recipe("paper", paper="srpo")
    references = [each.reference for each in (*recipe.base_models.values(), *recipe.data.values())]
    assert {each for each in references if "@" not in each} == {
        "trl-lib/tldr",
        "trl-lib/tldr-preference",
        "data/srpo/sharegpt.json",
    }


def test_every_choice_of_ours_is_in_the_ledger() -> None:
    """Each entry that a comment of the recipe names, and each setting that it marks as ours."""
    text = (paper_folder("srpo") / "recipes/paper.yaml").read_text(encoding="utf-8")
    ledger = {each["id"] for each in read_yaml(paper_folder("srpo") / "deviations.yaml")}
    of_ours = {
        "α": "alpha",
        "sums": "sum-or-average",
        "γ": "simpo-margin",
        "cosine": "schedule",
        "all weights": "full-weights",
        "the base model has none": "chat-templates",
        "the data of openai/summarize-from-feedback": "data-of-the-paper",
        "temperature": "sampling",
        "lengths": "lengths",
        "bfloat16": "precision",
    }
    assert all(words in text for words in of_ours)
    assert set(of_ours.values()) <= ledger
    assert {"judges", "revision-prompt", "chat-revision-prompt"} <= ledger
    assert Srpo.kind in text


if __name__ == "__main__":
    write_golden("srpo")

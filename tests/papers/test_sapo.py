"""SAPO's numbers and what they say: averages, orderings that the tables show, one that a misprint turns round."""

from dataclasses import replace

import pytest

from harness.engine.artifacts import Artifact, ancestry
from harness.engine.graph import input_of
from harness.papers.checks.sapo import MEANS, check
from harness.papers.claims import Comparison
from harness.papers.loading import load_exhibit, load_paper
from harness.papers.scores import ScoreTable
from harness.recipes.loading import load_recipe
from harness.training.losses import Dpo, Orpo
from methods.sapo import SAPO
from methods.spin import SPIN

TABLES = ("table1", "table2", "table3", "table4", "table5")
MINI = load_recipe("mini", paper="sapo")


def table(name: str) -> ScoreTable:
    exhibit = load_exhibit("sapo", name)
    assert isinstance(exhibit, ScoreTable)
    return exhibit


def test_the_one_average_that_its_scores_do_not_give_is_found() -> None:
    found = list(check({name: table(name) for name in MEANS}))
    assert [(where, says) for where, says, *_ in found] == [("Table 1", "Llama-3-8B, SFT: an average of 63.95")]
    assert "62.12" in found[0][2] and "DPO" in found[0][3]


def test_a_changed_score_is_found() -> None:
    changed = table("table2")
    cells = {model: {row: dict(of) for row, of in rows.items()} for model, rows in changed.cells.items()}
    cells["llama"]["orpo"]["mt1"] = 7.00
    exhibits = {name: table(name) for name in MEANS} | {"table2": replace(changed, cells=cells)}
    assert any("MT-Bench" in says or "ORPO" in says for where, says, *_ in check(exhibits) if where == "Table 2")


def shown(of: ScoreTable, model: str, each: Comparison) -> float:
    better, worse = (of.number(model, row, each.bench, each.metric) for row in (each.better, each.worse))
    assert better is not None and worse is not None
    return better.value - worse.value


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_show_the_orderings_that_are_claimed(name: str) -> None:
    """All of a claim's, or more than half where the paper says "most"."""
    of = table(name)
    for claim in of.claims:
        holding = [shown(of, model, each) > 0 for model, each in claim.orderings()]
        assert sum(holding) >= claim.at_least, claim.id


def test_cells_of_several_tables_are_the_same() -> None:
    sapo = {name: table(name).cells["llama"]["sapo-orpo"] for name in ("table1", "table2", "table3", "table5")}
    assert sapo["table1"]["average"] == sapo["table3"]["llm"] == sapo["table5"]["llm"]
    assert sapo["table2"] == {column: value for column, value in sapo["table5"].items() if column != "llm"}


@pytest.mark.parametrize("row", sorted({row.method for name in (*TABLES, "fig2") for row in table(name).rows}))
def test_every_row_is_a_method_on_mini(row: str) -> None:
    for model in load_paper("sapo").models:
        MINI.method(model, row)


def test_rows_differ_in_what_the_paper_varies() -> None:
    def sapo(row: str) -> SAPO:
        method = MINI.method("llama", row)
        assert isinstance(method, SAPO)
        return method

    orpo, dpo = sapo("sapo-orpo"), sapo("sapo-dpo")
    assert isinstance(orpo.loss, Orpo) and orpo.start == "base" and orpo.online.reference is None
    assert isinstance(dpo.loss, Dpo) and dpo.start == "sft" and dpo.online.reference == "ema"
    assert orpo.online == replace(dpo.online, reference=None, reference_every=None)
    online = orpo.online
    assert sapo("sapo-orpo-on-policy").online == replace(online, ema=0.0, ema_every=1, buffer=None)
    assert sapo("sapo-orpo-no-segment").online == replace(online, segment=None)
    assert sapo("sapo-orpo-4-responses").online == replace(online, responses=4)
    assert [sapo(f"sapo-orpo-{part}-segment").online.segment for part in ("quarter", "half")] == [4, 8]
    assert [sapo(f"sapo-orpo-{name}").training.epochs for name in ("1-epoch", "2-epochs", "6-epochs")] == [1, 2, 6]
    assert sapo("sapo-orpo-6-epochs") == replace(orpo, training=replace(orpo.training, epochs=6))
    assert sapo("sapo-dpo-fixed-reference").online == replace(dpo.online, reference=None, reference_every=None)
    assert sapo("sapo-dpo-policy-reference").online == replace(dpo.online, reference="policy")


def test_spin_is_four_iterations() -> None:
    for row, last_beta in (("spin-dpo", 5.0), ("spin-orpo", None)):
        method = MINI.method("llama", row)
        assert isinstance(method, SPIN)
        assert (method.iterations, method.rate_factors, method.last_beta) == (4, (1.0, 1.0, 0.2, 0.2), last_beta)
    assert [MINI.method(model, "orpo").training.epochs for model in ("llama", "mistral")] == [4, 3]  # type: ignore[attr-defined]


@pytest.mark.parametrize("row", ["spin-dpo", "spin-orpo"])
def test_an_iteration_of_spin_starts_from_the_policy_before_and_draws_with_it(row: str) -> None:
    inputs = MINI.inputs("llama", 0)
    trained = [each for each in ancestry([inputs.checkpoint(row)]) if each.step == "train_preferences"]
    starts = [inputs.base if row == "spin-orpo" else inputs.checkpoint("sft"), *trained[:-1]]
    for training, start in zip(trained, starts, strict=True):
        pairs = training.inputs["pairs"]
        assert training.inputs["policy"] == start
        assert isinstance(pairs, Artifact) and input_of(input_of(pairs, "rejected"), "model") == start
        if row == "spin-dpo":
            references = training.inputs["references"]
            assert isinstance(references, Artifact) and input_of(references, "model") == start


def test_sapo_trains_on_the_chosen_answers_alone() -> None:
    sapo = MINI.inputs("llama", 0).checkpoint("sapo-dpo")
    assert sapo.step == "train_online" and input_of(sapo, "demonstrations").step == "chosen_responses"
    assert input_of(sapo, "policy").step == "train_sft"
    assert input_of(MINI.inputs("llama", 0).checkpoint("sapo-orpo"), "policy").step == "load_model"

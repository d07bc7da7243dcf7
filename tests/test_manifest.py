"""What a manifest holds of a table of scores; the scores are made up."""

from types import SimpleNamespace
from typing import Any, cast

from harness.core.store import Store
from harness.experiments.scores import Cell, Scores


class FakeStore:
    """Holds one file's content, whatever it is asked for."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.content = content

    def bind(self, artifact: object) -> "FakeStore":
        return self

    def json(self, name: str) -> dict[str, Any]:
        return self.content


def entry(**changes: Any) -> dict[str, Any]:
    metrics = {"win_rate": 40.0, "length_controlled_winrate": 35.0}
    parts = {"prompts": 1.0, "judge": None, "training_seeds": 0.5, "total": 1.118}
    scores = {
        "mean": metrics,
        "ci95": {name: [30.0, 45.0] for name in metrics},
        "per_seed": {name: [value, value] for name, value in metrics.items()},
        "uncertainty": dict.fromkeys(metrics, parts),
        "n_asked": 1610,
        "n_missing": 3,
        "withheld": None,
        "length_controlled_withheld": None,
        **changes,
    }
    bench = "alpaca_eval2"
    cell = Cell("llama", "a", bench, (), cast(Any, SimpleNamespace(step="score", key="k")), ())
    columns = [SimpleNamespace(bench=bench, metric="win_rate")]
    scale = SimpleNamespace(benches={bench: SimpleNamespace(baselines=SimpleNamespace(size=805))})
    exhibit = cast(Any, SimpleNamespace(name="table3", columns=columns, rows=()))
    table = Scores(exhibit, cast(Any, scale), ("llama",), ("a",), {}, (cell,), {}, {bench: "print"})
    (made,) = table.part(cast(Store, FakeStore(scores)))["cells"]
    return made


def test_a_cell_counts_its_verdicts_over_all_seeds_and_says_where_its_uncertainty_comes_from() -> None:
    cell = entry()
    assert (cell["n"], cell["n_asked"], cell["n_missing"], cell["note"]) == (805, 1610, 3, "")
    assert cell["uncertainty"]["training_seeds"] == 0.5
    assert entry(uncertainty={})["uncertainty"] is None


def test_a_withheld_cell_has_its_reason_and_no_figures() -> None:
    nothing = {"win_rate": None, "length_controlled_winrate": None}
    cell = entry(mean=nothing, ci95=nothing, per_seed=nothing, withheld="only 700 of 805 verdicts are there")
    assert (cell["value"], cell["ci95"], cell["uncertainty"]) == (None, None, None)
    assert cell["note"] == "withheld: only 700 of 805 verdicts are there"

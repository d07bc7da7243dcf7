"""The command `harness` on a scale whose base model and data sets are on a hub: `python -m tests.hub_harness ...`.

`publish` puts them there: the packaged Llama and a few rows of the embedded world.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.cli import main
from harness.recipes import loading
from harness.recipes.loading import load_recipe
from harness.recipes.recipe import ModelRole, Recipe
from harness.recipes.registries import load_benchmark
from harness.records import PreferencePair, Response
from harness.steps.data import DataRole
from tests.command import use_one_worker
from tests.hub_server import COMMIT, MODELS
from tests.tiny_harness import SIZES

MODEL, DATA = "maker/tiny-llama", "maker/world"
TRAINING = ("demonstrations", "improver_data", "preference_data")
BENCHES = ("alpaca_eval2", "arena_hard")


def publish(folder: Path) -> None:
    """Writes what the scale needs into the folder of a stand-in hub."""
    import pyarrow
    from pyarrow import parquet

    from harness.mini.roles import read_role
    from harness.models.references import checkpoint_folder

    shutil.copytree(checkpoint_folder("mini:llama"), folder / MODELS / MODEL)
    (folder / DATA / "data").mkdir(parents=True)
    for role in (*TRAINING, *BENCHES):
        rows = [_row(row) for row in read_role(role, SIZES[role])]
        parquet.write_table(pyarrow.Table.from_pylist(rows), folder / DATA / "data" / f"{role}-00000-of-00001.parquet")


def _row(row: Any) -> dict[str, Any]:
    assert isinstance(row, (Response, PreferencePair))
    asked = {"role": "user", "content": row.prompt.text}

    def talk(answer: str) -> list[dict[str, str]]:
        return [asked, {"role": "assistant", "content": answer}]

    if isinstance(row, PreferencePair):
        return {"id": row.prompt.id, "chosen": talk(row.chosen), "rejected": talk(row.rejected)}
    return {"id": row.prompt.id, "messages": talk(row.text), "generator": row.writer}


def on_the_hub(load: Callable[..., Recipe]) -> Callable[..., Recipe]:
    """`load_recipe` with the base model and all data on the hub, one pinned and one not."""

    def role(name: str) -> DataRole:
        return DataRole(f"{DATA}@{COMMIT}", SIZES[name], name, "pairs" if name == "preference_data" else "responses")

    def load_hub_recipe(name: str, **options: Any) -> Recipe:
        recipe = load(name)
        return replace(
            recipe,
            base_models={"llama": ModelRole(MODEL, "the packaged Llama, on a hub")},
            data={name: role(name) for name in TRAINING},
            benches={bench: load_benchmark(bench).Options(baselines=role(bench)) for bench in BENCHES},
        )

    return load_hub_recipe


if __name__ == "__main__":
    use_one_worker()
    loading.load_recipe = on_the_hub(load_recipe)
    main()

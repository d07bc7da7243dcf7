"""The verdicts behind a run's numbers, linked into its folder; the artifacts are made up."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from harness.engine.artifact_folder import removed
from harness.engine.artifacts import Artifact
from harness.engine.store import Store
from harness.errors import UserError
from harness.results.verdicts import verdicts_file
from harness.run.links import link_scores


@dataclass(frozen=True)
class FakeArtifact:
    step: str
    key: str
    inputs: tuple["FakeArtifact", ...] = ()
    folder: Path = Path()

    def parents(self) -> tuple["FakeArtifact", ...]:
        return self.inputs


@dataclass(frozen=True)
class FakeStore:
    root: Path

    def bind(self, artifact: FakeArtifact) -> FakeArtifact:
        folder = self.root / artifact.step / artifact.key
        if not folder.exists():
            raise removed(cast(Artifact, artifact), folder)
        return FakeArtifact(artifact.step, artifact.key, folder=folder)

    def made(self, step: str, key: str, *inputs: FakeArtifact) -> Any:
        (self.root / step / key).mkdir(parents=True)
        (self.root / step / key / "rows.jsonl").write_text(key)
        return FakeArtifact(step, key, inputs)


@pytest.fixture
def store(tmp_path: Path) -> FakeStore:
    return FakeStore(tmp_path / "store")


def linked(scores: dict[str, Any], store: FakeStore, folder: Path) -> set[str]:
    link_scores(scores, cast(Store, store), folder)
    return {str(path.relative_to(folder)) for path in folder.glob("*/*/*")}


def test_scores_and_verdicts_are_the_stores_own_files_under_names_to_type(store: FakeStore, tmp_path: Path) -> None:
    verdicts = store.made("judge_pairs", "v")
    places = linked({"llama-sgpo-bench": store.made("score", "s", verdicts)}, store, tmp_path / "run")
    assert places == {"artifacts/score/s", "artifacts/judge_pairs/v", "scores/llama-sgpo-bench/rows.jsonl"}
    assert verdicts_file(tmp_path / "run", "judge_pairs/v").samefile(store.root / "judge_pairs/v/rows.jsonl")
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    assert (tmp_path / "elsewhere/scores/llama-sgpo-bench/rows.jsonl").read_text() == "s"


def test_those_of_an_earlier_run_are_replaced(store: FakeStore, tmp_path: Path) -> None:
    linked({"before": store.made("score", "before")}, store, tmp_path / "run")
    assert linked({"after": store.made("score", "after")}, store, tmp_path / "run") == {
        "artifacts/score/after",
        "scores/after/rows.jsonl",
    }
    assert linked({}, store, tmp_path / "run") == set()


def test_an_input_that_is_gone_is_left_out(store: FakeStore, tmp_path: Path) -> None:
    score = store.made("score", "s", FakeArtifact("load_data", "gone"))
    assert "artifacts/score/s" in linked({"name": score}, store, tmp_path / "run")


def test_a_folder_that_cannot_be_written_is_an_error(store: FakeStore, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    with pytest.raises(UserError, match=r"cannot link the verdicts into .*; remove what is in its way"):
        linked({"name": store.made("score", "s")}, store, tmp_path / "run")

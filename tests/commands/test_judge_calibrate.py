"""`harness judge calibrate`: what is looked at before a judge is paid, and how a bridged model is called."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.chat_server import ChatServer, content_of
from tests.command import Harness, Outcome

LIMIT = 6


@pytest.fixture
def folder(shared_data: Path, tmp_path: Path) -> Path:
    """A copy of the published verdicts and outputs of three models, the baseline's outputs beside them."""
    source, target = shared_data / "alpaca_eval2", tmp_path / "published"
    for name in ("annotations", "model_outputs"):
        (target / name).mkdir(parents=True)
    shutil.copy(source / "baseline_gpt4_1106_preview.json", target)
    for model in ("alpaca-7b", "claude-2", "vicuna-13b"):
        shutil.copy(source / f"annotations/{model}.csv.gz", target / "annotations")
        shutil.copy(source / f"model_outputs/{model}.json", target / "model_outputs")
    return target


def calibrate(harness: Harness, server: ChatServer, folder: Path, *more: str | Path) -> Outcome:
    judge = ("--judge-model", "judge-1", "--judge-base-url", server.base_url)
    return harness(
        "judge", "calibrate", folder / "annotations", *judge, "--limit", str(LIMIT), "--run-dir", "run", *more
    )


def break_verdicts(folder: Path) -> None:
    (folder / "annotations/vicuna-13b.csv.gz").unlink()
    (folder / "annotations/vicuna-13b.json").write_text('[{"instruction": "i", "output_1": "a"}]')


def break_outputs(folder: Path) -> None:
    (folder / "model_outputs/vicuna-13b.json").write_text('[{"instruction": "i", "generator": "vicuna-13b"}]')


def exchange_outputs(folder: Path) -> None:
    other = [{"instruction": "of another benchmark", "output": "o", "generator": "vicuna-13b"}]
    (folder / "model_outputs/vicuna-13b.json").write_text(json.dumps(other))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (break_verdicts, "no field 'generator_2'"),
        (break_outputs, "no field 'output'"),
        (exchange_outputs, "no output for 6 of the 6 instructions"),
    ],
)
def test_a_wrong_file_is_found_before_the_judge_is_asked(
    harness: Harness, folder: Path, change: Callable[[Path], None], complaint: str
) -> None:
    change(folder)
    with ChatServer() as server:
        outcome = calibrate(harness, server, folder)
        assert not server.bodies
    assert outcome.exit_code == 2
    assert outcome.err.splitlines()[-1].startswith("error: ") and complaint in outcome.err.splitlines()[-1]


def test_a_wrong_length_calibration_is_found_before_the_judge_is_asked(harness: Harness, folder: Path) -> None:
    table = folder / "df_gamed.csv"
    table.write_text("model,index\nsmith,0\n")
    with ChatServer() as server:
        outcome = calibrate(harness, server, folder, "--lc-calibration", table)
        assert not server.bodies
    assert outcome.exit_code == 2 and "no column 'preference'" in outcome.err


def test_a_bridged_model_is_called_as_its_outputs_call_it(harness: Harness, folder: Path, shared_data: Path) -> None:
    bridged = folder / "model_outputs.json"
    shutil.copy(shared_data / "alpaca_eval2/model_outputs/text_davinci_003.json", bridged)
    with ChatServer() as server:
        found: Mapping[str, Any] = calibrate(harness, server, folder, "--bridge", bridged, "--json").scores
        text = calibrate(harness, server, folder, "--bridge", bridged).out
    assert found["bridged"]["model"] == "text_davinci_003"
    assert "Bridged estimate for text_davinci_003" in text


def test_a_model_is_not_estimated_from_its_own_published_score(harness: Harness, folder: Path) -> None:
    bridged = folder / "mine.json"
    shutil.copy(folder / "model_outputs/claude-2.json", bridged)
    with ChatServer() as server:
        outcome = calibrate(harness, server, folder, "--bridge", bridged)
        assert not server.bodies
        assert outcome.exit_code == 2 and "leave it out of --models" in outcome.err.splitlines()[-1]
        others = calibrate(harness, server, folder, "--bridge", bridged, "--models", "alpaca-7b,vicuna-13b", "--json")
    assert others.scores["bridged"]["model"] == "claude-2"


class Gaps(ChatServer):
    """Gives log-probabilities to some requests only, and answers some as another model."""

    def completion(self, body: Mapping[str, Any], text: str | None = None) -> dict[str, Any]:
        whole = super().completion(body, text)
        place = int(content_of(body), 16) % 3
        if place == 0:
            del whole["choices"][0]["logprobs"]
        return {**whole, "model": "judge-2" if place == 1 else body["model"]}


def test_verdicts_that_are_missing_and_other_models_are_said(harness: Harness, folder: Path) -> None:
    with Gaps() as server:
        outcome = calibrate(harness, server, folder)
        again = calibrate(harness, server, folder, "--json")
    assert outcome.exit_code == again.exit_code == 0
    assert "verdicts failed: the endpoint gave no log-probabilities" in outcome.err
    found = json.loads(again.out)
    assert sum(found["unjudged"].values()) > 0 and found["other_models"]["judge-2"] > 0
    counts = ", ".join(f"{count} for {model}" for model, count in found["unjudged"].items())
    assert f"instructions without a verdict: {counts}; all that follows is of the others alone" in outcome.out
    assert f"as the endpoint says: judge-2 ({found['other_models']['judge-2']} replies)" in outcome.out
    assert all(each["n"] == LIMIT - found["unjudged"].get(model, 0) for model, each in found["models"].items())

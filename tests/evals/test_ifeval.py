"""IFEval: stored answers beside lm-eval's own numbers, and the embedded world's prompts through the same benchmark."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evals.base import Setting
from evals.formats.outputs import read_model_outputs
from evals.ifeval.benchmark import BENCHMARK, IfevalOptions
from evals.ifeval.checks import FollowedInstructions
from evals.ifeval.prompts import N_PROMPTS, read_prompts
from evals.ifeval.scores import ACCURACIES, METRICS, followed_results
from evals.scoring import score_one
from harness.engine.store import Store
from harness.errors import UserError
from harness.mini.instructions import read_instructions
from harness.mini.roles import read_role
from harness.models.generator import Sampling
from harness.records import Response, read_rows
from harness.steps.data import DataRole, model
from harness.steps.judge import judge
from tests.command import Harness
from tests.steps.given import made

PUNKT = {
    "abbrev_types.txt": "dr\nmr\ne.g\ni.e",
    "collocations.tab": "",
    "ortho_context.tab": "",
    "sent_starters.txt": "",
}
"""The files of NLTK's punkt_tab with next to nothing in them: enough for sentences to be told apart."""


@pytest.fixture
def language_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """NLTK's data is in a folder of its own, and nothing is downloaded."""
    import nltk

    folder = tmp_path / "nltk" / "tokenizers" / "punkt_tab" / "english"
    folder.mkdir(parents=True)
    for name, content in PUNKT.items():
        (folder / name).write_text(content)
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path / "nltk")])
    monkeypatch.setattr(nltk, "download", lambda *_, **__: pytest.fail("the network is asked"))
    yield


@pytest.fixture
def official(shared_data: Path) -> Path:
    path = shared_data / "ifeval" / "input_data.jsonl"
    if not path.is_file():
        pytest.skip("needs IFEval's prompts in the shared data")
    return path


@pytest.fixture
def stored(official: Path, shared_data: Path, tmp_path: Path) -> Path:
    """Answers in IFEval's format: of a model to other instructions, changed in ways that instructions ask for."""
    texts = [row.output or "" for row in read_model_outputs(shared_data / "alpaca_eval2/model_outputs/claude-2.json")]
    changes = (
        str,
        str.upper,
        str.lower,
        lambda text: text.replace(",", ""),
        lambda text: f'"{text}"',
        lambda text: f"<<A title>>\n\n* one\n* two\n* three\n{text}\nP.S. that is all",
        lambda text: json.dumps({"answer": text}),
        lambda text: f"Sure, here it is:\n{text[:300]} *highlighted part* [name] [place]\n***\nbye",
        lambda text: "",
    )
    rng = random.Random(0)
    path = tmp_path / "answers.jsonl"
    rows = [{"prompt": p.text, "response": rng.choice(changes)(rng.choice(texts))} for p, _ in read_prompts(official)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def lm_eval_numbers(official: Path, answers: Path, cache: Path) -> dict[str, float]:
    """What lm-eval itself prints of the answers, in per cent, by its metrics."""
    import langdetect
    from lm_eval import simple_evaluate, tasks
    from lm_eval.api.model import LM

    by_prompt = {row["prompt"]: row["response"] for row in map(json.loads, answers.read_text().splitlines())}

    class Stored(LM):  # type: ignore[misc]
        def loglikelihood(self, requests: Any) -> Any:
            raise NotImplementedError

        def loglikelihood_rolling(self, requests: Any) -> Any:
            raise NotImplementedError

        def generate_until(self, requests: Any) -> list[str]:
            return [by_prompt[request.args[0]] for request in requests]

    langdetect.DetectorFactory.seed = 0
    data = {"data_files": {"train": str(official)}, "cache_dir": str(cache)}
    manager = tasks.TaskManager(
        include_defaults=False, include_path=str(Path(tasks.__file__).parent / "ifeval"), metadata={}
    )
    task = {"group": "local", "task": [{"task": "ifeval", "dataset_path": "json", "dataset_kwargs": data}]}
    found: Any = simple_evaluate(model=Stored(), tasks=[task], task_manager=manager, bootstrap_iters=0)
    return {name: 100 * found["results"]["ifeval"][f"{name},none"] for name in ACCURACIES}


@pytest.mark.usefixtures("in_this_process", "language_data")
def test_stored_answers_have_lm_eval_s_own_numbers(
    harness: Harness, official: Path, stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for two instructions, for which lm-eval draws a letter: here it draws the first one for both."""
    from lm_eval.tasks.ifeval import instructions

    monkeypatch.setattr(instructions.random, "choice", lambda among: among[0])
    what = ("eval", "--bench", "ifeval", "--outputs", stored, "--data", official, "--offline")
    scores = harness(*what, "--json").scores
    theirs = lm_eval_numbers(official, stored, tmp_path / "cache")
    assert {name: scores[name] for name in ACCURACIES} == pytest.approx(theirs, abs=1e-9)
    assert 5 < scores["prompt_level_strict_acc"] < scores["inst_level_loose_acc"] < 95
    strict, loose = (
        (theirs[f"prompt_level_{kind}_acc"] + theirs[f"inst_level_{kind}_acc"]) / 2 for kind in ("strict", "loose")
    )
    assert scores["mean_strict"] == pytest.approx(strict)
    assert scores["mean_of_four"] == pytest.approx((strict + loose) / 2)
    assert (scores["n_asked"], scores["departure"], scores["model"]) == (N_PROMPTS, None, "answers")
    again = harness(*what, "--run-dir", tmp_path / "another", "--json").scores
    assert {name: again[name] for name in ACCURACIES} == {name: scores[name] for name in ACCURACIES}


@pytest.mark.usefixtures("in_this_process", "language_data")
def test_missing_answers_are_counted_and_not_scored(
    harness: Harness, official: Path, stored: Path, tmp_path: Path
) -> None:
    lines = stored.read_text().splitlines()
    stored.write_text("\n".join(lines[: N_PROMPTS // 2]))
    what = ("eval", "--bench", "ifeval", "--outputs", stored, "--data", official)
    withheld = harness(*what)
    assert withheld.exit_code == 0 and "only 270 of 541 items have a result" in withheld.out
    scores = harness(*what, "--allow-missing", "--json").scores
    assert (scores["n_missing"], scores["mean_strict"] is None) == (N_PROMPTS - N_PROMPTS // 2, False)


@pytest.mark.usefixtures("in_this_process", "language_data")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"instruction_id_list": ["punctuation:no_coma"]}, "did you mean 'punctuation:no_comma'"),
        ({"kwargs": []}, "needs one or more instructions, and as many kwargs"),
        ({"instruction_id_list": "punctuation:no_comma"}, "instruction_id_list and kwargs must be lists"),
        ({"prompt": None}, "prompt"),
    ],
)
def test_a_wrong_prompt_file_is_one_line(harness: Harness, change: dict[str, Any], said: str) -> None:
    row = {"key": 7, "prompt": "no commas", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}
    Path("prompts.jsonl").write_text(json.dumps({**row, **change}) + "\n")
    Path("answers.jsonl").write_text('{"prompt": "no commas", "response": "none"}\n')
    outcome = harness("eval", "--bench", "ifeval", "--outputs", "answers.jsonl", "--data", "prompts.jsonl")
    assert outcome.exit_code == 2
    assert said in outcome.err.splitlines()[-1] and outcome.err.splitlines()[-1].startswith("error: ")


def test_a_key_that_comes_twice_is_refused(tmp_path: Path) -> None:
    row = {"key": 7, "prompt": "no commas", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}
    (tmp_path / "prompts.jsonl").write_text(json.dumps(row) + "\n" + json.dumps(row) + "\n")
    with pytest.raises(UserError, match="the key 7 again"):
        read_prompts(tmp_path / "prompts.jsonl")


@pytest.mark.usefixtures("in_this_process")
def test_without_nltk_s_data_nothing_is_downloaded_offline(
    harness: Harness, official: Path, stored: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import nltk

    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    monkeypatch.setattr(nltk, "download", lambda *_, **__: pytest.fail("the network is asked"))
    monkeypatch.setattr("evals.ifeval.language_data.is_offline", lambda: True)
    outcome = harness("eval", "--bench", "ifeval", "--outputs", stored, "--data", official)
    assert outcome.exit_code == 2
    assert "run `harness prefetch ifeval`" in outcome.err.splitlines()[-1]


SETTING = Setting(
    options=IfevalOptions(prompts=DataRole("mini:instructions", 40)),
    judge=judge("mini:judge"),
    sampling=Sampling(0.7, 0.9, 100),
)


def test_the_teacher_follows_the_world_s_instructions_and_a_model_some(store: Store) -> None:
    """The teacher obeys each, by the world's own checkers; a base model is in between."""
    taught = SETTING.options.prompts.artifact()
    teacher = made(store, BENCHMARK.rows(SETTING, outputs=taught)).rows(FollowedInstructions)
    followed = followed_results(teacher)
    assert followed.statistic("prompt_level_strict_acc", followed.items).value > 95
    learnt = followed_results(made(store, BENCHMARK.run(SETTING, model("mini:llama"), 0)).rows(FollowedInstructions))
    scores = score_one(learnt, asked=40)
    assert 30 < scores["prompt_level_strict_acc"] <= scores["inst_level_strict_acc"] < 100
    assert scores["prompt_level_strict_acc"] <= scores["prompt_level_loose_acc"]


def test_answers_on_the_world_are_greedy(store: Store) -> None:
    rows = BENCHMARK.run(SETTING, model("mini:llama"), 0)
    [answers] = [each for each in rows.parents() if each.step == "respond"]
    assert answers.arguments["sampling"] == Sampling(0.0, 1.0, 100)


def test_each_instruction_of_the_world_is_checked_by_itself(store: Store) -> None:
    taught = read_role("instructions", 40)
    rows = made(store, BENCHMARK.rows(SETTING, outputs=SETTING.options.prompts.artifact())).rows(FollowedInstructions)
    for row, response in zip(rows, taught, strict=True):
        assert isinstance(response, Response)
        demands = read_instructions(response.prompt.text)[1]
        assert row.strict == tuple(each.is_followed(response.text) for each in demands)
        assert len(row.instructions) == len(demands) == len(row.loose or ())


def followed(id: str, *each: bool) -> FollowedInstructions:
    return FollowedInstructions(id, ("a:b",) * len(each), each, (True,) * len(each))


def test_prompts_and_instructions_are_counted_as_the_paper_counts_them() -> None:
    """Of three prompts one is right in all; of six instructions four are followed."""
    rows = [followed("1", True), followed("2", True, True, False), followed("3", True, False)]
    found = followed_results([*rows, FollowedInstructions("4", ("a:b",), None, None)])
    values = {metric.name: found.statistic(metric.name, found.items).value for metric in METRICS}
    assert values["prompt_level_strict_acc"] == pytest.approx(100 / 3)
    assert values["inst_level_strict_acc"] == pytest.approx(400 / 6)
    assert values["mean_strict"] == pytest.approx((100 / 3 + 400 / 6) / 2)
    assert values["mean_of_four"] == pytest.approx((100 / 3 + 400 / 6 + 200) / 4)


@pytest.mark.usefixtures("in_this_process")
def test_the_command_takes_a_checkpoint_of_the_world(harness: Harness) -> None:
    scores = harness("eval", "--bench", "ifeval", "--model", "mini:llama", "--limit", "20", "--json").scores
    assert scores["n_asked"] == 20
    assert "those of the embedded world" in scores["departure"]
    assert len(read_rows(Path(scores["folder"]) / "rows.jsonl", FollowedInstructions)) == 20

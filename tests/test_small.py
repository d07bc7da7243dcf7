"""The small scale from end to end, on a tiny model: teacher and judge at endpoints or stored, and what fails."""

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from harness.commands.affected import make_candidate
from harness.commands.reproduce import reproduce
from harness.commands.small_data import split
from harness.engine.artifacts import Artifact, ancestry
from harness.engine.store import Store
from harness.errors import UserError
from harness.models.generator import Sampling
from harness.recipes.loading import load_recipe
from harness.recipes.recipe import JudgeRole, ModelRole, Recipe
from harness.records import Response
from harness.results.manifest import read_manifest
from harness.run import options
from harness.run.options import Choice
from harness.steps.data import data, model
from harness.steps.judge_prompt import official_prompt
from harness.steps.respond import refine, respond
from tests.chat_server import ChatServer, Faults, hashed_answer
from tests.command import Harness
from tests.commands.test_small_data import write_folder

pytestmark = pytest.mark.usefixtures("in_this_process")

DEAD = "http://127.0.0.1:9/v1"
LIMIT = 4


def tiny(name: str, **options: Any) -> Recipe:
    """The small scale with a model of the mini world, which knows no word of the data, and short stages."""
    recipe = load_recipe("small", **options)
    short = {"global_batch_size": 4, "max_length": 64, "epochs": 1, "precision": "float32"}
    return replace(
        recipe,
        base_models={"llama": ModelRole("mini:llama", "tiny")},
        sampling=replace(recipe.sampling, max_new_tokens=8),
        methods={
            name: {each: {**value, **short} if "epochs" in value else value for each, value in settings.items()}
            for name, settings in recipe.methods.items()
        },
    )


def answer(body: Mapping[str, Any]) -> str:
    """A verdict on two answers; a text to anything else."""
    asks_for_verdict = "Assistant A" in str(body["messages"]) or body.get("max_tokens") == 1
    return hashed_answer(body) if asks_for_verdict else f"a text, by seed {body['seed']}"


@dataclass(frozen=True)
class Made:
    """A folder with data and a run of SFT, and what its judge was asked."""

    folder: Path
    url: str
    bodies: list[Mapping[str, Any]]


def without_checks(patch: pytest.MonkeyPatch) -> None:
    """On the tiny scale, and without the checks before a run, which have tests of their own."""
    patch.setattr(options, "load_recipe", tiny)
    patch.setattr("harness.commands.reproduce.preflight", lambda *_: None)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    folder = tmp_path_factory.mktemp("small")
    split(write_folder(folder / "source"), folder / "data" / "small")
    with ChatServer(answer=answer) as server, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        without_checks(patch)
        judge = JudgeRole("judge-1", server.base_url)
        reproduce("table3", Choice("small", limit=LIMIT, methods=("sft",), judge=judge), Path("run"))
        yield Made(folder, server.base_url, list(server.bodies))


@pytest.fixture
def run(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The run in a folder of the test's own, which it stands in."""
    without_checks(monkeypatch)
    monkeypatch.chdir(shutil.copytree(made.folder, tmp_path / "copy", symlinks=True))
    return Path("run/sgpo/table3")


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(answer=answer, models=("judge-1", "judge-2")) as server:
        yield server


def again(url: str, *, judge: str = "judge-1", **choices: Any) -> None:
    chosen = Choice("small", limit=LIMIT, methods=("sft",), judge=JudgeRole(judge, url), **choices)
    reproduce("table3", chosen, Path("run"))


def test_judged_by_the_benches_own_prompts_without_length_control(made: Made, run: Path) -> None:
    systems = {body["messages"][0]["content"] for body in made.bodies if body["messages"][0]["role"] == "system"}
    assert systems == {official_prompt(bench).system for bench in ("alpaca_eval2", "arena_hard")}
    table = json.loads((run / "manifest.json").read_text())["results"][0]
    notes = {cell["metric"]: (cell["value"] is not None, cell["note"][:20]) for cell in table["cells"]}
    assert notes == {
        "length_controlled_winrate": (False, "withheld: no calibra"),
        "win_rate": (True, ""),
        "score": (True, ""),
    }
    assert {cell["n"] for cell in table["cells"]} == {LIMIT}


def test_the_manifest_says_what_was_chosen_and_the_same_is_made_again(made: Made, run: Path) -> None:
    manifest = read_manifest(run)
    assert manifest.limit == LIMIT
    assert manifest.options["judge"] == {"model": "judge-1", "base_url": made.url, "without": []}
    assert (manifest.judge.name, manifest.judge.base_url) == ("judge-1", made.url)
    assert manifest.teacher == "stored:data/small/teacher.jsonl"
    make_candidate(run, Path("again"))
    candidate = read_manifest(Path("again"))
    assert {step.key for step in candidate.steps} == {step.key for step in manifest.steps}
    assert all(step.found for step in candidate.steps)
    assert candidate.options == manifest.options


def test_what_endpoints_were_asked_is_printed(
    run: Path, server: ChatServer, capsys: pytest.CaptureFixture[str]
) -> None:
    again(server.base_url, judge="judge-2")
    assert f"endpoints: {server.served.total()} answers, " in capsys.readouterr().err
    assert json.loads((run / "manifest.json").read_text())["judge"]["name"] == "judge-2"


def test_a_key_that_is_revoked_in_mid_run_costs_nothing_that_is_finished(run: Path, server: ChatServer) -> None:
    trained = {path: path.stat().st_mtime_ns for path in Path("run/store").glob("*/*/artifact.json")}
    server.faults = Faults(status=401)
    with pytest.raises(UserError, match=r"refuses.*OPENAI_API_KEY"):
        again(server.base_url)
    server.faults = Faults()
    again(server.base_url)
    assert (
        trained.items()
        <= {path: path.stat().st_mtime_ns for path in Path("run/store").glob("*/*/artifact.json")}.items()
    )


def test_a_dead_judge_is_one_line(run: Path) -> None:
    with pytest.raises(UserError, match=r"127\.0\.0\.1:9.*--judge-base-url") as error:
        again(DEAD)
    assert "\n" not in str(error.value)


def written(artifact: Artifact) -> list[str]:
    store = Store(Path("store"))
    for each in ancestry([artifact]):
        store.build(each)
    return [row.text for row in store.bind(artifact).rows(Response)]


def teacher_texts(reference: str) -> tuple[list[str], list[str]]:
    """Its answers to four of the improver's prompts, and its improvements of the references as drafts."""
    rows = data("data/small/improver_data.jsonl", LIMIT)
    template = load_recipe("small").prompt_set().methods["target"]
    given: dict[str, Any] = {"model": model(reference), "sampling": Sampling(0.7, 0.9, 16), "seed": 0}
    improved = refine(template=template, references=rows, drafts=rows, **given)
    return written(respond(prompts=rows, **given)), written(improved)


def test_a_stored_teacher_answers_and_improves(run: Path) -> None:
    answers, improvements = teacher_texts("stored:data/small/teacher.jsonl")
    assert [text.partition(" on ")[0] for text in answers] == ["claude-2"] * LIMIT
    assert [text.partition(" on ")[0] for text in improvements] == ["vicuna-13b"] * LIMIT


def test_a_stored_teacher_that_lacks_a_prompt_is_one_line(run: Path) -> None:
    path = Path("data/small/teacher.jsonl")
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    with pytest.raises(UserError, match=r"teacher\.jsonl has no row for the request 'Do thing number"):
        teacher_texts("stored:data/small/teacher.jsonl")


def test_a_teacher_at_an_endpoint_draws_each_text_by_its_own_seed(run: Path, server: ChatServer) -> None:
    answers, improvements = teacher_texts(f"openai:judge-1@{server.base_url}")
    assert len({*answers, *improvements}) == 2 * LIMIT
    assert all(text.startswith("a text, by seed ") for text in (*answers, *improvements))


def test_a_dead_teacher_is_one_line_on_the_command(harness: Harness, run: Path, server: ChatServer) -> None:
    teacher = f"openai:judge-1@{DEAD}"
    at = ("--judge-model", "judge-1", "--judge-base-url", server.base_url, "--teacher", teacher)
    outcome = harness("reproduce", "table3", "--scale", "small", "--limit", LIMIT, "--methods", "improver", *at)
    assert outcome.exit_code == 2
    last = outcome.err.splitlines()[-1]
    assert last.startswith("error: ") and DEAD in last and "--teacher" in last


def test_data_that_is_not_there_names_the_file(run: Path, server: ChatServer) -> None:
    Path("data/small/demonstrations.jsonl").unlink()
    with pytest.raises(UserError, match=r"data/small/demonstrations\.jsonl"):
        again(server.base_url)

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evals.alpaca_eval2 import instruction_set
from evals.alpaca_eval2.length_calibration import read_calibration
from evals.alpaca_eval2.length_calibration_steps import (
    calibration_from,
    published_calibration,
    read_length_calibration,
)
from evals.answer_files import read_answer_file
from evals.arena_hard.files import ArenaAnswer, read_questions, write_answers
from evals.formats.outputs import ModelOutput, instruction_key, write_model_outputs
from evals.official_data import (
    alpaca_eval2_baseline,
    arena_hard_baseline,
    fingerprint,
    length_calibration,
    load_baseline,
)
from harness.commands.prefetch import prefetch
from harness.engine.store import Store
from harness.errors import UserError
from harness.recipes.benches import BenchChoice, choose_bench
from harness.records import Prompt, Response
from harness.run.options import Choice
from tests.hub_server import COMMIT, HubServer, serving, use_hub

INSTRUCTIONS = ["Why?", "How?\n", "Où est la gare ?"]
PROMPTS = [Prompt(str(place), text) for place, text in enumerate(INSTRUCTIONS)]
ALPACA_EVAL_FILE = "alpaca_eval_gpt4_baseline.json"
BASELINE = "gpt4_1106_preview"
QUESTIONS = [Prompt(f"q{number:03}", f"question {number}") for number in range(500)]


@pytest.fixture
def three_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    """AlpacaEval's set, made of three instructions."""
    keys = tuple(instruction_key(text) for text in INSTRUCTIONS)
    monkeypatch.setattr(instruction_set, "OFFICIAL_INSTRUCTION_KEYS", keys)


def outputs(path: Path, texts: dict[str, str], generator: str = BASELINE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_model_outputs(path, [ModelOutput(instruction, text, generator) for instruction, text in texts.items()])
    return path


def whole_outputs(path: Path, generator: str = BASELINE) -> Path:
    """The outputs of `generator`, in another order than the official one."""
    return outputs(path, {text: f"{generator} on {text}" for text in reversed(INSTRUCTIONS)}, generator)


def arena_folder(folder: Path, *models: str) -> Path:
    (folder / "model_answer").mkdir(parents=True)
    rows = [{"question_id": row.id, "turns": [{"content": row.text}]} for row in QUESTIONS]
    (folder / "question.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for model in models:
        answers = [ArenaAnswer(row.id, model, f"{model} on {row.text}") for row in reversed(QUESTIONS)]
        write_answers(folder / "model_answer" / f"{model}.jsonl", answers)
    return folder


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, three_instructions: None) -> Iterator[HubServer]:
    """A stand-in hub with the two benchmarks."""
    folder = tmp_path / "hub"
    whole_outputs(folder / "tatsu-lab/alpaca_eval" / ALPACA_EVAL_FILE)
    (folder / "tatsu-lab/alpaca_eval/df_gamed.csv").write_text("model,index\n")
    arena_folder(folder / "lmarena-ai/arena-hard-auto/data/arena-hard-v0.1", "gpt-4-0314", "llama-3.1-8b-instruct")
    with serving(folder) as server:
        use_hub(monkeypatch, server.url, tmp_path / "cache")
        yield server


# Real data


def test_alpaca_evals_instructions_are_in_their_official_order(alpaca_data: Path) -> None:
    rows = json.loads((alpaca_data / "baseline_gpt4_1106_preview.json").read_text())
    data = alpaca_eval2_baseline(str(alpaca_data))
    assert data.name == BASELINE
    assert data.responses == tuple(
        Response(Prompt(str(place), row["instruction"]), row["output"], BASELINE) for place, row in enumerate(rows)
    )
    assert len(data.responses) == 805


def test_another_models_outputs_can_be_the_baseline_of_alpaca_eval(alpaca_data: Path) -> None:
    official = alpaca_eval2_baseline(str(alpaca_data))
    other = alpaca_eval2_baseline(str(alpaca_data), "claude-2")
    assert other == alpaca_eval2_baseline(str(alpaca_data / "model_outputs" / "claude-2.json"))
    assert other.name == "claude-2"
    assert [row.prompt for row in other.responses] == [row.prompt for row in official.responses]
    assert other.fingerprint != official.fingerprint


@pytest.mark.parametrize("model", ["gpt-4-0314", "gpt-4-0613", "gpt-3.5-turbo-0125"])
def test_arena_hards_questions_are_answered_by_the_named_baseline(arena_data: Path, model: str) -> None:
    """The answer files repeat the question, which shows that the right two rows were joined."""
    data = arena_hard_baseline(str(arena_data), model)
    lines = (arena_data / "model_answer" / f"{model}.jsonl").read_text().splitlines()
    rows = {row["uid"]: row["messages"] for row in map(json.loads, lines)}
    assert [row.prompt for row in data.responses] == read_questions(arena_data / "question.jsonl")
    assert len(data.responses) == 500 and {row.writer for row in data.responses} == {model}
    for row in data.responses:
        question, answer = rows[row.prompt.id]
        assert (row.prompt.text, row.text) == (question["content"], answer["content"]["answer"])


def test_one_folder_can_hold_both_benchmarks(shared_data: Path, alpaca_data: Path, arena_data: Path) -> None:
    assert (
        load_baseline("alpaca_eval2", str(shared_data)).responses == alpaca_eval2_baseline(str(alpaca_data)).responses
    )
    assert load_baseline("arena_hard", str(shared_data)) == arena_hard_baseline(str(arena_data))


def test_a_stand_in_is_not_taken_for_the_official_calibration(alpaca_data: Path) -> None:
    assert length_calibration(str(alpaca_data)) is None


@pytest.mark.parametrize("bench", ["alpaca_eval2", "pairwise"])
def test_stored_outputs_are_joined_by_instruction(alpaca_data: Path, tmp_path: Path, bench: str) -> None:
    prompts = [row.prompt for row in alpaca_eval2_baseline(str(alpaca_data)).responses]
    stored = alpaca_data / "model_outputs" / "vicuna-13b.json"
    shuffled = tmp_path / "shuffled.json"
    shuffled.write_text(json.dumps(json.loads(stored.read_text())[::-1]))
    rows = read_answer_file(bench, shuffled).join(prompts)
    assert rows == read_answer_file(bench, stored).join(prompts)
    texts = {row["instruction"]: row["output"] for row in json.loads(stored.read_text())}
    assert [row.text for row in rows] == [texts[prompt.text] for prompt in prompts]


# Folders


@pytest.mark.parametrize("name", [ALPACA_EVAL_FILE, "baseline_gpt4_1106_preview.json", "model_outputs.json"])
@pytest.mark.usefixtures("three_instructions")
def test_the_baseline_of_alpaca_eval_is_found_under_its_names(tmp_path: Path, name: str) -> None:
    path = whole_outputs(tmp_path / name)
    data = alpaca_eval2_baseline(str(tmp_path), BASELINE)
    assert data == alpaca_eval2_baseline(str(path))
    assert [row.prompt for row in data.responses] == PROMPTS
    assert [row.text for row in data.responses] == [f"{BASELINE} on {text}" for text in INSTRUCTIONS]
    assert data.source == str(path)
    assert data.fingerprint == fingerprint(data.responses)


@pytest.mark.parametrize(
    "place", ["{}.json", "model_outputs/{}.json", "{}/model_outputs.json", "results/{}/model_outputs.json"]
)
@pytest.mark.usefixtures("three_instructions")
def test_a_named_baseline_of_alpaca_eval_is_found_beside_the_official_one(tmp_path: Path, place: str) -> None:
    whole_outputs(tmp_path / ALPACA_EVAL_FILE)
    path = whole_outputs(tmp_path / place.format("llama"), "llama")
    for baseline in ("llama", str(path)):
        data = alpaca_eval2_baseline(str(tmp_path), baseline)
        assert (data.name, data.source) == ("llama", str(path))


@pytest.mark.parametrize("layout", [".", "data/arena-hard-v0.1", "arena_hard_v0.1"])
def test_arena_hard_is_found_in_a_clone_or_a_plain_folder(tmp_path: Path, layout: str) -> None:
    arena_folder(tmp_path / layout, "gpt-4-0314", "llama")
    data = arena_hard_baseline(str(tmp_path))
    assert [row.prompt for row in data.responses] == QUESTIONS
    assert data.responses[7].text == "gpt-4-0314 on question 7"
    assert arena_hard_baseline(str(tmp_path), "llama").responses[7].text == "llama on question 7"


def test_answers_of_ones_own_can_be_the_baseline_of_arena_hard(tmp_path: Path) -> None:
    arena_folder(tmp_path / "official")
    own = tmp_path / "SRPO.jsonl"
    write_answers(own, [ArenaAnswer(row.id, "srpo-step-300", "yes") for row in QUESTIONS])
    data = arena_hard_baseline(str(tmp_path / "official"), str(own))
    assert data.name == "SRPO" and {(row.text, row.writer) for row in data.responses} == {("yes", "SRPO")}


def test_pairwise_takes_the_instructions_of_any_outputs(tmp_path: Path) -> None:
    path = whole_outputs(tmp_path / "reference.json", "reference")
    data = load_baseline("pairwise", str(path))
    assert [row.prompt.text for row in data.responses] == INSTRUCTIONS[::-1]
    assert [row.prompt.id for row in data.responses] == ["0", "1", "2"]
    other = load_baseline("pairwise", str(path), str(whole_outputs(tmp_path / "other.json", "other")))
    assert other.name == "other"
    assert [row.prompt for row in other.responses] == [row.prompt for row in data.responses]


def test_pairwise_takes_the_instructions_of_a_baseline(tmp_path: Path) -> None:
    path = whole_outputs(tmp_path / "mine.json", "mine")
    assert load_baseline("pairwise", None, str(path)) == load_baseline("pairwise", str(path))


@pytest.mark.usefixtures("three_instructions")
def test_pairwise_takes_a_folder_as_the_benchmark_that_it_holds(tmp_path: Path) -> None:
    whole_outputs(tmp_path / "alpaca" / ALPACA_EVAL_FILE)
    arena_folder(tmp_path / "arena", "gpt-4-0314")
    for bench, folder in (("alpaca_eval2", tmp_path / "alpaca"), ("arena_hard", tmp_path / "arena")):
        assert load_baseline("pairwise", str(folder)) == load_baseline(bench, str(folder))


def test_the_official_calibration_is_found_in_a_folder_and_beside_a_file(tmp_path: Path) -> None:
    calibration = tmp_path / "df_gamed.csv"
    calibration.touch()
    assert length_calibration(str(tmp_path)) == calibration
    assert length_calibration(str(outputs(tmp_path / ALPACA_EVAL_FILE, {"a": "b"}))) == calibration


@pytest.mark.usefixtures("three_instructions")
def test_the_fingerprint_is_that_of_the_rows_whatever_their_file(tmp_path: Path) -> None:
    rows = {text: "yes" for text in INSTRUCTIONS}
    paths = [
        outputs(tmp_path / "a.json", rows),
        outputs(tmp_path / "b.json", dict(reversed(rows.items()))),
        outputs(tmp_path / "c.json", {**rows, "Why?": "no"}),
        outputs(tmp_path / "d.json", rows, "another"),
    ]
    prints = [alpaca_eval2_baseline(str(path)).fingerprint for path in paths]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


# The hub


def test_both_benchmarks_are_read_from_the_hub(hub: HubServer) -> None:
    alpaca, arena = load_baseline("alpaca_eval2"), load_baseline("arena_hard")
    assert [row.prompt for row in alpaca.responses] == PROMPTS
    assert (alpaca.name, alpaca.source) == (BASELINE, f"tatsu-lab/alpaca_eval@{COMMIT[:12]}")
    assert [row.prompt for row in arena.responses] == QUESTIONS
    assert (arena.name, arena.source) == ("gpt-4-0314", f"lmarena-ai/arena-hard-auto@{COMMIT[:12]}")
    assert load_baseline("pairwise") == alpaca
    assert len(hub.downloads()) == 3


def test_prefetch_takes_a_benchmark_by_its_name(hub: HubServer) -> None:
    lines: list[str] = []
    for name in ("alpaca_eval2", "arena_hard"):
        prefetch(name, Choice("paper"), lines.append)
    assert [line.split()[2].partition("@")[0] for line in lines] == [
        "tatsu-lab/alpaca_eval",
        "lmarena-ai/arena-hard-auto",
    ]
    assert all(line.endswith("is there") for line in lines)


def test_any_baseline_on_the_hub_can_be_named(hub: HubServer) -> None:
    data = arena_hard_baseline(None, "llama-3.1-8b-instruct")
    assert data.responses[0].text == "llama-3.1-8b-instruct on question 0"


def test_the_key_of_the_official_calibration_is_its_content_and_commit_wherever_the_cache_is(
    hub: HubServer, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alpaca_data: Path
) -> None:
    shutil.copy(alpaca_data / "df_gamed_standin.csv", hub.folder / "tatsu-lab/alpaca_eval/df_gamed.csv")
    planned = published_calibration()
    assert planned.params["commit"] == COMMIT
    use_hub(monkeypatch, hub.url, tmp_path / "another cache")
    assert published_calibration() == planned
    use_hub(monkeypatch, hub.url, tmp_path / "a node's cache")
    store.build(planned)
    found, given = read_length_calibration(store.bind(planned)), read_calibration(alpaca_data / "df_gamed_standin.csv")
    assert found is not None and replace(found, source=given.source) == given


def test_a_calibration_that_has_changed_since_it_was_planned_is_refused(
    store: Store, tmp_path: Path, alpaca_data: Path
) -> None:
    path = Path(shutil.copy(alpaca_data / "df_gamed_standin.csv", tmp_path / "mine.csv"))
    planned = calibration_from(path)
    path.write_text(path.read_text() + "\n")
    with pytest.raises(UserError, match=r"mine.csv has changed since this run looked at it"):
        store.build(planned)


def test_an_unknown_baseline_on_the_hub_is_answered_with_the_nearest_names(hub: HubServer) -> None:
    with pytest.raises(UserError, match=r"'Llama-3\.1-8B-Instrct' in .* on the hub; there are llama-3\.1-8b-instruct$"):
        arena_hard_baseline(None, "Llama-3.1-8B-Instrct")


def test_the_hub_has_no_other_baseline_of_alpaca_eval(hub: HubServer) -> None:
    with pytest.raises(UserError, match="not of 'vicuna-13b'; pass --baseline with a file"):
        alpaca_eval2_baseline(None, "vicuna-13b")


@pytest.mark.parametrize("bench", ["alpaca_eval2", "arena_hard"])
def test_an_unreachable_hub_is_answered_with_the_option_to_pass_by_the_command_that_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bench: str
) -> None:
    with serving(tmp_path) as closed:
        pass
    use_hub(monkeypatch, closed.url, tmp_path / "cache")
    with pytest.raises(UserError, match=r"cannot be asked .*, or pass --data FOLDER to read it from this machine"):
        choose_bench(bench, BenchChoice("official"))  # as `harness eval` does
    with pytest.raises(UserError, match=r"cannot be asked .*; try again, or run `harness prefetch` where it can$"):
        load_baseline(bench)  # as a scale does, for commands without --data


# What is wrong


@pytest.mark.usefixtures("three_instructions")
@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ({"Why?": "a"}, "2 of AlpacaEval's 3 instructions are missing"),
        ({"Why?": "a", "How?": "b", "Où est la gare ?": "c"}, "1 of AlpacaEval's 3 instructions are missing"),
        (
            {**dict.fromkeys(INSTRUCTIONS, "a"), "Why?": "\ud83d"},
            "row 1: instruction 'Why.': contains half of a surrogate pair",
        ),
    ],
)
def test_a_baseline_of_alpaca_eval_that_is_not_whole_is_refused(
    tmp_path: Path, rows: dict[str, str], complaint: str
) -> None:
    path = tmp_path / "model_outputs.json"
    path.write_text(json.dumps([{"instruction": key, "output": text, "generator": "x"} for key, text in rows.items()]))
    with pytest.raises(UserError, match=complaint):
        alpaca_eval2_baseline(str(tmp_path))


def test_what_is_not_in_a_folder_is_one_line(tmp_path: Path) -> None:
    for bench in ("alpaca_eval2", "arena_hard", "pairwise"):
        with pytest.raises(UserError, match=str(tmp_path)):
            load_baseline(bench, str(tmp_path))
        with pytest.raises(UserError, match="gone"):
            load_baseline(bench, str(tmp_path / "gone"))
    with pytest.raises(UserError, match="did you mean 'arena_hard'"):
        load_baseline("arenahard", str(tmp_path))


def test_an_unknown_baseline_in_a_folder_is_answered_with_the_nearest_names(tmp_path: Path) -> None:
    arena_folder(tmp_path, "gpt-4-0314", "llama")
    with pytest.raises(UserError, match=r"no answers of the baseline 'GPT-4-0315' in .*; there are gpt-4-0314$"):
        arena_hard_baseline(str(tmp_path), "GPT-4-0315")


def test_a_cut_question_file_is_refused(tmp_path: Path) -> None:
    folder = arena_folder(tmp_path, "gpt-4-0314")
    lines = (folder / "question.jsonl").read_text().splitlines(keepends=True)
    (folder / "question.jsonl").write_text("".join(lines[:20]))
    with pytest.raises(UserError, match=r"question.jsonl: 20 questions; Arena-Hard v0.1 has 500"):
        arena_hard_baseline(str(folder))


def test_a_baseline_that_leaves_a_question_out_is_refused(tmp_path: Path) -> None:
    folder = arena_folder(tmp_path, "gpt-4-0314")
    write_answers(folder / "model_answer" / "lazy.jsonl", [ArenaAnswer(row.id, "lazy", "") for row in QUESTIONS[1:]])
    with pytest.raises(UserError, match="no output for 1 of the 500 questions, and 0 rows for others"):
        arena_hard_baseline(str(folder), "lazy")


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([("Why?", "m"), ("How?\n", "m")], "no output for 1 of the 3 instructions, and 0 rows for others"),
        ([("Why", "m"), ("How?\n", "m"), (INSTRUCTIONS[2], "m")], "no output for 1 .* and 1 rows for others"),
        ([("Why?", "m"), ("Why?", "m")], "row 2: instruction 'Why.' again; keep one"),
        ([("Why?", "m"), ("How?\n", "n")], r"outputs of several models \(m, n\)"),
    ],
)
def test_outputs_that_do_not_go_with_the_prompts_are_refused(
    tmp_path: Path, rows: list[tuple[str, str]], complaint: str
) -> None:
    path = tmp_path / "model_outputs.json"
    write_model_outputs(path, [ModelOutput(instruction, "text", model) for instruction, model in rows])
    with pytest.raises(UserError, match=complaint):
        read_answer_file("alpaca_eval2", path).join(PROMPTS)


def test_missing_outputs_are_left_out_where_that_is_allowed_but_not_all_of_them(tmp_path: Path) -> None:
    path = outputs(tmp_path / "model_outputs.json", {INSTRUCTIONS[2]: "c", "another": "d", INSTRUCTIONS[0]: "a"})
    rows = read_answer_file("alpaca_eval2", path).join(PROMPTS, allow_missing=True)
    assert rows == (Response(PROMPTS[0], "a", BASELINE), Response(PROMPTS[2], "c", BASELINE))
    with pytest.raises(UserError, match="no output for 1 of the 1 instructions, and 3 rows for others"):
        read_answer_file("alpaca_eval2", path).join(PROMPTS[1:2], allow_missing=True)


def test_a_whole_file_goes_with_the_first_prompts_of_a_set(tmp_path: Path) -> None:
    path = whole_outputs(tmp_path / "model_outputs.json")
    assert [row.prompt for row in read_answer_file("alpaca_eval2", path).join(PROMPTS[:2])] == PROMPTS[:2]


@pytest.mark.parametrize("bench", ["arena_hard", "pairwise"])
def test_answers_are_joined_by_the_questions_id(tmp_path: Path, bench: str) -> None:
    path = tmp_path / "mine.jsonl"
    write_answers(path, [ArenaAnswer(row.id, "mine", row.text) for row in reversed(QUESTIONS)])
    rows = read_answer_file(bench, path).join(QUESTIONS)
    assert rows == tuple(Response(row, row.text, "mine") for row in QUESTIONS)


# Whose outputs


def test_published_outputs_name_the_model_that_their_file_is_named_after(alpaca_data: Path, arena_data: Path) -> None:
    for bench, folder in (("alpaca_eval2", alpaca_data / "model_outputs"), ("arena_hard", arena_data / "model_answer")):
        assert {read_answer_file(bench, path).model == path.stem for path in folder.iterdir()} == {True}


@pytest.mark.parametrize(("generator", "model"), [("mine", "mine"), ("", "outputs-1.5")])
@pytest.mark.parametrize("bench", ["alpaca_eval2", "arena_hard", "pairwise", "perplexity"])
def test_outputs_are_called_as_they_call_themselves(tmp_path: Path, bench: str, generator: str, model: str) -> None:
    answers = tmp_path / "outputs-1.5.jsonl"
    write_answers(answers, [ArenaAnswer("q", generator, "text")])
    if bench != "alpaca_eval2":
        assert read_answer_file(bench, answers).model == model
    if bench != "arena_hard":
        assert read_answer_file(bench, whole_outputs(tmp_path / "outputs-1.5.json", generator)).model == model


def test_outputs_of_several_models_have_no_name(tmp_path: Path) -> None:
    path = tmp_path / "outputs.json"
    write_model_outputs(path, [ModelOutput(model, "text", model) for model in ("b", "a")])
    with pytest.raises(UserError, match=r"outputs of several models \(a, b\)"):
        _ = read_answer_file("alpaca_eval2", path).model
    path.write_text('[{"instruction": "i", "output": "o", "generator": "\\ud800"}]')
    with pytest.raises(UserError, match="half of a surrogate pair"):
        _ = read_answer_file("alpaca_eval2", path).model


def test_prompts_with_the_same_text_cannot_be_told_apart_by_it(tmp_path: Path) -> None:
    path = outputs(tmp_path / "model_outputs.json", {"Why?": "a"})
    with pytest.raises(UserError, match="two prompts have the same text"):
        read_answer_file("pairwise", path).join([Prompt("1", "Why?"), Prompt("2", "Why?")])


# Readers in evals.formats


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({"question_id": "q", "turns": []}, "not an Arena-Hard question: its turns must be a list with one turn"),
        ({"question_id": 0.5, "turns": [{"content": "a"}]}, "question_id must be a text, not 0.5"),
        ({"question_id": "q", "turns": [{"content": ["text", []]}]}, "content must be a text, not "),
        ({"question_id": "q", "turns": [{"content": None}]}, "content must be a text, not null"),
        ({"question_id": 81, "turns": ["why?", "and how?"]}, "2 turns; only questions of one turn"),
        ({"uid": "q"}, "not an Arena-Hard question: neither a field 'turns' nor 'prompt'"),
    ],
)
def test_a_wrong_question_is_named(tmp_path: Path, row: dict[str, Any], complaint: str) -> None:
    path = tmp_path / "question.jsonl"
    path.write_text(json.dumps({"uid": "q0", "prompt": "why?"}) + "\n" + json.dumps(row) + "\n")
    with pytest.raises(UserError, match=f"question.jsonl:2: {complaint}"):
        read_questions(path)


def test_a_question_given_twice_is_named(tmp_path: Path) -> None:
    path = tmp_path / "question.jsonl"
    path.write_text(2 * (json.dumps({"uid": "q0", "prompt": "why?"}) + "\n"))
    with pytest.raises(UserError, match=r"question.jsonl:2: question q0 again, after .*question.jsonl:1"):
        read_questions(path)


def test_an_answer_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    row = {"question_id": "q000", "model_id": "mine", "choices": [{"turns": [{"content": ["text"]}]}]}
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(UserError, match=r"mine.jsonl:1: content must be a text, not \['text'\]"):
        read_answer_file("arena_hard", path).join(QUESTIONS)

import shutil
from pathlib import Path

import pytest

from harness.engine.artifacts import Artifact
from harness.engine.store import Store
from harness.errors import UserError
from harness.mini.roles import read_role
from harness.models.references import MINI_MODELS
from harness.records import PreferencePair, Prompt, Response
from harness.steps.data import chosen_responses, data, model, preference_pairs
from tests.steps.given import answers, given_pairs, given_responses, made


@pytest.mark.parametrize("role", ["demonstrations", "preference_data"])
def test_a_role_is_read_as_its_rows(store: Store, role: str) -> None:
    rows = made(store, data(f"mini:{role}", 12))
    assert rows.rows(PreferencePair if role == "preference_data" else Response) == read_role(role, 12)


def test_size_and_role_make_different_artifacts() -> None:
    keys = {data(f"mini:{role}", size).key for role in ("demonstrations", "improver_data") for size in (10, 20)}
    assert len(keys) == 4


def test_a_data_set_that_is_not_there_is_a_user_error() -> None:
    with pytest.raises(UserError, match="cannot read the data set ultrachat: No such file"):
        data("ultrachat", 10)


def test_a_misspelt_role_is_a_user_error_of_the_step(store: Store) -> None:
    with pytest.raises(UserError, match=r"did you mean 'demonstrations'\?"):
        made(store, data("mini:demonstration", 10))


def test_a_model_is_a_pointer_that_differs_with_the_content(store: Store) -> None:
    artifacts = [model(f"mini:{name}") for name in ("qwen2", "llama", "teacher")]
    assert len({artifact.key for artifact in artifacts}) == 3
    assert made(store, artifacts[1]).json("reference.json")["reference"] == "mini:llama"


def test_what_has_changed_since_it_was_planned_is_not_loaded(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows, folder = Path("rows.jsonl"), Path("maker/tiny")
    rows.write_text('{"instruction": "a", "output": "b"}\n')
    shutil.copytree(MINI_MODELS / "llama", folder)
    planned = [data("rows.jsonl", 1), model("maker/tiny"), model("maker/tiny", closing_token="<|eot_id|>")]
    assert [artifact.params["reference"] for artifact in planned] == ["rows.jsonl", "maker/tiny", "maker/tiny"]
    rows.write_text('{"instruction": "a", "output": "c"}\n')
    (folder / "config.json").write_text((folder / "config.json").read_text() + " ")
    for artifact in planned:
        with pytest.raises(UserError, match="has changed since this run looked at it; run the same command again"):
            made(store, artifact)
    rows.unlink()
    shutil.rmtree(folder)
    with pytest.raises(UserError, match=r"cannot read the data set rows\.jsonl: No such file"):
        made(store, planned[0])
    for artifact in planned[1:]:
        with pytest.raises(UserError, match=r"^maker/tiny was a file or folder when this run was planned"):
            made(store, artifact)


def test_chosen_answers_become_references(store: Store) -> None:
    pairs = (PreferencePair(Prompt("1", "one"), "good", "bad"), PreferencePair(Prompt("2", "two"), "fine", "poor"))
    rows = made(store, chosen_responses(preference_data=given_pairs(rows=pairs))).rows(Response)
    assert [(row.prompt, row.text) for row in rows] == [(pairs[0].prompt, "good"), (pairs[1].prompt, "fine")]


def test_pairs_are_joined_by_prompt_and_not_by_position(store: Store) -> None:
    chosen = answers({"a": "good a", "b": "good b", "c": "good c"})
    rejected = answers({"c": "bad c", "a": "bad a", "b": "bad b"})
    pairs = made(store, preference_pairs(chosen=chosen, rejected=rejected)).rows(PreferencePair)
    assert [(pair.prompt.id, pair.chosen, pair.rejected) for pair in pairs] == [
        (id, f"good {id}", f"bad {id}") for id in "abc"
    ]


def test_a_prompt_without_two_different_answers_gives_no_pair_and_is_counted(store: Store) -> None:
    chosen = answers({"a": "good", "same": "equal", "alone": "good", "b": ""})
    rejected = answers({"b": "bad", "same": "equal", "other": "bad", "a": "bad"})
    artifact = made(store, preference_pairs(chosen=chosen, rejected=rejected))
    assert [pair.prompt.id for pair in artifact.rows(PreferencePair)] == ["a", "b"]
    counts = store.record(artifact)["counts"]
    assert {name: counts[name] for name in ("rows", "identical", "without_both_answers")} == {
        "rows": 2,
        "identical": 1,
        "without_both_answers": 1,
    }


def test_how_an_answer_ended_goes_with_it_into_pairs_and_out_of_them(store: Store) -> None:
    """Texts alone decide whether two answers are the same."""

    def given(text: str, reasons: dict[str, str]) -> Artifact:
        rows = (Response(Prompt(id, f"prompt {id}"), text, "x", finish_reason=each) for id, each in reasons.items())
        return given_responses(rows=tuple(rows))

    chosen = given("good", {"a": "length", "b": "stop", "c": "stop"})
    rejected = given("bad", {"a": "stop", "b": "length", "c": "stop"})
    pairs = preference_pairs(chosen=chosen, rejected=rejected)
    ends = [(row.chosen_finish_reason, row.rejected_finish_reason) for row in made(store, pairs).rows(PreferencePair)]
    assert ends == [("length", "stop"), ("stop", "length"), ("stop", "stop")]
    assert store.record(pairs)["counts"]["cut_off"] == 2
    again = made(store, chosen_responses(preference_data=pairs)).rows(Response)
    assert [row.finish_reason for row in again] == ["length", "stop", "stop"]
    same = made(store, preference_pairs(chosen=chosen, rejected=given("good", {"a": "stop", "b": "length"})))
    assert store.record(same)["counts"]["identical"] == 2

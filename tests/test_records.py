import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UserError
from harness.records import (
    Judgment,
    PreferencePair,
    Prompt,
    Response,
    from_json,
    outcome,
    read_rows,
    share_of_output,
    to_json,
    write_rows,
)

text = st.text(st.characters(exclude_categories=["Cs"]))
prompts = st.builds(Prompt, id=text, text=text)
judgments = st.builds(
    Judgment,
    prompt=prompts,
    baseline=text,
    output=text,
    order=st.sampled_from(["baseline_first", "output_first"]),
    reply=text,
    verdict=text,
    preference=st.none() | st.floats(0, 1),
    state=st.sampled_from(["ok", "parse_failed", "api_failed"]),
)
records = st.one_of(
    prompts,
    st.builds(Response, prompt=prompts, text=text, writer=text, token_ids=st.lists(st.integers()).map(tuple)),
    st.builds(PreferencePair, prompt=prompts, chosen=text, rejected=text),
    judgments,
)


@given(records)
def test_a_record_comes_back_from_json_as_it_was(record):
    assert from_json(type(record), json.loads(json.dumps(to_json(record)))) == record


@given(st.lists(judgments, max_size=3))
def test_rows_come_back_from_a_file_as_they_were(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    assert write_rows(path, rows) == len(rows)
    assert read_rows(path, Judgment) == rows


@pytest.mark.parametrize("half", ["\ud83d", "\udc00", "\ud83d\ud83d"])
def test_half_a_character_is_one_line_that_shows_where_it_is(tmp_path: Path, half: str):
    rows = [Prompt("1", "whole \U0001f600"), Prompt("2", f"a cat {half} and a dog")]
    with pytest.raises(UserError) as raised:
        write_rows(tmp_path / "rows.jsonl", rows)
    said = str(raised.value)
    assert said.startswith("a text contains half of a surrogate pair (\\u")
    assert "a cat \\u" in said and "and a dog" in said
    said.encode()  # it can be printed


def test_a_row_is_one_readable_line(tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    write_rows(path, [Response(Prompt("7", "line\nbreak\u2028é"), "yes", "qwen", (1, 2))])
    assert path.read_text(encoding="utf-8") == (
        '{"prompt": {"id": "7", "text": "line\\nbreak\u2028é", "history": []}, "text": "yes", "writer": "qwen",'
        ' "token_ids": [1, 2], "finish_reason": "stop"}\n'
    )
    assert read_rows(path, Response)[0].prompt.text == "line\nbreak\u2028é"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('{"id": "1"}', "rows.jsonl:2: missing key 'text'"),
        (
            '{"id": "1", "text": "a", "txt": 1}',
            "rows.jsonl:2: unknown key 'txt'; did you mean 'text'? (known: history, id, text)",
        ),
        ('{"id": 1, "text": "a"}', "rows.jsonl:2: id: expected text, got 1"),
        ("[]", "rows.jsonl:2: expected a mapping, got []"),
        ('{"id": "1", "te', "rows.jsonl:2: not JSON"),
        ("", "rows.jsonl:2: not JSON"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(tmp_path: Path, line: str, complaint: str):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"id": "0", "text": "fine"}\n' + line + '\n{"id": "2", "text": "fine"}\n')
    with pytest.raises(UserError) as raised:
        read_rows(path, Prompt)
    assert complaint in str(raised.value)


def test_a_file_that_is_none_is_a_user_error(tmp_path: Path):
    with pytest.raises(UserError, match=r"cannot read .*rows.jsonl"):
        read_rows(tmp_path / "rows.jsonl", Prompt)


@pytest.mark.parametrize("preference", ["1.5", "-0.1", "NaN", "Infinity", "true", '"0.5"'])
def test_a_preference_is_a_probability(preference: str):
    row = to_json(Judgment(Prompt("1", "a"), "b", "c", "output_first", "m", "m", 0.5, "ok"))
    with pytest.raises(UserError, match=r"^here:3: .*preference"):
        from_json(Judgment, {**row, "preference": json.loads(preference)}, "here:3")


@pytest.mark.parametrize(
    ("order", "verdict", "preference", "state", "expected"),
    [
        ("baseline_first", "A>>B", None, "ok", "loss"),
        ("output_first", "A>>B", None, "ok", "win"),
        ("baseline_first", "B>A", None, "ok", "win"),
        ("output_first", "B>A", None, "ok", "loss"),
        ("baseline_first", "A=B", None, "ok", "tie"),
        ("output_first", "A=B", None, "ok", "tie"),
        ("baseline_first", "m", 0.2, "ok", "loss"),
        ("output_first", "M", 0.7, "ok", "win"),
        ("output_first", "", 0.5, "ok", "tie"),
        ("output_first", "", None, "parse_failed", "failed"),
        ("output_first", "", None, "api_failed", "failed"),
    ],
)
def test_outcome_is_the_outputs_in_whichever_order_it_was_shown(order, verdict, preference, state, expected):
    row = Judgment(Prompt("a", "b"), "baseline", "output", order, "reply", verdict, preference, state)
    assert outcome([row]) == expected
    assert (share_of_output(row) is None) == (expected == "failed")


def test_several_verdicts_count_by_their_mean_and_failed_ones_not_at_all():
    def verdict(order, label, state="ok"):
        return Judgment(Prompt("a", "b"), "baseline", "output", order, "reply", label, None, state)

    won, lost, tied = (verdict("output_first", label) for label in ("A>B", "B>>A", "A=B"))
    failed = verdict("baseline_first", "", "parse_failed")
    assert [outcome(rows) for rows in ([won, lost], [won, tied], [lost, tied], [failed, lost], [failed], [])] == [
        *("tie", "win", "loss", "loss", "failed", "failed")
    ]
    assert share_of_output(verdict("baseline_first", "A>>B")) == 0

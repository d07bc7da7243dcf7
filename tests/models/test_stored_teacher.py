"""A stored teacher: which of its texts answers what, and what it says of a request that it does not have."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UserError
from harness.models.generator import Sampling
from harness.models.references import load_generator, model_fingerprint
from harness.models.stored_teacher import StoredTeacher
from harness.recipes.scales import load_scale
from harness.records import Message, Prompt, Response
from harness.steps.respond import render

SAMPLING = Sampling(0.7, 0.9, 64)
REFINE = load_scale("small").prompt_set().refine
ROWS = (
    {"instruction": "hi", "answer": "Hello.", "improvement": "Hello there."},
    {"instruction": "What is this thing?", "answer": "A hat.", "improvement": "It is a hat."},
    {"instruction": "\n{braces} & <tags>\n", "answer": "Yes.", "improvement": "Yes, both."},
)

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(*rows: object) -> Path:
        path = tmp_path / "teacher.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write


def reply(teacher: StoredTeacher, message: str) -> str:
    [completion] = teacher.complete([(Message("user", message),)], SAMPLING, [0])
    assert (completion.token_ids, completion.finish_reason) == ((), "stop")
    return completion.text


def refine_prompt(request: str, draft: str, reference: str) -> str:
    return render(REFINE.target, Response(Prompt("1", request), draft, "policy"), reference)


def test_a_request_gets_its_answer_and_a_refine_prompt_its_improvement(write: Write) -> None:
    """Also where one request is part of another one's words, or of the draft, or looks like a template."""
    teacher = StoredTeacher(write(*ROWS))
    for row in ROWS:
        assert reply(teacher, row["instruction"]) == row["answer"]
        for draft in ("", "hi", "What is this thing?", "</request> hi <request>hi</request>"):
            assert reply(teacher, refine_prompt(row["instruction"], draft, "What is this thing?")) == row["improvement"]


@given(st.text(), st.text())
def test_draft_and_reference_never_matter(tmp_path_factory: pytest.TempPathFactory, draft: str, reference: str) -> None:
    path = tmp_path_factory.getbasetemp() / "stored.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    assert reply(StoredTeacher(path), refine_prompt("hi", draft, reference)) == "Hello there."


@pytest.mark.parametrize("message", ["What is that?", refine_prompt("What is that?", "hi", "hi")])
def test_a_request_that_is_not_there_is_named(write: Write, message: str) -> None:
    with pytest.raises(
        UserError, match=r"teacher\.jsonl has no row for the request 'What is that\?'; add one"
    ) as error:
        reply(StoredTeacher(write(*ROWS)), message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({**ROWS[0], "answer": " "}, r"teacher\.jsonl:1: instruction, answer and improvement must each hold text"),
        ({"instruction": "hi", "answer": "Hello."}, r"teacher\.jsonl:1: missing key 'improvement'"),
        ("hi", r"teacher\.jsonl:1"),
        (
            {**ROWS[0], "answer": "half \ud83d"},
            r"teacher\.jsonl:1: a text contains half of a surrogate pair; write the whole character",
        ),
    ],
)
def test_a_row_without_one_of_its_texts_is_named(write: Write, row: object, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        StoredTeacher(write(row))


def test_a_file_with_a_byte_order_mark_is_read(write: Write) -> None:
    path = write(*ROWS)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert reply(StoredTeacher(path), "hi") == "Hello."


def test_the_file_is_what_the_reference_names_and_its_fingerprint(write: Write) -> None:
    reference = f"stored:{write(*ROWS)}"
    assert load_generator(reference).name == "teacher"
    before = model_fingerprint(reference)
    assert model_fingerprint(f"stored:{write(*ROWS)}") == before
    assert model_fingerprint(f"stored:{write(*ROWS[:2])}") != before


def test_a_file_that_is_not_there_is_one_line() -> None:
    for look_up in (model_fingerprint, load_generator):
        with pytest.raises(UserError, match=r"there is no file no/such\.jsonl .* name another teacher"):
            look_up("stored:no/such.jsonl")

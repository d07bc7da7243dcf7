import json
import os
import threading
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.endpoints.protocol import ChatReply, ChatRequest, Message
from harness.endpoints.reference import EndpointReference
from harness.endpoints.reply_cache import RecordedReplies, Spending, request_key, spending
from harness.endpoints.wire_format import UnusableAnswer
from harness.run.spending import _print_spending

REFERENCE = EndpointReference("judge-1", "http://127.0.0.1:1/v1", parser_version=3)
REQUEST = ChatRequest((Message("system", "Judge."), Message("user", "A or B?")), 16, 0.0, 5)
REPLY = ChatReply("[[A>B]]", {"[[": -0.1}, "stop", 12, 3)

messages = st.builds(Message, st.sampled_from(["system", "user", "assistant"]), st.text(max_size=5))
requests = st.builds(
    ChatRequest,
    st.lists(messages, min_size=1, max_size=3).map(tuple),
    st.integers(1, 5),
    st.sampled_from([0.0, 0.7, 1.0]),
    st.integers(0, 3),
    st.integers(0, 3),
    st.sampled_from([None, 0.9, 1.0]),
    st.sampled_from([None, 0, 1]),
)
references = st.builds(
    EndpointReference,
    st.sampled_from(["judge-1", "judge-2"]),
    st.sampled_from(["http://a/v1", "http://b/v1"]),
    parser_version=st.integers(0, 3),
)


def numbered(number: int) -> ChatRequest:
    return replace(REQUEST, messages=(Message("user", f"question {number}"),))


@given(st.tuples(references, requests), st.tuples(references, requests))
def test_requests_share_a_key_only_when_all_their_fields_are_equal(one, other):
    assert (request_key(*one) == request_key(*other)) == (one == other)


@given(requests, references, st.data())
def test_any_field_changed_gives_another_key(request, reference, data):
    changed = [
        *(replace(request, **{name: getattr(request, name) + 1}) for name in ("max_tokens", "temperature", "repeat")),
        replace(request, top_logprobs=request.top_logprobs + 1),
        replace(request, top_p=0.5 if request.top_p is None else None),
        replace(request, seed=1 if request.seed is None else None),
        replace(request, messages=(*request.messages, Message("user", "x"))),
        replace(request, messages=(replace(request.messages[0], content="x" * 9), *request.messages[1:])),
    ]
    assert len({request_key(reference, one) for one in [request, *changed]}) == 9
    assert {field.name for field in fields(request)} == {
        "messages",
        "max_tokens",
        "temperature",
        "top_logprobs",
        "repeat",
        "top_p",
        "seed",
    }, "a new field must change the key as well"


def test_a_parameter_that_is_not_sent_gives_another_key():
    keys = {
        request_key(replace(REFERENCE, without=(name,)), REQUEST) for name in ("temperature", "logprobs", "max_tokens")
    }
    assert len(keys | {request_key(REFERENCE, REQUEST)}) == 4


def test_a_reply_is_found_by_later_runs(tmp_path):
    with RecordedReplies(tmp_path, REFERENCE, "first") as record:
        record.add(REQUEST, REPLY, 0.25)
    with RecordedReplies(tmp_path, REFERENCE, "second") as record:
        assert record.get(REQUEST) == REPLY
        assert record.get(replace(REQUEST, repeat=1)) is None


def test_a_reply_is_in_the_file_as_soon_as_it_is_added(tmp_path):
    with RecordedReplies(tmp_path, REFERENCE, "run") as record:
        for number in range(3):
            record.add(numbered(number), REPLY, None)
            assert len(record.path.read_text().splitlines()) == number + 1


def test_models_and_endpoints_have_records_of_their_own(tmp_path):
    others = [REFERENCE, replace(REFERENCE, model="judge/1"), replace(REFERENCE, base_url="http://b/v1")]
    paths = {RecordedReplies(tmp_path, reference, "").path for reference in others}
    assert len(paths) == 3 and {path.parent for path in paths} == {tmp_path}


def test_a_rejected_reply_is_found_by_its_own_run_only(tmp_path):
    with RecordedReplies(tmp_path, REFERENCE, "first") as record:
        record.add(REQUEST, REPLY, 0.25)
        record.reject(REQUEST)
        assert record.get(REQUEST) == REPLY
    with RecordedReplies(tmp_path, REFERENCE, "first") as record:
        assert record.get(REQUEST) == REPLY
    better = replace(REPLY, text="[[B>A]]")
    with RecordedReplies(tmp_path, REFERENCE, "second") as record:
        assert record.get(REQUEST) is None
        record.add(REQUEST, better, 0.25)
    for run in ("first", "third"):
        with RecordedReplies(tmp_path, REFERENCE, run) as record:
            assert record.get(REQUEST) == better


def test_a_reply_can_be_rejected_while_the_record_is_closed_or_open_elsewhere(tmp_path):
    record = RecordedReplies(tmp_path, REFERENCE, "first")
    with record:
        record.add(REQUEST, REPLY, None)
        record.add(numbered(1), REPLY, None)
    record.reject(REQUEST)
    with RecordedReplies(tmp_path, REFERENCE, "second") as other:
        record.reject(numbered(1))
        record.reject(numbered(2))  # never asked
        assert other.get(REQUEST) is None
        other.add(REQUEST, REPLY, None)
    with RecordedReplies(tmp_path, REFERENCE, "third") as third:
        assert [third.get(request) for request in (REQUEST, numbered(1))] == [REPLY, None]


def test_without_a_run_id_every_record_is_a_run_of_its_own(tmp_path):
    with RecordedReplies(tmp_path, REFERENCE, "") as record:
        record.add(REQUEST, REPLY, 1.0)
        record.reject(REQUEST)
    with RecordedReplies(tmp_path, REFERENCE, "") as record:
        assert record.get(REQUEST) is None and record.spent() == 0


def test_what_a_run_has_spent_counts_every_answer_it_paid_for(tmp_path):
    with RecordedReplies(tmp_path, REFERENCE, "first") as record:
        record.add(REQUEST, REPLY, 0.25)
        record.reject(REQUEST)
        record.add(numbered(1), REPLY, None)
        record.add_unusable(numbered(2), "no choices", UnusableAnswer("no choices", 12, 0), 0.5)
        assert record.spent() == 0.75
    with RecordedReplies(tmp_path, REFERENCE, "second") as record:
        assert record.spent() == 0
        assert record.get(numbered(2)) is None
    assert spending(tmp_path, "first") == Spending(3, 36, 6, 0.75, unpriced=1)


def test_what_a_run_has_spent_counts_every_judge(tmp_path):
    with RecordedReplies(tmp_path, REFERENCE, "first") as record:
        record.add(REQUEST, REPLY, 0.25)
    with RecordedReplies(tmp_path, replace(REFERENCE, model="judge-2"), "first") as record:
        record.add(REQUEST, REPLY, 0.5)
        assert record.spent() == 0.75


def test_on_a_budget_the_judges_of_a_run_take_turns(tmp_path):
    def gets_its_turn(run_id: str, *, on_budget: bool) -> bool:
        opened = threading.Event()

        def wait_for_it() -> None:
            with RecordedReplies(tmp_path, replace(REFERENCE, model="judge-2"), run_id, on_budget=on_budget):
                opened.set()

        threading.Thread(target=wait_for_it).start()
        return opened.wait(0.3)

    with RecordedReplies(tmp_path, REFERENCE, "first", on_budget=True):
        assert gets_its_turn("first", on_budget=False)
        assert gets_its_turn("second", on_budget=True)
        assert not gets_its_turn("first", on_budget=True)


def test_wherever_the_file_is_cut_whole_lines_survive_and_new_ones_are_whole(tmp_path):
    with RecordedReplies(tmp_path, REFERENCE, "run") as record:
        for number in range(3):
            record.add(numbered(number), REPLY, None)
    whole = record.path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for cut in range(len(lines[0]) - 3, len(whole) - 3, 7):
        record.path.write_bytes(whole[:cut])
        survivors = sum(len(b"".join(lines[: count + 1])) - 1 <= cut for count in range(3))
        with RecordedReplies(tmp_path, REFERENCE, "run") as again:
            assert [again.get(numbered(number)) for number in range(3)] == [REPLY] * survivors + [None] * (
                3 - survivors
            )
            again.add(numbered(9), REPLY, None)
        with RecordedReplies(tmp_path, REFERENCE, "run") as again:
            assert again.get(numbered(9)) == REPLY


@pytest.mark.parametrize("damage", [b"\0\0\0\0", b"[]", b"null", b'{"kind": "reply"}', b"\xff\xfe", b"3"])
def test_a_damaged_line_is_passed_over(tmp_path, damage):
    with RecordedReplies(tmp_path, REFERENCE, "run") as record:
        record.add(REQUEST, REPLY, None)
    with record.path.open("ab") as file:
        file.write(damage + b"\n")
    with RecordedReplies(tmp_path, REFERENCE, "run") as record:
        assert record.get(REQUEST) == REPLY


def test_a_line_tells_what_was_paid_for_without_the_messages(tmp_path):
    with RecordedReplies(tmp_path, REFERENCE, "run") as record:
        record.add(REQUEST, replace(REPLY, served_model="judge-1-0613"), 0.25)
    text = record.path.read_text()
    line = json.loads(text)
    assert "A or B?" not in text
    assert line["parameters"] == {
        "model": "judge-1",
        "temperature": 0.0,
        "max_tokens": 16,
        "logprobs": True,
        "top_logprobs": 5,
    }
    assert (line["served_model"], line["usd"], line["run_id"]) == ("judge-1-0613", 0.25, "run")
    assert line["usage"] == {"prompt_tokens": 12, "completion_tokens": 3}
    assert line["key"] == request_key(REFERENCE, REQUEST)


def test_only_one_has_a_record_open_and_who_waits_finds_what_was_added(tmp_path):
    opened, found = threading.Event(), []

    def wait_for_it() -> None:
        with RecordedReplies(tmp_path, REFERENCE, "second") as record:
            opened.set()
            found.append(record.get(REQUEST))

    waiting = threading.Thread(target=wait_for_it)
    with RecordedReplies(tmp_path, REFERENCE, "first") as record:
        waiting.start()
        assert not opened.wait(0.2)
        record.add(REQUEST, REPLY, None)
    waiting.join(10)
    assert found == [REPLY]


def test_a_record_is_not_opened_twice_by_the_same_judge(tmp_path):
    with RecordedReplies(tmp_path, REFERENCE, "run") as record, pytest.raises(RuntimeError, match="open here already"):
        record.__enter__()


def test_a_line_that_a_full_disk_cut_short_spoils_no_other(tmp_path, monkeypatch):
    whole = os.write
    with RecordedReplies(tmp_path, REFERENCE, "run") as record:
        record.add(numbered(0), REPLY, None)
        monkeypatch.setattr(os, "write", lambda file, data: whole(file, data[: len(data) // 2]))
        with pytest.raises(OSError, match="No space left"):
            record.add(numbered(1), REPLY, None)
        monkeypatch.setattr(os, "write", whole)
        record.add(numbered(2), REPLY, None)
    with RecordedReplies(tmp_path, REFERENCE, "later") as record:
        assert [record.get(numbered(number)) for number in range(3)] == [REPLY, None, REPLY]


def flip(path, position: int) -> None:
    """Turns one bit of a file over."""
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


@given(st.data())
def test_no_flipped_bit_is_taken_for_a_reply(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("record")
    with RecordedReplies(folder, REFERENCE, "run") as record:
        for number in range(3):
            record.add(numbered(number), replace(REPLY, text=f"[[A>B]] {number}"), 0.25)
    lines = record.path.read_bytes().splitlines(keepends=True)
    flip(record.path, data.draw(st.integers(len(lines[0]), len(lines[0] + lines[1]) - 3)))  # but for its end
    with RecordedReplies(folder, REFERENCE, "run") as again:
        found = [again.get(numbered(number)) for number in range(3)]
    assert [reply and reply.text for reply in (found[0], found[2])] == ["[[A>B]] 0", "[[A>B]] 2"]
    assert found[1] in (None, replace(REPLY, text="[[A>B]] 1"))  # the mark itself may be hit


def test_a_damaged_line_is_counted_until_its_reply_is_there_again(tmp_path, capsys):
    with RecordedReplies(tmp_path, REFERENCE, "run") as record:
        for number in range(3):
            record.add(numbered(number), REPLY, 0.25)
    flip(record.path, record.path.read_bytes().index(b"[[A>B]]", 900) + 3)
    _print_spending(spending(tmp_path, "later"))
    assert capsys.readouterr().err == (
        f"1 damaged line in the record of replies ({record.path.name}) passed over; what they held is asked for again"
        " where it is needed\n"
    )
    with RecordedReplies(tmp_path, REFERENCE, "later") as record:
        missing = [number for number in range(3) if record.get(numbered(number)) is None]
        assert len(missing) == 1
        record.add(numbered(missing[0]), REPLY, 0.25)
    assert spending(tmp_path, "later") == Spending(1, 12, 3, 0.25)


def test_a_line_that_a_kill_cut_short_is_not_called_damaged(tmp_path):
    with RecordedReplies(tmp_path, REFERENCE, "run") as record:
        for number in range(2):
            record.add(numbered(number), REPLY, 0.25)
    record.path.write_bytes(record.path.read_bytes()[:-40])
    assert not spending(tmp_path, "run").damaged
    with RecordedReplies(tmp_path, REFERENCE, "run") as record:
        record.add(numbered(2), REPLY, 0.25)
    assert not spending(tmp_path, "run").damaged


def test_lines_of_before_there_were_digests_are_read(tmp_path):
    with RecordedReplies(tmp_path, REFERENCE, "run") as record:
        record.add(REQUEST, REPLY, 0.25)
    line = json.loads(record.path.read_text())
    del line["sha256"]
    record.path.write_text(json.dumps(line) + "\n")
    with RecordedReplies(tmp_path, REFERENCE, "later") as record:
        assert record.get(REQUEST) == REPLY
    assert spending(tmp_path, "run") == Spending(1, 12, 3, 0.25)


def two_kept(folder: Path) -> list[bytes]:
    """The lines of a record with two replies, of which a later version of the reader rejected the first one."""
    with RecordedReplies(folder, REFERENCE, "run") as record:
        for number in range(2):
            record.add(numbered(number), REPLY, 0.25)
    with RecordedReplies(folder, replace(REFERENCE, parser_version=4), "run") as record:
        record.reject(numbered(0))
    return record.path.read_bytes().splitlines(keepends=True)


@given(st.data())
def test_a_damaged_rejection_revives_no_reply(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("record")
    lines = two_kept(folder)
    path = next(folder.glob("*.jsonl"))
    start = len(lines[0] + lines[1])
    flip(path, start + data.draw(st.integers(0, len(lines[2]) - 2)))
    with RecordedReplies(folder, REFERENCE, "later") as record:
        assert [record.get(numbered(number)) for number in range(2)] == [None, REPLY]


def test_a_reply_that_follows_a_damaged_line_is_one(tmp_path: Path) -> None:
    lines = two_kept(tmp_path)
    path = next(tmp_path.glob("*.jsonl"))
    flip(path, len(lines[0] + lines[1]) + 200)
    with RecordedReplies(tmp_path, REFERENCE, "later") as record:
        record.add(numbered(0), replace(REPLY, text="new"), 0.25)
    with RecordedReplies(tmp_path, REFERENCE, "last") as record:
        found = record.get(numbered(0))
    assert found is not None and found.text == "new"


def test_a_line_that_is_nested_too_deep_is_passed_over(tmp_path: Path) -> None:
    with RecordedReplies(tmp_path, REFERENCE, "run") as record:
        record.add(REQUEST, REPLY, 0.25)
    with record.path.open("ab") as file:
        file.write(b"[" * 100_000 + b"\n" + b'{"kind": ' * 100_000 + b"1" + b"}" * 100_000 + b"\n")
    with RecordedReplies(tmp_path, REFERENCE, "later") as record:
        assert record.get(REQUEST) == REPLY
    assert spending(tmp_path, "run").usd == 0.25


def test_the_bill_tells_what_was_sent_and_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with RecordedReplies(tmp_path, REFERENCE, "run") as record:
        record.add(REQUEST, REPLY, 0.25)
        record.add_unusable(numbered(1), "no answer within 1 s", UnusableAnswer("no answer within 1 s"), 0.5)
    _print_spending(spending(tmp_path, "run"))
    answers, unread = capsys.readouterr().err.splitlines()
    assert answers == "endpoints: 1 answers, 12 prompt and 3 completion tokens, $0.7500; all kept"
    assert unread.startswith("endpoints: 1 more requests got no whole answer") and "$0.5000" in unread

"""Rows as public data sets have them: what is asked and answered in each, and which are refused.

One of each layout is in tests/files, for docs/files.md; here is what they have in variants, alone and together.
"""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UserError
from harness.models.row_layouts import RowKind, exchange


def system(text: Any) -> dict[str, Any]:
    return {"role": "system", "content": text}


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **more}


def human(text: str) -> dict[str, str]:
    return {"from": "human", "value": text}


def gpt(text: str) -> dict[str, str]:
    return {"from": "gpt", "value": text}


def read(row: dict[str, Any], kind: RowKind) -> str:
    """``s``, ``u`` and ``a`` for who says it, then ``=>`` and the answers."""
    found = exchange(row, kind, "set:1")
    said = [*(f"{turn.role[0]} {turn.content}" for turn in found.history), f"u {found.request}"]
    return f"{' | '.join(said)} => {' / '.join(found.answers)}"


RESPONSES: list[tuple[dict[str, Any], str]] = [
    ({"instruction": "i", "input": "x", "output": "o"}, "u i\n\nx => o"),
    ({"instruction": "i", "input": "x", "context": "c", "output": "o"}, "u i\n\nx\n\nc => o"),
    ({"instruction": "i", "inputs": "x", "output": "o"}, "u i\n\nx => o"),
    ({"instruction": "i\n\nx", "input": "x", "output": "o"}, "u i\n\nx => o"),
    ({"instruction": "Where is x", "input": "x", "output": "o"}, "u Where is x\n\nx => o"),
    ({"prompt": "i", "input": "x", "output": "o"}, "u i\n\nx => o"),
    ({"question": "q", "context": "c", "answer": "o"}, "u q\n\nc => o"),
    ({"instruction": "i", "input": float("nan"), "output": "o"}, "u i => o"),
    ({"instruction": "i", "input": " \n", "context": None, "system": "", "history": [], "output": "o"}, "u i => o"),
    ({"instruction": "[]", "input": "{}", "output": "o"}, "u []\n\n{} => o"),
    ({"prompt": "What does [INST] mean?", "response": "r"}, "u What does [INST] mean? => r"),
    ({"input": "x", "output": "o"}, "u x => o"),
    ({"instruction": "", "input": "x", "output": "o"}, "u x => o"),
    ({"instruction": "i", "output": "o", "text": "Below is an instruction: i. Answer: o"}, "u i => o"),
    ({"prompt": "Below is i about x.", "instruction": "i", "input": "x", "output": "o"}, "u Below is i about x. => o"),
    ({"system_message": "s", "prompt": "p", "response": "r"}, "s s | u p => r"),
    ({"system": "s", "system_prompt": "S", "prompt": "p", "response": "r"}, "s s | u p => r"),
    ({"instruction": "i", "history": '[["a", "b"]]', "output": "o"}, "u a | a b | u i => o"),
    ({"instruction": "i", "history": [user("a"), assistant("b")], "output": "o"}, "u a | a b | u i => o"),
    ({"prompt": [system("s"), user("p")], "completion": [assistant("c")]}, "s s | u p => c"),
    ({"prompt": [user("p")], "completion": [assistant("c"), user("q"), assistant("d")]}, "u p | a c | u q => d"),
    ({"prompt": [user("p")], "completion": "c"}, "u p => c"),
    ({"prompt": "p", "completion": [assistant("c")]}, "u p => c"),
    ({"prompt": "p", "completion": "c", "label": True}, "u p => c"),
    ({"prompt": "p", "response": "r", "label": False}, "u p => r"),
    ({"messages": [assistant("hello"), user("p"), assistant("r")]}, "a hello | u p => r"),
    ({"messages": [user("p"), assistant("r")], "system": "s"}, "s s | u p => r"),
    ({"messages": [system("S"), user("p"), assistant("r")], "system": "s"}, "s S | u p => r"),
    ({"messages": [user("about  THIS: p"), assistant("r")], "context": "this"}, "u about  THIS: p => r"),
    ({"messages": [user("p"), assistant("r")], "tools": "[]", "images": []}, "u p => r"),
    ({"messages": [user("a or b?"), assistant("r")], "choices": ["a", "b"]}, "u a or b? => r"),
    ({"messages": [user(["p", {"type": "input_text", "text": "q"}]), assistant([{"text": "r"}])]}, "u pq => r"),
    ({"messages": [{**user("p"), "from": None, "value": None}, {**assistant(None), "value": "r"}]}, "u p => r"),
    ({"messages": [{"role": "Human", "content": "p"}, {"role": "model", "content": "r"}]}, "u p => r"),
    ({"conversation": [user("p"), assistant("r")], "model": "vicuna"}, "u p => r"),
    ({"conversations": json.dumps([human("p"), gpt("r")])}, "u p => r"),
    ({"conversations": [{**human("p"), "weight": 0.0}, {**gpt("r"), "weight": 1.0}]}, "u p => r"),
    ({"prompt": json.dumps([user("p")]), "completion": json.dumps([assistant("c")])}, "u p => c"),
    ({"instruction": "i", "output": '[{"role": "admin", "name": "x"}]'}, 'u i => [{"role": "admin", "name": "x"}]'),
    ({"conversations": [human("p")], "chosen": gpt("c"), "rejected": gpt("d")}, "u p => c"),
    ({"messages": [user("p")], "chosen": assistant("c"), "rejected": assistant("d")}, "u p => c"),
    ({"chosen": "Human: p\n\nAssistant: c"}, "u p => c"),
]

PAIRS: list[tuple[dict[str, Any], str]] = [
    ({"system": "s", "input": "x", "chosen": "c", "rejected": "d", "chatml": True}, "s s | u x => c / d"),
    ({"prompt": "p", "input": "x", "chosen": "c", "rejected": ""}, "u p\n\nx => c / "),
    ({"prompt": [user("p")], "chosen": "c", "rejected": "d"}, "u p => c / d"),
    ({"prompt": "p", "chosen": [assistant("c")], "rejected": [assistant("d")]}, "u p => c / d"),
    ({"prompt": "p", "chosen": "c", "rejected": [user("p"), assistant("d")]}, "u p => c / d"),
    ({"prompt": [user("p")], "chosen": [user("p"), assistant("c")], "rejected": [user("p"), assistant("d")]},
     "u p => c / d"),
    ({"chosen": [human("p"), gpt("c")], "rejected": [human("p"), gpt("d")]}, "u p => c / d"),
    ({"conversations": [human("a"), gpt("b"), human("p")], "system": "s", "chosen": gpt("c"), "rejected": gpt("d")},
     "s s | u a | a b | u p => c / d"),
    ({"prompt": "\n\nHuman: a\n\nAssistant: b\n\nHuman: p\n\nAssistant:", "chosen": " c", "rejected": " d"},
     "u a | a b | u p => c / d"),
    ({"chosen": "\n\nHuman: p\n\nmore\n\nAssistant: c", "rejected": "\n\nHuman: p\n\nmore\n\nAssistant:"},
     "u p\n\nmore => c / "),
    ({"prompt": "Write.", "chosen": "Human: a\n\nAssistant: b", "rejected": "d"},
     "u Write. => Human: a\n\nAssistant: b / d"),
    ({"prompt": "p", "chosen": '{"value": 3}', "rejected": "[1, 2]"}, 'u p => {"value": 3} / [1, 2]'),
    ({"prompt": "p", "real": "c", "generated": ""}, "u p => c / "),
]  # fmt: skip


@pytest.mark.parametrize(("row", "expected"), RESPONSES)
def test_a_request_and_its_answer(row: dict[str, Any], expected: str) -> None:
    assert read(row, "responses") == expected


@pytest.mark.parametrize(("row", "expected"), PAIRS)
def test_a_request_and_its_two_answers(row: dict[str, Any], expected: str) -> None:
    assert read(row, "pairs") == expected


LOST = "changes what is asked, and would be lost; write it into the request, or remove the column or the row"


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({"instruction": "i", "prompt": "p", "output": "o"}, f"instruction {LOST}"),
        ({"instruction": "i", "question": "q", "output": "o"}, f"question {LOST}"),
        ({"question": "q", "choices": ["a", "b"], "answer": "a"}, f"choices {LOST}"),
        ({"question": "q", "options": {"A": 1}, "answer": "a"}, f"options {LOST}"),
        ({"instruction": "i", "output": "o", "images": [b"png"]}, f"images {LOST}"),
        ({"messages": [user("p"), assistant("r")], "tools": [{"name": "look_up"}]}, f"tools {LOST}"),
        ({"messages": [user("p"), assistant("r")], "context": "c"}, f"context {LOST}"),
        ({"messages": [user("p"), assistant("r")], "instruction": "i"}, f"instruction {LOST}"),
        ({"messages": [user("p"), assistant("r")], "history": [["a", "b"]]}, f"history {LOST}"),
        ({"messages": [system("s"), user("p"), assistant("r")], "system": "other"}, f"system {LOST}"),
        ({"system": "s", "system_prompt": "other", "prompt": "p", "output": "o"}, f"system_prompt {LOST}"),
        ({"prompt": [user("q")], "chosen": [user("p"), assistant("c")]}, "chosen lacks turns of prompt, with which"),
        ({"instruction": "i", "input": 5, "output": "o"}, "no text in input; give it one, or remove the row"),
        ({"question": "q", "context": {"a": "b"}, "answer": "o"}, "no text in context"),
        ({"instruction": "i", "system": ["s"], "output": "o"}, "no text in system"),
        ({"instruction": "i", "history": "we talked", "output": "o"}, "history is not a list of [request, answer]"),
        ({"instruction": "i", "history": [["a", None]], "output": "o"}, "history is not a list of [request, answer]"),
        ({"instruction": "i", "prompt": "i: o", "output": "o"}, "prompt ends with the answer; drop that column"),
        (
            {"instruction": "i", "output": json.dumps([user("p"), assistant("r")])},
            "output holds a conversation as tex",
        ),
        ({"instruction": json.dumps([user("p")]), "output": "o"}, "instruction holds a conversation as text; call the"),
        ({"prompt": "<s>[INST] p [/INST]", "response": "r"}, "prompt is in a chat template already ([INST])"),
        ({"prompt": "\n<|user|>\np</s>\n<|assistant|>\n", "response": "r"}, "prompt is in a chat template already"),
        ({"instruction": "i", "output": "<start_of_turn>model\nr"}, "output is in a chat template already"),
        ({"messages": str([user("p"), assistant("r")])}, "messages is a conversation stored as text that is not JSON"),
        (
            {"messages": "[{'content': 'p', 'role': 'user'}\n {'content'"},
            "messages is a conversation stored as text",
        ),
        ({"messages": json.dumps([user("p"), assistant("r")])[:-5]}, "messages is a conversation stored as text"),
        ({"messages": [assistant("r")]}, "messages does not end with a user's turn and an answer to it"),
        ({"conversations": [human("p")]}, "conversations does not end with a user's turn and an answer to it"),
        ({"conversations": [human("p"), {"from": "observation", "value": "x"}, gpt("r")]}, "has a tool turn"),
        ({"messages": [user("p"), assistant("", tool_calls=[{}])]}, "messages has a tool turn or a tool call"),
        (
            {"messages": [user("p"), assistant("r", train=False)]},
            "messages has an answer marked as not to be trained on",
        ),
        ({"messages": [user([{"type": "input_audio"}]), assistant("r")]}, "content in parts of 'input_audio'"),
        ({"conversation": [{"input": "p", "output": "r"}]}, "role None, content NoneType"),
        (
            {"messages": [{"role": "narrator" * 9999, "content": "p"}]},
            "has a turn that is not text of a system, user or",
        ),
        ({f"column {number}" * 9: "x" for number in range(99)}, "no answer to read: columns column 0"),
        ({"instruction": {"0": "i"}, "output": {"0": "o"}}, "output has a turn that is not text"),
        ({"messages": [user("p"), assistant("r")], "kto_tag": False}, "labelled as unwanted"),
        ({"prompt": "p", "completion": "c", "label": "False"}, "labelled as unwanted"),
        ({"prompt": "p", "completion": b"c"}, "completion is neither text nor a list of {role, content}"),
    ],
)
def test_what_would_be_learnt_wrongly_is_refused_in_one_line(row: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UserError) as raised:
        exchange(row, "responses", "set.jsonl:1")
    assert str(raised.value).startswith("set.jsonl:1: ")
    assert complaint in str(raised.value)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 600


SAID = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).map("x{}".format)


@given(st.lists(st.tuples(SAID, SAID), min_size=1, max_size=4), st.one_of(st.none(), SAID))
def test_one_conversation_is_the_same_in_every_form(talk: list[tuple[str, str]], lead: str | None) -> None:
    turns = [turn for asked, said in talk for turn in (user(asked), assistant(said))]
    first = [system(lead)] if lead else []
    shared = [{"from": turn["role"], "value": turn["content"]} for turn in turns]
    parts = [{**turn, "content": [{"type": "text", "text": turn["content"]}]} for turn in turns]
    led = {"system": lead} if lead else {}
    *earlier, (request, answer) = talk
    forms: list[dict[str, Any]] = [
        {"messages": [*first, *turns]},
        {"messages": json.dumps([*first, *turns])},
        {"messages": turns, **led},
        {"conversations": shared, **led},
        {"messages": [*first, *parts]},
        {"prompt": [*first, *turns[:-1]], "completion": turns[-1:]},
        {"instruction": request, "history": [list(pair) for pair in earlier], "output": answer, **led},
    ]
    expected = exchange(forms[0], "responses", "set:1")
    assert [exchange(form, "responses", "set:1") for form in forms] == [expected] * len(forms)


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.binary(max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["role", "content", "from", "value", "text"]), inner, max_size=3),
    ),
    max_leaves=8,
)
COLUMNS = ["prompt", "instruction", "input", "context", "system", "history", "messages", "conversations", "tools"]


@given(st.dictionaries(st.sampled_from([*COLUMNS, "output", "completion", "chosen", "rejected"]), VALUES, max_size=5))
def test_whatever_a_row_holds_it_is_read_or_refused(row: dict[str, Any]) -> None:
    for kind in ("responses", "pairs"):
        try:
            exchange(row, kind, "set:1")
        except UserError as error:
            assert str(error).startswith("set:1: ")

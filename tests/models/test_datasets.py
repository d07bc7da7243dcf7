import gzip
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from harness.engine.store import Store
from harness.errors import UserError
from harness.files import file_digest
from harness.models import hub as hub_module
from harness.models.datasets import _unseen, data_fingerprint, read_data
from harness.models.row_layouts import RowKind
from harness.records import Message, PreferencePair, Prompt, Response
from harness.steps.data import DataRole, data
from tests.hub_server import COMMIT, HubServer, serving, use_hub
from tests.steps.given import made

NAME = "maker/talks"
Row = Mapping[str, Any]


def turns(*contents: str, system: str = "") -> list[dict[str, str]]:
    """A conversation that the user begins, as data sets have it."""
    spoken = [{"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(contents)]
    return [*([{"role": "system", "content": system}] if system else []), *spoken]


def lines(path: Path, *rows: Any) -> str:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return str(path)


def only(reference: str, kind: RowKind = "responses", split: str = "") -> Any:
    (row,) = read_data(reference, split, kind, 1)
    return row


@pytest.mark.parametrize(
    ("row", "read"),
    [
        ({"prompt": "ask", "response": "say"}, ("ask", (), "say")),
        ({"instruction": "ask", "output": "say", "prompt": None}, ("ask", (), "say")),
        ({"prompt": "ask", "chosen": "say", "rejected": "no"}, ("ask", (), "say")),
        ({"messages": turns("ask", "say")}, ("ask", (), "say")),
        ({"prompt": "a", "messages": turns("a", "b", "ask", "say")}, ("ask", ("user a", "assistant b"), "say")),
        ({"messages": turns("ask", "say", system="be kind")}, ("ask", ("system be kind",), "say")),
        ({"chosen": turns("a", "b", "ask", "say"), "rejected": turns("a", "b", "ask", "no")},
         ("ask", ("user a", "assistant b"), "say")),
    ],
)  # fmt: skip
def test_a_response_is_read_from_its_columns(tmp_path: Path, row: Row, read: tuple[Any, ...]) -> None:
    found = only(lines(tmp_path / "set.jsonl", row))
    history = tuple(f"{turn.role} {turn.content}" for turn in found.prompt.history)
    assert (found.prompt.text, history, found.text) == read
    assert found.writer == "set"


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "ask", "chosen": "yes", "rejected": "no"},
        {"prompt": "not looked at", "chosen": turns("ask", "yes"), "rejected": turns("ask", "no")},
    ],
)
def test_a_pair_is_read_from_its_columns(tmp_path: Path, row: Row) -> None:
    found = only(lines(tmp_path / "set.jsonl", row), "pairs")
    assert (found.prompt.text, found.prompt.history, found.chosen, found.rejected) == ("ask", (), "yes", "no")


def test_a_rejected_answer_may_be_empty(tmp_path: Path) -> None:
    reference = lines(tmp_path / "set.jsonl", {"prompt": "ask", "chosen": "yes", "rejected": ""})
    assert only(reference, "pairs").rejected == ""


def test_the_first_turns_of_a_pair_are_its_history(tmp_path: Path) -> None:
    row = {"chosen": turns("a", "b", "ask", "yes"), "rejected": turns("a", "b", "ask", "no")}
    found: PreferencePair = only(lines(tmp_path / "set.jsonl", row), "pairs")
    assert found.prompt.history == (Message("user", "a"), Message("assistant", "b"))


@pytest.mark.parametrize("ending", ["jsonl", "json", "parquet"])
def test_every_format_gives_the_same_rows(tmp_path: Path, ending: str) -> None:
    rows = [{"messages": turns("one", "1")}, {"messages": turns("a", "b", "two", "2\u2028\n")}]
    path = tmp_path / f"set.{ending}"
    if ending == "parquet":
        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    elif ending == "json":
        path.write_text(json.dumps(rows))
    else:
        path.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\r\n" for row in rows), newline="")
    found = list(read_data(str(path), "", "responses", 2))
    assert [(row.prompt.text, len(row.prompt.history), row.text) for row in found] == [  # type: ignore[union-attr]
        ("one", 0, "1"),
        ("two", 2, "2\u2028\n"),
    ]
    assert data_fingerprint(str(path)) == file_digest(path)


def test_ids_and_writers_are_the_row_s_own_where_it_has_them(tmp_path: Path) -> None:
    row = {"prompt": "ask", "output": "say", "generator": "gpt", "prompt_id": "p1"}
    assert only(lines(tmp_path / "set.jsonl", row)) == Response(Prompt("p1", "ask"), "say", "gpt")
    assert only(lines(tmp_path / "set.jsonl", {**row, "id": 7})).prompt.id == "7"


def test_rows_that_all_ask_the_same_are_numbered(tmp_path: Path) -> None:
    reference = lines(tmp_path / "set.jsonl", *([{"prompt": "ask", "output": "say"}] * 500))
    first, *others = (row.prompt.id for row in read_data(reference, "", "responses", 500))
    assert others == [f"{first}-{number}" for number in range(2, 501)]


def test_a_compressed_file_is_called_as_if_it_were_not(tmp_path: Path) -> None:
    path = tmp_path / "set.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"prompt": "ask", "output": "say"}\n', mtime=0))
    assert only(str(path)).writer == "set"


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.sampled_from([None, "1", "1-2"])), max_size=12))
def test_ids_are_distinct_and_do_not_depend_on_what_follows(
    tmp_path_factory: pytest.TempPathFactory, rows: Sequence[tuple[str, str | None]]
) -> None:
    written = [{"prompt": prompt, "output": "say", **({"id": id} if id else {})} for prompt, id in rows]
    reference = lines(tmp_path_factory.mktemp("ids") / "set.jsonl", *written)
    ids = [row.prompt.id for row in read_data(reference, "", "responses", len(rows))]
    assert len(set(ids)) == len(rows)
    half = [row.prompt.id for row in read_data(reference, "", "responses", len(rows) // 2)]
    assert half == ids[: len(rows) // 2]


def test_the_same_request_with_another_history_is_another_prompt(tmp_path: Path) -> None:
    alone, later = {"messages": turns("ask", "say")}, {"messages": turns("a", "b", "ask", "say")}
    reference = lines(tmp_path / "set.jsonl", alone, later, alone)
    first, second, third = (row.prompt.id for row in read_data(reference, "", "responses", 3))
    assert third == f"{first}-2" and second not in (first, third)


@pytest.mark.parametrize(
    ("row", "kind", "complaint"),
    [
        (
            {"text": "x", "label": 1},
            "responses",
            "no answer to read: columns text, label; wanted prompt or instruction",
        ),
        ({"prompt": "a", "output": None}, "responses", "no answer to read: columns prompt, output; wanted"),
        ({"prompt": "a", "response": "b"}, "pairs", "columns prompt, response; wanted chosen and rejected"),
        ({"prompt": "a", "chosen": "b", "rejected": None}, "pairs", "wanted chosen and rejected"),
        ({}, "responses", "columns none"),
        ({"prompt": "a", "output": " \n"}, "responses", "no text in output; give it one, or remove the row"),
        ({"prompt": "a", "chosen": "", "rejected": "b"}, "pairs", "no text in chosen"),
        ({"output": "b"}, "responses", "no text in prompt or instruction"),
        ({"prompt": 3, "output": "b"}, "responses", "no text in prompt or instruction"),
        ({"prompt": "a", "output": 4}, "responses", r"output is neither text nor a list of \{role, content\}"),
        (["a", "b"], "responses", "not an object with columns"),
        ("a", "responses", "not an object with columns"),
        ({"messages": []}, "responses", "messages does not end with a user's turn and an answer to it"),
        ({"messages": turns("a", "b", "c")}, "responses", "messages does not end with a user's turn and an answer"),
        ({"messages": turns("a", "")}, "responses", "no text in messages"),
        ({"messages": turns("", "b")}, "responses", "no text in the request in messages"),
        ({"messages": [{"role": "narrator", "content": "a"}]}, "responses", "role 'narrator', content str"),
        ({"messages": turns("a", "b"), "id": {"a": 1}}, "responses", "id is not a name or number"),
        ({"prompt": "a", "output": "b", "id": "\ud83d"}, "responses", "id is not a name or number"),
        ({"prompt": "a", "output": "b", "generator": "\ud83d"}, "responses", "generator is not a name or number"),
        (
            {"prompt": "\udc00", "output": "b"},
            "responses",
            "a text contains half of a surrogate pair; write the whole character",
        ),
        ({"messages": turns("a", "\ud83d", "c", "d")}, "responses", "a text contains half of a surrogate pair"),
        ({"prompt": "a", "chosen": "b", "rejected": "\ud83d"}, "pairs", "a text contains half of a surrogate pair"),
        ({"prompt": "a", "output": float("nan")}, "responses", "no answer to read: columns prompt, output"),
        ({"prompt": "a", "output": 10**400}, "responses", "output is neither text nor a list"),
        ({"messages": [{"role": "user", "content": None}]}, "responses", "role 'user', content NoneType"),
        ({"messages": ["a", "b"]}, "responses", "role None"),
        ({"chosen": turns("a", "b"), "rejected": turns("A", "b")}, "pairs", "differ before their last turn"),
    ],
)
def test_a_row_that_cannot_be_used_is_one_line_with_file_and_row(
    tmp_path: Path, row: Any, kind: RowKind, complaint: str
) -> None:
    good = {"prompt": "a", "response": "b", "chosen": "b", "rejected": "c"}
    reference = lines(tmp_path / "set.jsonl", good, row)
    with pytest.raises(UserError, match=complaint) as raised:
        list(read_data(reference, "", kind, 2))
    assert str(raised.value).startswith(f"{reference}:2: ")


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("set.txt", b"prompt,output\n", r"not \.jsonl, \.json, \.csv, \.tsv, \.parquet, \.jsonl\.gz"),
        ("set.csv", b"prompt,output\n", r"has no rows, not 2; is it the right file\?"),
        (
            "set.jsonl",
            b'{"prompt": "a", "output": "b", "id": ' + b"9" * 5000 + b"}",
            "set.jsonl:1: id is not a name or number",
        ),
        ("set.jsonl", b'{"prompt": "a", "output": "b"}\n', r"has 1 rows, not 2; ask for fewer"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line(tmp_path: Path, name: str, content: bytes, complaint: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError, match=complaint) as raised:
        list(read_data(str(path), "", "responses", 2))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("reference", ["data/set.jsonl", "nowhere.parquet", "folder"])
def test_a_file_that_is_not_there_is_one_line_and_not_looked_for_on_the_hub(reference: str) -> None:
    with pytest.raises(UserError, match=f"cannot read the data set {reference}: No such file or directory"):
        data(reference, 1)


def test_a_file_that_is_not_there_says_where_it_was_looked_for_or_what_makes_it(tmp_path: Path) -> None:
    for reference, mend in {
        "mine.jsonl": "; a relative path starts at the current folder",
        "data/small/teacher.jsonl": "; `harness data split` makes it, of AlpacaEval's outputs (docs/small.md)",
        str(tmp_path / "mine.jsonl"): "",
    }.items():
        with pytest.raises(UserError) as raised:
            data(reference, 1)
        assert str(raised.value) == f"cannot read the data set {reference}: No such file or directory{mend}"


def test_a_row_that_no_file_can_hold_ends_the_step_with_its_line(tmp_path: Path, store: Store) -> None:
    reference = lines(tmp_path / "set.jsonl", {"prompt": "a", "output": "b"}, {"prompt": "a", "output": "half \ud83d"})
    with pytest.raises(UserError, match=rf"^{reference}:2: a text contains half of a surrogate pair"):
        made(store, data(reference, 2))


def test_a_file_has_no_splits(tmp_path: Path) -> None:
    reference = lines(tmp_path / "set.jsonl", {"prompt": "a", "output": "b"})
    with pytest.raises(UserError, match="one file, without splits; leave out split 'train'"):
        list(read_data(reference, "train", "responses", 1))


# On the hub


@pytest.fixture
def published(tmp_path: Path) -> Path:
    folder = tmp_path / "hub" / NAME
    chats = [{"messages": turns(f"ask {n}", f"say {n}")} for n in range(5)]
    write(folder / "data" / "train_sft-00000-of-00002-3a7f.parquet", chats[:3])
    write(folder / "data" / "train_sft-00001-of-00002-90bc.parquet", chats[3:])
    write(folder / "data" / "test_sft-00000-of-00001.parquet", [{"messages": turns("ask 9", "say 9")}])
    (folder / "README.md").write_text("about")
    return folder


def write(path: Path, rows: Sequence[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)


@pytest.fixture
def hub(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with serving(tmp_path / "hub") as server:
        use_hub(monkeypatch, server.url, tmp_path / "cache")
        yield server


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Keeps this process off the hub, until the test ends."""
    from huggingface_hub import constants

    return lambda: monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def test_the_rows_of_a_split_come_from_its_files_in_order(hub: HubServer, store: Store) -> None:
    target = data(NAME, 4, split="train_sft")
    assert hub.downloads() == [], "nothing is fetched before it is needed"
    assert target.key == data(f"{NAME}@{COMMIT}", 4, split="train_sft").key
    rows = made(store, target)
    assert [row.text for row in rows.rows(Response)] == ["say 0", "say 1", "say 2", "say 3"]
    assert {row.writer for row in rows.rows(Response)} == {"talks"}
    kept = rows.json("reference.json")
    assert (kept["reference"], kept["fingerprint"]) == (f"{NAME}@{COMMIT}", COMMIT)
    assert list(kept["files"]) == [
        f"{NAME}/data/train_sft-0000{part}-of-00002-{end}.parquet" for part, end in ((0, "3a7f"), (1, "90bc"))
    ]
    assert len([path for path in hub.downloads() if "test_sft" in path or "README" in path]) == 0


def test_a_configuration_has_splits_of_its_own(hub: HubServer, tmp_path: Path) -> None:
    for folder, answer in {"easy": "simple", "hard": "difficult"}.items():
        write(tmp_path / "hub" / NAME / folder / "dev" / "0000.parquet", [{"prompt": "ask", "output": answer}])
    assert only(NAME, split="hard/dev").text == "difficult"
    with pytest.raises(UserError, match=r"unknown split of the data set maker/talks@.*: 'dev' .*easy/dev, hard/dev"):
        only(NAME, split="dev")


def test_a_split_that_there_is_not_is_one_line_with_the_nearest(hub: HubServer) -> None:
    with pytest.raises(UserError, match=r"'train_stf'; did you mean 'train_sft'\? \(known: test_sft, train_sft\)"):
        only(NAME, split="train_stf")


def test_a_bad_row_of_the_hub_is_named_by_its_file(hub: HubServer) -> None:
    with pytest.raises(UserError, match=rf"^{NAME}/data/test_sft-00000-of-00001\.parquet:1: .*wanted chosen and reje"):
        only(NAME, "pairs", split="test_sft")


def test_rows_of_the_hub_are_read_as_those_of_files(hub: HubServer, tmp_path: Path) -> None:
    """Also turns that a column of text holds as JSON."""
    rows = [{"instruction": "ask", "input": "this", "output": "say", "real": json.dumps(turns("ask", "say"))}]
    write(tmp_path / "hub" / NAME / "data" / "mine-00000-of-00001.parquet", rows)
    assert only(NAME, split="mine").prompt.text == "ask\n\nthis"
    texts = [{"chosen": json.dumps(turns("ask", "yes")), "rejected": json.dumps(turns("ask", "no"))}]
    write(tmp_path / "hub" / NAME / "data" / "pairs-00000-of-00001.parquet", texts)
    found = only(NAME, "pairs", split="pairs")
    assert (found.prompt.text, found.chosen, found.rejected) == ("ask", "yes", "no")


def test_a_data_set_without_parquet_is_one_line(hub: HubServer, tmp_path: Path) -> None:
    (tmp_path / "hub" / "maker" / "texts").mkdir()
    (tmp_path / "hub" / "maker" / "texts" / "train.csv").write_text("prompt\n")
    with pytest.raises(UserError, match="has no parquet files; save it as"):
        only("maker/texts", split="train")


def test_offline_a_fetched_split_is_there_and_another_is_not(
    hub: HubServer, store: Store, tmp_path: Path, offline: Callable[[], None]
) -> None:
    made(store, data(NAME, 5, split="train_sft"))
    asked = len(hub.requests)
    offline()
    hub_module._newest.cache_clear()
    again = made(Store(tmp_path / "another store"), data(NAME, 5, split="train_sft"))
    assert [row.text for row in again.rows(Response)] == [f"say {n}" for n in range(5)]
    with pytest.raises(UserError, match="run `harness prefetch`"):
        made(store, data(NAME, 1, split="test_sft"))
    assert len(hub.requests) == asked


def test_offline_half_a_split_is_none(hub: HubServer, store: Store, offline: Callable[[], None]) -> None:
    made(store, data(NAME, 5, split="train_sft"))
    next(hub_module.cache_folder().rglob("train_sft-00001-*")).unlink()
    offline()
    with pytest.raises(UserError, match=r"the data set maker/talks@.* not completely .* run `harness prefetch`"):
        only(f"{NAME}@{COMMIT}", split="train_sft")


@pytest.mark.parametrize(
    ("reference", "complaint"),
    [
        (f"{NAME}@{'f' * 40}", "the data set maker/talks on the hub has no revision 'ffff"),
        ("maker/nothing", "the hub has no data set maker/nothing"),
        ("maker/locked", "the data set maker/locked is gated"),
    ],
)
def test_a_data_set_that_the_hub_does_not_give_is_one_line(
    hub: HubServer, store: Store, reference: str, complaint: str
) -> None:
    hub.gated.add("maker/locked")
    with pytest.raises(UserError, match=complaint):
        made(store, data(reference, 1, split="train_sft"))


class CountedLookups(dict[str, int]):
    """Counts how often it is looked into."""

    lookups = 0

    def __contains__(self, key: object) -> bool:
        self.lookups += 1
        return super().__contains__(key)


@pytest.mark.parametrize("count", [500, 4000])
def test_equal_requests_get_their_ids_in_a_time_that_grows_as_their_number(count: int) -> None:
    seen = CountedLookups()
    ids = [_unseen(id, seen) for _ in range(count) for id in ("a", "a-2", "b")]
    assert len(set(ids)) == len(seen) == 3 * count
    assert seen.lookups <= 4 * len(ids)
    assert ids[:5] == ["a", "a-2", "b", "a-3", "a-2-2"]


ARTICLE = {"id": "a1", "title": "Red", "text": "It {is} red.", "summary": "red", "article": "other", "n": 3}


def test_a_role_can_say_what_its_rows_ask_and_which_column_answers(tmp_path: Path) -> None:
    reference = lines(tmp_path / "set.jsonl", ARTICLE)
    [row] = read_data(reference, "", "responses", 1, "TITLE: {title}\nARTICLE: {text}\nTL;DR:", "summary")
    assert row == Response(Prompt("a1", "TITLE: Red\nARTICLE: It {is} red.\nTL;DR:"), "red", "set")
    [nested] = read_data(
        lines(tmp_path / "nested.jsonl", {"info": {"post": "p"}, "completion": "c"}), "", "responses", 1, "{info[post]}"
    )
    assert (nested.prompt.text, nested.text) == ("p", "c")  # type: ignore[union-attr]


def test_a_role_can_say_what_its_pairs_ask(tmp_path: Path) -> None:
    reference = lines(tmp_path / "set.jsonl", {"prompt": "POST: p", "chosen": " good", "rejected": " bad"})
    [pair] = read_data(reference, "", "pairs", 1, "Sum up.\n\n{prompt}")
    assert isinstance(pair, PreferencePair)
    assert (pair.prompt.text, pair.chosen, pair.rejected) == ("Sum up.\n\nPOST: p", " good", " bad")


@pytest.mark.parametrize(
    ("request_", "answer", "said"),
    [
        ("{titel}", "summary", r"the data role's request cannot be filled in \(KeyError\('titel'\)\); columns .*title"),
        ("{title", "summary", "the data role's request cannot be filled in"),
        ("{title}", "sumary", "no column 'sumary', the data role's answer; columns"),
        ("{title}", "n", "response is neither text nor a list"),
        ("{title}", "", "no answer to read"),
    ],
)
def test_a_column_that_is_not_there_is_one_line(tmp_path: Path, request_: str, answer: str, said: str) -> None:
    with pytest.raises(UserError, match=rf"set.jsonl:1: .*({said})") as refused:
        list(read_data(lines(tmp_path / "set.jsonl", ARTICLE), "", "responses", 1, request_, answer))
    assert "\n" not in str(refused.value)


def test_what_a_role_does_not_say_is_no_part_of_a_key(tmp_path: Path) -> None:
    reference = lines(tmp_path / "set.jsonl", {"prompt": "a", "completion": "b"})
    plain = DataRole(reference, 1).artifact()
    assert "request" in plain.params and plain.key == DataRole(reference, 1, request="").artifact().key
    assert plain.key != DataRole(reference, 1, request="{prompt}!").artifact().key

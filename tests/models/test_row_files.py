"""Data files as other programs write them, and what is said of those that are broken: one line, with the place."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from harness.errors import UserError
from harness.models.row_files import file_rows

ROWS = [{"a": "1\u2028\x85\n", "b": "é"}, {"a": 'say "so", then', "b": "😀"}]


def read(path: Path) -> list[tuple[str, Any]]:
    return list(file_rows(path, path.name))


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "marked"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["unix", "windows"])
@pytest.mark.parametrize("name", ["set.json", "set.jsonl", "set.jsonl.gz", "set.json.gz"])
def test_one_row_a_line(tmp_path: Path, name: str, end: str, mark: bytes) -> None:
    """Blank lines are passed over, and counted, so that a place is a line of the file."""
    content = mark + end.join(["", *(json.dumps(row, ensure_ascii=False) for row in ROWS), ""]).encode()
    path = tmp_path / name
    path.write_bytes(gzip.compress(content, mtime=0) if name.endswith(".gz") else content)
    assert read(path) == [(f"{name}:2", ROWS[0]), (f"{name}:3", ROWS[1])]


@pytest.mark.parametrize("name", ["set.json", "set.jsonl"])
def test_a_list_of_rows_is_one_whatever_the_file_is_called(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("\n" + json.dumps(ROWS, indent=1), encoding="utf-8-sig")
    assert read(tmp_path / name) == [(f"{name}:1", ROWS[0]), (f"{name}:2", ROWS[1])]


@pytest.mark.parametrize(("name", "separator"), [("set.csv", ","), ("set.tsv", "\t")])
def test_a_place_in_a_table_is_the_line_where_its_row_begins(tmp_path: Path, name: str, separator: str) -> None:
    table = [["a", "b"], ['"1\n2\r\n"', "x"], [], ['"say ""so"""', '""']]
    (tmp_path / name).write_text("\r\n".join(map(separator.join, table)), encoding="utf-8-sig", newline="")
    assert read(tmp_path / name) == [
        (f"{name}:2", {"a": "1\n2\r\n", "b": "x"}),
        (f"{name}:6", {"a": 'say "so"', "b": ""}),
    ]


def test_a_cell_may_be_as_long_as_a_conversation(tmp_path: Path) -> None:
    (tmp_path / "set.csv").write_text(f"a\n{'x' * 500_000}\n")
    assert len(read(tmp_path / "set.csv")[0][1]["a"]) == 500_000


def test_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    for name in ("set.json", "set.jsonl", "set.csv", "set.tsv"):
        (tmp_path / name).write_text("\n")
        assert read(tmp_path / name) == []


def table_of(column: pyarrow.Array) -> bytes:
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.table({"a": column}), sink)
    return bytes(sink.getvalue())


INVALID_TEXT = pyarrow.Array.from_buffers(
    pyarrow.string(), 1, [None, pyarrow.py_buffer(b"\0\0\0\0\2\0\0\0"), pyarrow.py_buffer(b"\xff\xfe")]
)
FAR_FUTURE = pyarrow.array([2**62], pyarrow.timestamp("us"))


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("set.jsonl", b'{"a": 1}\n{"a"\n', "set.jsonl:2: not JSON: Expecting ':' delimiter at character 5; a"),
        ("set.jsonl", b'{"a": 1},\n', "set.jsonl:1: not JSON: Extra data at character 9; a file holds"),
        ("set.json", b'\n[{"a": 1},\n {"a"', "set.json:3: not JSON"),
        ("set.json", b'{\n "a": 1\n}', "set.json:1: not JSON"),
        ("set.jsonl", b'{"a": 1}\n{"a": "\xff"}', "set.jsonl:2: not UTF-8 text at byte 7; save it as UTF-8"),
        ("set.jsonl", '{"a": 1}\n'.encode("utf-16"), "set.jsonl:1: not UTF-8 text at byte 0; save it as UTF-8"),
        ("set.jsonl", gzip.compress(b"{}", mtime=0), "if it is compressed, end its name in .gz"),
        ("set.jsonl", b'{"a": ' + b"[" * 100_000, "set.jsonl:1: brackets nested too deep; remove the row"),
        ("set.json", b"[" * 100_000, "set.json:1: brackets nested too deep"),
        ("set.csv", b"a;b\n1;2\n", "set.csv: its columns are separated by semicolons; separate them by commas"),
        ("set.jsonl", b'{"a": {"b": 1, "b": 2}}', "set.jsonl:1: the key 'b' is there twice in one"),
        ("set.jsonl.gz", gzip.compress(b'{"a": 1}\n' * 99, mtime=0)[:-9], "set.jsonl.gz: not a whole gzip file"),
        ("set.jsonl.gz", b'{"a": 1}\n', "set.jsonl.gz: not a whole gzip file"),
        ("set.csv", b"a,b\n1,2\n3\n", "set.csv:3: 1 cells under 2 columns; put text that"),
        ("set.csv", b"a,b\n1,2,3\n", "set.csv:2: 3 cells under 2 columns"),
        ("set.csv", b"a,b,a\n1,2,3\n", "set.csv:1: two columns are called 'a'; keep one"),
        ("set.csv", b'a,b\n1,"2\n3,4\n', "set.csv:2: not a row of a table (unexpected end of data); is"),
        ("set.parquet", b"not parquet", "cannot read the data set set.parquet: "),
        ("set.parquet", table_of(INVALID_TEXT), "cannot read the data set set.parquet: 'utf-8' codec can't decode"),
        ("set.parquet", table_of(FAR_FUTURE), "cannot read the data set set.parquet: "),
        ("set.txt", b"{}", "cannot read the data set set.txt: not .jsonl, .json, .csv, .tsv, .parquet, .jsonl.gz"),
        ("set.parquet.gz", b"{}", "cannot read the data set set.parquet.gz: not .jsonl"),
    ],
)  # fmt: skip
def test_a_broken_file_is_one_line_with_the_place(tmp_path: Path, name: str, content: bytes, complaint: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as raised:
        read(tmp_path / name)
    assert complaint in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_folder_and_a_file_that_is_not_there_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "set.csv").mkdir()
    for name, complaint in (("set.csv", "Is a directory"), ("no.jsonl.gz", "No such file or directory")):
        with pytest.raises(UserError, match=f"{name}: cannot be read: {complaint}"):
            read(tmp_path / name)


def test_columns_of_parquet_that_are_called_alike_are_refused(tmp_path: Path) -> None:
    twice = pyarrow.Table.from_arrays([pyarrow.array(["1"]), pyarrow.array(["2"])], names=["a", "a"])
    parquet.write_table(twice, tmp_path / "set.parquet")
    with pytest.raises(UserError, match=r"set\.parquet: two columns are called 'a'; keep one"):
        read(tmp_path / "set.parquet")


@given(st.binary(max_size=200), st.sampled_from(["json", "jsonl", "csv", "tsv", "parquet", "jsonl.gz", "csv.gz"]))
def test_whatever_is_in_a_file_it_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, ending: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"any.{ending}"
    path.write_bytes(content)
    try:
        read(path)
    except UserError as error:
        assert "\n" not in str(error)

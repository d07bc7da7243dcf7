"""A teacher whose answers are stored: a stronger model's outputs in a file, in the place of the model."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.models.generator import Completion, Conversation, ProgressCallback, Sampling, Teacher, ignore
from harness.models.row_files import file_rows
from harness.records import from_json
from harness.texts import has_lone_surrogate

STORED = "stored:"

_REQUEST = re.compile(r"<request>(.*?)</request>", re.DOTALL)
_REQUEST_CHARACTERS = 60
"""Characters of a request that an error shows."""


@dataclass(frozen=True, slots=True)
class TeacherRow:
    """One request with the teacher's `answer` to it, and its `improvement` of another model's answer."""

    instruction: str
    answer: str
    improvement: str


class StoredTeacher(Teacher):
    """A teacher with a stored answer for a request, and a stored improvement for a refine prompt, whatever its draft.

    Sampling settings and seeds do not touch it. A refine prompt must show its request between <request> and </request>.
    """

    def __init__(self, path: Path) -> None:
        """Read the data file `path` (`harness.models.row_files`) of `TeacherRow`.

        Raises UserError where it cannot be read or a text is empty.
        """
        self.name = path.stem
        self._path = path
        rows = [_row(row, where) for where, row in file_rows(path, str(path))]
        self._rows = {row.instruction.strip(): row for row in rows}

    def complete(
        self,
        conversations: Sequence[Conversation],
        sampling: Sampling,
        seeds: Sequence[int],
        advance: ProgressCallback = ignore,
    ) -> list[Completion]:
        """Return one stored text a conversation. Raises UserError for a request that the file does not have."""
        return [Completion(self._reply(turns[-1].content), (), "stop") for turns in conversations]

    def _reply(self, message: str) -> str:
        if row := self._rows.get(message.strip()):
            return row.answer
        found = _REQUEST.search(message)
        request = found[1].strip() if found else message.strip()
        if row := self._rows.get(request):
            return row.improvement
        raise UserError(
            f"{self._path} has no row for the request {request[:_REQUEST_CHARACTERS]!r};"
            " add one, or name another teacher"
        )


def _row(value: Any, where: str) -> TeacherRow:
    row = from_json(TeacherRow, value, where)
    texts = (row.instruction, row.answer, row.improvement)
    if not all(text.strip() for text in texts):
        raise UserError(f"{where}: instruction, answer and improvement must each hold text")
    if any(map(has_lone_surrogate, texts)):
        raise UserError(
            f"{where}: a text contains half of a surrogate pair; write the whole character, or U+FFFD for it"
        )
    return row

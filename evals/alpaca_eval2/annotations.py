"""AlpacaEval's verdicts: alpaca_eval's annotations.json, and a table of preferences and lengths."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from evals.alpaca_eval2 import instruction_set
from evals.formats import fields
from evals.formats.outputs import instruction_key, instruction_of, read_model_outputs
from evals.formats.rows import PlacedRow, bare_name, read_rows, require_columns, write_json
from evals.withholding import ALLOW_MISSING_FLAG
from harness.errors import UserError
from harness.texts import format_names

DRAW = 1.5
ANNOTATION_COLUMNS = ("index", "preference", "len_1", "len_2")
REFERENCE_OUTPUTS_FLAG = "--reference-outputs"

_JUDGED_TEXTS = ("instruction", "output_1", "output_2", "generator_2")
"""Fields that rows of verdicts have beside the outputs, and a table of lengths has not."""


@dataclass(frozen=True, slots=True)
class Annotations:
    """One model's verdicts against the baseline, in ascending order of `index`, the instruction's place in the set.

    `preference` is in [1, 2]: 2 means that the model (output 2) beats the baseline (output 1) for certain, 1.5 is a
    draw. `len_1` and `len_2` are the outputs' lengths in characters. `source` names the origin in error messages.
    `judge` and `baseline` are names, "" where the origin has none, as a published table has not. `without_verdict` are
    the instructions whose row has no preference. `is_official` says whether all instructions are AlpacaEval's, each at
    its place in the official order; None where the origin has no texts. `set_size` is how many instructions the set has
    that they are numbered by, where a file of it was given.
    """

    model: str
    index: tuple[int, ...]
    preference: tuple[float, ...]
    len_1: tuple[int, ...]
    len_2: tuple[int, ...]
    source: str
    judge: str = ""
    baseline: str = ""
    without_verdict: tuple[int, ...] = ()
    is_official: bool | None = None
    set_size: int | None = None

    def __post_init__(self) -> None:
        if not len(self.index) == len(self.preference) == len(self.len_1) == len(self.len_2):
            raise ValueError("index, preference, len_1 and len_2 must have the same length")
        if any(later <= earlier for earlier, later in zip(self.index, self.index[1:], strict=False)):
            raise ValueError("index must increase strictly")

    def only(self, indices: Iterable[int]) -> "Annotations":
        """Return the verdicts on the instructions in `indices` alone."""
        selected = set(indices)
        rows = [
            row for row in zip(self.index, self.preference, self.len_1, self.len_2, strict=True) if row[0] in selected
        ]
        index, preference, len_1, len_2 = _columns(rows)
        missing = tuple(index for index in self.without_verdict if index in selected)
        return replace(self, index=index, preference=preference, len_1=len_1, len_2=len_2, without_verdict=missing)

    @property
    def n_rows(self) -> int:
        """The number of instructions that the origin has a row for, with a verdict or without."""
        return len(self.index) + len(self.without_verdict)


@dataclass(frozen=True, slots=True)
class AnnotationRow:
    """One row of alpaca_eval's annotations.json: output 1 is the baseline's, output 2 the model's.

    `preference` is in [1, 2], or None where the judge gave no verdict. `index` is the instruction's place in the set:
    alpaca_eval leaves it out and joins by row position; we write it and join by it.
    """

    index: int
    instruction: str
    dataset: str
    output_1: str
    generator_1: str
    output_2: str
    generator_2: str
    annotator: str
    preference: float | None
    raw_completion: Any = None


@dataclass(frozen=True, slots=True)
class OfficialNames:
    """The names of the baseline, the model and the judge in the official files; "" where a file does not say."""

    baseline: str = "baseline"
    model: str = "model"
    judge: str = "judge"


@dataclass(frozen=True, slots=True)
class _Verdict:
    """A verdict as it stands in a file, with the place to name when it is wrong."""

    where: str
    index: int
    preference: float
    len_1: int
    len_2: int

    @property
    def value(self) -> float:
        """The preference; 0, by which alpaca_eval once wrote a draw, is 1.5, as its win rates still read it."""
        return DRAW if self.preference == 0 else self.preference


def read_annotations(path: Path, *, reference_outputs: Path | None = None, allow_missing: bool = False) -> Annotations:
    """Read one model's stored verdicts: a table of lengths, or alpaca_eval's annotations, in any layout.

    A table has the columns index, preference, len_1, len_2. An annotation's index is its field "index"; without one it
    is the place of the instruction's text in `reference_outputs` (model outputs in the set's order) or in AlpacaEval's
    official set. With `allow_missing`, rows without a preference are `without_verdict`. A preference of 0 is a draw, as
    older annotations have it. Raises UserError for an unreadable or empty file, missing columns, duplicate indices,
    indices that the reference does not have, preferences out of [1, 2], and verdicts on several models, against several
    baselines or of several judges in one file.
    """
    rows = read_rows(path)
    reference = _read_reference(reference_outputs) if reference_outputs else None
    is_official = reference.is_official if reference else None
    if any(name in rows[0][1] for name in _JUDGED_TEXTS):
        names, keys = _names(path, rows), _instruction_keys(rows)
        indices = _indices(rows, keys, reference)
        verdicts = [_judged(row, where, index) for (where, row), index in zip(rows, indices, strict=True)]
        is_official = all(map(_is_official, indices, keys))
    else:
        _require_table(path, rows[0][1])
        names = OfficialNames("", bare_name(path), "")
        verdicts = [_of_lengths(row, where) for where, row in rows]
        for verdict in verdicts:
            _require_same(verdict.where, verdict.index, "", reference)
    _check_verdicts(verdicts, allow_missing)
    size = len(reference.keys) if reference else None
    return replace(_annotations(names, verdicts, str(path)), is_official=is_official, set_size=size)


def annotations_from_rows(rows: Sequence[AnnotationRow], source: str) -> Annotations:
    """Return the verdicts of annotation rows; rows without a preference are left out.

    Raises UserError as for a file.
    """
    verdicts = [
        _Verdict(f"{source}, row {number}", row.index, fields.to_float(row.preference), *map(len, texts))
        for number, row in enumerate(rows, start=1)
        for texts in [(row.output_1, row.output_2)]
    ]
    _check_verdicts(verdicts, allow_missing=True)
    return _annotations(OfficialNames(rows[0].generator_1, rows[0].generator_2, rows[0].annotator), verdicts, source)


def write_annotations(path: Path, rows: Sequence[AnnotationRow]) -> None:
    """Write alpaca_eval's annotations.json, with the index of each instruction added."""
    write_json(path, [asdict(row) for row in rows])


class _Reference(NamedTuple):
    """A set of instructions in order, as the keys of their texts; `origin` names it."""

    origin: str
    keys: Sequence[str]

    @property
    def is_official(self) -> bool:
        """Whether it is AlpacaEval's."""
        return tuple(self.keys) == instruction_set.OFFICIAL_INSTRUCTION_KEYS


_OFFICIAL = _Reference("AlpacaEval's official set", instruction_set.OFFICIAL_INSTRUCTION_KEYS)


def _read_reference(path: Path) -> _Reference:
    return _Reference(str(path), [instruction_key(output.instruction) for output in read_model_outputs(path)])


def _is_official(index: int, key: str) -> bool:
    keys = instruction_set.OFFICIAL_INSTRUCTION_KEYS
    return index < len(keys) and keys[index] == key


def _require_table(path: Path, row: Mapping[str, Any]) -> None:
    """Raise UserError unless a row has the columns of a table of verdicts."""
    if not any(name in row for name in ANNOTATION_COLUMNS):
        raise UserError(
            f"{path}: no verdicts: neither alpaca_eval's {', '.join((*_JUDGED_TEXTS, 'preference'))}, nor a table of "
            f"{', '.join(ANNOTATION_COLUMNS)} (has: {format_names(row)})"
        )
    require_columns(path, row, ANNOTATION_COLUMNS)


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return list(zip(*rows, strict=True)) if rows else [()] * len(ANNOTATION_COLUMNS)


def _annotations(names: OfficialNames, verdicts: Sequence[_Verdict], source: str) -> Annotations:
    """Return the verdicts in ascending order of index. Raises UserError where there is none."""
    selected = sorted((v.index, v.value, v.len_1, v.len_2) for v in verdicts if not math.isnan(v.preference))
    if not selected:
        raise UserError(f"{source}: no verdict in it; nothing can be scored")
    missing = tuple(sorted(verdict.index for verdict in verdicts if math.isnan(verdict.preference)))
    index, preference, len_1, len_2 = _columns(selected)
    return Annotations(names.model, index, preference, len_1, len_2, source, names.judge, names.baseline, missing)


def _names(path: Path, rows: Sequence[PlacedRow]) -> OfficialNames:
    def given(name: str) -> Iterator[str]:
        return (fields.name_of(row, name, where) for where, row in rows if not fields.is_none(row.get(name)))

    models = (fields.name_of(row, "generator_2", where) for where, row in rows)
    return OfficialNames(
        model=fields.only_one(models, path, "on several models", "a model"),
        judge=fields.only_one(given("annotator"), path, "of several judges", "a judge"),
        baseline=fields.only_one(given("generator_1"), path, "against several baselines", "a baseline"),
    )


def _judged(row: Mapping[str, Any], where: str, index: int) -> _Verdict:
    preference = fields.number(fields.field(row, "preference", where), where, "preference")
    return _Verdict(
        where, index, preference, *(len(fields.text(row, name, where)) for name in ("output_1", "output_2"))
    )


def _of_lengths(row: Mapping[str, Any], where: str) -> _Verdict:
    index, len_1, len_2 = (fields.index(row[name], where, name) for name in ("index", "len_1", "len_2"))
    return _Verdict(where, index, fields.number(row["preference"], where, "preference"), len_1, len_2)


def _instruction_keys(rows: Sequence[PlacedRow]) -> list[str]:
    """Return the key of each row's instruction; "" where all rows are numbered and one has no text."""
    return [
        instruction_key(instruction_of(row, where)) if "instruction" in row or "index" not in row else ""
        for where, row in rows
    ]


def _indices(rows: Sequence[PlacedRow], keys: Sequence[str], reference: _Reference | None) -> list[int]:
    """Return the instruction's index of each row: its field "index", else the place of its text in the reference."""
    numbered = ["index" in row for _, row in rows]
    if all(numbered):
        indices = [fields.index(row["index"], where) for where, row in rows]
        for (where, _), index, key in zip(rows, indices, keys, strict=True):
            _require_same(where, index, key, reference)
        return indices
    if any(numbered):
        where = rows[numbered.index(False)][0]
        raise UserError(f'{where}: no field "index", which other rows have; give it to every row or to none')
    return _places(rows, keys, reference or _OFFICIAL)


def _places(rows: Sequence[PlacedRow], keys: Sequence[str], reference: _Reference) -> list[int]:
    position = {key: place for place, key in enumerate(reference.keys)}
    if len(position) < len(reference.keys):
        raise UserError(
            f'{reference.origin}: an instruction stands there twice, so text cannot tell; give rows an "index"'
        )
    if stray := next((where for (where, _), key in zip(rows, keys, strict=True) if key not in position), None):
        raise UserError(
            f'{stray}: no field "index", and the instruction is not in {reference.origin}; `harness eval` and `harness '
            f"compare` take {REFERENCE_OUTPUTS_FLAG}, the baseline's model_outputs.json in the order of the set"
        )
    return [position[key] for key in keys]


def _require_same(where: str, index: int, key: str, reference: _Reference | None) -> None:
    """Raise UserError where the reference has no instruction at `index`, or another than the one with `key`."""
    if reference is None:
        return
    if index >= len(reference.keys):
        raise UserError(f"{where}: index {index} is not among the {len(reference.keys)} rows of {reference.origin}")
    if key and reference.keys[index] != key:
        raise UserError(
            f"{where}: the instruction is another than the one at index {index} of {reference.origin}; "
            'are they of one set? without "index", rows are joined by their text'
        )


def _check_verdicts(verdicts: Sequence[_Verdict], allow_missing: bool) -> None:
    seen: dict[int, str] = {}
    for verdict in verdicts:
        if verdict.index in seen:
            raise UserError(f"{verdict.where}: index {verdict.index} again, after {seen[verdict.index]}; keep one")
        seen[verdict.index] = verdict.where
        if math.isnan(verdict.preference):
            if not allow_missing:
                raise UserError(
                    f"{verdict.where}: no preference for index {verdict.index}; judge it again, or pass "
                    f"{ALLOW_MISSING_FLAG} to leave it out"
                )
        elif not 1 <= verdict.value <= 2:
            raise UserError(
                f"{verdict.where}: preference {verdict.preference:g} of index {verdict.index} is not in [1, 2] "
                "(1: the baseline wins, 1.5: a draw, 2: the model wins)"
            )

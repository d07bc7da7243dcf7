"""Official file formats of AlpacaEval 2.0 and Arena-Hard v0.1, read strictly and written as their own tools write them.

Whatever is wrong with a file is one `UserError` that names the file, the line or row, and what to do. Nothing here
needs more than the standard library: a verdict file is small, and reading it must not cost an import of pandas.
"""

import csv
import gzip
import hashlib
import io
import json
import math
import reprlib
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.core.errors import UserError, nearest
from harness.core.records import Prompt

DRAW = 1.5
ANNOTATION_COLUMNS = ("index", "preference", "len_1", "len_2")
CALIBRATION_COLUMNS = (
    "model",
    "index",
    "preference",
    "std_delta_len",
    "instruction_difficulty",
    "not_gamed_baseline",
)
LEADERBOARD_COLUMNS = (
    "win_rate",
    "standard_error",
    "n_wins",
    "n_wins_base",
    "n_draws",
    "n_total",
    "discrete_win_rate",
    "mode",
    "avg_length",
    "length_controlled_winrate",
    "lc_standard_error",
)
ARENA_LABELS = ("A>>B", "A>B", "A=B", "B>A", "B>>A")
ARENA_GAMES = 2
MAX_DIGITS = 15  # of an index or a length: such a number is exact as a float too

ALLOW_MISSING_FLAG = "--allow-missing"
REFERENCE_OUTPUTS_FLAG = "--reference-outputs"


# AlpacaEval


@dataclass(frozen=True, slots=True)
class Annotations:
    """One model's verdicts against the baseline, in ascending order of `index`, the instruction's place in the set.

    `preference` is in [1, 2]: 2 means that the model (output 2) beats the baseline (output 1) for certain, 1.5 is a
    draw. `len_1` and `len_2` are the outputs' lengths in characters. `source` names the origin in error messages.
    `judge` and `baseline` are names, "" where the origin has none, as a published table has not.
    """

    model: str
    index: tuple[int, ...]
    preference: tuple[float, ...]
    len_1: tuple[int, ...]
    len_2: tuple[int, ...]
    source: str
    judge: str = ""
    baseline: str = ""

    def __post_init__(self) -> None:
        if not len(self.index) == len(self.preference) == len(self.len_1) == len(self.len_2):
            raise ValueError("index, preference, len_1 and len_2 must have the same length")
        if any(later <= earlier for earlier, later in zip(self.index, self.index[1:], strict=False)):
            raise ValueError("index must increase strictly")

    def only(self, indices: Iterable[int]) -> "Annotations":
        """The verdicts on the instructions in `indices` alone."""
        kept = set(indices)
        rows = [row for row in zip(self.index, self.preference, self.len_1, self.len_2, strict=True) if row[0] in kept]
        return _from_columns(_Names(self.model, self.judge, self.baseline), rows, self.source)


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
class Calibration:
    """The rows of a length-control calibration (alpaca_eval's df_gamed.csv), sorted by model and index.

    They are verdicts on gamed versions of the baseline: `preference` in [0, 1] (NaN: no verdict), `std_delta_len` the
    length difference, baseline minus gamed, over its standard deviation. `instruction_difficulty` is a property of the
    index, repeated in every row. The set of `index` values is the evaluation's set of instructions.
    """

    model: tuple[str, ...]
    index: tuple[int, ...]
    preference: tuple[float, ...]
    std_delta_len: tuple[float, ...]
    instruction_difficulty: tuple[float, ...]
    not_gamed_baseline: tuple[bool, ...]
    source: str

    def difficulty(self) -> dict[int, float]:
        """Instruction difficulty by index, in ascending order of index."""
        return dict(sorted(zip(self.index, self.instruction_difficulty, strict=True)))


@dataclass(frozen=True, slots=True)
class ModelOutput:
    """One row of alpaca_eval's model_outputs.json."""

    instruction: str
    output: str
    generator: str
    dataset: str = ""


@dataclass(frozen=True, slots=True)
class _Names:
    """Whose outputs were judged, by whom, and against whose; "" where a file does not say."""

    model: str
    judge: str = ""
    baseline: str = ""


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
    """Read one model's stored verdicts: a table (.csv, .csv.gz) or alpaca_eval's annotations (.json, .json.gz).

    A table has the columns index, preference, len_1, len_2. In annotations.json the instruction's index is its field
    "index"; without one it is the place of the instruction's text in `reference_outputs` (a model_outputs.json in the
    set's order) or in AlpacaEval's official set. With `allow_missing`, rows without a preference are left out.
    A preference of 0 is a draw, as older annotations have it. Raises UserError for an unreadable or empty file, missing
    columns, duplicate indices, preferences out of [1, 2], and verdicts on several models, against several baselines or
    of several judges in one file.
    """
    suffixes = [suffix for suffix in path.suffixes if suffix != ".gz"]
    if suffixes[-1:] == [".json"]:
        names, verdicts = _json_verdicts(path, reference_outputs)
    elif suffixes[-1:] == [".csv"]:
        names, verdicts = _Names(path.name.removesuffix(".gz").removesuffix(".csv")), list(_csv_verdicts(path))
    else:
        raise UserError(f"{path}: not a kind of annotations we read; expected .csv, .csv.gz, .json or .json.gz")
    _check_verdicts(verdicts, allow_missing)
    kept = [verdict for verdict in verdicts if not math.isnan(verdict.preference)]
    if not kept:
        raise UserError(f"{path}: no verdict in it; nothing can be scored")
    rows = [(verdict.index, verdict.value, verdict.len_1, verdict.len_2) for verdict in kept]
    return _from_columns(names, sorted(rows), str(path))


def annotations_from_rows(rows: Sequence[AnnotationRow], source: str) -> Annotations:
    """The verdicts of annotation rows; rows without a preference are left out. Raises UserError as for a file."""
    verdicts = [
        _Verdict(f"{source}, row {number}", row.index, _float(row.preference), len(row.output_1), len(row.output_2))
        for number, row in enumerate(rows, start=1)
    ]
    _check_verdicts(verdicts, allow_missing=True)
    kept = [(v.index, v.value, v.len_1, v.len_2) for v in verdicts if not math.isnan(v.preference)]
    if not kept:
        raise UserError(f"{source}: no verdict in it; nothing can be scored")
    names = _Names(rows[0].generator_2, rows[0].annotator, rows[0].generator_1)
    return _from_columns(names, sorted(kept), source)


def write_annotations(path: Path, rows: Sequence[AnnotationRow]) -> None:
    """Write alpaca_eval's annotations.json, with the index of each instruction added."""
    _write_json(path, [asdict(row) for row in rows])


def read_calibration(path: Path) -> Calibration:
    """Read a length-control calibration in the columns of alpaca_eval's df_gamed.csv (.csv or .csv.gz).

    Raises UserError for missing columns, a model's index given twice, values that are no numbers, preferences out of
    [0, 1], and an instruction with two difficulties.
    """
    difficulty: dict[int, float] = {}
    rows: dict[tuple[str, int], tuple[float, float, float, bool]] = {}
    for where, row in _csv_rows(path, CALIBRATION_COLUMNS):
        index = _index(row["index"], where)
        key = (row["model"], index)
        if key in rows:
            raise UserError(f"{where}: a second row for model {key[0]!r} and index {index}; keep one")
        preference = _number(row["preference"], where, "preference")
        if not math.isnan(preference) and not 0 <= preference <= 1:
            raise UserError(f"{where}: preference {preference:g} is not in [0, 1], the range of a calibration")
        length = _finite(row["std_delta_len"], where, "std_delta_len")
        gamma = _finite(row["instruction_difficulty"], where, "instruction_difficulty")
        if difficulty.setdefault(index, gamma) != gamma:
            raise UserError(f"{where}: index {index} has difficulty {gamma} here and {difficulty[index]} above")
        if row["not_gamed_baseline"] not in ("True", "False"):
            raise UserError(f"{where}: not_gamed_baseline must be True or False, not {row['not_gamed_baseline']!r}")
        rows[key] = (preference, length, gamma, row["not_gamed_baseline"] == "True")
    if not rows:
        raise UserError(f"{path}: no rows under the header; expected a calibration such as alpaca_eval's df_gamed.csv")
    keys = sorted(rows)
    preferences, lengths, gammas, not_gamed = zip(*(rows[key] for key in keys), strict=True)
    models, indices = zip(*keys, strict=True)
    return Calibration(models, indices, preferences, lengths, gammas, not_gamed, str(path))


def write_calibration(path: Path, calibration: Calibration) -> None:
    """Write a calibration in the columns of df_gamed.csv; reading it again gives the same numbers."""
    columns = [getattr(calibration, column) for column in CALIBRATION_COLUMNS]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(CALIBRATION_COLUMNS)
        writer.writerows(zip(*columns, strict=True))


def read_model_outputs(path: Path) -> list[ModelOutput]:
    """Read alpaca_eval's model_outputs.json, in order. Raises UserError where a row lacks a text field."""
    outputs = []
    for where, row in _json_objects(path):
        fields = {name: _text(row, name, where) for name in ("instruction", "output", "generator")}
        outputs.append(ModelOutput(**fields, dataset=str(row.get("dataset") or "")))
    return outputs


def write_model_outputs(path: Path, outputs: Sequence[ModelOutput]) -> None:
    """Write alpaca_eval's model_outputs.json."""
    _write_json(path, [asdict(output) for output in outputs])


def read_leaderboard(path: Path) -> dict[str, dict[str, Any]]:
    """Read a leaderboard.csv: scores by model, each a number, a text (mode) or None where the cell is empty."""
    scores: dict[str, dict[str, Any]] = {}
    for where, row in _csv_rows(path, ("", *LEADERBOARD_COLUMNS)):
        name = row[""]
        if name in scores:
            raise UserError(f"{where}: a second row for model {name!r}; keep one")
        scores[name] = {column: _cell(row[column], column, where) for column in LEADERBOARD_COLUMNS}
    return scores


def write_leaderboard(path: Path, scores: Mapping[str, Mapping[str, Any]]) -> None:
    """Write a leaderboard.csv, best first: one row a model with the columns of `LEADERBOARD_COLUMNS`."""

    def rank(model: str) -> list[float]:
        headlines = [scores[model].get(column) for column in ("length_controlled_winrate", "win_rate")]
        return [math.inf if headline is None else -headline for headline in headlines]

    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("", *LEADERBOARD_COLUMNS))
        for model in sorted(scores, key=rank):
            writer.writerow([model, *(scores[model].get(column) for column in LEADERBOARD_COLUMNS)])


def instruction_key(instruction: str) -> str:
    """What instructions are recognised by: 12 hexadecimal digits of the SHA-256 of the text."""
    return hashlib.sha256(instruction.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def holds_half_character(text: str) -> bool:
    """Whether `text` holds half a surrogate pair alone, which JSON can and no encoding of a file can."""
    return any("\ud800" <= character <= "\udfff" for character in text)


def _from_columns(names: _Names, rows: Sequence[tuple[int, float, int, int]], source: str) -> Annotations:
    index, preference, len_1, len_2 = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Annotations(names.model, index, preference, len_1, len_2, source, names.judge, names.baseline)


def _csv_verdicts(path: Path) -> Iterator[_Verdict]:
    for where, row in _csv_rows(path, ANNOTATION_COLUMNS):
        yield _Verdict(
            where,
            _index(row["index"], where),
            _number(row["preference"], where, "preference"),
            _index(row["len_1"], where, "len_1"),
            _index(row["len_2"], where, "len_2"),
        )


def _json_verdicts(path: Path, reference_outputs: Path | None) -> tuple[_Names, list[_Verdict]]:
    objects = list(_json_objects(path))

    def given(name: str) -> Iterator[str]:
        return (_name(row, name, where) for where, row in objects if row.get(name) is not None)

    names = _Names(
        model=_only((_name(row, "generator_2", where) for where, row in objects), path, "on several models", "a model"),
        judge=_only(given("annotator"), path, "of several judges", "a judge"),
        baseline=_only(given("generator_1"), path, "against several baselines", "a baseline"),
    )
    verdicts = [
        _Verdict(
            where,
            index,
            _number(_field(row, "preference", where), where, "preference"),
            len(_text(row, "output_1", where)),
            len(_text(row, "output_2", where)),
        )
        for (where, row), index in zip(objects, _json_indices(path, objects, reference_outputs), strict=True)
    ]
    return names, verdicts


def _json_indices(
    path: Path, objects: Sequence[tuple[str, Mapping[str, Any]]], reference_outputs: Path | None
) -> list[int]:
    """The instruction's index of each row: its field "index", else the place of its text in a reference set."""
    numbered = [("index" in row) for _, row in objects]
    if all(numbered):
        return [_index(row["index"], where) for where, row in objects]
    if any(numbered):
        where = objects[numbered.index(False)][0]
        raise UserError(f'{where}: no field "index", which other rows have; give it to every row or to none')
    if reference_outputs is None:
        from evals.instruction_set import OFFICIAL_INSTRUCTION_KEYS

        keys, origin = list(OFFICIAL_INSTRUCTION_KEYS), "AlpacaEval's official set"
    else:
        keys = [instruction_key(output.instruction) for output in read_model_outputs(reference_outputs)]
        origin = str(reference_outputs)
        if len(set(keys)) < len(keys):
            raise UserError(f'{origin}: an instruction stands there twice, so text cannot tell; give rows an "index"')
    position = {key: place for place, key in enumerate(keys)}
    indices = []
    for where, row in objects:
        place = position.get(instruction_key(_text(row, "instruction", where)))
        if place is None:
            raise UserError(
                f'{where}: no field "index", and the instruction is not in {origin}; `harness eval` and `harness '
                f"compare` take {REFERENCE_OUTPUTS_FLAG}, the baseline's model_outputs.json in the order of the set"
            )
        indices.append(place)
    return indices


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


# Arena-Hard


@dataclass(frozen=True, slots=True)
class Game:
    """One verdict: `score` is one of `ARENA_LABELS`, or None where the judge's reply held no label."""

    score: str | None
    judgment: str = ""
    user_prompt: str = ""


@dataclass(frozen=True, slots=True)
class ArenaJudgment:
    """The verdicts on one question; in the first game the baseline is A, in the second the model is A."""

    question_id: str
    model: str
    judge: str
    games: tuple[Game, ...]

    def __post_init__(self) -> None:
        if len(self.games) > ARENA_GAMES:
            raise ValueError(f"question {self.question_id} has {len(self.games)} games; there are {ARENA_GAMES} orders")


@dataclass(frozen=True, slots=True)
class ArenaAnswer:
    """One model's answer to one question; `token_len` is its length in tokens where known."""

    question_id: str
    model: str
    content: str
    token_len: int | None = None


def read_judgments(path: Path) -> list[ArenaJudgment]:
    """Read Arena-Hard's model_judgment/<judge>/<model>.jsonl, in the order of the file.

    Raises UserError for an unreadable or empty file, missing fields, more than two games, unknown labels, a question
    given twice, and verdicts on several models or of several judges in one file.
    """
    judgments: list[ArenaJudgment] = []
    lines: dict[str, str] = {}
    for where, row in _json_lines(path):
        question_id = _text(row, "question_id", where)
        if question_id in lines:
            raise UserError(f"{where}: question {question_id} again, after {lines[question_id]}; keep one")
        lines[question_id] = where
        games = row.get("games")
        if not isinstance(games, list) or len(games) > ARENA_GAMES:
            raise UserError(f'{where}: "games" must be a list of at most {ARENA_GAMES} verdicts')
        model, judge = _name(row, "model", where), _name(row, "judge", where)
        judgments.append(ArenaJudgment(question_id, model, judge, tuple(_game(game, where) for game in games)))
    _only((judgment.model for judgment in judgments), path, "on several models", "a model")
    _only((judgment.judge for judgment in judgments), path, "of several judges", "a judge")
    return judgments


def write_judgments(path: Path, judgments: Sequence[ArenaJudgment]) -> None:
    """Write Arena-Hard's model_judgment jsonl."""
    _write_lines(path, [asdict(judgment) for judgment in judgments])


def read_questions(path: Path) -> list[Prompt]:
    """Read Arena-Hard's question.jsonl, in order, in the layout of v0.1 (turns) or the later one (prompt).

    Raises UserError for an unreadable or empty file, missing fields, and a question given twice.
    """
    prompts: list[Prompt] = []
    lines: dict[str, str] = {}
    for where, row in _json_lines(path):
        try:
            prompt = _question(row)
        except (KeyError, IndexError, TypeError) as error:
            raise UserError(f"{where}: not an Arena-Hard question: {type(error).__name__} at {error}") from None
        if prompt.id in lines:
            raise UserError(f"{where}: question {prompt.id} again, after {lines[prompt.id]}; keep one")
        lines[prompt.id] = where
        prompts.append(prompt)
    return prompts


def read_answers(path: Path) -> list[ArenaAnswer]:
    """Read Arena-Hard's model_answer jsonl, in the layout of v0.1 (choices, turns) or the later one (messages)."""
    answers = []
    for where, row in _json_lines(path):
        try:
            answers.append(_answer(row))
        except (KeyError, IndexError, TypeError) as error:
            raise UserError(f"{where}: not an Arena-Hard answer: {type(error).__name__} at {error}") from None
    return answers


def write_answers(path: Path, answers: Sequence[ArenaAnswer]) -> None:
    """Write Arena-Hard's v0.1 model_answer jsonl. Answer ids are hashes: the same answers give the same file."""
    rows = []
    for answer in answers:
        turn: dict[str, Any] = {"content": answer.content}
        if answer.token_len is not None:
            turn["token_len"] = answer.token_len
        digest = hashlib.sha256(json.dumps([answer.model, answer.question_id, answer.content]).encode()).hexdigest()
        rows.append(
            {
                "question_id": answer.question_id,
                "answer_id": digest[:22],
                "model_id": answer.model,
                "choices": [{"index": 0, "turns": [turn]}],
            }
        )
    _write_lines(path, rows)


def _game(game: Any, where: str) -> Game:
    if not isinstance(game, dict) or "score" not in game:
        raise UserError(f'{where}: a game without the field "score" (a label, or null where the judge gave none)')
    score = game["score"]
    if score is not None and score not in ARENA_LABELS:
        guess = nearest(score, ARENA_LABELS) if isinstance(score, str) else None
        hint = f"; did you mean {guess!r}?" if guess else ""
        raise UserError(
            f"{where}: unknown verdict {reprlib.repr(score)}{hint} (known: {', '.join(ARENA_LABELS)}, or null)"
        )
    return Game(score, str(game.get("judgment") or ""), str(game.get("user_prompt") or ""))


def _question(row: Mapping[str, Any]) -> Prompt:
    if "turns" in row:
        return Prompt(_checked(row["question_id"]), _checked(row["turns"][0]["content"]))
    return Prompt(_checked(row["uid"]), _checked(row["prompt"]))


def _answer(row: Mapping[str, Any]) -> ArenaAnswer:
    if "choices" in row:
        turn = row["choices"][0]["turns"][0]
        question_id, model, content, length = (
            row["question_id"],
            row["model_id"],
            turn["content"],
            turn.get("token_len"),
        )
    else:
        question_id, model, content, length = row["uid"], row["model"], row["messages"][-1]["content"], None
        content = content["answer"] if isinstance(content, dict) else content
    return ArenaAnswer(_checked(question_id), _checked(model), _checked(content), length)


def _checked(value: Any) -> str:
    """`value`, which must be a text. Raises TypeError."""
    if not isinstance(value, str):
        raise TypeError(f"{reprlib.repr(value)}, which should be a text")
    return value


# Reading and writing files


def _read_text(path: Path) -> str:
    """The text of a file, unpacked when its name ends in .gz. Raises UserError if that fails or nothing is in it."""
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path}: not UTF-8 text; is it compressed? then its name must end in .gz") from None
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        problem = f"not a whole gzip file ({error})" if data.startswith(_GZIP_START) else "not a gzip file"
        raise UserError(f"{path}: {problem}; fetch it again, or drop .gz from its name") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None
    if not text.strip():
        raise UserError(f"{path}: the file is empty")
    return text


def _csv_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of a table with the place of each; further columns than `columns` are allowed."""
    reader = csv.DictReader(io.StringIO(_read_text(path), newline=""))
    empty = True
    try:
        header = list(reader.fieldnames or ())
        _check_header(path, header, columns)
        for row in reader:
            empty = False
            where = f"{path}:{reader.line_num}"
            if None in row or None in row.values():
                raise UserError(f"{where}: {len(header)} cells expected; is the line cut off, or a comma unquoted?")
            yield where, row
    except csv.Error as error:
        where = f"{path}:{reader.reader.line_num}"
        raise UserError(f"{where}: not a table of comma-separated values: {error}; is a quote left open?") from None
    if empty:
        raise UserError(f"{path}: no rows under the header")


def _check_header(path: Path, header: Sequence[str], columns: Sequence[str]) -> None:
    missing = [column for column in columns if column not in header]
    if missing:
        wanted = ", ".join(column for column in columns if column)
        raise UserError(
            f"{path}: no column {', '.join(map(repr, missing))} (has: {', '.join(header)}); expected: {wanted}"
        )


def _json_objects(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a JSON array with the place of each (rows counted from 1)."""
    try:
        rows = _parsed(_read_text(path), str(path))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{error.lineno}: not JSON: {error.msg}") from None
    if not isinstance(rows, list) or not rows:
        raise UserError(f"{path}: expected a JSON array of objects, with at least one")
    for number, row in enumerate(rows, start=1):
        where = f"{path}, row {number}"
        if not isinstance(row, dict):
            raise UserError(f"{where}: not a JSON object")
        yield where, row


def _json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a file with one JSON object a line, with the place of each; empty lines are passed over."""
    for number, line in enumerate(_read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            row = _parsed(line, where)
        except json.JSONDecodeError as error:
            raise UserError(f"{where}: not JSON: {error.msg}; is the line cut off?") from None
        if not isinstance(row, dict):
            raise UserError(f"{where}: not a JSON object")
        yield where, row


def _parsed(text: str, where: str) -> Any:
    """The value of a JSON text, in which integers too long for an index are floats: Python limits an int's digits."""
    try:
        return json.loads(text, parse_int=lambda digits: int(digits) if len(digits) <= MAX_DIGITS else float(digits))
    except RecursionError:
        raise UserError(f"{where}: brackets nested too deep; expected plain objects, so write the file again") from None


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")


def _field(row: Mapping[str, Any], name: str, where: str) -> Any:
    if name not in row:
        raise UserError(f"{where}: no field {name!r} (has: {', '.join(row)})")
    return row[name]


def _text(row: Mapping[str, Any], name: str, where: str) -> str:
    value = _field(row, name, where)
    if not isinstance(value, str):
        raise UserError(f"{where}: {name} must be a text, not {reprlib.repr(value)}")
    return value


def _name(row: Mapping[str, Any], name: str, where: str) -> str:
    """A text that is going to be printed, so it must be possible to encode it."""
    value = _text(row, name, where)
    if holds_half_character(value):
        raise UserError(f"{where}: {name} holds half a character ({reprlib.repr(value)}); write the whole one")
    return value


def _only(names: Iterable[str], path: Path, several: str, each: str) -> str:
    """The one name that all verdicts of a file have, "" for no verdicts; `several` says what is wrong with more."""
    found = sorted(set(names))
    if len(found) > 1:
        shown = ", ".join(found[:5]) + (", …" if len(found) > 5 else "")
        raise UserError(f"{path}: verdicts {several} ({shown}); score one file {each}")
    return found[0] if found else ""


def _index(value: Any, where: str, name: str = "index") -> int:
    digits = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not digits.isascii() or not digits.isdigit() or len(digits) > MAX_DIGITS:
        shown = reprlib.repr(value)
        raise UserError(f"{where}: {name} must be a whole number from 0 of at most {MAX_DIGITS} digits, not {shown}")
    return int(digits)


def _number(value: Any, where: str, name: str) -> float:
    """A number, NaN where there is none (an empty cell, null, or a spelling of NaN)."""
    try:
        return _float(value)
    except (TypeError, ValueError):
        raise UserError(f"{where}: {name} must be a number, not {reprlib.repr(value)}") from None


def _float(value: Any) -> float:
    return math.nan if value is None or value == "" else float(value)


def _finite(value: str, where: str, name: str) -> float:
    number = _number(value, where, name)
    if not math.isfinite(number):
        raise UserError(f"{where}: {name} must be a finite number, not {reprlib.repr(value)}")
    return number


def _cell(value: str, column: str, where: str) -> Any:
    if not value:
        return None
    if column == "mode":
        return value
    return int(_finite(value, where, column)) if column in _COUNTS else _number(value, where, column)


_COUNTS = ("n_wins", "n_wins_base", "n_draws", "n_total", "avg_length")
_GZIP_START = b"\x1f\x8b"

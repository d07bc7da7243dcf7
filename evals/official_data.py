"""The official instructions of AlpacaEval 2.0 and Arena-Hard with a baseline's answers, and stored outputs.

They are read from a folder or from the Hugging Face hub, as the files that their authors publish: a folder may be laid
out as the data set on the hub, as a clone of the authors' repository, or hold the files side by side.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from evals.alpaca_eval2 import instruction_set
from evals.answer_files import AnswerFile, read_answer_file
from evals.arena_hard.files import read_questions
from evals.arena_hard.scores import PUBLISHED as ARENA_HARD
from evals.arena_hard_v2.scores import BASELINES
from evals.arena_hard_v2.scores import PUBLISHED as ARENA_HARD_V2
from evals.formats.outputs import instruction_key
from evals.formats.rows import FILE_KINDS
from harness.errors import UserError, unknown
from harness.models.hub import NotOnHub, newest
from harness.records import Prompt, Response, to_line
from harness.steps.question_categories import category_of

ALPACA_EVAL_HUB = "tatsu-lab/alpaca_eval"
_ALPACA_EVAL_ON_HUB = "alpaca_eval_gpt4_baseline.json"
CALIBRATION = "df_gamed.csv"
_QUESTIONS = "question.jsonl"
_ARENA_HARD_HUB = "lmarena-ai/arena-hard-auto"
_ARENA_HARD_ON_HUB = "data/arena-hard-v0.1"

# Where things are in a folder, the first found counting; {} is a model's name.
_ALPACA_EVAL_FOLDERS = (".", "alpaca_eval2", "alpaca_eval")
_ALPACA_EVAL_FILES = (_ALPACA_EVAL_ON_HUB, "baseline_gpt4_1106_preview.json", "model_outputs.json")
_ALPACA_EVAL_NAMED = ("{}.json", "model_outputs/{}.json", "{}/model_outputs.json", "results/{}/model_outputs.json")
_ARENA_HARD_FOLDERS = (".", _ARENA_HARD_ON_HUB, "arena-hard-v0.1", "arena_hard_v0.1", "arena_hard")
_ARENA_HARD_V2_ON_HUB = "data/arena-hard-v2.0"
_ARENA_HARD_V2_FOLDERS = (".", _ARENA_HARD_V2_ON_HUB, "arena-hard-v2.0", "arena_hard_v2.0", "arena_hard_v2")

_BENCHES = ("alpaca_eval2", "arena_hard", "arena_hard_v2", "pairwise", "alpaca_farm")


@dataclass(frozen=True, slots=True)
class BenchData:
    """A benchmark's instructions in their official order, answered by the baseline `name`.

    `source` says where they were read: a path, or a data set on the hub with its commit. `fingerprint` is the SHA-256
    of the rows, whatever file they came in.
    """

    responses: tuple[Response, ...]
    name: str
    source: str
    fingerprint: str


def load_baseline(bench: str, source: str | None = None, baseline: str | None = None) -> BenchData:
    """Return the instructions of `bench`, answered by `baseline`: the name of a model, or a file of its outputs.

    `source` is a folder or file with the data; None is the hub. "pairwise" and "alpaca_farm" have no instructions of
    their own: they take those of a file `source`, else those of a file `baseline` without a source, of a folder with
    Arena-Hard's questions, and else AlpacaEval's. Raises UserError as the functions for the two benchmarks do.
    """
    if bench not in _BENCHES:
        raise unknown("bench with official data", bench, _BENCHES)
    if bench == "arena_hard":
        return arena_hard_baseline(source, baseline)
    if bench == "arena_hard_v2":
        return arena_hard_v2_baseline(source, baseline)
    return alpaca_eval2_baseline(source, baseline) if bench == "alpaca_eval2" else _pairwise_baseline(source, baseline)


def alpaca_eval2_baseline(source: str | None = None, baseline: str | None = None) -> BenchData:
    """Return AlpacaEval 2.0's 805 instructions, each with its place in the official order as id, answered by
    `baseline`.

    `source` is a folder or a model_outputs.json; None is the hub, which has the official baseline alone. `baseline` may
    also be a file. Rows are recognised by their instruction. Raises UserError for what cannot be read, for outputs of
    another model than `baseline`, and unless each official instruction is answered once.
    """
    path, where = _alpaca_eval_file(source, baseline)
    answers = read_answer_file("alpaca_eval2", path)
    responses = answers.join(_official_instructions(answers))
    _check_writer(path, responses[0].writer, baseline)
    return BenchData(responses, responses[0].writer, where, fingerprint(responses))


def arena_hard_baseline(source: str | None = None, baseline: str | None = None) -> BenchData:
    """Return Arena-Hard v0.1's 500 questions in the order of question.jsonl, answered by `baseline`, by default
    gpt-4-0314.

    `source` is a folder with question.jsonl and model_answer/<baseline>.jsonl; None is the hub. `baseline` may also be
    a file. Raises UserError for what cannot be read, for a baseline without a file, with the names most like it, and
    unless each question is answered once.
    """
    baseline = baseline or ARENA_HARD.baseline
    questions, where = _arena_hard_questions(source)
    answers = _arena_hard_answers(questions.parent if source is not None else None, baseline)
    prompts = read_questions(questions)
    if len(prompts) != ARENA_HARD.n_items:
        raise UserError(f"{questions}: {len(prompts)} questions; Arena-Hard v0.1 has {ARENA_HARD.n_items}")
    # As for Arena-Hard's own tools, the file's name is the model's.
    rows = read_answer_file("arena_hard", answers).join(prompts)
    responses = tuple(Response(row.prompt, row.text, answers.stem) for row in rows)
    return BenchData(responses, answers.stem, where, fingerprint(responses))


def arena_hard_v2_baseline(source: str | None = None, baseline: str | None = None) -> BenchData:
    """Return Arena-Hard v2.0's 750 questions in the order of question.jsonl, each answered by the baseline of its
    category, or all by `baseline`.

    Sources and errors are those of `arena_hard_baseline`.
    """
    questions, where = _arena_hard_questions(source, ARENA_HARD_V2.title, _ARENA_HARD_V2_ON_HUB, _ARENA_HARD_V2_FOLDERS)
    prompts = read_questions(questions)
    if len(prompts) != ARENA_HARD_V2.n_items:
        raise UserError(f"{questions}: {len(prompts)} questions; {ARENA_HARD_V2.title} has {ARENA_HARD_V2.n_items}")
    folder = questions.parent if source is not None else None
    found: dict[str, Response] = {}
    for category, usual in BASELINES.items():
        answers = _arena_hard_answers(folder, baseline or usual, _ARENA_HARD_V2_ON_HUB)
        own = [prompt for prompt in prompts if category_of(prompt.id) == category]
        rows = read_answer_file("arena_hard_v2", answers).join(own)
        found |= {row.prompt.id: Response(row.prompt, row.text, answers.stem) for row in rows}
    responses = tuple(found[prompt.id] for prompt in prompts)
    writers = dict.fromkeys(found[prompt.id].writer for prompt in prompts)
    named = [name for name in BASELINES.values() if name in writers] or list(writers)
    return BenchData(responses, ", ".join(named), where, fingerprint(responses))


def length_calibration(source: str) -> Path | None:
    """Return the official df_gamed.csv, on which AlpacaEval 2.0's length control is calibrated; None where it is not
    there.

    `source` is a folder, or a file beside it.
    """
    folder = Path(source) if Path(source).is_dir() else Path(source).parent
    return _first_file(folder, _ALPACA_EVAL_FOLDERS, (CALIBRATION,))


def fingerprint(responses: Iterable[Response]) -> str:
    """Return the SHA-256 of the rows."""
    return hashlib.sha256("".join(map(to_line, responses)).encode()).hexdigest()


def _pairwise_baseline(source: str | None, baseline: str | None) -> BenchData:
    """Load any set of answers: a file brings its own instructions, unless it knows them by a number alone."""
    path = _as_file(source if source is not None else baseline)
    if path is not None:
        instructions = read_answer_file("pairwise", path)
        if instructions.holds_prompts:
            return _file_as_baseline(instructions, baseline)
        return arena_hard_baseline(source, baseline)
    if source is not None and _first_file(Path(source), _ARENA_HARD_FOLDERS, (_QUESTIONS,)):
        return arena_hard_baseline(source, baseline)
    return alpaca_eval2_baseline(source, baseline)


def _file_as_baseline(instructions: AnswerFile, baseline: str | None) -> BenchData:
    """Return the instructions of a file, answered there or in the file `baseline`."""
    named = _as_file(baseline)
    answers = read_answer_file("pairwise", named) if named else instructions
    responses = answers.join(instructions.prompts())
    _check_writer(answers.path, responses[0].writer, baseline)
    return BenchData(responses, responses[0].writer, str(instructions.path), fingerprint(responses))


# Finding the files


def _alpaca_eval_file(source: str | None, baseline: str | None) -> tuple[Path, str]:
    """Return the file with the baseline's outputs, and what to call it."""
    path = _as_file(baseline) or _as_file(source)
    if path is None and source is not None:
        names = [pattern.format(baseline) for pattern in _ALPACA_EVAL_NAMED] if baseline else []
        path = _first_file(Path(source), _ALPACA_EVAL_FOLDERS, (*names, *_ALPACA_EVAL_FILES))
        if path is None:
            raise UserError(f"{source}: no outputs of a baseline of AlpacaEval 2.0: {' or '.join(_ALPACA_EVAL_FILES)}")
    if path is not None:
        return path, str(path)
    on_hub = newest("dataset", ALPACA_EVAL_HUB)
    return on_hub.file(_ALPACA_EVAL_ON_HUB), on_hub.source


def _arena_hard_questions(
    source: str | None,
    title: str = ARENA_HARD.title,
    place: str = _ARENA_HARD_ON_HUB,
    folders: Sequence[str] = _ARENA_HARD_FOLDERS,
) -> tuple[Path, str]:
    """Return the file with the questions, and what to call it."""
    if source is None:
        on_hub = newest("dataset", _ARENA_HARD_HUB)
        return on_hub.file(f"{place}/{_QUESTIONS}"), on_hub.source
    path = _first_file(Path(source), folders, (_QUESTIONS,))
    if path is None:
        raise UserError(f"{source}: no folder with {title}'s {_QUESTIONS} and model_answer/")
    return path, str(path.parent)


def _arena_hard_answers(folder: Path | None, baseline: str, place: str = _ARENA_HARD_ON_HUB) -> Path:
    """Return the file with the baseline's answers, in model_answer/ of `folder` or on the hub."""
    named = _as_file(baseline)
    if named is not None:
        return named
    if folder is not None:
        path = folder / "model_answer" / f"{baseline}.jsonl"
        if not path.is_file():
            raise _no_answers(baseline, str(path.parent), [other.name for other in path.parent.glob("*.jsonl")])
        return path
    on_hub, answers = newest("dataset", _ARENA_HARD_HUB), f"{place}/model_answer/"
    try:
        return on_hub.file(f"{answers}{baseline}.jsonl")
    except NotOnHub:
        names = [name.removeprefix(answers) for name in on_hub.files() if name.startswith(answers)]
        raise _no_answers(baseline, f"{_ARENA_HARD_HUB} on the hub", names) from None


def _as_file(name: str | None) -> Path | None:
    """Return the file that `name` is the path of, if it is.

    Raises UserError for the name of a file that is not there.
    """
    if name is None or Path(name).is_file():
        return Path(name) if name is not None else None
    if Path(name.removesuffix(".gz")).suffix in FILE_KINDS:
        raise UserError(f"{name}: {'a folder, not a file' if Path(name).is_dir() else 'no such file'}")
    return None


def _first_file(source: Path, folders: Sequence[str], names: Sequence[str]) -> Path | None:
    paths = (source / folder / name for folder in folders for name in names)
    return next((path for path in paths if path.is_file()), None)


def _no_answers(baseline: str, where: str, names: Iterable[str]) -> UserError:
    """Return the error for a baseline without a file, with the most similar names, upper and lower case alike."""
    models = {name.removesuffix(".jsonl").lower(): name.removesuffix(".jsonl") for name in names}
    similar = get_close_matches(baseline.lower(), models, n=3) or sorted(models)[:5]
    hint = f"; there are {', '.join(models[name] for name in similar)}" if similar else ""
    return UserError(f"no answers of the baseline {baseline!r} in {where}{hint}")


# The rows


def _official_instructions(answers: AnswerFile) -> list[Prompt]:
    """Return AlpacaEval's instructions, whose texts are in `answers`."""
    keys = instruction_set.OFFICIAL_INSTRUCTION_KEYS
    texts = {instruction_key(answer.key): answer.key for answer in answers.answers}
    missing = sum(key not in texts for key in keys)
    if missing:
        raise UserError(
            f"{answers.path}: {missing} of AlpacaEval's {len(keys)} instructions are missing; give a whole file, or "
            "compare on instructions of your own with --bench pairwise"
        )
    return [Prompt(str(place), texts[key]) for place, key in enumerate(keys)]


def _check_writer(path: Path, writer: str, baseline: str | None) -> None:
    """Raise UserError where `baseline` names a model and `path` holds the outputs of another."""
    if baseline not in (None, writer) and _as_file(baseline) is None:
        raise UserError(
            f"{path}: outputs of {writer!r}, not of {baseline!r}; pass --baseline with a file of its outputs"
        )

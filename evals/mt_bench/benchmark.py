"""MT-Bench from a checkpoint to its scores: the steps. How grades become scores: `scores`."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from evals import scoring
from evals.base import RESAMPLES, Benchmark, ItemResults, Options, Scored, Setting
from evals.mt_bench.answers import answer_two_turns, stored_answers
from evals.mt_bench.files import StoredGrade, TwoTurnAnswer, write_answers, write_grades
from evals.mt_bench.grading import Grade, GradedTurn, grade_answers
from evals.mt_bench.judgment_files import GradeFiles
from evals.mt_bench.questions import (
    BENCH,
    OFFICIAL_FINGERPRINT,
    PUBLISHED,
    TwoTurnQuestion,
    load_questions,
    question_rows,
)
from evals.mt_bench.ratings import READING_VERSION
from evals.mt_bench.scores import METRICS, Grades, TurnRating, score_grades, score_one
from evals.mt_bench.settings import GradingPrompts, category_sampling, mt_bench_settings
from evals.official_steps import OFFICIAL_DATA
from harness.engine.artifacts import Artifact, Output, step
from harness.engine.store import RECORD
from harness.errors import UserError
from harness.models.generator import Sampling
from harness.steps.data import DataRole
from harness.steps.judge import judge

ANSWERS, JUDGMENTS = "model_answer.jsonl", "model_judgment.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoTurnOptions(Options):
    """The questions: "official:mt_bench", or a data role of second turns.

    `folder` has FastChat's files in the place of the hub's. Answers have at most `max_new_tokens`, by default the 1,024
    of FastChat where the questions are its own, else as many as the scale's answers.
    """

    questions: DataRole
    folder: str = ""
    max_new_tokens: int | None = None


def is_official(options: TwoTurnOptions) -> bool:
    """Tell whether the questions are those of FastChat's files."""
    return options.questions.reference == f"{OFFICIAL_DATA}{BENCH}"


class MtBench(Benchmark[Setting]):
    """Answers of two turns, each graded by itself from 1 to 10."""

    summary = "mean of a judge's grades, 1 to 10, of answers to questions of two turns"
    source = "Zheng et al. 2023; SAPO, Tables 2, 3 and 5"
    metrics = METRICS
    Options = TwoTurnOptions
    published = PUBLISHED
    verdict_files = GradeFiles
    verdict_type = Grade
    asks_judge = True

    def questions(self, setting: Setting) -> Artifact:
        """Return `TwoTurnQuestion` rows. Raises UserError for official data that is not there or wrong."""
        return question_rows(setting.options.questions, setting.options.folder)

    def answers(self, setting: Setting, checkpoint: Artifact, seed: int) -> Artifact:
        """Return the checkpoint's `Response` rows to both turns of each question."""
        sampling = category_sampling(_sampling(setting))
        return answer_two_turns(model=checkpoint, questions=self.questions(setting), sampling=sampling, seed=seed)

    def stored(self, setting: Setting, path: Path) -> Artifact:
        """Return the answers in one of FastChat's files. Raises UserError for a file that cannot be read."""
        return stored_answers(path, self.questions(setting))

    def rows(self, setting: Setting, **given: Artifact) -> Artifact:
        """Build `Grade` rows of `outputs`."""
        return grade_answers(
            judge=setting.judge,
            prompts=grading_prompts(setting),
            questions=self.questions(setting),
            outputs=given["outputs"],
            reading=READING_VERSION,
            repeats=setting.judge_repeats,
        )

    def run(self, setting: Setting, checkpoint: Artifact, seed: int) -> Artifact:
        """Build `Grade` rows of the checkpoint's answers."""
        return self.rows(setting, outputs=self.answers(setting, checkpoint, seed))

    def score(self, setting: Setting, rows: Sequence[Artifact], name: str) -> Artifact:
        """Return the scores, with each seed's files in FastChat's formats."""
        return score_mt_bench(
            questions=self.questions(setting),
            grades=rows,
            name=name,
            judge_name=setting.judge.model,
            prompts=grading_prompts(setting),
            n_repeats=setting.judge_repeats,
            allow_missing=setting.allow_missing,
            resamples=RESAMPLES,
        )

    def compare(self, setting: Setting, better: Sequence[Artifact], worse: Sequence[Artifact]) -> Artifact:
        """Return the paired differences of the means."""
        return compare_mt_bench(better=better, worse=worse, allow_missing=setting.allow_missing, resamples=RESAMPLES)

    def results(self, scored: Sequence[Scored]) -> list[ItemResults]:
        """Return the grades by question. Raises UserError where they are of different judges or prompts."""
        sets = [rows for each in scored for rows in each.rows]
        if len({json.dumps(_judged_by(rows), sort_keys=True) for rows in sets}) > 1:
            raise UserError("these grades are of different judges or judging prompts; grade both with the same judge")
        return [grades_of(rows) for rows in sets]

    def fingerprint(self, setting: Setting) -> str:
        """Return the identity of judge, judging prompts and the reading of ratings."""
        identity = {
            "judge": asdict(setting.judge),
            "prompts": asdict(grading_prompts(setting)),
            "reading": READING_VERSION,
        }
        return sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]


BENCHMARK = MtBench()


def grading_prompts(setting: Setting) -> GradingPrompts:
    """Return how the judge is asked: by FastChat's prompts, unless it is the embedded one."""
    settings = mt_bench_settings()
    return settings.embedded if setting.judge.is_embedded else settings.official


def _sampling(setting: Setting) -> Sampling:
    """Return how answers are drawn, but for their temperature by category."""
    options: TwoTurnOptions = setting.options
    official = mt_bench_settings().sampling
    sampling = replace(official, engine=setting.sampling.engine) if is_official(options) else setting.sampling
    return replace(sampling, max_new_tokens=options.max_new_tokens or sampling.max_new_tokens)


def departure(setting: Setting, scale: str) -> str | None:
    """Describe what keeps a score from being MT-Bench's; None if nothing does. `scale` says whose questions they
    are."""
    return PUBLISHED.departure(_departures(setting, scale))


def _departures(setting: Setting, scale: str) -> Iterator[str]:
    options, named = setting.options, PUBLISHED.judges
    if not is_official(options):
        yield f"the questions are those of scale {scale}"
    elif load_questions(options.folder or None).fingerprint != OFFICIAL_FINGERPRINT:
        yield "the questions or references are not those of FastChat's files"
    if is_official(options) and options.questions.size < PUBLISHED.n_items:
        yield f"on {options.questions.size} of {PUBLISHED.n_items} questions"
    if setting.judge.model not in named:
        yield f"judged by {setting.judge.model}, not {named[0]}"
    elif setting.judge != judge(setting.judge.model):
        yield f"judged by {setting.judge}" + "".join(f" without {name}" for name in setting.judge.without)
    if options.max_new_tokens and options.max_new_tokens != mt_bench_settings().sampling.max_new_tokens:
        yield f"answers of at most {options.max_new_tokens} tokens"


# Scoring


def grades_of(rows: Artifact) -> Grades:
    """Return the grades of all repeats, as they are scored."""
    return Grades(_ratings(rows.rows(Grade)))


def _ratings(rows: Sequence[Grade]) -> list[TurnRating]:
    return [TurnRating(row.question, row.category, row.turn, row.rating) for row in rows]


def _judged_by(rows: Artifact) -> Mapping[str, Any]:
    """Return what a set of grades was asked of whom, and how it was read."""
    params = rows.json(RECORD)["params"]
    return {name: params.get(name) for name in ("judge", "prompts", "reading")}


@step(version=1)
def score_mt_bench(
    out: Output,
    *,
    questions: Artifact,
    grades: Sequence[Artifact],
    name: str,
    judge_name: str,
    prompts: GradingPrompts,
    n_repeats: int,
    allow_missing: bool,
    resamples: int,
) -> None:
    """Write `scores.json` over all training seeds, and each seed's files in FastChat's formats in `seed-<n>/`.

    A judge asked repeatedly gives one file of judgments each time. `prompts` are what it was asked with.
    """
    asked = {question.id: question for question in questions.rows(TwoTurnQuestion)}
    rules: dict[str, Any] = {"resamples": resamples, "allow_missing": allow_missing}
    counts: dict[str, Any] = {"n_questions": len(asked), "repeats": n_repeats}
    sets = [_by_repeat(artifact.rows(Grade)) for artifact in grades]
    for number, repeats in enumerate(sets):
        folder = out.folder / f"seed-{number}"
        folder.mkdir()
        _export(folder, repeats, asked, name, judge_name, prompts)
        scores = score_one(_pooled(repeats), **counts, **rules)
        out.write_json(f"seed-{number}/scores.json", scores | {"uncertainty": _uncertainty([repeats], resamples)})
    scores = score_grades(list(map(_pooled, sets)), **counts, **rules)
    out.write_json("scores.json", scores | {"uncertainty": _uncertainty(sets, resamples)})


def _by_repeat(rows: Sequence[Grade]) -> list[list[Grade]]:
    return [[row for row in rows if row.repeat == repeat] for repeat in sorted({row.repeat for row in rows})]


def _pooled(repeats: Sequence[Sequence[Grade]]) -> Grades:
    return Grades(_ratings([row for rows in repeats for row in rows]))


def _uncertainty(sets: Sequence[Sequence[Sequence[Grade]]], resamples: int) -> dict[str, Any]:
    """Return the uncertainty of grades [training seeds][repeats][answers]."""
    return scoring.uncertainty([[Grades(_ratings(rows)) for rows in repeats] for repeats in sets], resamples=resamples)


def _export(
    folder: Path,
    repeats: Sequence[Sequence[Grade]],
    questions: Mapping[str, TwoTurnQuestion],
    name: str,
    judge_name: str,
    prompts: GradingPrompts,
) -> None:
    """Write FastChat's files of one model."""
    answers = {(row.question, row.turn): row.output for row in repeats[0]} if repeats else {}
    turns = {id: (answers[id, 1], answers[id, 2]) for id in dict.fromkeys(question for question, _ in answers)}
    write_answers(folder / ANSWERS, [TwoTurnAnswer(id, name, both) for id, both in turns.items()])
    for number, rows in enumerate(repeats):
        file = JUDGMENTS if not number else f"model_judgment-{number}.jsonl"
        write_grades(
            folder / file,
            [_stored(row, questions[row.question], turns[row.question], name, judge_name, prompts) for row in rows],
        )


def _stored(
    row: Grade,
    question: TwoTurnQuestion,
    answers: tuple[str, str],
    name: str,
    judge_name: str,
    prompts: GradingPrompts,
) -> StoredGrade:
    """Return a grade as FastChat stores it, with what the judge was asked."""
    asked = GradedTurn.of_texts(question, answers, row.turn).request(prompts).messages[-1].content
    return StoredGrade(
        row.question, name, judge_name, row.turn, row.rating, row.reply, row.category, row.judge_prompt, asked
    )


@step(version=1)
def compare_mt_bench(
    out: Output, *, better: Sequence[Artifact], worse: Sequence[Artifact], allow_missing: bool, resamples: int
) -> None:
    """Write `comparison.json`: the paired differences between two methods on the same questions."""
    first, second = ([grades_of(artifact) for artifact in side] for side in (better, worse))
    scoring.write_comparison(out, first, second, METRICS, allow_missing=allow_missing, resamples=resamples)

"""Data sets: what is wrong inside each, and what training and evaluation share."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from harness.errors import UserError
from harness.preflight.check import Check
from harness.preflight.context import NotAtHand, PreflightContext, TrainingRow
from harness.records import PreferencePair, Prompt

NEAR_WORDS = 8
NEAR_SHARE = 0.7
"""An evaluation prompt is near a training prompt that has this share of its sequences of `NEAR_WORDS` words.

PaLM (Chowdhery et al. 2022, section 8) called examples contaminated by these numbers, of all training text together;
counted within one prompt, they find that prompt's copies."""


def data_checks(context: PreflightContext) -> Iterator[Check]:
    """Check each data set by itself, then each evaluation set against the training sets."""
    training: dict[str, Sequence[TrainingRow]] = {}
    benches: dict[str, Sequence[TrainingRow]] = {}
    for found, data in ((training, context.training_data()), (benches, context.evaluation_data())):
        for name, each in data.items():
            try:
                found[name] = context.rows(each)
            except NotAtHand:
                continue
            except UserError as error:
                yield Check("failure", f"rows of {name}", str(error))
    for name, rows in {**training, **benches}.items():
        yield check_rows(name, rows, is_bench=name in benches)
    for name, rows in benches.items():
        yield check_overlap(name, rows, training)


def check_rows(name: str, rows: Sequence[TrainingRow], *, is_bench: bool) -> Check:
    """Check the rows of one data set. An empty answer is a failure: it would be trained on, or judged.

    A rejected one may be empty, as some that models have written are.
    """
    what = f"rows of {name}"
    empty = sum(not (row.chosen if isinstance(row, PreferencePair) else row.text).strip() for row in rows)
    silent = sum(isinstance(row, PreferencePair) and not row.rejected.strip() for row in rows)
    asked = ("\n".join([*(turn.content for turn in row.prompt.history), row.prompt.text]) for row in rows)
    twice = len(rows) - len({tuple(prompt.casefold().split()) for prompt in asked})
    tied = sum(isinstance(row, PreferencePair) and row.chosen == row.rejected for row in rows)
    if not rows:
        return Check("failure", what, "there are none: raise its size, or --limit")
    if empty:
        return Check("failure", what, f"{empty} of {len(rows)} answers are empty: remove their rows")
    weight = "its score" if is_bench else "training"
    found = [f"{twice} repeat an earlier prompt, which weighs more in {weight}"] if twice else []
    found += [f"{tied} have the same answer chosen and rejected, which teaches nothing"] if tied else []
    found += [f"{silent} have an empty rejected answer"] if silent else []
    if found:
        return Check("warning", what, f"of {len(rows)}, {'; '.join(found)}")
    return Check("ok", what, f"{len(rows)}, none empty and none twice")


def check_overlap(name: str, rows: Sequence[TrainingRow], training: Mapping[str, Sequence[TrainingRow]]) -> Check:
    """Count the prompts of an evaluation set that stand in each training set, as they are or nearly so."""
    prompts = [row.prompt.text for row in rows]
    found = {
        role: overlap(prompts, [turn for row in each for turn in user_turns(row.prompt)])
        for role, each in training.items()
    }
    counts = ", ".join(f"{role} {same} and {near}" for role, (same, near) in found.items())
    detail = f"of {len(prompts)} prompts the same and nearly the same: {counts}"
    if any(map(any, found.values())):
        return Check("warning", f"{name} in training", f"{detail}: its score may be contaminated")
    return Check("ok", f"{name} in training", detail)


def user_turns(prompt: Prompt) -> list[str]:
    """Return what the user says in a conversation, turn by turn."""
    return [*(turn.content for turn in prompt.history if turn.role == "user"), prompt.text]


def overlap(prompts: Sequence[str], training: Sequence[str]) -> tuple[int, int]:
    """Count the evaluation `prompts` that are also in `training`, letter case and blanks apart, and those near one.

    For the near ones see `NEAR_SHARE`; prompts of fewer than `NEAR_WORDS` words are compared as wholes alone.
    """
    words = [prompt.casefold().split() for prompt in prompts]
    seen = {tuple(prompt.casefold().split()) for prompt in training}
    same = {number for number, each in enumerate(words) if tuple(each) in seen}
    parts = {number: sequences(each) for number, each in enumerate(words) if number not in same}
    holders = defaultdict(list)
    for number, sequences_of_one in parts.items():
        for part in sequences_of_one:
            holders[part].append(number)
    near: set[int] = set()
    for each in seen:
        shared = Counter(number for part in sequences(each) for number in holders.get(part, ()))
        near |= {number for number, count in shared.items() if count >= NEAR_SHARE * len(parts[number])}
    return len(same), len(near)


def sequences(words: Sequence[str]) -> set[tuple[str, ...]]:
    """Return the text's different sequences of `NEAR_WORDS` words."""
    return {tuple(words[start : start + NEAR_WORDS]) for start in range(len(words) - NEAR_WORDS + 1)}

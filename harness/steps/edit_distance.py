"""Edit distance of answers from drafts: how far an improvement departs from them (SGPO, figures 3 and 4)."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from harness.engine.artifacts import Artifact, Output, step
from harness.errors import UserError
from harness.models.hf import load_tokenizer
from harness.models.references import checkpoint_of
from harness.records import ROWS, Response, from_json

Tokenize = Callable[[str], Sequence[str] | Sequence[int]]


@dataclass(frozen=True, slots=True)
class EditDistance:
    """The insertions, deletions and substitutions that turn a prompt's baseline into its output.

    Counted in characters (Unicode code points) and in tokens; a normalised distance is divided by the length of the
    longer text and lies in [0, 1], 0 for two empty texts.
    """

    prompt_id: str
    characters: int
    characters_normalised: float
    tokens: int
    tokens_normalised: float


@step(version=1)
def edit_distance(out: Output, *, outputs: Artifact, baselines: Artifact, tokenizer: Artifact | None) -> None:
    """Write `EditDistance` rows of the `Response` rows in `outputs` from those in `baselines`, in the outputs' order.

    Joined by prompt id; prompts that only one of the two answers are counted as `missing`. Tokens are those of the
    model artifact `tokenizer`, without special tokens, or words between whitespace where it is None. Responses are
    read one at a time, so that memory does not grow with the texts. Raises UserError for a prompt answered twice.
    """
    tokenize = checkpoint_tokens(tokenizer.folder) if tokenizer else str.split
    ours, theirs = _places(outputs), _places(baselines)
    out.counts["missing"] = len(ours.keys() ^ theirs.keys())
    both = [id for id in ours if id in theirs]
    progress = out.track(len(both), "pairs")
    with (outputs.folder / ROWS).open("rb") as output_file, (baselines.folder / ROWS).open("rb") as baseline_file:

        def measured(id: str) -> EditDistance:
            progress.advance()
            return distance_between(id, _text(baseline_file, theirs[id]), _text(output_file, ours[id]), tokenize)

        out.write_rows(map(measured, both))


def distance_between(prompt_id: str, baseline: str, output: str, tokenize: Tokenize) -> EditDistance:
    """Measure the distance of two texts (Levenshtein 1966), in characters and in the tokens that `tokenize` makes."""
    from rapidfuzz.distance import Levenshtein

    characters = Levenshtein.distance(baseline, output)
    baseline_tokens, output_tokens = tokenize(baseline), tokenize(output)
    tokens = Levenshtein.distance(baseline_tokens, output_tokens)
    return EditDistance(
        prompt_id,
        characters,
        characters / max(len(baseline), len(output), 1),
        tokens,
        tokens / max(len(baseline_tokens), len(output_tokens), 1),
    )


def _places(responses: Artifact) -> dict[str, int]:
    """Return where in its file each prompt's response is: the places are kept in memory, not the texts.

    Raises UserError for a prompt answered twice.
    """
    path = responses.folder / ROWS
    places: dict[str, int] = {}
    place = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            id = from_json(Response, json.loads(line), f"{path}:{number}").prompt.id
            if id in places:
                raise UserError(f"{responses}: the prompt {id!r} is answered twice; keep one answer a prompt")
            places[id] = place
            place += len(line)
    return places


def _text(file: BinaryIO, place: int) -> str:
    file.seek(place)
    return from_json(Response, json.loads(file.readline()), file.name).text


def checkpoint_tokens(folder: Path) -> Tokenize:
    """Tell how the tokenizer of a model artifact's folder splits a text, without special tokens of its own."""
    tokenizer = load_tokenizer(checkpoint_of(folder))

    def tokenize(text: str) -> list[int]:
        ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    return tokenize

"""Edit distance of answers from drafts: how far an improvement departs from them (SGPO, figures 3 and 4)."""

import json
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from harness.engine.artifacts import Artifact, Output, step
from harness.errors import UserError
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
    with closing(_TextsOnDisk(baselines)) as baseline_texts:
        out.write_rows(_distances(out, outputs, baseline_texts, tokenize))
        out.counts["missing"] += len(baseline_texts) - out.counts["rows"]


def _distances(out: Output, outputs: Artifact, baselines: "_TextsOnDisk", tokenize: Tokenize) -> Iterator[EditDistance]:
    out.counts["missing"] = 0
    progress = out.track(len(baselines), "pairs")
    seen: set[str] = set()
    for _, output in _responses(outputs):
        id = output.prompt.id
        _require_new(id, seen, outputs)
        seen.add(id)
        if id not in baselines:
            out.counts["missing"] += 1
            continue
        yield distance_between(id, baselines[id], output.text, tokenize)
        progress.advance()


def distance_between(prompt_id: str, baseline: str, output: str, tokenize: Tokenize) -> EditDistance:
    """Measure the distance of two texts, in characters and in the tokens that `tokenize` makes of them."""
    characters = levenshtein(baseline, output)
    baseline_tokens, output_tokens = tokenize(baseline), tokenize(output)
    tokens = levenshtein(baseline_tokens, output_tokens)
    return EditDistance(
        prompt_id,
        characters,
        normalised(characters, baseline, output),
        tokens,
        normalised(tokens, baseline_tokens, output_tokens),
    )


def levenshtein(first: str | Sequence[str] | Sequence[int], second: str | Sequence[str] | Sequence[int]) -> int:
    """Count the fewest insertions, deletions and substitutions that turn `first` into `second` (Levenshtein 1966)."""
    from rapidfuzz.distance import Levenshtein

    return Levenshtein.distance(first, second)


def normalised(distance: int, first: Sequence[object], second: Sequence[object]) -> float:
    """Divide the distance by the length of the longer text, which no distance exceeds; 0 where both are empty."""
    return distance / max(len(first), len(second), 1)


class _TextsOnDisk:
    """The texts of `Response` rows by prompt id: their places in the file are kept in memory, not the texts."""

    def __init__(self, responses: Artifact) -> None:
        self._path = responses.folder / ROWS
        self._places: dict[str, int] = {}
        for place, row in _responses(responses):
            _require_new(row.prompt.id, self._places, responses)
            self._places[row.prompt.id] = place
        self._file = self._path.open("rb")

    def close(self) -> None:
        """End the reading."""
        self._file.close()

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, id: str) -> bool:
        return id in self._places

    def __getitem__(self, id: str) -> str:
        self._file.seek(self._places[id])
        return _response(self._file.readline(), str(self._path)).text


def _responses(artifact: Artifact) -> Iterator[tuple[int, Response]]:
    """Yield (place in the file, row) of each response, one at a time."""
    path = artifact.folder / ROWS
    place = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            yield place, _response(line, f"{path}:{number}")
            place += len(line)


def _response(line: bytes, where: str) -> Response:
    return from_json(Response, json.loads(line), where)


def _require_new(id: str, known: Container[str], responses: Artifact) -> None:
    if id in known:
        raise UserError(f"{responses}: the prompt {id!r} is answered twice; keep one answer a prompt")


def checkpoint_tokens(folder: Path) -> Tokenize:
    """Tell how the tokenizer of a model artifact's folder splits a text, without special tokens of its own."""
    from harness.models.hf import load_tokenizer
    from harness.models.references import checkpoint_of

    tokenizer = load_tokenizer(checkpoint_of(folder))

    def tokenize(text: str) -> list[int]:
        ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    return tokenize

"""Our numbers beside the paper's: the cell, its verdict and its footnotes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.errors import UserError
from harness.papers.exhibit import Exhibit
from harness.results.exhibits import Estimate
from harness.results.manifest import Manifest
from reports.blocks import ADDED, DASH, Measured
from reports.compare import NOT_IN_PAPER

INTERVAL = "[95 % interval]"
"""How a table's source says what stands beside a value; the terminal prints it otherwise."""

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Compared:
    """Ours, the paper's and the verdict. An `approximate` number is one that the paper's text rounds to tens."""

    score: Estimate
    published: float | None
    verdict: str
    approximate: bool = False

    @property
    def note(self) -> str:
        """A reader's note on ours, mostly empty: why it was withheld, its n/N where verdicts are missing."""
        counts = f"n/N = {n_of_asked(self.score)} verdicts" if self.score.n_missing else ""
        withheld = "withheld" if self.score.value is None and not self.score.note else self.score.note
        return "; ".join(part for part in (withheld, counts) if part)


@dataclass(frozen=True, slots=True)
class Marks:
    """The footnotes of a table: a letter for each verdict on a published number, a number for each note on a cell.

    When every published number has the same verdict, its letter stands once, in the head of the paper's columns
    (`common`); else each published number carries its own.
    """

    verdicts: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def common(self) -> str:
        """The footnote letter for the heads of the paper's columns, or nothing."""
        return "a" if len(self.verdicts) == 1 else ""

    def of_verdict(self, cell: Compared) -> str:
        """Return the footnote letter of one published number, or nothing."""
        return "" if self.common or cell.verdict == NOT_IN_PAPER else _LETTERS[self.verdicts.index(cell.verdict)]

    def of_note(self, cell: Compared) -> str:
        """Return the footnote number of one of our cells, or nothing."""
        return str(self.notes.index(cell.note) + 1) if cell.note else ""

    def footnotes(self, added: Iterable[tuple[str, str]] = ()) -> tuple[tuple[str, str], ...]:
        """Return (mark, text): verdicts by letter, notes by number, and what the `added` rows, (label, text), are."""
        numbered = [(str(number), note) for number, note in enumerate(self.notes, start=1)]
        rows = dict(added)
        ours = [
            (ADDED, f"ours, not in the paper: {f'{label}, ' if len(rows) > 1 else ''}{text}")
            for label, text in rows.items()
        ]
        return (*zip(_LETTERS, self.verdicts, strict=False), *numbered, *ours)


def marks(cells: Sequence[Compared]) -> Marks:
    """Return the footnotes that these cells need, in order of appearance."""
    verdicts = dict.fromkeys(cell.verdict for cell in cells if cell.verdict != NOT_IN_PAPER)
    return Marks(tuple(verdicts), tuple(dict.fromkeys(cell.note for cell in cells if cell.note)))


def measured(cell: Compared, decimals: int, marks: Marks) -> Measured:
    """Format the cell to the paper's number of decimals."""
    score = cell.score
    return Measured(
        ours=number(score.value, decimals),
        interval=score.ci95 and (number(score.ci95[0], decimals), number(score.ci95[1], decimals)),
        mark=marks.of_note(cell),
        paper=f"≈ {number(cell.published, 0)}" if cell.approximate else number(cell.published, decimals),
        paper_mark=marks.of_verdict(cell),
        tooltip="; ".join(part for part in _tooltip(cell) if part),
    )


def _tooltip(cell: Compared) -> tuple[str, ...]:
    n = "" if cell.score.n is None else f"n = {cell.score.n}"
    judge = f"judge {cell.score.judge}" if cell.score.judge else ""
    return cell.verdict, n, judge, cell.note


def number(value: float | None, decimals: int) -> str:
    """Format `value` with that many decimals; a dash where there is none."""
    return DASH if value is None else f"{value:.{decimals}f}"


def n_of_asked(score: Estimate) -> str:
    """Format ``802/805``: the verdicts that are there, of those asked for; nothing where that is not known."""
    return "" if score.n_asked is None else f"{score.n_asked - score.n_missing}/{score.n_asked}"


def require_one_judge(column: str, judges: Iterable[str]) -> None:
    """Raise UserError where the scores of a column come from two judges."""
    distinct = list(dict.fromkeys(judges))
    if len(distinct) > 1:
        raise UserError(
            f"column {column} mixes the judges {distinct[0] or 'none'} and {distinct[1] or 'none'}; "
            "scores of two judges cannot stand in one column: run again with one judge"
        )


def source(manifest: Manifest, exhibit: Exhibit, *about: str) -> str:
    """Say what ours rests on, in words: the scale, or the size, and what else is said `about` it; and where the paper's
    stands."""
    fast = [manifest.reduced] if manifest.reduced else []
    size = ["the paper's own size"] if exhibit.is_own_size else [f"scale {manifest.scale}", *fast]
    ours = ", ".join([*size, *filter(None, about)])
    return f"Ours: {ours}. Paper: {exhibit.label}, arXiv:{exhibit.paper.arxiv}."


def all_seeds(manifest: Manifest) -> str:
    """Format ``seeds 0, 1, 2 (mean of 3)``."""
    seeds = ", ".join(map(str, manifest.seeds))
    return f"seeds {seeds} (mean of {len(manifest.seeds)})" if len(manifest.seeds) > 1 else f"seed {seeds}"


def first_seed(manifest: Manifest) -> str:
    """Format ``seed 0 (the first of 3)``: what is shown of one training seed alone."""
    others = f" (the first of {len(manifest.seeds)})" if len(manifest.seeds) > 1 else ""
    return f"seed {manifest.seeds[0]}{others}"


def judge(manifest: Manifest, fingerprints: Iterable[str]) -> str:
    """Name the judge with what identifies it, bench by bench."""
    names = ", ".join(fingerprints)
    return f"judge {manifest.judge.name} ({names})" if names else f"judge {manifest.judge.name}"

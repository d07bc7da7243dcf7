"""Tables and figures of a judge's win rates between sets of responses."""

from dataclasses import dataclass

from harness.errors import unknown
from harness.papers.claims import EVEN
from harness.papers.exhibit import Exhibit, require_distinct
from harness.papers.paper import Number


@dataclass(frozen=True, slots=True)
class Match:
    """One set of responses against another, by the judge's win rate. `published` is None where nothing is printed.

    The sets are named as the method that makes them names them, the data role as the recipe does. `approximate` marks
    a number that the text rounds.
    """

    id: str
    label: str
    data: str
    outputs: str
    baselines: str
    method: str = ""
    """Which method makes the sets, where it is not the table's."""
    group: str = ""
    """What rows that belong together have in common, such as the data set."""
    published: float | None = None
    approximate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WinRateTable(Exhibit):
    """Judge win rates between sets of responses, on `prompts` randomly drawn prompts (all where None)."""

    decimals: int
    prompts: int | None = None
    judge: str
    method: str
    """Which method makes the sets of responses."""
    as_figure: bool = False
    """Whether the paper draws them (figures 8 and 10) instead of printing a table."""
    matches: tuple[Match, ...]

    def subject(self, id: str) -> str:
        """Return the label of one match with its group, or of an even win rate."""
        if id == EVEN:
            return "50 %"
        match = self.match(id)
        return f"{match.group}: {match.label}" if match.group else match.label

    def measure(self, bench: str, metric: str) -> str:
        """Return ``judge win rate``."""
        if (bench, metric) != ("pairwise", "win_rate"):
            raise unknown(f"measure of {self.paper.name} {self.name}", f"{bench}/{metric}", ["pairwise/win_rate"])
        return "judge win rate"

    def match(self, id: str) -> Match:
        """Return the match with an id. Raises UserError with the nearest id."""
        matches = {match.id: match for match in self.matches}
        if id in matches:
            return matches[id]
        raise unknown(f"match of {self.paper.name} {self.name}", id, [*matches, EVEN])

    def numbers(self) -> dict[str, Number]:
        """Return the numbers by the match's id."""
        printed = ((match.id, self._number(match)) for match in self.matches)
        return {id: number for id, number in printed if number}

    def number(self, model: str, id: str, bench: str, metric: str) -> Number | None:
        """Return the printed win rate, which is of all base models where the exhibit has several."""
        return Number(50, 0, (EVEN,), self.subject(EVEN)) if id == EVEN else self._number(self.match(id))

    def _number(self, match: Match) -> Number | None:
        if match.published is None:
            return None
        decimals = -1 if match.approximate else self.decimals
        return Number(match.published, decimals, (self.name, match.id), f"{self.label}: {self.subject(match.id)}")

    def check(self) -> None:
        """Raise UserError where two matches have one id."""
        require_distinct("match", [EVEN, *(match.id for match in self.matches)])

"""The names of exhibits: ``sgpo/table3``, ``sgpo/all`` for all of a paper, and bare ones such as ``table3``."""

from collections import Counter
from dataclasses import dataclass

from harness.errors import UserError, unknown
from harness.papers.folders import DEFAULT_PAPER, OWN_PAPER, papers
from harness.papers.loading import exhibit_names, load_exhibit, load_exhibits

ALL = "all"
"""In the place of an exhibit's name: all of its paper's."""


@dataclass(frozen=True, slots=True)
class ExhibitName:
    """An exhibit of a paper, or, as `ALL`, all of them."""

    paper: str
    name: str

    def __str__(self) -> str:
        return f"{self.paper}/{self.name}"


def list_names() -> list[ExhibitName]:
    """List what can be reproduced, paper by paper: each exhibit, then `ALL`."""
    return [ExhibitName(paper, name) for paper in papers() for name in (*exhibit_names(paper), ALL)]


def find_exhibit(text: str) -> ExhibitName:
    """Return what `text` names, with its paper or bare.

    A bare name is that of the one paper that has it, else of `DEFAULT_PAPER`. Raises UserError for an unknown name,
    with the nearest known one, and for a bare one that several papers have, but not that one.
    """
    named = [each for each in list_names() if text in (str(each), each.name)]
    found = named if len(named) == 1 else [each for each in named if each.paper == DEFAULT_PAPER]
    if found:
        return found[0]
    if named:
        raise UserError(f"several papers have an exhibit {text!r}; name one of {', '.join(map(str, named))}")
    prefix = text.rpartition("/")[0]
    if text in papers():
        raise UserError(f"{text} is a paper; name an exhibit of it, or {text}/{ALL} for all of them")
    besides = "" if (prefix or DEFAULT_PAPER) in papers() else f"; {OWN_PAPER}"
    raise unknown("experiment", text, map(str, list_names()) if prefix else _shortest(list_names()), besides)


def usual_seeds(text: str) -> tuple[int, int]:
    """Return the least and the most training seeds of an exhibit that `text` names, where none are asked for.

    They differ for `ALL` alone. Raises UserError as `find_exhibit` does, and for an exhibit that cannot be read.
    """
    found = find_exhibit(text)
    exhibits = load_exhibits(found.paper) if found.name == ALL else [load_exhibit(found.paper, found.name)]
    numbers = [exhibit.seeds for exhibit in exhibits] or [1]
    return min(numbers), max(numbers)


def _shortest(names: list[ExhibitName]) -> list[str]:
    """Return each name as short as it still means the same: bare, unless that means another paper's or none."""
    count = Counter(each.name for each in names)
    return [each.name if each.paper == DEFAULT_PAPER or count[each.name] == 1 else str(each) for each in names]

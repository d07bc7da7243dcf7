"""The names of exhibits: ``sgpo/table3``, ``sgpo/all`` for all of a paper, and bare ones such as ``table3``."""

import re
from collections import Counter
from dataclasses import dataclass

from harness.errors import UserError, unknown
from harness.papers.folders import DEFAULT_PAPER, OWN_PAPER, papers
from harness.papers.loading import exhibit_names, load_exhibit
from harness.papers.samples import SampleTable

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
    raise _not_there(text)


def _not_there(text: str) -> UserError:
    """Return the error for what no exhibit is called: another table or figure of a paper is no misspelt one."""
    prefix, _, name = text.rpartition("/")
    paper = prefix or DEFAULT_PAPER
    if text in papers():
        return UserError(f"{text} is a paper; name an exhibit of it, or {text}/{ALL} for all of them")
    candidates = [str(each) for each in list_names()] if prefix else _shortest(list_names())
    if paper not in papers():
        return unknown("experiment", text, candidates, f"; {OWN_PAPER}")
    if samples := _samples_with(paper, name):
        return UserError(f"{text} shows examples, drawn anew; it is part of the experiment {samples!r}")
    if name in exhibit_names(paper) or not _is_between(name, exhibit_names(paper)):
        return unknown("experiment", text, candidates)
    why = f"a table or figure without results of a run has none (known: {', '.join(candidates)})"
    return UserError(f"there is no experiment {text!r}: {why}")


def _samples_with(paper: str, name: str) -> str | None:
    """Return the exhibit with the examples of a table of the paper, such as ``table8``; None where none has them."""
    for exhibit in (load_exhibit(paper, each) for each in exhibit_names(paper)):
        groups = exhibit.groups if isinstance(exhibit, SampleTable) else ()
        if name in [group.of.lower().replace(" ", "") for group in groups]:
            return exhibit.name
    return None


def _shortest(names: list[ExhibitName]) -> list[str]:
    """Return each name as short as it still means the same: bare, unless that means another paper's or none."""
    count = Counter(each.name for each in names)
    return [each.name if each.paper == DEFAULT_PAPER or count[each.name] == 1 else str(each) for each in names]


def _is_between(name: str, names: list[str]) -> bool:
    """Return whether a table or figure has a number below the largest there is of its kind."""
    found = re.fullmatch("(table|fig)([0-9]{1,3})", name)
    alike = [known for known in names if found and re.fullmatch(f"{found[1]}[0-9]+", known)]
    largest = max((int(re.sub("[a-z]", "", known)) for known in alike), default=0)
    return found is not None and 0 < int(found[2]) < largest

"""What the judge cannot see of the answers behind a table."""

from collections.abc import Sequence
from typing import Any

from harness.papers import ScoreTable
from reports.blocks import DASH, Column, Group, Row, Table

TITLE = "Diagnostics"


def table(entries: Sequence[dict[str, Any]], exhibit: ScoreTable) -> Table | None:
    """One line for each of the run's `entries`, with a column for each of their keys; None without any."""
    names = list(dict.fromkeys(name for entry in entries for name in entry))
    if not names:
        return None
    rows = tuple(Row(tuple(shown(entry.get(name)) for name in names)) for entry in entries)
    return Table(
        columns=tuple(Column(name.replace("_", " "), number=_is_number(entries, name)) for name in names),
        groups=(Group(rows),),
        name=f"{exhibit.name}-diagnostics",
        caption=f"{exhibit.label}: the answers behind the scores",
        folded=TITLE,
    )


def _is_number(entries: Sequence[dict[str, Any]], name: str) -> bool:
    return any(isinstance(entry.get(name), int | float) for entry in entries)


def shown(value: Any) -> str:
    """A value for people: numbers to three places, text as it is, a dash for nothing."""
    if value is None:
        return DASH
    return f"{value:.3f}" if isinstance(value, float) else str(value)

"""The properties of the answers behind a table that the judge cannot see."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from harness.papers.scores import ScoreTable
from harness.results.exhibits import Diagnostics
from reports.blocks import DASH, Column, Group, Row, Table

TITLE = "Diagnostics"


def table(entries: Sequence[Diagnostics], exhibit: ScoreTable) -> Table | None:
    """Make one line for each of the run's `entries`, with a column for each field that is known; None without any."""
    if not entries:
        return None
    names = [field.name for field in fields(Diagnostics)]
    names = [name for name in names if any(getattr(entry, name) is not None for entry in entries)]
    rows = tuple(Row(tuple(_text(getattr(entry, name)) for name in names)) for entry in entries)
    return Table(
        columns=tuple(
            Column(name.replace("_", " "), number=not isinstance(getattr(entries[0], name), str)) for name in names
        ),
        groups=(Group(rows),),
        name=f"{exhibit.name}-diagnostics",
        caption=f"{exhibit.label}: the answers behind the scores",
        folded=TITLE,
    )


def _text(value: Any) -> str:
    """Format a value for people: numbers to three places, text as it is, a dash for nothing."""
    if value is None:
        return DASH
    return f"{value:.3f}" if isinstance(value, float) else str(value)

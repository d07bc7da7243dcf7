"""The pair viewer: prompts with two answers side by side and the judge's verdicts on them, as HTML that loads nothing.

What the page carries is one `<script>` of data: lines of base64, each a gzip-compressed JSON value. The first is the
index, all that the list shows; every other is a chunk, an array of texts. Prompts, answers and replies are numbered in
the order of their first use, each kept once, and the index refers to them by number. So the list is there before the
texts are unpacked, and a pair opens after one or two chunks.
"""

import base64
import gzip
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from reports.templating import TEMPLATES, templates

START = 160
"""Characters of a prompt that its row in the list shows."""

CHUNK = 1_000_000
"""Characters after which a chunk of texts is full."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two answers, with what gave it, such as a method or a baseline."""

    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judge's verdict on a pair in one order.

    `heading` says in words which answer stood first, or whose run the verdict is of. `label` is the judge's own, such
    as ``A>>B`` or ``m``. `preference` is the probability that the right answer beats the left one, where the judge
    gives one; `outcome` is the right answer's. `reply` is the judge's raw reply, or the error in place of one.
    """

    heading: str
    label: str
    preference: float | None
    outcome: Literal["win", "tie", "loss", "failed"]
    reply: str


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to one prompt, the baseline's left and the method's right.

    `id` is what a link names, so it stays the same from run to run. `facets` is what one can filter by, in this order;
    the values of each are offered in the order in which they first come. A facet named ``verdict`` is left out of the
    list's rows, which show every verdict's outcome anyway.
    """

    id: str
    facets: Mapping[str, str]
    prompt: str
    left: Side
    right: Side
    verdicts: tuple[Verdict, ...]


def viewer_html(pairs: Sequence[Pair], *, heading: str, note: str = "") -> str:
    """Render the viewer as an HTML fragment for a page that defines the colours of ``templates/colours.css``.

    Raises ValueError where two pairs have one id, an id has no UTF-8 form, or pairs differ in their facets' names.
    """
    return _render(
        "viewer.html.j2",
        heading=heading,
        note=note,
        style=_template("viewer.css"),
        script=_template("viewer.js"),
        data="\n".join(_packed(value) for value in _values(pairs)),
    )


def viewer_page(pairs: Sequence[Pair], *, title: str, heading: str, note: str = "", before: str = "") -> str:
    """Render a complete page with the viewer; `before` is trusted HTML to stand above it.

    Raises ValueError as `viewer_html`.
    """
    return _render(
        "viewer.page.html.j2", title=title, before=before, viewer=viewer_html(pairs, heading=heading, note=note)
    )


def _values(pairs: Sequence[Pair]) -> Iterator[Any]:
    """Yield the index, then every chunk of texts, each kept once and numbered in the order of first use."""
    facets = _facets(pairs)
    numbers: dict[str, int] = {}

    def number(text: str) -> int:
        return numbers.setdefault(text, len(numbers))

    entries = [_entry(pair, facets, number) for pair in pairs]
    chunks = list(_chunks(numbers))
    yield {"facets": facets, "chunks": [len(chunk) for chunk in chunks], "pairs": entries}
    yield from chunks


def _chunks(texts: Iterable[str]) -> Iterator[list[str]]:
    chunk: list[str] = []
    size = 0
    for text in texts:
        chunk.append(text)
        size += len(text)
        if size >= CHUNK:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _facets(pairs: Sequence[Pair]) -> list[str]:
    """Return the names of the facets, after checking the pairs."""
    facets = list(pairs[0].facets) if pairs else []
    seen: set[str] = set()
    for pair in pairs:
        pair.id.encode("utf-8")
        if pair.id in seen:
            raise ValueError(f"two pairs have the id {pair.id!r}")
        if pair.facets.keys() != set(facets):
            raise ValueError(f"pair {pair.id!r} has the facets {list(pair.facets)}, not {facets}")
        seen.add(pair.id)
    return facets


def _entry(pair: Pair, facets: Sequence[str], number: Callable[[str], int]) -> dict[str, Any]:
    return {
        "id": pair.id,
        "facets": [pair.facets[name] for name in facets],
        "start": " ".join(pair.prompt[: 2 * START].split())[:START],
        "prompt": number(pair.prompt),
        "left": {"label": pair.left.label, "text": number(pair.left.text)},
        "right": {"label": pair.right.label, "text": number(pair.right.text)},
        "verdicts": [
            {
                "heading": verdict.heading,
                "label": verdict.label,
                "preference": verdict.preference,
                "outcome": verdict.outcome,
                "reply": number(verdict.reply),
            }
            for verdict in pair.verdicts
        ],
    }


def _packed(value: Any) -> str:
    """Encode as JSON in ASCII, which keeps even half of a surrogate pair; the same bytes at any time."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode("ascii"), compresslevel=6, mtime=0)).decode("ascii")


def _template(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _render(template: str, **values: str) -> str:
    return templates().get_template(template).render(values)

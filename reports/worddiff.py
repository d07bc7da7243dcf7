"""The differences between two texts, word by word."""

import re
from collections.abc import Iterable, Iterator

from reports.blocks import Piece

_WORD = re.compile(r"\S+\s*")


def pieces(first: str, second: str) -> tuple[Piece, ...]:
    """Compare `second` with `first`: what is in both, what only `second` has, and, where it is missing, what `first`
    has.

    Joined without the missing ones the pieces are `second`. A longest common sequence of words counts as the same; a
    missing piece has no white space at its ends, an added one none at its end.
    """
    from rapidfuzz.distance import Indel

    before, after = _WORD.findall(first), _WORD.findall(second)
    steps = Indel.opcodes([word.rstrip() for word in before], [word.rstrip() for word in after])
    found = [Piece(second[: len(second) - len(second.lstrip())])]
    missing = added = ""
    for step in steps:
        if step.tag == "delete":
            missing += "".join(before[step.src_start : step.src_end])
        elif step.tag == "insert":
            added += "".join(after[step.dest_start : step.dest_end])
        else:
            found += [*_changed(missing, added), Piece("".join(after[step.dest_start : step.dest_end]))]
            missing = added = ""
    return tuple(_merged([*found, *_changed(missing, added)]))


def _changed(missing: str, added: str) -> list[Piece]:
    """Put what is missing before what stands in its place."""
    words = added.rstrip()
    return [Piece(missing.rstrip(), "missing"), Piece(words, "added"), Piece(added[len(words) :])]


def _merged(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Yield the pieces without empty ones, and with neighbours that are the same joined."""
    last = Piece("")
    for piece in filter(lambda piece: piece.text, pieces):
        if last.text and last.kind == piece.kind == "same":
            last = Piece(last.text + piece.text)
            continue
        if last.text:
            yield last
        last = piece
    if last.text:
        yield last

"""What differs between two texts, word by word."""

import re
from collections.abc import Iterator

from reports.blocks import Piece

_WORD = re.compile(r"\S+\s*")


def pieces(first: str, second: str) -> tuple[Piece, ...]:
    """`second` beside `first`: what is in both, what only `second` has, and, where it is missing, what only `first` has.

    Joined without the missing ones the pieces are `second`. A longest common sequence of words counts as the same; a
    missing piece has no white space at its ends, an added one none at its end.
    """
    from rapidfuzz.distance import Indel

    before, after = _WORD.findall(first), _WORD.findall(second)
    steps = Indel.opcodes([word.rstrip() for word in before], [word.rstrip() for word in after])
    found = [Piece(second[: len(second) - len(second.lstrip())])]
    for step in steps:
        ours = "".join(after[step.dest_start : step.dest_end])
        if step.tag == "delete":
            found.append(Piece("".join(before[step.src_start : step.src_end]).rstrip(), "missing"))
        elif step.tag == "insert":
            found += [Piece(ours.rstrip(), "added"), Piece(ours[len(ours.rstrip()) :])]
        else:
            found.append(Piece(ours))
    return tuple(_merged(found))


def _merged(pieces: list[Piece]) -> Iterator[Piece]:
    """Without empty pieces, and with neighbours that are the same joined."""
    kept: Piece | None = None
    for piece in pieces:
        if not piece.text:
            continue
        if kept and kept.kind == piece.kind == "same":
            kept = Piece(kept.text + piece.text)
            continue
        if kept:
            yield kept
        kept = piece
    if kept:
        yield kept

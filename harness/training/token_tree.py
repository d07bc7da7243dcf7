"""Token sequences with common beginnings, each token held once: a prompt is computed once for all its answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class TokenTree:
    """The tokens of a few sequences as a tree, in an order in which parents come first; and which of them are scored.

    A token attends to those above it: tokens of a sequence that it is part of, at its own depth or less.
    """

    ids: "NDArray[np.int32]"
    """[tokens]"""
    depths: "NDArray[np.int32]"
    """[tokens]: the position in its sequences, from 0."""
    members: "NDArray[np.int32]"
    """[tokens]: bit i is set where the token is part of sequence i."""
    places: "NDArray[np.int32]"
    """[scored]: the token that predicts each scored one."""
    targets: "NDArray[np.int32]"
    """[scored]: the ids of the scored tokens."""
    owners: "NDArray[np.int32]"
    """[scored]: the sequences that they are scored for."""

    @classmethod
    def of(cls, row: "Mapping[str, NDArray[np.int32]]") -> "TokenTree":
        """Return the tree in the columns of a row."""
        return cls(**{each.name: row[each.name] for each in fields(cls)})


def token_tree(sequences: Sequence[Sequence[int]], starts: Sequence[int]) -> TokenTree:
    """Return the tree of `sequences`, of each of which the tokens from its start on are scored, but never the first."""
    import numpy as np

    rows = [np.asarray(sequence, np.int32) for sequence in sequences]
    paths: list[NDArray[np.int32]] = []
    """Of each sequence, where its tokens are in the tree."""
    size = 0
    for row in rows:
        shared, common = _longest_beginning(row, rows, paths)
        paths.append(np.concatenate([shared, np.arange(size, size + len(row) - common, dtype=np.int32)]))
        size += len(row) - common
    ids, depths, members = (np.zeros(size, np.int32) for _ in range(3))
    for number, (row, path) in enumerate(zip(rows, paths, strict=True)):
        ids[path] = row
        depths[path] = np.arange(len(row), dtype=np.int32)
        members[path] |= 1 << number
    first = [max(start, 1) for start in starts]
    return TokenTree(
        ids,
        depths,
        members,
        places=np.concatenate([path[start - 1 : -1] for path, start in zip(paths, first, strict=True)]),
        targets=np.concatenate([row[start:] for row, start in zip(rows, first, strict=True)]),
        owners=np.repeat(
            np.arange(len(rows), dtype=np.int32),
            [max(len(row) - start, 0) for row, start in zip(rows, first, strict=True)],
        ),
    )


def _longest_beginning(
    row: "NDArray[np.int32]", rows: Sequence["NDArray[np.int32]"], paths: Sequence["NDArray[np.int32]"]
) -> "tuple[NDArray[np.int32], int]":
    """Return the places of the longest beginning that `row` has in common with a sequence before, and its length."""
    import numpy as np

    best, length = np.zeros(0, np.int32), 0
    for other, path in zip(rows, paths, strict=False):
        width = min(len(row), len(other))
        unequal = np.flatnonzero(row[:width] != other[:width])
        common = int(unequal[0]) if len(unequal) else width
        if common > length:
            best, length = path[:common], common
    return best, length

"""Rows of unlike length in lines as long as the longest: several short rows share a line, instead of padding."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor


Rule = Callable[["Tensor", Any, "Tensor", "Tensor"], "Tensor"]
"""A function of (line, head, token, other) that says whether the token attends to the other; all may be tensors."""

BESIDE_ATTENTION = 512
"""What a token costs beside attention, in tokens that it attends to: of the order of six hidden widths."""


class Lines:
    """The places of rows in lines of one width, by first fit, the longest row first."""

    def __init__(self, lengths: Sequence[int]) -> None:
        """Lay out rows of these lengths in the width, of the longest row or up to twice it, that costs least."""
        longest = max(lengths)
        layouts = [
            (width, *_first_fit(lengths, width)) for width in range(longest, 2 * longest + 1, max(1, longest // 4))
        ]
        self.width, self.count, self.starts = min(
            layouts, key=lambda each: each[0] * each[1] * (each[0] + BESIDE_ATTENTION)
        )
        """`starts`: of each row, where its first token stands, counted over all lines."""

    def filled(self, values: "Sequence[NDArray[np.int32] | Sequence[int]]", filler: int) -> "Tensor":
        """Return what each row has a token, in lines: [lines, width]."""
        import numpy as np
        import torch

        table = np.full(self.count * self.width, filler, np.int64)
        for start, each in zip(self.starts, values, strict=True):
            table[start : start + len(each)] = each
        return torch.from_numpy(table.reshape(self.count, self.width))

    def rows(self, lengths: Sequence[int]) -> "Tensor":
        """Return which row each token is of, -1 where a line is filled up: [lines, width]."""
        return self.filled([[row] * length for row, length in enumerate(lengths)], -1)


def _first_fit(lengths: Sequence[int], width: int) -> tuple[int, list[int]]:
    """Return (lines, the start of each row counted over all lines)."""
    starts, unused = [0] * len(lengths), list[int]()
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        line = next((line for line, left in enumerate(unused) if left >= lengths[row]), len(unused))
        if line == len(unused):
            unused.append(width)
        starts[row] = (line + 1) * width - unused[line]
        unused[line] -= lengths[row]
    return len(unused), starts


def attention_rule(rows: "Tensor", members: "Tensor", depths: "Tensor", window: int | None) -> Rule:
    """Return the rule that a token attends to itself, and to those of its row and one of its sequences, at its depth or
    less, and less than `window` tokens above it.

    rows, members, depths: [lines, width], as in `scoring.TreeBatch`.
    """

    def attends(line: "Tensor", _: Any, token: "Tensor", other: "Tensor") -> "Tensor":
        of_a_sequence = (members[line, token] & members[line, other]) != 0
        distance = depths[line, token] - depths[line, other]
        above = (rows[line, token] == rows[line, other]) & of_a_sequence & (distance >= 0)
        near = above if window is None else above & (distance < window)
        return near | (token == other)  # what is filled in sees something

    return attends


def attention_masks(
    rows: "Tensor", members: "Tensor", depths: "Tensor", config: Any, made: "Callable[[Rule, Tensor], Any]"
) -> Any:
    """Return the attention mask of tokens in lines that is `made` of their rule (`dense_mask`, `block_mask`).

    Where only some of the model's layers look back over a window, the result is by the names that its configuration
    gives its layers. rows, members, depths: [lines, width].
    """
    window, kinds = getattr(config, "sliding_window", None), getattr(config, "layer_types", None)
    if kinds and "sliding_attention" not in kinds:
        window = None  # a window that no layer uses
    near = made(attention_rule(rows, members, depths, window), rows)
    if "sliding_attention" in (kinds or ()):
        return {
            "full_attention": made(attention_rule(rows, members, depths, None), rows),
            "sliding_attention": near,
        }
    return near


def dense_mask(rule: Rule, lines: "Tensor", dtype: "torch.dtype") -> "Tensor":
    """Return what is added to attention scores, or, as a `dtype` of truth values, True where a token attends.

    lines: [lines, width], of which the shape and the device count; the result is [lines, 1, width, width].
    """
    import torch

    count, width = lines.shape
    line, token = torch.arange(count, device=lines.device), torch.arange(width, device=lines.device)
    allowed = rule(line[:, None, None], 0, token[None, :, None], token[None, None, :])
    if dtype == torch.bool:
        return allowed[:, None]
    added = torch.zeros(allowed.shape, dtype=dtype, device=allowed.device)
    return added.masked_fill_(~allowed, torch.finfo(dtype).min)[:, None]


def block_mask(rule: Rule, lines: "Tensor") -> Any:
    """Return the mask of flex attention (`torch.nn.attention.flex_attention.BlockMask`), for all heads alike.

    lines: [lines, width], of which the shape and the device count.
    """
    from torch.nn.attention.flex_attention import create_block_mask

    count, width = lines.shape
    return create_block_mask(rule, count, None, width, width, device=lines.device)

"""Rows of unlike length in lines as long as the longest: several short rows share a line, instead of padding."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from torch import Tensor


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
    starts, room = [0] * len(lengths), list[int]()
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        line = next((line for line, left in enumerate(room) if left >= lengths[row]), len(room))
        if line == len(room):
            room.append(width)
        starts[row] = (line + 1) * width - room[line]
        room[line] -= lengths[row]
    return len(room), starts


def attention_masks(allowed: "Tensor", depths: "Tensor", config: Any, dtype: "torch.dtype") -> Any:
    """Return the attention mask of tokens that may attend to those `allowed`, [lines, width, width], at their depth or
    less: [lines, 1, width, width], what is added to attention scores, or, as a `dtype` of truth values, True for those.

    Where layers look back over a window only, tokens further above are left out; where only some layers do, the result
    is by the names that the model's configuration gives its layers.
    """
    import torch

    distance = depths[:, :, None] - depths[:, None, :]
    itself = torch.eye(distance.shape[-1], dtype=torch.bool, device=distance.device)  # what is filled in sees something
    above = (allowed & (distance >= 0)) | itself
    window = getattr(config, "sliding_window", None)
    near = above if window is None else above & (distance < window)
    if "sliding_attention" in (getattr(config, "layer_types", None) or ()):
        return {"full_attention": _added(above, dtype), "sliding_attention": _added(near, dtype)}
    return _added(near, dtype)


def _added(allowed: "Tensor", dtype: "torch.dtype") -> "Tensor":
    import torch

    if dtype == torch.bool:
        return allowed[:, None]
    added = torch.zeros(allowed.shape, dtype=dtype, device=allowed.device)
    return added.masked_fill_(~allowed, torch.finfo(dtype).min)[:, None]

"""The split of a global batch over processes and forward passes."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from harness.engine.compute import Compute
from harness.errors import UserError

ROWS_AT_ONCE = 32
"""The most rows of a forward pass where nobody says how many: more take memory, and are no faster."""
LOGITS_AT_ONCE = 2**27
"""Logits that a forward pass holds at once: 512 MiB in single precision."""


@dataclass(frozen=True, slots=True)
class Spread:
    """The split of a global batch: `processes` × `micro_batch_size` × `accumulation` examples."""

    processes: int
    micro_batch_size: int
    accumulation: int

    @property
    def global_batch_size(self) -> int:
        """Examples per optimizer step."""
        return self.processes * self.micro_batch_size * self.accumulation


def rows_at_once(vocabulary: int, scored_tokens: int) -> int:
    """Return how many rows a forward pass takes, where nobody says how many: as many as have their logits held at once.

    `scored_tokens` are the tokens of a row that logits are needed for.
    """
    return max(1, min(ROWS_AT_ONCE, LOGITS_AT_ONCE // (vocabulary * scored_tokens)))


def spread(global_batch_size: int, compute: Compute, most_rows: int = ROWS_AT_ONCE) -> Spread:
    """Spread the global batch as `compute` says; where it does not say, one process takes at most `most_rows` at once.

    Raises UserError, with sizes that fit, where it does not divide.
    """
    processes = compute.processes
    if processes < 1 or global_batch_size % processes:
        raise UserError(
            f"a global batch of {global_batch_size} cannot be spread over {processes} processes; in the file "
            f"of the recipe's machine, set processes to {_divisors(global_batch_size)}"
        )
    share = global_batch_size // processes
    most = share if processes > 1 else most_rows  # other processes would wait
    whole = max(size for size in range(1, share + 1) if share % size == 0 and size <= most)
    micro = whole if compute.micro_batch_size is None else compute.micro_batch_size
    if micro < 1 or share % micro:
        raise UserError(
            f"micro_batch_size {micro} does not divide a process's share of the global batch, {share} of "
            f"{global_batch_size}; in the file of the recipe's machine, set it to {_divisors(share)}"
        )
    return Spread(processes, micro, share // micro)


def _divisors(number: int) -> str:
    *others, last = (str(each) for each in range(1, number + 1) if number % each == 0)
    return f"{', '.join(others)} or {last}" if others else last


def most_processes(batches: Iterable[int], compute: Compute, devices: int) -> int:
    """Choose how many training processes `devices` have room for, so that each global batch can be spread over them."""
    sizes = set(batches)
    return next((count for count in range(devices, 1, -1) if _spreads(sizes, replace(compute, processes=count))), 1)


def _spreads(batches: Iterable[int], compute: Compute) -> bool:
    try:
        return all(spread(size, compute) for size in batches)
    except UserError:
        return False


class ForwardPass(NamedTuple):
    """The rows of one forward pass of a process, and the rows of its optimizer step, over all processes."""

    rows: list[int]
    rows_of_step: int


def forward_passes(order: Sequence[int], lengths: Sequence[int], how: Spread, process: int) -> list[ForwardPass]:
    """Return the forward passes that `process` makes of an epoch in this `order`.

    Each run of `how.global_batch_size` rows of `order` is one optimizer step, however it is spread; where a step takes
    several forward passes, rows of like length go through the same one. In the last, smaller step every process makes
    equally many passes, some of them without a row.
    """
    taken: list[ForwardPass] = []
    for start in range(0, len(order), how.global_batch_size):
        batch = list(order[start : start + how.global_batch_size])
        if how.processes * how.accumulation > 1:
            batch.sort(key=lambda row: lengths[row])
        rows_per_pass = how.processes * how.micro_batch_size
        for first in range(0, len(batch), rows_per_pass):
            mine = first + process * how.micro_batch_size
            taken.append(ForwardPass(batch[mine : mine + how.micro_batch_size], len(batch)))
    return taken


class EpochBatches:
    """`forward_passes` of one process as a batch sampler, in the order that seed and epoch give."""

    def __init__(self, lengths: Sequence[int], how: Spread, process: int, seed: int) -> None:
        self._lengths, self._how, self._process, self._seed = lengths, how, process, seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Make the next iteration that of `epoch`."""
        self._epoch = epoch

    def __len__(self) -> int:
        rows, size = len(self._lengths), self._how.global_batch_size
        passes = -(-(rows % size) // (self._how.processes * self._how.micro_batch_size))
        return rows // size * self._how.accumulation + passes

    def __iter__(self) -> Iterator[ForwardPass]:
        import torch

        random = torch.Generator().manual_seed(self._seed + self._epoch)
        order = torch.randperm(len(self._lengths), generator=random).tolist()
        return iter(forward_passes(order, self._lengths, self._how, self._process))

"""The main memory of this process."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

GIB = 2**30

_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@dataclass(frozen=True, slots=True)
class MainMemory:
    """The memory of this machine in bytes; `free` includes what the system can free."""

    total: int
    free: int


def main_memory() -> MainMemory:
    """Return the bytes that this process may use: less than the machine has, inside a container."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    free = total
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = 1024 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1])
    for limit in _LIMITS:
        with suppress(OSError, ValueError):  # there is none, or it says "max"
            total = min(total, int(Path(limit).read_text()))
    return MainMemory(total, min(free, total))

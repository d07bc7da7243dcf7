"""What `harness reproduce` costs: seconds and peak memory from an empty store, and again with everything found.

    .venv/bin/python benchmarks/reproduce_cost.py table3 [--fast] [--seeds 3]

Memory is the sum over the process and its workers of the memory they do not share (unique set size), sampled twice a
second. The ratio of the two runs says what the store saves.
"""

import shutil
import subprocess
import sys
import tempfile
import time

import psutil


def measure(command: list[str]) -> tuple[float, float]:
    """(seconds, peak GiB) of a command and all its children."""
    started, peak = time.monotonic(), 0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    root = psutil.Process(process.pid)
    while process.poll() is None:
        peak = max(peak, sum(map(_memory, [root, *_children(root)])))
        time.sleep(0.5)
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}")
    return time.monotonic() - started, peak / 2**30


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _memory(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().uss)
    except psutil.Error:
        return 0


def main() -> None:
    """Prints one line for each of the two runs, and their ratio."""
    folder = tempfile.mkdtemp(prefix="harness-cost-")
    command = [sys.executable, "-m", "harness", "reproduce", *sys.argv[1:], "--run-dir", folder]
    try:
        first, memory = measure(command)
        print(f"from an empty store: {first:.1f} s, {memory:.2f} GiB at most", flush=True)
        second, memory = measure(command)
        print(f"again, all found:    {second:.1f} s, {memory:.2f} GiB at most; 1/{first / second:.0f} of the first")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()

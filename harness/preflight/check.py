"""The result of one check: a line that is read by people."""

from dataclasses import dataclass
from typing import Literal

from harness.terminal import one_line


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: `detail` says what was found and, unless it is "ok", how to mend it."""

    state: Literal["ok", "warning", "failure"]
    what: str
    detail: str

    def __str__(self) -> str:
        return one_line(f"{self.state:8} {self.what}: {self.detail}")

"""Benchmarks that have their items themselves, and no baseline: tasks, or prompts with what is checked of answers."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from evals.base import Benchmark, Setting
from harness.engine.artifacts import Artifact
from harness.errors import UserError


@dataclass(frozen=True, slots=True)
class UserData:
    """The user's choice of official items: a file or folder in the place of the hub, and how many, the first."""

    data: str | None = None
    limit: int | None = None


class OwnItems(Benchmark[Setting]):
    """A benchmark of items that it brings, the embedded world's by the defaults of its `Options`."""

    takes_chat_template: ClassVar[bool] = False
    """Whether a user chooses if models are asked through their chat template."""

    is_of_any_scale: ClassVar[bool] = False
    """Whether its items are the same on every scale."""
    max_new_tokens: ClassVar[int | None] = None
    """The most tokens of an answer to the official items, where the benchmark says it."""

    @abstractmethod
    def official(self, given: UserData) -> Any:
        """Return the `Options` of the official items. Raises UserError for data that it cannot take."""

    def with_chat_template(self, options: Any) -> Any:
        """Return the options of asking through the chat template, where `takes_chat_template`."""
        return replace(options, chat_template=True)

    def stored(self, setting: Setting, path: Path) -> Artifact:
        """Return the rows about stored outputs. Raises UserError where it takes none, or the file is wrong."""
        raise UserError("this evaluation asks a checkpoint: pass --model, and no --outputs")

    def fetch(self) -> Iterator[str]:
        """Fetch what the official items need, and yield a line on each. Raises UserError for what cannot be had."""
        yield from ()

    def departure(self, setting: Setting) -> str | None:
        """Describe, to print beside the score, what keeps it from being the benchmark's own; None if nothing does."""
        return None

    def described(self, setting: Setting) -> dict[str, str]:
        """Return what else is to be said beside the score, by a name that the scorecard knows."""
        return {}

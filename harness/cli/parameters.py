"""Types of command-line values. Each refuses what only looks like a value, so that no command has to."""

import math
import re
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

MAX_SEED = 2**32 - 1
"""What numpy takes, which the trainers seed."""

_WHOLE = re.compile(r"(?!-0+$)-?[0-9]{1,18}", re.ASCII)
_NUMBER = re.compile(r"(?!-[0.]+$)-?[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?", re.ASCII)
MAX_WORD = 400
"""Letters of a word in a message."""
_LONG_WORD = re.compile(rf"\S{{{MAX_WORD + 1},}}")
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class Whole(click.IntRange):
    """A whole number within a range, in plain digits."""

    def __init__(self, min: int = 1, max: int = 10**9) -> None:
        super().__init__(min, max)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number. Raises click.BadParameter for text that is none, or one outside the range."""
        if isinstance(value, str) and not _WHOLE.fullmatch(value):
            self.fail(f"{_quoted(value)} is not a valid integer of up to 18 digits.", param, ctx)
        return int(super().convert(value, param, ctx))


class FiniteFloat(click.FloatRange):
    """A number within a range. "nan" and "inf" are none: they compare as they like, and bound nothing."""

    def __init__(self, min: float = 0, max: float = 1e9, *, min_open: bool = False) -> None:
        super().__init__(min, max, min_open=min_open)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number. Raises click.BadParameter for text that is none, or one outside the range."""
        if isinstance(value, str) and not _NUMBER.fullmatch(value):
            self.fail(f"{_quoted(value)} is not a valid number.", param, ctx)
        number = float(value)
        if not math.isfinite(number):
            self.fail(f"{_quoted(value)} is not a finite number.", param, ctx)
        return float(super().convert(number, param, ctx))


class Text(click.ParamType):
    """A name, reference or URL: never empty, as of a variable that is not set, and nothing that cannot be printed."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text. Raises click.BadParameter where it is empty or holds control characters."""
        text = str(value)
        if not text.strip():
            self.fail("it is empty", param, ctx)
        if _UNPRINTABLE.search(text):
            self.fail(f"{_quoted(text)} holds characters that cannot be printed", param, ctx)
        return text


class ExhibitArgument(Text):
    """The name of an exhibit, such as ``sgpo/table3``, or a bare one, ``table3``."""

    name = "experiment"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the names with their papers that begin so, or whose bare names do."""
        from harness.papers.names import list_names

        names = list_names()
        whole = [str(each) for each in names if str(each).startswith(incomplete)]
        bare = [each.name for each in names if incomplete and each.name.startswith(incomplete)]
        return [CompletionItem(name) for name in (*whole, *dict.fromkeys(bare))]


class NamedPath(click.Path):
    """A path that is named: an empty one, as of a variable that is not set, would be the folder one stands in."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path. Raises click.BadParameter for one that is empty, and one that no file can have."""
        if value == "":
            self.fail("the path is empty", param, ctx)
        if "\0" in str(value):
            self.fail(f"{_quoted(str(value))} holds a character that no path can have", param, ctx)
        return super().convert(value, param, ctx)


_OUTSIDE_BRACES = re.compile(r",(?![^{}]*\})")
_BRACES = re.compile(r"([^{}]*)\{([^{}]*)\}([^{}]*)")


class Names(click.ParamType):
    """A comma-separated list of names, in which ``dpo:beta={0.1,0.5}`` are two, as in a shell."""

    name = "names"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Return the names. Raises click.BadParameter where one is empty, given twice, or cannot be printed."""
        if isinstance(value, tuple):
            return value
        names = tuple(name for text in _OUTSIDE_BRACES.split(str(value)) for name in _expanded(text.strip()))
        if not all(names):
            self.fail("a name is empty; leave the option out for all", param, ctx)
        if twice := next((name for name in names if names.count(name) > 1), None):
            self.fail(f"{_quoted(twice)} is named twice", param, ctx)
        return tuple(TEXT.convert(name, param, ctx) for name in names)


def _expanded(text: str) -> list[str]:
    """Return a name for each value in braces; the name itself where it has none."""
    braces = _BRACES.fullmatch(text)
    return [f"{braces[1]}{each.strip()}{braces[3]}" for each in braces[2].split(",")] if braces else [text]


class TrainingSeeds(click.ParamType):
    """One model's stored verdicts: a file, or a comma-separated list of files, one a training seed."""

    name = "files"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Path, ...]:
        """Return the files. Raises click.BadParameter where there is none, and for what cannot be a path."""
        if isinstance(value, tuple):
            return value
        files = tuple(PATH.convert(name.strip(), param, ctx) for name in str(value).split(",") if name.strip())
        return files or self.fail(f"{value!r} names no file", param, ctx)


TEXT, EXPERIMENT, PATH, NAMES, SEED = Text(), ExhibitArgument(), NamedPath(), Names(), Whole(0, MAX_SEED)


def format_message(message: str) -> str:
    """Return a message that a terminal can print, in which what was typed does not drown the rest."""
    visible = _UNPRINTABLE.sub(lambda found: found[0] if found[0] in "\n\t" else ascii(found[0])[1:-1], message)
    return _LONG_WORD.sub(lambda found: f"{found[0][:MAX_WORD]}...", visible)


def _quoted(text: str) -> str:
    """Quote a value in a message: what is wrong with a long one shows at its beginning."""
    quoted = ascii(text) if _UNPRINTABLE.search(text) else repr(text)
    return quoted if len(quoted) <= 80 else f"{quoted[:77]}..."

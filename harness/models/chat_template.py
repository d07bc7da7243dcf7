"""Chat templates: programs that come with a model, rendered within bounds and always on the same day."""

import resource
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import TemplateError

from harness.engine.main_memory import GIB
from harness.errors import UserError
from harness.records import Message
from harness.texts import has_lone_surrogate

DAY = datetime(2024, 7, 26)
"""The day that every template is told it is: the one that Llama 3's templates name where they can ask for none.

The real one would have a model trained, asked and measured with other prompts on other days.
"""
ASKS_FOR_DAY = "strftime_now"
"""The function by which a template asks for the time."""

SECONDS, BYTES = 10, GIB
"""What rendering one conversation may take; a template of the usual kind takes a thousandth second."""

_CODES = ("-d", "-m", "-H", "-I", "-M", "-S", "-y", "-j", *"aAbBcdDeFGHIjmMpRSTuUVwWxXyY")


def rendered(tokenizer: Any, messages: Sequence[Message], *, answers: bool) -> str:
    """Render the conversation in the tokenizer's chat template; with `answers`, up to where the model's answer starts.

    Raises UserError, naming the model, for whatever goes wrong: a template is a program that others wrote.
    """
    turns = [{"role": turn.role, "content": turn.content} for turn in messages]
    try:
        with _bounded():
            template = on_one_day(tokenizer.get_chat_template())
            text = tokenizer.apply_chat_template(
                turns, chat_template=template, tokenize=False, add_generation_prompt=answers
            )
        if has_lone_surrogate(text):
            raise ValueError("it writes half of a surrogate pair, which no tokenizer takes")
    except Exception as error:
        roles = ", ".join(turn.role for turn in messages)
        raise UserError(
            f"the chat template of {tokenizer.name_or_path or 'the model'} refuses a conversation of the turns"
            f" {roles}: {_reason(error)}"
        ) from None
    return str(text)


def asks_for_day(tokenizer: Any) -> bool:
    """Return whether the template writes the day's date into prompts, in whose place it is told `DAY`."""
    return ASKS_FOR_DAY in tokenizer.get_chat_template()


def on_one_day(template: str) -> str:
    """Return the template with a clock that stands still at `DAY`, if it looks at one."""
    if ASKS_FOR_DAY not in template:
        return template
    written = "".join(f"|replace('%{code}', '{DAY.strftime(f'%{code}')}')" for code in _CODES)
    # What follows the macro keeps a line end that it begins with, which a block before it would take away.
    return f"{{% macro {ASKS_FOR_DAY}(format) %}}{{{{ format{written} }}}}{{% endmacro %}}{{{{ '' }}}}{template}"


def require_working(tokenizer: Any) -> None:
    """Raise UserError for a tokenizer whose template cannot show a message."""
    if "a message" not in rendered(tokenizer, [Message("user", "a message")], answers=True):
        raise UserError(
            f"the chat template of {tokenizer.name_or_path} leaves out the user's message; use another template"
        )


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"it takes more than {SECONDS} seconds"
    if isinstance(error, MemoryError):
        return f"it takes more than {BYTES // GIB} GiB of memory"
    return str(error) if isinstance(error, TemplateError) else f"{type(error).__name__}: {error}"


@contextmanager
def _bounded() -> Iterator[None]:
    """Raise TimeoutError or MemoryError inside where that takes more than `SECONDS` or `BYTES`.

    The time is bounded in a process's main thread alone, which is where steps run.
    """
    with _within_memory():
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGALRM, _stop)
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


def _stop(*_: Any) -> None:
    raise TimeoutError


@contextmanager
def _within_memory() -> Iterator[None]:
    """Bound the memory, on systems that say what a process has, as Linux does; elsewhere bound nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    try:
        pages = int(Path("/proc/self/statm").read_bytes().split()[0])
    except OSError:
        yield
        return
    most = pages * resource.getpagesize() + BYTES
    if soft != resource.RLIM_INFINITY:
        most = min(most, soft)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))

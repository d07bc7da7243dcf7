"""Chat templates are programs of others: whatever goes wrong in one is a line, and no day differs from another."""

import resource
import signal
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.models import chat_template
from harness.models.chat import conversation, prompt_ids, prompt_text
from harness.models.chat_template import asks_for_day, rendered
from harness.models.hf import TransformersGenerator, load_checkpoint
from harness.records import Message, Prompt
from tests.models.families import checkpoint, llama3, qwen

SAID = conversation(Prompt("q", "what is the capital of france ?"))
DOUBLING = "{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}"
LLAMA_32_DATE = (
    "{% if not date_string is defined %}{% if strftime_now is defined %}"
    "{% set date_string = strftime_now('%d %b %Y') %}{% else %}{% set date_string = 'no day' %}{% endif %}{% endif %}"
    "Today Date: {{ date_string }}\n{{ messages[0].content }}"
)


def with_template(template: Any) -> Any:
    tokenizer = llama3()
    tokenizer.chat_template = template
    tokenizer.name_or_path = "some/model"
    return tokenizer


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ 1 + 'a' }}", "TypeError: unsupported operand"),
        ("{{ messages.first.content }}", "has no attribute 'first'"),
        ("{{ 1 // 0 }}", "ZeroDivisionError"),
        ("{% for %}", "Expected an expression"),
        ("{% include 'another' %}", "TypeError: no loader"),
        ("{{ messages | no_such_filter }}", "No filter named"),
        ("{{ raise_exception('only two turns') }}", "only two turns"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "RecursionError"),
        ("{% for i in range(10000000) %}{% endfor %}", "OverflowError: Range too big"),
        ("{{ 'a' * 10 ** 12 }}", "more than 1 GiB of memory"),
        ("{{ '%9999999999d' | format(1) }}", "more than 1 GiB of memory"),
        (DOUBLING, "more than 1 GiB of memory"),
        ({"rag": "{{ messages }}", "tool_use": "{{ messages }}"}, "multiple chat templates with no default"),
        ("{{ messages[0].content }}\ud83d", "it writes half of a surrogate pair"),
        (7, "TypeError"),
    ],
)
def test_whatever_fails_is_one_line_that_names_the_model(template: Any, reason: str) -> None:
    with pytest.raises(UserError) as raised:
        prompt_ids(with_template(template), SAID)
    assert str(raised.value).startswith("the chat template of some/model refuses a conversation of the turns user: ")
    assert reason in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_template_that_does_not_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_template, "SECONDS", 0.5)
    loops = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
    started = time.monotonic()
    with pytest.raises(UserError, match=r"takes more than 0\.5 seconds"):
        prompt_text(with_template(loops), SAID)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("template", ["{{ messages[0].content }}", "{{ 'a' * 10 ** 12 }}"], ids=["right", "wrong"])
def test_nothing_is_bounded_once_a_template_is_rendered(template: str) -> None:
    before = resource.getrlimit(resource.RLIMIT_AS), signal.getsignal(signal.SIGALRM)
    with suppress(UserError):
        prompt_text(with_template(template), SAID)
    assert (resource.getrlimit(resource.RLIMIT_AS), signal.getsignal(signal.SIGALRM)) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_named_templates_with_a_default_are_used() -> None:
    assert prompt_text(with_template({"default": "<{{ messages[0].content }}>", "rag": ""}), SAID) == (
        "<what is the capital of france ?>"
    )


@pytest.mark.parametrize("template", ["{{ 1 + 'a' }}", {"rag": "x"}, "always the same"], ids=["error", "named", "deaf"])
def test_a_checkpoint_with_such_a_template_is_not_loaded(template: Any, tmp_path: Path) -> None:
    tokenizer = llama3()
    tokenizer.chat_template = template
    folder = checkpoint(tokenizer, tmp_path)
    for load in (load_checkpoint, TransformersGenerator):
        with pytest.raises(UserError, match=f"the chat template of {folder} (refuses|leaves out)"):
            load(folder)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        (LLAMA_32_DATE, "Today Date: 26 Jul 2024\nwhat is the capital of france ?"),
        ("{{ strftime_now('%Y-%m-%d %A %-d.%-m.') }}", "2024-07-26 Friday 26.7."),
        ("{% macro day() %}{{ strftime_now('%B') }}{% endmacro %}{{ day() }}", "July"),
        ("\n\n{{ strftime_now('%d') }}", "\n\n26"),
    ],
)
def test_a_template_that_asks_for_the_day_is_told_the_same_one_every_day(template: str, text: str) -> None:
    tokenizer = with_template(template)
    assert asks_for_day(tokenizer)
    assert rendered(tokenizer, SAID, answers=True) == text
    assert datetime.now().year > 2024  # the clock's own day is another


def test_other_templates_are_rendered_as_they_are() -> None:
    for tokenizer in (llama3(), qwen()):
        turns = [{"role": "system", "content": "be brief"}, {"role": "user", "content": " two spaces \n"}]
        own = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        assert rendered(tokenizer, [Message(**turn) for turn in turns], answers=True) == own  # type: ignore[arg-type]
        assert not asks_for_day(tokenizer)

"""Models with odd files, as `harness doctor` and a run's own preflight look at them: lines, and no traceback."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.preflight.doctor import ALL, run_checks
from tests.preflight.conftest import MakeContext, by_name, llama_in

DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *(("config.json", text) for text in ("[]", "", DEEP, "\0")),
        ("tokenizer_config.json", "7"),
        ("generation_config.json", '{"eos_token_id": "end"}'),
        ("tokenizer.json", "{}"),
        ("chat_template.jinja", "{{ 1 + 'a' }}"),
        ("chat_template.jinja", "{{ 'a' * 10 ** 12 }}"),
        ("config.json", {"num_hidden_layers": 10**9}),
        ("config.json", {"num_attention_heads": 0}),
        ("config.json", {"head_dim": 10**9}),
        ("config.json", {"vocab_size": None}),
    ],
    ids=lambda value: str(value)[:40],
)
def test_an_odd_model_is_a_failure_in_lines(
    make_context: MakeContext, broken_model: Callable[..., Path], name: str, content: str | dict[str, Any]
) -> None:
    folder = broken_model()
    path = folder / name
    if isinstance(content, dict):
        content = json.dumps({**json.loads(path.read_text()), **content})
    path.write_text(content)
    kinds = {kind: ALL[kind] for kind in ("machine", "tokens", "training")}
    found = by_name(run_checks(make_context(models=llama_in(folder)), kinds))
    assert any(check.state == "failure" for check in found.values())

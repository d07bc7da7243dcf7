"""Worlds to look at before a run: the tiny one, and ones in which something is wrong."""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.engine.store import Store
from harness.engine.unresolved import placeholders
from harness.experiments import Request, build_experiments
from harness.models.references import checkpoint_folder
from harness.preflight.check import Check
from harness.preflight.context import PreflightContext, preflight_context
from harness.recipes.scales import ModelRole, Scale
from tests.tiny_harness import load_tiny_scale

MakeContext = Callable[..., PreflightContext]


@pytest.fixture
def tiny() -> Scale:
    """The mini scale on small counts."""
    return load_tiny_scale("mini")


@pytest.fixture
def make_context(tmp_path: Path, tiny: Scale) -> Iterator[MakeContext]:
    """A run of Table 3's SFT, DPO and SGPO that has not begun, on the tiny scale with `changes`."""

    def make(methods: tuple[str, ...] = ("sft", "dpo", "sgpo"), **changes: Any) -> PreflightContext:
        request = Request(replace(tiny, **changes), (0,), methods=methods)
        experiments = build_experiments("table3", request)
        run = preflight_context(request, experiments, Store(tmp_path / "run" / "store"), Store(tmp_path / "aside"))
        return replace(run, unresolved=unresolved)

    with placeholders() as unresolved:
        yield make


@pytest.fixture
def broken_model(tmp_path: Path) -> Callable[..., Path]:
    """A copy of the packaged Llama with another chat template, and entries of its JSON files changed or taken out."""

    def make(template: str | None = None, config: Any = None, tokenizer: Any = None) -> Path:
        folder = tmp_path / "broken"
        shutil.copytree(checkpoint_folder("mini:llama"), folder)
        if template == "":
            (folder / "chat_template.jinja").unlink()
        elif template:
            (folder / "chat_template.jinja").write_text(template)
        _change(folder / "config.json", config)
        _change(folder / "tokenizer_config.json", tokenizer)
        return folder

    return make


def _change(path: Path, changes: dict[str, Any] | None) -> None:
    """Sets the entries of a JSON object; None takes one out."""
    content = {**json.loads(path.read_text()), **(changes or {})}
    path.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))


def llama_in(folder: Path | str) -> dict[str, ModelRole]:
    """The base models of a scale whose Llama is in `folder`."""
    return {"llama": ModelRole(str(folder), "a model under test")}


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> str:
    """A data set; its reference."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def by_name(checks: Iterable[Check]) -> dict[str, Check]:
    """Checks by what they are of, each of which must be one line."""
    found = {check.what: check for check in checks}
    assert all("\n" not in str(check) for check in found.values())
    return found

"""A paper's own scale, resolved as a plan does, on a machine that has fetched nothing and asks no hub."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.engine.unresolved import placeholders
from harness.experiments import build_experiments
from harness.plan.settings import resolved_cells
from harness.plan.steps import GraphEstimates
from harness.run.options import Choice

GOLDEN = Path(__file__).parents[1] / "golden"


def resolved(paper: str) -> dict[str, Any]:
    """As JSON gives it back: of all exhibits, each cell and checkpoint once."""
    with _apart(), placeholders():
        experiments = build_experiments(f"{paper}/all", Choice(scale="paper", paper=paper).request())
        cells = resolved_cells(experiments, GraphEstimates(None))
    read: dict[str, Any] = json.loads(json.dumps(cells))
    return read


@contextmanager
def _apart() -> Iterator[None]:
    from huggingface_hub import constants

    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as empty:
        patch.setattr(constants, "HF_HUB_OFFLINE", True)
        patch.setattr(constants, "HF_HUB_CACHE", empty)
        patch.setenv("HF_HOME", empty)
        patch.setenv("HF_HUB_CACHE", empty)
        patch.chdir(empty)
        yield


def differences(paper: str, table: dict[str, Any]) -> list[str]:
    """Cells and checkpoints that are not as in the paper's golden file, or not in both."""
    golden = json.loads((GOLDEN / f"paper_{paper}.json").read_text(encoding="utf-8"))
    kinds = ("cells", "checkpoints")
    names = {(kind, name) for kind in kinds for name in (*golden[kind], *table[kind])}
    return sorted(f"{kind}: {name}" for kind, name in names if golden[kind].get(name) != table[kind].get(name))


def write_golden(paper: str) -> None:
    """Write the golden file anew, to be looked at before it is committed."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    text = json.dumps(resolved(paper), indent=1, ensure_ascii=False) + "\n"
    (GOLDEN / f"paper_{paper}.json").write_text(text, encoding="utf-8")

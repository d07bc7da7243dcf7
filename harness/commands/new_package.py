"""`harness new`: a package of one's own with a method, a benchmark or a paper, with a test that passes."""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from harness.config import yaml_files
from harness.errors import UserError
from harness.papers.folders import papers
from harness.recipes.registries import EVALS, METHODS

PackageKind = Literal["method", "eval", "paper"]

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_TEMPLATE = ".jinja"


def new_package(kind: PackageKind, name: str) -> list[str]:
    """Write the package `name` into a folder of that name here; return what was made, and what to do next, as lines.

    Raises UserError for a name that no package can have or that is taken, and where the folder is there already.
    """
    _require_name(kind, name)
    folder = Path(name)
    if folder.exists():
        raise UserError(f"{folder} is there already; choose another name, or move it away")
    files = dict(_files(kind, name))
    try:
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {folder} ({error.strerror}); go to a folder that you can write to") from None
    return [f"made {folder}/: {', '.join(map(str, files))}", "next:", *(f"  {line}" for line in _next(kind, name))]


def _require_name(kind: PackageKind, name: str) -> None:
    """Raise UserError for a name that does not fit, and for one that something else has."""
    if not _NAME.fullmatch(name):
        raise UserError(f"{name!r} is no name for a package: write small letters, digits and dashes, as in my-{kind}")
    known = {"method": METHODS.names, "eval": EVALS.names, "paper": papers}[kind]()
    if taken := next((each for each in (name, _module(name)) if each in known), None):
        raise UserError(f"{taken!r} is in `harness list {kind}s` already; choose another name")
    if importlib.util.find_spec(_module(name)):
        raise UserError(f"a Python module is called {_module(name)} already; choose another name")


def _module(name: str) -> str:
    return name.replace("-", "_")


def _files(kind: PackageKind, name: str) -> Iterator[tuple[Path, str]]:
    """Yield the files of the package, by their places in its folder."""
    from jinja2 import Environment, StrictUndefined

    module = _module(name)
    named: dict[str, Any] = {"name": name, "module": module, "class": "".join(map(str.capitalize, name.split("-")))}
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    templates = yaml_files.CONFIGS / "new" / kind
    for path in sorted(templates.rglob(f"*{_TEMPLATE}")):
        place = str(path.relative_to(templates)).removesuffix(_TEMPLATE).replace("module", module)
        yield Path(place), environment.from_string(path.read_text(encoding="utf-8")).render(named)


def _next(kind: PackageKind, name: str) -> list[str]:
    """List what to do with the package, as commands."""
    run = {
        "method": f"harness reproduce table3 --fast --methods sft,dpo,{name} --against dpo",
        "eval": f"harness eval --bench {name} --outputs outputs.json",
        "paper": f"harness reproduce {_module(name)}/table1 --fast",
    }[kind]
    return [f"pip install -e ./{name}", f"pytest {name}", run]

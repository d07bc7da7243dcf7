"""A digest changes with what a step can reach, and with nothing else. The package `lab` is written by each test."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from harness.engine import code
from harness.engine.code import code_digests, code_of
from tests.engine.sample_steps import Decoding, Sampling, choose, numbers, squares
from tests.sources import forget_sources

ROOT = Path(__file__).parents[2]

LAB = {
    "__init__.py": '"""The lab."""\n',
    "steps.py": '''
"""Steps."""

from functools import cache
from math import floor as rounded
from typing import TYPE_CHECKING

import lab.far.away as far
from lab import registry, tools
from lab.shapes import Square

if TYPE_CHECKING:
    from lab.unrelated import nothing

FACTOR = 2
OTHER_FACTOR = 3


def one(out, *, count: int) -> None:
    """One."""
    out.write_json("one.json", [scaled(tools.double(count)), Square(count).area(), rounded(1.5)])


def two(out, *, count: int) -> None:
    """Two."""
    from lab.late import late

    out.write_json("two.json", [OTHER_FACTOR * late(count), registry.MAKERS["made"](), far.off])


def scaled(value: int) -> int:
    return FACTOR * value
''',
    "tools.py": '''
from .helpers import helper

try:
    from fast import double
except ImportError:
    def double(value):
        # doubles
        return helper(value) + helper(value)


def triple(value):
    """Not used."""
    return 3 * value
''',
    "helpers.py": """
def helper(value):
    return value + 0


def unused(value):
    return value + 1
""",
    "late.py": """
def late(value):
    return value + 10
""",
    "shapes.py": """
class Shape:
    def __init__(self, side):
        self.side = side


class Square(Shape):
    def area(self):
        return self.side ** 2


class Circle(Shape):
    def area(self):
        return 3
""",
    "registry.py": """
MAKERS = {}


def register(function):
    MAKERS[function.__name__] = function
    return function


@register
def made():
    return 1
""",
    "far/__init__.py": "",
    "far/away.py": "off = 1\n",
    "unrelated.py": "nothing = 1\n",
}

Edit = tuple[str, str, str]
"""A file, a text in it, and what to put there."""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Mapping[str, str]]:
    """The digests of a step of the package `lab`, after edits."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def digests(function: str, *edits: Edit) -> Mapping[str, str]:
        files = dict(LAB)
        for name, before, after in edits:
            assert before in files[name]
            files[name] = files[name].replace(before, after)
        for name, text in files.items():
            (tmp_path / "lab" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "lab" / name).write_text(text)
        forget_sources()
        found = code_digests(f"lab.steps:{function}")
        assert found is not None
        assert "lab" not in sys.modules
        return found

    yield digests
    forget_sources()


@pytest.mark.parametrize(
    "edit",
    [
        ("tools.py", "# doubles", "# doubles its value"),
        ("steps.py", '"""One."""', '"""Something longer.\n\n    And more.\n    """'),
        ("steps.py", '"""Steps."""', ""),
        ("steps.py", "\n\nFACTOR = 2", "\n\n\n\nFACTOR = (\n    2\n)"),
        ("tools.py", "return 3 * value", "return 4 * value"),
        ("helpers.py", "value + 1", "value + 2"),
        ("late.py", "value + 10", "value + 11"),
        ("shapes.py", "return 3", "return 3.14"),
        ("far/away.py", "off = 1", "off = 2"),
        ("unrelated.py", "nothing = 1", "nothing = 2"),
        ("steps.py", "OTHER_FACTOR = 3", "OTHER_FACTOR = 4"),
        ("steps.py", "OTHER_FACTOR = 3", "OTHER_FACTOR, UNUSED = 3, 4"),
        ("steps.py", "from lab.late import late", "from lab.late import late as later"),
        ("steps.py", "from lab import registry", "import lab.unrelated\nfrom lab import registry"),
    ],
)
def test_what_a_step_does_not_reach_does_not_count(lab: Callable[..., Mapping[str, str]], edit: Edit):
    assert lab("one") == lab("one", edit)


@pytest.mark.parametrize(
    ("function", "edit", "changed"),
    [
        ("one", ("steps.py", "\nFACTOR = 2", "\nFACTOR = 4"), "lab.steps"),
        ("one", ("steps.py", "FACTOR * value", "FACTOR + value"), "lab.steps"),
        ("one", ("steps.py", "floor as rounded", "ceil as rounded"), "lab.steps"),
        ("one", ("tools.py", "helper(value) + helper(value)", "helper(value) * 2"), "lab.tools"),
        ("one", ("helpers.py", "value + 0", "value - 0"), "lab.helpers"),
        ("one", ("shapes.py", "self.side ** 2", "self.side * 2"), "lab.shapes"),
        ("one", ("shapes.py", "self.side = side", "self.side = abs(side)"), "lab.shapes"),
        ("one", ("registry.py", "return 1", "return 2"), "lab.registry"),
        ("one", ("registry.py", "MAKERS = {}", "MAKERS = {}\nMAKERS['two'] = 2"), "lab.registry"),
        ("one", ("__init__.py", '"""The lab."""', "import os\nos.environ['A'] = 'B'"), "lab"),
        ("two", ("late.py", "value + 10", "value + 11"), "lab.late"),
        ("two", ("registry.py", "return 1", "return 2"), "lab.registry"),
        ("two", ("far/away.py", "off = 1", "off = 2"), "lab.far.away"),
        ("two", ("steps.py", "OTHER_FACTOR = 3", "OTHER_FACTOR = 4"), "lab.steps"),
    ],
)
def test_what_a_step_reaches_counts_and_is_named(
    lab: Callable[..., Mapping[str, str]], function: str, edit: Edit, changed: str
):
    before, after = lab(function), lab(function, edit)
    assert {module for module in {*before, *after} if before.get(module) != after.get(module)} == {changed}


@pytest.mark.parametrize(
    "doubtful",
    [
        ("steps.py", "tools.double(count)", "getattr(tools, 'trip' + 'le')(count)"),
        ("steps.py", "import registry, tools", "import registry, tools\nfrom lab.tools import *"),
        ("steps.py", "scaled(tools.double", "scaled(tools.made_up"),
    ],
)
def test_in_doubt_the_whole_module_counts(lab: Callable[..., Mapping[str, str]], doubtful: Edit):
    assert lab("one", doubtful) != lab("one", doubtful, ("tools.py", "return 3 * value", "return 4 * value"))


def test_a_name_in_a_string_counts(lab: Callable[..., Mapping[str, str]]):
    dynamic = ("steps.py", "scaled(tools", "globals()['OTHER_FACTOR'] * (tools")
    loaded = ("steps.py", "scaled(tools", "entry('lab.unrelated:nothing') * (tools")
    assert lab("one", dynamic) != lab("one", dynamic, ("steps.py", "OTHER_FACTOR = 3", "OTHER_FACTOR = 4"))
    assert lab("one", loaded) != lab("one", loaded, ("unrelated.py", "nothing = 1", "nothing = 2"))


def test_a_subclass_that_registers_itself_counts(lab: Callable[..., Mapping[str, str]]):
    hooked = (
        "shapes.py",
        "    def __init__",
        "    def __init_subclass__(cls):\n        ALL.append(cls)\n\n    def __init__",
    )
    assert lab("one", hooked) != lab("one", hooked, ("shapes.py", "return 3", "return 3.14"))


def test_what_a_decorator_of_another_package_decorates_counts(lab: Callable[..., Mapping[str, str]]):
    decorated = ("registry.py", "@register", "import vendor\n@vendor.keep")
    assert lab("one", decorated) != lab("one", decorated, ("registry.py", "return 1", "return 2"))


def test_the_decorator_of_steps_counts_as_written_and_reaches_nothing(lab: Callable[..., Mapping[str, str]]):
    imported = (
        "steps.py",
        "from lab import registry",
        "from harness.engine.artifacts import step\nfrom lab import registry",
    )
    one = ("steps.py", "def one", "@step(version=1)\ndef one")
    two = ("steps.py", "def two", "@step(version=1)\ndef two")
    assert lab("one", imported, one) == lab("one", imported, one, two)
    assert lab("one", imported, one) != lab("one", imported, (*one[:2], one[2].replace("1", "2")))


def test_what_a_step_declares_for_forecasts_does_not_count(lab: Callable[..., Mapping[str, str]]):
    imported = (
        "steps.py",
        "from lab import registry",
        "from harness.engine.artifacts import step\nimport lab.registry",
    )
    plain = ("steps.py", "def one", "@step(version=1)\ndef one")
    declared = ("steps.py", "def one", "@step(version=1, rows=lambda context: scaled(3), cost=two)\ndef one")
    assert lab("one", imported, plain) == lab("one", imported, declared)


def test_source_that_cannot_be_found_is_unknown():
    assert code_digests("no_such_package:step") is None
    assert code_digests("harness.steps.filter:no_such_step") is None
    assert code_digests("json:loads") is not None


def test_the_classes_of_arguments_belong_to_the_code_of_an_artifact():
    items = numbers(count=1)
    alike = [code_of(choose(first=items, options=options)) for options in (None, {"a": [Sampling()]}, [Decoding()])]
    assert all(alike)
    assert code_of(squares(items=items)) == code_digests(squares.function) != alike[0]


def test_steps_are_digested_without_importing_them():
    functions = ["harness.steps.train:train_preferences", "harness.steps.judge:judge_pairs"]
    program = f"""
import sys
from harness.engine.code import code_digests
digests = [code_digests(function) for function in {functions!r}]
print(all(digests), *{{"torch", "trl", "harness.steps.train", "harness.steps.judge"}} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True"]


def test_one_step_of_a_module_is_not_the_other():
    sft, preferences = (
        code.closure([code.Symbol("harness.steps.train", name)]) for name in ("train_sft", "train_preferences")
    )
    assert code.Symbol("harness.training.preferences", "run_preferences") in preferences - sft
    assert code.Symbol("harness.training.loop", "train") in preferences & sft


def test_what_is_excluded_is_there_and_not_counted() -> None:
    reached = code.closure([code.Symbol("harness.steps.respond", "respond")])
    excluded = {each for symbol in reached for each in code._node(symbol).references if not code.is_counted(each)}
    assert {symbol.module for symbol in excluded} == {name.removesuffix(".step") for name in code.EXCLUDED}
    assert not reached & excluded
    assert code.Symbol("harness.engine.artifacts", "Artifact") in reached
    assert code.Symbol("harness.engine.artifacts", "StepFunction") not in reached

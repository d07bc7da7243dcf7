import re
import sys
from pathlib import Path

import pytest

import harness.commands.listing
from harness.config.registry import Registry
from harness.errors import UserError
from harness.recipes import registries
from harness.recipes.registries import EVALS, METHODS
from tests import plugins


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Installs a distribution that offers `name = target` as a method."""

    def install(distribution: str, name: str, target: str) -> None:
        plugins.install(tmp_path, distribution, [("harness.methods", name, target)])

    (tmp_path / "their_method.py").write_text("def mine():\n    return 'theirs'\n")
    (tmp_path / "broken_method.py").write_text("import a_package_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield install
    sys.modules.pop("their_method", None)


def registry() -> Registry:
    return Registry("method", "harness.methods", {"sqrt": "math:sqrt", "absent": "math:no_such_function"})


def test_built_in_names_are_loaded_only_when_asked_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    methods = Registry("method", "harness.no_such_group", {"b": "colorsys:rgb_to_hsv", "a": "math:sqrt"})
    assert methods.names() == ("b", "a")
    assert "colorsys" not in sys.modules
    assert methods.load("a")(9) == 3


def test_third_parties_add_through_entry_points(install):
    install("their-package", "mine", "their_method:mine")
    assert registry().names() == ("sqrt", "absent", "mine")
    assert registry().load("mine")() == "theirs"


def test_packages_are_told_of_what_was_loaded(install):
    install("their-package", "mine", "their_method:mine")
    known = registry()
    known.load("sqrt")
    assert known.packages() == {}
    known.load("mine")
    assert known.packages() == {"mine": {"package": "their-package", "version": "1.0", "commit": "unknown"}}


def test_the_same_entry_point_seen_twice_is_no_collision(install):
    install("their-package", "mine", "their_method:mine")
    install("their-package-again", "mine", "their_method:mine")
    assert registry().names().count("mine") == 1


def test_a_collision_names_both_sides(install):
    install("their-package", "sqrt", "their_method:mine")
    with pytest.raises(UserError) as raised:
        registry().names()
    assert str(raised.value) == (
        "two methods are called 'sqrt': math:sqrt and their_method:mine (package their-package);"
        " uninstall or rename one"
    )


def test_a_typo_gets_the_nearest_name():
    with pytest.raises(UserError, match=r"unknown method 'sqr'; did you mean 'sqrt'\? \(known: absent, sqrt\)"):
        registry().load("sqr")


def test_what_cannot_be_imported_is_a_user_error(install):
    install("broken", "mine", "broken_method:mine")
    with pytest.raises(
        UserError, match=r"cannot load method 'mine' from broken_method:mine \(package broken\): No module"
    ):
        registry().load("mine")
    with pytest.raises(UserError, match="cannot load method 'absent' from math:no_such_function"):
        registry().load("absent")


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("x = (\n", r"SyntaxError: '\(' was never closed \(odd_method.py, line 1\)$"),
        ("\nmine = len[0]\n", r"TypeError: .* not subscriptable \(odd_method.py, line 2\)$"),
    ],
)
def test_a_package_whose_code_is_wrong_is_one_line_and_hides_no_other(
    install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, told: str
):
    (tmp_path / "odd_method.py").write_text(code)
    install("odd", "mine", "odd_method:mine")
    methods = Registry("method", "harness.methods", METHODS.builtin)
    for module in (registries, harness.commands.listing):
        monkeypatch.setattr(module, "METHODS", methods)
    with pytest.raises(UserError, match=r"cannot load method 'mine' from odd_method:mine \(package odd\): " + told):
        methods.load("mine")
    listed = dict(harness.commands.listing.listing("methods"))
    assert re.search(told, listed["mine"]) and listed["sft"].startswith("supervised")


def test_tests_do_not_see_what_is_installed_beside_the_harness():
    """Packages of the environment would change what every list of names is expected to be (`tests.plugins`)."""
    own = {"harness.methods": METHODS, "harness.evals": EVALS}
    assert {group: registry.names() for group, registry in own.items()} == {
        group: tuple(registry.builtin) for group, registry in own.items()
    }


def test_what_is_no_method_or_evaluation_is_a_user_error(install, monkeypatch: pytest.MonkeyPatch):
    install("their-package", "mine", "their_method:mine")
    monkeypatch.setattr(registries, "METHODS", registry())
    origin = r"their_method:mine \(package their-package\)"
    with pytest.raises(UserError, match=f"cannot use method 'mine' from {origin}: it is a function, not a frozen"):
        registries.load_method("mine")

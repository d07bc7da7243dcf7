"""Changes of a recipe by the user: ``--set methods.dpo.beta=0.1``, or in the name of a row, ``dpo:beta=0.1``."""

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, get_args, get_type_hints

from harness.config.yaml_files import parse_yaml
from harness.errors import UserError, unknown

Settings = Mapping[str, Any]
"""Nested settings, as YAML has them."""

CHANGEABLE = ("methods", "sampling", "data")
"""The parts of a recipe that ``--set`` changes; what else a run changes has an option of its own."""


def split_row(row: str) -> tuple[str, Settings]:
    """Return the method that a row names and its changed settings: ``sgpo:rounds=3`` is ("sgpo", {"rounds": 3}).

    Raises UserError where a setting is not written so, or is given twice.
    """
    name, *changes = row.split(":")
    return name, nested(changes, f"{row}: write a setting as in sgpo:rounds=3", row)


def asked_changes(texts: Iterable[str]) -> Settings:
    """Return what ``--set`` changes, as nested settings: {"methods": {"dpo": {"beta": 0.1}}}.

    Raises UserError for what is not written so, is given twice, or is no part of a recipe that can be changed.
    """
    mend = "--set: write a setting as in methods.dpo.beta=0.1"
    changes = nested(texts, mend, "--set")
    for part, inner in changes.items():
        if part not in CHANGEABLE:
            raise unknown("part of a recipe to --set:", part, CHANGEABLE)
        named = inner.values() if part == "methods" and isinstance(inner, Mapping) else [inner]
        if not all(isinstance(settings, Mapping) for settings in named):
            raise UserError(f"{mend}, not a whole part of the recipe ({part})")
    return changes


def nested(texts: Iterable[str], mend: str, where: str) -> dict[str, Any]:
    """Return ``a.b=1`` as {"a": {"b": 1}}, values as YAML reads them. Raises UserError; `mend` for a wrong form."""
    found: dict[str, Any] = {}
    seen: set[str] = set()
    for text in texts:
        path, equals, value = text.partition("=")
        if not (equals and value and all(path.split("."))):
            raise UserError(f"{mend}, not {text!r}")
        if path in seen:
            raise UserError(f"{where}: the setting {path!r} is given twice")
        seen.add(path)
        change: Any = parse_yaml(value, where)
        for name in reversed(path.split(".")):
            change = {name: change}
        found = merged(found, change)
    return found


def leaves(settings: Settings, path: str = "") -> Iterable[tuple[str, Any]]:
    """Return each single setting with its dotted path."""
    for name, value in settings.items():
        here = f"{path}.{name}".lstrip(".")
        yield from leaves(value, here) if isinstance(value, Mapping) else [(here, value)]


def merged(*layers: Settings) -> dict[str, Any]:
    """Return nested settings of which later layers replace those of earlier ones, one by one."""
    whole: dict[str, Any] = {}
    for layer in layers:
        for name, value in layer.items():
            before = whole.get(name)
            if isinstance(value, Mapping) and isinstance(before, Mapping) and _are_of_one_kind(before, value):
                value = merged(before, value)
            whole[name] = value
    return whole


def _are_of_one_kind(before: Settings, later: Settings) -> bool:
    """Return whether both can be of the same class: another kind of loss has nothing of the one before."""
    return "kind" not in later or later["kind"] == before.get("kind")


def in_full(method: type, settings: Settings, changes: Settings) -> dict[str, Any]:
    """Return changed settings of a method, those named by their last part alone with their whole path.

    ``beta`` is ``loss.beta`` for a class `method` that has no β of its own, where of its `settings` the loss alone has
    one.
    """
    hints = {each.name: get_type_hints(method)[each.name] for each in fields(method)}
    full = {name: value for name, value in changes.items() if name in hints}
    present = merged(settings, full)
    inner = {group: _names_within(hint, present.get(group)) for group, hint in hints.items()}
    for name in changes.keys() - full.keys():
        groups = [group for group, names in inner.items() if name in names]
        full = merged(full, {groups[0]: {name: changes[name]}} if len(groups) == 1 else {name: changes[name]})
    return full


def _names_within(hint: Any, present: Any) -> set[str]:
    """Return the fields of the dataclass that a setting is an object of; of several, of the kind that is `present`."""
    kind = present.get("kind") if isinstance(present, Mapping) else None
    classes = [each for each in (get_args(hint) or (hint,)) if is_dataclass(each)]
    return {each.name for one in classes if getattr(one, "kind", None) == kind for each in fields(one)}


def without(settings: Settings, others: Settings) -> dict[str, Any]:
    """Return the settings that `others` do not have; none of a group of which they have another kind."""
    left: dict[str, Any] = {}
    for name, value in settings.items():
        other = others.get(name)
        if isinstance(value, Mapping) and isinstance(other, Mapping):
            left[name] = without(value, other) if _are_of_one_kind(other, value) else {}
        elif name not in others:
            left[name] = value
    return left

"""The source that a step's result can depend on, as digests: read, never imported.

A step depends on its own definition and on every definition that this reaches by name, through imports too, in the
packages of this repository and in the step's own. Other definitions of the same modules do not count: a change of
`train_dpo` is none of `train_sft`. Comments, docstrings and layout do not count either.

In doubt a definition counts: any name that could mean it is taken to mean it, a module that is passed around counts
whole, and so does what a module does while it is imported (bare statements, decorators, calls of our functions).
Not seen are names put together at run time (``import_module(f"a.{b}")``), what stores and workers do around a step, how
progress is shown, and other people's packages, whose versions stand in the provenance.
"""

import ast
import dataclasses
import importlib.util
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from harness.engine.artifacts import Artifact
from harness.engine.sources import sources_state

OURS = frozenset({"harness", "methods", "evals", "reports"})
"""The packages that any step may reach; beside them it may reach the one it is defined in."""

STEP = ("harness.engine.artifacts", "step")
_HARMLESS_DECORATORS = frozenset({"abc", "builtins", "contextlib", "dataclasses", "enum", "functools", "typing"})
"""Modules whose decorators do nothing but to what they decorate."""

_SHOWING = frozenset({"harness.engine.progress", "harness.terminal"})
"""How a run is shown while it goes on: nothing of it is in what a step saves, so that it makes no artifact stale."""

_IMPORTING = ""
"""In the place of a definition's name: what a module does while it is imported."""
_WHOLE = "*"

_NOTHING = sha256(_IMPORTING.encode()).hexdigest()
"""The digest of a module that does nothing while it is imported."""

_WORD = re.compile(r"[A-Za-z_]\w*")
_PLACE = re.compile(r"(\w+(?:\.\w+)*)(?::(\w+))?")
"""A module, or something in it, as import strings write it."""


class Place(NamedTuple):
    """A definition; `name` may also be one of the two above."""

    module: str
    name: str


def code_digests(*functions: str) -> Mapping[str, str] | None:
    """By module, a digest of what the functions (or classes, as ``module:name``) reach in it. Cached for the process.

    None where the source of one of them cannot be found.
    """
    return _digests(frozenset(functions))


def code_of(artifact: Artifact) -> Mapping[str, str] | None:
    """`code_digests` of the artifact's step and of the classes of its arguments."""
    return code_digests(*functions_of(artifact))


def functions_of(artifact: Artifact) -> tuple[str, ...]:
    """The artifact's step and the classes of its arguments, as ``module:name``, sorted."""
    classes = {f"{each.__module__}:{each.__qualname__}" for each in _classes(artifact.arguments)}
    return tuple(sorted({artifact.function, *classes}))


def _classes(value: Any) -> Iterator[type]:
    """The dataclasses in an argument."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _classes(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _classes(item)
    elif dataclasses.is_dataclass(value):
        yield type(value)
        for field in dataclasses.fields(value):
            yield from _classes(getattr(value, field.name))


@cache
def _digests(functions: frozenset[str]) -> Mapping[str, str] | None:
    sources_state(OURS | {function.partition(":")[0].partition(".")[0] for function in functions})  # before any is read
    starts = []
    for function in functions:
        module, _, name = function.partition(":")
        found = _load(_main_module() if module == "__main__" else module)
        name = name.partition(".")[0]
        if found is None or name not in found.definitions:
            return None
        starts.append(Place(found.name, name))
    lines: dict[str, list[str]] = {}
    for place in sorted(_closure(starts)):
        if place.module in _SHOWING:
            continue
        if _reading(place).digest != _NOTHING:  # a module that only defines may be imported or not
            lines.setdefault(place.module, []).append(_reading(place).digest)
    return {module: sha256("\n".join(digests).encode()).hexdigest()[:16] for module, digests in lines.items()}


def _closure(starts: Iterable[Place]) -> set[Place]:
    reached: set[Place] = set()
    waiting = list(starts)
    while waiting:
        place = waiting.pop()
        if place not in reached:
            reached.add(place)
            waiting.extend(_reading(place).reached)
    return reached


@dataclasses.dataclass(frozen=True, slots=True)
class _Reading:
    """What one place says, and what it reaches."""

    digest: str
    reached: frozenset[Place]


@cache
def _reading(place: Place) -> _Reading:
    module = _load(place.module)
    assert module is not None
    if place.name == _WHOLE:
        everything = [Place(place.module, name) for name in module.definitions]
        return _Reading("whole", frozenset([*everything, Place(place.module, _IMPORTING)]))
    if place.name == _IMPORTING:
        statements = [each for each in module.statements if _acts_on_import(each, module)]
        reached = {Place(name, _IMPORTING) for name in (*_packages_of(place.module), *module.imported)}
        reached |= {Place(name, _WHOLE) for name in module.imported_by_star}
    else:
        statements = module.definitions[place.name]
        reached = {Place(place.module, _IMPORTING)}
    names = _Names(module, statements)
    said = [place.name, *map(ast.dump, statements), *sorted(names.foreign)]
    return _Reading(sha256("\n".join(said).encode()).hexdigest(), frozenset(reached | names.reached))


# Modules


class _Module:
    """A parsed module: what it defines, and the names that its imports bind."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        tree = ast.parse(path.read_bytes())
        _remove_docstrings(tree)
        self.statements = [statement for statement in tree.body if not _is_never_imported(statement)]
        self.definitions: dict[str, list[ast.stmt]] = {}
        for statement in self.statements:
            for defined in _defined(statement):
                self.definitions.setdefault(defined, []).append(statement)
        outside = [each for each in self.statements if not isinstance(each, _BODIES)]
        self.bindings = _bindings(outside, self)

    @cached_property
    def imported(self) -> list[str]:
        """Our modules that are imported with this one."""
        return [each for targets in self.bindings.values() for target in targets for each in _imports(target, self)]

    @cached_property
    def imported_by_star(self) -> list[str]:
        """Those of them whose names are all taken."""
        return [target.module for target in self.bindings.get("*", ()) if target.module in self.imported]


_BODIES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class Target(NamedTuple):
    """What an import binds a name to: something in a module, or the module itself."""

    module: str
    name: str | None


@cache
def _load(name: str) -> _Module | None:
    """The module; None where there is no source of it, or none that could be imported."""
    path = _path(name)
    try:
        return _Module(name, path) if path else None
    except (OSError, SyntaxError, ValueError):
        return None


@cache
def _path(name: str) -> Path | None:
    """The source of a module. Only its outermost package is looked up, so that nothing is imported."""
    root, *inner = name.split(".")
    try:
        spec = importlib.util.find_spec(root)
    except (ImportError, ValueError):
        spec = None
    if not inner and spec and spec.origin and spec.origin.endswith(".py"):
        return Path(spec.origin)
    folders = (spec.submodule_search_locations if spec else None) or []
    places = [Path(folder, *inner) for folder in folders]
    files = [file for place in places for file in (place.with_name(f"{place.name}.py"), place / "__init__.py")]
    return next((file for file in files if file.is_file()), None) if inner else None


def _main_module() -> str:
    """What ``__main__`` is called when it is imported; itself where it has no other name."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec.name if spec else "__main__"


def _packages_of(module: str) -> list[str]:
    parts = module.split(".")
    packages = [".".join(parts[:count]) for count in range(1, len(parts))]
    return [package for package in packages if _load(package)]


def _remove_docstrings(tree: ast.Module) -> None:
    """Takes out all statements that are a bare string."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, *_BODIES)):
            node.body = [each for each in node.body if not (isinstance(each, ast.Expr) and _is_text(each.value))]


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_never_imported(statement: ast.stmt) -> bool:
    """``if TYPE_CHECKING:`` and ``if __name__ == "__main__":``."""
    if not isinstance(statement, ast.If) or statement.orelse:
        return False
    test = ast.unparse(statement.test)
    return test in ("TYPE_CHECKING", "typing.TYPE_CHECKING", "__name__ == '__main__'")


def _defined(statement: ast.stmt) -> list[str]:
    """The names that a statement defines, anywhere in it."""
    if isinstance(statement, _BODIES):
        return [statement.name]
    stored = [node for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    inside = [node.name for node in ast.walk(statement) if isinstance(node, _BODIES)]
    return [*(node.id for node in stored), *inside]


def _bindings(statements: Iterable[ast.stmt], module: _Module) -> dict[str, set[Target]]:
    bindings: dict[str, set[Target]] = {}
    for statement in statements:
        for node in ast.walk(statement):
            for name, target in _bound(node, module):
                bindings.setdefault(name, set()).add(target)
    return bindings


def _bound(node: ast.AST, module: _Module) -> Iterator[tuple[str, Target]]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield (
                alias.asname or alias.name.partition(".")[0],
                Target(alias.name if alias.asname else alias.name.partition(".")[0], None),
            )
            yield f" {alias.name}", Target(alias.name, None)  # imported, whatever name it has
    elif isinstance(node, ast.ImportFrom):
        source = _absolute(node, module)
        for alias in node.names:
            yield alias.asname or alias.name, Target(source, alias.name)


def _absolute(node: ast.ImportFrom, module: _Module) -> str:
    if not node.level:
        return node.module or ""
    parts = module.package.split(".")
    return ".".join([*parts[: len(parts) - node.level + 1], *([node.module] if node.module else [])])


def _imports(target: Target, module: _Module) -> Iterator[str]:
    """Our modules that an import runs."""
    names = [target.module, *([f"{target.module}.{target.name}"] if target.name else [])]
    return (name for name in names if _is_own(name, module) and _load(name))


def _is_own(name: str, module: _Module) -> bool:
    root = name.partition(".")[0]
    return root in OURS or root == module.name.partition(".")[0]


# Names


class _Names(ast.NodeVisitor):
    """The places that statements of a module may mean; `foreign` are the imports of other packages that they use."""

    def __init__(self, module: _Module, statements: Iterable[ast.stmt]) -> None:
        self._module = module
        self.reached: set[Place] = set()
        self.foreign: set[str] = set()
        self._local: dict[str, set[Target]] = {}
        for statement in statements:
            self._local = _bindings([statement], module) if isinstance(statement, _BODIES) else {}
            for target in (target for targets in self._local.values() for target in targets):
                self.reached.update(Place(name, _IMPORTING) for name in _imports(target, module))
            self.visit(statement)

    def visit_Name(self, node: ast.Name) -> None:
        """One name by itself."""
        self._mean([node.id])

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """``a.b.c`` as a whole."""
        chain = _chain(node)
        if chain:
            self._mean(chain)
        else:
            self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        """The decorator of steps is left out: it is not part of what they do."""
        if not _is_step(node, self._module):
            self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        """A string may be an annotation, or name a place to import."""
        if not isinstance(node.value, str):
            return
        for word in _WORD.findall(node.value):
            self.reached.update(place for place in _targets([word], self._module) if place.name != _WHOLE)
        if place := _PLACE.fullmatch(node.value):
            module, name = place.groups()
            if "." in module and _is_own(module, self._module) and (found := _load(module)):
                self.reached.add(Place(module, name if name in found.definitions else _WHOLE))

    def _mean(self, chain: list[str]) -> None:
        self.reached.update(_targets(chain, self._module, self._local))
        for target in self._module.bindings.get(chain[0], ()):
            self.foreign.add(f"{chain[0]} = {target.module} {target.name}")


def _chain(node: ast.expr) -> list[str]:
    """``a.b.c`` as its names; nothing for an attribute of something else."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute) and (before := _chain(node.value)):
        return [*before, node.attr]
    return []


def _targets(chain: list[str], module: _Module, local: Mapping[str, set[Target]] = {}) -> set[Place]:
    """Our definitions that ``a.b.c`` may mean in a module, with the imports of a function where it stands in one."""
    name, *rest = chain
    found = {Place(module.name, name)} if name in module.definitions else set()
    for target in (*module.bindings.get(name, ()), *local.get(name, ())):
        if _is_own(target.module, module):
            found |= _within(target.module, [target.name, *rest] if target.name else rest, frozenset())
    return found


def _within(name: str, chain: list[str], seen: frozenset[Place]) -> set[Place]:
    """What ``chain[0].chain[1]...`` may mean in a module, through what this imports; the whole of it where unclear."""
    module = _load(name)
    inner = f"{name}.{chain[0]}" if chain else ""
    if module is None:
        return _within(inner, chain[1:], seen) if inner and (_load(inner) or len(chain) > 1) else set()
    if not chain:
        return {Place(name, _WHOLE)}
    here = Place(name, chain[0])
    if here in seen:
        return {Place(name, _WHOLE)}
    found = {here} if chain[0] in module.definitions else set()
    if chain[0] in module.bindings:
        found.add(Place(name, _IMPORTING))
        for target in module.bindings[chain[0]]:
            if _is_own(target.module, module):
                rest = [target.name, *chain[1:]] if target.name else chain[1:]
                found |= _within(target.module, rest, seen | {here})
    if found:
        return found
    if _load(inner):
        return _within(inner, chain[1:], seen | {here})
    return {Place(name, _WHOLE)}  # a star import, or __getattr__


# What a module does while it is imported


def _acts_on_import(statement: ast.stmt, module: _Module) -> bool:
    """Whether a statement at the top of a module may do more than to define its own names."""
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return False
    if isinstance(statement, _BODIES):
        return not all(_is_harmless(each, module) for each in statement.decorator_list) or (
            isinstance(statement, ast.ClassDef) and _has_hooks(statement, module)
        )
    if isinstance(statement, (ast.Assign, ast.AnnAssign)):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return not all(isinstance(each, ast.Name) for each in targets) or _calls_ours(statement, module)
    return True


def _is_harmless(decorator: ast.expr, module: _Module) -> bool:
    if _is_step(decorator, module):
        return True
    chain = _chain(decorator.func if isinstance(decorator, ast.Call) else decorator)
    targets = module.bindings.get(chain[0], set()) if chain else set()
    return bool(targets) and all(target.module in _HARMLESS_DECORATORS for target in targets)


def _is_step(decorator: ast.expr, module: _Module) -> bool:
    chain = _chain(decorator.func) if isinstance(decorator, ast.Call) else []
    return bool(chain) and _targets(chain, module) == {Place(*STEP)}


def _has_hooks(statement: ast.ClassDef, module: _Module) -> bool:
    """Whether to define the class may run code of its metaclass or of a base class."""
    bases = [definition for base in statement.bases for definition in _definitions(_chain(base), module)]
    hooks = [node for base in bases for node in ast.walk(base) if getattr(node, "name", "") == "__init_subclass__"]
    return bool(statement.keywords or hooks)


def _calls_ours(statement: ast.stmt, module: _Module) -> bool:
    called = [_chain(node.func) for node in ast.walk(statement) if isinstance(node, ast.Call)]
    return any(isinstance(each, _BODIES[:2]) for chain in called for each in _definitions(chain, module))


def _definitions(chain: list[str], module: _Module) -> Iterator[ast.stmt]:
    for place in _targets(chain, module) if chain else ():
        found = _load(place.module)
        yield from found.definitions.get(place.name, ()) if found else ()

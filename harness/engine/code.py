"""Digests of the source code that a step's result can depend on. Sources are parsed, never imported.

A step depends on its own definition and on every definition that this refers to by name, through imports too, in the
packages of this repository and in the step's own. Other definitions of the same modules do not count: a change of
`train_preferences` is none of `train_sft`. Comments, docstrings and layout do not count either.

In doubt a definition counts: a name stands for all that it could mean, a module that is passed around counts whole, and
so does what a module does while it is imported (bare statements, decorators, calls of our functions). Not seen are
names put together at run time (``import_module(f"a.{b}")``), what is `EXCLUDED`, what stores and workers do around a
step, and other people's packages, whose versions stand in the provenance.
"""

import ast
import dataclasses
import importlib.util
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from harness.engine.artifacts import Artifact

OURS = frozenset({"harness", "methods", "evals", "reports"})
"""The packages that any step may depend on; beside them it may depend on the one it is defined in."""

EXCLUDED = frozenset({"harness.engine.progress", "harness.terminal", "harness.engine.artifacts.step"})
"""Modules and definitions that change no result: how a run is shown, and the decorator of steps."""

FORECASTS = frozenset({"rows", "cost"})
"""Parameters of the decorator of steps that change no result: what a forecast asks of a step."""

_ALL = "*"
"""As a symbol's name: every definition of the module."""
_ON_IMPORT = ""
"""As a symbol's name: what the module does while it is imported."""

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_BODIES = (*_FUNCTIONS, ast.ClassDef)
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
_ENTRY_POINT = re.compile(r"\w+(\.\w+)+(:\w+)?")


class Symbol(NamedTuple):
    """A definition at the top of a module; `name` may also be one of the two above."""

    module: str
    name: str


def code_digests(*functions: str) -> Mapping[str, str] | None:
    """Digest what functions or classes, each given as ``module:name``, depend on: a digest for each module.

    None where the source of one of them cannot be found. Cached for the process.
    """
    return _digests(frozenset(functions))


def code_of(artifact: Artifact) -> Mapping[str, str] | None:
    """Digest what the artifact's step and the classes of its arguments depend on."""
    return code_digests(*functions_of(artifact))


def functions_of(artifact: Artifact) -> tuple[str, ...]:
    """List the artifact's step and the classes of its arguments, as ``module:name``, sorted."""
    classes = {f"{each.__module__}:{each.__qualname__}" for each in _classes(artifact.arguments)}
    return tuple(sorted({artifact.function, *classes}))


def _classes(value: Any) -> Iterator[type]:
    """Yield the dataclasses in an argument."""
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
    starts = [_symbol(function) for function in functions]
    if None in starts:
        return None
    digests: dict[str, list[str]] = {}
    for symbol in sorted(closure(filter(None, starts))):
        if digest := _node(symbol).digest:
            digests.setdefault(symbol.module, []).append(digest)
    return {module: sha256("\n".join(of).encode()).hexdigest()[:16] for module, of in digests.items()}


def _symbol(function: str) -> Symbol | None:
    """Find the definition of ``module:name``; None where there is no source of it."""
    module, _, name = function.partition(":")
    found = _load(_main_module() if module == "__main__" else module)
    name = name.partition(".")[0]
    return Symbol(found.name, name) if found and name in found.definitions else None


def _main_module() -> str:
    """Return what ``__main__`` is called when it is imported; itself where it has no other name."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec.name if spec else "__main__"


# The graph of references


def closure(starts: Iterable[Symbol]) -> set[Symbol]:
    """Collect all symbols that `starts` depend on, with themselves."""
    reached: set[Symbol] = set()
    waiting = list(starts)
    while waiting:
        symbol = waiting.pop()
        if symbol not in reached and is_counted(symbol):
            reached.add(symbol)
            waiting.extend(_node(symbol).references)
    return reached


def is_counted(symbol: Symbol) -> bool:
    """Return whether a result can depend on the symbol."""
    return not EXCLUDED & {symbol.module, f"{symbol.module}.{symbol.name}"}


class _Node(NamedTuple):
    """The digest of a symbol's statements, empty where it has none, and the symbols that they refer to."""

    digest: str
    references: frozenset[Symbol]


@cache
def _node(symbol: Symbol) -> _Node:
    module = _load(symbol.module)
    assert module is not None
    if symbol.name == _ALL:
        return _Node("", frozenset(Symbol(module.name, name) for name in (_ON_IMPORT, *module.definitions)))
    if symbol.name == _ON_IMPORT:
        statements = [each for each in module.statements if _has_effects(each, module)]
        references = _imported_with(module)
    else:
        statements = module.definitions[symbol.name]
        references = {Symbol(module.name, _ON_IMPORT)}
    imported: set[str] = set()
    for node in (node for statement in statements for node in _mentions(statement)):
        references |= _resolve_node(node, module)
        imported |= {f"{_dotted_name(node)} = {target}" for target in module.targets(_dotted_name(node))}
    lines = [*map(ast.dump, statements), *sorted(imported)]
    return _Node(sha256("\n".join(lines).encode()).hexdigest() if lines else "", frozenset(references))


def _imported_with(module: "_Module") -> set[Symbol]:
    """Collect what is imported whenever a module is: the packages around it, and what its own imports name."""
    parts = module.name.split(".")
    packages = {Symbol(".".join(parts[:count]), _ON_IMPORT) for count in range(1, len(parts))}
    found = {package for package in packages if _load(package.module)} | _resolve("*", module)
    for statement in module.statements:
        if not isinstance(statement, _BODIES):
            found |= {symbol for node in _mentions(statement) for symbol in _resolve_import(node, module)}
    return found


# Modules


@dataclasses.dataclass(frozen=True)
class _Module:
    """A parsed module."""

    name: str
    statements: list[ast.stmt]
    definitions: dict[str, list[ast.stmt]]
    """By name, the statements at the top of the module that define it."""
    imports: dict[str, set[str]]
    """By the name that an import anywhere in the module binds, its targets: ``package.module`` or a name in that."""

    def targets(self, name: str) -> set[str]:
        """Return what ``name`` or ``name.attribute`` is imported from."""
        return self.imports.get(name.partition(".")[0], set())

    def may_use(self, target: str) -> bool:
        """Return whether the code of a target counts for this module."""
        return target.partition(".")[0] in OURS | {self.name.partition(".")[0]}


@cache
def _load(name: str) -> _Module | None:
    """Parse a module; None where there is no source of it, or none that could be imported."""
    path = _path(name)
    try:
        return _parse(name, path) if path else None
    except (OSError, SyntaxError, ValueError, ImportError):
        return None


@cache
def _path(name: str) -> Path | None:
    """Find the source of a module. Only its outermost package is looked up, so that nothing is imported."""
    root, *inner = name.split(".")
    try:
        spec = importlib.util.find_spec(root)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        return None
    if not inner:
        return Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None
    places = [Path(folder, *inner) for folder in spec.submodule_search_locations or ()]
    files = [file for place in places for file in (place.with_name(f"{place.name}.py"), place / "__init__.py")]
    return next((file for file in files if file.is_file()), None)


def _parse(name: str, path: Path) -> _Module:
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    tree = ast.parse(path.read_bytes())
    _strip(tree)
    imports: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            node.module = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
        for bound, target in _bindings(node):
            imports.setdefault(bound, set()).add(target)
    definitions: dict[str, list[ast.stmt]] = {}
    for statement in tree.body:
        _strip_forecasts(statement, imports)
        for defined in _defined(statement):
            definitions.setdefault(defined, []).append(statement)
    return _Module(name, tree.body, definitions, imports)


def _strip(tree: ast.Module) -> None:
    """Remove what never runs: docstrings, ``if TYPE_CHECKING:`` and ``if __name__ == "__main__":``."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, *_BODIES)):
            node.body = [each for each in node.body if not _never_runs(each)]


def _strip_forecasts(statement: ast.stmt, imports: Mapping[str, set[str]]) -> None:
    """Remove what the decorator of steps is told for forecasts."""
    for decorator in statement.decorator_list if isinstance(statement, _FUNCTIONS) else ():
        if isinstance(decorator, ast.Call) and imports.get(_dotted_name(decorator.func), set()) & EXCLUDED:
            decorator.keywords = [each for each in decorator.keywords if each.arg not in FORECASTS]


def _never_runs(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant) and isinstance(statement.value.value, str)
    if not isinstance(statement, ast.If) or statement.orelse:
        return False
    return ast.unparse(statement.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING", "__name__ == '__main__'")


def _defined(statement: ast.stmt) -> set[str]:
    """Collect the names that a statement defines, anywhere in it."""
    if isinstance(statement, _BODIES):
        return {statement.name}
    nodes = list(ast.walk(statement))
    stored = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return stored | {node.name for node in nodes if isinstance(node, _BODIES)}


def _bindings(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield the names that a node binds if it is an import, each with its target."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            root = alias.name.partition(".")[0]
            yield (alias.asname, alias.name) if alias.asname else (root, root)
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            yield alias.asname or alias.name, f"{node.module}.{alias.name}".removesuffix(".*")


# Names


def _mentions(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the imports, constants and names in a tree; ``a.b.c`` is one name."""
    if isinstance(node, (ast.Import, ast.ImportFrom, ast.Constant)) or _dotted_name(node):
        yield node
    else:
        for child in ast.iter_child_nodes(node):
            yield from _mentions(child)


def _dotted_name(node: ast.AST) -> str:
    """Return ``a.b.c`` where a node is that; nothing for any other."""
    if isinstance(node, ast.Attribute):
        value = _dotted_name(node.value)
        return f"{value}.{node.attr}" if value else ""
    return node.id if isinstance(node, ast.Name) else ""


def _resolve_node(node: ast.AST, module: _Module) -> set[Symbol]:
    """Collect the symbols that an import, a constant or a name may mean."""
    if isinstance(node, ast.Constant):
        return _resolve_text(node.value, module) if isinstance(node.value, str) else set()
    return _resolve_import(node, module) | _resolve(_dotted_name(node), module)


def _resolve(name: str, module: _Module, seen: frozenset[str] = frozenset()) -> set[Symbol]:
    """Collect the symbols that ``name`` or ``name.attribute...`` may mean in a module."""
    first, _, rest = name.partition(".")
    found = {Symbol(module.name, first)} if first in module.definitions else set()
    for target in filter(module.may_use, module.targets(first)):
        found |= {Symbol(module.name, _ON_IMPORT)} | _resolve_absolute(f"{target}.{rest}".strip("."), seen)
    return found


def _resolve_absolute(name: str, seen: frozenset[str] = frozenset()) -> set[Symbol]:
    """Collect the symbols that ``package.module.name.attribute...`` may mean; all of the module where that is unclear.

    `seen` are names that led here, by imports that go round in a circle.
    """
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        if (module := _load(".".join(parts[:count]))) and name not in seen:
            found = _resolve(".".join(parts[count:]), module, seen | {name})
            return found or {Symbol(module.name, _ALL)}  # the module itself, a star import, or __getattr__
    return set()


def _resolve_text(text: str, module: _Module) -> set[Symbol]:
    """Collect the symbols that a string may mean: an annotation, or an entry point."""
    words = _IDENTIFIER.findall(text)
    found = {symbol for word in words for symbol in _resolve(word, module) if symbol.name != _ALL}
    if _ENTRY_POINT.fullmatch(text) and module.may_use(text):
        found |= _resolve_absolute(text.replace(":", "."))
    return found


def _resolve_import(node: ast.AST, module: _Module) -> set[Symbol]:
    """Collect the modules that a node runs if it is an import."""
    names = {target for _, target in _bindings(node)}
    if isinstance(node, ast.Import):
        names |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
        names |= {str(node.module)}
    return {Symbol(name, _ON_IMPORT) for name in filter(module.may_use, names) if _load(name)}


# What a module does while it is imported


def _has_effects(statement: ast.stmt, module: _Module) -> bool:
    """Return whether a statement at the top of a module may do more than to define its own names."""
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return False
    if isinstance(statement, _BODIES):
        return not all(_is_pure(each, module) for each in statement.decorator_list) or _runs_hooks(statement, module)
    if isinstance(statement, (ast.Assign, ast.AnnAssign)):
        return any(_is_assigned_part(node) or _calls_ours(node, module) for node in ast.walk(statement))
    return True


def _is_pure(decorator: ast.expr, module: _Module) -> bool:
    """Return whether a decorator does nothing but to what it decorates: those of the standard library, and of steps."""
    targets = module.targets(_dotted_name(decorator.func if isinstance(decorator, ast.Call) else decorator))
    standard = {target for target in targets if target.partition(".")[0] in sys.stdlib_module_names}
    return bool(targets) and targets <= standard | EXCLUDED


def _runs_hooks(statement: ast.stmt, module: _Module) -> bool:
    """Return whether a class definition may run code of its metaclass or of a base class."""
    if not isinstance(statement, ast.ClassDef):
        return False
    nodes = [node for base in statement.bases for each in _definitions(base, module) for node in ast.walk(each)]
    return bool(statement.keywords) or any(getattr(node, "name", "") == "__init_subclass__" for node in nodes)


def _is_assigned_part(node: ast.AST) -> bool:
    """Return whether a node is the ``a.b`` or ``a[b]`` on the left of an assignment."""
    return isinstance(node, (ast.Attribute, ast.Subscript)) and isinstance(node.ctx, ast.Store)


def _calls_ours(node: ast.AST, module: _Module) -> bool:
    """Return whether a node is a call of a function of ours."""
    return isinstance(node, ast.Call) and any(isinstance(each, _FUNCTIONS) for each in _definitions(node.func, module))


def _definitions(node: ast.expr, module: _Module) -> Iterator[ast.stmt]:
    """Yield the statements of ours that define what a node names."""
    for symbol in filter(is_counted, _resolve(_dotted_name(node), module)):
        found = _load(symbol.module)
        yield from found.definitions.get(symbol.name, ()) if found else ()

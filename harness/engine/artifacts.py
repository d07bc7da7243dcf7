"""Steps and artifacts: calling a step records a node of a content-addressed graph; nothing runs until it is asked for.

@step(version=1)
def respond(out: Output, *, policy: Artifact, prompts: Artifact, sampling: Sampling, seed: int) -> None: ...

drafts = respond(policy=policy, prompts=prompts, sampling=Sampling(temperature=0.7), seed=0)  # an Artifact, lazy
"""

import copy
import dataclasses
import functools
import hashlib
import importlib
import inspect
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from harness.engine.compute import Work
from harness.engine.output import Output, RowLog, Tracker
from harness.errors import UserError
from harness.records import ROWS, read_rows
from harness.terminal import one_line

__all__ = ["Artifact", "Output", "RowLog", "StepFunction", "Tracker", "ancestry", "labels", "step"]

P = ParamSpec("P")
T = TypeVar("T")

Declaration = Callable[[Any], Any]
"""Of a `CostContext` of `harness.steps.cost`, whose types this package does not know."""


@dataclass(frozen=True, eq=False)
class Artifact:
    """A promise of a folder: what one call of a step makes. Equal when the key is equal.

    The key is a SHA-256 of the step's name and version, the keys of the inputs, and the parameters and settings that
    are not at their defaults: one that is added later, with a default that does what was done before, changes no key.
    An artifact is lazy while a graph is built, and bound to its folder inside a running step and by `Store.bind`.
    """

    step: str
    version: int
    params: Mapping[str, Any]
    """The parameters as canonical JSON."""
    inputs: "Mapping[str, Artifact | tuple[Artifact, ...]]"
    key: str
    function: str
    """Where the step is defined, as ``module:name``."""
    arguments: Mapping[str, Any]
    """The parameters as the function takes them (dataclasses instead of JSON objects)."""
    label: str = ""
    """What progress shows beside the step's name; no part of the key."""
    bound_to: Path | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Artifact) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:  # short: the graph is deep
        return f"<Artifact {self} {self.key[:8]}>"

    def __str__(self) -> str:
        return one_line(f"{self.step} {self.label}".rstrip())

    @property
    def folder(self) -> Path:
        """The folder of the payload. Raises RuntimeError while the artifact is lazy."""
        if self.bound_to is None:
            raise RuntimeError(f"{self} is a promise: it has a folder only inside a running step, or after Store.bind")
        return self.bound_to

    def rows(self, type: type[T]) -> list[T]:
        """Return the records of ``rows.jsonl``."""
        return read_rows(self.folder / ROWS, type)

    def json(self, name: str) -> Any:
        """Return the content of the JSON file `name`. Raises UserError where it cannot be read."""
        path = self.folder / name
        try:
            return json.loads(path.read_bytes())
        except OSError as error:
            raise UserError(f"cannot read {path} ({error.strerror}); run the same command again") from None

    def append_label(self, text: str) -> "Artifact":
        """Return the same artifact with `text` added to its label."""
        return dataclasses.replace(self, label=f"{self.label} {text}".lstrip())

    def with_label(self, text: str) -> "Artifact":
        """Return the same artifact labelled `text` alone: for what many share, whichever asks for it first."""
        return dataclasses.replace(self, label=text)

    def parents(self) -> "Iterator[Artifact]":
        """Yield the inputs one by one."""
        for value in self.inputs.values():
            yield from (value,) if isinstance(value, Artifact) else value


_label_prefix: ContextVar[str] = ContextVar("label_prefix", default="")


@contextmanager
def labels(text: str) -> Iterator[None]:
    """Put `text` in front of the label of every artifact made inside: ``with labels("qwen · sgpo seed 0"):``."""
    token = _label_prefix.set(f"{_label_prefix.get()} {text}".lstrip())
    try:
        yield
    finally:
        _label_prefix.reset(token)


def ancestry(targets: Iterable[Artifact]) -> list[Artifact]:
    """Return `targets` and all they are made from, each once, inputs first."""
    ordered: dict[str, Artifact] = {}

    def visit(artifact: Artifact) -> None:
        if artifact.key not in ordered:
            for parent in artifact.parents():
                visit(parent)
            ordered[artifact.key] = artifact

    for target in targets:
        visit(target)
    return list(ordered.values())


class StepFunction(Generic[P]):
    """A pure function of inputs, parameters and seed. Calling it gives the `Artifact` it would make."""

    def __init__(
        self,
        body: Callable[Concatenate[Output, P], None],
        version: int,
        resumable: bool,
        work: Work,
        asks: Callable[[Artifact], bool],
        rows: Declaration | None,
        cost: Declaration | None,
    ) -> None:
        functools.update_wrapper(self, body)
        self.name = body.__name__
        self.version = version
        self.resumable = resumable
        """Whether a killed run leaves its half-filled folder for the next one to go on with."""
        self.work = work
        """What running it mostly takes, by which it is placed on a machine."""
        self.rows, self.cost = rows, cost
        """What `harness plan` asks (`harness.steps.cost`): no part of any key."""
        self._asks = asks
        self.function = f"{body.__module__}:{body.__qualname__}"
        self._body = body
        self._signature = _signature_after_out(body)
        _claim_name(self.name, self.function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Artifact:
        """Return the artifact of this call. Raises TypeError for arguments that cannot be part of a key."""
        inputs: dict[str, Artifact | tuple[Artifact, ...]] = {}
        arguments: dict[str, Any] = {}
        for name, value in self._bind(*args, **kwargs).items():
            if isinstance(value, Artifact):
                inputs[name] = value
            elif _is_sequence(value) and value and all(isinstance(item, Artifact) for item in value):
                inputs[name] = tuple(value)
            else:
                arguments[name] = copy.deepcopy(value)  # the caller may change its own later
        params = {name: canonical(value, f"{self.name}({name}=...)") for name, value in arguments.items()}
        key = _key(self.name, self.version, self._non_defaults(params, arguments), input_keys(inputs))
        return Artifact(self.name, self.version, params, inputs, key, self.function, arguments, _label_prefix.get())

    def work_of(self, artifact: Artifact) -> Work:
        """Return the kind of work that makes this very artifact."""
        return "asking" if self._asks(artifact) else self.work

    def run(self, out: Output, artifact: Artifact) -> None:
        """Execute the body for `artifact`, whose inputs must be bound."""
        body: Callable[..., None] = self._body
        body(out, **artifact.arguments, **artifact.inputs)

    def _non_defaults(self, params: Mapping[str, Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters that are not at their defaults, each without those of its fields that are."""
        where = f"{self.name}()"
        return {
            name: canonical(value, where, with_defaults=False)
            for name, value in arguments.items()
            if not _is_default(params[name], self._signature.parameters[name].default, where)
        }

    def _bind(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.name}(): {error}") from None
        bound.apply_defaults()
        return bound.arguments


def step(
    *,
    version: int = 1,
    resumable: bool = False,
    work: Work = "light",
    asks: Callable[[Artifact], bool] = lambda artifact: False,
    rows: Declaration | None = None,
    cost: Declaration | None = None,
) -> Callable[[Callable[Concatenate[Output, P], None]], StepFunction[P]]:
    """Make a step of a module-level function whose first parameter is the `Output`, all others keyword-only.

    Raise `version` whenever the same arguments would give another payload. A `resumable` step finds in its folder what
    a killed run left there; it should write through `Output.append_rows`. `asks` says whether making an artifact waits
    for an endpoint, where that depends on its inputs. `rows` and `cost` are what a forecast asks of an artifact before
    it is made: see `harness.steps.cost`.
    """

    def decorate(body: Callable[Concatenate[Output, P], None]) -> StepFunction[P]:
        return StepFunction(body, version, resumable, work, asks, rows, cost)

    return decorate


def find_step(artifact: Artifact) -> StepFunction[...]:
    """Return the step that makes `artifact`, imported."""
    module, _, name = artifact.function.partition(":")
    found: StepFunction[...] = getattr(importlib.import_module(module), name)
    return found


def input_keys(inputs: Mapping[str, Artifact | tuple[Artifact, ...]]) -> dict[str, str | list[str]]:
    """Return the keys of `inputs` under the same names."""
    return {
        name: value.key if isinstance(value, Artifact) else [item.key for item in value]
        for name, value in inputs.items()
    }


def canonical(value: Any, where: str, *, with_defaults: bool = True) -> Any:
    """Return `value` as JSON that is the same for equal values, or without fields of dataclasses at their defaults.

    Raises TypeError, naming `where`, for anything else.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if _is_sequence(value):
        return [canonical(item, where, with_defaults=with_defaults) for item in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: canonical(value[key], where, with_defaults=with_defaults) for key in sorted(value)}
    if _is_frozen(value) and not isinstance(value, Artifact):
        return _canonical_fields(value, where, with_defaults)
    raise TypeError(
        f"{where}: {value!r} cannot be a step's argument; use an artifact, a non-empty sequence of artifacts,"
        " finite JSON values or a frozen dataclass of such"
    )


def _canonical_fields(value: Any, where: str, with_defaults: bool) -> dict[str, Any]:
    """Return a dataclass's fields, and its `kind` where it is one of several classes that can stand in its place."""
    kind = {"kind": value.kind} if hasattr(value, "kind") else {}
    given = {
        each.name: getattr(value, each.name)
        for each in dataclasses.fields(value)
        if with_defaults or not _is_default(canonical(getattr(value, each.name), where), default_of(each), where)
    }
    return {**kind, **{name: canonical(own, where, with_defaults=with_defaults) for name, own in given.items()}}


def default_of(field: "dataclasses.Field[Any]") -> Any:
    """Return a dataclass field's default; `inspect.Parameter.empty` for one that has none."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default


def _is_default(value: Any, default: Any, where: str) -> bool:
    """Return whether canonical `value` is `default` to the type: 1, 1.0 and True are three values."""
    if default is inspect.Parameter.empty:
        return False
    return json.dumps(value, sort_keys=True) == json.dumps(canonical(default, where), sort_keys=True)


def _key(step: str, version: int, params: Mapping[str, Any], inputs: Mapping[str, Any]) -> str:
    identity = {"step": step, "version": version, "params": params, "inputs": inputs}
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray))


def _is_frozen(value: Any) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type) and value.__dataclass_params__.frozen  # type: ignore[attr-defined]


def _signature_after_out(body: Callable[..., None]) -> inspect.Signature:
    signature = inspect.signature(body)
    others = list(signature.parameters.values())[1:]
    if not signature.parameters or any(parameter.kind is not parameter.KEYWORD_ONLY for parameter in others):
        raise TypeError(f"step {body.__qualname__}: give it the signature (out: Output, *, keyword-only parameters)")
    return signature.replace(parameters=others)


_names: dict[str, str] = {}


def _claim_name(name: str, function: str) -> None:
    """Register a step's name, which stands for its code in every key, so that two steps must not share one."""
    if "<locals>" in function:
        raise TypeError(f"step {function}: define it at module level, so that worker processes can import it")
    if _names.setdefault(name, function) != function:
        raise TypeError(f"two steps are called {name!r}: {_names[name]} and {function}")

"""A recipe says what fills each role of a paper on one scale: models, data, judge, settings of the methods."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

from harness.config.codec import encode
from harness.config.learning_rates import RateTable
from harness.config.yaml_files import from_mapping, is_path, load_yaml
from harness.endpoints.reference import EMBEDDED, EndpointReference
from harness.engine.artifacts import Artifact
from harness.engine.compute import Compute
from harness.errors import UserError, unknown
from harness.models.generator import Sampling
from harness.papers import paper_file
from harness.recipes.changes import Settings, in_full, leaves, merged, split_row, without
from harness.recipes.registries import METHODS, load_method
from harness.steps.data import DataRole, model
from harness.steps.judge import judge
from harness.steps.judge_prompt import JudgePrompt, official_prompt
from methods.base import Card, Method, PreferenceMethod, training_settings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ModelRole:
    """The base model that stands for one of the paper's."""

    reference: str
    description: str
    chat_template: str = ""
    """A file of configs/chat_templates, for a base model that has no template of its own."""
    closing_token: str = ""
    """What ends an answer, where it is not the tokenizer's EOS."""

    def artifact(self) -> Artifact:
        """Return the checkpoint as an artifact."""
        return model(self.reference, self.chat_template, self.closing_token)


@dataclass(frozen=True, slots=True)
class JudgeRole:
    """The judge: "mini:judge", or a model at an OpenAI-compatible endpoint, by default the OpenAI API."""

    model: str
    base_url: str | None = None
    without: tuple[str, ...] = ()

    def reference(self) -> EndpointReference:
        """Return the judge as steps take it. Raises UserError for one that there cannot be."""
        return judge(self.model, self.base_url, self.without)

    @classmethod
    def of(cls, reference: EndpointReference) -> "JudgeRole":
        """Return the role that is filled by the judge `reference`."""
        return cls(reference.model, reference.base_url or None, reference.without)


@dataclass(frozen=True, slots=True)
class Fast:
    """The reductions of `--fast`: the base models run unless others are asked for, and the size of each role."""

    base_models: tuple[str, ...]
    sizes: dict[str, int]

    def __post_init__(self) -> None:
        """Raise ValueError for a size of no rows."""
        for role, size in self.sizes.items():
            if size < 1:
                raise ValueError(f"the size of {role} must be 1 or more, not {size}")


@dataclass(frozen=True, slots=True)
class PromptSet:
    """The prompts of a recipe: of its methods, and of its judge. A bench without any is judged with its own tool's."""

    methods: dict[str, str] = field(default_factory=dict)
    judge: dict[str, JudgePrompt] = field(default_factory=dict)

    def judge_prompt(self, bench: str) -> JudgePrompt:
        """Return how the judge is asked on `bench`. Raises UserError for one that has no prompt of its own either."""
        return self.judge.get(bench) or official_prompt(bench)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeFile:
    """The content of a recipe's file.

    Roles of data and models are named as the paper's methods name them (`methods.base.Needs`). `methods` holds the
    settings of each method's own class by its name; an entry with a `method` is another method with other settings.
    `overrides` holds what differs on a base model, by its name and the method's.
    """

    description: str
    judge: JudgeRole
    base_models: dict[str, ModelRole]
    data: dict[str, DataRole]
    models: dict[str, str] = field(default_factory=dict)
    prompts: str = ""
    """A name in the paper's folder `prompts`, or a file."""
    sampling: Sampling
    methods: dict[str, Mapping[str, Any]]
    overrides: dict[str, dict[str, Mapping[str, Any]]] = field(default_factory=dict)
    roles: dict[str, dict[str, str]] = field(default_factory=dict)
    """By base model, another data role or prompt of the recipe for one that methods ask for: a paper may train each of
    its models on data of its own."""
    benches: dict[str, Any]
    """By bench, its own `Options`: what stands in the file, read by the bench's class."""
    fast: Fast
    machine: str = ""
    """The machine that the recipe is meant for, where it is meant for one: a name in configs/machines, or a file."""
    allow_missing: bool = False
    """Whether scores are shown that rest on less than 99 % of the verdicts."""
    paper: str = ""
    """The paper that it is of; a packaged recipe is of the one in whose folder it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe(RecipeFile):
    """A recipe as read from its file, with what does not stand there."""

    name: str
    """That of the file."""
    where: str
    """The file, as messages call it."""
    compute: Compute = field(default_factory=Compute)
    """How the machine trains and asks models."""
    is_reduced: bool = False
    """Whether the counts are those of `fast`."""
    rates: RateTable | None = None
    """The learning rates that were chosen for preference stages, if any were."""
    variants: Mapping[str, Settings] = field(default_factory=dict)
    """The paper's variants of methods, written as entries of `methods` that have a `method`."""
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What the user sets otherwise, by part of the recipe: that of `methods` takes effect in `method`."""

    @property
    def truth_is_known(self) -> bool:
        """Whether responses have a gold quality: in the embedded world only."""
        return self.judge.model == EMBEDDED

    @property
    def own_method(self) -> str:
        """The paper's own method, which bears the paper's name."""
        return self.paper

    @property
    def n_pairs(self) -> int:
        """The number of preference pairs to train on, in the largest set of them."""
        return max((role.size for role in self.data.values() if role.kind == "pairs"), default=0)

    def faster(self) -> "Recipe":
        """Return the same recipe with data cut down as its `fast` section says."""
        return replace(self._sized(self.fast.sizes), is_reduced=True)

    def limited(self, size: int) -> "Recipe":
        """Return the same recipe with at most `size` instructions in each evaluation set."""
        return self._sized({name: min(size, options.size) for name, options in self.benches.items()})

    def at_most(self, size: int) -> "Recipe":
        """Return the same recipe with at most `size` rows of each data set, evaluation sets included."""
        sizes = {name: min(size, role.size) for name, role in self.data.items()}
        return replace(self.limited(size)._sized(sizes), is_reduced=True)

    def _sized(self, sizes: Mapping[str, int]) -> "Recipe":
        """Return the recipe with these sizes of data sets and benches."""
        data = {name: replace(role, size=sizes.get(name, role.size)) for name, role in self.data.items()}
        benches = {
            name: options.resized(sizes[name]) if name in sizes else options for name, options in self.benches.items()
        }
        return replace(self, data=data, benches=benches)

    def prompt_set(self) -> PromptSet:
        """Return the prompts, from the paper's folder or the user's file."""
        return _prompts(self.prompts_path) if self.prompts else PromptSet()

    @property
    def prompts_path(self) -> Path:
        """The file of its prompts. Raises UserError for a name that the paper's folder does not have."""
        if is_path(self.prompts):
            return Path(self.prompts)
        return paper_file(self.paper, f"prompts/{self.prompts}.yaml")

    def role_on(self, base_model: str, role: str) -> str:
        """Return the data role or the prompt that stands for `role` on a base model: another where it has another."""
        return self.roles.get(base_model, {}).get(role, role)

    def inputs(self, base_model: str, seed: int) -> "RecipeInputs":
        """Return what methods start from, for one base model and seed. Raises UserError for an unknown model."""
        if base_model not in self.base_models:
            raise unknown("model", base_model, self.base_models)
        return RecipeInputs(self, base_model, seed)

    def method_names(self) -> tuple[str, ...]:
        """Return the methods that there are: those registered, the paper's variants, the recipe's own."""
        return tuple(dict.fromkeys((*METHODS.names(), *self.variants, *self.methods)))

    def parent(self, name: str) -> str:
        """Return the registered method that one by this name is. Raises UserError for an unknown one."""
        parent = self._definition(name).get("method", name)
        if parent not in METHODS.names():
            raise unknown("method", parent, set(self.method_names()) - {parent})
        return str(parent)

    def _definition(self, name: str) -> Settings:
        """Return what makes a variant: the paper's entry, else the recipe's own."""
        return self.variants.get(name) or self.methods.get(name, {})

    def card(self, row: str) -> Card:
        """Return the card of a row's method, with what its name changes."""
        name, changes = split_row(row)
        written = {**self.variants.get(name, {}), **self.methods.get(name, {})}
        own = {part: written[part] for part in CARD if part in written}
        card = replace(load_method(self.parent(name)).card, **own)
        changed = ", ".join(f"{path} = {value}" for path, value in leaves(changes))
        return replace(card, summary=f"{card.summary}; with {changed}") if changed else card

    def method(self, base_model: str, row: str) -> Method:
        """Return a row's method on a base model, with its settings: the one place where they are resolved.

        Later ones replace earlier ones: the defaults of the method's class; the recipe's entry of that class and its
        override on the base model; what makes a variant; the recipe's entry and override of the variant;
        the chosen learning rate; what the user sets for the class (but for what makes the variant) and for the
        variant; the settings in the row's own name. Raises UserError for a method, setting or value that there is not.
        """
        name, own = split_row(row)
        parent = self.parent(name)
        kind = load_method(parent)
        in_file = merged(_defaults(kind), self._in_file(base_model, parent))
        full = partial(in_full, kind, in_file)
        variant = full(_settings(self._definition(name))) if name != parent else {}
        rate = self.chosen_rate(base_model, row) if issubclass(kind, PreferenceMethod) else None
        chosen = {"training": {"learning_rate": rate[1]}} if rate else {}
        settings = merged(in_file, variant, full(self._in_file(base_model, name)), chosen)
        changes = self.changes.get("methods", {})
        asked = merged(without(full(changes.get(parent, {})), variant), full(changes.get(name, {})))
        method = _decoded(kind, settings, f"{self.where}: methods.{name}")
        for where, layer in ((f"--set methods.{name}", asked), (row, full(own))):
            if layer:
                settings = merged(settings, layer)
                method = _decoded(kind, settings, where)
        return method

    def _in_file(self, base_model: str, name: str) -> Settings:
        override = self.overrides.get(base_model, {}).get(name, {})
        return merged(_settings(self.methods.get(name, {})), override)

    def chosen_rate(self, base_model: str, row: str) -> tuple[str, float] | None:
        """Return the learning rate that was chosen for a row's preference stage, and the method that it is of.

        That of the row's method; else of the method that it is a variant of; else of the paper's own method. None where
        none was chosen, so that the recipe's entry stands.
        """
        name, _ = split_row(row)
        rates = self.rates.rates(base_model) if self.rates else {}
        owners = (name, self.parent(name), self.own_method)
        return next(((owner, rates[owner]) for owner in owners if owner in rates), None)


def _defaults(kind: type[Method]) -> dict[str, Any]:
    """Return the defaults of a method's class that have settings of their own, so that single ones can be changed."""
    return {each.name: encode(each.default) for each in fields(kind) if is_dataclass(each.default)}  # type: ignore[arg-type]


CARD = tuple(each.name for each in fields(Card))
"""The keys of an entry of `Recipe.methods` that are its card's; the others but `method` are settings."""


@dataclass(frozen=True, slots=True)
class RecipeInputs:
    """The inputs that a recipe hands to its methods (`methods.base.Inputs`); `replaced` fills data roles otherwise."""

    recipe: Recipe
    base_model: str
    seed: int
    replaced: Mapping[str, Artifact] = field(default_factory=dict)

    @property
    def base(self) -> Artifact:
        """The base model."""
        return self.recipe.base_models[self.base_model].artifact()

    @property
    def sampling(self) -> Sampling:
        """The sampling of completions."""
        return self.recipe.sampling

    def data(self, role: str) -> Artifact:
        """Return the rows of a data role. Raises UserError for one that the recipe does not have."""
        if role in self.replaced:
            return self.replaced[role]
        return self.data_role(role).artifact()

    def data_role(self, role: str) -> DataRole:
        """Return what fills a data role on the base model. Raises UserError for one that the recipe does not have."""
        return self._filling("data role", role, self.recipe.data)

    def model(self, role: str) -> Artifact:
        """Return the model in a role. Raises UserError for one that the recipe does not have."""
        return model(self._filling("model role", role, self.recipe.models))

    def prompt(self, name: str) -> str:
        """Return a prompt's template. Raises UserError for one that the recipe does not have."""
        return self._filling("prompt", name, self.recipe.prompt_set().methods)

    def checkpoint(self, method: str) -> Artifact:
        """Return what another method of the recipe ends with. Raises UserError for an unknown one."""
        return self.recipe.method(self.base_model, method).build(self)

    def _filling(self, kind: str, role: str, known: Mapping[str, T]) -> T:
        role = self.recipe.role_on(self.base_model, role)
        if role not in known:
            raise unknown(f"{kind} in {self.recipe.where}:", role, known)
        return known[role]


@cache
def _prompts(path: Path) -> PromptSet:
    """Read the prompts in a file, once a process: every graph that is built asks for them."""
    return load_yaml(path, PromptSet)


def _settings(entry: Settings) -> Settings:
    """Return the settings in a method's entry, without its card and `method`."""
    return {name: value for name, value in entry.items() if name not in (*CARD, "method")}


def _decoded(kind: type[Method], settings: Settings, where: str) -> Method:
    """Return the method with its settings. Raises UserError for those that there cannot be."""
    method = from_mapping(kind, settings, where)
    for stage, training in training_settings(method).items():
        if not training.learning_rate:  # a stage that would train nothing
            raise UserError(f"{where}: {stage}.learning_rate must be above 0")
    return method

"""A scale says what fills each role of a paper: models, data, teacher, judge, settings. One YAML file each."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from evals.base import Options
from evals.judged_pairs import JudgedPairs
from harness.config.learning_rates import RateTable, read_rate_table
from harness.config.yaml_files import from_mapping, is_path, load_yaml, path_text
from harness.endpoints.reference import EMBEDDED, EndpointReference
from harness.engine.artifacts import Artifact
from harness.engine.compute import Compute
from harness.errors import UserError, unknown
from harness.models.generator import Sampling
from harness.papers import DEFAULT_PAPER, paper_file, paper_folder
from harness.recipes.registries import METHODS, load_benchmark
from harness.steps.data import DataRole, model
from harness.steps.judge import judge
from harness.steps.judge_prompt import OFFICIAL_PROMPTS, JudgePrompt, official_prompt
from methods.ingredients import PREFERENCE_STAGES, Ingredients, MethodSettings, RefinePrompts


@dataclass(frozen=True, slots=True)
class ModelRole:
    """The base model that stands for one of the paper's."""

    reference: str
    description: str
    chat_template: str = ""
    """A file of configs/chat_templates, for a base model that has no template of its own."""
    closing_token: str = ""
    """What ends an answer, where it is not the tokenizer's EOS."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """Settings in which its training differs from the scale's, nested as there."""

    def artifact(self) -> Artifact:
        """The checkpoint as an artifact."""
        return model(self.reference, self.chat_template, self.closing_token)


@dataclass(frozen=True, slots=True)
class TrainingData:
    """The three training sets of section 4.1."""

    demonstrations: DataRole
    improver_data: DataRole
    preference_data: DataRole


@dataclass(frozen=True, slots=True)
class JudgeRole:
    """Who judges: "mini:judge", or a model at an OpenAI-compatible endpoint, by default the OpenAI API."""

    model: str
    base_url: str | None = None
    without: tuple[str, ...] = ()

    def reference(self) -> EndpointReference:
        """The judge as steps take it. Raises UserError for one that there cannot be."""
        return judge(self.model, self.base_url, self.without)

    @classmethod
    def of(cls, reference: EndpointReference) -> "JudgeRole":
        """The role that is filled by the judge `reference`."""
        return cls(reference.model, reference.base_url or None, reference.without)


@dataclass(frozen=True, slots=True)
class Fast:
    """What `--fast` makes smaller: the models run unless others are asked for, and the size of each role and bench."""

    models: tuple[str, ...]
    sizes: dict[str, int]


@dataclass(frozen=True, slots=True)
class Scale:
    """Everything that a paper's experiment needs and the paper's own hardware had."""

    name: str
    description: str
    teacher: str
    judge: JudgeRole
    prompts: str
    models: dict[str, ModelRole]
    data: TrainingData
    sampling: Sampling
    training: MethodSettings
    benches: dict[str, Any]
    """By bench, its own `Options`: what stands in the file, read by the bench's class."""
    fast: Fast
    compute: Compute = field(default_factory=Compute)
    """How the machine that the scale is meant for trains and asks models."""
    allow_missing: bool = False
    """Whether scores are shown that rest on less than 99 % of the verdicts."""
    is_reduced: bool = False
    """Whether the counts are those of `fast`."""
    rates: RateTable | None = None
    """What was chosen as learning rates of preference stages, where it was."""
    where: str = ""
    """The scale's file, as messages call it."""
    paper: str = DEFAULT_PAPER
    """Whose roles it fills."""

    @property
    def truth_is_known(self) -> bool:
        """Whether responses have a gold quality: in the embedded world only."""
        return self.judge.model == EMBEDDED

    def faster(self) -> "Scale":
        """The same scale with data cut down as its `fast` section says."""
        return replace(
            self,
            is_reduced=True,
            data=TrainingData(
                demonstrations=replace(self.data.demonstrations, size=self.fast.sizes["demonstrations"]),
                improver_data=replace(self.data.improver_data, size=self.fast.sizes["improver_data"]),
                preference_data=replace(self.data.preference_data, size=self.fast.sizes["preference_data"]),
            ),
            benches={name: options.resized(self.fast.sizes[name]) for name, options in self.benches.items()},
        )

    def limited(self, size: int) -> "Scale":
        """The same scale with at most `size` instructions in each evaluation set."""
        benches = {name: options.resized(min(size, options.size)) for name, options in self.benches.items()}
        return replace(self, benches=benches)

    def at_most(self, size: int) -> "Scale":
        """The same scale with at most `size` rows of each data set, evaluation sets included."""
        cut = {
            each.name: replace(role, size=min(size, role.size))
            for each in fields(TrainingData)
            for role in [getattr(self.data, each.name)]
        }
        return replace(self.limited(size), data=TrainingData(**cut), is_reduced=True)

    def ingredients(self, model_name: str, seed: int, method: str = "") -> Ingredients:
        """What `method` starts from, for one base model and seed. Raises UserError for an unknown model."""
        if model_name not in self.models:
            raise unknown("model", model_name, self.models)
        role = self.models[model_name]
        return Ingredients(
            base=role.artifact(),
            teacher=model(self.teacher),
            demonstrations=self.data.demonstrations.artifact(),
            improver_data=self.data.improver_data.artifact(),
            preference_data=self.data.preference_data.artifact("pairs"),
            prompts=self.prompt_set().refine,
            sampling=self.sampling,
            settings=self.method_settings(model_name, method),
            seed=seed,
        )

    def method_settings(self, model_name: str, method: str = "") -> MethodSettings:
        """The training settings of a method on a base model: the one place where its learning rates are resolved.

        A method that `rates` has trains its preference stage at its own. Any other takes the rate of the method that
        its stage is named after (dpo, spin or sgpo), else SGPO's. What has no rate there has the scale's.
        """
        where = f"{self.where}: models.{model_name}"
        settings = _changed(self.training, self.models[model_name].training, where)
        rates = self.rates.rates(model_name) if self.rates else {}
        found = {stage: _first_of(rates, (method, stage, "sgpo")) for stage in PREFERENCE_STAGES}
        return settings.with_preference_rates({stage: rate for stage, rate in found.items() if rate is not None})

    @property
    def prompts_path(self) -> Path:
        """The file of its prompts, in the paper's folder. Raises UserError where it is not there."""
        return paper_file(self.paper, f"prompts/{self.prompts}.yaml")

    def prompt_set(self) -> "PromptSet":
        """The prompts this scale uses."""
        return load_yaml(self.prompts_path, PromptSet)


@dataclass(frozen=True, slots=True)
class PromptSet:
    """The prompts of a scale. A bench that `judge` has none for is judged with its own tool's."""

    refine: RefinePrompts
    judge: dict[str, JudgePrompt] = field(default_factory=dict)

    def judge_prompt(self, bench: str) -> JudgePrompt:
        """How the judge is asked on `bench`. Raises UserError for one that has no prompt of its own either."""
        return self.judge.get(bench) or official_prompt(bench)


def load_scale(reference: str, *, paper: str = DEFAULT_PAPER, fast: bool = False) -> Scale:
    """Read a paper's scale ``recipes/<reference>.yaml``, or that of a file of one's own: ``./mine.yaml``.

    Its name is that of its file, whatever a copied file says; paths in it start from the working folder.
    Raises UserError for an unknown name, with the nearest known one, and for a file that is no scale, or is named as a
    scale of the paper is.
    """
    path = scale_path(reference, paper)
    scale = load_yaml(path, Scale)
    benches = _bench_options(scale.benches, str(path))
    scale = replace(scale, name=path.stem, where=path_text(path), paper=paper, benches=benches)
    _check_names(scale)
    scale = replace(scale, rates=_chosen_rates(scale, rates_path(reference, paper)))
    return scale.faster() if fast else scale


def _bench_options(benches: Mapping[str, Any], where: str) -> dict[str, Options]:
    """What a file says of each bench, as the bench's own options. Raises UserError for unknown benches and options."""
    return {
        name: from_mapping(load_benchmark(name).Options, options, f"{where}: benches.{name}")
        for name, options in benches.items()
    }


def scale_names(paper: str = DEFAULT_PAPER) -> list[str]:
    """The scales of a paper, sorted."""
    return sorted(path.stem for path in (paper_folder(paper) / "recipes").glob("*.yaml"))


def scale_path(reference: str, paper: str = DEFAULT_PAPER) -> Path:
    """The file of a scale. Raises UserError as `load_scale` does, but for what is in the file."""
    known = scale_names(paper)
    if not is_path(reference):
        if reference not in known:
            raise unknown("scale", reference, known, f"; yours is a file, such as ./{_own_file(reference)}")
        return paper_file(paper, f"recipes/{reference}.yaml")
    path = Path(reference)
    if (
        path.exists()
        and path.stem in known
        and path.resolve() != paper_file(paper, f"recipes/{path.stem}.yaml").resolve()
    ):
        raise UserError(f"{path} would be taken for the packaged scale {path.stem!r}; give the file another name")
    return path


def _own_file(name: str) -> str:
    """The file that may be meant by a name that is no packaged scale's: that of the working folder, if it is there."""
    return next((file for file in (f"{name}.yaml", f"{name}.yml") if Path(file).is_file()), "mine.yaml")


def rates_path(reference: str, paper: str = DEFAULT_PAPER) -> Path:
    """Where the learning rates are that were chosen for a scale, if they were: beside a file of one's own."""
    if is_path(reference):
        return Path(reference).with_suffix(".rates.yaml")
    return paper_folder(paper) / "rates" / f"{reference}.yaml"


def _chosen_rates(scale: Scale, path: Path) -> RateTable | None:
    """The rates in the file, if it is there. Raises UserError for a name in it that the scale or we do not have."""
    if not path.is_file():
        return None
    table = read_rate_table(path)
    methods = [method for of in table.models.values() for method in of]
    for kind, names, known in (("model", table.models, scale.models), ("method", methods, METHODS.names())):
        if stray := next((name for name in names if name not in known), None):
            raise unknown(f"{kind} in {path_text(path)}:", stray, known)
    return table


def _check_names(scale: Scale) -> None:
    """Raises UserError where one part of the scale names what another part does not have."""
    where = scale.where
    roles = [*(field.name for field in fields(TrainingData)), *scale.benches]
    judged = [name for name in scale.benches if isinstance(load_benchmark(name), JudgedPairs)]
    for kind, names, known in (
        ("model", scale.fast.models, list(scale.models)),
        ("role with a size", scale.fast.sizes, roles),
        ("role without a size", roles, list(scale.fast.sizes)),
        ("bench without a judge prompt", judged, [*scale.prompt_set().judge, *OFFICIAL_PROMPTS]),
    ):
        if stray := next((name for name in names if name not in known), None):
            raise unknown(f"{kind} in {where}:", stray, known)


def _changed(settings: MethodSettings, changes: Mapping[str, Any], where: str) -> MethodSettings:
    """`settings` with what one model changes. Raises UserError for a change of what there is not."""
    return from_mapping(MethodSettings, _merged(asdict(settings), changes), f"{where}.training")


def _first_of(rates: Mapping[str, float], names: Sequence[str]) -> float | None:
    return next((rates[name] for name in names if name in rates), None)


def _merged(before: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    inner = {
        name: _merged(before[name], value) if isinstance(value, Mapping) and name in before else value
        for name, value in changes.items()
    }
    return {**before, **inner}

"""From the name of a recipe, or its file, to the recipe: read, completed, and checked."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from evals.base import Options
from evals.judged_pairs import JudgedPairs
from harness.config.learning_rates import RateTable, read_rate_table
from harness.config.yaml_files import from_mapping, is_path, load_yaml, named_config, path_text, read_yaml
from harness.engine.compute import Compute
from harness.errors import UserError, unknown
from harness.papers import DEFAULT_PAPER, paper_file, paper_folder, papers
from harness.recipes.changes import Settings, asked_changes, merged
from harness.recipes.recipe import Recipe, RecipeFile
from harness.recipes.registries import EVALS, METHODS, load_benchmark, load_method
from harness.steps.judge_prompt import OFFICIAL_PROMPTS

INSTALLED = "; those of another package where it is installed"
"""What else may be known, of what packages bring."""


def load_recipe(
    reference: str, *, fast: bool = False, paper: str = DEFAULT_PAPER, changes: Sequence[str] = ()
) -> Recipe:
    """Read the recipe ``configs/papers/<paper>/recipes/<reference>.yaml``, or a file of one's own: ``./mine.yaml``.

    Its name is that of its file; paths in it start from the working folder. A file of one's own says which paper it is
    of, or is of SGPO. `changes` are written as ``methods.dpo.beta=0.1``. Raises UserError for an unknown name, with the
    nearest known one; for a file that is no recipe, lacks what its methods need, or is named as a packaged recipe is;
    and for a change of what there is not.
    """
    reference, paper = _packaged(reference, paper)
    path, asked = recipe_path(reference, paper), asked_changes(changes)
    content = read_yaml(path)
    read = from_mapping(RecipeFile, content, str(path))
    others = {part: inner for part, inner in asked.items() if part != "methods"}
    if others:
        read = from_mapping(RecipeFile, merged(content, others), "--set")
    read = replace(read, benches=_bench_options(read.benches, str(path)))
    recipe = replace(_completed(read, reference, path, paper), changes=asked)
    _check_names(recipe)
    for name in {**recipe.methods, **recipe.variants, **asked.get("methods", {})}:
        _check_method(recipe, name)
    return recipe.faster() if fast else recipe


def _bench_options(benches: Mapping[str, Any], where: str) -> dict[str, Options]:
    """Read each bench's own options. Raises UserError for unknown benches and options."""
    _require_known(f"bench in {where}:", benches, EVALS.names(), INSTALLED)
    return {
        name: from_mapping(load_benchmark(name).Options, options, f"{where}: benches.{name}")
        for name, options in benches.items()
    }


def recipe_names(paper: str = DEFAULT_PAPER) -> list[str]:
    """Return the paper's recipes, sorted."""
    return sorted(path.stem for path in (paper_folder(paper) / "recipes").glob("*.yaml"))


def recipe_path(reference: str, paper: str = DEFAULT_PAPER) -> Path:
    """Return the file of a recipe. Raises UserError as `load_recipe` does, but for what is in the file."""
    reference, paper = _packaged(reference, paper)
    known = recipe_names(paper)
    if not is_path(reference):
        if reference not in known:
            raise unknown("scale", reference, known, f"; yours is a file, such as ./{_own_file(reference)}")
        return paper_file(paper, f"recipes/{reference}.yaml")
    path = Path(reference)
    if path.exists() and path.stem in known:
        raise UserError(f"{path} would be taken for the packaged scale {path.stem!r}; give the file another name")
    return path


def _packaged(reference: str, paper: str) -> tuple[str, str]:
    """Return a recipe's name and its paper; of a file of the package those that it has there, as if given by name."""
    path = Path(reference).resolve()
    owners = (each for each in papers() if path.parent == (paper_folder(each) / "recipes").resolve())
    owner = next(owners, None) if is_path(reference) else None
    return (path.stem, owner) if owner else (reference, paper)


def _own_file(name: str) -> str:
    """Return the file of one's own that a name may be meant for: that of the working folder, if there is one."""
    return next((file for file in (f"{name}.yaml", f"{name}.yml") if Path(file).is_file()), "mine.yaml")


def rates_path(reference: str, paper: str = DEFAULT_PAPER) -> Path:
    """Return the file of a recipe's chosen learning rates, which may be missing; beside a recipe of one's own."""
    reference, paper = _packaged(reference, paper)
    if is_path(reference):
        return Path(reference).with_suffix(".rates.yaml")
    return paper_folder(paper) / f"rates/{reference}.yaml"


def load_variants(paper: str) -> dict[str, Settings]:
    """Return the variants of methods that a paper has, from its ``methods.yaml``; none where it has none."""
    path = paper_folder(paper) / "methods.yaml"
    return from_mapping(dict[str, Mapping[str, Any]], read_yaml(path), str(path)) if path.is_file() else {}


def _completed(read: RecipeFile, reference: str, path: Path, paper: str) -> Recipe:
    """Return the recipe with what is not in its file."""
    paper = (read.paper or DEFAULT_PAPER) if is_path(reference) else paper
    recipe = Recipe(
        **{each.name: getattr(read, each.name) for each in fields(RecipeFile)} | {"paper": paper},
        name=path.stem,
        where=path_text(path),
        compute=_compute(read.machine),
        variants=load_variants(paper),
    )
    rates = rates_path(reference, paper)
    return replace(recipe, rates=_chosen_rates(recipe, rates, path_text(rates)))


def _compute(machine: str) -> Compute:
    """Return what a machine gives to steps: a file of configs/machines, or one's own; the defaults without a name."""
    if not machine:
        return Compute()
    if is_path(machine):
        return load_yaml(Path(machine), Compute)
    return load_yaml(
        named_config("machine", machine, "machines/*.yaml", "; yours is a file, such as ./mine.yaml"), Compute
    )


def _chosen_rates(recipe: Recipe, path: Path, where: str) -> RateTable | None:
    """Read the rates, if their file is there. Raises UserError for a name in it that the recipe does not have."""
    if not path.is_file():
        return None
    table = read_rate_table(path)
    _require_known(f"model in {where}:", table.models, recipe.base_models)
    _require_known(f"method in {where}:", _inner(table.models), recipe.method_names())
    return table


def _check_method(recipe: Recipe, name: str) -> None:
    """Raise UserError where a method lacks a setting or a role, on any base model."""
    if recipe.parent(name) not in recipe.methods:  # of the paper, and not in this recipe
        return
    for base_model in recipe.base_models:
        recipe.method(base_model, name)  # raises UserError for its settings
    needs, where = load_method(recipe.parent(name)).needs, f"in {recipe.where}, which {name} needs:"
    _require_known(f"model role {where}", needs.models, recipe.models)
    for base_model in recipe.base_models:
        data, prompts = ([recipe.role_on(base_model, role) for role in of] for of in (needs.data, needs.prompts))
        _require_known(f"data role {where}", data, recipe.data)
        _require_known(f"prompt {where}", prompts, recipe.prompt_set().methods)


def _check_names(recipe: Recipe) -> None:
    """Raise UserError where one part of the recipe names what another part does not have."""
    where, methods = recipe.where, recipe.method_names()
    for name in recipe.methods:
        if name in METHODS.names() and recipe.parent(name) != name:
            raise UserError(f"{where}: methods.{name} is a registered method; give what is made of another a new name")
    roles = [*recipe.data, *recipe.benches]
    judged = [name for name in recipe.benches if isinstance(load_benchmark(name), JudgedPairs)]
    for kind, names, known in (
        (f"model in {where}:", recipe.fast.base_models, recipe.base_models),
        (f"role with a size in {where}:", recipe.fast.sizes, roles),
        (f"role without a size in {where}:", roles, recipe.fast.sizes),
        (f"bench without a judge prompt in {where}:", judged, [*recipe.prompt_set().judge, *OFFICIAL_PROMPTS]),
        (f"method to --set in {where}:", recipe.changes.get("methods", {}), methods),
        (f"model with overrides in {where}:", recipe.overrides, recipe.base_models),
        (f"model with roles in {where}:", recipe.roles, recipe.base_models),
        (f"role in {where}:", _other_roles(recipe), [*recipe.data, *recipe.prompt_set().methods]),
        (f"method with overrides in {where}:", _inner(recipe.overrides), methods),
    ):
        _require_known(kind, names, known)


def _other_roles(recipe: Recipe) -> list[str]:
    return [role for of in recipe.roles.values() for role in of.values()]


def _inner(names: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [name for inner in names.values() for name in inner]


def _require_known(kind: str, names: Iterable[str], known: Iterable[str], besides: str = "") -> None:
    known = list(known)
    if stray := next((name for name in names if name not in known), None):
        raise unknown(kind, stray, known, besides)

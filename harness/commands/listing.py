"""`harness list`: what there is, with a line on each."""

from collections.abc import Callable, Iterator
from datetime import date

from harness.endpoints.known_models import JudgeModel, judge_table
from harness.endpoints.reference import EMBEDDED
from harness.errors import UserError
from harness.experiments import ALL
from harness.papers import AnyExhibit, exhibit_names, load_exhibit, papers
from harness.recipes.loading import DEFAULT_PAPER, load_recipe, load_variants, recipe_names
from harness.recipes.recipe import Recipe
from harness.recipes.registries import EVALS, METHODS, load_evaluation, load_method


def listing(kind: str) -> Iterator[tuple[str, str]]:
    """Yield (name, summary) of all there are of a kind: a plural, such as "methods"; others are experiments."""
    if kind == "methods":
        for name in METHODS.names():
            yield name, _summary(_of_method, name)
        for paper in papers():
            for name, variant in load_variants(paper).items():
                yield name, f"{variant.get('summary', '')} ({variant.get('method', name)} in the recipes of {paper})"
    elif kind == "evals":
        for name in EVALS.names():
            yield name, _summary(_of_evaluation, name)
    elif kind == "scales":
        for name, recipe in _recipes():
            yield name, recipe.description
    elif kind == "models":
        yield from _models()
    elif kind == "judges":
        yield from _judges()
    else:
        for name, paper in exhibit_names().items():
            exhibit = load_exhibit(paper, name)
            where = f"arXiv {exhibit.paper.arxiv}, {exhibit.where}{_models_of(exhibit)}"
            yield name, f"{exhibit.label}: {exhibit.caption} ({where})"
        yield ALL, "all of these in one report"


def _models_of(exhibit: AnyExhibit) -> str:
    """What tells two of a paper's figures apart that have the same caption."""
    return f"; {', '.join(exhibit.models)}" if exhibit.models else ""


def _of_method(name: str) -> str:
    return load_method(name).card.summary


def _of_evaluation(name: str) -> str:
    evaluation = load_evaluation(name)
    return f"{evaluation.summary} ({evaluation.source})"


def _summary(of: Callable[[str], str], name: str) -> str:
    """The line on a method or evaluation, or why it cannot be used: one that is broken hides no other."""
    try:
        return of(name)
    except UserError as error:
        return str(error)


def _recipes() -> Iterator[tuple[str, Recipe]]:
    """The packaged recipes, of other papers than the default one with the paper's name."""
    for paper in papers():
        for name in recipe_names(paper):
            yield name if paper == DEFAULT_PAPER else f"{paper}/{name}", load_recipe(name, paper=paper)


def _models() -> Iterator[tuple[str, str]]:
    """What `--model` takes, and `--models` calls by the scale's own names."""
    for scale, recipe in _recipes():
        for name, role in recipe.base_models.items():
            yield role.reference, f"{name} of the scale {scale}: {role.description}"


def _judges() -> Iterator[tuple[str, str]]:
    yield EMBEDDED, "the embedded judge of the scale mini: free, and knows the truth"
    for model in judge_table().models:
        for name in model.names:
            yield name, _judge_line(model)


def _judge_line(model: JudgeModel) -> str:
    price = model.price
    parts = [
        f"{_dollars(price.prompt)} and {_dollars(price.completion)} per million tokens of prompt and completion"
        if price
        else "",
        f"refuses {', '.join(model.without)}" if model.without else "",
        _end(model.shutdown_date),
    ]
    return "; ".join(filter(None, parts)) or "price unknown"


def _dollars(price: float) -> str:
    """As prices are written: $10, $2.50, $0.125."""
    return f"${price:g}" if price == int(price) or round(price, 2) != price else f"${price:.2f}"


def _end(day: str | None) -> str:
    """What a vendor announced of a model's end; empty where it announced none."""
    if not day:
        return ""
    return f"{'was' if day <= date.today().isoformat() else 'will be'} shut down on {day}, as announced"

"""`harness list`: what there is, with a line on each."""

from collections.abc import Callable, Iterator
from datetime import date
from functools import partial

from harness.endpoints.known_models import JudgeModel, judge_table
from harness.endpoints.reference import EMBEDDED
from harness.errors import UserError
from harness.papers.folders import DEFAULT_PAPER, papers
from harness.papers.kinds import AnyExhibit
from harness.papers.loading import exhibit_names, load_exhibit, load_paper
from harness.papers.names import ALL, list_names
from harness.recipes.loading import load_recipe, load_variants, recipe_names
from harness.recipes.registries import EVALS, METHODS, load_benchmark, load_method

BARE_NAMES = f"a bare name, such as table3, is that of the one paper that has it, else of {DEFAULT_PAPER}"


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
        yield from _scales()
    elif kind == "models":
        yield from _models()
    elif kind == "judges":
        yield from _judges()
    elif kind == "papers":
        for name in papers():
            yield name, _summary(_of_paper, name)
    else:
        yield from _experiments()


def _scales() -> Iterator[tuple[str, str]]:
    for paper in papers():
        for name in recipe_names(paper):
            yield name, f"{paper}: {_summary(partial(_of_scale, paper), name)}"


def _of_scale(paper: str, name: str) -> str:
    return load_recipe(name, paper=paper).description


def _of_paper(name: str) -> str:
    paper = load_paper(name)
    inside = f"exhibits {', '.join(exhibit_names(name))}; scales {', '.join(recipe_names(name))}"
    return f"{paper.title} (arXiv {paper.arxiv}; {inside})"


def _of_experiment(name: str) -> str:
    paper, _, exhibit_name = name.partition("/")
    if exhibit_name == ALL:
        return f"all of {paper} in one report"
    exhibit = load_exhibit(paper, exhibit_name)
    where = f"arXiv {exhibit.paper.arxiv}, {exhibit.where}{_models_of(exhibit)}"
    return f"{exhibit.label}: {exhibit.caption} ({where})"


def _experiments() -> Iterator[tuple[str, str]]:
    for each in list_names():
        yield str(each), _summary(_of_experiment, str(each))


def _models_of(exhibit: AnyExhibit) -> str:
    """Describe what tells two of a paper's figures apart that have the same caption."""
    return f"; {', '.join(exhibit.models)}" if exhibit.models else ""


def _of_method(name: str) -> str:
    return load_method(name).card.summary


def _of_evaluation(name: str) -> str:
    benchmark = load_benchmark(name)
    return f"{benchmark.summary} ({benchmark.source})"


def _summary(of: Callable[[str], str], name: str) -> str:
    """Return the line on one thing, or why it cannot be used: one that is broken hides no other."""
    try:
        return of(name)
    except UserError as error:
        return str(error)


def _models() -> Iterator[tuple[str, str]]:
    """Describe what `--model` takes, and `--models` calls by the scale's own names; a broken recipe hides no other."""
    for paper in papers():
        for scale in recipe_names(paper):
            try:
                roles = load_recipe(scale, paper=paper).base_models
            except UserError as error:
                yield f"{paper}/{scale}", str(error)
                continue
            for name, role in roles.items():
                yield role.reference, f"{name} of the scale {scale} of {paper}: {role.description}"


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
    """Format a price as prices are written: $10, $2.50, $0.125."""
    return f"${price:g}" if price == int(price) or round(price, 2) != price else f"${price:.2f}"


def _end(day: str | None) -> str:
    """Format what a vendor announced of a model's end; empty where it announced none."""
    if not day:
        return ""
    return f"{'was' if day <= date.today().isoformat() else 'will be'} shut down on {day}, as announced"

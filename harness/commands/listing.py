"""`harness list`: what there is, with a line on each."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

from evals.lm_eval.benchmark import ANY_TASK
from harness.commands.bench_lines import bench_line
from harness.commands.judge_lines import format_dollars, format_end
from harness.endpoints.known_models import JudgeModel, judge_table
from harness.endpoints.reference import EMBEDDED
from harness.errors import UserError
from harness.papers.folders import DEFAULT_PAPER, papers
from harness.papers.kinds import AnyExhibit
from harness.papers.loading import exhibit_names, load_exhibit, load_paper
from harness.papers.names import ALL, list_names
from harness.recipes.loading import load_recipe, load_variants, recipe_names
from harness.recipes.registries import EVALS, METHODS, load_method

BARE_NAMES = f"a bare name, such as table3, is that of the one paper that has it, else of {DEFAULT_PAPER}"


def listing(kind: str) -> Iterator[tuple[str, str]]:
    """Yield (name, summary) of all there are of a kind: a plural, such as "methods"."""
    return _KINDS[kind]()


def _methods() -> Iterator[tuple[str, str]]:
    yield from _each(_of_method, METHODS.names())
    for paper in papers():
        for name, variant in load_variants(paper).items():
            if "method" in variant:  # else a registered one, as the paper ran it
                yield name, f"{variant.get('summary', '')} ({variant['method']} in the recipes of {paper})"


def _scales() -> Iterator[tuple[str, str]]:
    for paper in papers():
        for name, summary in _each(partial(_of_scale, paper), recipe_names(paper)):
            yield name, f"{paper}: {summary}"


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


def _models_of(exhibit: AnyExhibit) -> str:
    """Describe what tells two of a paper's figures apart that have the same caption."""
    return f"; {', '.join(exhibit.models)}" if exhibit.models else ""


def _of_method(name: str) -> str:
    return load_method(name).card.summary


def _each(of: Callable[[str], str], names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each name with the line on it, or why it cannot be used: one that is broken hides no other."""
    for name in names:
        try:
            yield name, of(name)
        except UserError as error:
            yield name, str(error)


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
        f"{format_dollars(price.prompt)} and {format_dollars(price.completion)} per million tokens of prompt and "
        "completion"
        if price
        else "",
        f"refuses {', '.join(model.without)}" if model.without else "",
        format_end(model.shutdown_date),
    ]
    return "; ".join(filter(None, parts)) or "price unknown"


_KINDS: Mapping[str, Callable[[], Iterator[tuple[str, str]]]] = {
    "papers": lambda: _each(_of_paper, papers()),
    "experiments": lambda: _each(_of_experiment, map(str, list_names())),
    "methods": _methods,
    "evals": lambda: _each(bench_line, (*EVALS.names(), ANY_TASK)),
    "scales": _scales,
    "models": _models,
    "judges": _judges,
}

"""`harness list`: what there is, with a line on each."""

from collections.abc import Iterator

from harness.core.papers import exhibit_names, load_exhibit
from harness.experiments import ALL
from harness.registries import EVALS, METHODS, load_evaluation, load_method


def listing(kind: str) -> Iterator[tuple[str, str]]:
    """(name, summary) of all methods, evals or experiments."""
    if kind == "methods":
        for name in METHODS.names():
            yield name, load_method(name).card.summary
    elif kind == "evals":
        for name in EVALS.names():
            evaluation = load_evaluation(name)
            yield name, f"{evaluation.summary} ({evaluation.source})"
    else:
        for name, paper in exhibit_names().items():
            exhibit = load_exhibit(paper, name)
            yield name, f"{exhibit.label}: {exhibit.caption} (arXiv {exhibit.paper.arxiv}, {exhibit.where})"
        yield ALL, "all of these in one report"

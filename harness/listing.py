"""`harness list`: what there is, with a line on each."""

from collections.abc import Iterator

from harness.core.papers import load_paper_table
from harness.experiments import experiment_names
from harness.registries import EVALS, METHODS, load_method


def listing(kind: str) -> Iterator[tuple[str, str]]:
    """(name, summary) of all methods, evals or experiments."""
    if kind == "methods":
        for name in METHODS.names():
            yield name, load_method(name).card.summary
    elif kind == "evals":
        for name in EVALS.names():
            evaluation = EVALS.load(name)
            yield name, f"{evaluation.summary} ({evaluation.source})"
    else:
        for name, paper in experiment_names().items():
            table = load_paper_table(paper, name)
            yield name, f"{table.caption} (arXiv {table.arxiv}, {table.where})"

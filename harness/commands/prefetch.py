"""`harness prefetch`: fetches what a run needs of the hub, so that it can be run where there is no network."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from evals.ifeval.language_data import language_data_line
from evals.judged_pairs import JudgedPairs
from evals.lm_eval.run import fetch_task
from evals.mt_bench.questions import BENCH as MT_BENCH
from evals.mt_bench.questions import load_questions
from evals.official_data import load_baseline
from evals.own_items import OwnItems
from harness.endpoints.reference import EndpointReference
from harness.engine.artifacts import Artifact, Tracker, ancestry
from harness.engine.progress import EventHandler, display
from harness.engine.unresolved import has_placeholder, placeholders
from harness.errors import UserError
from harness.experiments import build_experiments
from harness.models.datasets import split_sizes
from harness.models.hub import HUB_NAMES, Repository, RepositoryKind, cache_folder, hub_repository
from harness.models.hub_models import megabytes, model_files
from harness.models.openai_teacher import OPENAI, teacher_endpoint
from harness.network import is_offline
from harness.papers.names import find_exhibit
from harness.plan.steps import GraphEstimates
from harness.recipes.registries import is_benchmark, load_benchmark
from harness.run.options import Choice
from harness.steps.cost import Fetch


@dataclass(frozen=True)
class Download:
    """Some files of a repository on the hub."""

    repository: Repository
    split: str = ""

    def __str__(self) -> str:
        return f"{self.repository.name}{f' ({self.split})' if self.split else ''} @ {self.repository.commit[:12]}"

    def sizes(self) -> Mapping[str, int]:
        """Return the bytes of each file. Raises UserError where the hub does not tell, or lacks what is needed."""
        if self.repository.kind == "model":
            return model_files(self.repository)
        return split_sizes(self.repository, self.split)


def prefetch(name: str, choice: Choice, report: Callable[[str], None]) -> None:
    """Fetch every model and data set that `harness reproduce` of the same would fetch; `report` hears a line of each.

    `name` may also be a benchmark: its official items are fetched, and the baseline's answers, for `harness eval`.

    Raises UserError for unknown names, and, when all else is fetched, where something cannot be.
    """
    if is_offline():
        raise UserError("HF_HUB_OFFLINE is set, so that nothing can be fetched; unset it, or set it to 0")
    if is_benchmark(name):
        for line in _official_items(name):
            report(line)
        return
    exhibit = find_exhibit(name)
    with placeholders() as unresolved:
        experiments = build_experiments(exhibit, replace(choice, paper=exhibit.paper).request())
        graph = ancestry(target for experiment in experiments for target in experiment.targets())
    known = [artifact for artifact in graph if not has_placeholder(artifact.params)]
    downloads = dict.fromkeys(filter(None, map(_download, known)))
    official = [*official_lines(known), *_own_item_lines(known)]
    failed = {**unresolved, **_fetch_all(downloads, report)}
    for line in (*official, *_endpoint_lines(graph)):
        report(line)
    for what, why in failed.items():
        report(f"missing   {what}: {why}")
    if downloads or official:
        report(f"kept in {cache_folder()}")
    elif not failed:
        report("nothing of the hub is needed")
    if failed:
        raise UserError(f"{len(failed)} could not be fetched, of which the first: {next(iter(failed.values()))}")


def _official_items(name: str) -> Iterator[str]:
    """Fetch the official items of a benchmark, and yield a line on each. Raises UserError for one without any."""
    benchmark = load_benchmark(name)
    if isinstance(benchmark, OwnItems):
        yield from benchmark.fetch()
    elif name == MT_BENCH or isinstance(benchmark, JudgedPairs):
        yield _official_line(*_official_source(name))
    else:
        raise UserError(f"{name} has no items of its own to fetch: it measures answers that you have")


def _own_item_lines(graph: Iterable[Artifact]) -> Iterator[str]:
    """Fetch what benchmarks that have their items themselves need, and yield a line on each."""
    tasks = dict.fromkeys(step.arguments["task"].name for step in graph if step.step == "ask_task")
    for task in tasks:
        yield from fetch_task(task)
    if any(step.step == "check_instructions" for step in graph):
        yield from language_data_line()


def _fetch_all(downloads: Collection[Download], report: Callable[[str], None]) -> dict[str, str]:
    """Describe why those that could not be fetched could not."""
    failed = {}
    with display(len(downloads)) as progress:
        for download in downloads:
            key = str(download)
            progress.start(key, key)
            try:
                report(_fetch(download, partial(progress.show, key)))
            except UserError as error:
                failed[key] = str(error)
            progress.end(key, True, None)
    return failed


def _download(artifact: Artifact) -> Download | None:
    """Return what a step fetches of the hub, if it does."""
    cost = GraphEstimates(None).known_cost(artifact)
    if not isinstance(cost, Fetch):
        return None
    on_hub = hub_repository(cost.kind, cost.reference)
    return Download(on_hub, artifact.params.get("split", "")) if on_hub else None


def _fetch(download: Download, report: EventHandler) -> str:
    repository, sizes = download.repository, download.sizes()
    is_there = all((repository.folder / name).is_file() for name in sizes)
    progress = Tracker(sum(map(megabytes, sizes.values())), "MB", 0, report)
    repository.fetch(sizes, lambda name: progress.advance(megabytes(sizes[name])))
    return _line(str(download), repository.kind, sum(sizes.values()), "was there" if is_there else "fetched")


def official_lines(graph: Sequence[Artifact]) -> Iterator[str]:
    """Yield the benches' own instructions and baselines, which building the graph has fetched."""
    steps = [artifact for artifact in graph if artifact.step == "baseline_responses"]
    benches = [step.params["bench"] for step in steps if step.params["source"] is None]
    if any(artifact.step == "official_questions" and artifact.params["source"] is None for artifact in graph):
        benches.append(MT_BENCH)
    for kind, source in dict.fromkeys(map(_official_source, dict.fromkeys(benches))):
        yield _official_line(kind, source)


def _official_source(bench: str) -> tuple[RepositoryKind, str]:
    """Return where a bench's own items are on the hub, which are fetched."""
    if bench == MT_BENCH:
        return "space", load_questions().source
    return "dataset", load_baseline(bench).source


def _official_line(kind: RepositoryKind, source: str) -> str:
    """Describe official data, whose `source` is a repository with the beginning of its commit."""
    name, _, commit = source.partition("@")
    snapshots = Repository(kind, name, commit).folder.parent
    whole = Repository(kind, name, next(snapshots.glob(f"{commit}*")).name)
    return _line(str(Download(whole)), kind, sum(whole.cached().values()), "is there")


def _endpoint_lines(graph: Iterable[Artifact]) -> Iterator[str]:
    """Describe what no prefetching brings here."""
    for endpoint in dict.fromkeys(each for artifact in graph for each in _endpoints(artifact)):
        yield f"endpoint  {endpoint}: cannot be fetched; the run asks it"


def _endpoints(artifact: Artifact) -> Iterator[EndpointReference]:
    """Yield the judge that a step asks, or the teacher that it stands for, where they are at an endpoint."""
    for value in artifact.arguments.values():
        if isinstance(value, EndpointReference) and value.base_url:
            yield value
        if artifact.step == "load_model" and isinstance(value, str) and value.startswith(OPENAI):
            yield teacher_endpoint(value)


def _line(what: str, kind: RepositoryKind, size: int, state: str) -> str:
    amount = f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
    return f"{HUB_NAMES[kind]:8}  {what}  {amount}  {state}"

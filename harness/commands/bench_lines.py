"""The line of `harness list evals` on a benchmark: what it needs, what its own judge costs, whether that still is."""

from collections.abc import Iterator
from typing import Any

from evals.base import Benchmark, PublishedMetric
from evals.judged_pairs import JudgedPairs
from evals.mt_bench.grading import tokens_to_grade
from evals.mt_bench.questions import BENCH as MT_BENCH
from evals.mt_bench.settings import TURNS, mt_bench_settings
from evals.official_steps import OFFICIAL_DATA
from harness.commands.judge_lines import format_dollars, format_end
from harness.endpoints.cost import TYPICAL_REPLY_TOKENS
from harness.endpoints.known_models import known_model
from harness.errors import UserError
from harness.recipes.registries import load_benchmark
from harness.steps.cost import chat_tokens
from harness.steps.estimates import load_estimates
from harness.steps.judge import order_count
from harness.steps.judge_prompt import official_prompt

_NEEDS = {"model": "a checkpoint", "outputs": "a checkpoint or stored outputs", "baselines": "a baseline's answers"}


def bench_line(name: str) -> str:
    """Describe the benchmark `name` in one line. Raises UserError for one that cannot be loaded."""
    benchmark = load_benchmark(name)
    return f"{benchmark.summary} ({benchmark.source}); {'; '.join(_parts(name, benchmark))}"


def _parts(name: str, benchmark: Benchmark[Any]) -> Iterator[str]:
    yield f"needs {_needs(benchmark)}"
    published = benchmark.published
    if published and published.judges:
        yield from _own_judge(name, benchmark, published)
    elif isinstance(benchmark, JudgedPairs):
        yield f"no judge of its own, {order_count(benchmark.protocol)} verdicts a pair by the one that you name"
    else:
        yield "no judge, so free"


def _needs(benchmark: Benchmark[Any]) -> str:
    if isinstance(benchmark, JudgedPairs):
        return "a checkpoint or stored outputs, a baseline's answers, and a judge"
    if {"model", "outputs"} <= set(benchmark.needs):
        return "a checkpoint, and its own or stored answers"
    return " and ".join(_NEEDS[need] for need in benchmark.needs)


def _own_judge(name: str, benchmark: Benchmark[Any], published: PublishedMetric) -> Iterator[str]:
    """Yield the judge that defines the published metric: what it costs for one model, and until when it is served."""
    model = known_model(published.asked_judge)
    if isinstance(benchmark, JudgedPairs):
        calls, what = published.n_items * order_count(benchmark.protocol), "verdicts"
    else:
        calls, what = published.n_items * len(TURNS), "grades"
    usd = _usd(name, published, calls)
    cost = f"about {format_dollars(round(usd, 1 if usd < 10 else 0))} a model" if usd else "price unknown"
    yield f"judge {published.asked_judge}, {calls:,} {what}, {cost}"
    yield format_end(model.shutdown_date) or "no end of that judge is announced"


def _usd(name: str, published: PublishedMetric, calls: int) -> float | None:
    """Estimate what the judge costs for answers as long as the baseline's; None without a price, or its prompt."""
    price = known_model(published.asked_judge).price
    try:
        asked, most = _request_tokens(name)
    except UserError:  # a package with the prompt is not installed
        return None
    return price.usd(round(calls * asked), calls * min(most, TYPICAL_REPLY_TOKENS)) if price else None


def _request_tokens(name: str) -> tuple[float, int]:
    """Return the mean tokens of a request, and the most of its reply. Raises UserError where there is no prompt."""
    lengths = load_estimates().of_data(f"{OFFICIAL_DATA}{name}")
    if name == MT_BENCH:
        prompts = mt_bench_settings().official
        return tokens_to_grade(prompts, lengths.prompt, lengths.answer), prompts.max_tokens
    prompt = official_prompt(name)
    own = chat_tokens(prompt.request("", "", "").messages)
    return own + lengths.prompt + 2 * lengths.answer, prompt.max_tokens

"""The pair viewer with 10,000 pairs in Chromium: size of the page, and how long its reader waits.

    .venv/bin/python benchmarks/viewer.py [--pairs 10000] [--data ../shared/data] [--keep page.html]

With --data, prompts are AlpacaEval 2.0's, the left answers are its baseline's and the right ones those of eight models,
each with one word in ten replaced so that no two are alike; without it, texts are drawn from made-up words, prompts of
165 characters and answers of 1,500. Each verdict comes with a reply of 600 characters. Times are medians in one run of
the browser; that of a search contains the pause (150 ms) after which it starts.
"""

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from reports.viewer import Pair, Side, Verdict, viewer_page
from tests.reports.browser import MISSING, chromium_path, launched

if TYPE_CHECKING:
    from playwright.sync_api import Page

REPEATS = 5
METHODS = ("SFT", "DPO", "SPIN", "SGPO†", "SGPO‡", "SGPO")
LIMITS = {"open": 1000.0, "filter": 100.0, "search": 500.0, "pair": 100.0, "next": 100.0}
"""Milliseconds; the first is the aim of the project, the others what feels immediate, or nearly."""

# Each measures, inside the page, from an action to the frame that shows its effect.
AFTER_FRAME = "new Promise((done) => requestAnimationFrame(() => setTimeout(done)))"
FILTER = f"""async () => {{
  const select = document.querySelector(".pv-facets select"), from = performance.now();
  select.selectedIndex = select.selectedIndex ? 0 : 2;
  select.dispatchEvent(new Event("change"));
  await {AFTER_FRAME};
  return performance.now() - from;
}}"""
SEARCH = f"""async (words) => {{
  const input = document.querySelector(".pv-search input"), rows = document.querySelector(".pv-rows");
  const drawn = new Promise((done) => new MutationObserver(done).observe(rows, {{ childList: true }}));
  const from = performance.now();
  input.value = words;
  input.dispatchEvent(new Event("input"));
  await drawn;
  await {AFTER_FRAME};
  return performance.now() - from;
}}"""
OPEN = f"""async () => {{
  const from = performance.now();
  document.querySelector(".pv-row[aria-selected=true]").click();
  while (!document.querySelector(".pv-dialog").open) await {AFTER_FRAME};
  await {AFTER_FRAME};
  const took = performance.now() - from;
  document.querySelector(".pv-close").click();
  await new Promise((done) => setTimeout(done, 100));
  return took;
}}"""
NEXT = f"""async () => {{
  const place = document.querySelector(".pv-place"), before = place.textContent, from = performance.now();
  document.querySelector(".pv-next").click();
  while (place.textContent === before) await {AFTER_FRAME};
  await {AFTER_FRAME};
  return performance.now() - from;
}}"""
SCROLL = """async () => {
  const list = document.querySelector(".pv-list"), frames = [];
  for (let frame = 0, last = performance.now(); frame < 120; frame += 1) {
    list.scrollTop += 4321;
    await new Promise(requestAnimationFrame);
    frames.push(performance.now() - last);
    last = performance.now();
  }
  return frames;
}"""


def main() -> None:
    """Writes the page, opens it and prints what it costs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10_000)
    parser.add_argument("--data", type=Path, help="folder with alpaca_eval2/")
    parser.add_argument("--keep", type=Path, help="file that keeps the page")
    arguments = parser.parse_args()
    browser = chromium_path()
    if browser is None:
        raise SystemExit(MISSING)
    pairs = list(_pairs(arguments.pairs, _real(arguments.data) if arguments.data else _made_up()))
    with tempfile.TemporaryDirectory() as folder:
        page = arguments.keep or Path(folder) / "viewer.html"
        _write(pairs, page)
        _measure(browser, page.resolve().as_uri())


def _write(pairs: list[Pair], page: Path) -> None:
    texts = {text for pair in pairs for text in (pair.prompt, pair.left.text, pair.right.text)}
    texts |= {verdict.reply for pair in pairs for verdict in pair.verdicts}
    start = time.perf_counter()
    page.write_text(viewer_page(pairs, title="Pairs", heading="Pairs"), encoding="utf-8")
    seconds = time.perf_counter() - start
    print(
        f"{len(pairs):,} pairs, {sum(map(len, texts)) / 1e6:.1f} million characters in {len(texts):,} different texts"
    )
    print(f"page: {page.stat().st_size / 2**20:.1f} MiB, written in {seconds:.1f} s")


def _measure(browser_path: str, url: str) -> None:
    with launched(browser_path) as browser:
        opening = []
        for _ in range(REPEATS):
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            opening.append(_opening(page, url))
            if len(opening) < REPEATS:
                page.close()
        _report("open", "from navigation to a list to use", opening)
        start = time.perf_counter()
        first = page.evaluate(SEARCH, "the first search waits for every text")
        print(f"first search, right after opening: {first:.0f} ms ({time.perf_counter() - start:.1f} s by the clock)")
        page.evaluate(SEARCH, "")
        _report("filter", "a filter", [page.evaluate(FILTER) for _ in range(2 * REPEATS)])
        words = ["e", "science", "no text has this", "on the", "zq"]
        _report("search", "a search", [page.evaluate(SEARCH, query) for query in words])
        page.evaluate(SEARCH, "")
        frames = page.evaluate(SCROLL)
        print(f"scrolling: {1000 / statistics.mean(frames):.0f} frames a second, the slowest {max(frames):.0f} ms")
        page.evaluate("document.querySelector('.pv-list').scrollTop = 0")
        page.wait_for_selector(".pv-row[aria-selected=true]")
        _report("pair", "opening a pair", [page.evaluate(OPEN) for _ in range(REPEATS)])
        page.keyboard.press("Enter")
        page.wait_for_selector(".pv-dialog[open]")
        _report("next", "going to the next pair, with its word diff", [page.evaluate(NEXT) for _ in range(20)])


def _opening(page: "Page", url: str) -> float:
    """Milliseconds by the page's own clock, which starts with the navigation."""
    page.add_init_script(
        """new MutationObserver((_, observer) => {
          if (!document.querySelector(".pv-row")) return;
          observer.disconnect();
          requestAnimationFrame(() => setTimeout(() => (window.usable = performance.now())));
        }).observe(document, { subtree: true, childList: true });"""
    )
    page.goto(url)
    return float(page.wait_for_function("window.usable").json_value())


def _report(limit: str, what: str, times: list[float]) -> None:
    median = statistics.median(times)
    verdict = "within" if median <= LIMITS[limit] else "ABOVE"
    print(f"{what}: {median:.0f} ms (up to {max(times):.0f}), {verdict} {LIMITS[limit]:.0f} ms")


def _pairs(count: int, rows: Iterator[tuple[str, str, str]]) -> Iterator[Pair]:
    rng = random.Random(0)
    replies = [" ".join(rng.choices(_words(), k=110)) for _ in range(2000)]
    for place in range(count):
        prompt, left, right = next(rows)
        outcome = rng.choice(("win", "tie", "loss"))
        facets = {
            "model": ("qwen", "llama")[place % 2],
            "method": METHODS[place // 2 % len(METHODS)],
            "bench": ("AlpacaEval 2.0", "Arena-Hard")[place // 12 % 2],
            "verdict": outcome,
        }
        verdicts = tuple(
            Verdict(shown, label, 0.25, outcome, f"{place}: {rng.choice(replies)}\n[[{label}]]")
            for shown, label in (("baseline first", "A>B"), ("method first", "B>A"))
        )
        yield Pair(f"pair-{place}", facets, prompt, Side("baseline", left), Side(facets["method"], right), verdicts)


def _real(data: Path) -> Iterator[tuple[str, str, str]]:
    folder = data / "alpaca_eval2"
    baseline = json.loads((folder / "baseline_gpt4_1106_preview.json").read_text(encoding="utf-8"))
    left = {row["instruction"]: row["output"] for row in baseline}
    files = sorted((folder / "model_outputs").glob("*.json"))
    outputs = [row for file in files for row in json.loads(file.read_text(encoding="utf-8"))]
    rng, words = random.Random(0), _words()
    while True:
        for row in outputs:
            changed = (rng.choice(words) if rng.random() < 0.1 else word for word in row["output"].split(" "))
            yield row["instruction"], left.get(row["instruction"], ""), " ".join(changed)


def _made_up() -> Iterator[tuple[str, str, str]]:
    rng, words = random.Random(0), _words()
    prompts = [(_text(rng, words, 165), _text(rng, words, 1500)) for _ in range(805)]
    while True:
        for prompt, left in prompts:
            yield prompt, left, _text(rng, words, 1500)


def _text(rng: random.Random, words: list[str], characters: int) -> str:
    return " ".join(rng.choices(words, k=characters // 5))[:characters]


def _words() -> list[str]:
    """5,000 made-up words."""
    rng = random.Random(1)
    return ["".join(rng.choices("etaoinshrdlu", k=2 + place % 8)) for place in range(5000)]


if __name__ == "__main__":
    main()

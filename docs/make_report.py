"""Writes what the documentation shows of a paper's run: its report, docs/report/ or docs/srpo/, and blocks of pages.

    .venv/bin/python docs/make_report.py runs/report/sgpo/all [--alarms runs/report/alarms.json]
    .venv/bin/python docs/make_report.py runs/report/srpo/all

All of it comes from the run's manifest by the report's own renderer, so that README.md and the report say the same.
The alarms are those of benchmarks/regress_alarms.py, counted at the commit of the run. A block stands between two
comments, ``<!-- block NAME: ... -->`` and ``<!-- end NAME -->``, and is replaced as a whole; what stands around it is
left alone. `make report` calls this.
"""

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.files import replace_file
from harness.results.manifest import Manifest, read_manifest
from reports.blocks import Prose, Report, Table
from reports.figures import draw
from reports.markdown import markdown, markdown_report
from reports.report import build_report

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the documentation shows the run of a paper."""

    folder: str
    """Of report.md, its figures/, and a README.md."""
    pages: Mapping[str, tuple[str, ...]]
    """Each page and its blocks."""
    table: str = ""
    """The exhibit that README.md shows, as a table and a figure, if any."""


PLACES: Mapping[str, Place] = {
    "sgpo": Place(
        "docs/report",
        {
            "README.md": ("sgpo-headline", "sgpo-table3"),
            "docs/report/README.md": ("sgpo-headline", "sgpo-claims"),
            "docs/regress.md": ("alarms",),
        },
        "table3",
    ),
    "srpo": Place(
        "docs/srpo", {"README.md": ("srpo-headline",), "docs/srpo/README.md": ("srpo-headline", "srpo-claims")}
    ),
}
"""By the paper's name."""
ALARMS = "docs/regress_alarms.json"
"""Where the counted alarms lie beside the page that shows them."""


def make(run: Path, alarms: Path | None, root: Path = ROOT) -> None:
    """Write the documents of the finished run in `run` below `root`; without `alarms` theirs stay as they are.

    Nothing is written before all is made. Raises UserError for a run of a paper that the documentation does not show,
    or without the table of the first page, a page without its blocks, and alarms of another commit.
    """
    manifest = read_manifest(run)
    place = place_of(manifest)
    report = build_report(manifest)
    blocks = report_blocks(manifest, report)
    files = {}
    if alarms:
        counted = read_alarms(alarms)
        require_one_commit(manifest, counted)
        files[ALARMS] = (json.dumps(counted, indent=1, ensure_ascii=False) + "\n").encode("utf-8")
        blocks["alarms"] = alarms_block(counted)
    for page, names in place.pages.items():
        text = (root / page).read_text(encoding="utf-8")
        shown = {name: blocks[name] for name in names if name in blocks}
        files[page] = replace_blocks(text, shown, page).encode("utf-8")
    files |= documents(place, report)
    for stale in (root / place.folder / "figures").glob("*.png"):
        stale.unlink()
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        replace_file(root / path, content)


def place_of(manifest: Manifest) -> Place:
    """Where the run's paper is shown. Raises UserError where it is not."""
    try:
        return PLACES[manifest.paper.name]
    except KeyError:
        raise UserError(f"the documentation shows runs of {', '.join(PLACES)}, not of {manifest.paper.name}") from None


def documents(place: Place, report: Report) -> dict[str, bytes]:
    """Path -> content of what is written as a whole: the report, its figures, and the first page's."""
    files = {f"{place.folder}/report.md": markdown_report(report).encode("utf-8")}
    for figure in report.figures:
        files[f"{place.folder}/{figure.path}.png"] = draw(figure).png
    if place.table:
        files[f"docs/{place.table}.png"] = files[f"{place.folder}/figures/{place.table}.png"]
    return files


def report_blocks(manifest: Manifest, report: Report) -> dict[str, str]:
    """Name -> Markdown of the blocks that a run fills."""
    paper, table = manifest.paper.name, place_of(manifest).table
    said = next(iter(markdown(Prose(report.answer))))
    blocks = {
        f"{paper}-headline": f"{said} Made at {commit_of(manifest)} by `{manifest.command}`.",
        f"{paper}-claims": next(markdown(report.claims), ""),
    }
    if table:
        blocks[f"{paper}-{table}"] = table_block(report, table)
    return blocks


def table_block(report: Report, exhibit: str) -> str:
    """The Markdown of an exhibit's table. Raises UserError where the run has no such table, or no figure of it."""
    tables = [each for view in report.exhibits if view.name == exhibit for each in _of_kind(view.section.blocks, Table)]
    if not tables or not any(figure.name == exhibit for figure in report.figures):
        raise UserError(f"the run has no {exhibit} to show on the first page; make it with: harness reproduce all")
    return "\n\n".join(markdown(tables[0]))


def _of_kind(blocks: Sequence[Any], kind: type) -> list[Any]:
    return [each for each in blocks if isinstance(each, kind)]


def commit_of(manifest: Manifest) -> str:
    """``commit 0123456789ab``, and what else the artifacts come from."""
    git = manifest.provenance.get("git", {})
    others = set(manifest.provenance.get("artifact_commits") or ()) - {git.get("commit")}
    changed = ", with uncommitted changes" if git.get("dirty") else ""
    found = f", with results found from {len(others)} earlier one{'s' * (len(others) != 1)}" if others else ""
    return f"commit {git.get('commit', 'unknown')[:12]}{changed}{found}"


def replace_blocks(text: str, blocks: Mapping[str, str], where: str) -> str:
    """The page with the content of each named block replaced. Raises UserError where it does not have it once."""
    for name, content in blocks.items():
        parts = re.split(_pattern(name), text)
        if len(parts) != 4:
            raise UserError(
                f"{where} needs one block {name}: <!-- block {name}: ... --> and, below, <!-- end {name} -->"
            )
        before, opening, closing, after = parts
        text = f"{before}{opening}\n{content}\n{closing}{after}"
    return text


def block_of(text: str, name: str, where: str) -> str:
    """The content of one block of a page. Raises UserError where the page does not have it."""
    found = re.search(_pattern(name).replace(r".*?", r"(?P<content>.*?)", 1), text)
    if not found:
        raise UserError(f"{where} has no block {name}")
    return found["content"].strip("\n")


def _pattern(name: str) -> str:
    name = re.escape(name)
    return rf"(?s)(<!-- block {name}:[^>]*-->).*?(<!-- end {name} -->)"


def read_alarms(path: Path) -> dict[str, Any]:
    """What benchmarks/regress_alarms.py counted. Raises UserError where that cannot be read."""
    try:
        counted = json.loads(path.read_text(encoding="utf-8"))
        alarms_block(counted)
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{path} is not what benchmarks/regress_alarms.py --json writes; run that again") from None
    return dict(counted)


def require_one_commit(manifest: Manifest, alarms: Mapping[str, Any]) -> None:
    """Raises UserError where the alarms were counted at another commit than the run was made at."""
    of_run = manifest.provenance.get("git", {}).get("commit")
    if alarms["commit"] != of_run:
        raise UserError(
            f"the run is of commit {str(of_run)[:12]}, the alarms are of {str(alarms['commit'])[:12]}; make both at "
            "one commit, as make report does"
        )


def alarms_block(alarms: Mapping[str, Any]) -> str:
    """False alarms and power by the number of seeds, and the smallest effect that is caught, score by score."""
    groups = alarms["groups"]
    steps = list(groups[0]["power"])
    head = ["seeds", "pairs with an alarm", "at most (95 %)", *(f"{step} sd" for step in steps)]
    rows = [
        [
            f"{each['seeds']} + {each['seeds']}",
            f"{each['alarms']} of {each['pairs']} ({100 * each['alarms'] / each['pairs']:.1f} %)",
            f"{100 * each['bound']:.1f} %",
            *(f"{each['power'][step]:.2f}" for step in steps),
        ]
        for each in groups
    ]
    caught = ["score", "sd of a seed", *(f"{each['seeds']} + {each['seeds']} seeds" for each in groups)]
    by_score = [
        [one["score"], f"{one['deviation']:.2f}", *(_effects(each["caught"][place]) for each in groups)]
        for place, one in enumerate(groups[0]["caught"])
    ]
    changed = ", with uncommitted changes" if alarms["dirty"] else ""
    of_run = f"on {alarms['seeds']} training seeds of `{alarms['command']}`"
    said = f"Counted at commit {alarms['commit'][:12]}{changed} {of_run}."
    smallest = (
        "The smallest effect that is called worse in 80 % of pairs, in points; in brackets what the command says that "
        "it catches, the median over undecided pairs:"
    )
    return "\n\n".join((said, _grid(head, rows), smallest, _grid(caught, by_score)))


def _effects(caught: Mapping[str, Any]) -> str:
    effect, told = (None if each is None else f"{each:.1f}" for each in (caught["effect"], caught["told"]))
    return "none" if effect is None else effect if told is None else f"{effect} ({told})"


def _grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *(["---:"] * (len(head) - 1))], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    """Ends with 2 and one line for what a user can mend."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a finished run of harness reproduce all")
    parser.add_argument("--alarms", type=Path, help="what benchmarks/regress_alarms.py --json wrote")
    options = parser.parse_args()
    try:
        make(options.run, options.alarms)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()

"""A run as a report, before it takes any format."""

from collections.abc import Sequence

from harness.papers import AnyExhibit, Paper, ScoreTable, load_exhibit, load_paper
from harness.papers.consistency import Finding, check_paper
from reports import claims, provenance
from reports.blocks import Entries, ExhibitView, Report, Section
from reports.exhibits import view
from reports.manifest import Manifest, Part, ScoresPart


def build_report(manifest: Manifest) -> Report:
    """All that is printed of a run. Raises UserError for what the paper does not have."""
    paper = load_paper(manifest.paper)
    exhibits = exhibits_of(manifest)
    views = tuple(view(manifest, part, exhibits[part.name]) for part in manifest.parts)
    return Report(
        title=_title(manifest, paper, views),
        lead=paper.title,
        answer=claims.headline(manifest),
        arxiv=paper.arxiv,
        exhibits=views,
        sections=tuple(_sections(manifest, paper, exhibits)),
        tests=claims.tests(manifest, exhibits),
        test_records=claims.records(manifest, exhibits),
        warning=manifest.stale_note,
    )


def exhibits_of(manifest: Manifest) -> dict[str, AnyExhibit]:
    """The exhibits as published, by name, with the rows that the run adds to them."""
    return {part.name: _exhibit(manifest, part) for part in manifest.parts}


def _exhibit(manifest: Manifest, part: Part) -> AnyExhibit:
    exhibit = load_exhibit(manifest.paper, part.name)
    if isinstance(part, ScoresPart) and isinstance(exhibit, ScoreTable):
        return exhibit.with_rows(part.added_rows)
    return exhibit


def _title(manifest: Manifest, paper: Paper, views: tuple[ExhibitView, ...]) -> str:
    of = f"{views[0].section.title} of {paper.name.upper()}" if len(views) == 1 else paper.name.upper()
    less = "; ".join(filter(None, (manifest.reduced, manifest.selection)))
    return f"{of}, reproduced at scale {manifest.scale}" + (f" ({less})" if less else "")


def _sections(manifest: Manifest, paper: Paper, exhibits: dict[str, AnyExhibit]) -> list[Section]:
    """What is said of the run as a whole; sections that would be empty are left out."""
    found = [claims.section(manifest, exhibits)] if manifest.claims else []
    if manifest.deviations:
        found.append(_deviations(manifest))
    if findings := check_paper(manifest.paper):
        found.append(_disagreements(findings))
    if manifest.steps:
        found.append(provenance.cost_section(manifest))
    return [*found, provenance.section(manifest)]


def _deviations(manifest: Manifest) -> Section:
    """The ledger of all that we do otherwise or had to choose."""
    entries = (
        (each.id.replace("-", " "), (("paper", each.paper_says), ("we do", each.we_do), ("why", each.why)))
        for each in manifest.deviations
    )
    return Section("deviations", "Deviations from the paper", (Entries(tuple(entries)),))


def _disagreements(findings: Sequence[Finding]) -> Section:
    """What arithmetic finds in the paper's numbers, then what reading found."""
    entries = (
        (each.where, (("says", each.says), ("found", each.found), ("note", each.note)))
        for each in sorted(findings, key=lambda finding: finding.read)
    )
    return Section("disagreements", "Where the paper disagrees with itself", (Entries(tuple(entries)),))

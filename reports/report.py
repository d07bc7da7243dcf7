"""A run as a report, before it takes any format."""

from collections.abc import Sequence

from harness.papers.consistency import Finding
from harness.results.manifest import Manifest
from harness.results.training_curves import StageCurves
from reports import claims, provenance, row_comparisons, training
from reports.blocks import Entries, ExhibitView, Report, Section
from reports.exhibits import view


def build_report(manifest: Manifest, curves: Sequence[StageCurves] = ()) -> Report:
    """Make all that is printed of a run, in any format. Raises UserError for what the paper does not have."""
    views = tuple(view(manifest, result) for result in manifest.results)
    return Report(
        title=_title(manifest, views),
        lead=manifest.paper.title,
        answer=" ".join(filter(None, (claims.headline(manifest), row_comparisons.answer(manifest)))),
        arxiv=manifest.paper.arxiv,
        exhibits=views,
        sections=tuple(_sections(manifest, curves)),
        tests=claims.tests(manifest),
        test_records=claims.records(manifest),
        tests_by_verdict=claims.by_verdict(manifest),
        row_comparisons=row_comparisons.brief(manifest),
        warning=manifest.stale_note,
    )


def _title(manifest: Manifest, views: tuple[ExhibitView, ...]) -> str:
    paper = manifest.paper.name.upper()
    of = f"{views[0].section.title} of {paper}" if len(views) == 1 else paper
    if manifest.is_own_size:
        return f"{of}, reproduced at the paper's own size"
    less = "; ".join(filter(None, (manifest.reduced, manifest.selection)))
    return f"{of}, reproduced at scale {manifest.scale}" + (f" ({less})" if less else "")


def _sections(manifest: Manifest, curves: Sequence[StageCurves]) -> list[Section]:
    """Make what is said of the run as a whole; sections that would be empty are left out."""
    found = [row_comparisons.section(manifest)] if manifest.comparisons else []
    found += [claims.section(manifest)] if manifest.claims else []
    if curves:
        found.append(training.section(manifest, curves))
    if manifest.deviations:
        found.append(_deviations(manifest))
    if manifest.disagreements:
        found.append(_disagreements(manifest.disagreements))
    if manifest.steps:
        found.append(provenance.cost_section(manifest))
    return [*found, provenance.section(manifest)]


def _deviations(manifest: Manifest) -> Section:
    """Show the ledger of all that we do otherwise or had to choose."""
    entries = (
        (each.id.replace("-", " "), (("paper", each.paper_says), ("we do", each.we_do), ("why", each.why)))
        for each in manifest.deviations
    )
    return Section("deviations", "Deviations from the paper", (Entries(tuple(entries)),))


def _disagreements(findings: Sequence[Finding]) -> Section:
    """Show what arithmetic finds in the paper's numbers, then what reading found."""
    entries = (
        (each.where, (("says", each.says), ("found", each.found), ("note", each.note)))
        for each in sorted(findings, key=lambda finding: finding.read)
    )
    return Section("disagreements", "Where the paper disagrees with itself", (Entries(tuple(entries)),))

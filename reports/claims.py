"""The paper's claims: in its own names, with the figures of the paired tests."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from harness.errors import UserError
from harness.papers.kinds import AnyExhibit
from harness.results.claims import ClaimResult, ComparisonResult
from harness.results.exhibits import Result
from harness.results.manifest import Manifest
from harness.results.row_comparisons import RowComparison
from reports.blocks import DASH, ClaimEntry, Claims, Column, Group, Outcome, Prose, Records, Row, Section, Table

TITLE = "The paper's claims, tested here"

Tested = ComparisonResult | RowComparison
"""A test of an ordering of the paper's, or of two rows."""

_COLUMNS = (
    Column("ordering", wraps=0.19),
    Column("model", wraps=0.09),
    Column("metric", wraps=0.09),
    Column("difference [95 %]", number=True),
    Column("p", number=True),
    Column("Holm p", number=True),
    Column("here"),
    Column("detectable", number=True),
    Column("needed", wraps=0.09),
)


def section(manifest: Manifest) -> Section:
    """Show every claim with its verdict and its tests."""
    groups = _by_seeds(manifest).values()
    common = " or ".join(dict.fromkeys("data sets" if group.is_own_size else "prompts" for group in groups))
    lead = (
        f"Each claim is a set of orderings, and every ordering a test on the same {common}. Differences are in points "
        "where no other unit stands, and above 0 where the first is better: higher, or, where < stands, lower. "
        f"{coverage(manifest)}"
    )
    found = Claims(tuple(_claim(claim, _exhibit(manifest, claim.exhibit)) for claim in manifest.claims))
    return Section("claims", TITLE, (Prose(lead, quiet=True), found))


def headline(manifest: Manifest) -> str:
    """Say in a sentence or two what became of the paper's claims; empty for a run without any.

    A claim that is contained in another of this run is counted with that one.
    """
    return " ".join(f"{of}{_headline(group)}" for of, group in _by_seeds(manifest).items() if group.claims)


def _by_seeds(manifest: Manifest) -> dict[str, Manifest]:
    """Return the run's exhibits apart by their training seeds, most of them first, by what is said before of which ones
    it is: nothing where all have the same."""
    results: dict[tuple[int, ...], list[Result]] = {manifest.seeds: []}
    for result in manifest.results:
        results.setdefault(result.seeds or manifest.seeds, []).append(result)
    groups = {seeds: of for seeds, of in results.items() if of} or results
    if len(groups) == 1:
        return {"": replace(manifest, seeds=next(iter(groups)))}
    return {_labels(of): _of_results(manifest, seeds, of) for seeds, of in groups.items()}


def _labels(results: Sequence[Result]) -> str:
    return f"{_listed([result.exhibit.label for result in results])}: "


def _of_results(manifest: Manifest, seeds: tuple[int, ...], results: Sequence[Result]) -> Manifest:
    """Return the part of a run that some of its exhibits are."""
    names = {result.exhibit.name for result in results}
    claims = tuple(claim for claim in manifest.claims if claim.exhibit in names)
    return replace(manifest, seeds=seeds, results=tuple(results), claims=claims)


def _headline(manifest: Manifest) -> str:
    seeds = f"With {len(manifest.seeds)} training seed{'s' * (len(manifest.seeds) != 1)}"
    if len(manifest.seeds) < manifest.seeds_for_verdict:
        return (
            f"{seeds} there is no verdict on the methods (that takes {manifest.seeds_for_verdict}: --seeds "
            f"{manifest.seeds_for_verdict}). {_on_checkpoints(manifest)}"
        )
    whole = [claim for claim in manifest.claims if not _containing(claim, manifest)]
    parts = len(manifest.claims) - len(whole)
    counts = _listed(_counts([claim.verdict for claim in whole], _CLAIM_WORDS))
    more = f" {parts} more {'is a part' if parts == 1 else 'are parts'} of these." if parts else ""
    return f"{seeds}, of {len(whole)} claim{'s' * (len(whole) != 1)} of the paper {counts}.{more}"


_CLAIM_WORDS = {
    "holds": ("holds", "hold"),
    "fails": ("fails", "fail"),
    "undecided": ("is undecided", "are undecided"),
    "not run": ("was not run in full", "were not run in full"),
    "withheld": ("is withheld in part", "are withheld in part"),
    "no verdict": ("has no verdict", "have no verdict"),
}
_ORDERING_WORDS = {
    "above": ("is found", "are found"),
    "below": ("is reversed", "are reversed"),
    "undecided": ("is undecided", "are undecided"),
    "not run": ("was not run", "were not run"),
    "withheld": ("is withheld", "are withheld"),
}


def _on_checkpoints(manifest: Manifest) -> str:
    """Say what is above what on the checkpoints of this run."""
    orderings = [each for found in _distinct_by_exhibit(manifest).values() for each in found]
    counts = _listed(_counts([each.verdict for each in orderings], _ORDERING_WORDS))
    stated = "ordering" if len(orderings) == 1 else "orderings"
    return f"On these checkpoints, of {len(orderings)} {stated} that the paper states {counts}."


def _counts(verdicts: Sequence[str], words: Mapping[str, tuple[str, str]]) -> list[str]:
    """Format counts as ``3 hold``, ``1 is undecided``: how many of each there are, of those that there are."""
    found = {verdict: verdicts.count(verdict) for verdict in words if verdict in verdicts}
    return [f"{count} {words[verdict][count != 1]}" for verdict, count in found.items()]


def _listed(texts: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(texts[:-1]), *texts[-1:])))


def _containing(claim: ClaimResult, manifest: Manifest) -> list[ClaimResult]:
    """Return the claims of this run that say all that this one says, and more; one not run in full does not."""
    in_part = ("not run", "withheld")
    return [
        other
        for other in manifest.claims
        if other.id in claim.contained_in and (other.verdict not in in_part or claim.verdict in in_part)
    ]


def _exhibit(manifest: Manifest, name: str) -> AnyExhibit:
    if name not in manifest.exhibits:
        raise UserError(f"the manifest has a claim about {name}, of which it has no result")
    return manifest.exhibits[name]


def _claim(claim: ClaimResult, exhibit: AnyExhibit) -> ClaimEntry:
    return ClaimEntry(
        id=claim.id,
        exhibit=exhibit.name,
        label=exhibit.label,
        text=claim.says,
        where=claim.where,
        outcome=Outcome(claim.verdict),
        tally=tally(claim, exhibit),
        comparisons=Table(_COLUMNS, (Group(tuple(_row(exhibit, each) for each in claim.comparisons)),)),
    )


def tests(manifest: Manifest) -> Table:
    """Show every comparison once, however many claims of an exhibit rest on it, in order of appearance."""
    groups = []
    for name, comparisons in _distinct_by_exhibit(manifest).items():
        exhibit = _exhibit(manifest, name)
        groups.append(Group(tuple(_row(exhibit, each) for each in comparisons), heading=exhibit.label))
    return Table(
        columns=_COLUMNS,
        groups=tuple(groups),
        name="tests",
        caption="Paired tests of the orderings that the paper's claims rest on",
        source=coverage(manifest),
    )


def by_verdict(manifest: Manifest) -> tuple[Table, ...]:
    """Show every comparison that was made, once: a table a verdict, what is against the paper first, by exhibit.

    An undecided one has beside its difference what the test could have found, and what would decide it.
    """
    tables = []
    for verdict in _COMPARED:
        power = _COLUMNS[7:] if verdict == "undecided" else ()
        columns = (Column(verdict), Column("model"), Column("metric"), *_COLUMNS[3:4], *power)
        groups = []
        for name, comparisons in _distinct_by_exhibit(manifest).items():
            exhibit = _exhibit(manifest, name)
            rows = tuple(_brief(exhibit, each) for each in comparisons if each.verdict == verdict)
            groups += [Group(rows, heading=exhibit.label)] if rows else []
        tables += [Table(columns, tuple(groups))] if groups else []
    return tuple(tables)


_COMPARED = ("fails", "below", "holds", "above", "undecided")


def _brief(exhibit: AnyExhibit, comparison: ComparisonResult) -> Row:
    """Make a row of `by_verdict`."""
    ordered, _, metric, difference_, *_, detectable_, needed_ = _row(exhibit, comparison).cells
    power = (detectable_, needed_) if comparison.verdict == "undecided" else ()
    return Row((ordered, comparison.model, metric, difference_, *power))


def records(manifest: Manifest) -> Records:
    """Make one line for each comparison of each claim; numbers unrounded."""
    fields = (
        "exhibit", "claim", "model", "better", "worse", "ordering", "bench", "metric", "difference", "lo", "hi", "unit",
        "p", "p_holm", "verdict", "minimum_detectable_effect", "prompts_needed", "seeds_needed", "note",
    )  # fmt: skip
    rows = []
    for claim in manifest.claims:
        exhibit = _exhibit(manifest, claim.exhibit)
        for each in claim.comparisons:
            names = (claim.exhibit, claim.id, each.model, each.better, each.worse, ordering(exhibit, each))
            figures = (each.difference, *(each.ci95 or (None, None)), each.unit, each.p_value, each.p_holm)
            power = (each.minimum_detectable_effect, each.prompts_needed, each.seeds_needed)
            rows.append((*names, each.bench, each.metric, *figures, each.verdict, *power, each.note))
    return Records(fields, tuple(rows))


def coverage(manifest: Manifest) -> str:
    """Say what the tests of a run cover, what their verdicts rest on, and what stands beside an undecided one."""
    texts = ((of, " ".join(_covered(group))) for of, group in _by_seeds(manifest).items())
    return " ".join((*(f"{of}{text}" for of, text in texts if text), *_undecided_or_withheld(manifest)))


def _covered(manifest: Manifest) -> Iterator[str]:
    """Say what the tests of exhibits with the same training seeds cover."""
    if len(manifest.seeds) >= manifest.seeds_for_verdict:
        drawn = "data sets, one a training seed" if manifest.is_own_size else "prompts and of training seeds"
        yield f"These tests cover the draw of {drawn}."
        yield (
            f"Verdicts, at 5 % over all {manifest.n_claims} claims of the paper, and over its {manifest.n_orderings} "
            "orderings, are Holm-adjusted; an ordering is also decided with its claim. A 95 % interval is of its "
            "difference by itself."
        )
    elif not manifest.is_own_size:
        yield (
            "With so few training seeds these tests cover the draw of prompts alone: above and below are said of these "
            f"checkpoints, Holm-adjusted over the paper's {manifest.n_orderings} orderings, and no claim has a verdict."
        )


def _undecided_or_withheld(manifest: Manifest) -> Iterator[str]:
    comparisons = list(_every(manifest))
    if any(comparison.verdict == "undecided" for comparison in comparisons):
        yield (
            "Undecided does not mean equal. Detectable: the true difference that such a test decides in 80 % of "
            "repeats. Needed: how many prompts, or training seeds, in all would decide one of the size observed. Both "
            "at the level that Holm's method leaves to the first of the undecided tests."
        )
    yield from dict.fromkeys(f"Withheld: {comparison.note}." for comparison in comparisons if comparison.note)


def _every(manifest: Manifest) -> Iterable[ComparisonResult]:
    return (comparison for claim in manifest.claims for comparison in claim.comparisons)


def _distinct_by_exhibit(manifest: Manifest) -> dict[str, list[ComparisonResult]]:
    """Collect every test once, as stated first; with the verdict of a claim that it is decided with, if of any."""
    found: dict[str, dict[tuple[object, ...], ComparisonResult]] = {}
    for claim in manifest.claims:
        of_exhibit = found.setdefault(claim.exhibit, {})
        for each in claim.comparisons:
            key = (each.model, frozenset((each.better, each.worse)), each.bench, each.metric)
            known = of_exhibit.setdefault(key, each)
            if known.verdict == "undecided" and each.verdict != "undecided" and each.better == known.better:
                of_exhibit[key] = each
    return {name: list(comparisons.values()) for name, comparisons in found.items() if comparisons}


def _row(exhibit: AnyExhibit, comparison: ComparisonResult) -> Row:
    """Make a row of `_COLUMNS`."""
    return Row(
        (
            ordering(exhibit, comparison),
            exhibit.paper.model(comparison.model) if comparison.model else DASH,
            exhibit.measure(comparison.bench, comparison.metric),
            difference(comparison),
            p_value(comparison.p_value),
            p_value(comparison.p_holm),
            Outcome(comparison.verdict, comparison.note),
            detectable(comparison),
            needed(comparison),
        )
    )


def ordering(exhibit: AnyExhibit, comparison: ComparisonResult) -> str:
    """Format an ordering as ``SGPO > DPO`` in the paper's names; ``<`` where less is better."""
    sign = "<" if exhibit.less_is_better else ">"
    return f"{exhibit.subject(comparison.better)} {sign} {exhibit.subject(comparison.worse)}"


def tally(claim: ClaimResult, exhibit: AnyExhibit) -> str:
    """Format results as ``4 hold, 1 undecided of 5 orderings``; of a claim that was run on some of its base models, on
    which."""
    if claim.only_models:
        models = " and ".join(exhibit.paper.model(model) for model in claim.only_models)
        run = [each for each in claim.comparisons if each.model in claim.only_models]
        return f"on {models} only: {_tally(run)}"
    return f"{_tally(claim.comparisons)}{', most must hold' if claim.quantifier == 'most' else ''}"


def _tally(comparisons: Sequence[ComparisonResult]) -> str:
    words = {"holds": "hold", "fails": "fail", "above": "above", "below": "below", "undecided": "undecided"}
    verdicts = [comparison.verdict for comparison in comparisons]
    counts = [
        f"{verdicts.count(name)} {words.get(name, name)}"
        for name in (*words, "withheld", "not run")
        if name in verdicts
    ]
    return f"{', '.join(counts)} of {len(verdicts)}" if verdicts else ""


def difference(comparison: Tested) -> str:
    """Format a difference as ``+3.2 [1.0, 5.4]`` in points, with the unit behind it where it is another, or a dash."""
    if comparison.difference is None:
        return DASH
    decimals = 1 if comparison.unit == "points" else 2
    text = f"{comparison.difference:+.{decimals}f}"
    if comparison.ci95 is not None:
        low, high = comparison.ci95
        text += f" [{low:.{decimals}f},\u00a0{high:.{decimals}f}]"
    return text + _unit(comparison)


def _unit(comparison: Tested) -> str:
    return "" if comparison.unit == "points" else f"\u00a0{comparison.unit}"


def p_value(value: float | None) -> str:
    """Format a p-value as ``0.012``, ``< 0.001``, or a dash."""
    if value is None:
        return DASH
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def detectable(comparison: Tested) -> str:
    """Format an undecided comparison's minimum detectable effect, ``2.6`` points, or a dash; else nothing."""
    if comparison.verdict != "undecided":
        return ""
    if comparison.minimum_detectable_effect is None:  # prompts that say the same do not tell how far others differ
        return DASH
    decimals = 1 if comparison.unit == "points" else 2
    return f"{comparison.minimum_detectable_effect:.{decimals}f}{_unit(comparison)}"


def needed(comparison: Tested) -> str:
    """Say what would decide an undecided comparison's difference, ``2,500 prompts``, or a dash; else nothing."""
    return (comparison.needed or DASH) if comparison.verdict == "undecided" else ""

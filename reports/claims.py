"""The paper's claims: in its own names, with the figures of the paired tests."""

from collections.abc import Iterable, Iterator, Mapping

from harness.core.errors import UserError
from harness.core.papers import AnyExhibit
from reports.blocks import DASH, Claim, Claims, Column, Group, Outcome, Prose, Records, Row, Section, Table
from reports.manifest import ClaimResult, ComparisonResult, Manifest

Exhibits = Mapping[str, AnyExhibit]
"""The exhibits of a run by name."""

TITLE = "The paper's claims, tested here"

MOST_PROMPTS = 1_000_000
"""More than anybody would judge; how many more is of no use."""

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


def section(manifest: Manifest, exhibits: Exhibits) -> Section:
    """Every claim with its verdict and its tests."""
    lead = (
        "Each claim is a set of orderings. Every ordering is a paired test on the same prompts. Differences are in "
        "points where no other unit stands, and above 0 where the first is better: higher, or, where < stands, lower. "
        f"{coverage(manifest)}"
    )
    found = Claims(tuple(_claim(claim, _exhibit(exhibits, claim)) for claim in manifest.claims))
    return Section("claims", TITLE, (Prose(lead, quiet=True), found))


def _exhibit(exhibits: Exhibits, claim: ClaimResult) -> AnyExhibit:
    if claim.exhibit not in exhibits:
        raise UserError(f"the manifest has a claim about {claim.exhibit}, of which it has no part")
    return exhibits[claim.exhibit]


def _claim(claim: ClaimResult, exhibit: AnyExhibit) -> Claim:
    return Claim(
        id=claim.id,
        exhibit=exhibit.name,
        label=exhibit.label,
        says=claim.says,
        where=claim.where,
        outcome=Outcome(claim.verdict),
        tally=tally(claim),
        comparisons=Table(_COLUMNS, (Group(tuple(_row(exhibit, each) for each in claim.comparisons)),)),
    )


def tests(manifest: Manifest, exhibits: Exhibits) -> Table:
    """Every comparison once, however many claims of an exhibit rest on it, in order of appearance."""
    groups = []
    for name, comparisons in _distinct_by_exhibit(manifest).items():
        exhibit = exhibits[name]
        groups.append(Group(tuple(_row(exhibit, each) for each in comparisons), heading=exhibit.label))
    return Table(
        columns=_COLUMNS,
        groups=tuple(groups),
        name="tests",
        caption="Paired tests of the orderings that the paper's claims rest on",
        source=coverage(manifest),
    )


def undecided(manifest: Manifest, exhibits: Exhibits) -> Table | None:
    """What each undecided test could have found and what would decide it; None where all are decided."""
    columns = (Column("undecided"), Column("model"), Column("metric"), *_COLUMNS[3:4], *_COLUMNS[7:])
    rows = []
    for name, comparisons in _distinct_by_exhibit(manifest).items():
        for each in (each for each in comparisons if each.verdict == "undecided"):
            ordered, _, metric, difference_, *_, detectable_, needed_ = _row(exhibits[name], each).cells
            rows.append(Row((ordered, each.model, metric, difference_, detectable_, needed_)))
    return Table(columns, (Group(tuple(rows)),)) if rows else None


def records(manifest: Manifest, exhibits: Exhibits) -> Records:
    """One line for each comparison of each claim; numbers unrounded."""
    fields = (
        "exhibit", "claim", "model", "better", "worse", "ordering", "bench", "metric", "difference", "lo", "hi", "unit",
        "p", "p_holm", "verdict", "minimum_detectable_effect", "n_needed", "note",
    )  # fmt: skip
    rows = []
    for claim in manifest.claims:
        exhibit = _exhibit(exhibits, claim)
        for each in claim.comparisons:
            names = (claim.exhibit, claim.id, each.model, each.better, each.worse, ordering(exhibit, each))
            figures = (each.difference, *(each.ci95 or (None, None)), each.unit, each.p_value, each.p_holm)
            power = (each.minimum_detectable_effect, each.n_needed) if each.verdict == "undecided" else (None, None)
            rows.append((*names, each.bench, each.metric, *figures, each.verdict, *power, each.note))
    return Records(fields, tuple(rows))


def coverage(manifest: Manifest) -> str:
    """What the tests of a run cover, what their verdicts rest on, and what stands beside an undecided one."""
    return " ".join(_coverage(manifest))


def _coverage(manifest: Manifest) -> Iterator[str]:
    if len(manifest.seeds) > 1:
        yield "These tests cover the draw of prompts and of training seeds."
    else:
        yield "With one training seed these tests cover the draw of prompts, not of the training seed: use --seeds 3."
    if manifest.n_tests:
        tests = f"{manifest.n_tests} test{'s' * (manifest.n_tests != 1)}"
        yield f"Verdicts, at 5 %, are Holm-adjusted over {tests}; the 95 % intervals are not adjusted."
    comparisons = list(_every(manifest))
    if any(comparison.verdict == "undecided" for comparison in comparisons):
        yield (
            "Undecided does not mean equal. Detectable: the true difference that such a test decides in 80 % of "
            "repeats. Needed: how many prompts in all would decide one of the size observed. Both at the level that "
            "Holm's method leaves to the first of the undecided tests."
        )
    yield from dict.fromkeys(f"Not run, {comparison.note}." for comparison in comparisons if comparison.note)


def _every(manifest: Manifest) -> Iterable[ComparisonResult]:
    return (comparison for claim in manifest.claims for comparison in claim.comparisons)


def _distinct_by_exhibit(manifest: Manifest) -> dict[str, list[ComparisonResult]]:
    found: dict[str, dict[ComparisonResult, None]] = {}
    for claim in manifest.claims:
        found.setdefault(claim.exhibit, {}).update(dict.fromkeys(claim.comparisons))
    return {name: list(comparisons) for name, comparisons in found.items() if comparisons}


def _row(exhibit: AnyExhibit, comparison: ComparisonResult) -> Row:
    """As `_COLUMNS`."""
    return Row(
        (
            ordering(exhibit, comparison),
            exhibit.paper.model(comparison.model),
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
    """``SGPO > DPO`` in the paper's names; ``<`` where less is better."""
    sign = "<" if exhibit.less_is_better else ">"
    return f"{exhibit.subject(comparison.better)} {sign} {exhibit.subject(comparison.worse)}"


def tally(claim: ClaimResult) -> str:
    """``4 hold, 1 undecided of 5 comparisons``."""
    words = {"holds": "hold", "fails": "fail", "undecided": "undecided", "not run": "not run"}
    verdicts = [comparison.verdict for comparison in claim.comparisons]
    counts = ", ".join(f"{verdicts.count(name)} {word}" for name, word in words.items() if name in verdicts)
    return f"{counts} of {len(verdicts)}" if verdicts else ""


def difference(comparison: ComparisonResult) -> str:
    """``+3.2 [1.0, 5.4]`` in points, with the unit behind it where it is another, or a dash."""
    if comparison.difference is None:
        return DASH
    decimals = 1 if comparison.unit == "points" else 2
    shown = f"{comparison.difference:+.{decimals}f}"
    if comparison.ci95 is not None:
        low, high = comparison.ci95
        shown += f" [{low:.{decimals}f},\u00a0{high:.{decimals}f}]"
    return shown + _unit(comparison)


def _unit(comparison: ComparisonResult) -> str:
    return "" if comparison.unit == "points" else f"\u00a0{comparison.unit}"


def p_value(value: float | None) -> str:
    """``0.012``, ``< 0.001``, or a dash."""
    if value is None:
        return DASH
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def detectable(comparison: ComparisonResult) -> str:
    """Beside an undecided comparison its minimum detectable effect, ``2.6`` points, or a dash; else nothing."""
    if comparison.verdict != "undecided":
        return ""
    if comparison.minimum_detectable_effect is None:  # all prompts say the same: how far others differ is not known
        return DASH
    decimals = 1 if comparison.unit == "points" else 2
    return f"{comparison.minimum_detectable_effect:.{decimals}f}{_unit(comparison)}"


def needed(comparison: ComparisonResult) -> str:
    """Beside an undecided comparison what would decide a difference of its size: ``2,500 prompts``; else nothing."""
    if comparison.verdict != "undecided":
        return ""
    if comparison.n_needed is not None:
        return (
            f"{comparison.n_needed:,} prompts" if comparison.n_needed <= MOST_PROMPTS else f"> {MOST_PROMPTS:,} prompts"
        )
    # Without a number of prompts it is the training seeds that leave too much open, unless there is nothing to decide
    # or nothing to tell it by.
    return "more training seeds" if comparison.difference and comparison.minimum_detectable_effect else DASH

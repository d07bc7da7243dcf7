"""The band of a win rate as papers draw it: the spread of a few bootstrap win rates on part of the prompts."""

from collections.abc import Sequence
from dataclasses import asdict
from statistics import fmean
from typing import TYPE_CHECKING

from evals.pairwise.benchmark import pairs_of
from harness.engine.artifacts import Artifact, Output, step
from harness.records import Judgment
from harness.results.exhibits import BootstrapBand

if TYPE_CHECKING:
    from evals.stats.bootstrap import FloatArray

BAND = "band.json"


def bootstrap_band(points: "FloatArray", *, resamples: int, size: int, prompts: int) -> BootstrapBand:
    """Return the band of points [prompts] in [0, 1]: the mean of `size` of the first `prompts`, drawn with replacement.

    Of fewer prompts the same share is drawn. (SRPO, section 6: 20 resamples of 512 of the first 1,024.)
    """
    import numpy as np

    first = points[:prompts]
    drawn = max(1, round(size * len(first) / prompts))
    rates = 100 * np.random.default_rng(0).choice(first, (resamples, drawn)).mean(axis=1)
    return BootstrapBand(float(rates.mean()), float(rates.std(ddof=1)), drawn, len(first))


def mean_band(bands: Sequence[BootstrapBand]) -> BootstrapBand:
    """Return the band of one training seed as all of them have it: mean, and root of the mean square of the s.d."""
    fewest = min(bands, key=lambda band: band.n_prompts)
    sd = fmean(band.sd**2 for band in bands) ** 0.5
    return BootstrapBand(fmean(band.mean for band in bands), sd, fewest.size, fewest.n_prompts)


@step(version=1)
def band_pairwise(out: Output, *, judgments: Sequence[Artifact], resamples: int, size: int, prompts: int) -> None:
    """Write `band.json`, a `BootstrapBand` of judgments, one artifact a seed; null where one has no verdict."""
    bands = [_band(artifact, resamples, size, prompts) for artifact in judgments]
    found = [band for band in bands if band]
    out.write_json(BAND, asdict(mean_band(found)) if len(found) == len(bands) else None)


def _band(judgments: Artifact, resamples: int, size: int, prompts: int) -> BootstrapBand | None:
    pairs = pairs_of(judgments.rows(Judgment))
    items = pairs.items
    return bootstrap_band(pairs.points(items), resamples=resamples, size=size, prompts=prompts) if items else None

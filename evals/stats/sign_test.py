"""The exact sign test: are prompts won as often as lost, whatever the ties and the size of each win?"""

from scipy import stats

from evals.stats.bootstrap import FloatArray

_TIE = 1e-9
"""What rounding may leave between two points that are equal."""


def sign_test(differences: FloatArray) -> float:
    """Return the two-sided p-value of "as many above 0 as below" for the mean of `differences` [prompts]; those of 0
    are left out.

    Dixon and Mood 1946, "The Statistical Sign Test". Where the signs do not side with the mean it is 1: they are no
    evidence for it then.
    """
    above, below = int((differences > _TIE).sum()), int((differences < -_TIE).sum())
    mean = differences.mean()
    on_its_side = min(above, below) if abs(mean) <= _TIE else above if mean > 0 else below
    return min(1.0, 2 * float(stats.binom.sf(on_its_side - 1, above + below, 0.5)))

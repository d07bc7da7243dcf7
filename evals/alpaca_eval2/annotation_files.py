"""Stored verdicts in alpaca_eval's formats: compared, and scored with what the files tell of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evals.alpaca_eval2.annotations import Annotations, read_annotations
from evals.alpaca_eval2.length_calibration import read_calibration
from evals.alpaca_eval2.scores import (
    LENGTH_CONTROLLED,
    METRICS,
    NO_CALIBRATION,
    PUBLISHED,
    Verdicts,
    score_annotations,
    set_size,
)
from evals.base import FileOptions, Metric, StoredVerdicts, VerdictFiles
from evals.withholding import COMPLETE_FILE, is_whole

_SETS = {True: "AlpacaEval's instructions", False: "other instructions", None: ""}
"""What a set of instructions is called, by whether it is AlpacaEval's."""


class AnnotationFiles(VerdictFiles):
    """Files of annotations, JSON or tables, with the calibration and the reference outputs that a user has."""

    takes = ("--lc-calibration", "--reference-outputs")
    slow = LENGTH_CONTROLLED.name

    def __init__(self, options: FileOptions) -> None:
        super().__init__(options)
        self._calibration = read_calibration(options.calibration) if options.calibration else None

    @property
    def metrics(self) -> Sequence[Metric]:
        """All with a calibration; without one there is no length control."""
        return METRICS if self._calibration else tuple(metric for metric in METRICS if metric != LENGTH_CONTROLLED)

    def read(self, path: Path) -> StoredVerdicts:
        """Return the verdicts in a file.

        Raises UserError for a file that is wrong, or of an unknown set of instructions.
        """
        annotations = self._annotations(path)
        set_size(annotations, self._calibration)
        return StoredVerdicts(
            path,
            annotations.model,
            annotations.judge,
            Verdicts(annotations, self._calibration),
            annotations.baseline,
            _SETS[annotations.is_official],
        )

    def score(self, path: Path) -> Mapping[str, Any]:
        """Return the scores of the verdicts in a file. Raises UserError for a file that is wrong.

        N is all instructions of the set where a calibration says so, or where the file has nearly all; else the file's.
        """
        read, calibration = self._annotations(path), self._calibration
        size = set_size(read, calibration)
        n_asked = size if size and (calibration or is_whole(read.n_rows, size)) else read.n_rows
        scores = score_annotations(
            read, calibration, n_asked=n_asked, allow_missing=self._options.allow_missing, mend=COMPLETE_FILE
        )
        is_other = read.is_official is False or size != PUBLISHED.n_items
        if scores["length_controlled_withheld"] == NO_CALIBRATION:
            judge = f" for {read.judge}" if read.judge else ""
            scores["length_controlled_withheld"] = f"no calibration given{judge}; pass --lc-calibration df_gamed.csv"
        return {
            "model": read.model,
            "baseline": read.baseline or None,
            "judge": read.judge or None,
            "departure": PUBLISHED.departure_of_file(
                read.n_rows,
                read.judge,
                read.baseline,
                "the instructions are others, or in another order" if is_other else None,
            ),
            **scores,
        }

    def _annotations(self, path: Path) -> Annotations:
        options = self._options
        return read_annotations(path, reference_outputs=options.reference_outputs, allow_missing=options.allow_missing)

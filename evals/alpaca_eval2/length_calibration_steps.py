"""The calibration of AlpacaEval's length control as artifacts: made, from a file, or the published one."""

from collections.abc import Sequence
from pathlib import Path

from evals.alpaca_eval2.judgments import annotations_of, positions_of
from evals.alpaca_eval2.length_calibration import Calibration, read_calibration, write_calibration
from evals.alpaca_eval2.scores import build_calibration, difficulty_from_annotations
from evals.official_data import ALPACA_EVAL_HUB
from evals.official_steps import file_digest
from harness.engine.artifacts import Artifact, Output, step
from harness.engine.unresolved import resolved
from harness.errors import UserError
from harness.models.hub import Repository, newest

CALIBRATION_FILE = "df_gamed.csv"


def calibration_from(path: Path) -> Artifact:
    """Return a finished length calibration, from a file like df_gamed.csv. Raises UserError where it cannot be read."""
    return given_calibration(path=str(path.absolute()), digest=file_digest(path)).with_label(path.name)


def published_calibration() -> Artifact:
    """Fetch what AlpacaEval 2.0's length control is calibrated on, from the hub.

    Raises NotFetched where it cannot be had.
    """
    name = "official:df_gamed.csv"
    commit = resolved(name, lambda: newest("dataset", ALPACA_EVAL_HUB).commit)
    on_hub = Repository("dataset", ALPACA_EVAL_HUB, commit)
    digest = resolved(name, lambda: file_digest(on_hub.file(CALIBRATION_FILE)))
    return official_calibration(repository=ALPACA_EVAL_HUB, commit=commit, digest=digest).with_label("df_gamed.csv")


@step(version=1)
def length_calibration(
    out: Output, *, baselines: Artifact, gamed: Sequence[Artifact], pool: Sequence[Artifact]
) -> None:
    """Write the calibration of the length control, in the format of alpaca_eval's df_gamed.csv.

    `gamed` are verdicts on longer and shorter versions of the baseline's answers; `pool` are verdicts on other writers,
    from which the instructions' difficulty is estimated.
    """
    positions = positions_of(baselines)
    difficulty = difficulty_from_annotations([annotations_of(artifact, positions) for artifact in pool])
    versions = [annotations_of(artifact, positions) for artifact in gamed]
    calibration = build_calibration(versions, difficulty, "length calibration")
    write_calibration(out.folder / CALIBRATION_FILE, calibration)


@step(version=1)
def given_calibration(out: Output, *, path: str, digest: str) -> None:
    """Write a finished calibration in the format of df_gamed.csv, copied; `digest` is the SHA-256 of its content."""
    _copy_calibration(Path(path), digest, out)


@step(version=1)
def official_calibration(out: Output, *, repository: str, commit: str, digest: str) -> None:
    """Write the official df_gamed.csv, fetched from the hub's `repository` at `commit`; `digest` is the file's
    SHA-256."""
    _copy_calibration(Repository("dataset", repository, commit).file(CALIBRATION_FILE), digest, out)


def _copy_calibration(path: Path, digest: str, out: Output) -> None:
    if file_digest(path) != digest:
        raise UserError(f"{path} has changed since this run looked at it; run the same command again")
    write_calibration(out.folder / CALIBRATION_FILE, read_calibration(path))


def read_length_calibration(calibration: Artifact | None) -> Calibration | None:
    """Return the calibration that an artifact holds; None for None."""
    return read_calibration(calibration.folder / CALIBRATION_FILE) if calibration else None

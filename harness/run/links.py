"""Links from a run's folder into the store: the verdicts behind its numbers, and its checkpoints."""

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from harness.engine.artifact_folder import Removed
from harness.engine.artifacts import Artifact
from harness.engine.store import Store, place, require_writable
from harness.errors import UserError
from harness.experiments.interface import Checkpoints
from harness.files import link_or_copy, replace_link
from harness.results.verdicts import ARTIFACTS


def link_scores(scores: Mapping[str, Artifact], store: Store, folder: Path) -> None:
    """Make scores, with the verdicts and whatever else they were made from, part of the run's `folder`.

    They replace those of an earlier run. Each score has a name under ``scores/`` that people can type. Raises UserError
    where the folder cannot be written to.
    """
    partial = folder / f".{ARTIFACTS}"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        for artifact in {place(each): each for score in scores.values() for each in (score, *score.parents())}.values():
            with suppress(Removed):  # an input that somebody took away is of no use to the report
                shutil.copytree(store.bind(artifact).folder, partial / place(artifact), copy_function=link_or_copy)
        for stale in (folder / ARTIFACTS, folder / "scores"):
            shutil.rmtree(stale, ignore_errors=True)
        if partial.exists():
            partial.rename(folder / ARTIFACTS)
            (folder / "scores").mkdir()
    except OSError as error:
        raise UserError(
            f"cannot link the verdicts into {folder} ({error.strerror or 'some files'}); remove what is in its way"
        ) from None
    for name, score in scores.items():
        _link(folder / "scores" / name, folder / ARTIFACTS / place(score))


def link_checkpoints(checkpoints: Checkpoints, store: Store, folder: Path) -> None:
    """Give every checkpoint a name that people can type: `<model>-<method>-seed<n>`, a link into the store."""
    require_writable(folder)
    for (model, method, seed), checkpoint in checkpoints.items():
        _link(folder / f"{model}-{method}-seed{seed}", store.folder(checkpoint))


def _link(link: Path, target: Path) -> None:
    try:
        replace_link(link, os.path.relpath(target, link.parent))
    except OSError as error:
        raise UserError(f"cannot make the link {link} ({error.strerror}); remove what is in its way") from None

"""`harness reproduce`: from an experiment's name to its report."""

import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from harness.core.errors import UserError
from harness.core.store import Store, require_writable
from harness.experiments import Experiment, build_experiment
from harness.manifest import Run, manifest, write_manifest
from harness.pipeline import plan, print_plan, run
from harness.scales import load_scale
from reports.terminal import terminal_table
from reports.write import write_report


def reproduce(
    name: str,
    scale_name: str,
    *,
    fast: bool,
    seeds: Sequence[int],
    models: Sequence[str],
    methods: Sequence[str],
    run_dir: Path,
) -> None:
    """Runs what is missing, writes the report into `run_dir`/`name`, and prints the table to stdout.

    Raises UserError for unknown names and for a run directory that cannot be written to.
    """
    started = datetime.now(UTC)
    scale = load_scale(scale_name, fast=fast)
    experiment = build_experiment(name, scale, seeds=seeds, models=models, methods=methods)
    store = Store(run_dir / "store")
    folder = run_dir / name
    require_writable(folder / "checkpoints")
    print(f"{name} on the scale {scale.name!r} ({scale.description})", file=sys.stderr)
    steps = plan(experiment.targets(), store)
    print_plan(steps)
    run(experiment.targets(), store)
    command = " ".join(["harness", *sys.argv[1:]])
    ran = frozenset(artifact.key for artifact in steps.missing)
    content = manifest(experiment, store, Run(command, started, datetime.now(UTC), ran))
    write_manifest(folder, content)
    write_report(folder)
    _link_checkpoints(experiment, store, folder / "checkpoints")
    _show(content, folder)


def _link_checkpoints(experiment: Experiment, store: Store, folder: Path) -> None:
    """Gives every checkpoint a name that people can type: `<model>-<method>-seed<n>`, a link into the store."""
    for (model, method, seed), checkpoint in experiment.checkpoints.items():
        link = folder / f"{model}-{method}-seed{seed}"
        aside = folder / f".{link.name}.{uuid4().hex}"
        aside.symlink_to(os.path.relpath(store.folder(checkpoint), folder), target_is_directory=True)
        try:
            aside.replace(link)  # at once, since another run may be at it at the same moment
        except OSError as error:
            aside.unlink()
            raise UserError(
                f"cannot link the checkpoint {link} ({error.strerror}); remove what is in its way"
            ) from None


def _show(content: dict[str, object], folder: Path) -> None:
    from rich.console import Console

    Console().print(terminal_table(content))
    print(f"report:      {folder / 'index.html'}")
    print(f"checkpoints: {folder / 'checkpoints'}")

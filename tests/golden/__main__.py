"""Pins one of the files anew: ``python -m tests.golden keys | defaults | losses | contents RUN_DIR``."""

import sys
import tempfile
from pathlib import Path

from tests.golden import pinned
from tests.golden.trajectories import losses

BASE = Path("harness/mini/models/llama")

what, *rest = sys.argv[1:]
if what == "keys":
    pinned.write(what, pinned.keys())
elif what == "defaults":
    pinned.write(what, pinned.defaults())
elif what == "losses":
    with tempfile.TemporaryDirectory() as folder:
        pinned.write(what, losses(BASE, Path(folder)))
else:
    pinned.write("contents", pinned.contents(Path(rest[0])))

"""The origin of a result: code, packages and machine."""

import json
import platform
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse
from urllib.request import url2pathname

if TYPE_CHECKING:
    from importlib.metadata import Distribution

ENTRY_POINTS = ("harness.methods", "harness.evals")
"""The groups by which other packages bring methods and evaluations."""

PACKAGES = (
    "preference-harness",
    "torch",
    "transformers",
    "trl",
    "accelerate",
    "datasets",
    "gguf",
    "tokenizers",
    "numpy",
    "scipy",
    "pandas",
    "vllm",
    "openai",
)
"""The distributions whose versions can change a number."""

CHECKOUT = Path(__file__).parents[1]


@cache
def provenance() -> dict[str, Any]:
    """Return the commit, the versions of packages and Python, and the platform, as JSON; cached for the process."""
    return {
        "git": git_state(CHECKOUT),
        "packages": package_versions(PACKAGES),
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


def git_state(folder: Path) -> dict[str, Any]:
    """Return ``{"commit": ..., "dirty": ...}`` of the checkout that `folder` is in, as far as it is changed itself.

    "unknown" and None where no checkout knows of it: an installed package may lie inside somebody else's.
    """
    try:
        if not _git(folder, "ls-files", "--", "."):
            raise FileNotFoundError
        changes = _git(folder, "status", "--porcelain", "--", ".")
        return {"commit": _git(folder, "rev-parse", "HEAD"), "dirty": bool(changes)}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": "unknown", "dirty": None}


def package_versions(names: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of those of `names` that are installed."""
    from importlib.metadata import PackageNotFoundError, version

    versions = {}
    for name in names:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


@cache
def package_around(root: str) -> dict[str, Any]:
    """Return name, version and commit of the package with the outermost module `root`; empty for none."""
    from importlib.metadata import distribution, entry_points, packages_distributions

    for group in ENTRY_POINTS:  # an editable install is found by these alone
        for entry in entry_points(group=group):
            if entry.dist and entry.value.partition(":")[0].partition(".")[0] == root:
                return package_origin(entry.dist)
    names = packages_distributions().get(root, ())
    return package_origin(distribution(names[0])) if names else {}


def package_origin(package: "Distribution") -> dict[str, Any]:
    """Return name, version and commit of an installed package, with "dirty" for an editable install.

    The commit is that of the URL it was installed from (`direct_url.json`, PEP 610), or of the folder that it is
    installed from as editable; "unknown" elsewhere.
    """
    try:
        source = json.loads(package.read_text("direct_url.json") or "{}")
        commit = source.get("vcs_info", {}).get("commit_id", "unknown")
        is_editable, url = source.get("dir_info", {}).get("editable"), urlparse(source.get("url", ""))
    except (ValueError, AttributeError):
        commit, is_editable, url = "unknown", False, urlparse("")
    state = {"commit": commit}
    if is_editable and url.scheme == "file":
        state = git_state(Path(url2pathname(url.path)))
    return {"package": package.name, "version": package.version, **state}


def device() -> str:
    """Return the accelerator that torch sees, if this process has imported torch; else the processor."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    return _processor()


@cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"cpu ({models[0] if models else platform.machine()})"


def _git(checkout: Path, *arguments: str) -> str:
    # Without optional locks: one that is killed while it refreshes the index would leave the checkout locked.
    command = ["git", "--no-optional-locks", "-C", str(checkout), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

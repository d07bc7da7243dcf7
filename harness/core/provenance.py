"""Where a result comes from: code, packages and machine."""

import platform
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

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

CHECKOUT = Path(__file__).parents[2]


@cache
def provenance() -> dict[str, Any]:
    """Commit of the harness, versions of packages and Python, platform: JSON values, the same for the whole process."""
    return {
        "git": git_state(CHECKOUT),
        "packages": package_versions(PACKAGES),
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


def git_state(checkout: Path) -> dict[str, Any]:
    """``{"commit": ..., "dirty": ...}``; "unknown" and None when `checkout` is no git checkout."""
    try:
        if not (checkout / ".git").exists():  # an installed package may lie inside somebody else's checkout
            raise FileNotFoundError
        commit = _git(checkout, "rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(_git(checkout, "status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": "unknown", "dirty": None}


def package_versions(names: tuple[str, ...]) -> dict[str, str]:
    """The versions of those of `names` that are installed."""
    from importlib.metadata import PackageNotFoundError, version

    versions = {}
    for name in names:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def device() -> str:
    """The accelerator that torch sees, if this process has imported torch; else the processor."""
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
    command = ["git", "-C", str(checkout), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

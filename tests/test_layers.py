import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_imports_point_one_way():
    """The contracts stand in pyproject.toml."""
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_building_a_graph_imports_nothing_heavy():
    engine = [
        f"harness.engine.{path.stem}" for path in (ROOT / "harness" / "engine").glob("*.py") if path.stem != "__init__"
    ]
    heavy = {
        "torch",
        "transformers",
        "trl",
        "datasets",
        "numpy",
        "pandas",
        "scipy",
        "matplotlib",
        "rich",
        "yaml",
        "filelock",
    }
    code = f"import sys, harness.engine.pipeline, {', '.join(engine)}; print(*{heavy!r} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []

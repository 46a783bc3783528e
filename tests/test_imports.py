"""The house: imports run one way, and Ray and MLflow stay in their rooms."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("search_spaces", "analysis", "trainables")  # each may import those after it
RAY = {
    "trainables/worker_group.py",
    "trainables/trial.py",
    "search_spaces/cluster.py",
    "search_spaces/tuning.py",
}
MLFLOW = {"search_spaces/tracking.py", "analysis/runs.py"}
FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def imported(path: Path) -> set[str]:
    """Top-level names of everything a file imports, wherever in the file."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    package = PACKAGES.index(name.split("/")[0])
    found = imported(path)
    assert not found & set(PACKAGES[:package])
    assert "ray" not in found or name in RAY
    assert "mlflow" not in found or name in MLFLOW


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_imports_and_says_what_it_is(path: Path) -> None:
    module = importlib.import_module(
        str(path.relative_to(ROOT).with_suffix("")).replace("/", ".").removesuffix(".__init__")
    )
    assert module.__doc__


def test_the_core_needs_neither_ray_nor_mlflow_nor_torchvision() -> None:
    code = (
        "import sys, trainables, trainables.models, trainables.data; "
        "print([name for name in ('ray', 'mlflow', 'torchvision') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

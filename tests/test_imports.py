"""The house: imports run one way, and Ray and MLflow stay in their rooms."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("search_spaces", "analysis", "trainables")  # each may import those after it
RAY = (
    "trainables/on_ray/",
    "search_spaces/service/cluster.py",
    "search_spaces/service/growth.py",
    "search_spaces/service/machine_kinds.py",
    "search_spaces/service/ray_tune.py",
    "search_spaces/service/remote.py",
    "search_spaces/service/sharing.py",
    "search_spaces/service/tunnel.py",
)
MLFLOW = ("search_spaces/service/tracking.py", "search_spaces/service/parent_run.py", "analysis/runs.py")
INNER = {
    "search_spaces/policy/": ("search_spaces.service", "search_spaces.study"),
    "trainables/engine/": ("trainables.on_ray",),
    "trainables/data/loading/": ("trainables.engine", "trainables.on_ray", "trainables.models"),
    "trainables/layers/": ("trainables.engine", "trainables.on_ray", "trainables.recipe", "trainables.task"),
    "trainables/models/": (
        "trainables.engine",
        "trainables.on_ray",
        "trainables.data",
        "trainables.recipe",
        "trainables.task",
    ),
}
"""Inside a package: what the files of a folder never import."""
FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def imported(path: Path) -> set[str]:
    """Full names of everything a file imports, wherever in the file."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    package = PACKAGES.index(name.split("/")[0])
    found = imported(path)
    tops = {each.split(".")[0] for each in found}
    assert not tops & set(PACKAGES[:package])
    assert "ray" not in tops or name.startswith(RAY)
    assert "mlflow" not in tops or name.startswith(MLFLOW)
    for folder, never in INNER.items():
        if name.startswith(folder):
            assert not [each for each in found if f"{each}.".startswith(tuple(f"{other}." for other in never))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_imports_and_says_what_it_is(path: Path) -> None:
    module = importlib.import_module(
        str(path.relative_to(ROOT).with_suffix("")).replace("/", ".").removesuffix(".__init__")
    )
    assert module.__doc__


def test_only_studies_are_at_the_top_of_search_spaces() -> None:
    """Beside what a study is and what checks it."""
    for path in sorted((ROOT / "search_spaces").glob("*.py")):
        if path.stem not in ("__init__", "__main__", "study", "study_checks"):
            assert importlib.import_module(f"search_spaces.{path.stem}").BUDGETS


def test_the_core_needs_neither_ray_nor_mlflow_nor_torchvision() -> None:
    code = (
        "import sys, trainables, trainables.models, trainables.data; "
        "print([name for name in ('ray', 'mlflow', 'torchvision') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""What the README says must be so."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_examples_run(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(first, "README.md", "exec"), names)
    status, accuracies = capsys.readouterr().out.split(" ", 1)
    assert status == "done"
    assert eval(accuracies)[-1] > 0.8
    exec(compile(second, "README.md", "exec"), names)
    errors = eval(capsys.readouterr().out.split("]")[0] + "]")
    assert errors[-1] < errors[0] / 2


def test_its_commands_exist() -> None:
    for module in re.findall(r"python -m ([\w.]+)", README):
        path = ROOT / module.replace(".", "/")
        assert module == "venv" or path.with_suffix(".py").exists() or (path / "__main__.py").exists()


def test_every_dependency_is_imported_somewhere() -> None:
    names = {
        "pillow": "PIL",
        "pyyaml": "yaml",
        "scikit-learn": "sklearn",
        "pytorch-optimizer": "pytorch_optimizer",
        "vl-convert-python": "vl_convert",
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    code = "\n".join(
        path.read_text()
        for package in ("trainables", "analysis", "search_spaces")
        for path in (ROOT / package).rglob("*.py")
    )
    for requirement in project["dependencies"]:
        name = re.match(r"[\w-]+", requirement).group()
        assert re.search(rf"^\s*(import|from) {names.get(name, name)}\b", code, re.MULTILINE), name

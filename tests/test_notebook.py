"""The notebook runs from top to bottom and shows what it says."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

PATH = Path(__file__).parent.parent / "notebooks" / "quickstart.ipynb"


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> nbformat.NotebookNode:
    notebook = nbformat.read(PATH, as_version=4)
    patch = pytest.MonkeyPatch()
    patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("study")))
    patch.setenv("OMP_NUM_THREADS", "1")  # one thread, as every test has
    patch.setenv("PYTHONPATH", str(PATH.parent.parent))
    try:
        NotebookClient(notebook, timeout=500, kernel_name="python3").execute(cwd=str(PATH.parent))
    finally:
        patch.undo()
    return notebook


@pytest.mark.slow
def test_every_cell_draws_or_answers(executed: nbformat.NotebookNode) -> None:
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    pictures = [out for cell in code for out in cell.outputs if "image/png" in out.get("data", {})]
    assert len(pictures) == 4, "two curves of rates, one of accuracies, the frontier"
    assert not [out for cell in code for out in cell.outputs if out.output_type == "error"]
    first = next(out for out in code[0].outputs if "data" in out)["data"]["text/plain"]
    assert "'done'" in first
    assert "A0" in str(code[-3].outputs)
    assert "Took" in str(code[-3].outputs)


def test_the_notebook_is_kept_without_its_outputs() -> None:
    for cell in nbformat.read(PATH, as_version=4).cells:
        assert not cell.get("outputs")

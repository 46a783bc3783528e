"""Does the search find the edges that a dense grid finds, where the study `digits_cnn` is really trained?

    python -m benchmarks.real_edges

The study's command is run once with the search and once with the grid. The grid runs learning rates at steps of a
factor 1.25 over the study's range, with 3 seeds each; the search may use a quarter of these runs. The tolerance is 4
points, because one run of this study varies by about one point, and on 500 validation samples it cannot vary by much
less.

It prints, for each batch size, the 90 % intervals of both, whether they overlap and how wide the search's is, and then
the number of runs and epochs that both used.
"""

import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from analysis.answer import answer
from analysis.edge import Edge
from analysis.runs import load_runs
from benchmarks.result import benchmark_parser, show_json

ROOT = Path(__file__).parent.parent
TOLERANCE = "0.04"
RUNS = "140"
WIDEST = 1.5


def main() -> int:
    parser = benchmark_parser(__doc__, "three batch sizes at a factor 4, which proves nothing")
    parser.add_argument("--folder", type=Path, help="where studies are kept, and not run again (default: nowhere)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        for search in ("frontier", "grid"):
            if not (folder / f"{search}.log").exists():
                _run(search, folder, options.quick)
        studies = {search: load_runs(search, f"sqlite:///{folder / 'mlflow.db'}") for search in ("frontier", "grid")}
    found = {search: answer(runs.design, runs.outcomes()) for search, runs in studies.items()}
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("batch size", "search", "grid", "overlap", "search's width"):
        table.add_column(heading)
    overlap = widest = 0.0
    for mine, theirs in zip(found["frontier"].groups, found["grid"].groups, strict=True):
        one, other = mine.scalable, theirs.scalable
        meets, width = _meets(one, other), _width(one)
        overlap, widest = overlap + meets, max(widest, width)
        table.add_row(str(mine.group.batch_size), _words(one), _words(other), "yes" if meets else "NO", f"{width:.2f}")
    console = Console(width=120)
    console.print(table)
    epochs = {search: float(runs.frame["epoch"].sum()) for search, runs in studies.items()}
    for search, runs in studies.items():
        console.print(f"{search}: {len(runs.frame)} runs, {epochs[search]:.0f} epochs", highlight=False)
    ratios = {
        "search_vs_grid_real": epochs["grid"] / epochs["frontier"],
        "overlapping": overlap / len(found["grid"].groups),
        "widest": widest,
    }
    for name, value in ratios.items():
        console.print(f"{name:<24}{value:8.2f}", highlight=False)
    if options.json:
        show_json(ratios, {search: [value] for search, value in epochs.items()})
    return 0 if options.quick or (ratios["overlapping"] == 1 and widest <= WIDEST) else 1


def _run(search: str, folder: Path, quick: bool) -> None:
    """Run the study's command with this search; the study gets the search's name."""
    command = [sys.executable, "-m", "search_spaces.digits_cnn", "--name", search, "--search", search]
    command += ["--tolerance", TOLERANCE, "--resolution", "4" if quick else "1.25"]
    if search == "frontier":
        command += ["--max-runs", "20" if quick else RUNS]
    command += ["--batch-sizes", "16,32,64" if quick else "16,32,64,128,256"]
    command += ["--tracking-uri", f"sqlite:///{folder / 'mlflow.db'}", "--results-dir", str(folder / "results")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (folder / f"{search}.log").open("w") as log:
        subprocess.run(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT, check=True)


def _meets(one: Edge, other: Edge) -> bool:
    """Whether two answers agree: both have intervals and these overlap, or both say that nothing holds."""
    if one.lower and one.upper and other.lower and other.upper:
        return one.lower <= other.upper and other.lower <= one.upper
    return one.flags == other.flags == ("none",)


def _width(edge: Edge) -> float:
    """The width of the interval as a factor; 1 where there is no interval."""
    return (edge.upper or math.inf) / edge.lower if edge.lower else 1.0


def _words(edge: Edge) -> str:
    ends = f"[{edge.lower:.3g}, {edge.upper:.3g}]" if edge.lower and edge.upper else ""
    return " ".join([ends, *edge.flags]).strip()


if __name__ == "__main__":
    sys.exit(main())

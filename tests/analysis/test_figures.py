"""Figures: the panels that a table names, drawn from constructed runs and opened again."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from analysis.figures import draw_figures, rows_of, slug
from analysis.paper_table import PaperTable, Plot, TableRun
from analysis.runs import StudyRuns
from analysis.tables import compare
from tests.analysis.test_tables import CURVES, DESIGN, FRAME
from trainables.recipe import EPOCHS

RUNS = (TableRun("plain", 32, 0.1, 3, {"test_accuracy": 0.88}), TableRun("plain", 64, 0.2, 3))


def study(*plots: Plot, runs: tuple[TableRun, ...] = RUNS) -> StudyRuns:
    table = PaperTable("Figures 2 to 7", "what it shows", runs, plots=plots)
    at = np.linspace(-1, 1, 5)
    plane = pd.Series((1 + at[:, None] ** 2 + 3 * at**2).flatten())
    series = {
        "a": {"loss_line": pd.Series(1 + at**2), "loss_plane": plane, "lipschitz": pd.Series({0: 1.0, 5: 3.0})},
        "b": {"lipschitz": pd.Series({0: 1.0, 5: 2.0})},
    }
    return StudyRuns("study", "parent", DESIGN, {"budget": "quick"}, FRAME, (table,), CURVES, "", series)


def titles(runs: StudyRuns) -> list[list[str]]:
    return [[panel.title for panel in row] for row in rows_of(runs.tables[0], runs)]


def test_each_batch_size_or_technique_has_a_panel_where_the_table_says_so() -> None:
    runs = (*RUNS, TableRun("other", 64, 0.2, 3))
    assert titles(study(Plot("train_loss", panels="batch_size"), runs=runs)) == [["batch size 32", "batch size 64"]]
    (row,) = rows_of(study(Plot("train_loss", panels="technique"), runs=runs).tables[0], study())
    assert [len(panel.runs) for panel in row] == [2, 1]


def test_plots_of_one_panel_share_a_row_and_nothing_stands_for_the_metric() -> None:
    several = study(Plot("train_loss"), Plot("validation_accuracy"), Plot("train_loss", panels="batch_size"))
    assert [len(row) for row in rows_of(several.tables[0], several)] == [2, 2]
    ((panel,),) = rows_of(study().tables[0], study())
    assert panel.plot.y == "validation_accuracy"


def test_a_plane_has_a_panel_only_where_it_was_measured() -> None:
    assert titles(study(Plot("loss_plane", "plane"))) == [["plain, 32, rate 0.1"]]


def test_every_axis_is_drawn(tmp_path: Path) -> None:
    """More ink than an empty frame has, in each panel, and one picture for the table."""
    plots = (
        Plot("validation_accuracy"),
        Plot("train_loss", panels="batch_size"),
        Plot("lipschitz", "samples"),
        Plot("test_accuracy", "batch_size"),
        Plot("test_accuracy", "learning_rate"),
        Plot("loss_line", "line"),
        Plot("loss_plane", "plane"),
    )
    runs = study(*plots)
    (table,) = runs.tables
    found = {table.name: compare(table, DESIGN, FRAME, CURVES)}
    assert found[table.name]["test_accuracy_paper"].tolist()[0] == 0.88
    (path,) = draw_figures(runs, found, tmp_path)
    assert path.name == "figures_2_to_7.png"
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    coloured = (pixels.max(2) - pixels.min(2) > 60).sum()
    empty = study(*plots)._replace(frame=FRAME.iloc[:0])
    draw_figures(empty, {table.name: compare(table, DESIGN, FRAME.iloc[:0], {})}, tmp_path / "empty")
    with Image.open(tmp_path / "empty" / path.name) as image:
        nothing = np.asarray(image.convert("RGB")).astype(int)
    assert (nothing.max(2) - nothing.min(2) > 60).sum() < 0.05 * coloured


@pytest.mark.parametrize("name", ["Table I and Figure 1", "Figures 2 and 3 (Devarakonda et al.)", "Figure 6.1"])
def test_names_of_tables_become_names_of_files(name: str) -> None:
    assert slug(name).replace("_", "").isalnum()
    assert not slug(name).endswith("_")


def test_plots_survive_json_and_older_stores_have_none() -> None:
    table = PaperTable("I", "", RUNS, plots=(Plot("train_loss", "samples", "technique"),))
    assert PaperTable.from_json(table.to_json()) == table
    older = table.to_json().replace(', "plots": [["train_loss", "samples", "technique"]]', "")
    assert "plots" not in older
    assert PaperTable.from_json(older).plots == ()
    assert table.all_columns == table.columns
    assert PaperTable("I", "", RUNS, (), plots=(Plot("train_loss", "batch_size"),)).all_columns == ("train_loss",)
    assert FRAME["setting"][0][0][0] == EPOCHS

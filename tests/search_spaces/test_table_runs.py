"""Tables run as they are written, and texts of one's own, by the command itself."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from rich.console import Console

from analysis.paper_table import PaperTable, TableRun
from analysis.runs import load_runs
from analysis.sharpness import Sharpness
from search_spaces.digits_cnn import BUDGETS
from search_spaces.imagenet_resnet import BUDGETS as IMAGENET
from search_spaces.ptb_lstm import BUDGETS as PTB
from search_spaces.service.session import with_data
from search_spaces.service.tables import table_plan, table_runs
from tests.search_spaces.place import Place
from trainables import Task, UserError, train
from trainables.data import Digits, KingJamesBible
from trainables.metric import Accuracy
from trainables.models import SmallCNN


def test_a_run_that_two_tables_have_is_made_once() -> None:
    runs = (TableRun("warmup", 16, 0.1, 5), TableRun("warmup", 32, 0.2, 5))
    tables = (PaperTable("I", "", runs, seeds=2), PaperTable("II", "", runs[:1]))
    study = BUDGETS["quick"].with_choices(tables=tables)
    made = table_runs(study)
    assert [(run.group.batch_size, run.seed) for run in made] == [(16, 1), (16, 2), (32, 1), (32, 2)]
    assert table_plan(study).max_runs == 4


def test_a_table_of_what_cannot_be_trained_is_refused() -> None:
    large = PaperTable("I", "", (TableRun("warmup", 4096, 0.1, 5),))
    with pytest.raises(UserError, match="batch size 4096: must be 1 to 1,024"):
        BUDGETS["quick"].with_choices(tables=(large,)).check_tables(workers=1)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (PaperTable("I", "", ()), "I: has no runs"),
        (PaperTable("I", "", (TableRun("nope", 16, 0.1, 5),)), "technique 'nope' is not one of warmup, "),
        (PaperTable("I", "", (TableRun("warmup", 16, 0.1, 5),), ("top5",)), "column 'top5' is not one of test_acc"),
    ],
)
def test_what_a_table_could_not_show_is_refused_before_it_runs(table: PaperTable, words: str) -> None:
    with pytest.raises(UserError, match=words):
        BUDGETS["quick"].with_choices(tables=(table,)).check_tables(workers=1)


def test_tables_end_to_end(place: Place) -> None:
    """Twelve runs, printed beside the paper's numbers; the report is reproduced from MLflow alone."""
    done = place.run("--tables")
    assert done.returncode == 0, done.stdout + done.stderr
    for words in ("the 12 of Toy table", "speed-up", "±"):
        assert words in done.stdout
    results = place.folder / "results" / "digits_cnn_quick_tables"
    table = pd.read_csv(results / "tables.csv")
    assert table.runs.tolist() == [2] * 6
    assert (table.status == "done").all()
    assert table.test_accuracy.between(0.5, 1).all()
    assert table.speed_up[0] == pytest.approx(1.0, abs=0.5)
    assert (results / "tables.png").read_bytes().startswith(b"\x89PNG")
    again = place.run("digits_cnn_quick_tables", "--results-dir", "again", module="analysis.report")
    assert again.returncode == 0, again.stderr
    assert (place.folder / "again/digits_cnn_quick_tables/tables.csv").read_text() == (
        results / "tables.csv"
    ).read_text()


def test_budgets_without_tables_say_so(refused: Callable[..., str]) -> None:
    told = refused("--tables", "--budget", "adaptive")
    assert "--tables: budget adaptive of digits_cnn lists none; quick does" in told


def test_no_trials_at_a_time_are_refused(refused: Callable[..., str]) -> None:
    for options in ([], ["--tables"]):
        assert "must be at least 1" in refused("--concurrent-trials", "0", "--dry-run", *options)


def test_tables_take_no_options_of_a_search(refused: Callable[..., str]) -> None:
    told = refused("--tables", "--seeds", "7", "--search", "grid")
    assert "--tables with --seeds, --search: tables are run as they are written" in told


def test_images_of_ones_own_get_a_model_of_as_many_classes(tmp_path: Path) -> None:
    for part in ("train", "val"):
        for name in ("cat", "dog"):
            (tmp_path / part / name).mkdir(parents=True)
            for number in range(40):
                image = Image.new("RGB", (40, 36), (number * 5, 100, 255 * (name == "cat")))
                image.save(tmp_path / part / name / f"{number}.jpg")
    study = IMAGENET["quick"].on(tmp_path).with_choices(batch_sizes=(32, 64)).check(workers=1)
    assert study.task.data.classes == study.task.model.classes == 2
    assert study.task.metric == Accuracy()
    recipe = study.techniques["lars_legw_poly"]
    assert train(replace(study.task, epochs=1), recipe, 32, 2.0, data_dir=tmp_path).status == "done"


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (Task(SmallCNN(), Digits(), 5, Accuracy(top=10)), "any answer is right where there are 10 classes"),
        (Task(SmallCNN(classes=12), Digits(), 5), "has 12 classes, but the data has 10"),
    ],
)
def test_tasks_that_say_nothing_are_refused(task: Task, words: str) -> None:
    with pytest.raises(UserError, match=words):
        BUDGETS["quick"].with_choices(task=task).check(workers=1)


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (Task(SmallCNN(), Digits(), 5, Accuracy(top=11)), "any answer is right"),
        (Task(SmallCNN(classes=3), Digits(), 5), "has 3 classes, but the data has 10"),
    ],
)
def test_scripts_are_told_too(task: Task, words: str) -> None:
    with pytest.raises(UserError, match=words):
        train(task, BUDGETS["quick"].techniques["warmup"], 16, 0.1)


def test_images_of_one_class_are_refused(tmp_path: Path) -> None:
    for part in ("train", "val"):
        (tmp_path / part / "cat").mkdir(parents=True)
        Image.new("RGB", (40, 36)).save(tmp_path / part / "cat" / "1.jpg")
    with pytest.raises(UserError, match="has images of one class, 'cat'"):
        IMAGENET["quick"].on(tmp_path)


def test_measures_of_one_name_are_refused() -> None:
    with pytest.raises(UserError, match="sharpness would be reported twice"):
        Task(SmallCNN(), Digits(), 5, measures=(Sharpness(), Sharpness(epsilon=0.01)))


def test_only_texts_and_image_folders_can_be_replaced(refused: Callable[..., str]) -> None:
    assert "digits_cnn trains on Digits; only texts" in refused("--data", ".")
    missing = refused("--data", "nowhere", "--dry-run", budgets=PTB)
    assert "nowhere" in missing
    assert "train.txt" in missing


def test_data_that_cannot_be_had_is_substituted_and_tagged(tmp_path: Path) -> None:
    quick = PTB["quick"]
    study, tags = with_data(quick, tmp_path, 1, Console(quiet=True))
    assert isinstance(study.task.data, KingJamesBible)
    assert study.substitute is None
    assert tags["substitute"].startswith("KingJamesBible")
    folder = tmp_path / "ptb"
    folder.mkdir()
    for part, lines in (("train", 12_000), ("valid", 2_000), ("test", 200)):
        (folder / f"ptb.{part}.txt").write_text("the cat sat on the mat and <unk> too\n" * lines)
    assert with_data(quick, tmp_path, 1, Console(quiet=True)) == (quick, {})
    (folder / "ptb.train.txt").write_text("too short\n")
    with pytest.raises(UserError, match=r"ptb.train.txt: has .* tokens"):
        with_data(quick, tmp_path, 1, Console(quiet=True))


@pytest.mark.slow
def test_a_text_of_ones_own_is_judged_by_perplexity(place: Place) -> None:
    folder = place.folder / "text"
    folder.mkdir()
    for part, lines in (("train", 400), ("valid", 60), ("test", 60)):
        words = (f"line {number % 7} of {number % 11} says {number % 13}" for number in range(lines))
        (folder / f"{part}.txt").write_text("\n".join(words))
    options = ("--data", "text", "--batch-sizes", "5,10", "--max-runs", "12", "--learning-rates", "0.05,12.8")
    done = place.run(*options, module="search_spaces.ptb_lstm")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "or better" in done.stdout
    assert "perplexity" in (place.folder / "results/ptb_lstm/frontier.csv").read_text().splitlines()[0]
    frame = load_runs("ptb_lstm", f"sqlite:///{place.folder / 'mlflow.db'}").frame
    assert (frame.validation_perplexity < 50).any(), "far below the 5,000 of a guess"
    assert frame.validation_perplexity.notna().all()

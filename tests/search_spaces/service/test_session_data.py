"""The data of a study: its own, one's own, or a substitute where that cannot be had."""

from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from analysis.runs import load_runs
from search_spaces.ptb_lstm import BUDGETS as PTB
from search_spaces.service.preparation import with_data
from tests.search_spaces.place import Place
from trainables import UserError
from trainables.data import KingJamesBible


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
    assert "Scalable: a typical run reaches " in done.stdout
    assert "perplexity" in (place.folder / "results/ptb_lstm/frontier.csv").read_text().splitlines()[0]
    frame = load_runs("ptb_lstm", f"sqlite:///{place.folder / 'mlflow.db'}").frame
    assert (frame.validation_perplexity < 50).any(), "far below the 5,000 of a guess"
    assert frame.validation_perplexity.notna().all()

"""What cannot be trained is refused before it starts."""

import pytest

from trainables import train
from trainables.data import Digits
from trainables.engine.checks import check_run, workers_for
from trainables.errors import UserError
from trainables.metric import Accuracy
from trainables.models import SmallCNN
from trainables.recipe import Recipe
from trainables.scaling import AdaScale
from trainables.task import Task


def test_splits_that_would_change_the_statistics_are_refused() -> None:
    task = Task(SmallCNN(), Digits(), epochs=1)
    check_run(task, Recipe(), 64, 0.1, workers=2)  # synchronised
    with pytest.raises(UserError, match="norm_batch_size 16: batch size 16 over 2 workers leaves 8 samples each"):
        check_run(task, Recipe(norm_batch_size=16), 16, 0.1, workers=2)
    with pytest.raises(UserError, match="batch size 63: is not divisible by 2 workers"):
        check_run(task, Recipe(norm_batch_size=16), 63, 0.1, workers=2)
    with pytest.raises(UserError, match=r"norm_batch_size None: .* cannot be had while max_micro_batch 16 splits it"):
        check_run(task, Recipe(max_micro_batch=16), 64, 0.1)
    with pytest.raises(UserError, match=r"norm_batch_size None: .* cannot be had while parts 2 splits it"):
        check_run(task, Recipe(scaling=AdaScale()), 64, 0.1)
    with pytest.raises(UserError, match="norm_batch_size 64: batch size 64 over 2 parts to measure noise by leaves 32"):
        check_run(task, Recipe(scaling=AdaScale(), norm_batch_size=64), 64, 0.1)
    with pytest.raises(UserError, match="parts 2: must divide batch size 64 and be a multiple of the workers, 4"):
        check_run(task, Recipe(scaling=AdaScale(), norm_batch_size=8), 64, 0.1, workers=4)
    check_run(task, Recipe(max_micro_batch=64), 64, 0.1)
    check_run(task, Recipe(norm_batch_size=16, max_micro_batch=16), 64, 0.1, workers=2)


def test_shares_of_a_batch_must_be_whole() -> None:
    task = Task(SmallCNN(), Digits(), epochs=1)
    for workers in (1, 2, 4):
        check_run(task, Recipe(norm_parts=4), 64, 0.1, workers=workers)
    with pytest.raises(UserError, match="norm_parts 4: must be a multiple of 8, for whole ones on 8 workers"):
        check_run(task, Recipe(norm_parts=4), 64, 0.1, workers=8)
    with pytest.raises(UserError, match="norm_parts 3: batch size 64 is not a multiple of it"):
        check_run(task, Recipe(norm_parts=3), 64, 0.1)
    with pytest.raises(UserError, match="norm_parts 4: takes the place of norm_batch_size 8"):
        Recipe(norm_parts=4, norm_batch_size=8)
    assert (Recipe(norm_parts=4).norm_size(64), Recipe(norm_batch_size=8).norm_size(64)) == (16, 8)
    assert Recipe().norm_size(64) is None


def test_a_run_that_cannot_be_cut_for_all_workers_uses_one() -> None:
    task = Task(SmallCNN(), Digits(), epochs=1)
    assert workers_for(task, Recipe(norm_batch_size=16), 64, 4) == 4
    assert workers_for(task, Recipe(norm_batch_size=16), 32, 4) == 1
    assert workers_for(task, Recipe(norm_batch_size=16), 24, 4) == 4, "one worker cannot train it either"


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (Task(SmallCNN(), Digits(), 5, Accuracy(top=11)), "any answer is right"),
        (Task(SmallCNN(classes=3), Digits(), 5), "has 3 classes, but the data has 10"),
    ],
)
def test_scripts_are_told_of_tasks_that_say_nothing(task: Task, words: str) -> None:
    with pytest.raises(UserError, match=words):
        train(task, Recipe(base_batch_size=16, norm_batch_size=8), 16, 0.1)

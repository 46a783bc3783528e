"""A task is the user's: its model, data, loss and metric, and one clear line for what cannot be."""

import copy
import math
import pickle
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from trainables import Recipe, Task, UserError, train
from trainables.data import Data, DatasetData, Digits, TensorData
from trainables.loss import CrossEntropy, Loss, SquaredError
from trainables.metric import Accuracy, MeanSquaredError, Metric, Perplexity
from trainables.models import SmallCNN

X = torch.linspace(-1, 1, 96)[:, None]
Y = 3 * X - 1
LINE = TensorData(train=(X, Y), validation=(X[::2], Y[::2]), test=(X[1::2], Y[1::2]))


def line() -> nn.Module:
    return nn.Linear(1, 1)


@dataclass(frozen=True)
class AbsoluteError(Metric):
    """A metric of one's own, of which less is better."""

    lower_is_better = True

    def total(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - targets).abs().sum()


REGRESSION = Task(line, LINE, epochs=20, loss=SquaredError(), metric=AbsoluteError())


def test_a_regression_learns_and_reports_its_own_metric() -> None:
    history = train(REGRESSION, Recipe(), batch_size=8, learning_rate=0.1)
    assert history.status == "done"
    assert history["validation_absolute_error"][-1] < 0.01 < history["validation_absolute_error"][0]
    assert history["test_absolute_error"][:-1] == [None] * 19
    assert history["test_absolute_error"][-1] < 0.01
    assert "validation_accuracy" not in history.epochs[-1].numbers()
    with pytest.raises(KeyError, match="validation_accuracy"):
        history["validation_accuracy"]


def test_train_gives_the_trained_model_back() -> None:
    history = train(REGRESSION, Recipe(), batch_size=8, learning_rate=0.1)
    assert not history.model.training
    assert history.model.weight.item() == pytest.approx(3, abs=0.01)
    assert history.model.bias.item() == pytest.approx(-1, abs=0.01)
    assert "Linear" not in repr(history)


def test_a_regression_that_diverges_is_worth_its_untrained_model() -> None:
    """There are no classes to guess among; every number stays finite."""
    history = train(REGRESSION, Recipe(), batch_size=8, learning_rate=1e12, seed=4)
    assert history.status == "diverged"
    torch.manual_seed(4)
    with torch.no_grad():
        untrained = (line()(X[::2]) - Y[::2]).abs().mean().item()
    last = history.epochs[-1]
    assert last["validation_absolute_error"] == pytest.approx(untrained)
    assert all(math.isfinite(value) for value in last.numbers().values())


def test_smoothed_labels_are_pytorchs() -> None:
    logits, labels = torch.randn(5, 7, 3), torch.randint(0, 3, (5, 7))
    ours = CrossEntropy(label_smoothing=0.1)(logits, labels)
    theirs = nn.functional.cross_entropy(logits.view(35, 3), labels.view(35), label_smoothing=0.1)
    assert ours == theirs
    uniform = torch.zeros(4, 10)
    guess = CrossEntropy(label_smoothing=0.1).guess(10)
    assert CrossEntropy(label_smoothing=0.1)(uniform, torch.arange(4)).item() == pytest.approx(guess)


def test_a_loss_is_a_field_of_the_task() -> None:
    """Smoothed labels change what is trained, not what the accuracy counts."""
    plain = Task(SmallCNN(width=4), Digits(train_samples=200, validation_samples=100), epochs=1)
    smooth = Task(plain.model, plain.data, epochs=1, loss=CrossEntropy(label_smoothing=0.2))
    losses = [train(task, Recipe(), batch_size=20, learning_rate=0.05)["train_loss"][0] for task in (plain, smooth)]
    assert losses[0] != losses[1]


class Named(nn.Module):
    """Takes its inputs by name and answers with a mapping, as Hugging Face's models do."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 4)

    def forward(self, left: Tensor, right: Tensor) -> dict[str, Tensor]:
        return {"logits": self.layer(torch.cat([left, right], dim=1))}


class Pairs(nn.Module):
    """Takes two inputs one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 4)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return self.layer(torch.cat([left, right], dim=1))


LEFT, RIGHT = torch.randn(64, 2), torch.randn(64, 1)
LABELS = (LEFT[:, 0] > 0).long() + 2 * (RIGHT[:, 0] > 0).long()


def test_inputs_may_be_mappings_and_tuples() -> None:
    """Both ways train the same."""
    losses = []
    for model, inputs in ((Named, {"left": LEFT, "right": RIGHT}), (Pairs, (LEFT, RIGHT))):
        data = TensorData(train=(inputs, LABELS), validation=(inputs, LABELS), classes=4)
        history = train(Task(model, data, epochs=10), Recipe(), batch_size=8, learning_rate=0.1)
        assert history["validation_accuracy"][-1] > 0.8
        losses.append(history["train_loss"])
    assert losses[0] == losses[1]


class Iterable(Dataset):
    """Without numbers."""

    def __iter__(self) -> object:
        return iter([1])


def of(data: Data, model: object = line, **fields: object) -> None:
    train(Task(model, data, epochs=1, **fields), Recipe(), batch_size=8, learning_rate=0.1)


FLAT = TensorData(train=(X, Y[:, 0]), validation=(X, Y[:, 0]))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: Task(nn.Linear(1, 1), LINE, 1),
            "Task model Linear: must be a function or dataclass that builds a new",
        ),
        (lambda: of(FLAT), r"CrossEntropy\(label_smoothing=0.0\): needs logits .* targets float32 \(4,\)"),
        (lambda: of(LINE, loss=SquaredError()), r"Accuracy\(top=1\): needs logits .* class numbers"),
        (
            lambda: of(FLAT, loss=SquaredError(), metric=MeanSquaredError()),
            r"SquaredError\(\): outputs float32 \(4, 1\) and targets float32 \(4,\) must be tensors of one shape",
        ),
        (
            lambda: of(LINE, model=Pairs, loss=SquaredError(), metric=MeanSquaredError()),
            r"model .*Pairs.*: cannot be called with inputs float32 \(4, 1\) \(.*missing 1 required",
        ),
        (
            lambda: of(LINE, loss=SquaredError(), metric=Unsummed()),
            r"metric Unsummed\(\): must give a tensor without dimensions, gave float32 \(4, 1\)",
        ),
        (lambda: TensorData(train=X, validation=(X, Y)), r"TensorData train: must be a pair .* is float32 \(96, 1\)"),
        (lambda: TensorData(train=(X, Y[:5]), validation=(X, Y)), "TensorData train .*: the first dimension of every"),
        (lambda: TensorData(train=(X[:0], Y[:0]), validation=(X, Y)), "at least one"),
        (lambda: DatasetData(train=[], validation=[1]), "DatasetData train list: is empty"),
        (lambda: DatasetData(train=iter([]), validation=[1]), "must have a length and a sample for each number"),
        (lambda: of(DatasetData([(1.0,)] * 9, [(1.0,)])), "data set sample: must be a tuple of inputs and targets"),
        (lambda: of(DatasetData([{"x": 1.0}] * 9, [(1.0,)])), "a mapping with 'labels' and inputs, but has 'x'"),
        (lambda: CrossEntropy(label_smoothing=1.0), "CrossEntropy label_smoothing 1.0: must be at least 0 and below 1"),
        (
            lambda: Task(line, LINE, 1, metric=Perplexity(), loss=CrossEntropy(0.1)),
            "a perplexity is of the plain cross-entropy",
        ),
    ],
)
def test_what_cannot_be_is_one_clear_line(make: object, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)


@dataclass(frozen=True)
class Unsummed(Metric):
    """Forgets to sum."""

    def total(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return outputs - targets


@dataclass(frozen=True)
class Weighted(Loss):
    """Weighs its samples against each other, so that it is no mean over them."""

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        weights = targets.abs() + 0.1
        return (weights * (outputs - targets) ** 2).sum() / weights.sum()


@dataclass(frozen=True)
class Nothing(Metric):
    """Is no number."""

    def total(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return outputs.sum() * float("nan")


@dataclass(frozen=True)
class Below(Metric):
    """Is below 0, which has no logarithm."""

    lower_is_better = True

    def total(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return outputs.new_tensor(-1.0)


@dataclass(frozen=True)
class Decibels(AbsoluteError):
    """Makes a score of its own, which no report could read back."""

    def score(self, loss: float, mean: float) -> float:
        return -10 * math.log10(mean)


@dataclass(frozen=True)
class Called:
    """A measure with a name of one's choice."""

    name: str

    def __call__(self, *_: object) -> float:
        return 0.0


class Lazy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.LazyLinear(1)


FIELDS = {"loss": SquaredError(), "metric": AbsoluteError()}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: of(LINE, loss=Weighted(), metric=AbsoluteError()),
            "must be the mean over the samples, or",
        ),
        (lambda: of(LINE, loss=SquaredError(), metric=Nothing()), "metric Nothing.*: is nan on the .* a finite number"),
        (lambda: of(LINE, loss=SquaredError(), metric=Below()), "is -0.* on the .* not below 0 where lower is better"),
        (lambda: Task(line, LINE, 1, metric=Decibels()), r"metric Decibels\(\): redefines score"),
        (lambda: Task(line, LINE, 1, metric="accuracy"), "Task metric 'accuracy': must be an object such as Accuracy"),
        (lambda: Task(line, LINE, 1, loss=nn.CrossEntropyLoss()), r"Task loss CrossEntropyLoss\(\): must be an object"),
        (lambda: Task(line, [1, 2], 1), r"Task data list: must be TensorData\(...\), DatasetData\(...\) or of another"),
        (lambda: Task(line, LINE, "2"), "Task epochs '2': must be a whole number, at least 1"),
        (lambda: Task(line, LINE, 1, measures=(Called("learning_rate"),)), "learning_rate would be reported twice"),
        (lambda: Task(line, LINE, 1, measures=(Called("F1 (macro)"),)), r"name F1 \(macro\): must be letters, digits"),
        (lambda: Recipe(warmup=5), "Recipe warmup 5: must be of a subclass of Warmup"),
        (lambda: Recipe(optimizer=torch.optim.SGD), "Recipe optimizer .*: must be of a subclass of Optimizer"),
        (lambda: of(LINE, model=lambda: None, **FIELDS), "must build an nn.Module, built a NoneType"),
        (lambda: of(LINE, model=lambda x: x, **FIELDS), r"cannot be built \(.*missing 1 required"),
        (lambda: of(LINE, model=Lazy, **FIELDS), "has layers without weights yet"),
        (lambda: of(LINE, model=nn.Identity, **FIELDS), "has no weights that can be trained"),
        (lambda: TensorData(train=(X.numpy(), Y), validation=(X, Y)), "must hold tensors alone; torch.as_tensor makes"),
        (
            lambda: TensorData(train=(X, Y), validation=(X, Y[:, 0])),
            "TensorData validation: a sample is .* alike",
        ),
        (
            lambda: TensorData(train=(X, LABELS[:1].repeat(96) + 9), validation=(X, LABELS[:1].repeat(96)), classes=4),
            "TensorData train: has labels from .* classes are 0 to 3",
        ),
        (
            lambda: of(DatasetData([(X[0], 7)] * 9, [(X[0], 7)], classes=3), model=lambda: nn.Linear(1, 3)),
            "labels from 7",
        ),
        (lambda: of(DatasetData([(X[0], "a")] * 9, [(X[0], "a")])), "its batches are .* but must be of tensors alone"),
        (
            lambda: of(DatasetData([(X[0], None)] * 9, [(X[0], 1)])),
            r"a batch of its samples cannot be made \(TypeError",
        ),
        (
            lambda: of(DatasetData(Raising(), Raising())),
            r"Raising, sample 0 cannot be made \(KeyError: 'gone'\)",
        ),
    ],
)
def test_what_users_try_is_one_clear_line_too(make: object, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)


class Raising(Dataset):
    def __len__(self) -> int:
        return 9

    def __getitem__(self, number: int) -> object:
        raise KeyError("gone")


class Layered(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(1, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def test_the_trained_model_is_an_ordinary_model_again() -> None:
    """It pickles, trains on in any loop, and its BatchNorm and dropout are PyTorch's."""
    task = Task(Layered, LINE, epochs=2, loss=SquaredError(), metric=AbsoluteError())
    history = train(task, Recipe(norm_batch_size=4), batch_size=8, learning_rate=0.01)
    model = pickle.loads(pickle.dumps(history)).model
    assert [type(layer) for layer in model.layers] == [nn.Linear, nn.BatchNorm1d, nn.Dropout, nn.Linear]
    before = model.layers[1].running_mean.clone()
    model.train()
    model(X[:8]).sum().backward()
    assert not torch.equal(model.layers[1].running_mean, before)


def test_unknown_numbers_are_no_numbers() -> None:
    last = train(REGRESSION, Recipe(), batch_size=8, learning_rate=0.1).epochs[-1]
    assert last["status"] == "done"
    with pytest.raises(KeyError):
        last["numbers"]


def test_given_weights_are_a_model_too() -> None:
    """As the message for a model instance says."""
    given = nn.Linear(1, 1)
    task = Task(lambda: copy.deepcopy(given), LINE, epochs=1, loss=SquaredError(), metric=MeanSquaredError())
    before = given.weight.item()
    history = train(task, Recipe(), batch_size=8, learning_rate=1e-9)
    assert history.model.weight.item() == pytest.approx(before, abs=1e-6)
    assert given.weight.item() == before


def test_the_guess_of_a_task() -> None:
    digits = Task(SmallCNN(), Digits(), epochs=1)
    assert digits.guess == (pytest.approx(math.log(10)), 0.1)
    assert digits.guess_score == 0.1
    assert Task(SmallCNN(), Digits(), epochs=1, metric=Accuracy(top=3)).guess_score == pytest.approx(0.3)
    assert REGRESSION.guess is None
    assert REGRESSION.guess_score is None


def test_a_task_says_what_its_runs_report() -> None:
    history = train(REGRESSION, Recipe(), batch_size=8, learning_rate=0.1)
    assert set(history.epochs[-1].numbers()) == set(REGRESSION.reported_names) - {"noise_scale"}

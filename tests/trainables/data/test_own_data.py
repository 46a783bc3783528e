"""Tensors and data sets of one's own: any shape and type, draws that belong to samples, copies that are equal."""

import pickle
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import BertConfig, BertForSequenceClassification

from trainables import Recipe, Task, train
from trainables.data import DatasetData, TensorData
from trainables.data.loading.samples import split_targets
from trainables.optimizers import AdamW

X, Y = torch.arange(20.0)[:, None], torch.arange(20)
TENSORS = TensorData(train=(X, Y), validation=(X[:7], Y[:7]))


class Noisy(Dataset):
    """Draws from all three generators while it makes a sample."""

    def __len__(self) -> int:
        return 20

    def __getitem__(self, number: int) -> tuple[Tensor, float]:
        drawn = [random.random(), float(np.random.rand()), torch.rand(()).item()]
        return torch.tensor([number, *drawn]), float(number)


NOISY = DatasetData(train=Noisy(), validation=Noisy())


@pytest.mark.parametrize("data", [TENSORS, NOISY], ids=repr)
def test_batches_hold_the_samples_asked_for(data: TensorData | DatasetData) -> None:
    loaded = data.load(Path())
    draws = loaded.draws(torch.Generator().manual_seed(0), batch_size=4)
    assert sorted(draws.order.tolist()) == list(range(20))
    for samples in draws.order.split(4):
        inputs, targets = loaded.batch(samples, draws, torch.float64)
        assert inputs[:, 0].tolist() == samples.tolist() == targets.tolist()
        assert inputs.dtype == torch.float64
    assert (data.train_samples, loaded.train_samples) == (20, 20)


def test_whole_numbers_stay_whole_whatever_the_precision() -> None:
    _, targets = TENSORS.load(Path()).batch(torch.arange(3), None, torch.float64)
    assert targets.dtype == torch.int64


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_split_is_dealt_to_the_workers(split: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("tensors", "samples"):
        monkeypatch.setattr(f"trainables.data.loading.{module}.EVALUATION_BATCH_SIZE", 3)
    for data, validation in ((TENSORS, 7), (NOISY, 20)):
        loaded = data.load(Path())
        whole = [targets for _, targets in loaded.evaluation(split, torch.float32, 0, 1)]
        dealt = [targets for rank in (0, 1) for _, targets in loaded.evaluation(split, torch.float32, rank, 2)]
        assert torch.cat(whole).tolist() == list(range(20 if split == "train" else validation))
        assert sorted(torch.cat(dealt).tolist()) == torch.cat(whole).tolist()


def test_what_a_sample_draws_does_not_depend_on_the_batch() -> None:
    loaded = NOISY.load(Path())
    draws, other = (loaded.draws(torch.Generator().manual_seed(seed), 20) for seed in (0, 1))
    whole, _ = loaded.batch(torch.arange(20), draws, torch.float64)
    parts = torch.cat([loaded.batch(part, draws, torch.float64)[0] for part in torch.arange(20).split(3)])
    assert torch.equal(whole, parts)
    assert len(set(whole[:, 1].tolist())) == 20, "samples draw apart"
    assert not torch.equal(whole, loaded.batch(torch.arange(20), other, torch.float64)[0]), "and so do epochs"
    first, second = (next(loaded.evaluation("validation", torch.float64, 0, 1))[0] for _ in range(2))
    assert torch.equal(first, second), "what is judged on is the same every time"


def test_reading_samples_leaves_the_generators_alone() -> None:
    loaded = NOISY.load(Path())
    draws = loaded.draws(torch.Generator().manual_seed(0), 20)
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.random.get_rng_state()
    loaded.batch(torch.arange(5), draws, torch.float32)
    assert random.getstate() == states[0]
    assert np.random.get_state()[1].tolist() == states[1]
    assert torch.equal(torch.random.get_rng_state(), states[2])


@pytest.mark.parametrize("data", [TENSORS, NOISY], ids=repr)
def test_a_copy_on_another_machine_is_the_same_data(data: TensorData | DatasetData) -> None:
    """So workers keep what they have loaded from one run to the next."""
    copied = pickle.loads(pickle.dumps(data))
    assert copied == data
    assert len({data, copied}) == 1
    assert data != type(data)(train=data.train, validation=data.validation)


def test_descriptions_say_what_they_hold() -> None:
    assert repr(TENSORS) == (
        "TensorData(train=(float32 (20, 1), int64 (20,)), validation=(float32 (7, 1), int64 (7,)))"
    )
    assert repr(NOISY) == "DatasetData(train=<Noisy of 20>, validation=<Noisy of 20>)"
    assert (TENSORS.input_shape, NOISY.input_shape) == ((1,), (4,))
    assert TENSORS.example(25)[1].tolist() == [*range(20), *range(5)]


def test_targets_are_last_in_a_tuple_and_named_in_a_mapping() -> None:
    one, two, three = torch.zeros(1), torch.ones(1), torch.full((1,), 2.0)
    assert split_targets([one, two], "labels") == (one, two)
    assert split_targets((one, two, three), "labels") == ((one, two), three)
    assert split_targets({"a": one, "labels": two}, "labels") == ({"a": one}, two)
    assert split_targets({"a": one, "y": two}, "y") == ({"a": one}, two)


class Sentences(Dataset):
    """Rows as Hugging Face's data sets give them: whether the first word is from the second half of the vocabulary."""

    def __init__(self, samples: int, seed: int) -> None:
        self.words = torch.randint(0, 40, (samples, 6), generator=torch.Generator().manual_seed(seed))

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        words = self.words[number]
        return {"input_ids": words, "attention_mask": torch.ones_like(words), "labels": (words[0] >= 20).long()}


def bert() -> torch.nn.Module:
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    return BertForSequenceClassification(BertConfig(vocab_size=40, num_labels=2, **sizes))


def test_a_hugging_face_model_fits() -> None:
    task = Task(bert, DatasetData(Sentences(256, 0), Sentences(100, 1), classes=2), epochs=4)
    history = train(task, Recipe(optimizer=AdamW()), batch_size=16, learning_rate=0.005)
    assert history.status == "done"
    assert history["validation_accuracy"][-1] > 0.9
    assert isinstance(history.model, BertForSequenceClassification)

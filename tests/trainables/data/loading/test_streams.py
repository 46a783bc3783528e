"""Streams of a text: batches and evaluation go on where those before stopped."""

import pytest
import torch

from trainables.data.loading.streams import Streams


def stream(tokens: int, steps: int) -> Streams:
    """A text whose tokens are their own places."""
    return Streams(torch.arange(tokens), torch.arange(1000, 1000 + tokens), torch.arange(2000, 2000 + tokens), steps)


@pytest.mark.parametrize("batch_size", [1, 3, 4])
def test_batches_go_on_where_those_before_stopped(batch_size: int) -> None:
    data = stream(40, 3)  # 13 pieces
    draws = data.draws(torch.Generator().manual_seed(0), batch_size)
    length = 13 // batch_size
    assert len(draws.order) == length * batch_size
    assert draws.keys.shape == (13,)
    assert draws.keys.dtype == torch.int32
    batches = [data.batch(samples, draws, torch.float32) for samples in draws.order.split(batch_size)]
    for number, (inputs, labels) in enumerate(batches):
        for row in range(batch_size):
            assert draws.order[number * batch_size + row] == row * length + number
            first = (row * length + number) * 3
            assert inputs[row].tolist() == [first, first + 1, first + 2]
            assert labels[row].tolist() == [first + 1, first + 2, first + 3]


def test_only_the_keys_of_a_text_are_drawn() -> None:
    data = stream(40, 3)
    first, same, other = (data.draws(torch.Generator().manual_seed(seed), 4) for seed in (0, 0, 1))
    assert torch.equal(first.keys, same.keys)
    assert not torch.equal(first.keys, other.keys)
    assert torch.equal(first.order, other.order)


@pytest.mark.parametrize("workers", [1, 2, 3, 11])
def test_evaluation_streams_are_dealt_to_workers(workers: int) -> None:
    data = stream(71, 2)  # 35 pieces: 10 streams of 3
    whole = list(data.evaluation("test", torch.float32, 0, 1))
    assert [inputs.shape for inputs, _ in whole] == [(10, 2)] * 3
    rows = torch.cat([inputs for inputs, _ in whole], dim=1)
    assert torch.equal(rows, torch.arange(2000, 2060).view(10, 6)), "in order, each stream where the last one ends"
    for inputs, labels in whole:
        assert torch.equal(labels, inputs + 1)
    parts = [list(data.evaluation("test", torch.float32, rank, workers)) for rank in range(workers)]
    assert [len(part) for part in parts] == [3] * min(workers, 10) + [0] * max(0, workers - 10)
    for number, (inputs, _) in enumerate(whole):
        here = torch.cat([part[number][0] for part in parts if part])
        assert torch.equal(here.sort(dim=0).values, inputs)


def test_a_text_of_few_pieces_makes_few_streams() -> None:
    batches = list(stream(9, 2).evaluation("train", torch.float32, 0, 1))
    assert len(batches) == 1
    assert batches[0][1].tolist() == [[1, 2], [3, 4], [5, 6], [7, 8]]

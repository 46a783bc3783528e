"""States that go on along a stream, whatever the batches and passes."""

import pytest
import torch

from trainables.layers.split_invariant import Pass
from trainables.layers.stream_lstm import StreamLSTM

KEYS = torch.zeros(0, dtype=torch.int32)
"""No layer of these draws anything."""


def stream(steps: int, streams_: int = 4) -> torch.Tensor:
    return torch.randn(streams_, steps, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def layer() -> StreamLSTM:
    torch.manual_seed(0)
    return StreamLSTM(3, 5, layers=2).double()


def test_training_goes_on_where_the_settled_batch_ended() -> None:
    x, pieces, whole = stream(10), layer(), layer()
    expected = whole(x)
    first = pieces(x[:, :6])
    pieces.settle(1)
    second = pieces(x[:, 6:])
    assert torch.allclose(torch.cat([first, second], dim=1), expected, rtol=0, atol=1e-12)


def test_gradients_end_where_a_piece_begins() -> None:
    x, pieces = stream(10).requires_grad_(), layer()
    pieces(x[:, :6])
    pieces.settle(1)
    pieces(x[:, 6:]).sum().backward()
    assert (x.grad[:, :6] == 0).all()
    assert (x.grad[:, 6:] != 0).all()


def test_evaluation_goes_on_by_itself() -> None:
    x, pieces = stream(10), layer().eval()
    expected = layer()(x)
    assert torch.allclose(torch.cat([pieces(x[:, :6]), pieces(x[:, 6:])], dim=1), expected, rtol=0, atol=1e-12)


def test_without_settling_training_stays_where_it_is() -> None:
    x, pieces = stream(10), layer()
    assert torch.equal(pieces(x), pieces(x))
    pieces.forget()
    pieces.settle(1)
    assert torch.equal(pieces(x), layer()(x))


@pytest.mark.parametrize("split", [1, 2, 3])
def test_micro_batches_are_the_whole_batch(split: int) -> None:
    x, parts, whole = stream(10), layer(), layer()
    for piece in (x[:, :6], x[:, 6:]):
        outputs = []
        for first, micro in ((split, piece[split:]), (0, piece[:split])):  # in whichever order
            parts.begin_pass(Pass(first, KEYS, groups=1, noted=True))
            outputs.insert(0, parts(micro))
        assert torch.allclose(torch.cat(outputs), whole(piece), rtol=0, atol=1e-12)
        parts.settle(1)
        whole.settle(1)


def test_a_pass_that_does_not_count_does_not_move_the_state() -> None:
    x, pieces, whole = stream(10), layer(), layer()
    for piece in (x[:, :6], x[:, 6:]):
        expected = whole(piece)
        whole.settle(1)
        pieces.begin_pass(Pass(0, KEYS, groups=1, noted=True))
        assert torch.equal(pieces(piece), expected)
        pieces.begin_pass(Pass(0, KEYS, groups=1, noted=False))
        assert torch.equal(pieces(piece), expected)
        pieces(torch.zeros_like(piece))
        pieces.settle(1)


@pytest.mark.parametrize("training", [True, False])
def test_restarting_begins_all_streams_anew(training: bool) -> None:
    x, pieces = stream(10), layer().train(training)
    expected = pieces(x)
    pieces.settle(1)
    assert not torch.equal(pieces(x), expected)
    pieces.restart()
    assert torch.equal(pieces(x), expected)

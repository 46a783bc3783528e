"""Models: the layers and parameters they state, and the states they carry."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from trainables.errors import UserError
from trainables.layers.ghost_batch_norm import batch_norms
from trainables.layers.sample_dropout import SampleDropout, with_sample_dropout
from trainables.layers.split_invariant import split_invariant
from trainables.models import (
    VGG19BN,
    LSTMClassifier,
    LSTMLanguageModel,
    ResNet8,
    ResNet18,
    ResNet20,
    ResNet50,
    SixLayerCNN,
    TwoConvCNN,
)
from trainables.models.resnet import BasicBlock

IMAGE = (3, 32, 32)


def dense(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def conv(inputs: int, outputs: int, bias: bool = True) -> int:
    return 9 * inputs * outputs + outputs * bias


def lstm(inputs: int, width: int) -> int:
    return 4 * width * (inputs + width) + 8 * width  # four gates; PyTorch has two biases


def cifar_resnet(width: int, blocks: int, classes: int) -> int:
    def stage(inputs: int, outputs: int) -> int:
        convolutions = conv(inputs, outputs, bias=False) + (2 * blocks - 1) * conv(outputs, outputs, bias=False)
        projection = inputs * outputs + 2 * outputs if inputs != outputs else 0
        return convolutions + 2 * blocks * 2 * outputs + projection

    stem = conv(3, width, bias=False) + 2 * width
    stages = stage(width, width) + stage(width, 2 * width) + stage(2 * width, 4 * width)
    return stem + stages + dense(4 * width, classes)


def six_layer(width: int, first: int, second: int) -> int:
    channels = [3, width, 2 * width, 4 * width, 4 * width, 8 * width, 8 * width]
    convolutions = sum(conv(*pair) for pair in itertools.pairwise(channels))
    norms = 2 * (width + 4 * width + 8 * width)
    return convolutions + norms + dense(128 * width, first) + dense(first, second) + dense(second, 10)


def vgg(divide: int, classes: int) -> int:
    channels = [each // divide for each in (64, 64, 128, 128, *[256] * 4, *[512] * 8)]
    convolutions = sum(conv(*pair) for pair in itertools.pairwise([3, *channels]))
    return convolutions + 2 * sum(channels) + dense(512 // divide, classes)


@pytest.mark.parametrize(
    ("model", "shape", "classes", "parameters", "by_hand"),
    [
        (SixLayerCNN(), IMAGE, 10, 5_852_170, six_layer(32, 1024, 512)),
        (SixLayerCNN(width=8, widths=(64, 32)), IMAGE, 10, 138_922, six_layer(8, 64, 32)),
        (
            SixLayerCNN(8, (64, 32), stem_stride=2),
            IMAGE,
            10,
            89_770,
            six_layer(8, 64, 32) - dense(64 * 16, 64) + dense(64 * 4, 64),
        ),
        (TwoConvCNN(), IMAGE, 10, 60_362, conv(3, 32) + conv(32, 64) + dense(64 * 8 * 8, 10)),
        (TwoConvCNN(8, channels=1, size=28), (1, 28, 28), 10, 9_098, conv(1, 8) + conv(8, 16) + dense(16 * 7 * 7, 10)),
        (ResNet8(), IMAGE, 10, 78_042, cifar_resnet(16, 1, 10)),
        (ResNet20(), IMAGE, 10, 272_474, cifar_resnet(16, 3, 10)),
        (ResNet20(width=8, classes=100), IMAGE, 100, 71_756, cifar_resnet(8, 3, 100)),
        (VGG19BN(divide=8), IMAGE, 100, 321_548, vgg(8, 100)),
        (VGG19BN(), IMAGE, 100, 20_086_692, vgg(1, 100)),
        (LSTMClassifier(), (1, 28, 28), 10, 137_098, dense(28, 128) + lstm(128, 128) + dense(128, 10)),
        (ResNet50(), (3, 64, 64), 1000, 25_557_032, 25_557_032),  # torchvision's own number
    ],
    ids=repr,
)
def test_models_have_the_parameters_they_state(
    model: Callable[[], nn.Module], shape: tuple[int, ...], classes: int, parameters: int, by_hand: int
) -> None:
    built = model()
    assert sum(p.numel() for p in built.parameters()) == parameters == by_hand
    assert built(torch.zeros(2, *shape)).shape == (2, classes)


def test_a_language_model_gives_logits_for_every_step() -> None:
    model = LSTMLanguageModel()()
    parameters = sum(p.numel() for p in model.parameters())
    assert parameters == 4_653_200 == 10_000 * 200 + 2 * lstm(200, 200) + dense(200, 10_000)
    assert model(torch.zeros(3, 5, dtype=torch.int64)).shape == (3, 5, 10_000)
    assert all(0.09 < parameter.abs().max() <= 0.1 for parameter in model.parameters())


@pytest.mark.parametrize(
    ("model", "tensors", "fingerprint"),
    [
        (ResNet8(), 56, -11.288916),
        (ResNet8(width=8), 56, -8.338204),
        (ResNet18(), 122, 22.519143),
        (ResNet18(stem="imagenet", classes=100), 122, -46.998578),
    ],
    ids=repr,
)
def test_recorded_runs_began_from_these_weights(
    model: Callable[[], nn.Module], tensors: int, fingerprint: float
) -> None:
    """Every weight of seed 0 in its place, up to what processors round differently."""
    torch.manual_seed(0)
    weights = [value.double().flatten() for value in model().state_dict().values()]
    assert len(weights) == tensors
    places = torch.arange(sum(map(len, weights)), dtype=torch.float64)
    assert (torch.cat(weights) * places.cos()).sum().item() == pytest.approx(fingerprint, abs=1e-4)


def test_the_six_layer_network_is_built_as_it_says() -> None:
    kinds = [type(module).__name__ for module in SixLayerCNN()()]
    block = ["Conv2d", "BatchNorm2d", "ReLU", "Conv2d", "ReLU", "MaxPool2d"]
    end = ["Flatten", "Dropout", "Linear", "ReLU", "Linear", "ReLU", "Dropout", "Linear"]
    assert kinds == [*block, *block, "Dropout2d", *block, *end]
    model = with_sample_dropout(SixLayerCNN()())
    assert [layer.p for layer in split_invariant(model) if isinstance(layer, SampleDropout)] == [0.05, 0.1, 0.1]
    assert [layer.num_features for layer in batch_norms(model)] == [32, 128, 256]


def test_the_two_convolution_network_is_built_as_it_says() -> None:
    kinds = [type(module).__name__ for module in TwoConvCNN()()]
    assert kinds == 2 * ["Conv2d", "ReLU", "MaxPool2d", "Dropout"] + ["Flatten", "Linear"]
    assert [layer.p for layer in split_invariant(with_sample_dropout(TwoConvCNN()()))] == [0.25, 0.25]


@pytest.mark.parametrize(
    ("model", "layers"),
    [(ResNet8(width=2), 8 + 2), (ResNet20(width=2), 20 + 2), (ResNet50(), 50 + 4), (VGG19BN(divide=64), 19 - 2)],
    ids=repr,
)
def test_the_number_of_layers_is_that_of_the_name(model: Callable[[], nn.Module], layers: int) -> None:
    """Convolutions and dense layers: projection shortcuts are more, and two of VGG's three dense layers are gone."""
    assert sum(isinstance(module, nn.Conv2d | nn.Linear) for module in model().modules()) == layers


@pytest.mark.parametrize("model", [ResNet20(), VGG19BN(divide=2), ResNet50(classes=2)], ids=repr)
def test_convolutions_are_drawn_for_relu(model: Callable[[], nn.Module]) -> None:
    """Normal with variance 2 / (kernel's places * channels out), and every BatchNorm begins as the identity."""
    torch.manual_seed(0)
    built = model()
    for layer in (each for each in built.modules() if isinstance(each, nn.Conv2d) and each.weight.numel() > 4_000):
        fan_out = layer.out_channels * math.prod(layer.kernel_size)
        assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / fan_out), rel=0.06)
    assert all((layer.weight == 1).all() for layer in batch_norms(built))


def test_a_number_that_does_not_divide_the_channels_is_refused() -> None:
    for divide in (0, 3, 128):
        with pytest.raises(UserError, match=f"VGG19BN divide {divide}: must be a divisor of 64"):
            VGG19BN(divide=divide)


def test_a_strided_stem_leaves_fewer_pixels_and_every_weight_as_it_was() -> None:
    for stride, pixels in ((1, 32), (2, 16), (4, 8)):
        model = ResNet8(width=4, stem_stride=stride)()
        assert model[:3](torch.zeros(2, *IMAGE)).shape == (2, 4, pixels, pixels)
        assert model(torch.zeros(2, *IMAGE)).shape == (2, 10)
    assert ResNet8() == ResNet8(stem_stride=1)
    torch.manual_seed(0)
    paper = ResNet8()().state_dict()
    torch.manual_seed(0)
    strided = ResNet8(stem_stride=2)().state_dict()
    assert paper.keys() == strided.keys()
    assert all(torch.equal(paper[name], strided[name]) for name in paper)


def test_a_stem_without_a_stride_is_refused() -> None:
    with pytest.raises(UserError, match="ResNet20 stem_stride 0: must be at least 1"):
        ResNet20(stem_stride=0)
    with pytest.raises(UserError, match="SixLayerCNN stem_stride 3: must be 1, 2 or 4"):
        SixLayerCNN(stem_stride=3)


def test_images_are_read_row_by_row_and_the_last_row_counts() -> None:
    torch.manual_seed(0)
    model, images = LSTMClassifier(width=8)(), torch.rand(2, 1, 28, 28)
    images.requires_grad_()
    model(images).sum().backward()
    rows = images.grad.abs().sum((0, 1, 3))
    assert (rows > 0).all()
    assert rows[-1] > 10 * rows[0]


def test_a_language_model_carries_its_state() -> None:
    torch.manual_seed(0)
    model, text = LSTMLanguageModel(11, 6)().double(), torch.randint(11, (2, 10))
    whole = model(text)
    first = model(text[:, :4])
    (carried,) = split_invariant(model)
    carried.forget()
    assert torch.equal(model(text[:, :4]), first)
    carried.settle(1)
    assert torch.allclose(torch.cat([first, model(text[:, 4:])], dim=1), whole, rtol=0, atol=1e-12)


def test_a_shortcut_is_a_convolution_of_every_second_pixel() -> None:
    block = BasicBlock(4, 8, stride=2)
    assert isinstance(block.shortcut, nn.Sequential)
    pick, convolve, _ = block.shortcut
    assert isinstance(convolve, nn.Conv2d)
    for size in (7, 8):
        x = torch.randn(3, 4, size, size)
        torch.testing.assert_close(convolve(pick(x)), F.conv2d(x, convolve.weight, stride=2))

"""Recurrent networks: one that reads an image row by row, one that models a language."""

from dataclasses import dataclass

from torch import Tensor, nn

from trainables.layers.stream_lstm import StreamLSTM


@dataclass(frozen=True)
class LSTMClassifier:
    """Reads a 28 by 28 image as 28 steps of 28 pixels: a dense layer from 28 to `width`, one LSTM layer of `width`, and
    a dense layer from its last output to the logits. 137,098 parameters at width 128.

    The paper's cell is a 256 by 512 matrix, here in two parts that PyTorch each gives a bias. Weights are PyTorch's own
    draws.

    Attributes:
        width: of the LSTM layer and of its input.
        classes: number of logits.

    Source: You et al. 2019, "Large-Batch Training for LSTM and Beyond", section 5.1.1.
    """

    width: int = 128
    classes: int = 10

    def __call__(self) -> nn.Module:
        return RowReader(self.width, self.classes)


@dataclass(frozen=True)
class LSTMLanguageModel:
    """Predicts each next word of a text: an embedding, LSTM layers that carry their state along the text, and a dense
    layer to a logit per word, which shares no weights with the embedding. 4,653,200 parameters by default.

    The paper's 13 epochs and perplexity of 115.91 are those of the "small" configuration of TensorFlow's PTB tutorial,
    so what the paper leaves open is from there: weights are uniform from -0.1 to 0.1, the embedding's and here the
    biases too, and nothing is dropped.

    Attributes:
        vocabulary: number of words.
        width: of the embedding and of each LSTM layer.
        layers: LSTM layers.

    Source: You et al. 2019, "Large-Batch Training for LSTM and Beyond", section 5.1.2.
    """

    vocabulary: int = 10_000
    width: int = 200
    layers: int = 2

    def __call__(self) -> nn.Module:
        model = nn.Sequential(  # (streams, steps) -> (streams, steps, vocabulary)
            nn.Embedding(self.vocabulary, self.width),
            StreamLSTM(self.width, self.width, self.layers),
            nn.Linear(self.width, self.vocabulary),
        )
        for parameter in model.parameters():
            nn.init.uniform_(parameter, -0.1, 0.1)
        return model


class RowReader(nn.Module):
    """An LSTM over the rows of images of one channel, 28 pixels wide."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.transform = nn.Linear(28, width)
        self.lstm = nn.LSTM(width, width, batch_first=True)
        self.answer = nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:  # (batch, 1, 28, 28) -> (batch, classes)
        outputs, _ = self.lstm(self.transform(images[:, 0]))  # (batch, 28, width)
        return self.answer(outputs[:, -1])

"""Recurrent networks: one that reads an image row by row, and one that models a language."""

from dataclasses import dataclass

from torch import Tensor, nn

from trainables.layers.stream_lstm import StreamLSTM


@dataclass(frozen=True)
class LSTMClassifier:
    """Reads a 28 by 28 image as 28 steps of 28 pixels: a dense layer from 28 to `width`, one LSTM layer of `width`, and
    a dense layer from its last output to the logits. 137,098 parameters at width 128.

    The paper's LSTM cell is one 256 by 512 matrix. PyTorch keeps it as two matrices and gives each a bias. Weights are
    initialised as PyTorch does by default.

    Attributes:
        width: size of the LSTM layer and of its input.
        classes: number of logits.

    Source: You et al. 2019, "Large-Batch Training for LSTM and Beyond", section 5.1.1.
    """

    width: int = 128
    classes: int = 10

    def __call__(self) -> nn.Module:
        return RowReader(self.width, self.classes)


@dataclass(frozen=True)
class LSTMLanguageModel:
    """Predicts the next word after each word of a text; 4,653,200 parameters by default.

    It has an embedding, LSTM layers that carry their state along the text, and a dense layer to one logit per word,
    which shares no weights with the embedding.

    The paper's 13 epochs and its perplexity of 115.91 are those of the "small" configuration of TensorFlow's PTB
    tutorial, so details that the paper leaves open are taken from there: all weights, including those of the embedding,
    are drawn uniformly from -0.1 to 0.1, and there is no dropout. Here the biases are drawn in the same way.

    Attributes:
        vocabulary: number of words.
        width: size of the embedding and of each LSTM layer.
        layers: number of LSTM layers.

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

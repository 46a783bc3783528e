"""Text for language models that predict words, from three files."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from trainables.data.loading.source import Data
from trainables.data.loading.streams import Streams, pieces
from trainables.errors import MissingData, require

UNKNOWN, END_OF_LINE = "<unk>", "<eos>"
PARTS = ("train", "valid", "test")


@dataclass(frozen=True)
class TextCorpus(Data):
    """A folder with train.txt, valid.txt and test.txt, or ptb.train.txt and so on; by default the Penn Treebank.

    White space separates words, and each line ends in <eos>. The vocabulary consists of the most frequent training
    words and of <unk>, which stands for every other word. Of equally frequent words, the first in the alphabet is
    taken.

    Attributes:
        folder: the folder that contains the files, absolute or relative to the data directory.
        vocabulary: number of words in the vocabulary, including <unk> and <eos>.
        steps: number of tokens in a sample; batch sizes count samples of this length.
        train_tokens, validation_tokens: number of tokens of these splits to use; the first ones are used. The test
            split is always used completely.

    Raises:
        UserError: vocabulary is below 2, steps is below 1, or a split is not longer than one sample.

    Source: the text as cut by Mikolov et al. 2010, "Recurrent neural network based language model".
    """

    folder: str = "ptb"
    vocabulary: int = 10_000
    steps: int = 20
    train_tokens: int = 929_589
    validation_tokens: int = 73_760

    def __post_init__(self) -> None:
        name = type(self).__name__
        require(self.vocabulary >= 2, f"{name} vocabulary {self.vocabulary}: must be at least 2")
        require(self.steps >= 1, f"{name} steps {self.steps}: must be at least 1")
        for field in ("train_tokens", "validation_tokens"):
            tokens = getattr(self, field)
            require(tokens > self.steps, f"{name} {field} {tokens}: must be more than the steps {self.steps}")

    @property
    def train_samples(self) -> int:
        return pieces(self.train_tokens, self.steps)

    @property
    def validation_samples(self) -> int:
        return pieces(self.validation_tokens, self.steps)

    @property
    def input_shape(self) -> tuple[int]:
        return (self.steps,)

    @property
    def classes(self) -> int:
        return self.vocabulary

    @property
    def streams(self) -> bool:
        return True

    def at(self, folder: Path) -> "TextCorpus":
        """This data set for another folder, with all tokens of that folder's files, but at most as many as here.

        Raises:
            UserError: a file is missing in the folder, or is too short.
        """
        train, validation = (sum(1 for _ in read(part_of(folder, part))) for part in ("train", "valid"))
        for part, tokens in (("train", train), ("valid", validation)):
            require(
                tokens > self.steps,
                f"{part_of(folder, part)}: has {tokens:,} tokens, must have more than a piece of {self.steps}",
            )
        return TextCorpus(
            str(folder.absolute()),
            self.vocabulary,
            self.steps,
            min(self.train_tokens, train),
            min(self.validation_tokens, validation),
        )

    def load(self, data_dir: Path) -> Streams:
        """The splits as token numbers.

        Raises:
            UserError: a file is missing, or has fewer tokens than asked for.
        """
        train, validation, test = (list(read(part_of(data_dir / self.folder, part))) for part in PARTS)
        for part, words, least in zip(
            PARTS, (train, validation, test), (self.train_tokens, self.validation_tokens, self.steps + 1), strict=True
        ):
            require(
                len(words) >= least,
                f"{part_of(data_dir / self.folder, part)}: has {len(words):,} tokens, must have at least {least:,}",
            )
        numbers = numbered(train, self.vocabulary)
        return Streams(
            _encoded(train[: self.train_tokens], numbers),
            _encoded(validation[: self.validation_tokens], numbers),
            _encoded(test, numbers),
            self.steps,
        )

    def example(self, samples: int) -> tuple[Tensor, Tensor]:
        """Tokens and labels, (samples, steps) int64 each, drawn at random."""
        tokens = torch.randint(self.vocabulary, (samples, self.steps + 1))
        return tokens[:, :-1], tokens[:, 1:]


def part_of(folder: Path, part: str) -> Path:
    """The file of a split, which may have one of two names.

    Raises:
        UserError: neither file exists.
    """
    for name in (f"{part}.txt", f"ptb.{part}.txt"):
        if (folder / name).is_file():
            return folder / name
    raise MissingData(
        f"{folder}: has no {part}.txt or ptb.{part}.txt; put train.txt, valid.txt and test.txt there (the Penn "
        "Treebank is licensed and not fetched; any text will do), or name a folder that has them with `--data DIR`"
    )


def read(path: Path) -> Iterator[str]:
    """The tokens of a file."""
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            yield from line.split()
            yield END_OF_LINE


def numbered(words: list[str], vocabulary: int) -> dict[str, int]:
    """The words of the vocabulary and their numbers: <unk> is 0, the others follow in order of frequency."""
    counts = Counter(words)
    del counts[UNKNOWN]
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    return {word: number for number, word in enumerate([UNKNOWN, *ranked[: vocabulary - 1]])}


def _encoded(words: list[str], numbers: dict[str, int]) -> Tensor:
    return torch.tensor([numbers.get(word, numbers[UNKNOWN]) for word in words])

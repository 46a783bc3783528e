"""Texts of word tokens: read, numbered, and refused in one line."""

from pathlib import Path

import pytest
import torch

from tests.trainables.data.helpers import refused
from trainables.data import KingJamesBible, TextCorpus, text
from trainables.errors import UserError


def write_corpus(folder: Path, train: str, valid: str, test: str, prefix: str = "") -> Path:
    folder.mkdir(parents=True)
    for part, content in zip(text.PARTS, (train, valid, test), strict=True):
        (folder / f"{prefix}{part}.txt").write_text(content)
    return folder


def test_the_defaults_are_the_penn_treebanks() -> None:
    corpus = TextCorpus()
    assert (corpus.train_samples, corpus.validation_samples) == (929_588 // 20, 73_759 // 20)
    assert (corpus.classes, corpus.input_shape, corpus.streams) == (10_000, (20,), True)


@pytest.mark.parametrize("prefix", ["", "ptb."])
def test_words_are_numbered_by_frequency(tmp_path: Path, prefix: str) -> None:
    folder = write_corpus(tmp_path / "ptb", " b c a b\n a d\n", "b <unk> e\n", "a\nb\n", prefix)
    corpus = TextCorpus(vocabulary=4, steps=2, train_tokens=7, validation_tokens=3)
    loaded = corpus.load(tmp_path)
    # counts: a, b and <eos> twice; c and d once, which do not fit beside <unk>
    names = ["<unk>", "<eos>", "a", "b"]
    assert [names[token] for token in loaded.train] == ["b", "<unk>", "a", "b", "<eos>", "a", "<unk>"]
    assert [names[token] for token in loaded.validation] == ["b", "<unk>", "<unk>"], "the first 3 of 4 tokens"
    assert [names[token] for token in loaded.test] == ["a", "<eos>", "b", "<eos>"]
    assert TextCorpus(str(folder), 4, 2, 7, 3).load(Path("/nowhere")).train.tolist() == loaded.train.tolist()


def test_unknown_words_of_the_text_itself_are_the_vocabularys(tmp_path: Path) -> None:
    folder = write_corpus(tmp_path / "corpus", "<unk> a <unk> b <unk>\n", "a a\n", "a a\n")
    loaded = TextCorpus(str(folder), vocabulary=4, steps=1, train_tokens=6, validation_tokens=3).load(tmp_path)
    assert loaded.train.tolist() == [0, 2, 0, 3, 0, 1]


def test_a_corpus_too_small_is_refused_with_the_numbers(tmp_path: Path) -> None:
    write_corpus(tmp_path / "ptb", "a b c\n", "a b\n", "a\n")
    message = refused(TextCorpus(steps=1), tmp_path)
    for words in (str(tmp_path / "ptb" / "train.txt"), "has 4 tokens", "929,589"):
        assert words in message
    message = refused(TextCorpus(steps=1, train_tokens=4, validation_tokens=4), tmp_path)
    assert "valid.txt: has 3 tokens, must have at least 4" in message
    message = refused(TextCorpus(steps=2, train_tokens=4, validation_tokens=3), tmp_path)
    assert "test.txt: has 2 tokens, must have at least 3" in message


def test_a_missing_corpus_names_the_remedy(tmp_path: Path) -> None:
    message = refused(TextCorpus(), tmp_path)
    for words in (str(tmp_path / "ptb"), "train.txt or ptb.train.txt", "licensed", "--data DIR"):
        assert words in message


def test_a_description_moves_to_another_folder(tmp_path: Path) -> None:
    folder = write_corpus(tmp_path / "mine", "a b c d\n" * 10, "a b\n" * 10, "a b\n" * 10)
    for corpus in (TextCorpus(steps=3, train_tokens=1_000, validation_tokens=20), KingJamesBible(steps=3)):
        there = corpus.at(folder)
        assert type(there) is TextCorpus
        assert (there.train_tokens, there.validation_tokens) == (50, min(corpus.validation_tokens, 30))
        assert there.load(Path("/nowhere")).train_samples == there.train_samples == 49 // 3
    with pytest.raises(UserError, match=r"has no train\.txt"):
        TextCorpus().at(tmp_path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"vocabulary": 1}, "vocabulary 1: must be at least 2"),
        ({"steps": 0}, "steps 0: must be at least 1"),
        ({"train_tokens": 20}, "train_tokens 20: must be more than the steps 20"),
    ],
)
def test_texts_that_cannot_be(changes: dict[str, int], words: str) -> None:
    with pytest.raises(UserError, match=words):
        TextCorpus(**changes)  # type: ignore[arg-type]


def test_an_example_has_the_shape_of_a_batch() -> None:
    inputs, labels = TextCorpus(vocabulary=5, steps=3).example(4)
    assert (inputs.shape, labels.shape, inputs.dtype, labels.dtype) == ((4, 3), (4, 3), torch.int64, torch.int64)
    assert inputs.max() < 5

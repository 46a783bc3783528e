"""Data sets beyond CIFAR-10 and the digits: read from real files, fetched from a local host, refused in one line."""

import gzip
import hashlib
import io
import pickle
import random
import shutil
import subprocess
import tarfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from trainables.data import (
    CIFAR10JPEG,
    CIFAR100,
    MNIST,
    Data,
    FashionMNIST,
    ImageFolder,
    KingJamesBible,
    TextCorpus,
    bible,
    cifar10,
    cifar10_jpeg,
    cifar100,
    mnist,
    text,
)
from trainables.data.loading import download, folder_images
from trainables.data.loading.folder_images import FolderImages
from trainables.data.loading.held_out import Arrays
from trainables.data.loading.once import once
from trainables.data.loading.streams import Streams
from trainables.errors import UserError

NOWHERE = "http://127.0.0.1:9/"


def refused(data: Data, data_dir: Path) -> str:
    """The one line that loading fails with."""
    with pytest.raises(UserError) as caught:
        data.load(data_dir)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# What is made once.


def test_what_is_made_once_is_made_by_one_of_many(tmp_path: Path) -> None:
    made = []

    def make(path: Path) -> None:
        made.append(path)
        path.mkdir()
        (path / "content").write_text("whole")

    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda _: once(tmp_path / "data" / "set", make), range(8)))
    assert len(made) == 1
    assert {(path / "content").read_text() for path in paths} == {"whole"}


def test_what_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    def make(path: Path) -> None:
        path.mkdir()
        raise UserError("no more")

    with pytest.raises(UserError, match="no more"):
        once(tmp_path / "set", make)
    assert [path.name for path in tmp_path.iterdir()] == ["set.lock"]


# CIFAR-100.


@pytest.fixture
def photographs(monkeypatch: pytest.MonkeyPatch) -> tuple[Arrays, bytes]:
    """Four training and two test images in CIFAR-100's layout, as torchvision expects them, and their archive."""
    from torchvision.datasets import CIFAR100 as Official

    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (6, 32, 32, 3), np.uint8)
    labels = draw.integers(0, 100, 6).astype(np.uint8)
    contents: dict[str, object] = {
        part: {"data": images[rows].transpose(0, 3, 1, 2).reshape(-1, 3072), "fine_labels": labels[rows].tolist()}
        for part, rows in (("train", slice(4)), ("test", slice(4, 6)))
    }
    contents["meta"] = {"fine_label_names": [str(number) for number in range(100)]}
    archive, md5 = io.BytesIO(), {}
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name, content in contents.items():
            data = pickle.dumps(content)
            md5[name] = hashlib.md5(data).hexdigest()
            info = tarfile.TarInfo(f"{cifar100.FOLDER}/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    monkeypatch.setattr(Official, "train_list", [["train", md5["train"]]])
    monkeypatch.setattr(Official, "test_list", [["test", md5["test"]]])
    monkeypatch.setattr(Official, "meta", {**Official.meta, "md5": md5["meta"]})
    return Arrays(images[:4], labels[:4], images[4:], labels[4:]), archive.getvalue()


def test_cifar100_comes_from_the_official_host_and_stays(
    tmp_path: Path,
    photographs: tuple[Arrays, bytes],
    server: tuple[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arrays, archive = photographs
    url, folder = server
    (folder / "cifar-100-python.tar.gz").write_bytes(archive)
    monkeypatch.setattr(cifar100, "OFFICIAL_URL", f"{url}cifar-100-python.tar.gz")
    first = cifar100.load_arrays(tmp_path / "data")
    monkeypatch.setattr(cifar100, "OFFICIAL_URL", NOWHERE)
    for found in (first, cifar100.load_arrays(tmp_path / "data")):
        assert all((ours == theirs).all() for ours, theirs in zip(found, arrays, strict=True))
    images = CIFAR100(train_samples=3, judge_on="test").load(tmp_path / "data")
    assert images.train.labels.tolist() == arrays.train_labels[:3].tolist()
    assert images.validation.labels.tolist() == arrays.test_labels.tolist()
    assert (images.train.images[2].permute(1, 2, 0).numpy() == arrays.train_images[2]).all()


def test_damaged_cifar100_files_say_so(tmp_path: Path, photographs: tuple[Arrays, bytes]) -> None:
    (tmp_path / "cifar-100-python.tar.gz").write_bytes(photographs[1])
    cifar100.load_arrays(tmp_path)
    (tmp_path / cifar100.FOLDER / "train").write_bytes(b"half a file")
    assert "is damaged" in refused(CIFAR100(), tmp_path)


def test_cifar100_out_of_reach_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar100, "OFFICIAL_URL", f"{NOWHERE}cifar-100-python.tar.gz")
    message = refused(CIFAR100(), tmp_path / "data")
    for words in (str(tmp_path / "data"), "put cifar-100-python.tar.gz", NOWHERE):
        assert words in message


def test_sizes_and_shapes_of_descriptions() -> None:
    assert (CIFAR100().classes, CIFAR100().input_shape, CIFAR100().train_samples) == (100, (3, 32, 32), 40_000)
    assert (MNIST().classes, MNIST().input_shape, MNIST().train_samples) == (10, (1, 28, 28), 50_000)
    assert FashionMNIST(60_000, judge_on="test").train_samples == 60_000
    with pytest.raises(UserError, match=r"FashionMNIST train_samples 50001: must be 1 to 50,000"):
        FashionMNIST(50_001)
    with pytest.raises(UserError, match="CIFAR100 judge_on 'train': must be held_out or test"):
        CIFAR100(judge_on="train")  # type: ignore[arg-type]


# MNIST and Fashion-MNIST.


def idx(array: np.ndarray) -> bytes:
    """An array of uint8 as the IDX format has it: a magic number, the sizes, the values."""
    header = [0x0800 + array.ndim, *array.shape]
    return b"".join(size.to_bytes(4, "big") for size in header) + array.tobytes()


@pytest.fixture
def digits() -> Arrays:
    draw = np.random.default_rng(0)
    return Arrays(
        draw.integers(0, 256, (6, 28, 28, 1), np.uint8),
        np.arange(6, dtype=np.uint8),
        draw.integers(0, 256, (2, 28, 28, 1), np.uint8),
        np.arange(2, dtype=np.uint8),
    )


def write_packed(arrays: Arrays, folder: Path) -> list[tuple[str, str]]:
    """The four compressed files; their names and md5."""
    folder.mkdir(exist_ok=True)
    resources = []
    for name, array in zip(mnist.FILES, arrays, strict=True):
        packed = gzip.compress(idx(array.squeeze(-1) if array.ndim == 4 else array))
        (folder / f"{name}.gz").write_bytes(packed)
        resources.append((f"{name}.gz", hashlib.md5(packed).hexdigest()))
    return resources


def test_idx_files_decode_to_what_was_put_in(tmp_path: Path, digits: Arrays) -> None:
    write_packed(digits, tmp_path / "packed")
    mnist.unpack(tmp_path / "packed", tmp_path / "raw")
    for ours, theirs in zip(mnist.read(tmp_path / "raw"), digits, strict=True):
        assert ours.dtype == np.uint8
        assert (ours == theirs).all()


def test_mnist_comes_from_the_first_mirror_that_has_it_right(
    tmp_path: Path, digits: Arrays, server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import MNIST as Official

    url, folder = server
    resources = write_packed(digits, folder / "right")
    write_packed(digits._replace(train_labels=digits.train_labels[::-1].copy()), folder / "wrong")
    monkeypatch.setattr(Official, "resources", resources)
    monkeypatch.setattr(Official, "mirrors", [NOWHERE, f"{url}wrong/", f"{url}right/"])
    mnist.fetch_official("MNIST", tmp_path / "raw")
    assert (mnist.read(tmp_path / "raw").train_labels == digits.train_labels).all()
    monkeypatch.setattr(Official, "mirrors", [f"{url}wrong/"])
    message = refused(MNIST(), tmp_path / "data")
    assert "is another file (md5" in message
    assert f"is not in {tmp_path / 'data'}" in message


def test_mnist_holds_out_the_last_training_images(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 10, 70_000).astype(np.uint8)
    images = np.zeros((70_000, 28, 28, 1), np.uint8)
    images[:, 0, 0, 0] = labels
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, array in zip(
        mnist.FILES, (images[:60_000, ..., 0], labels[:60_000], images[60_000:, ..., 0], labels[60_000:]), strict=True
    ):
        (raw / name).write_bytes(idx(array))
    loaded = MNIST(train_samples=1000).load(tmp_path)
    for split, rows in (
        (loaded.train, slice(1000)),
        (loaded.validation, slice(50_000, 60_000)),
        (loaded.test, slice(60_000, 70_000)),
    ):
        assert (split.labels.numpy() == labels[rows]).all()
        assert torch.equal(split.images[:, 0, 0, 0].long(), split.labels)
    assert not loaded.flip
    assert loaded.crop_padding == 0


def test_other_files_are_not_mnist(tmp_path: Path, digits: Arrays) -> None:
    write_packed(digits, tmp_path / "packed")
    (tmp_path / "MNIST").mkdir()
    mnist.unpack(tmp_path / "packed", tmp_path / "MNIST" / "raw")
    assert "has 6 images where MNIST has 60,000" in refused(MNIST(), tmp_path)
    (tmp_path / "MNIST" / "raw" / mnist.FILES[0]).write_bytes(b"half a file")
    assert "is damaged" in refused(MNIST(), tmp_path)
    (tmp_path / "MNIST" / "raw" / mnist.FILES[1]).unlink()
    assert "is damaged" in refused(MNIST(), tmp_path)


def test_installed_fashion_mnist_needs_no_host(tmp_path: Path, digits: Arrays, monkeypatch: pytest.MonkeyPatch) -> None:
    write_packed(digits, tmp_path / "installed")
    monkeypatch.setattr(mnist, "INSTALLED", tmp_path / "installed")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "has 6 images where FashionMNIST has 60,000" in refused(FashionMNIST(), tmp_path / "data")
    for ours, theirs in zip(mnist.read(tmp_path / "data" / "FashionMNIST" / "raw"), digits, strict=True):
        assert (ours == theirs).all()


def test_other_pixels_are_not_fashion_mnist(tmp_path: Path) -> None:
    zeros = np.zeros((60_000, 28, 28), np.uint8)
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for name, array in zip(mnist.FILES, (zeros, zeros[:, 0, 0], zeros[:10_000], zeros[:10_000, 0, 0]), strict=True):
        (raw / name).write_bytes(idx(array))
    assert "train_images is not Fashion-MNIST's" in refused(FashionMNIST(), tmp_path)


def test_fashion_mnist_out_of_reach_names_all_remedies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import FashionMNIST as Official

    monkeypatch.setattr(Official, "mirrors", [NOWHERE])
    monkeypatch.setattr(mnist, "INSTALLED", tmp_path / "nothing")
    monkeypatch.setenv("PATH", str(tmp_path))
    message = refused(FashionMNIST(), tmp_path / "data")
    for words in (str(tmp_path / "data"), NOWHERE, "`apt-get`", "FashionMNIST/raw", "dataset-fashion-mnist"):
        assert words in message


# Debian packages.

needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="builds Debian packages")


def program(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def build(package: str, files: dict[str, str | bytes], shelf: Path) -> None:
    """A real package on a shelf; files in usr/bin can be run."""
    root = shelf / f"{package}-root"
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(0o755 if name.startswith("usr/bin") else 0o644)
    (root / "DEBIAN").mkdir()
    (root / "DEBIAN" / "control").write_text(
        f"Package: {package}\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\nDescription: test\n"
    )
    subprocess.run(["dpkg-deb", "-b", root, shelf / f"{package}_1_all.deb"], check=True, capture_output=True)


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages that `apt-get download` takes them from."""
    folder = tmp_path / "shelf"
    program(folder / "bin" / "apt-get", f'for last; do :; done; cp "{folder}/$last"_*.deb .')
    monkeypatch.setenv("PATH", str(folder / "bin"), prepend=":")
    return folder


@needs_dpkg
def test_archives_that_broke_are_named(tmp_path: Path) -> None:
    """As an installed package's may be: nobody checked them on their way."""
    folder, raw = tmp_path / "packed", tmp_path / "raw"
    folder.mkdir()
    for damage in (None, b"not gzip", gzip.compress(bytes(1000))[:20]):
        if damage is not None:
            (folder / f"{mnist.FILES[0]}.gz").write_bytes(damage)
        with pytest.raises(UserError, match=f"{mnist.FILES[0]}.gz: is missing or damaged"):
            mnist.unpack(folder, raw)


def test_a_debian_package_is_fetched_and_unpacked(tmp_path: Path, shelf: Path) -> None:
    build("letters", {"usr/share/letters": "abc"}, shelf)
    (tmp_path / "here").mkdir()
    root = download.deb_package("letters", tmp_path / "here")
    assert (root / "usr/share/letters").read_text() == "abc"


@needs_dpkg
def test_fashion_mnist_comes_from_debian_where_its_host_is_out_of_reach(
    tmp_path: Path, digits: Arrays, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import FashionMNIST as Official

    write_packed(digits, tmp_path / "packed")
    monkeypatch.setattr(Official, "mirrors", [NOWHERE])
    monkeypatch.setattr(mnist, "INSTALLED", Path("/usr/share/nothing"))
    files = {f"usr/share/nothing/{path.name}": path.read_bytes() for path in (tmp_path / "packed").iterdir()}
    build(mnist.DEBIAN_PACKAGE, files, shelf)
    assert "has 6 images where FashionMNIST has 60,000" in refused(FashionMNIST(), tmp_path / "data")
    for ours, theirs in zip(mnist.read(tmp_path / "data" / "FashionMNIST" / "raw"), digits, strict=True):
        assert (ours == theirs).all()


def test_a_debian_package_that_apt_does_not_know_is_unreachable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "bin" / "apt-get", "echo first >&2; echo 'E: Unable to locate package none' >&2; exit 100")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(download.Unreachable, match=r"apt-get cannot fetch none \(E: Unable to locate package none\)"):
        download.deb_package("none", tmp_path)


def test_without_apt_a_debian_package_is_unreachable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(download.Unreachable, match="needs `apt-get`, which is not installed"):
        download.deb_package("none", tmp_path)


# Texts.


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


# The King James Bible.

VERSES = "".join(
    f"Ge{chapter}:{verse} Chapter {chapter}: the LORD's (day)--thee-ward, saith he;\n"
    for chapter in range(1, 41)
    for verse in (1, 2)
)


def test_words_of_a_verse() -> None:
    assert bible.words("1Sm19:4 The LORD's sin--; God-ward, (the sons' day)!") == "the lord's sin god-ward the sons day"


def test_of_twenty_chapters_the_last_two_are_held_out() -> None:
    verses = "".join(f"Ge{chapter}:{verse} {'x' * chapter}\n" for chapter in range(1, 41) for verse in (1, 2))
    parts = bible.splits(verses)
    chapters = {part: Counter(len(line) for line in content.splitlines()) for part, content in parts.items()}
    assert chapters["valid"] == {19: 2, 39: 2}
    assert chapters["test"] == {20: 2, 40: 2}
    assert sum(chapters["train"].values()) == 72


@needs_dpkg
def test_the_bible_is_made_from_debians_packages(tmp_path: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(bible.READER, {"usr/bin/bible": '#!/bin/sh\n[ "$*" = "-f gen1:1-rev22:21" ] && cat bible.data\n'}, shelf)
    build(bible.TEXT, {"usr/lib/bible.data": VERSES}, shelf)
    data = KingJamesBible(vocabulary=20, steps=3, train_tokens=400, validation_tokens=20)
    assert "is another edition of the text" in refused(data, tmp_path / "data")
    parts = bible.splits(VERSES)
    content = "".join(parts[part] for part in text.PARTS)
    monkeypatch.setattr(bible, "SHA256", hashlib.sha256(content.encode()).hexdigest())
    loaded = data.load(tmp_path / "data")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert torch.equal(data.load(tmp_path / "data").train, loaded.train), "made once, then read"
    assert (tmp_path / "data" / "bible" / "valid.txt").read_text() == parts["valid"]


@needs_dpkg
def test_a_reader_that_does_not_run_says_so(tmp_path: Path, shelf: Path) -> None:
    build(bible.READER, {"usr/bin/bible": "#!/bin/sh\necho no library >&2\nexit 127\n"}, shelf)
    build(bible.TEXT, {"usr/lib/bible.data": ""}, shelf)
    assert "the reader of bible-kjv does not run (no library)" in refused(KingJamesBible(), tmp_path / "data")


def test_the_bible_out_of_reach_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    message = refused(KingJamesBible(), tmp_path / "data")
    for words in (str(tmp_path / "data" / "bible"), "`apt-get`", "Debian", "TextCorpus"):
        assert words in message


# Folders of images.

COLOURS = {"blue": (0, 0, 250), "green": (0, 250, 0), "red": (250, 0, 0)}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Three classes of one colour each, eight images to train on and four to judge on, of various sizes; one grey."""
    folder = tmp_path / "pictures"
    draw = np.random.default_rng(0)
    for part, count in (("train", 8), ("val", 4)):
        for name, colour in COLOURS.items():
            (folder / part / name).mkdir(parents=True)
            for number in range(count):
                height, width = draw.integers(20, 60, 2)
                pixels = np.clip(np.array(colour) + draw.integers(-5, 6, (height, width, 3)), 0, 255)
                Image.fromarray(pixels.astype(np.uint8)).save(folder / part / name / f"{number}.jpg")
    return folder


def description(folder: Path, train_samples: int = 24, validation_samples: int = 12) -> ImageFolder:
    return ImageFolder(str(folder), 16, 3, train_samples, validation_samples)


def colour_of(inputs: Tensor) -> list[int]:
    """The classes that images show: blue 0, green 1, red 2."""
    return (2 - inputs.mean(dim=(2, 3)).argmax(dim=1)).tolist()


def test_images_carry_the_label_of_their_folder(pictures: Path) -> None:
    data = description(pictures).load(Path("/nowhere"))
    draws = data.draws(torch.Generator().manual_seed(0), 6)
    assert sorted(draws.order.tolist()) == list(range(24))
    seen = []
    for samples in draws.order.split(6):
        inputs, labels = data.batch(samples, draws, torch.float32)
        assert inputs.shape == (6, 3, 16, 16)
        assert colour_of(inputs) == labels.tolist()
        seen += labels.tolist()
    assert Counter(seen) == {0: 8, 1: 8, 2: 8}


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_the_images_of_a_split_are_dealt_to_workers(
    pictures: Path, monkeypatch: pytest.MonkeyPatch, split: str
) -> None:
    monkeypatch.setattr(folder_images, "EVALUATION_BATCH_SIZE", 5)
    data = description(pictures).load(Path())
    whole = list(data.evaluation(split, torch.float64, 0, 1))
    assert sum(len(labels) for _, labels in whole) == (24 if split == "train" else 12)
    dealt = [list(data.evaluation(split, torch.float64, rank, 2)) for rank in (0, 1)]
    for number, (inputs, labels) in enumerate(whole):
        there = dealt[number % 2][number // 2]
        assert torch.equal(inputs, there[0])
        assert torch.equal(labels, there[1])
        assert colour_of(inputs) == labels.tolist()


def test_crops_belong_to_the_sample_not_to_the_batch(pictures: Path) -> None:
    data, other = (description(pictures).load(Path()) for _ in range(2))
    first, same, another = (data.draws(torch.Generator().manual_seed(seed), 8) for seed in (0, 0, 1))
    for samples in first.order.split(8):
        whole, _ = data.batch(samples, first, torch.float64)
        halves = torch.cat([other.batch(part, same, torch.float64)[0] for part in samples.split(4)])
        assert torch.equal(whole, halves)
        assert not torch.equal(whole, data.batch(samples, another, torch.float64)[0])


@pytest.mark.parametrize(
    ("workers", "sizes", "ready"),
    [
        (1, [4, 4, 4, 4, 4, 4], [0, 4, 4, 4, 4, 4]),
        (2, [4, 4, 4, 4, 4, 4], [0, 2, 2, 2, 2, 2]),
        (1, [2, 2, 4, 4, 4, 4], [0, 2, 2, 2, 4, 4]),
        (2, [2, 2, 4, 4, 4, 4], [0, 1, 1, 0, 2, 2]),
    ],
)
def test_the_next_batch_is_loaded_ahead(
    pictures: Path, monkeypatch: pytest.MonkeyPatch, workers: int, sizes: list[int], ready: list[int]
) -> None:
    """How many of a worker's images are there before they are asked for; the guess is right again soon after growth."""
    loaded = []
    original = folder_images.load

    def load(wanted: folder_images.Wanted, size: int) -> Tensor:
        loaded.append(wanted)
        return original(wanted, size)

    monkeypatch.setattr(folder_images, "load", load)
    data = description(pictures).load(Path())
    draws = data.draws(torch.Generator().manual_seed(0), sizes[0])
    first = 0
    for size, there in zip(sizes, ready, strict=True):
        share = draws.order[first : first + size].chunk(workers)[0]
        before = {wanted.path for wanted in loaded}
        assert len({data.train.paths[index] for index in share.tolist()} & before) == there
        data.batch(share, draws, torch.float32)
        wait(data._ahead._coming.values())
        first += size
    if len(set(sizes)) == 1:
        assert len(loaded) == len(set(loaded)) == 24 // workers, "and each is loaded once"


def test_a_random_box_is_torchvisions() -> None:
    draw = random.Random(0)
    for width, height in ((60, 40), (40, 60), (32, 32)):
        for _ in range(200):
            left, top, right, bottom = folder_images.random_box(width, height, draw)
            assert 0 <= left < right <= width
            assert 0 <= top < bottom <= height
            wide, high = right - left, bottom - top
            assert 0.08 * width * height - wide - high <= wide * high <= width * height
            assert (wide - 1) / (high + 1) <= 4 / 3
            assert (wide + 1) / (high - 1) >= 3 / 4
    assert folder_images.random_box(1000, 2, draw) == (498, 0, 501, 2), "the middle of what no shape fits into"


def test_a_centre_crop_keeps_the_middle() -> None:
    pixels = np.zeros((64, 128, 3), np.uint8)
    pixels[28:36, 60:68] = 255
    cut = np.asarray(folder_images.centre(Image.fromarray(pixels), 56))
    assert cut.shape == (56, 56, 3)
    assert (cut[24:32, 24:32] == 255).all()
    assert cut.sum() == 255 * 3 * 64


def test_fewer_images_than_there_are_keep_the_classes_balanced(pictures: Path) -> None:
    data = description(pictures, 9, 6).load(Path())
    assert data.train.labels.tolist() == [0] * 3 + [1] * 3 + [2] * 3
    assert data.validation.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert len(set(data.train.paths)) == 9


def test_more_images_than_there_are_are_refused(pictures: Path) -> None:
    assert f"{pictures / 'train'}: has 24 images, fewer than the 25 asked for" in refused(
        description(pictures, 25), Path()
    )
    assert "val: has 12 images, fewer than the 13 asked for" in refused(description(pictures, 24, 13), Path())


def test_other_classes_than_asked_for_are_refused(pictures: Path) -> None:
    assert "has 3 classes, classes asks for 1,000" in refused(ImageFolder(str(pictures)), Path())
    shutil.rmtree(pictures / "val" / "red")
    assert "train has 3 classes and val 2" in refused(description(pictures), Path())


def test_a_missing_folder_names_the_remedy(tmp_path: Path, pictures: Path) -> None:
    message = refused(ImageFolder(), tmp_path)
    for words in (str(tmp_path / "imagenet" / "train"), "train/CLASS/*.jpg", "image-net.org", "--data DIR"):
        assert words in message
    for path in (pictures / "train" / "red").iterdir():
        path.unlink()
    assert "red" in refused(description(pictures), Path())


def test_a_folder_says_what_it_holds(pictures: Path) -> None:
    there = ImageFolder(size=16, train_samples=10).at(pictures)
    assert there == description(pictures, 10, 12)
    assert there.input_shape == (3, 16, 16)


def test_a_file_that_is_no_image_is_named(pictures: Path) -> None:
    path = pictures / "val" / "red" / "2.jpg"
    path.write_bytes(b"half a file")
    with pytest.raises(UserError, match=r"red/2\.jpg: cannot be read as an image"):
        list(description(pictures).load(Path()).evaluation("validation", torch.float32, 0, 1))


def test_grey_images_are_read_in_colour(pictures: Path) -> None:
    Image.new("L", (20, 30), 128).save(pictures / "val" / "blue" / "0.jpg")
    inputs, _ = next(description(pictures).load(Path()).evaluation("validation", torch.float32, 0, 1))
    assert inputs[0, :, 0, 0].tolist() == pytest.approx(
        [(128 / 255 - mean) / std for mean, std in zip(folder_images.MEAN, folder_images.STD, strict=True)], abs=1e-4
    )


def test_cifar10_is_written_as_jpeg_files_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    labels = np.arange(40, dtype=np.uint8) % 10
    colours = draw.integers(0, 256, (40, 1, 1, 3), np.uint8)
    images = np.broadcast_to(colours, (40, 32, 32, 3)).copy()
    arrays = Arrays(images, labels, images[:1], labels[:1])
    monkeypatch.setattr(
        cifar10,
        "SHA256",
        {name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in arrays._asdict().items()},
    )
    np.savez(tmp_path / "cifar10.npz", **arrays._asdict())
    description = CIFAR10JPEG(20, 10)
    data = description.load(tmp_path)
    assert isinstance(data, FolderImages)
    (tmp_path / "cifar10.npz").unlink()
    assert len(description.load(tmp_path).train.paths) == 20, "written once, then read"
    assert (data.train_samples, description.input_shape, description.classes) == (20, (3, 32, 32), 10)
    for split, first, count in (("train", 0, 20), ("validation", 30, 10)):
        inputs, found = next(data.evaluation(split, torch.float64, 0, 1))
        numbers = sorted(range(count), key=lambda number: (cifar10_jpeg.CLASSES[labels[first + number]], number))
        assert found.tolist() == [labels[first + number] for number in numbers]
        mean, std = (torch.tensor(each).view(3, 1, 1) for each in (folder_images.MEAN, folder_images.STD))
        pixels = (inputs * std + mean) * 255
        expected = torch.from_numpy(images[[first + number for number in numbers]]).permute(0, 3, 1, 2)
        assert (pixels - expected).abs().max() < 4, "JPEG loses little of one colour"


def test_too_many_jpeg_files_are_refused() -> None:
    with pytest.raises(UserError, match="train_samples 45000, validation_samples 10000"):
        CIFAR10JPEG(45_000, 10_000)

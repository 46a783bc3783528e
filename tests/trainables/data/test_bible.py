"""The King James Bible: made from Debian's packages, and refused in one line."""

import hashlib
from collections import Counter
from pathlib import Path

import pytest
import torch

from tests.trainables.data.helpers import build, needs_dpkg, refused
from trainables.data import KingJamesBible, bible, text

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

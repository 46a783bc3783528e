"""The King James Bible, a public-domain text about as long as the Penn Treebank, from Debian's packages."""

import hashlib
import re
import subprocess
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

from trainables.data.loading.download import Unreachable, deb_package
from trainables.data.loading.once import once
from trainables.data.loading.streams import Streams
from trainables.data.text import PARTS, TextCorpus
from trainables.errors import UserError, require

READER, TEXT = "bible-kjv", "bible-kjv-text"
READER_TIMEOUT_SECONDS = 60
SHA256 = "715ec2ec2eb518b7c238008923e4b8ad9c7b6bd6c7cf5ff331a4bc50d14f79ff"
"""The sha256 of train.txt, valid.txt and test.txt, one after the other."""


@dataclass(frozen=True)
class KingJamesBible(TextCorpus):
    """The King James Bible, one verse per line, in lower case and without punctuation.

    It has 820,735 tokens, of which 12,772 are different; <eos> at the end of each verse is included. Of every 20
    consecutive chapters, the last two are held out: the first of them to judge runs on, the second to test on. So
    complete splits contain the same mixture of books. If only some tokens of a split are used, they come from its first
    books.

    Attributes:
        folder: the folder in which its files are made, absolute or relative to the data directory.
        vocabulary, steps, train_tokens, validation_tokens: see TextCorpus.

    Raises:
        UserError: see TextCorpus.
    """

    folder: str = "bible"
    train_tokens: int = 740_281
    validation_tokens: int = 40_514

    def load(self, data_dir: Path) -> Streams:
        """The splits as token numbers; if their files are missing, they are made first.

        Raises:
            UserError: the text is missing and Debian's packages cannot be fetched, or a split has too few tokens.
        """
        folder = data_dir / self.folder
        once(folder, lambda partial: write(partial, folder))
        return super().load(data_dir)


def write(partial: Path, folder: Path) -> None:
    """Make the folder with the three files.

    Args:
        partial: the path at which to make it.
        folder: the path at which it will be in the end, for error messages.

    Raises:
        UserError: Debian's packages cannot be fetched, their reader does not run, or the text is another edition.
    """
    try:
        with TemporaryDirectory(dir=partial.parent) as packages:
            reader, text = (deb_package(package, Path(packages)) for package in (READER, TEXT))
            verses = _verses(reader / "usr/bin/bible", text / "usr/lib")
    except Unreachable as error:
        raise UserError(
            f"the King James Bible is not in {folder} and cannot be fetched ({error}): run on a Debian system whose "
            f"package lists are up to date, or copy {folder} from one; any other text will do as a TextCorpus"
        ) from error
    parts = splits(verses)
    found = hashlib.sha256("".join(parts[part] for part in PARTS).encode()).hexdigest()
    require(found == SHA256, f"{TEXT}: is another edition of the text (sha256 {found}, expected {SHA256})")
    partial.mkdir()
    for part, text_of_part in parts.items():
        (partial / f"{part}.txt").write_text(text_of_part)


def splits(verses: str) -> dict[str, str]:
    """The text of each split.

    Args:
        verses: one verse per line, as `bible -f` prints them: "Ge1:1 In the beginning ...".
    """
    parts = dict.fromkeys(PARTS, "")
    chapters = groupby(verses.splitlines(), key=lambda verse: verse.partition(":")[0])
    for number, (_, chapter) in enumerate(chapters):
        part = {18: "valid", 19: "test"}.get(number % 20, "train")
        parts[part] += "".join(f"{words(verse)}\n" for verse in chapter)
    return parts


def words(verse: str) -> str:
    """The words of a verse without its reference, in lower case; a word may contain apostrophes and hyphens."""
    return " ".join(re.findall(r"[a-z]+(?:['-][a-z]+)*", verse.partition(" ")[2].lower()))


def _verses(reader: Path, data: Path) -> str:
    """The whole text as the reader prints it. The reader runs in the data folder, because it reads its data there."""
    try:
        done = subprocess.run(
            [reader, "-f", "gen1:1-rev22:21"],
            cwd=data,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=READER_TIMEOUT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unreachable(f"the reader of {READER} does not run ({error})") from error
    if done.returncode:
        raise Unreachable(f"the reader of {READER} does not run ({' '.join(done.stderr.split())})")
    return done.stdout

"""What is made once is made by one of many, whole or not at all."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from trainables.data.loading.once import once
from trainables.errors import UserError


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

"""A place to run commands in, which must be empty of processes afterwards."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.search_spaces.place import Place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    assert place.wait_until_empty(10) == []

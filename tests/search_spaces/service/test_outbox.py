"""The outbox: writes are made in order, wait for a store that is away, and outlive their process."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from search_spaces.service import outbox
from search_spaces.service.outbox import Away, Outbox, Write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.jsonl"


def refusing(made: list[object], wrong: object) -> Callable[[Write], None]:
    def make(write: Write) -> None:
        if write.content == wrong:
            raise ValueError("never")
        made.append(write.content)

    return make


def test_what_can_never_be_written_is_counted_and_holds_up_nothing(path: Path) -> None:
    made: list[object] = []
    box = Outbox(path, refusing(made, 2), print)
    for number in (1, 2, 3):
        box.put(Write("log", "a", number))
    assert box.wait(10)
    assert (made, box.lost, box.problem) == ([1, 3], 1, "ValueError: never")
    assert path.read_text() == "", "nothing is left to be written"
    box.close()


def test_who_writes_does_not_wait_for_a_store_that_is_away(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "SILENT_SECONDS", 0.0)
    back, made, said = threading.Event(), [], []

    def make(write: Write) -> None:
        if not back.is_set():
            raise Away("no connection")
        made.append(write.content)

    box = Outbox(path, make, said.append)
    for number in range(100):
        box.put(Write("log", "a", number))
    assert not box.wait(0.5)
    assert box.left == 100
    back.set()
    assert box.wait(20)
    box.close()
    assert made == list(range(100))
    assert said == [
        "no connection; training goes on, and what is to be written waits",
        "the tracking store answers again",
    ]


def test_what_a_killed_process_left_is_written_by_the_next_one(path: Path) -> None:
    def away(_write: Write) -> None:
        raise Away("no connection")

    first = Outbox(path, away, print)
    first.put(Write("log", "a", [["loss", 0.5, 1, 1]]))
    first.put(Write("end", "a", ["done", ""]))
    first.close()
    with path.open("a") as file:
        file.write('["log", "b", [["los')  # killed in the middle of a line
    second = Outbox(path, away, print)  # and killed again
    second.put(Write("log", "c", []))
    second.close()
    made: list[Write] = []
    third = Outbox(path, made.append, print)
    third.put(Write("close", "", "done"))
    assert third.wait(10)
    third.close()
    assert [(write.kind, write.key) for write in made] == [("log", "a"), ("end", "a"), ("log", "c"), ("close", "")]
    assert made[0] == Write("log", "a", [["loss", 0.5, 1, 1]])
    assert path.read_text() == ""


def test_a_full_disk_holds_up_nothing() -> None:
    """What cannot be kept is still written, and the end of the study can be told."""
    made, said = [], []
    box = Outbox(Path("/dev/full"), lambda write: made.append(write.content), said.append)
    box.put(Write("log", "a", 1))
    box.put(Write("log", "a", 2))
    assert box.wait(10)
    box.close()
    assert made == [1, 2]
    (line,) = said
    assert line.startswith("/dev/full: cannot be written (No space left on device); ")


def test_the_end_of_a_study_does_not_wait_for_room(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_write: Write) -> None:
        raise Away("no connection")

    monkeypatch.setattr(outbox, "MOST_WAITING", 2)
    box = Outbox(path, away, print)
    for number in range(2):
        box.put(Write("log", "a", number))
    box.put(Write("close", "", "stopped"), patient=False)
    box.close()
    assert len(path.read_text().splitlines()) == 3

"""The journal: what a process that was killed leaves, and what is no journal."""

import os
import re
from pathlib import Path

import optuna
import pytest

from search_spaces.service.optuna_store import JOURNAL, open_storage
from trainables import UserError


def test_a_line_that_was_not_finished_is_dropped(tmp_path: Path) -> None:
    study = optuna.create_study(storage=open_storage(tmp_path), study_name="s")
    study.tell(study.ask(), 1.0)
    with (tmp_path / JOURNAL).open("ab") as file:
        file.write(b'{"op_code":5,"work')
    again = optuna.load_study(study_name="s", storage=open_storage(tmp_path))
    again.tell(again.ask(), 2.0)
    found = optuna.load_study(study_name="s", storage=open_storage(tmp_path))
    assert [trial.value for trial in found.trials] == [1.0, 2.0]


@pytest.mark.parametrize(
    "text", ["not a journal\n", "not a journal", '["op_code"]\n', '{"op_code": 99, "worker_id": "a"}\n']
)
def test_what_is_no_journal_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / JOURNAL).write_text(text)
    with pytest.raises(UserError, match=re.escape(f"{tmp_path / JOURNAL}: is not a journal of Optuna's")):
        open_storage(tmp_path)
    assert (tmp_path / JOURNAL).read_text() == text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_journal_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).touch(mode=0o400)
    with pytest.raises(UserError, match="cannot be written"):
        open_storage(tmp_path)


def test_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).mkdir()
    with pytest.raises(UserError, match="cannot be written"):
        open_storage(tmp_path)

"""A storage for the proposers."""

from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage

from search_spaces.service.optuna_store import open_storage


@pytest.fixture
def storage(tmp_path: Path) -> JournalStorage:
    """Where Optuna keeps its studies, on disk."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return open_storage(tmp_path)

"""A storage for the proposers."""

from pathlib import Path

import optuna
import pytest
from optuna.storages import RDBStorage


@pytest.fixture
def storage(tmp_path: Path) -> RDBStorage:
    """Where Optuna keeps its studies, on disk."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return RDBStorage(f"sqlite:///{tmp_path / 'optuna.db'}")

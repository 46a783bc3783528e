"""What every test gets: no network telemetry, and small studies of one's own."""

import os

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Results must not depend on how many cores the machine has."""
    torch.set_num_threads(1)

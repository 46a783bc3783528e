"""A Ray cluster for the tests of this package."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import ray


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One embedded Ray for all tests of this package, which starts once and ends with the last of them."""
    ray.init(
        address="local",
        num_cpus=6,
        include_dashboard=False,
        log_to_driver=False,
        _temp_dir=str(Path("/tmp", f"r{id(tmp_path_factory) % 99999}")),
    )
    yield
    ray.shutdown()

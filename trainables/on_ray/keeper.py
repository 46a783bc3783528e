"""The keeper of runs in progress: an actor beside the driver, with a folder in which the last state of each run lies.

Workers may run on other machines, without a shared disk, and may be lost with them. The states come to the keeper, and
so outlive workers, trials, nodes and the driver.
"""

from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import ray
from ray.actor import ActorHandle
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

PREFIX = "batchscale-keeper-"
"""How the name of every keeper begins."""


class Keeper:
    """Keeps one state for each run, in a file of its own.

    Args:
        folder: where the files are.
    """

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._forgotten: set[str] = set()

    def keep(self, key: str, state: bytes) -> str:
        """Put a state in the place of the run's last one, wholly or not at all. The folder is made where it is not.

        Returns why it could not be kept; "" where it was.
        """
        if key in self._forgotten:  # the last state of a run may come after its end is known
            return ""
        path = kept_file(self._folder, key)
        written = path.with_suffix(".new")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            written.write_bytes(state)
            written.replace(path)
        except OSError as error:
            with suppress(OSError):
                written.unlink(missing_ok=True)
            return f"its state could not be kept ({error.strerror})"
        return ""

    def kept(self, key: str) -> bytes | None:
        """The last state of a run; None where there is none."""
        path = kept_file(self._folder, key)
        return path.read_bytes() if path.exists() else None

    def forget(self, key: str) -> None:
        """Keep nothing more of a run that has ended."""
        self._forgotten.add(key)
        kept_file(self._folder, key).unlink(missing_ok=True)


def kept_file(folder: Path, key: str) -> Path:
    """The file with the state of a run."""
    return folder / f"{key}.pt"


def start_keeper(folder: Path) -> ActorHandle:
    """A keeper on this machine. Ray starts it again where it dies. By its name other studies see that this one runs."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    options = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": 3, "scheduling_strategy": here}
    return ray.remote(Keeper).options(name=f"{PREFIX}{uuid4().hex}", **options).remote(str(folder))


def studies_here() -> int:
    """The number of studies that run on this cluster: each has a keeper, for as long as it runs."""
    return sum(each["name"].startswith(PREFIX) for each in ray.util.list_named_actors(all_namespaces=True))

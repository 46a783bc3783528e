"""The tracking store and the search in a real PostgreSQL, which several machines share."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.runs import load_runs
from search_spaces.service.optuna_store import open_storage
from search_spaces.service.resumption import claimed_storage
from tests.search_spaces.place import Place, free_port
from trainables import UserError

FOUND = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
PASSWORD = "open-sesame"
STUDY = ("--batch-sizes", "16,64", "--max-runs", "7", "--seeds", "2", "--concurrent-trials", "1")

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not FOUND or os.geteuid() != 0, reason="needs Debian's package postgresql, and root"),
]


@pytest.fixture
def server() -> Iterator[str]:
    """The address of a server that asks for a password, without the name of a database."""
    folder = Path(tempfile.mkdtemp(prefix="batchscale-postgresql-"))
    (folder / "password").write_text(PASSWORD)
    port = free_port()
    for path in (folder, folder / "password"):
        shutil.chown(path, "postgres")
    programs = FOUND[-1].parent
    words = [programs / "initdb", "-D", folder / "data", "-U", "batchscale", "-A", "scram-sha-256"]
    try:
        subprocess.run(
            [*words, f"--pwfile={folder / 'password'}"], user="postgres", cwd=folder, check=True, capture_output=True
        )
        serve = [programs / "postgres", "-D", folder / "data", "-k", folder, "-p", str(port)]
        running = subprocess.Popen(
            serve, user="postgres", cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            environment = {**os.environ, "PGPASSWORD": PASSWORD}
            for database in ("mlflow", "search"):
                create = [programs / "createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "batchscale", database]
                for _ in range(60):
                    if not subprocess.run(create, env=environment, capture_output=True).returncode:
                        break
                    time.sleep(0.5)
            yield f"postgresql://batchscale:{PASSWORD}@127.0.0.1:{port}"
        finally:
            running.send_signal(signal.SIGINT)
            running.wait(30)
    finally:
        shutil.rmtree(folder)


def test_a_study_goes_on_on_another_machine(server: str, tmp_path: Path) -> None:
    """Two folders without a file in common stand for the machines."""
    said = []
    for machine, words in (("first", []), ("second", ["--resume"])):
        folder = tmp_path / machine
        folder.mkdir()
        stores = ("--tracking-uri", f"{server}/mlflow", "--storage", f"{server}/search")
        study, told = Place(folder).start(*STUDY, *stores, *words), []
        assert study.stdout is not None
        for line in study.stdout:
            told.append(line)
            if machine == "first" and "[3/7]" in line:
                study.send_signal(signal.SIGINT)
        rest = "".join(study.communicate(timeout=600))
        said.append("".join(told) + rest)
        assert study.returncode == (130 if machine == "first" else 0), said[-1]
    assert "--resume goes on" in said[0]
    assert "[7/7]" in said[1]
    assert len(load_runs("digits_cnn", f"{server}/mlflow").frame) == 7
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in written if PASSWORD.encode() in path.read_bytes()], "credentials are written nowhere"
    assert all("***@127.0.0.1" in each for each in said)


def test_one_process_of_all_machines_runs_a_study(server: str, tmp_path: Path) -> None:
    database = f"{server}/search"
    with (
        claimed_storage(tmp_path, database, "s"),
        claimed_storage(tmp_path, database, "other"),
        pytest.raises(UserError, match="study 's': another process runs it, with the same --storage"),
        claimed_storage(tmp_path, database, "s"),
    ):
        pass
    with claimed_storage(tmp_path, database, "s"):
        pass


def test_a_database_that_cannot_be_opened_is_refused_without_its_password(server: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"storage postgresql://\*\*\*@127.0.0.1:\d+/none: cannot be opened") as caught:
        open_storage(tmp_path, f"{server}/none")
    assert PASSWORD not in str(caught.value)
    with pytest.raises(UserError, match=r"storage mysql://\*\*\*@h/d: must begin with postgresql://"):
        open_storage(tmp_path, f"mysql://u:{PASSWORD}@h/d")

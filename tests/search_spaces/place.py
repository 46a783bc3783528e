"""A command run in a directory of its own, as a user would."""

import os
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Place:
    """A working directory, and a mark by which everything started from it is found again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mark = uuid.uuid4().hex

    def start(
        self, *arguments: str, module: str = "search_spaces.digits_cnn", **environment: str
    ) -> subprocess.Popen[str]:
        inherited = {
            key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_TRACKING", "RAY_ADDRESS"))
        }
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=self.folder,
            env={**inherited, "PYTHONPATH": str(ROOT), "BATCHSCALE_TEST": self.mark, "COLUMNS": "100", **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, **options: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, **options)
        out, err = process.communicate(timeout=580)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def has(self, pid: int) -> bool:
        """Whether a process was started from here."""
        try:
            return f"BATCHSCALE_TEST={self.mark}".encode() in Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return False

    def processes(self) -> list[str]:
        """Command lines of what still runs from here."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                marked = self.has(int(entry.name))
                zombie = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
                if marked and not zombie:
                    found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
        return found

    def wait_until_empty(self, seconds: float) -> list[str]:
        """What still runs after at most so long."""
        end = time.monotonic() + seconds
        while self.processes() and time.monotonic() < end:
            time.sleep(0.2)
        return self.processes()


def free_port() -> int:
    """A port of this machine's loopback at which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("error: ")
    return done.stderr

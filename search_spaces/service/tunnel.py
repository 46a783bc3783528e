"""A tunnel through SSH, from a port here to the port of a cluster's head at which Ray takes jobs."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ray.exceptions import AuthenticationError
from ray.job_submission import JobSubmissionClient

from trainables.errors import UserError, first_line

DASHBOARD_PORT = 8265
"""The port of the head's loopback at which Ray takes jobs."""
TOKEN = "~/.ray/auth_token"
"""Where the token is that a cluster asks for; `ray get-auth-token --generate` makes one."""
CONNECT_SECONDS = 60.0
"""How long a connection to the head may take."""

_FORWARD = """
import os, sys, threading
from ray.autoscaler.sdk import run_on_cluster

def end_with_parent():
    sys.stdin.read()
    os.killpg(0, 15)

threading.Thread(target=end_with_parent, daemon=True).start()
run_on_cluster(sys.argv[1], cmd="sleep infinity", port_forward=[(int(sys.argv[2]), int(sys.argv[3]))])
"""


@contextmanager
def tunnel(file: Path) -> Iterator[JobSubmissionClient]:
    """A client of the cluster's jobs, through a port here that leads to the head's loopback.

    Raises:
        UserError: the head does not answer.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryFile("w+") as said:
        words = [sys.executable, "-c", _FORWARD, str(file), str(port), str(DASHBOARD_PORT)]
        ssh = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=said, stderr=said, start_new_session=True)
        try:
            yield _client(port, ssh, file)
        except UserError as error:
            said.seek(0)
            why = said.read().strip().splitlines()
            raise UserError(f"{error}{f' ({why[-1]})' if why and ssh.poll() is not None else ''}") from error
        finally:
            with suppress(ProcessLookupError):
                os.killpg(ssh.pid, signal.SIGTERM)
                ssh.communicate()
                for _ in range(100):  # whoever connects next must not share a connection that ends
                    os.killpg(ssh.pid, 0)
                    time.sleep(0.1)


def _client(port: int, ssh: "subprocess.Popen[bytes]", file: Path) -> JobSubmissionClient:
    """A client of the jobs at a port, as soon as it answers."""
    latest = time.monotonic() + CONNECT_SECONDS
    problem: Exception = ConnectionError("no answer")
    while time.monotonic() < latest and ssh.poll() is None:
        try:
            return JobSubmissionClient(f"http://127.0.0.1:{port}", headers=_token())
        except AuthenticationError as error:
            raise UserError(
                f"--cluster {file}: its head refuses the token in {TOKEN} ({first_line(error)}); the "
                "cluster must have the same one, and RAY_AUTH_MODE=token"
            ) from error
        except (OSError, RuntimeError) as error:
            problem = error
            time.sleep(0.5)
    raise UserError(f"--cluster {file}: its head takes no jobs ({first_line(problem)})")


def _token() -> dict[str, str]:
    """The header that shows the cluster this machine's token; none where this machine has no token."""
    path = Path(TOKEN).expanduser()
    return {"Authorization": f"Bearer {path.read_text().strip()}"} if path.is_file() else {}

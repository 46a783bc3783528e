"""A study on a cluster that `ray up` has started: its command becomes a Ray job there, and its results come home.

Everything goes through SSH, to the cluster's head. The job goes on where this process or its connection ends.
"""

import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ray.autoscaler.sdk import get_head_node_ip
from ray.job_submission import JobDetails, JobStatus, JobSubmissionClient
from rich.console import Console

from analysis.wording import say
from search_spaces.service.tunnel import tunnel
from trainables.errors import UserError, first_line, require

RESULTS = "~/batchscale/results"
"""Where results lie on the head. The project is in ~/batchscale on every machine; see ray_cluster.yaml."""
LOOK_SECONDS = 2.0
"""How often a job is looked at."""
PATIENCE_SECONDS = 1800.0
"""So long a cluster may be away while its job is followed."""
STAYS = ("optuna.journal*", "lock", "running-*", "outbox-*", "passes-*", "artifacts")
"""What of a study's folder of results is for the machine that runs it only."""

_RAY = (sys.executable, "-m", "ray.scripts.scripts")


@dataclass(frozen=True)
class RemoteStudy:
    """A study to run on a cluster.

    Attributes:
        file: the cluster's file, which `ray up` was given.
        command: the words of the study's command, without --cluster and --results-dir.
        name: the name of the study.
        results: the folder here into which the study's folder of results comes.
    """

    file: Path
    command: Sequence[str]
    name: str
    results: Path

    @property
    def note(self) -> Path:
        """The file here with the id of the job whose results have not come home."""
        return self.results / self.name / "job"


def run_there(study: RemoteStudy, console: Console) -> int:
    """Run a study on a cluster as a Ray job, print what it prints, and bring its results home.

    A job of that study that runs, or whose results have not come home, is followed, and none is started. Returns the
    exit status of the study's command.

    Raises:
        UserError: the cluster is not there, does not take the job, or is lost.
        KeyboardInterrupt: on Ctrl-C. The message says what goes on, and how to stop it.
    """
    file = study.file
    require(file.is_file(), f"--cluster {file}: is no file; give the file that `ray up` was given")
    here = Path.cwd()
    require(
        here not in (Path.home(), Path(here.anchor)),
        f"--cluster: what lies in the working directory goes to the cluster, and {here} is too much; start the command "
        "in the project's folder",
    )
    try:
        get_head_node_ip(str(file))
    except Exception as error:  # whatever the file's provider raises
        raise UserError(
            f"--cluster {file}: no cluster answers ({first_line(error)}); `ray up {file}` starts it"
        ) from error
    job = f"{study.name}-{datetime.now():%Y%m%d-%H%M%S}"
    try:
        with tunnel(file) as client:
            job = _started(study, job, client, console)
        status = _follow(file, job, console)
        if status == 0 and "--dry-run" not in study.command:
            _bring_home(study, console)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"following job {job}, which goes on, if it has been started; the same command follows it again, and "
            f"`ray exec {file} 'ray job stop {job}'` stops it"
        ) from None
    study.note.unlink(missing_ok=True)
    return status


def _started(study: RemoteStudy, job: str, client: JobSubmissionClient, console: Console) -> str:
    """The id of the study's job: one that is known, else a new one, which has the id that is given."""
    noted = study.note.read_text() if study.note.exists() else None
    command = f"{shlex.join(study.command)} --results-dir {RESULTS}"
    try:
        for known in client.list_jobs():
            mine = (known.metadata or {}).get("study") == study.name and not known.status.is_terminal()
            if mine or known.submission_id == noted:
                say(console, f"Following job {known.submission_id}, which was started before.")
                return str(known.submission_id)
        client.submit_job(
            entrypoint=command,
            submission_id=job,
            runtime_env={"working_dir": str(Path.cwd())},
            metadata={"study": study.name},
        )
    except (RuntimeError, ValueError, OSError) as error:
        raise UserError(f"--cluster {study.file}: does not take the job ({first_line(error)})") from error
    study.note.parent.mkdir(parents=True, exist_ok=True)
    study.note.write_text(job)
    say(console, f"Job {job} on the cluster of {study.file}: {command}")
    return job


def _follow(file: Path, job: str, console: Console) -> int:
    """Print what a job prints until it ends; the exit status of its command. A connection that ends is made again.

    Raises:
        UserError: the cluster does not answer for PATIENCE_SECONDS, or does not know the job.
    """
    printed, answered, lost = 0, time.monotonic(), False
    while True:
        try:
            with tunnel(file) as client:
                while True:
                    about = client.get_job_info(job)  # before the log, which is then whole if the job has ended
                    log = client.get_job_logs(job)
                    if lost:
                        say(console, "the cluster answers again")
                    answered, lost = time.monotonic(), False
                    console.file.write(log[printed:])
                    console.file.flush()
                    printed = len(log)
                    if about.status.is_terminal():
                        return _status(about)
                    time.sleep(LOOK_SECONDS)
        except (OSError, RuntimeError, UserError) as error:
            reason = first_line(error)
            if "does not exist" in reason:
                raise UserError(
                    f"job {job}: the cluster does not know it any more; has it been started anew?"
                ) from error
            if time.monotonic() - answered > PATIENCE_SECONDS:
                raise UserError(
                    f"job {job} may go on, but its cluster is lost ({reason}); the same command follows it"
                ) from error
            if not lost:
                why = f" ({reason})" if isinstance(error, UserError) else ""
                say(console, f"the connection to the cluster has ended{why}; it is made again")
            lost = True
            time.sleep(LOOK_SECONDS)


def _status(job: JobDetails) -> int:
    """The exit status of a job's command."""
    if job.driver_exit_code is not None:
        return int(job.driver_exit_code)
    return 0 if job.status == JobStatus.SUCCEEDED else 2


def _bring_home(study: RemoteStudy, console: Console) -> None:
    """Copy the study's tables, pictures and page from the head. What it needs to go on stays there."""
    here = study.results / study.name
    with tempfile.TemporaryDirectory() as folder:
        words = [*_RAY, "rsync-down", str(study.file), f"{RESULTS}/{study.name}/", f"{folder}/"]
        pipe = subprocess.PIPE
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=pipe, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            why = (done.stdout.strip().splitlines() or ["rsync has failed"])[-1]
            raise UserError(f"the results are still on the cluster ({why}); the same command brings them home")
        shutil.copytree(folder, here, ignore=shutil.ignore_patterns(*STAYS), dirs_exist_ok=True)
    pages = ", ".join(str(path) for path in sorted(here.glob("*.*")) if path.suffix in {".html", ".csv", ".png"})
    say(console, f"Brought home: {pages or here}")
    say(console, f"MLflow: ray exec {study.file} 'sleep infinity' --port-forward 5000, then http://127.0.0.1:5000")

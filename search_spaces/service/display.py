"""What is shown while a study runs: on a terminal a live line per running trial, elsewhere plain lines."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from textwrap import indent
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from analysis.wording import say
from trainables.score import Score

PLAIN_SECONDS = 30.0
"""The shortest time between two plain lines about the same running trial."""
GAP = 2
"""The columns between the parts of a live line."""
WIDE = 120
"""The columns of a terminal that has room for everything about a running trial."""


@dataclass
class _Running:
    name: str
    epochs: int
    started: float
    report: Mapping[str, float] = field(default_factory=dict)
    printed: float = 0.0

    @property
    def seconds(self) -> float:
        """The seconds of training and evaluation so far, without the start of the worker group, which happens once."""
        return self.report.get("train_seconds", 0.0) + self.report.get("evaluation_seconds", 0.0)


class Display:
    """Shows the running trials, and prints how trials ended.

    Args:
        console: where to print.
        most_runs: the most runs that the search makes.
        concurrent: how many trials run at a time.
        seconds_per_run: an estimate that is used until the first run has ended; None where there is no estimate.
        metric: the metric that runs are judged by.
        ended: how many runs an earlier process has ended.
    """

    def __init__(
        self,
        console: Console,
        most_runs: int,
        concurrent: int,
        seconds_per_run: float | None,
        metric: Score,
        ended: int = 0,
    ) -> None:
        self._metric = metric
        self._console, self._most_runs, self._concurrent = console, most_runs, concurrent
        self._estimate = seconds_per_run
        self._begun = time.monotonic()
        self._running: dict[str, _Running] = {}
        self._ended = ended
        self._seconds: list[float] = []
        self._elapsed: list[float] = []
        self._traces: set[str] = set()
        self._live = Live(console=console, get_renderable=self._draw, refresh_per_second=2, transient=True)

    def __enter__(self) -> "Display":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def say(self, words: str) -> None:
        """Print what concerns the study as a whole."""
        say(self._console, words)

    def share(self, studies: int, trials: int) -> None:
        """Note that so many studies use the cluster now, and that this one runs so many trials at a time."""
        self._concurrent, others = trials, studies - 1
        who = f"{others} other stud{'ies use' if others > 1 else 'y uses'}" if others else "No other study uses"
        self.say(
            f"{who} the cluster; at most {trials} trial{'s' * (trials > 1)} at a time run{'s' * (trials == 1)} here."
        )

    def start(self, trial_id: str, name: str, epochs: int) -> None:
        """Note that a trial of this many epochs has begun."""
        self._running.setdefault(trial_id, _Running(name, epochs, time.monotonic()))

    def progress(self, trial_id: str, report: Mapping[str, float]) -> None:
        """Note that a trial has finished an epoch, and what it reported."""
        running, now = self._running[trial_id], time.monotonic()
        running.report = report
        if not self._console.is_terminal and now - max(running.printed, running.started) > PLAIN_SECONDS:
            running.printed = now
            say(self._console, f"  {running.name}  {self._describe(running)}")

    def note(self, trial_id: str, words: str) -> None:
        """Print what has happened to a trial that goes on."""
        if trial_id in self._running:
            say(self._console, f"         {self._running[trial_id].name}: {words}", indent=9)

    def end(self, trial_id: str, status: str, error: str = "", trace: str = "") -> None:
        """Print how a trial ended, with error and traceback where a worker raised. Each traceback is printed once."""
        running = self._running.pop(trial_id, None) or _Running("a run that did not start", 0, time.monotonic())
        self._ended += 1
        if running.seconds:
            self._seconds.append(running.seconds)
            self._elapsed.append(time.monotonic() - running.started)
        count = f"[{self._ended}/{self._most_runs}]"
        score = self._score(running.report) if running.report.get("epoch") else ""
        text, left = Text(f"{count:>8} {running.name:<38} {score:>7} {status}"), f"  {self._eta()}"
        if not self._console.is_terminal or len(text) + len(left) <= self._console.width:  # the live lines have it too
            text.append(left, style="dim")
        self._console.print(text, highlight=False, soft_wrap=True)
        if error:
            say(self._console, f"         {error}", indent=9)
        if trace and trace not in self._traces:
            self._traces.add(trace)
            say(self._console, indent(trace.rstrip(), "    "))

    def _describe(self, running: _Running) -> str:
        report = running.report
        if not report.get("epoch"):
            return "starting"
        epoch, score = f"epoch {report['epoch']:.0f}/{running.epochs}", f"{self._score(report):>6}"
        rate = report["samples"] / report["train_seconds"] if report.get("train_seconds") else 0.0
        if self._console.is_terminal and self._console.width < WIDE:
            return f"{epoch}  {score}  {rate:,.0f}/s"
        return f"{epoch}  loss {report['train_loss']:.3f}  validation {score}  {rate:,.0f} samples/s"

    def _score(self, report: Mapping[str, float]) -> str:
        return self._metric.show(self._metric.score_of(report))

    def _eta(self) -> str:
        """About how long the remaining runs take, from the runs that have ended, or from the estimate before."""
        a_run = self._seconds_per_run()
        if a_run is None:
            return "time left unknown until a run has ended"
        under_way = sum(min(a_run, running.seconds) for running in self._running.values())
        seconds = max(0.0, (self._most_runs - self._ended) * a_run - under_way) / self._concurrent
        return f"about {clock(seconds)} left"

    def _seconds_per_run(self) -> float | None:
        """How long a run takes from its start to its end.

        The first run of each worker group also waits for the group to start. So until others have ended, only the
        seconds of training and evaluation are used.
        """
        later = self._elapsed[self._concurrent :]
        if later:
            return sum(later) / len(later)
        return sum(self._seconds) / len(self._seconds) if self._seconds else self._estimate

    def _draw(self) -> Group:
        table = Table.grid(padding=(0, GAP))
        rows = [
            (running.name, self._describe(running), clock(time.monotonic() - running.started))
            for running in self._running.values()
        ]
        others = sum(max((len(row[column]) + GAP for row in rows), default=0) for column in (1, 2))
        for name, *rest in rows:  # only the name is cut where the terminal is too narrow
            cut = Text(name)
            cut.truncate(max(1, self._console.width - others), overflow="ellipsis")
            table.add_row(cut, *rest)
        elapsed = clock(time.monotonic() - self._begun)
        footer = f"{self._ended} of at most {self._most_runs} runs  elapsed {elapsed}  {self._eta()}"
        waiting = (
            [] if self._running or self._ended else [Text("starting the worker groups (20 to 50 s, once)", style="dim")]
        )
        return Group(table, *waiting, Text(footer, style="bold"))


def clock(seconds: float) -> str:
    """Seconds as m:ss, h:mm:ss, or days where there are more than three."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 72:
        return f"{hours // 24:,} days"
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

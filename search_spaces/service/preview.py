"""The preview: what a command is about to do, printed before it starts."""

from dataclasses import replace
from pathlib import Path

from optuna.distributions import FloatDistribution, IntDistribution
from rich.console import Console

from analysis.runs import shown
from analysis.wording import say
from search_spaces.service.cluster import Allotment, Capacity
from search_spaces.service.display import clock
from search_spaces.service.work import Work
from search_spaces.study import Study
from trainables.engine.checks import workers_for

START_SECONDS = 40.0
"""About how long it takes to start a cluster and its worker groups, which happens once."""


def print_plan(
    work: Work,
    budget: str,
    capacity: Capacity,
    allotment: Allotment,
    seconds: float | None,
    uri: str,
    results: Path,
    console: Console,
) -> None:
    """Print the plan, with one line for each of its parts.

    Args:
        seconds: about how long a run takes on one worker; None where that cannot be estimated.
    """
    study, design, size = work.study, work.plan.design, allotment.size
    low, high = design.learning_rates
    sizes = sorted({group.batch_size for group in design.groups})
    baseline = f"; the baseline's is {design.baseline.batch_size}" if not work.tables else ""
    rules = f"; rules judged: {', '.join(rule.name for rule in study.rules)}" if design.rules else ""
    gpus = (
        f", {size.gpus_per_worker:g} GPUs each" if size.gpus_per_worker else f", {size.threads_per_worker} threads each"
    )
    if seconds is None:
        duration = "known once a run has ended"
    else:
        runs = -(-work.most_runs // allotment.concurrent_trials)
        a_run = f"{seconds:.1f} s" if seconds < 60 else clock(seconds)
        duration = f"about {clock(START_SECONDS + runs * seconds / size.workers)} ({a_run} a run)"
    lines = {
        "Study": f"{study.name}, budget {budget}: {study.question}",
        "Ray cluster": capacity.description,
        "Techniques": ", ".join(study.techniques),
        "Batch sizes": ", ".join(map(str, sizes)) + baseline,
        "Learning rates": f"{low:g} to {high:g}{rules}",
        "Held equal": _held_equal_words(work),
        "Also searched": ", ".join(range_words(*each) for each in study.dimensions.items()),
        "Data": _data_words(study),
        "Left out": study.left_out,
        "Runs": work.words,
        "At a time": f"{allotment.concurrent_trials} trials x {size.workers} workers{gpus}",
        "On 1 worker": on_one_worker(work, size.workers),
        "Time": duration,
        "Results": f"{results}, MLflow {shown(uri)}",
    }
    for label, text in lines.items():
        if text:
            say(console, f"{label + ':':<16}{text}", indent=16)


def range_words(name: str, values: FloatDistribution | IntDistribution) -> str:
    """The name and the range of a further dimension that a study searches, as text."""
    return f"{name} {values.low:g} to {values.high:g}"


def _held_equal_words(work: Work) -> str:
    """What is held equal, in words, where it is not epochs."""
    equal = work.study.held_equal
    if equal == "epochs" or work.tables:
        return ""
    by_size = {group.batch_size: number for group, number in work.passes.items()}
    listed = ", ".join(f"{number:.3g} at {size}" for size, number in by_size.items())
    epochs = f"an epoch is 1 pass over the training set at batch size {work.plan.design.baseline.batch_size}"
    return f"{equal}; {epochs}, {listed or 'and elsewhere as many as take as long, which is measured first'}"


def _data_words(study: Study) -> str:
    own, other = study.task.data, study.substitute
    return f"{own!r}, or {other.data!r} where that cannot be had" if other else repr(own)


def on_one_worker(work: Work, workers: int) -> str:
    """The rows of tables whose batches cannot be cut for all workers, in words."""
    task, techniques = work.study.task, work.study.techniques
    rows = dict.fromkeys(
        run.group
        for table in work.tables
        for run in table.runs
        if workers_for(replace(task, epochs=run.epochs), techniques[run.technique], run.batch_size, workers) < workers
    )
    listed = ", ".join(f"{row.technique} {row.batch_size}" for row in rows)
    return f"{listed}: batches that cannot be cut for {workers} workers" if rows else ""

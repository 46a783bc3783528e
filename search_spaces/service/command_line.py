"""The command line of every study: it makes a study from the arguments, and session.py runs the study."""

import argparse
import logging
import os
import shlex
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

from rich.console import Console

from analysis.runs import shown
from analysis.wording import new_console
from search_spaces.service import cluster, preparation, session
from search_spaces.service.arguments import joined, parse, study_parser
from search_spaces.service.cluster import find_capacity
from search_spaces.study import Study
from trainables.errors import UserError, require

SEARCH_OPTIONS = (
    "batch_sizes",
    "baseline_batch_size",
    "held_equal",
    "learning_rates",
    "seeds",
    "tolerance",
    "resolution",
    "max_runs",
)
"""The options of a search, which have no meaning for tables."""


def main(budgets: Mapping[str, Study], called_as: str | None = None) -> None:
    """Run a study from the command line, and end the process.

    The exit status is 0 for success, 2 for an error that the user can correct, and 130 for Ctrl-C.

    Args:
        budgets: the study in one or more sizes, by name. The default is `standard` where there is a GPU, and otherwise
            the first.
        called_as: the command as the user typed it; by default what this process was started with.
    """
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    sys.unraisablehook = _unraisable
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    console = new_console()
    code = 0
    try:
        called_as = called_as or _called_as()
        options = _parse(budgets, called_as)
        session.quiet_libraries()
        if options.cluster:
            code = _run_there(budgets, options, called_as, console)
        else:
            _run_command(budgets, options, console)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt as interrupt:
        print(f"stopped: {str(interrupt) or 'nothing had started, and nothing was kept'}", file=sys.stderr)
        code = 130
    _leave(code)


def _parse(budgets: Mapping[str, Study], called_as: str) -> argparse.Namespace:
    first = next(iter(budgets.values()))
    return parse(study_parser(called_as, first.question, first.name, budgets), sys.argv[1:])


def _called_as() -> str:
    """The command that started this process, with a module's name or a file."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return f"python -m {spec.name}" if spec else f"python {shlex.quote(sys.argv[0])}"


def _run_there(budgets: Mapping[str, Study], options: argparse.Namespace, called_as: str, console: Console) -> int:
    """Run the study on a cluster, with the command that was typed, but for what concerns this machine; its status."""
    from search_spaces.service import remote  # only now, because it takes half a second

    here = argparse.ArgumentParser(add_help=False)
    here.add_argument("--cluster")
    here.add_argument("--results-dir")
    _, rest = here.parse_known_args(joined(sys.argv[1:]))
    budget = options.budget or _default_budget(budgets, False, options.tables)
    name = options.name or _default_name(budgets[budget], budget, options.tables)
    for option in ("tracking_uri", "storage"):
        address = getattr(options, option) or ""
        require(
            shown(address) == address,
            f"--{option.replace('_', '-')} {shown(address)}: with --cluster its password would be kept with the job; "
            f"`ray attach {options.cluster}`, and run the study there",
        )
    command = [*shlex.split(called_as), *rest]
    return remote.run_there(remote.RemoteStudy(options.cluster, command, name, Path(options.results_dir)), console)


def _default_name(study: Study, budget: str, tables: bool) -> str:
    return f"{study.name}_{budget}_tables" if tables else study.name


def _run_command(budgets: Mapping[str, Study], options: argparse.Namespace, console: Console) -> None:
    budget = options.budget or _default_budget(budgets, bool(find_capacity().gpus), options.tables)
    study = _chosen(budgets, budget, options)
    chosen = {
        "search": options.search,
        "tables": options.tables,
        "budget": budget,
        "workers": options.workers,
        "concurrent_trials": options.concurrent_trials,
        "gpus_per_worker": options.gpus_per_worker,
        "cluster": None,
        "tracking": options.tracking_uri,
        "storage": options.storage,
        "results": options.results_dir,
        "data_dir": options.data_dir,
        "resume": options.resume,
        "console": console,
    }
    if options.dry_run:
        preparation.prepare(study, substitutes=False, **chosen)
    else:
        session.run_study(study, **chosen)


def _default_budget(budgets: Mapping[str, Study], gpus: bool, tables: bool) -> str:
    """The default budget: for tables the first that has some, otherwise `standard` with a GPU and the first without."""
    if tables:
        return next((name for name, study in budgets.items() if study.tables), next(iter(budgets)))
    return "standard" if gpus and "standard" in budgets else next(iter(budgets))


def _chosen(budgets: Mapping[str, Study], budget: str, options: argparse.Namespace) -> Study:
    """The study of the budget, changed by the options that were given."""
    study = budgets[budget]
    if options.data:
        study = study.on(options.data)
    if options.tables:
        given = [name for name in SEARCH_OPTIONS if getattr(options, name) is not None]
        given += ["search"] * (options.search != "frontier")
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        require(not given, f"--tables with {flags}: tables are run as they are written, and nothing is searched")
        having = ", ".join(name for name, each in budgets.items() if each.tables)
        require(
            bool(study.tables), f"--tables: budget {budget} of {study.name} lists none; {having or 'no other'} does"
        )
        return study.with_choices(
            name=options.name or _default_name(study, budget, True), first_seed=options.first_seed
        )
    return study.with_choices(
        name=options.name,
        first_seed=options.first_seed,
        batch_sizes=options.batch_sizes,
        baseline_batch_size=options.baseline_batch_size,
        held_equal=options.held_equal,
        learning_rates=options.learning_rates,
        seeds=options.seeds,
        tolerance=options.tolerance,
        resolution=options.resolution,
        max_runs=options.max_runs,
    )


def _interrupt(number: int, _frame: FrameType | None) -> None:
    """Stop the study at the first signal, and ignore later ones, so that they do not disturb its end."""
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _unraisable(discarded: "sys.UnraisableHookArgs") -> None:
    """Interrupt again where Python discarded the interrupt, as it does in the callback of a weak reference."""
    if isinstance(discarded.exc_value, KeyboardInterrupt):
        signal.signal(signal.SIGINT, _interrupt)
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
    else:
        sys.__unraisablehook__(discarded)


def _leave(code: int) -> None:
    """End Ray and everything that it started, and then this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cluster.stop()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)

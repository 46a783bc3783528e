"""Work: what a command runs, which is either a search or papers' tables."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from statistics import mean
from typing import NamedTuple

from optuna.storages import BaseStorage

from analysis.outcomes import Group
from analysis.paper_table import PaperTable
from search_spaces.policy.plan import Plan
from search_spaces.service.proposers import Proposer, proposer, runs_at_most, table_proposer
from search_spaces.service.tables import table_plan, table_runs
from search_spaces.study import Study


class Work(NamedTuple):
    """A study and the runs that will be made of it.

    Attributes:
        study: the study, with the techniques that are used.
        plan: what the store and the report need to know of the runs.
        search: the name of the search, which is recorded in MLflow.
        most_runs: the most runs that are made.
        epochs: the number of epochs of a run, on average.
        words: how many runs of how many epochs, in words.
        tables: the papers' tables that are run; empty for a search.
        proposer: makes the proposer of the runs, given a storage and a name in it.
        passes: for each technique and batch size whose epochs are not one pass over the training set, how many they
            are.
    """

    study: Study
    plan: Plan
    search: str
    most_runs: int
    epochs: float
    words: str
    tables: tuple[PaperTable, ...]
    proposer: Callable[[BaseStorage, str], Proposer]
    passes: Mapping[Group, float] = {}


def searching(study: Study, search: str) -> Work:
    """The work of a search, one of proposers.SEARCHES."""
    plan = study.plan()
    most_runs, epochs = runs_at_most(search, plan), study.task.epochs
    words = (
        f"at most {most_runs} of {epochs} epochs, search {search}, tolerance "
        f"{study.task.metric.show_difference(study.tolerance)}, "
        f"resolution a factor {study.resolution:g}"
    )
    passes = {group: study.task_at(group.batch_size).passes_per_epoch for group in plan.design.groups}
    more = {group: number for group, number in passes.items() if number != 1}
    return Work(study, plan, search, most_runs, epochs, words, (), partial(proposer, search, plan), more)


def running_tables(study: Study) -> Work:
    """The work of running the study's tables: all of their runs."""
    runs, plan = table_runs(study), table_plan(study)
    used = {run.group.technique for run in runs}
    techniques = {name: recipe for name, recipe in study.all_techniques.items() if name in used}
    words = f"the {len(runs)} of {', '.join(table.name for table in study.tables)}"
    return Work(
        study=replace(study, techniques=techniques, task=study.table_task),
        plan=plan,
        search="tables",
        most_runs=len(runs),
        epochs=mean(run.epochs for table in study.tables for run in table.runs),
        words=words,
        tables=study.tables,
        proposer=partial(table_proposer, runs, plan),
    )

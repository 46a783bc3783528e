"""Running papers' tables as they are written, instead of a search."""

from collections.abc import Sequence

from optuna.distributions import IntDistribution

from analysis.outcomes import Outcome
from analysis.study_design import StudyDesign
from search_spaces.policy.plan import NoProposal, Plan, Proposal, asked_so_far
from search_spaces.study import Study
from trainables.recipe import EPOCHS


def table_runs(study: Study) -> list[Proposal]:
    """Every run of the study's tables, each once, table by table and seed by seed. Seeds begin at 1.

    The first row of a table is run last, because the process's first run is slower than later ones, and speed-ups are
    relative to that row.
    """
    runs = [
        Proposal(run.group, run.learning_rate, seed, ((EPOCHS, run.epochs),))
        for table in study.tables
        for seed in range(1, 1 + table.seeds)
        for run in (*table.runs[1:], *table.runs[:1])
    ]
    return list(dict.fromkeys(runs))


def table_plan(study: Study) -> Plan:
    """The plan of the tables' runs, which the store and the report need. Nothing is searched."""
    runs = table_runs(study)
    groups = tuple(dict.fromkeys(run.group for table in study.tables for run in table.runs))
    rates, epochs = [run.learning_rate for run in runs], [run.epochs for table in study.tables for run in table.runs]
    design = StudyDesign(
        groups=groups,
        baseline=groups[0],
        learning_rates=(min(rates), max(rates)),
        tolerance=study.tolerance,
        resolution=study.resolution,
        validation_samples=study.task.data.validation_samples,
        dimensions=(EPOCHS,),
        rules={},
        metric=study.task.metric,
        chance=study.task.guess_score,
        train_samples=study.task.data.train_samples,
    )
    return Plan(
        design,
        first=rates[0],
        seeds=0,
        seeds_near_margin=1,
        max_runs=len(runs),
        epochs=max(epochs),
        grace_epochs={group: max(epochs) for group in groups},
        dimensions={EPOCHS: IntDistribution(min(epochs), max(epochs))},
    )


def propose(
    runs: Sequence[Proposal], _plan: Plan, finished: Sequence[Outcome], running: Sequence[Proposal]
) -> Proposal | NoProposal:
    """The first of the runs that has not been asked for."""
    asked = set(asked_so_far(finished, running))
    following = next((run for run in runs if run not in asked), None)
    if following is not None:
        return following
    return NoProposal.WAIT if running else NoProposal.OVER

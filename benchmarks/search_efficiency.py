"""Does the edge search need fewer epochs than grid, TPE, GP and ASHA? The real code searches synthetic edges.

    python -m benchmarks.search_efficiency            # 136 studies, 8 of each family
    python -m benchmarks.search_efficiency --quick

How often the search's answers contain the truth, in every family and at smaller and larger sizes, is measured with more
studies by benchmarks/coverage.py.

Every arm searches for the edges of the same synthetic studies (benchmarks/synthetic.py) and is judged by the same
verdicts (analysis/edge.py). In every arm, a diverged run ends at once. Two runs are in flight, which means that they
train at the same time.

    frontier    this project's policy, with futility stopping
    grid        every learning rate of a grid with the same resolution over three decades, with 3 seeds each; and the
                same grid with one seed each
    ASHA grid   the same grid, with all runs subject to successive halving within each batch size; a run that is stopped
                is no evidence about its learning rate
    TPE, GP     Optuna's samplers, used as in `--search optuna`: each batch size is a study of its own and the rules'
                prescriptions come first. But every run is trained to its end

The error of a study is the median over its edges of |log2 middle of the 90 % interval - log2 true edge|. It is infinite
for an edge to which an arm gives no interval. A ratio compares epochs. Of the grid, all epochs count. Of TPE and GP,
the epochs count until the median error over their studies is no larger than the final one of frontier; where this never
happens, the table says "more than" all their epochs.

Seeds 0 to 199 were used to choose the constants of the policy and of the curves' priors; benchmarks.coverage with seeds
2000 to 2009 and from 20000 on was used for those of docs/decisions.md 56 and 59.
"""

import argparse
import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from statistics import median
from typing import NamedTuple, TypeVar

import optuna
from optuna.pruners import SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, GPSampler, RandomSampler
from optuna.storages import InMemoryStorage
from rich import box
from rich.console import Console
from rich.table import Table

from analysis.belief import Interval
from analysis.edge import Edge, scalable
from analysis.outcomes import Group, Outcome
from analysis.study_design import StudyDesign
from analysis.verdict import find_baseline
from benchmarks.replay import Arm, PolicyArm, Spent, replay
from benchmarks.result import benchmark_parser, show_json
from benchmarks.synthetic import BATCH_SIZES, CHANCE, EPOCHS, FAMILIES, LEARNING_RATES, STANDARD, Scale, World, world
from search_spaces.policy import grid, policy
from search_spaces.policy.futility import Curve
from search_spaces.policy.plan import NoProposal, Plan, Proposal
from search_spaces.service.sampler_proposer import SamplerProposer, tpe
from trainables.history import STOPPED_EARLY

Job, Result = TypeVar("Job"), TypeVar("Result")

IN_FLIGHT = 2
SAMPLER_RUNS = {"TPE": 200, "GP": 75}
GP_EVERY = 8
"""GP takes longer than all other arms together, so only one study of this many in each family runs it."""
CHECKPOINTS = 20


class Score(NamedTuple):
    """What one arm has found in one study at one time.

    Attributes:
        epochs: number of epochs spent so far.
        error: the study's error, in octaves.
        covered, claimed: number of right answers, and number of answers; an answer is an interval or "none".
        sure_covered, sure: the same two numbers for edges that are not flagged "undecided".
        undecided: number of edges without an answer.
        widths: widths of the finite intervals, in octaves.
    """

    epochs: int
    time: float
    error: float
    covered: int
    claimed: int
    sure_covered: int
    sure: int
    undecided: int
    widths: tuple[float, ...]


class Stops(NamedTuple):
    """How many runs were given up as futile.

    Attributes:
        near: number of runs within an octave of a true edge that reach A0 - tolerance in the end, or would have.
        wrong: number of these runs that were given up.
        given_up: number of all runs that were given up.
    """

    near: int
    wrong: int
    given_up: int


class Studied(NamedTuple):
    """One study: its family, each arm's scores over time (the last one is final), and the runs given up."""

    family: str
    scores: dict[str, list[Score]]
    stops: Stops


def plan(scale: Scale = STANDARD, runs: int = 55, resolution: float = 1.25, sizes: Sequence[int] = BATCH_SIZES) -> Plan:
    """The question for every arm and the runs it may use; the grid and the samplers have their own numbers of runs."""
    groups = tuple(Group("synthetic", size) for size in sizes)
    ratios = [size / sizes[0] for size in sizes]
    design = StudyDesign(
        groups=groups,
        baseline=groups[0],
        learning_rates=LEARNING_RATES,
        tolerance=scale.tolerance,
        resolution=resolution,
        validation_samples=10_000,
        dimensions=(),
        rules={"linear": tuple(ratios), "square_root": tuple(math.sqrt(ratio) for ratio in ratios)},
        chance=CHANCE,
    )
    return Plan(
        design,
        first=2.0**-5,
        seeds=3,
        seeds_near_margin=3,
        max_runs=runs,
        epochs=EPOCHS,
        grace_epochs=dict.fromkeys(groups, 1),
    )


class SamplerArm:
    """An Optuna sampler, whose runs are all trained to their end."""

    def __init__(self, the_plan: Plan, sampler: Callable[[int, int], BaseSampler], runs: int) -> None:
        self._engine = SamplerProposer(replace(the_plan, max_runs=runs), InMemoryStorage(), "s", sampler)
        self._trials: dict[Proposal, list[optuna.Trial]] = {}

    def ask(self) -> Proposal | NoProposal:
        asked = self._engine.ask()
        if isinstance(asked, NoProposal):
            return asked
        self._trials.setdefault(asked[1], []).append(asked[0])
        return asked[1]

    def stops(self, run: Proposal, curve: Curve) -> bool:
        return False

    def tell(self, run: Proposal, outcome: Outcome, curve: Curve) -> Outcome:
        self._engine.tell(self._trials[run].pop(), outcome)
        return outcome


class ASHAGridArm:
    """The grid with successive halving within each batch size, and then further seeds for the baseline."""

    def __init__(self, the_plan: Plan) -> None:
        self._plan = the_plan
        self._left = [
            Proposal(group, rate, seed)
            for seed in range(the_plan.seeds_near_margin)
            for group in the_plan.design.groups
            for rate in grid.learning_rates(the_plan)
        ]
        self._running, self._baseline_asked = 0, False
        self._finished: list[Outcome] = []
        pruner = SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
        self._studies = {
            group: optuna.create_study(direction="maximize", pruner=pruner, sampler=RandomSampler())
            for group in the_plan.design.groups
        }
        self._trials: dict[Proposal, optuna.Trial] = {}

    def ask(self) -> Proposal | NoProposal:
        if not self._left and not self._running and not self._baseline_asked:
            base, seeds = self._plan.design.baseline, self._plan.seeds_near_margin
            found = find_baseline(self._plan.design, self._finished)
            assert found is not None
            self._left = [Proposal(base, found.learning_rate, seeds + n) for n in range(self._plan.seeds)]
            self._baseline_asked = True
        if not self._left:
            return NoProposal.WAIT if self._running else NoProposal.OVER
        self._running += 1
        return self._left.pop(0)

    def stops(self, run: Proposal, curve: Curve) -> bool:
        if run.seed >= self._plan.seeds_near_margin:
            return False
        if run not in self._trials:
            self._trials[run] = self._studies[run.group].ask()
        self._trials[run].report(curve[-1], len(curve))
        return self._trials[run].should_prune()

    def tell(self, run: Proposal, outcome: Outcome, curve: Curve) -> Outcome:
        """A run that was stopped counts as one of seed 0, which is no evidence about its learning rate."""
        self._running -= 1
        self._finished.append(outcome._replace(seed=0) if outcome.status == STOPPED_EARLY else outcome)
        return self._finished[-1]


def study(job: tuple[str, int, bool]) -> Studied:
    """Run every arm on one synthetic study."""
    family, seed, with_gp = job
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    the_world, the_plan = world(family, seed), plan()
    scores: dict[str, list[Score]] = {}
    arm = PolicyArm(the_plan, policy.propose, stop_futile=True)
    final = replay(arm, the_world, IN_FLIGHT, _ignore)
    scores["frontier"] = [_score(the_world, the_plan, final)]
    wide = replay(PolicyArm(the_plan, policy.propose, stop_futile=True), the_world, 8, _ignore)
    scores["frontier, 8 in flight"] = [_score(the_world, the_plan, wide)]
    scores["grid"] = [_end(PolicyArm(the_plan, grid.propose, stop_futile=False), the_world, the_plan)]
    once = replace(the_plan, seeds_near_margin=1)
    scores["grid, one seed"] = [_end(PolicyArm(once, grid.propose, stop_futile=False), the_world, the_plan)]
    scores["ASHA grid"] = [_end(ASHAGridArm(the_plan), the_world, the_plan)]
    samplers = {"TPE": tpe, **({"GP": _gp} if with_gp else {})}
    for name, sampler in samplers.items():
        runs = SAMPLER_RUNS[name]
        scores[name] = _course(SamplerArm(the_plan, sampler, runs), the_world, the_plan, runs)
    return Studied(family, scores, _stops(the_world, final))


def _gp(position: int, share: int) -> BaseSampler:
    return GPSampler(seed=position, n_startup_trials=min(4, share))


def _ignore(_spent: Spent) -> None: ...


def _end(arm: Arm, the_world: World, the_plan: Plan) -> Score:
    return _score(the_world, the_plan, replay(arm, the_world, IN_FLIGHT, _ignore))


def _course(arm: Arm, the_world: World, the_plan: Plan, runs: int) -> list[Score]:
    """The scores at about CHECKPOINTS evenly spaced numbers of runs, and at the end."""
    course: list[Score] = []

    def note(spent: Spent) -> None:
        if len(spent.outcomes) % (runs // CHECKPOINTS) == 0:
            course.append(_score(the_world, the_plan, spent))

    course.append(_score(the_world, the_plan, replay(arm, the_world, IN_FLIGHT, note)))
    return course


def _score(the_world: World, the_plan: Plan, spent: Spent) -> Score:
    edges = _edges(the_plan.design, spent.outcomes)
    errors, widths, covered, claimed, sure_covered, sure = [], [], 0, 0, 0, 0
    for group in the_plan.design.groups:
        truth, edge = the_world.edge(group), edges.get(group)
        covers = edge is not None and right(edge, truth)
        claimed += edge is not None and (edge.lower is not None or "none" in edge.flags)
        covered += covers
        if edge is not None and "undecided" not in edge.flags:
            sure, sure_covered = sure + 1, sure_covered + covers
        if truth is not None and math.isfinite(truth):
            errors.append(abs(_middle(edge) - truth) if edge and edge.finite else math.inf)
        if edge and edge.lower and edge.upper:
            widths.append(math.log2(edge.upper / edge.lower))
    groups = len(the_plan.design.groups)
    return Score(
        spent.epochs,
        spent.time,
        median(errors) if errors else math.inf,
        covered,
        claimed,
        sure_covered,
        sure,
        groups - claimed,
        tuple(widths),
    )


def _edges(design: StudyDesign, outcomes: Sequence[Outcome]) -> dict[Group, Edge]:
    """The edges that the report would give; none before a run of the baseline has trained."""
    baseline = find_baseline(design, outcomes)
    if baseline is None or baseline.untrained:
        return {}
    return {group: scalable(design, outcomes, group, baseline).edge for group in design.groups}


def right(edge: Edge, truth: float | None) -> bool:
    """Whether an interval contains the true edge, or "none" is true."""
    if truth is None or edge.lower is None:
        return truth is None and "none" in edge.flags
    return contains((edge.lower, edge.upper), truth)


def contains(interval: Interval, truth: float) -> bool:
    """Whether an interval of learning rates contains a log2 learning rate."""
    lower, upper = interval
    return math.log2(lower) <= truth <= (math.log2(upper) if upper else math.inf)


def _middle(edge: Edge) -> float:
    assert edge.lower
    assert edge.upper
    return (math.log2(edge.lower) + math.log2(edge.upper)) / 2


def _stops(the_world: World, spent: Spent) -> Stops:
    near = wrong = given_up = 0
    for run in spent.outcomes:
        truth = the_world.edge(run.group)
        given_up += run.futile
        if truth is None or abs(math.log2(run.learning_rate) - truth) > 1:
            continue
        would = the_world.train(run.group, run.learning_rate, run.seed)
        well = would.curve[-1] >= the_world.a0 - the_world.tolerance
        near, wrong = near + well, wrong + (well and run.futile)
    return Stops(near, wrong, given_up)


def main() -> None:
    options = studies_parser(__doc__, 8, "one study of every third family").parse_args()
    count = 1 if options.quick else options.studies
    jobs = [
        (family, options.seed + n, n % GP_EVERY == 0 and not options.quick)
        for n in range(count)
        for family in FAMILIES[:: 3 if options.quick else 1]
    ]
    studies = on_all_cores(study, jobs)
    console = Console(width=140)
    console.print(
        f"{len(studies)} studies, seeds {options.seed} to {options.seed + count - 1}, {IN_FLIGHT} runs in flight"
    )
    console.print(_arms(studies))
    console.print(_families(studies))
    ratios = _ratios(studies)
    for name, value in ratios.items():
        console.print(f"{name:<28}{value:8.3f}", highlight=False)
    if options.json:
        show_json(ratios, {name: [each[-1].epochs for each in _of(studies, name)] for name in studies[0].scores})


def studies_parser(description: str | None, studies: int, quick: str) -> argparse.ArgumentParser:
    """The options of a benchmark that searches synthetic studies.

    Args:
        studies: the usual number of studies of each family.
        quick: what --quick does.
    """
    parser = benchmark_parser(description, quick)
    parser.add_argument("--studies", type=int, default=studies, help="of each family (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1000, help="of the first study (default: %(default)s)")
    return parser


def on_all_cores(function: Callable[[Job], Result], jobs: Sequence[Job]) -> list[Result]:
    """The function's result for each job, computed in one process per core."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"  # the arrays of a process are small
    with ProcessPoolExecutor() as pool:
        return list(pool.map(function, jobs))


def _of(studies: Sequence[Studied], arm: str) -> list[list[Score]]:
    return [each.scores[arm] for each in studies if arm in each.scores]


def _error(scores: Sequence[Score]) -> float:
    return median(score.error for score in scores)


def _ratios(studies: Sequence[Studied]) -> dict[str, float]:
    ours = [scores[-1] for scores in _of(studies, "frontier")]
    wide = [scores[-1] for scores in _of(studies, "frontier, 8 in flight")]
    whole = [scores[-1] for scores in _of(studies, "grid")]
    stops = [each.stops for each in studies]
    families = {
        family: [each.scores["frontier"][-1] for each in studies if each.family == family]
        for family in dict.fromkeys(each.family for each in studies)
    }
    tpe_epochs, tpe_reached = _epochs_to(studies, "TPE", _error(ours))
    return {
        "search_vs_grid": median(other.epochs / mine.epochs for other, mine in zip(whole, ours, strict=True)),
        "search_vs_tpe": tpe_epochs / median(score.epochs for score in ours),
        "search_vs_tpe_is_a_lower_bound": float(not tpe_reached),
        "edge_coverage": _coverage(ours),
        "edge_coverage_decided": sum(score.sure_covered for score in ours) / max(1, sum(score.sure for score in ours)),
        "edge_coverage_worst_family": min(_coverage(scores) for scores in families.values()),
        "wrongly_stopped": sum(each.wrong for each in stops) / max(1, sum(each.near for each in stops)),
        "rounds_2_over_8": median(mine.time / other.time for mine, other in zip(ours, wide, strict=True)),
    }


def _epochs_to(studies: Sequence[Studied], arm: str, error: float) -> tuple[float, bool]:
    """Median epochs at the first checkpoint whose median error is at most `error`, and whether there was one."""
    courses = _of(studies, arm)
    for at in range(min(len(course) for course in courses)):
        if _error([course[at] for course in courses]) <= error:
            return median(course[at].epochs for course in courses), True
    return median(course[-1].epochs for course in courses), False


def _coverage(scores: Sequence[Score]) -> float:
    return sum(score.covered for score in scores) / max(1, sum(score.claimed for score in scores))


def table(title: str, *headings: str) -> Table:
    """A table whose first column holds names and whose other columns hold numbers."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for position, heading in enumerate(headings):
        table.add_column(heading, justify="right" if position else "left")
    return table


def _arms(studies: Sequence[Studied]) -> Table:
    rows = table(
        "Arms: medians over studies",
        "arm",
        "studies",
        "epochs",
        "error, octaves",
        "coverage",
        "decided",
        "coverage of those",
        "epochs to frontier's error",
    )
    for arm in ("frontier", "frontier, 8 in flight", "grid", "grid, one seed", "ASHA grid", "TPE", "GP"):
        mine = [each for each in studies if arm in each.scores]
        if not mine:
            continue
        last = [each.scores[arm][-1] for each in mine]
        ours = [each.scores["frontier"][-1] for each in mine]
        epochs, reached = _epochs_to(mine, arm, _error(ours))
        ratio = epochs / median(score.epochs for score in ours)
        rows.add_row(
            arm,
            str(len(mine)),
            f"{median(score.epochs for score in last):.0f}",
            f"{_error(last):.3f}",
            f"{_coverage(last):.3f}",
            f"{sum(score.sure for score in last) / len(last) / len(BATCH_SIZES):.3f}",
            f"{sum(score.sure_covered for score in last) / max(1, sum(score.sure for score in last)):.3f}",
            f"{'' if reached else 'more than '}{epochs:.0f} = {ratio:.1f}x",
        )
    return rows


def _families(studies: Sequence[Studied]) -> Table:
    rows = table(
        "Frontier by family",
        "family",
        "coverage",
        "error",
        "width",
        "90 % of widths",
        "undecided",
        "epochs",
        "vs grid",
        "wrongly stopped",
    )
    for family in dict.fromkeys(each.family for each in studies):
        mine = [each for each in studies if each.family == family]
        ours = [each.scores["frontier"][-1] for each in mine]
        widths = sorted(width for score in ours for width in score.widths)
        ratio = median(each.scores["grid"][-1].epochs / each.scores["frontier"][-1].epochs for each in mine)
        near, wrong = sum(each.stops.near for each in mine), sum(each.stops.wrong for each in mine)
        rows.add_row(
            family,
            f"{_coverage(ours):.3f}",
            f"{_error(ours):.3f}",
            f"{median(widths):.2f}" if widths else "",
            f"{widths[int(0.9 * len(widths))]:.2f}" if widths else "",
            f"{sum(score.undecided for score in ours) / len(ours) / len(BATCH_SIZES):.3f}",
            f"{median(score.epochs for score in ours):.0f}",
            f"{ratio:.1f}x",
            f"{wrong}/{near}",
        )
    return rows


if __name__ == "__main__":
    main()

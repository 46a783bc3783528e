"""Is the edge of a batch size that did not run where analysis.recommend says it is? The real search and analysis, on
synthetic studies of which one batch size is held back.

    python -m benchmarks.recommendation                # 4 families, 12 studies of each
    python -m benchmarks.recommendation --quick
    python -m benchmarks.recommendation --stored digits_cnn       # a study in MLflow, without each size in turn

The batch size that is held back is twice the largest that ran, or one in the middle. For each family the table gives
how many of those that have an edge are answered, how often the 90 % interval contains it, how wide it is, and how often
the edges are said not to follow a power law. The families are laws of different forms; the other ones of
benchmarks/synthetic.py have one of these laws too. Below stands how wide the interval is for somebody who knows all
other edges exactly, and that they scatter around a power law.

A last table shows how many batch sizes it takes to tell a form: edges of each form, known as well as a search knows
them, and how often they are said to follow another form than the power law.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from typing import NamedTuple

import numpy as np
from rich.console import Console
from scipy import special

from analysis.answer import answer
from analysis.belief import Belief, Limits
from analysis.law_forms import POWER
from analysis.outcomes import Group, Outcome
from analysis.recommend import OTHER_FORM, recommend
from analysis.runs import StudyRuns, load_runs, tracking_uri
from analysis.scaling_law import PowerLaw, fit_power_law
from analysis.study_design import StudyDesign
from benchmarks.replay import PolicyArm, replay
from benchmarks.result import show_json
from benchmarks.search_efficiency import IN_FLIGHT, on_all_cores, plan, studies_parser, table
from benchmarks.synthetic import BATCH_SIZES, LEARNING_RATES, SCATTER, STANDARD, world
from search_spaces.policy import policy
from trainables.errors import UserError

FAMILIES = ("power law", "saturating", "peaks and falls", "growing noise")
KNOWN_TO = 0.1
"""About the standard deviation, in octaves, of what a search believes of an edge."""
SERIES = (5, 7, 9)
"""How many batch sizes, each twice the one before, forms are told from."""
FORMS = {
    "power law": lambda doublings: 0.5 * doublings,
    "saturating": lambda doublings: -np.logaddexp2(0.0, doublings.max() / 2 - doublings),
    "rise and fall": lambda doublings: -np.abs(doublings - doublings.max() / 2) / 2,
}
HELD_BACK = {"twice the largest": BATCH_SIZES[-1], "in the middle": BATCH_SIZES[2]}


class Told(NamedTuple):
    """What was told of the batch size that was held back.

    Attributes:
        where, family: which batch size was held back, and the study's family.
        answered: whether there was a recommendation.
        right: whether its interval contains the edge.
        width: of the interval, in octaves.
        other: whether the edges were said to follow another form than the power law.
    """

    where: str
    family: str
    answered: bool
    right: bool = False
    width: float = math.nan
    other: bool = False


def study(job: tuple[str, str, int, int]) -> Told | None:
    """Search a study without one of its batch sizes, and compare what is told of it; None where it has no edge."""
    where, family, seed, runs = job
    the_world, size = world(family, seed), HELD_BACK[where]
    truth = the_world.edge(Group("synthetic", size))
    if truth is None or math.isinf(truth):
        return None
    the_plan = plan(STANDARD, runs, 1.25, [each for each in BATCH_SIZES if each != size])
    spent = replay(PolicyArm(the_plan, policy.propose, stop_futile=True), the_world, IN_FLIGHT, lambda _: None)
    try:
        told = recommend(the_plan.design, answer(the_plan.design, spent.outcomes), "synthetic", size)
    except UserError:
        return Told(where, family, False)
    right = math.log2(told.lower) <= truth <= math.log2(told.upper)
    return Told(where, family, True, right, math.log2(told.upper / told.lower), bool(told.form))


def told_another_form(form: str, doublings: np.ndarray, seed: int) -> bool:
    """Whether edges of a form, scattered and known as a search knows them, are said not to follow a power law."""
    draw = np.random.default_rng(seed)
    edges = FORMS[form](doublings) + draw.normal(0, math.hypot(SCATTER, KNOWN_TO), len(doublings))
    low, high = (math.log2(rate) for rate in LEARNING_RATES)
    middle = (low + high) / 2 - edges.mean()
    beliefs = {
        16 * 2**at: Belief(draw.normal(edge + middle, KNOWN_TO, 500), Limits(low, high))
        for at, edge in enumerate(edges)
    }
    law = fit_power_law(beliefs)
    assert isinstance(law, PowerLaw)
    return law.forms[POWER] < OTHER_FORM


def known_width(others: Sequence[int], size: int) -> float:
    """The width, as a factor, of the 90 % interval of an edge when all others and the form of the law are known."""
    x, at = np.log2(np.array(others)), math.log2(size)
    variance = 1 + 1 / len(x) + (at - x.mean()) ** 2 / ((x - x.mean()) ** 2).sum()
    return float(2.0 ** (2 * special.ndtri(0.95) * SCATTER * math.sqrt(variance)))


def without(runs: StudyRuns, size: int) -> tuple[StudyDesign, list[Outcome]]:
    """The design and the runs of a study without one of its batch sizes."""
    design = runs.design
    kept = [at for at, group in enumerate(design.groups) if group.batch_size != size]
    rules = {name: tuple(ratios[at] for at in kept) for name, ratios in design.rules.items()}
    fewer = replace(design, groups=tuple(design.groups[at] for at in kept), rules=rules)
    return fewer, [run for run in runs.outcomes() if run.group.batch_size != size]


def show_stored(runs: StudyRuns) -> None:
    """For each batch size of a study with an edge, what is told of it without its runs, and what they measured."""
    rows = table(f"held back from {runs.name}", "technique", "batch size", "told without it", "width", "measured")
    for each in answer(runs.design, runs.outcomes()).groups:
        technique, size = each.group
        if not each.scalable.finite or size == runs.design.baseline.batch_size:
            continue
        design, outcomes = without(runs, size)
        try:
            told = recommend(design, answer(design, outcomes), technique, size)
            words = [f"[{told.lower:.3g}, {told.upper:.3g}]", f"{told.upper / told.lower:.2f}"]
        except UserError as error:
            words = [str(error), ""]
        rows.add_row(technique, str(size), *words, f"[{each.scalable.lower:.3g}, {each.scalable.upper:.3g}]")
    Console(width=120).print(rows)


def main() -> None:
    parser = studies_parser(__doc__, 12, "one study of each family")
    parser.add_argument("--runs", type=int, default=55, help="of each study (default: %(default)s)")
    parser.add_argument("--stored", metavar="STUDY", help="a study in MLflow, instead of synthetic ones")
    options = parser.parse_args()
    if options.stored:
        show_stored(load_runs(options.stored, tracking_uri(None), curves=False))
        return
    count = 1 if options.quick else options.studies
    jobs = [
        (where, family, options.seed + n, options.runs)
        for where in HELD_BACK
        for family in FAMILIES
        for n in range(count)
    ]
    found = [each for each in on_all_cores(study, jobs) if each is not None]
    console, ratios = Console(width=120), {}
    for where in HELD_BACK:
        rows = table(f"held back: {where}", "family", "edges", "answered", "right", "width, factor", "another form")
        for family in (*FAMILIES, "all"):
            mine = [each for each in found if each.where == where and family in (each.family, "all")]
            answered = [each for each in mine if each.answered]
            rows.add_row(family, str(len(mine)), str(len(answered)), *map("{:.2f}".format, _figures(answered)))
        console.print(rows)
        known = known_width([each for each in BATCH_SIZES if each != HELD_BACK[where]], HELD_BACK[where])
        console.print(f"  width for somebody who knows the other edges and the form: {known:.2f}\n")
        whole = [each for each in found if each.where == where and each.answered]
        name = where.replace(" ", "_")
        ratios |= dict(zip((f"{name}_coverage", f"{name}_width"), _figures(whole), strict=False))
    rows = table("edges said to follow another form than a power law", "form", *(f"{sizes} sizes" for sizes in SERIES))
    for form in FORMS:
        shares = [
            sum(told_another_form(form, np.arange(sizes), seed) for seed in range(5 * count)) / (5 * count)
            for sizes in SERIES
        ]
        rows.add_row(form, *map("{:.2f}".format, shares))
        ratios |= {
            f"another_form_{form.replace(' ', '_')}_{sizes}": share for sizes, share in zip(SERIES, shares, strict=True)
        }
    console.print(rows)
    if options.json:
        show_json(
            ratios,
            {where: [each.width for each in found if each.where == where and each.answered] for where in HELD_BACK},
        )


def _figures(answered: Sequence[Told]) -> tuple[float, float, float]:
    """The share of right intervals, their median width as a factor, and the share said to follow another form."""
    if not answered:
        return math.nan, math.nan, math.nan
    share, other = (
        sum(values) / len(answered) for values in zip(*((each.right, each.other) for each in answered), strict=True)
    )
    return share, 2.0 ** median(each.width for each in answered), other


if __name__ == "__main__":
    main()

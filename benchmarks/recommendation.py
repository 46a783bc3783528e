"""Is the edge of a batch size that did not run where analysis.recommend says it is? The real search and analysis, on
synthetic studies of which one batch size is held back.

    python -m benchmarks.recommendation                # 4 families, 12 studies of each
    python -m benchmarks.recommendation --quick

The batch size that is held back is twice the largest that ran, or one in the middle. For each family the table gives
how many of those that have an edge are answered, how often the 90 % interval contains it, how wide it is, and how often
the edges are said not to follow a power law. The families are laws of different forms; the other ones of
benchmarks/synthetic.py have one of these laws too.
"""

import math
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from rich.console import Console

from analysis.answer import answer
from analysis.outcomes import Group
from analysis.recommend import recommend
from benchmarks.replay import PolicyArm, replay
from benchmarks.result import show_json
from benchmarks.search_efficiency import IN_FLIGHT, on_all_cores, plan, studies_parser, table
from benchmarks.synthetic import BATCH_SIZES, STANDARD, world
from search_spaces.policy import policy
from trainables.errors import UserError

FAMILIES = ("power law", "saturating", "peaks and falls", "growing noise")
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


def main() -> None:
    parser = studies_parser(__doc__, 12, "one study of each family")
    parser.add_argument("--runs", type=int, default=55, help="of each study (default: %(default)s)")
    options = parser.parse_args()
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
        whole = [each for each in found if each.where == where and each.answered]
        name = where.replace(" ", "_")
        ratios |= dict(zip((f"{name}_coverage", f"{name}_width"), _figures(whole), strict=False))
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

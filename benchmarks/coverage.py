"""How often do the search's answers contain the truth? The real search and analysis on synthetic studies.

    python -m benchmarks.coverage                     # 17 families, 12 studies of each, at four sizes
    python -m benchmarks.coverage --sizes quick24,quick32 --studies 40
    python -m benchmarks.coverage --quick

A size is the noise of a run, the tolerance, the resolution and the number of runs: quick24 and quick32 are those of a
quick budget (one run varies by 0.4 to 0.6 tolerances), standard55 and standard110 those of a standard one (0.15 to
0.35 tolerances). An answer is an interval of the maximum scalable learning rate, or "none". For each family the table
gives the share of right ones among all answers and among the decided ones, the share of right intervals of the safe
rate and of the exponent, the share of edges wrongly said not to exist, and how many of the batch sizes are decided.

The exponent's truth is the slope of the straight line through the true edges, by least squares.
"""

import math
from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple

import numpy as np
from rich.console import Console

from analysis.answer import answer
from analysis.belief import SAFE
from analysis.scaling_law import PowerLaw
from benchmarks.replay import PolicyArm, replay
from benchmarks.result import show_json
from benchmarks.search_efficiency import IN_FLIGHT, contains, on_all_cores, plan, right, studies_parser, table
from benchmarks.synthetic import FAMILIES, QUICK, STANDARD, Scale, world
from search_spaces.policy import policy


class Size(NamedTuple):
    """How noisy a study is, how many runs it may make, and how narrow its intervals should be."""

    scale: Scale
    runs: int
    resolution: float


SIZES = {
    "quick24": Size(QUICK, 24, 2.0),
    "quick32": Size(QUICK, 32, 2.0),
    "standard55": Size(STANDARD, 55, 1.25),
    "standard110": Size(STANDARD, 110, 1.25),
}


class Found(NamedTuple):
    """What one study found.

    Attributes:
        size, family: of the study.
        right: for each answer, whether it is right.
        decided: the same for the decided answers.
        safe: for each interval of a safe rate, whether it contains the true one.
        exponent: whether the exponent's interval contains the true slope; None without an exponent.
        exponent_width: the width of that interval.
        widths: of the finite intervals of edges, in octaves.
        falsely_none: number of edges that were said not to exist, and do.
        runs, baseline_runs: number of runs, and of the baseline's among them.
        a0: the error of A0, in tolerances; and the error that was stated.
    """

    size: str
    family: str
    right: tuple[bool, ...]
    decided: tuple[bool, ...]
    safe: tuple[bool, ...]
    exponent: bool | None
    exponent_width: float
    widths: tuple[float, ...]
    falsely_none: int
    runs: int
    baseline_runs: int
    a0: tuple[float, float]


def study(job: tuple[str, str, int]) -> Found:
    """Search one synthetic study, and compare what was found with the truth."""
    size, family, seed = job
    scale, runs, resolution = SIZES[size]
    the_world, the_plan = world(family, seed, scale), plan(scale, runs, resolution)
    spent = replay(PolicyArm(the_plan, policy.propose, stop_futile=True), the_world, IN_FLIGHT, lambda _: None)
    found = answer(the_plan.design, spent.outcomes)
    assert found.baseline is not None
    truths = {each.group: the_world.edge(each.group) for each in found.groups}
    answers = [each for each in found.groups if each.scalable.lower is not None or "none" in each.scalable.flags]
    inside = [
        (each.group.batch_size, truth)
        for each in found.groups
        if math.isfinite(truth := truths[each.group] or math.inf)
    ]
    law = found.laws["synthetic"]
    exponent = None
    if isinstance(law, PowerLaw) and len(inside) > 1:
        sizes, edges = zip(*inside, strict=True)
        exponent = bool(law.lower <= np.polyfit(np.log2(sizes), edges, 1)[0] <= law.upper)
    return Found(
        size,
        family,
        tuple(right(each.scalable, truths[each.group]) for each in answers),
        tuple(right(each.scalable, truths[each.group]) for each in answers if "undecided" not in each.scalable.flags),
        tuple(
            (safe := the_world.edge(each.group, SAFE)) is not None and contains(each.scalable.safe, safe)
            for each in found.groups
            if each.scalable.safe
        ),
        exponent,
        law.upper - law.lower if isinstance(law, PowerLaw) else math.nan,
        tuple(
            math.log2(each.scalable.upper / each.scalable.lower)
            for each in answers
            if each.scalable.upper and each.scalable.lower
        ),
        sum("none" in each.scalable.flags and truths[each.group] is not None for each in answers),
        len(spent.outcomes),
        found.baseline.runs,
        ((found.baseline.score - the_world.a0) / scale.tolerance, found.baseline.error / scale.tolerance),
    )


def main() -> None:
    parser = studies_parser(__doc__, 12, "one study of each family at 24 runs")
    parser.add_argument("--sizes", default=",".join(SIZES), help="(default: %(default)s)")
    parser.add_argument("--families", default=",".join(FAMILIES), help="(default: all of them)")
    options = parser.parse_args()
    sizes = ["quick24"] if options.quick else options.sizes.split(",")
    count = 1 if options.quick else options.studies
    families = options.families.split(",")
    jobs = [(size, family, options.seed + n) for size in sizes for family in families for n in range(count)]
    found = on_all_cores(study, jobs)
    console, ratios = Console(width=180), {}
    for size in sizes:
        mine = [each for each in found if each.size == size]
        _show(console, size, families, mine, count)
        whole = sum((each.right for each in mine), ())
        decided = sum((each.decided for each in mine), ())
        ratios |= {
            f"{size}_coverage": _share(whole),
            f"{size}_coverage_decided": _share(decided),
            f"{size}_coverage_safe": _share(sum((each.safe for each in mine), ())),
            f"{size}_coverage_exponent": _share(bool(each.exponent) for each in mine if each.exponent is not None),
            f"{size}_decided": len(decided) / (5 * len(mine)),
            f"{size}_falsely_none": sum(each.falsely_none for each in mine) / (5 * len(mine)),
        }
    for name, value in ratios.items():
        console.print(f"{name:<32}{value:8.3f}", highlight=False)
    if options.json:
        show_json(ratios, {size: [float(each.runs) for each in found if each.size == size] for size in sizes})


def _show(console: Console, size: str, families: Sequence[str], found: Sequence[Found], count: int) -> None:
    rows = table(
        f"{size}: {count} studies of each family",
        *("family", "coverage", "of decided", "decided", "of safe", "of exponent", "its width", "width"),
        *("falsely none", "runs", "baseline's", "A0 bias", "A0 error", "stated"),
    )
    for family in (*families, "all"):
        mine = [each for each in found if family in (each.family, "all")]
        decided, exponents = (
            sum((each.decided for each in mine), ()),
            [each for each in mine if each.exponent is not None],
        )
        widths, errors = sum((each.widths for each in mine), ()), [each.a0[0] for each in mine]
        rows.add_row(
            family,
            f"{_share(sum((each.right for each in mine), ())):.3f}",
            f"{_share(decided):.3f}",
            f"{len(decided) / (5 * len(mine)):.2f}",
            f"{_share(sum((each.safe for each in mine), ())):.3f}",
            f"{_share(bool(each.exponent) for each in exponents):.3f}",
            f"{median(each.exponent_width for each in exponents):.2f}" if exponents else "",
            f"{median(widths):.2f}" if widths else "",
            f"{sum(each.falsely_none for each in mine) / (5 * len(mine)):.3f}",
            f"{np.mean([each.runs for each in mine]):.0f}",
            f"{np.mean([each.baseline_runs / each.runs for each in mine]):.2f}",
            f"{np.mean(errors):+.2f}",
            f"{np.sqrt(np.mean(np.square(errors))):.2f}",
            f"{np.mean([each.a0[1] for each in mine]):.2f}",
        )
    console.print(rows)


def _share(right_ones: Iterable[bool]) -> float:
    ones = list(right_ones)
    return sum(ones) / len(ones) if ones else math.nan


if __name__ == "__main__":
    main()

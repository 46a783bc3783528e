"""The edge of a group, its maximum learning rate: the 90 % interval, and the rates that were seen to hold and fail."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from analysis.belief import Belief, edge_belief
from analysis.outcomes import Point, best, leading, same_rate, unbroken
from analysis.study_design import StudyDesign
from analysis.verdict import LIKELY, Reference, Spread, Standard, Verdict, margin, verdicts


@dataclass(frozen=True)
class Edge:
    """The maximum learning rate of a group.

    Attributes:
        lower, upper: the ends of its 90 % interval. Both are None where nothing holds; upper is None where the edge may
            lie above the searched range.
        held: the highest learning rate that was seen to hold; None where there is none.
        failed: the lowest learning rate above `held` that was seen to fail; None where there is none.
        flags: "censored" (the edge may lie above the searched range), "none" (nothing holds), "undecided" (more runs
            may change the answer).
    """

    lower: float | None
    upper: float | None
    held: float | None
    failed: float | None
    flags: tuple[str, ...]

    @property
    def finite(self) -> bool:
        """Whether both ends of the interval are known."""
        return self.lower is not None and self.upper is not None


class Judged(NamedTuple):
    """A group's points, judged against a reference.

    Attributes:
        verdicts: the verdict on each learning rate.
        chances: for each learning rate, the probability that it holds.
        belief: where the edge may lie, given that there is one.
        edge: the edge that is reported.
    """

    verdicts: dict[float, Verdict]
    chances: dict[float, float]
    belief: Belief
    edge: Edge


def scalable(design: StudyDesign, points: Sequence[Point], standard: Standard) -> Judged:
    """The maximum scalable learning rate: the group's points are judged against A0."""
    reference, spread = standard.baseline.reference, standard.spread
    return judge(design, points, reference, spread, verdicts(points, reference, design.tolerance, spread))


def competitive(design: StudyDesign, points: Sequence[Point], spread: Spread) -> Judged | None:
    """The maximum competitive learning rate: the group's points are judged against its own best score.

    The best learning rate itself holds. The result is None where there is no learning rate at which every run ran to
    its end, or where the best of those is no better than a guess.
    """
    top = best(unbroken(points))
    if top is None or top.score <= design.guess:
        return None
    reference = Reference(top.score, len(top.scores))
    of_points = verdicts(points, reference, design.tolerance, spread)
    return judge(design, points, reference, spread, {**of_points, top.learning_rate: Verdict.HOLDS})


def judge(
    design: StudyDesign,
    points: Sequence[Point],
    reference: Reference,
    spread: Spread,
    of_points: dict[float, Verdict],
) -> Judged:
    """A group's points, judged against any reference, given the verdict on each of them."""
    chances = {point.learning_rate: margin(point, reference, design.tolerance, spread).holds(0.0) for point in points}
    belief = edge_belief(points, reference, design.tolerance, spread, design.learning_rates)
    return Judged(of_points, chances, belief, find_edge(points, of_points, belief, chances, design))


def find_edge(
    points: Sequence[Point],
    of_points: Mapping[float, Verdict],
    belief: Belief,
    chances: Mapping[float, float],
    design: StudyDesign,
) -> Edge:
    """The edge that the verdicts and the belief describe.

    Args:
        points: the group's points.
        of_points: the verdict on each learning rate.
        belief: where the edge may lie, from the points.
        chances: for each learning rate, the probability that it holds.
        design: gives the searched range and the resolution. An interval wider than the resolution is flagged
            "undecided". Where nothing holds, the flag is "none" only if all points fail and the best is surrounded.
    """
    held = max((rate for rate, verdict in of_points.items() if verdict is Verdict.HOLDS), default=None)
    if held is None:
        failed_all = bool(of_points) and all(verdict is Verdict.FAILS for verdict in of_points.values())
        if failed_all or not likely(chances):
            none = failed_all and surrounded(points, design)
            return Edge(None, None, None, None, ("none",) if none else ("undecided",))
    above = [
        rate for rate, verdict in of_points.items() if held is not None and rate > held and verdict is Verdict.FAILS
    ]
    highest = max(rate for rate, chance in chances.items() if chance > LIKELY)
    lower, upper = belief.interval
    if not any(rate > highest for rate in chances):
        upper = None  # no run limits the edge from above, only the prior does
    at_top = upper is None and held is not None and same_rate(held, design.learning_rates[1])
    decided = upper is not None and belief.narrow(design.resolution) and not unsupported(belief, chances)
    flags = [*(["censored"] if upper is None else []), *([] if held and (decided or at_top) else ["undecided"])]
    return Edge(lower, upper, held, min(above, default=None), tuple(flags))


def unsupported(belief: Belief, chances: Mapping[float, float]) -> list[float]:
    """The ends of the interval that no run close to them supports.

    The lower end needs a rate that holds at most an octave below it, the upper end a rate that fails at most an octave
    above it. An end without such a run rests on runs far away, which may be outliers, so a run must check it.
    """
    lower, upper = belief.interval
    ends = []
    if not any(lower / 2 <= rate and chance > LIKELY for rate, chance in chances.items() if rate <= (upper or rate)):
        ends.append(lower)
    if upper and not any(lower <= rate <= 2 * upper and chance < LIKELY for rate, chance in chances.items()):
        ends.append(upper)
    return ends


def likely(chances: Mapping[float, float]) -> bool:
    """Whether some learning rate is more likely to hold than to fail."""
    return max(chances.values(), default=0.0) > LIKELY


def surrounded(points: Sequence[Point], design: StudyDesign) -> bool:
    """Whether learning rates on both sides of the best point have run, or the best point lies at an end of the range.

    Where no point is better than a guess, the highest rate must have diverged or lie at the end of the range, because
    all rates so far may be too low.
    """
    top = leading(points, design.guess)
    if top is None:
        return False
    low, high = design.learning_rates
    highest = max(points, key=lambda point: point.learning_rate)
    below = any(point.learning_rate < top.learning_rate for point in points) or same_rate(top.learning_rate, low)
    above = highest is not top and (top.score > design.guess or highest.diverged > 0)
    return below and (above or same_rate(highest.learning_rate, high))

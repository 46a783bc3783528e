"""The maximum learning rate of a group: its 90 % interval, what was seen to hold and to fail, and what is open."""

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
        lower, upper: its 90 % interval; None where nothing holds, upper None where it may lie above the range.
        held: highest learning rate seen to hold; None where none did.
        failed: lowest seen to fail above it; None where none did.
        flags: "censored" (no failure inside the searched range), "none" (nothing holds), "undecided".
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
    """A group's points against a reference.

    Attributes:
        verdicts: on each learning rate.
        chances: the probability of each learning rate to hold.
        belief: where the edge may lie, if there is one.
        edge: what is reported.
    """

    verdicts: dict[float, Verdict]
    chances: dict[float, float]
    belief: Belief
    edge: Edge


def scalable(design: StudyDesign, points: Sequence[Point], standard: Standard) -> Judged:
    """The maximum scalable learning rate: judged against A0."""
    reference, spread = standard.baseline.reference, standard.spread
    return judge(design, points, reference, spread, verdicts(points, reference, design.tolerance, spread))


def competitive(design: StudyDesign, points: Sequence[Point], spread: Spread) -> Judged | None:
    """The maximum competitive learning rate: judged against the group's own best score; the best itself holds.

    None where there is no rate at which every run ran to its end, or none of those is better than a guess.
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
    """The points against any reference, given the verdict on each of them."""
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
        points: of the group.
        of_points: the verdict on each learning rate.
        belief: what the points say of the edge.
        chances: by learning rate, the probability that it holds.
        design: an interval wider than its resolution is flagged undecided. Where nothing holds, the answer is none
            only if all points fail and the best is surrounded.
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
    """The ends of the interval that no run close by supports.

    The lower end needs a rate that holds at most an octave below it, the upper end a rate that fails at most an octave
    above it. A conclusion from one odd run far away must be checked at the place itself.
    """
    lower, upper = belief.interval
    ends = []
    if not any(lower / 2 <= rate and chance > LIKELY for rate, chance in chances.items() if rate <= (upper or rate)):
        ends.append(lower)
    if upper and not any(lower <= rate <= 2 * upper and chance < LIKELY for rate, chance in chances.items()):
        ends.append(upper)
    return ends


def likely(chances: Mapping[float, float]) -> bool:
    """Whether some rate is more likely to hold than not."""
    return max(chances.values(), default=0.0) > LIKELY


def surrounded(points: Sequence[Point], design: StudyDesign) -> bool:
    """Whether the best point has tried neighbours on both sides, or lies at the end of the range.

    Where no point is better than a guess, the highest rate must have diverged or lie at the end of the range, because
    all of them may be too low.
    """
    top = leading(points, design.guess)
    if top is None:
        return False
    low, high = design.learning_rates
    highest = max(points, key=lambda point: point.learning_rate)
    below = any(point.learning_rate < top.learning_rate for point in points) or same_rate(top.learning_rate, low)
    above = highest is not top and (top.score > design.guess or highest.diverged > 0)
    return below and (above or same_rate(highest.learning_rate, high))

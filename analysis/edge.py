"""The maximum learning rate of a group: its 90 % interval, what was seen to hold and to fail, and what is open."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from analysis.belief import Belief, belief, interval, narrow
from analysis.frontier import LIKELY, Noise, Point, Reference, Verdict, best, leading, margin, same, unbroken, verdicts
from analysis.question import Question


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


def edge(
    known: Sequence[Point],
    found: Mapping[float, Verdict],
    view: Belief,
    chances: Mapping[float, float],
    question: Question,
) -> Edge:
    """The edge that the verdicts and the belief describe.

    Args:
        known: the group's points.
        found: the verdict on each of them.
        view: the belief they give.
        chances: by learning rate, the probability that it holds.
        question: an interval wider than its resolution is flagged undecided. Where nothing holds, the answer is none
            only if all fail and the best point is surrounded.
    """
    held = max((rate for rate, verdict in found.items() if verdict is Verdict.HOLDS), default=None)
    if held is None:
        failed_all = bool(found) and all(verdict is Verdict.FAILS for verdict in found.values())
        if failed_all or not likely(chances):
            none = failed_all and surrounded(known, question)
            return Edge(None, None, None, None, ("none",) if none else ("undecided",))
    above = [rate for rate, verdict in found.items() if held is not None and rate > held and verdict is Verdict.FAILS]
    highest = max(rate for rate, chance in chances.items() if chance > LIKELY)
    lower, upper = interval(view)
    if not any(rate > highest for rate in chances):
        upper = None  # all that bounds it is what edges are usually like
    at_top = upper is None and held is not None and same(held, question.learning_rates[1])
    decided = upper is not None and narrow(view, question.resolution) and not unsupported(view, chances)
    flags = [*(["censored"] if upper is None else []), *([] if held and (decided or at_top) else ["undecided"])]
    return Edge(lower, upper, held, min(above, default=None), tuple(flags))


def unsupported(view: Belief, chances: Mapping[float, float]) -> list[float]:
    """Ends of the interval next to which no run says so: none that holds up to an octave below, none that fails above.

    What was concluded from one odd run far away is to be seen at the place itself.
    """
    lower, upper = interval(view)
    ends = []
    if not any(lower / 2 <= rate and chance > LIKELY for rate, chance in chances.items() if rate <= (upper or rate)):
        ends.append(lower)
    if upper and not any(lower <= rate <= 2 * upper and chance < LIKELY for rate, chance in chances.items()):
        ends.append(upper)
    return ends


def likely(chances: Mapping[float, float]) -> bool:
    """Whether some rate is more likely to hold than not."""
    return max(chances.values(), default=0.0) > LIKELY


class Judged(NamedTuple):
    """A group's points against a reference.

    Attributes:
        found: the verdict on each learning rate.
        chances: of each learning rate to hold.
        view: where the edge may lie, if there is one.
        edge: what is reported.
    """

    found: dict[float, Verdict]
    chances: dict[float, float]
    view: Belief
    edge: Edge


def scalable(question: Question, known: Sequence[Point], reference: Reference, noise: Noise) -> Judged:
    """The maximum scalable learning rate: judged against A0."""
    return _judge(question, known, reference, noise, verdicts(known, reference, question.tolerance, noise))


def competitive(question: Question, known: Sequence[Point], noise: Noise) -> Judged | None:
    """The maximum competitive learning rate: against the group's own best score; the best itself holds.

    None where no rate's runs all ran to their end, or none there is better than a guess.
    """
    top = best(unbroken(known))
    if top is None or top.score <= question.guess:
        return None
    reference = Reference(top.score, len(top.scores))
    found = verdicts(known, reference, question.tolerance, noise)
    return _judge(question, known, reference, noise, {**found, top.learning_rate: Verdict.HOLDS})


def _judge(
    question: Question, known: Sequence[Point], reference: Reference, noise: Noise, found: dict[float, Verdict]
) -> Judged:
    chances = {point.learning_rate: margin(point, reference, question.tolerance, noise).holds(0.0) for point in known}
    view = belief(known, reference, question.tolerance, noise, question.learning_rates)
    found_edge = edge(known, found, view, chances, question)
    return Judged(found, chances, view, found_edge)


def surrounded(known: Sequence[Point], question: Question) -> bool:
    """Whether the best point is not at an open end of what was tried: it has neighbours, or lies at the range's end.

    Where no point is better than a guess, the highest must have diverged or lie there too: all may be too low.
    """
    top = leading(known, question.guess)
    if top is None:
        return False
    low, high = question.learning_rates
    highest = max(known, key=lambda point: point.learning_rate)
    below = any(point.learning_rate < top.learning_rate for point in known) or same(top.learning_rate, low)
    above = highest is not top and (top.score > question.guess or highest.diverged > 0)
    return below and (above or same(highest.learning_rate, high))

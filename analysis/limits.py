"""What limits the answer of a group that is undecided, and what would settle it."""

import numpy as np

from analysis.belief import MAY_BE_NONE, TYPICAL, last_fall
from analysis.edge import Judged, bar_floor
from analysis.group_fits import log_range
from analysis.outcomes import same_rate
from analysis.study_design import StudyDesign
from analysis.verdict import LIKELY, SURE, Baseline


def what_limits(design: StudyDesign, judged: Judged, baseline: Baseline) -> str:
    """One clause on what limits a group's answer and what would settle it; empty where the group is decided."""
    belief = judged.belief
    if "undecided" not in judged.edge.flags:
        return ""
    if not judged.fit.runs:
        return "no run of it ended; it needs runs"
    if belief.none >= SURE:
        return "nothing seems to hold, but rates on both sides of its best have not run; more runs would settle it"
    if judged.edge.lower is not None and judged.edge.upper is None:
        highest = max(judged.chances)
        if judged.chances[highest] <= LIKELY or same_rate(highest, design.learning_rates[1]):
            return (
                f"the edge may lie above the range, which ends at {design.learning_rates[1]:g}; "
                "a wider one or more runs would settle it"
            )
        return f"no rate has failed above {highest:g}, the highest that ran; more runs would settle it"
    if _narrow_if_a0_were_known(design, judged, baseline):
        return "the error of A0 limits it; more runs would settle it, of which up to a third go to the baseline"
    if belief.none > MAY_BE_NONE:
        return f"nothing holds with a probability of {belief.none:.0%}; more runs would settle it"
    factor = 2.0**belief.width
    return f"its interval is a factor {factor:.2g} wide; more runs would narrow it to {design.resolution:g}"


def _narrow_if_a0_were_known(design: StudyDesign, judged: Judged, baseline: Baseline) -> bool:
    floor = bar_floor(design, baseline)
    bar = np.full((len(baseline.a0), 1), baseline.score / design.tolerance - 1)
    (belief,) = last_fall(judged.fit.curves, bar, floor, log_range(design), (TYPICAL,))
    return belief.none >= SURE or belief.narrow(design.resolution)

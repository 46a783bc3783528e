"""Constructed outcomes: a baseline at batch size 32, and runs of a larger batch size."""

from analysis.outcomes import Group, Outcome

SMALL, LARGE = Group("t", 32), Group("t", 1024)


def done(group: Group, rate: float, score: float, seed: int = 1, train: float | None = None) -> Outcome:
    return Outcome(group, rate, seed, "done", score, score if train is None else train)


def diverged(group: Group, rate: float, seed: int = 1) -> Outcome:
    return Outcome(group, rate, seed, "diverged", 0.1, 0.1)


BASELINE = [done(SMALL, 0.1, 0.93, seed=0), *(done(SMALL, 0.1, a, s) for s, a in ((1, 0.90), (2, 0.91), (3, 0.92)))]

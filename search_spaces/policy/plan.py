"""What a search policy receives and what it returns, as plain values without Ray and torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from optuna.distributions import BaseDistribution

from analysis.outcomes import Group, Outcome, Setting
from analysis.study_design import StudyDesign


class Proposal(NamedTuple):
    """A run to make next.

    Attributes:
        setting: the values of the study's further dimensions; None where they are to be sampled.
    """

    group: Group
    learning_rate: float
    seed: int
    setting: Setting | None = ()

    def ended(self, status: str, score: float, train_score: float) -> Outcome:
        """The outcome of the run, given how it ended."""
        assert self.setting is not None, "a run that ended has had its setting sampled"
        return Outcome(self.group, self.learning_rate, self.seed, status, score, train_score, self.setting)


class NoProposal(Enum):
    """What a policy returns when it proposes no run."""

    WAIT = "wait for what is running"
    OVER = "nothing is left to ask"


@dataclass(frozen=True)
class Plan:
    """What a policy needs to know of a study.

    Attributes:
        design: what is compared, and how finely.
        first: the learning rate at which tuning starts.
        seeds: the least number of baseline runs that A0 is read off.
        seeds_near_margin: the most runs at any other learning rate.
        max_runs: the most runs in all.
        epochs: the number of epochs of each run.
        grace_epochs: for each group, the number of epochs during which no run is stopped: the warm-up, at least 1.
        dimensions: what is searched besides the learning rate, by name.
        own: for each technique, its own values of those dimensions.
        sampled_settings: how many settings to try in each group besides the technique's own.
    """

    design: StudyDesign
    first: float
    seeds: int
    seeds_near_margin: int
    max_runs: int
    epochs: int
    grace_epochs: Mapping[Group, int]
    dimensions: Mapping[str, BaseDistribution] = field(default_factory=dict)
    own: Mapping[str, Setting] = field(default_factory=dict)
    sampled_settings: int = 0


def asked_so_far(finished: Sequence[Outcome], running: Sequence[Proposal]) -> list[Proposal]:
    """Every run that has been asked for, whether it has ended or is still running."""
    return [*(Proposal(run.group, run.learning_rate, run.seed, run.setting) for run in finished), *running]

"""What a search policy is given and what it answers with; plain values, no Ray, no torch."""

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
        setting: values of the study's further dimensions; None where they are to be sampled.
    """

    group: Group
    learning_rate: float
    seed: int
    setting: Setting | None = ()

    def ended(self, status: str, score: float, train_score: float) -> Outcome:
        """The run's outcome."""
        assert self.setting is not None, "a run that ended has had its setting sampled"
        return Outcome(self.group, self.learning_rate, self.seed, status, score, train_score, self.setting)


class NoProposal(Enum):
    """What a policy says when it proposes nothing."""

    WAIT = "wait for what is running"
    OVER = "nothing is left to ask"


@dataclass(frozen=True)
class Plan:
    """What a policy needs to know of a study.

    Attributes:
        design: what is compared, and how finely.
        first: the learning rate where tuning starts.
        seeds: baseline runs behind A0, besides the tuning run.
        seeds_near_margin: most runs at one learning rate elsewhere.
        max_runs: all runs together.
        epochs: of each run.
        grace_epochs: by group, epochs before which no run is stopped: the warm-up, at least 1.
        dimensions: by name, what is searched besides the learning rate.
        own: by technique, its own values of those dimensions.
        sampled_settings: how many settings to try in each group besides its own.
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
    """Every run, however it ended or stands."""
    return [*(Proposal(run.group, run.learning_rate, run.seed, run.setting) for run in finished), *running]

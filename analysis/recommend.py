"""Which learning rate to train with at a batch size that a study did not run.

    python -m analysis.recommend cifar_resnet --batch-size 96

The edge at that batch size, if it has one, is told from the edges of the technique's other batch sizes, by every form
that the scaling law may have, in proportion to how probable it is. The learning rate is the best one of the nearest
batch size below, moved as far as the edge moves, but not above the lower end of the edge's 90 % interval.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from analysis.answer import Answer, GroupAnswer, answer
from analysis.belief import COVERED
from analysis.law_forms import POWER
from analysis.outcomes import Setting
from analysis.parser import recommend_parser
from analysis.runs import StudyRuns, load_runs, tracking_uri
from analysis.scaling_law import PowerLaw
from analysis.stored_recipe import stored_recipe
from analysis.study_design import StudyDesign
from analysis.wording import new_console, say
from trainables.errors import UserError, require
from trainables.recipe import with_values

FARTHEST = 2.0
"""No batch size is answered for that is more than this factor above the largest one with an edge."""
OTHER_FORM = 0.2
"""Where the power law is less probable than this, the edges are said to follow another form."""


class Recommendation(NamedTuple):
    """What to train with at a batch size.

    Attributes:
        technique, batch_size: what it is for.
        reference: the batch size that ran from which the learning rate is scaled.
        setting: the values of the study's further dimensions that the reference was measured with.
        learning_rate: the peak learning rate.
        lower, upper: the ends of the 90 % interval of the maximum scalable learning rate, if the batch size scales.
        score, score_lower, score_upper: the score that a run is expected to end at, and its 90 % interval.
        bar: the score that it must reach to hold.
        form: the most probable form of the law where the power law is improbable; "" otherwise.
        limit: why the batch size is undecided, where it ran and is; "" otherwise.
    """

    technique: str
    batch_size: int
    reference: int
    setting: Setting
    learning_rate: float
    lower: float
    upper: float
    score: float
    score_lower: float
    score_upper: float
    bar: float
    form: str
    limit: str


def recommend(design: StudyDesign, found: Answer, technique: str, batch_size: int) -> Recommendation:
    """The recommendation for a batch size.

    Raises:
        UserError: nothing is known of the technique's edges, or of the batch size.
    """
    require(found.baseline is not None, "study: no run of its baseline has learnt anything, so there is no edge yet")
    assert found.baseline is not None
    require(technique in found.laws, f"technique {technique!r}: must be one of {', '.join(found.laws)}")
    law = found.laws[technique]
    mine = [each for each in found.groups if each.group.technique == technique]
    having = [each for each in mine if each.scalable.finite]
    if not isinstance(law, PowerLaw):
        raise UserError(f"technique {technique}: {law}; more runs or batch sizes would give one")
    require(
        bool(having), f"technique {technique}: no batch size has an edge with both ends yet; more runs would give one"
    )
    reference = _reference(mine, having, batch_size)
    ran = next((each for each in mine if each.group.batch_size == batch_size), None)
    outside = (1 - COVERED) / 2
    lower, middle, upper = np.quantile(law.edges_at(batch_size), (outside, 0.5, 1 - outside)).tolist()
    if ran and ran.scalable.lower and ran.scalable.upper:
        lower, middle, upper = math.log2(ran.scalable.lower), ran.belief.quantile(0.5), math.log2(ran.scalable.upper)
    assert reference.best is not None
    moved = middle - reference.belief.quantile(0.5)
    low, expected, high = _scores(design, mine, batch_size)
    likely = max(law.forms, key=lambda form: law.forms[form])
    return Recommendation(
        technique=technique,
        batch_size=batch_size,
        reference=reference.group.batch_size,
        setting=reference.setting,
        learning_rate=_rounded_down(2.0 ** min(math.log2(reference.best.learning_rate) + moved, lower)),
        lower=2.0**lower,
        upper=2.0**upper,
        score=expected,
        score_lower=low,
        score_upper=high,
        bar=found.baseline.score - design.tolerance,
        form=likely if law.forms[POWER] < OTHER_FORM else "",
        limit=ran.limit if ran else "",
    )


def _rounded_down(rate: float) -> float:
    """The rate with three digits, not above itself but for an error of rounding."""
    unit = 10.0 ** (math.floor(math.log10(rate)) - 2)
    return float(f"{math.floor(rate / unit + 1e-6) * unit:.3g}")


def _reference(mine: Sequence[GroupAnswer], having: Sequence[GroupAnswer], batch_size: int) -> GroupAnswer:
    """The batch size with an edge from which a learning rate is scaled: the nearest one that is no larger.

    Raises:
        UserError: there is none, or it is too far away, or a batch size in between is known not to scale.
    """
    smallest, largest = having[0].group.batch_size, having[-1].group.batch_size
    reference = max((each for each in having if each.group.batch_size <= batch_size), key=_size, default=None)
    if reference:
        stops = [each for each in mine if _size(reference) < _size(each) <= batch_size and each.why]
        if stops:
            where = f"batch size {_size(stops[0])} does not scale ({stops[0].why})"
            raise UserError(f"batch size {batch_size}: nothing is recommended, because {where}")
        if batch_size <= FARTHEST * largest:
            return reference
    raise UserError(
        f"batch size {batch_size}: must be {smallest} to {int(FARTHEST * largest)}, told from edges at {smallest} to "
        f"{largest}; a study with other --batch-sizes would extend that"
    )


def _size(each: GroupAnswer) -> int:
    return each.group.batch_size


def _scores(design: StudyDesign, mine: Sequence[GroupAnswer], batch_size: int) -> tuple[float, float, float]:
    """The 90 % interval and the middle of the score of one run at a batch size's best rate.

    It lies on the straight line over log2 of the batch size through the two batch sizes around it, or through the two
    largest, for each of their curves; and one run varies around it.

    Returns:
        the lower end, the middle and the upper end.
    """
    trained = [each for each in mine if each.best]
    above = [each for each in trained if each.group.batch_size >= batch_size][:1]
    below = [each for each in trained if each.group.batch_size < batch_size][-2:]
    around = [*below, *above]
    first, second = around[-2:] if len(around) > 1 else around * 2
    one, two = (math.log2(each.group.batch_size) for each in (first, second))
    share = (math.log2(batch_size) - one) / (two - one) if two > one else 0.0
    low, high = (_of_best(each) for each in (first, second))
    draw = np.random.default_rng(0)
    noise = second.fit.curves.noise[:, 0] * draw.standard_t(4, len(high))
    scores = (low + share * (high[draw.permutation(len(high))] - low) + noise) * design.tolerance
    outside = (1 - COVERED) / 2
    lower, middle, upper = np.quantile(scores, (outside, 0.5, 1 - outside)).tolist()
    return lower, middle, upper


def _of_best(each: GroupAnswer) -> np.ndarray:
    """The score of a typical run at a group's best rate, for each of its curves, in tolerances, (curves,)."""
    assert each.best is not None
    return each.fit.curves.typical(np.array([math.log2(each.best.learning_rate)]), each.fit.floor)[:, 0]


def sentences(runs: StudyRuns, found: Recommendation) -> list[str]:
    """The recommendation in sentences, and the lines that set it in PyTorch, timm and Hugging Face's Trainer."""
    metric, rate, size = runs.design.metric, found.learning_rate, found.batch_size
    setting = "".join(f", {name} {value:.3g}" for name, value in found.setting)
    ends = " and ".join(map(metric.show, sorted((found.score_lower, found.score_upper), key=metric.value)))
    lines = [
        f"{found.technique} at batch size {size}: learning rate {rate:g}{setting}, scaled from batch size "
        f"{found.reference}.",
        f"A run is expected to end at {metric.show(found.score)}, between {ends} (90 %).",
    ]
    if found.score_upper < found.bar:
        lines.append(f"That is worse than {metric.show(found.bar)}, so this batch size is not expected to scale.")
    else:
        doubt = f" If it reaches {metric.show(found.bar)}, the" if found.score < found.bar else "The"
        lines.append(
            f"{doubt} maximum scalable learning rate is between {found.lower:.3g} and {found.upper:.3g} (90 %).".strip()
        )
    if found.limit:
        lines.append(f"The batch size ran and is undecided: {found.limit}.")
    if found.form:
        lines.append(f"The edges do not follow a power law; the most probable form is {found.form}.")
    return [*lines, *_set_up(runs, found)]


def _set_up(runs: StudyRuns, found: Recommendation) -> list[str]:
    """The warm-up, what else the recipe moves, and the lines that set the learning rate in three libraries."""
    rate, size = found.learning_rate, found.batch_size
    lines, warmup, epochs = [], 0.0, float(runs.frame["epoch"].max())
    passes = _passes(runs, found.technique, size)
    if runs.held_equal != "epochs":
        lines.append(
            f"For equal {runs.held_equal}, its schedule takes {epochs * passes:.3g} passes over the training set."
        )
    recipe = stored_recipe(runs.params.get(f"technique.{found.technique}", ""))
    if recipe is None:
        lines.append("Its recipe has parts that are not batchscale's, so its warm-up is not known here.")
    else:
        recipe = with_values(recipe, dict(found.setting))
        warmup = recipe.warmup.length(recipe.start(size, epochs, passes)) * passes
        if warmup:
            lines.append(f"It is warmed up for {warmup:.3g} epochs.")
        if recipe.optimizer_at(size) != recipe.optimizer:
            lines.append(f"The scaling moves the optimizer too: {recipe.optimizer_at(size)!r}.")
    steps = round(warmup * runs.design.train_samples / size)
    return [
        *lines,
        f"PyTorch:       for group in optimizer.param_groups: group['lr'] = {rate:g}   (before a scheduler is made)",
        f"timm:          --lr {rate:g} --batch-size {size} --warmup-epochs {math.ceil(warmup)}   (on one GPU)",
        f"Hugging Face:  TrainingArguments(learning_rate={rate:g}, per_device_train_batch_size={size}, "
        f"warmup_steps={steps})   (on one GPU)",
    ]


def _passes(runs: StudyRuns, technique: str, batch_size: int) -> float:
    """Passes over the training set in an epoch at a batch size: 1, or what a power law through those that ran gives."""
    if runs.held_equal == "epochs":
        return 1.0
    ran = runs.frame[runs.frame["technique"] == technique].groupby("batch_size")["passes"].mean()
    slope, level = np.polyfit(np.log2(ran.index.to_numpy(float)), np.log2(ran.to_numpy()), 1)
    return float(2.0 ** (level + slope * math.log2(batch_size)))


def main(options: argparse.Namespace) -> int:
    """Print the recommendation of every technique, or of one; the exit code is 2 where there is none."""
    console = new_console()
    told = 0
    try:
        runs = load_runs(options.study, tracking_uri(options.tracking_uri), curves=False)
        require(not runs.tables, f"study {options.study!r}: ran papers' tables the last time, which have no edges")
        found = answer(runs.design, runs.outcomes())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for technique in [options.technique] if options.technique else list(found.laws) or [runs.design.baseline.technique]:
        try:
            for line in sentences(runs, recommend(runs.design, found, technique, options.batch_size)):
                say(console, line, indent=2)
            told += 1
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
    return 0 if told else 2


if __name__ == "__main__":
    sys.exit(main(recommend_parser("python -m analysis.recommend").parse_args()))

"""Which learning rate to train with at a batch size that a study did not run.

    python -m analysis.recommend cifar_resnet --batch-size 96

The edge at that batch size is told from the edges of the technique's other batch sizes, by every form that the scaling
law may have, in proportion to how probable it is. The learning rate is the best one of the nearest batch size below,
moved as far as the edge moves, but no higher than what is scalable with 95 %.
"""

import argparse
import math
import sys
from typing import NamedTuple

import numpy as np
from rich.console import Console

from analysis.answer import Answer, GroupAnswer, answer
from analysis.belief import COVERED
from analysis.law_forms import POWER
from analysis.parser import recommend_parser
from analysis.runs import StudyRuns, load_runs, tracking_uri
from analysis.scaling_law import PowerLaw
from analysis.stored_recipe import stored_recipe
from analysis.study_design import StudyDesign
from analysis.wording import new_console, say
from trainables.errors import UserError, require

FARTHEST = 2.0
"""No batch size is answered for that is more than this factor above the largest one with an edge."""
OTHER_FORM = 0.2
"""Where the power law is less probable than this, the edges are said to follow another form."""


class Recommendation(NamedTuple):
    """What to train with at a batch size.

    Attributes:
        technique, batch_size: what it is for.
        reference: the batch size that ran from which the learning rate is scaled.
        learning_rate: the peak learning rate.
        lower, upper: the ends of the 90 % interval of the maximum scalable learning rate.
        score, score_lower, score_upper: the score that a run is expected to end at, and its 90 % interval.
        bar: the score that it must reach to hold.
        form: the most probable form of the law where the power law is improbable; "" otherwise.
    """

    technique: str
    batch_size: int
    reference: int
    learning_rate: float
    lower: float
    upper: float
    score: float
    score_lower: float
    score_upper: float
    bar: float
    form: str


def recommend(design: StudyDesign, found: Answer, technique: str, batch_size: int) -> Recommendation:
    """The recommendation for a batch size.

    Raises:
        UserError: the technique has no law, or the batch size lies outside the sizes for which it is known to hold.
    """
    require(found.baseline is not None, "study: no run of its baseline has learnt anything, so there is no edge yet")
    assert found.baseline is not None
    law = found.laws.get(technique)
    require(law is not None, f"technique {technique!r}: must be one of {', '.join(found.laws)}")
    if not isinstance(law, PowerLaw):
        raise UserError(f"technique {technique}: {law}; more runs or batch sizes would give one")
    mine = [each for each in found.groups if each.group.technique == technique]
    having = [each for each in mine if each.scalable.finite]
    _check_reach(mine, having, batch_size)
    ran = [each.belief.edges for each in having if each.group.batch_size == batch_size]
    edges = ran[0][np.isfinite(ran[0])] if ran else law.edges_at(batch_size)
    outside = (1 - COVERED) / 2
    lower, middle, upper = np.quantile(edges, (outside, 0.5, 1 - outside))
    reference = max(
        (each for each in having if each.group.batch_size <= batch_size), key=lambda each: each.group.batch_size
    )
    assert reference.best is not None
    moved = middle - reference.belief.quantile(0.5)
    rate = min(math.log2(reference.best.learning_rate) + moved, lower)
    low, expected, high = _scores(design, mine, batch_size)
    likely = max(law.forms, key=lambda form: law.forms[form])
    return Recommendation(
        technique=technique,
        batch_size=batch_size,
        reference=reference.group.batch_size,
        learning_rate=_rounded_down(2.0**rate),
        lower=float(2.0**lower),
        upper=float(2.0**upper),
        score=expected,
        score_lower=low,
        score_upper=high,
        bar=found.baseline.score - design.tolerance,
        form=likely if law.forms[POWER] < OTHER_FORM else "",
    )


def _rounded_down(rate: float) -> float:
    """The rate with three digits, not above itself."""
    unit = 10.0 ** (math.floor(math.log10(rate)) - 2)
    return float(f"{math.floor(rate / unit) * unit:.3g}")


def _check_reach(mine: list[GroupAnswer], having: list[GroupAnswer], batch_size: int) -> None:
    """Refuse a batch size at which the law is not known to hold, and say what would extend it."""
    smallest, largest = having[0].group.batch_size, having[-1].group.batch_size
    reach = int(largest * FARTHEST)
    ends = [each.group.batch_size for each in mine if each.group.batch_size > largest and each.why]
    if ends:
        reach = min(reach, ends[0] - 1)
    why = f"; {ends[0]} does not scale" if ends and batch_size >= ends[0] else ""
    require(
        smallest <= batch_size <= reach,
        f"batch size {batch_size}: must be {smallest} to {reach}, where the law is known to hold{why}; a study with "
        f"--batch-sizes that has {batch_size} would tell",
    )


def _scores(design: StudyDesign, mine: list[GroupAnswer], batch_size: int) -> tuple[float, float, float]:
    """The 90 % interval and the middle of the score of one run at a batch size's best rate.

    It lies on the straight line over log2 of the batch size through the two batch sizes around it, or through the two
    largest, for each of their curves; and one run varies around it.
    """
    trained = [each for each in mine if each.best]
    above = [each for each in trained if each.group.batch_size >= batch_size][:1]
    around = [*[each for each in trained if each not in above and each.group.batch_size < batch_size][-2:], *above][-2:]
    (first, second) = around if len(around) == 2 else (around[0], around[0])
    one, two = (math.log2(each.group.batch_size) for each in (first, second))
    share = (math.log2(batch_size) - one) / (two - one) if two > one else 0.0
    low, high = (_of_best(each) for each in (first, second))
    draw = np.random.default_rng(0)
    noise = second.fit.curves.noise[:, 0] * draw.standard_t(4, len(high))
    scores = (low + share * (high[draw.permutation(len(high))] - low) + noise) * design.tolerance
    outside = (1 - COVERED) / 2
    found = np.quantile(scores, (outside, 0.5, 1 - outside))
    return float(found[0]), float(found[1]), float(found[2])


def _of_best(each: GroupAnswer) -> np.ndarray:
    """The score of a typical run at a group's best rate, for each of its curves, in tolerances, (curves,)."""
    assert each.best is not None
    return each.fit.curves.typical(np.array([math.log2(each.best.learning_rate)]), each.fit.floor)[:, 0]


def sentences(runs: StudyRuns, found: Recommendation) -> list[str]:
    """The recommendation in sentences, and the lines that set it in PyTorch, timm and Hugging Face's Trainer."""
    metric, design = runs.design.metric, runs.design
    rate, size = found.learning_rate, found.batch_size
    short = ""
    if found.score < found.bar:
        likely = "will" if found.score_upper < found.bar else "may"
        short = f"; it {likely} fall short of {metric.show(found.bar)}, which this batch size must reach to scale"
    lines = [
        f"{found.technique} at batch size {size}: learning rate {rate:g}, scaled from batch size {found.reference}.",
        f"The maximum scalable learning rate is expected between {found.lower:.3g} and {found.upper:.3g} (90 %).",
        f"A run is expected to end at {metric.show(found.score)}, between {metric.show(found.score_lower)} and "
        f"{metric.show(found.score_upper)} (90 %){short}.",
    ]
    if found.form:
        lines.append(f"The edges do not follow a power law; most likely they follow the form {found.form!r}.")
    epochs = float(runs.frame["epoch"].max())
    recipe = stored_recipe(runs.params.get(f"technique.{found.technique}", ""))
    warmup = recipe.warmup.length(recipe.start(size, epochs)) if recipe else None
    if warmup is None:
        lines.append("Its warm-up is a recipe's of one's own, which is not known here.")
        warmup = 0.0
    elif warmup:
        lines.append(f"It is warmed up for {warmup:g} epochs.")
    steps = round(warmup * design.train_samples / size)
    return [
        *lines,
        f"PyTorch:       for group in optimizer.param_groups: group['lr'] = {rate:g}",
        f"timm:          --lr {rate:g} --batch-size {size} --warmup-epochs {warmup:g}   (batch size of all GPUs)",
        f"Hugging Face:  TrainingArguments(learning_rate={rate:g}, per_device_train_batch_size={size}, "
        f"warmup_steps={steps})   (on one GPU)",
    ]


def main(options: argparse.Namespace, console: Console | None = None) -> int:
    """Print the recommendation of every technique, or of one; the exit code."""
    console = console or new_console()
    try:
        runs = load_runs(options.study, tracking_uri(options.tracking_uri))
        found = answer(runs.design, runs.outcomes())
        techniques = [options.technique] if options.technique else list(found.laws) or [runs.design.baseline.technique]
        for technique in techniques:
            for line in sentences(runs, recommend(runs.design, found, technique, options.batch_size)):
                say(console, line, indent=2)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(recommend_parser("python -m analysis.recommend").parse_args()))

"""The picture of the answer: what was measured at every batch size, and the edges over batch size."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("agg")
matplotlib.rcParams["svg.fonttype"] = "none"  # text stays text, so that it can be searched and read aloud

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from analysis.answer import Answer, GroupAnswer
from analysis.looks import BLACK, BLUE, GREEN, GREY, SHADE, TOLERANCES_BELOW, VERMILLION
from analysis.outcomes import Outcome
from analysis.scaling_law import PowerLaw
from analysis.study_design import StudyDesign
from analysis.verdict import Verdict
from trainables.history import DIVERGED

MARKS = {Verdict.HOLDS: ("o", GREEN), Verdict.FAILS: ("s", VERMILLION), Verdict.UNDECIDED: ("D", GREY)}
"""The mark of a run, by the verdict on its learning rate."""
DIVERGED_MARK, BEYOND_MARK, GIVEN_UP_MARK, NONE_MARK = "X", "v", "P", "x"
RULE_STYLES = ((0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)), (0, (3, 1, 1, 1, 1, 1)))
BAND_POINTS, CURVE_POINTS = 40, 80
VALUES = 6
"""At the most so many values are written at the score axis where it is logarithmic."""


def draw(design: StudyDesign, answer: Answer, outcomes: Sequence[Outcome], title: str, path: Path) -> None:
    """Write the picture as PNG, and beside it as SVG.

    There is a row for each technique. It has a panel for each batch size, with the score of every run over its learning
    rate, the mean and the spread at each rate, the bar that a run must reach, and the interval of the edge; and a last
    panel with the edges over batch size, the rules and the fitted law.

    Args:
        design: what the study compares.
        answer: what it found; with a baseline.
        outcomes: of every run.
        title: of the picture, one line.
        path: of the PNG.
    """
    assert answer.baseline is not None
    techniques = list(dict.fromkeys(group.technique for group in design.groups))
    sizes = sorted({group.batch_size for group in design.groups})
    figure, panels = plt.subplots(
        len(techniques),
        len(sizes) + 1,
        figsize=(3.0 * len(sizes) + 4.4, 3.0 * len(techniques) + 1.4),
        squeeze=False,
        layout="constrained",
        width_ratios=[*(1.0 for _ in sizes), 1.4],
    )
    for line, technique in zip(panels, techniques, strict=True):
        mine = [each for each in answer.groups if each.group.technique == technique]
        for panel, each in zip(line, mine, strict=False):
            runs = [outcome for outcome in outcomes if outcome.group == each.group and outcome.is_evidence]
            _scores(panel, design, answer, each, runs)
        for panel in line[len(mine) : -1]:
            panel.set_axis_off()
        line[0].set_ylabel(f"{technique}\n{design.metric.name.replace('_', ' ')}")
        _edges(line[-1], design, answer, mine)
    _legend(figure, panels)
    figure.suptitle(title)
    for target in (path, path.with_suffix(".svg")):
        figure.savefig(target, dpi=130)
    plt.close(figure)


def _scores(axes: Axes, design: StudyDesign, answer: Answer, each: GroupAnswer, runs: Sequence[Outcome]) -> None:
    """The scores of one group's runs over the learning rate."""
    assert answer.baseline is not None
    metric, reference = design.metric, answer.baseline.score
    bar, floor = reference - design.tolerance, reference - TOLERANCES_BELOW * design.tolerance
    runs = [run for run in runs if run.setting == each.setting or not each.setting]
    for run in runs:
        mark, colour = MARKS[each.verdicts[run.learning_rate]]
        label = f"a run; its rate {each.verdicts[run.learning_rate].value}"
        if run.status == DIVERGED:
            mark, colour, label = DIVERGED_MARK, BLACK, "a run that diverged"
        elif run.futile:
            mark, colour, label = GIVEN_UP_MARK, BLACK, "a run that was given up"
        elif run.score < floor:
            mark, colour, label = BEYOND_MARK, BLACK, "a run beyond the axis"
        value = metric.value(max(run.score, floor))
        axes.plot(run.learning_rate, value, mark, color=colour, ms=5.5, mec=BLACK, mew=0.6, zorder=4, label=label)
    for rate in each.verdicts:
        there = [run for run in runs if run.learning_rate == rate]
        scores = [run.score for run in there if run.status != DIVERGED and not run.futile]
        if len(scores) > 1 and len(scores) == len(there) and np.mean(scores) > floor:
            middle, spread = float(np.mean(scores)), float(np.std(scores, ddof=1))
            ends = [metric.value(middle + sign * spread) for sign in (-1, 1)]
            axes.plot([rate] * 2, ends, "-", color=BLACK, lw=1.0, zorder=3, label="mean and spread")
            axes.plot(rate, metric.value(middle), "_", color=BLACK, ms=9, zorder=3)
    trained = [run.learning_rate for run in runs if run.status != DIVERGED]
    if trained and each.best:
        rates = np.geomspace(min(trained), max(run.learning_rate for run in runs), CURVE_POINTS)
        fitted = np.median(each.fit.curves.typical(np.log2(rates), 0.0), axis=0) * design.tolerance
        values = [metric.value(max(score, floor)) for score in fitted]
        axes.plot(rates, values, color=BLACK, lw=1.0, alpha=0.6, zorder=2, label="typical run, fitted")
    axes.axhline(metric.value(reference), color=BLUE, lw=1.0, ls=(0, (1, 1.5)), zorder=2, label="A0")
    axes.axhline(metric.value(bar), color=BLUE, lw=1.3, zorder=2, label="A0 - tolerance")
    low, high = design.learning_rates
    if each.scalable.lower is not None:
        end = each.scalable.upper or high * 1.3
        axes.axvspan(each.scalable.lower, end, color=BLUE, alpha=SHADE, lw=0, zorder=1, label="edge, 90 % interval")
        for limit in filter(None, (each.scalable.lower, each.scalable.upper)):
            axes.axvline(limit, color=BLUE, lw=0.8, zorder=1)
    axes.set_xscale("log", base=2)
    axes.set_xlim(low / 1.3, high * 1.3)
    if metric.lower_is_better:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(MaxNLocator(VALUES))  # powers of ten may all lie outside
        axes.yaxis.set_minor_locator(NullLocator())
    ceiling = max([reference + design.tolerance, *(run.score + design.tolerance / 2 for run in runs)])
    axes.set_ylim(*sorted((metric.value(floor - design.tolerance / 2), metric.value(ceiling))))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.2g}"))
    points = metric.unit == "points"
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}" if points else f"{value:.3g}"))
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25, lw=0.6)
    axes.set_xlabel("peak learning rate", fontsize=9)
    flags = f": {', '.join(each.scalable.flags)}" if each.scalable.flags else ""
    axes.set_title(f"batch size {each.group.batch_size}{flags}", fontsize=10)


def _edges(axes: Axes, design: StudyDesign, answer: Answer, groups: Sequence[GroupAnswer]) -> None:
    """The edges of a technique over batch size, the rules from the baseline on, and the law with its band."""
    assert answer.baseline is not None
    sizes = [each.group.batch_size for each in groups]
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    base = answer.baseline.learning_rate
    for rule, style in zip(design.rules, RULE_STYLES, strict=False):
        rates = [base * design.rules[rule][design.groups.index(each.group)] for each in groups]
        axes.plot(sizes, rates, color=GREY, ls=style, lw=1.3, label=f"{rule.replace('_', ' ')} rule", zorder=2)
    law = answer.laws[groups[0].group.technique]
    if isinstance(law, PowerLaw):
        scaling = [each.group.batch_size for each in groups if each.scalable.lower is not None]
        at = np.geomspace(min(scaling), max(scaling), BAND_POINTS)
        axes.plot(at, law.factor * at**law.exponent, color=VERMILLION, lw=1.5, label="fitted law", zorder=2)
        lower, upper = law.band(at)
        axes.fill_between(at, lower, upper, color=VERMILLION, alpha=SHADE, lw=0, label="law, 90 % band", zorder=1)
        for limits in (lower, upper):
            axes.plot(at, limits, color=VERMILLION, lw=0.8, zorder=1)
    for each in groups:
        for edge, shift, colour, width, label in (
            (each.scalable, 1 / 1.07, BLUE, 5, "scalable edge"),
            (each.competitive, 1.07, BLACK, 1.5, "competitive edge"),
        ):
            if "none" in edge.flags:
                lowest = design.learning_rates[0]
                axes.plot(each.group.batch_size, lowest, NONE_MARK, color=colour, ms=8, mew=2, label=f"no {label}")
            if edge.lower is None:
                continue
            x, end = each.group.batch_size * shift, edge.upper or design.learning_rates[1] * 1.3
            axes.plot([x, x], [edge.lower, end], color=colour, lw=width, solid_capstyle="butt", label=label, zorder=3)
            if edge.upper is None:
                axes.plot(x, end, "^", color=colour, ms=7, zorder=3, label=f"{label}, open above")
    axes.set_xlim(min(sizes) / 1.5, max(sizes) * 1.5)
    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_minor_locator(NullLocator())
    for axis, form in ((axes.xaxis, "g"), (axes.yaxis, ".3g")):
        axis.set_major_formatter(FuncFormatter(lambda value, _, form=form: format(value, form)))
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25, lw=0.6)
    axes.set_xlabel("batch size", fontsize=9)
    axes.set_ylabel("peak learning rate", fontsize=9)
    exponent = f": exponent {law.exponent:.2f} [{law.lower:.2f}, {law.upper:.2f}]" if isinstance(law, PowerLaw) else ""
    axes.set_title(f"edges{exponent}", fontsize=10)


def _legend(figure: plt.Figure, panels: np.ndarray) -> None:
    """One legend for all panels."""
    handles: dict[str, object] = {}
    for panel in panels.flat:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=6, frameon=False, fontsize=8.5)

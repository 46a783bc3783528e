"""The picture of the answer: learning rate over batch size, both on logarithmic axes."""

from pathlib import Path

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from analysis.answer import Answer, GroupAnswer
from analysis.scaling_law import PowerLaw
from analysis.study_design import StudyDesign
from analysis.verdict import Verdict

MARKS = {Verdict.HOLDS: ("o", "#1a7f37"), Verdict.FAILS: ("X", "#b4690e"), Verdict.UNDECIDED: ("D", "#8c959f")}
DIVERGED_MARK = ("P", "#cf222e")
MOST_COLUMNS = 4
RULE_STYLES = ((0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)), (0, (3, 1, 1, 1, 1, 1)))


def draw(design: StudyDesign, answer: Answer, title: str, path: Path) -> None:
    """Write a PNG, a panel per technique: points as marks, intervals of edges as bars, rules and the law as lines."""
    techniques = list(dict.fromkeys(group.technique for group in design.groups))
    columns = min(len(techniques), MOST_COLUMNS)
    lines = -(-len(techniques) // columns)
    size = (6.4 * columns + 2.2, 5.6 * lines)
    figure, panels = plt.subplots(lines, columns, figsize=size, sharey=True, squeeze=False, layout="constrained")
    for panel, technique in zip(panels.flat, techniques, strict=False):
        mine = [each for each in answer.groups if each.group.technique == technique]
        _panel(panel, design, answer, technique, mine)
    for panel in panels.flat[len(techniques) :]:
        panel.set_axis_off()
    for panel in panels[:, 0]:
        panel.set_ylabel("peak learning rate")
    handles: dict[str, object] = {}
    for panel in panels.flat:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure.legend(handles.values(), handles.keys(), loc="outside right center", frameon=False)
    figure.suptitle(title)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _panel(axes: Axes, design: StudyDesign, answer: Answer, technique: str, groups: list[GroupAnswer]) -> None:
    sizes = [each.group.batch_size for each in groups]
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    _rules(axes, design, answer, groups, sizes)
    for each in groups:
        _edges(axes, each)
    for each in groups:
        for point in each.points:
            verdict = each.verdicts[point.learning_rate]
            diverged = point.diverged == len(point.scores)
            mark, colour = DIVERGED_MARK if diverged else MARKS[verdict]
            label = "diverged" if diverged else verdict.value
            axes.plot(
                each.group.batch_size,
                point.learning_rate,
                mark,
                color=colour,
                ms=8,
                mec="white",
                mew=0.8,
                label=label,
                ls="",
                zorder=4,
            )
    axes.set_xlim(min(sizes) / 1.5, max(sizes) * 1.5)
    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    axes.grid(alpha=0.25, lw=0.6)
    axes.set_xlabel("batch size")
    law = answer.laws[technique]
    axes.set_title(f"{technique}: exponent {law.exponent:.2f}" if isinstance(law, PowerLaw) else technique, fontsize=11)


def _rules(axes: Axes, design: StudyDesign, answer: Answer, groups: list[GroupAnswer], sizes: list[int]) -> None:
    """Draw what each rule prescribes, starting from the baseline, and the law that was fitted to the edges."""
    assert answer.baseline is not None
    base = answer.baseline.learning_rate
    for rule, style in zip(design.rules, RULE_STYLES, strict=False):
        rates = [base * design.rules[rule][design.groups.index(each.group)] for each in groups]
        axes.plot(sizes, rates, color="#57606a", ls=style, lw=1.3, label=f"{rule.replace('_', ' ')} rule", zorder=2)
    law = answer.laws[groups[0].group.technique]
    if isinstance(law, PowerLaw):
        rates = [law.factor * size**law.exponent for size in sizes]
        axes.plot(sizes, rates, color="#0969da", lw=1.5, label="fitted law", zorder=2)


def _edges(axes: Axes, group_answer: GroupAnswer) -> None:
    """Draw the intervals of the maximum scalable (left) and the maximum competitive (right) learning rate."""
    for edge, shift, colour, label in (
        (group_answer.scalable, 1 / 1.13, "#0969da", "maximum scalable"),
        (group_answer.competitive, 1.13, "#bf8fef", "maximum competitive"),
    ):
        x = group_answer.group.batch_size * shift
        if edge.lower is None:
            continue
        if edge.upper is None:
            axes.annotate(
                "",
                (x, edge.lower * 1.7),
                (x, edge.lower),
                arrowprops={"arrowstyle": "->", "color": colour, "lw": 2},
            )
        else:
            axes.plot(
                [x, x],
                [edge.lower, edge.upper],
                color=colour,
                lw=6,
                alpha=0.45,
                label=label,
                solid_capstyle="butt",
                zorder=1,
            )

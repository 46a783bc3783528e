"""The charts: the edges over batch size, every run at every batch size, learning curves, and what batches cost.

On the page they are linked together. The picture has those that say something without a click.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import altair as alt
import numpy as np
import pandas as pd

from analysis.answer import Answer
from analysis.chart_data import ChartData, chart_data
from analysis.looks import BLACK, BLUE, GREEN, GREY, SHADE, VERMILLION
from analysis.outcomes import Group
from analysis.runs import StudyRuns
from analysis.study_design import StudyDesign

TECHNIQUES = [BLUE, GREEN, VERMILLION, "#CC79A7", "#E69F00", "#56B4E9"]
"""The colours of techniques, all of them Okabe and Ito's."""
VERDICTS = {"holds": GREEN, "fails": VERMILLION, "undecided": GREY}
HOW = {"trained": "circle", "given up": "cross", "diverged": "triangle-down"}
"""The mark of a run, by how it ended."""
PANEL, WIDE, HIGH = 200, 430, 260
"""Widths and heights in pixels."""
MARK: dict[str, Any] = {"filled": True, "size": 110, "opacity": 1.0}
"""The look of what stands where an edge has no end or there is none."""
ACROSS = 4
"""So many panels stand beside each other."""


def charts(runs: StudyRuns, found: Answer, time_to_target: pd.DataFrame) -> alt.VConcatChart:
    """All charts; a click on an interval chooses a batch size, and a click on a run its learning rate.

    Args:
        time_to_target: how soon each technique reaches the score that holds, as analysis.time_report gives it.
    """
    with _one_selection():
        parts = _parts(runs, found, time_to_target)
        return _together(alt.hconcat(*parts.edges, parts.learning), *parts.panels, *parts.cost)


def picture(runs: StudyRuns, found: Answer, time_to_target: pd.DataFrame, title: str) -> alt.VConcatChart:
    """The charts that say something without a click: the edges, what batches cost, and every run.

    Args:
        time_to_target: as in charts.
        title: one line.
    """
    with _one_selection():
        parts = _parts(runs, found, time_to_target)
        first = [*parts.edges, *parts.cost]
        whole = _together(*([alt.hconcat(*first)] if first else []), *parts.panels)
    return whole.properties(title=alt.Title(title, fontSize=15, anchor="start"), padding=12, background="white")


@contextmanager
def _one_selection() -> Iterator[None]:
    """Altair warns that panels share one selection, which they do on purpose."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Automatically deduplicated")
        yield


class Parts(NamedTuple):
    """The charts, before they are put together.

    Attributes:
        edges: over batch size; none where there is nothing to draw over it.
        learning: the learning curves.
        panels: for each technique, a panel with the runs of each batch size.
        cost: what larger batches cost; none where nothing reaches the score that holds.
    """

    edges: list[alt.LayerChart | alt.FacetChart]
    learning: alt.Chart
    panels: list[alt.ConcatChart]
    cost: list[alt.LayerChart | alt.FacetChart]


def _parts(runs: StudyRuns, found: Answer, time_to_target: pd.DataFrame) -> Parts:
    data = chart_data(runs, found)
    group = alt.selection_point(name="group", fields=["technique", "batch_size"], empty=True)
    point = alt.selection_point(name="point", fields=["technique", "batch_size", "learning_rate"], empty=False)
    score = alt.Y(
        "score:Q",
        title=runs.design.metric.name.replace("_", " "),
        scale=alt.Scale(domain=list(data.scores), nice=False, clamp=True),
    )
    panels = [
        alt.concat(
            *(
                _panel(data, runs.design, found, each.group, score, point)
                for each in found.groups
                if each.group.technique == technique
            ),
            columns=ACROSS,
        ).properties(title=technique)
        for technique in found.laws
    ]
    edges = [_edges(data, group)] if data.over_batch_sizes else []
    reached = time_to_target[np.isfinite(time_to_target["steps"])] if len(time_to_target) else time_to_target
    cost = [_cost(reached)] if len(reached) else []
    return Parts(edges, _learning(data, score, group, point), panels, cost)


def _together(*rows: alt.ConcatChart | alt.HConcatChart | alt.LayerChart | alt.FacetChart) -> alt.VConcatChart:
    """The charts, one row below the other, in one look."""
    whole = alt.vconcat(*rows).resolve_scale(color="independent", strokeDash="independent")
    return (
        whole.configure_view(stroke="#dddddd")
        .configure_axis(labelFontSize=11, titleFontSize=12)
        .configure_legend(orient="bottom", symbolOpacity=1.0)
    )


def _log(
    field: str,
    title: str,
    channel: type[Any] = alt.X,
    form: str = ".2~g",
    values: Sequence[float] | None = None,
    **scale: Any,
) -> Any:
    """A logarithmic axis, with labels at the given values or where they fit."""
    axis = alt.Axis(format=form, labelOverlap=True, values=alt.Undefined if values is None else list(values))
    scaled = alt.Scale(type="log", base=2, nice=False, **scale)
    return channel(field, type="quantitative", title=title, axis=axis, scale=scaled)


def _edges(data: ChartData, group: alt.Parameter) -> alt.LayerChart | alt.FacetChart:
    """The edges over batch size, with the rules and the laws."""
    sizes = sorted({size for frame in data.over_batch_sizes for size in frame["batch_size"]})
    colour = alt.Color("technique:N", scale=alt.Scale(range=TECHNIQUES))
    x, y = _sizes("batch_size", sizes), _log("learning_rate", "peak learning rate", alt.Y)
    layers: list[alt.Chart] = []
    if len(data.rules):
        rules = alt.Chart(data.rules).mark_line(color=GREY)
        layers.append(rules.encode(x=x, y=y, strokeDash=alt.StrokeDash("rule:N", title="rule"), detail="technique:N"))
    if len(data.laws):
        band = alt.Chart(data.laws).mark_area(opacity=SHADE, color=VERMILLION)
        layers.append(band.encode(x=x, y=_log("low", "peak learning rate", alt.Y), y2="high", detail="technique:N"))
        layers.append(alt.Chart(data.laws).mark_line(color=VERMILLION).encode(x=x, y=y, detail="technique:N"))
    if len(data.edges):
        intervals = alt.Chart(data.edges).mark_bar(width=9)
        layers.append(
            intervals.encode(
                x=_sizes("at", sizes),
                y=_log("lower", "peak learning rate", alt.Y),
                y2="upper",
                color=colour,
                opacity=alt.condition(group, alt.value(1.0), alt.value(0.25)),
                tooltip=["technique:N", "batch_size:Q", _short("lower"), _short("upper"), "flags:N"],
            ).add_params(group)
        )
    if len(data.competitive):
        thin = alt.Chart(data.competitive).mark_rule(color=BLACK, strokeWidth=1.5)
        upper = alt.Y2("upper")
        layers.append(_standing(thin, "lower", [_short("lower"), _short("upper"), "flags:N"], sizes).encode(y2=upper))
    if len(data.nowhere):
        cross = alt.Chart(data.nowhere).mark_point(shape="cross", angle=45, **MARK)
        layers.append(_standing(cross, "learning_rate", ["why:N"], sizes).encode(color=colour))
    above = pd.concat([frame[frame["open"]] for frame in (data.edges, data.competitive) if len(frame)] or [data.edges])
    if len(above):
        triangle = alt.Chart(above).mark_point(shape="triangle-up", color=BLACK, **MARK)
        layers.append(_standing(triangle, "upper", ["flags:N"], sizes))
    title = alt.Title(
        "maximum scalable learning rate, 90 % intervals",
        subtitle="thin: against the batch size's own best; triangle: open above; cross: nothing holds; band: the law",
    )
    return alt.layer(*layers).properties(width=WIDE, height=HIGH, title=title)


def _sizes(field: str, sizes: Sequence[int]) -> Any:
    """The axis of batch sizes, with a label at each."""
    return _log(field, "batch size", form=",d", values=sizes)


def _standing(mark: alt.Chart, height: str, told: list[Any], sizes: Sequence[int]) -> alt.Chart:
    """A mark at a batch size, at the height of a field."""
    return mark.encode(
        x=_sizes("at", sizes),
        y=_log(height, "peak learning rate", alt.Y),
        tooltip=["technique:N", "batch_size:Q", *told],
    )


def _cost(reached: pd.DataFrame) -> alt.LayerChart | alt.FacetChart:
    """The time/cost frontier: steps against samples to the score that holds, a point for each batch size."""
    (few, low), (many, high) = (reached[["steps", "samples"]].agg(end).to_list() for end in ("min", "max"))
    line = alt.Chart(reached).encode(
        x=_log("steps", "optimizer steps to the score that holds", form=",d", domain=[few / 1.3, many * 1.3]),
        y=_log("samples", "samples to it", alt.Y, form=",d", domain=[low / 2, high * 2]),
        order="batch_size:Q",
    )
    colour = alt.Color("technique:N", scale=alt.Scale(range=TECHNIQUES))
    told = ["technique:N", "batch_size:Q", _short("learning_rate"), "steps:Q", "samples:Q", "seconds:Q"]
    marks = line.mark_line(point=alt.OverlayMarkDef(size=70, filled=True)).encode(color=colour, tooltip=told)
    words = line.mark_text(dy=-12, fontSize=11).encode(text=alt.Text("batch_size:Q", format=",d"), color=colour)
    return alt.layer(marks, words).properties(width=WIDE, height=HIGH, title="what larger batches cost, and save")


def _short(field: str) -> alt.Tooltip:
    return alt.Tooltip(f"{field}:Q", format=".3g")


def _learning(data: ChartData, score: alt.Y, group: alt.Parameter, point: alt.Parameter) -> alt.Chart:
    """The learning curves of the runs of the chosen batch size; those of the chosen rate stand out."""
    drawn = (
        alt.Chart(data.learning)
        .mark_line(point=True)
        .encode(
            x=alt.X("epoch:Q", axis=alt.Axis(tickMinStep=1)),
            y=score.copy().scale(zero=False),
            detail=["technique:N", "batch_size:Q", "learning_rate:Q", "seed:Q"],
            color=alt.condition(point, alt.value(VERMILLION), alt.value(GREY)),
            opacity=alt.condition(point, alt.value(1.0), alt.value(0.35)),
            tooltip=["technique:N", "batch_size:Q", _short("learning_rate"), "seed:Q", _short("score")],
        )
        .properties(width=WIDE, height=HIGH, title="learning curves of what is chosen")
    )
    return drawn.transform_filter(group) if len(data.edges) else drawn


def _panel(
    data: ChartData, design: StudyDesign, found: Answer, group: Group, score: alt.Y, point: alt.Parameter
) -> alt.LayerChart | alt.FacetChart:
    """The score of every run of a group over its learning rate, the bar, and the interval of the edge."""
    assert found.baseline is not None

    def mine(frame: pd.DataFrame) -> pd.DataFrame:
        if frame.empty:
            return frame
        return frame[(frame["technique"] == group.technique) & (frame["batch_size"] == group.batch_size)]

    domain = [design.learning_rates[0] / 1.3, design.learning_rates[1] * 1.3]
    x = _log("learning_rate", "peak learning rate", domain=domain)
    levels = {"A0": found.baseline.score, "worst that holds": found.baseline.score - design.tolerance}
    bars = pd.DataFrame([{"bar": name, "score": design.metric.value(level)} for name, level in levels.items()])
    layers = [alt.Chart(bars).mark_rule(color=BLUE).encode(y=score, strokeDash=alt.StrokeDash("bar:N"))]
    if len(edges := mine(data.edges)):
        interval = alt.Chart(edges).mark_rect(opacity=SHADE, color=BLUE)
        layers.append(interval.encode(x=_log("lower", "peak learning rate", domain=domain), x2="upper"))
    if len(fitted := mine(data.fitted)):
        layers.append(alt.Chart(fitted).mark_line(color=BLACK, opacity=0.5).encode(x=x, y=score))
    if len(points := mine(data.points)):
        verdicts = alt.Scale(domain=list(VERDICTS), range=list(VERDICTS.values()))
        how = alt.Scale(domain=list(HOW), range=list(HOW.values()))
        marks = alt.Chart(points).mark_point(filled=True, stroke=BLACK, strokeWidth=0.6)
        told = ["technique:N", "batch_size:Q", _short("learning_rate"), "seed:Q", "shown:N", "how:N", "verdict:N"]
        layers.append(
            marks.encode(
                x=x,
                y=score,
                color=alt.Color("verdict:N", scale=verdicts, title="its rate"),
                shape=alt.Shape("how:N", scale=how, title="the run"),
                size=alt.condition(point, alt.value(160), alt.value(70)),
                tooltip=told,
            ).add_params(point)
        )
    return alt.layer(*layers).properties(width=PANEL, height=PANEL, title=f"batch size {group.batch_size}")

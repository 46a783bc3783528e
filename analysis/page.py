"""The page: the answer of a study as one HTML file that needs no other, with charts that are linked to each other."""

import html
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import vl_convert

from analysis.answer import Answer
from analysis.outcomes import Group
from analysis.runs import StudyRuns
from analysis.scaling_law import PowerLaw
from analysis.tables import scores
from trainables.history import DIVERGED

BLACK, BLUE, GREEN, VERMILLION, GREY = "#000000", "#0072B2", "#009E73", "#D55E00", "#767676"
"""Colours that people with any colour vision tell apart (Okabe and Ito 2008), and a grey."""
VERDICTS = {"holds": GREEN, "fails": VERMILLION, "undecided": GREY}
TOLERANCES_BELOW = 6.0
"""How far below A0 the score axis reaches, in tolerances. Runs below that are drawn at its end."""
CURVE_POINTS = 60
PANEL, WIDE, HIGH = 200, 430, 260
"""Widths and heights in pixels."""
ACROSS = 4
"""So many panels stand beside each other."""
STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #ffffff; --line: #c8c8c8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --paper: #16181c; --line: #4a4d52; } }
@media print { :root { --ink: #000000; --paper: #ffffff; } .chart, .wide { overflow: visible; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
       max-width: 1180px; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.chart, .wide { overflow-x: auto; } .chart { background: #ffffff; border-radius: 6px; padding: .5rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
code { font-size: .85rem; overflow-wrap: anywhere; }
"""


def write_page(runs: StudyRuns, found: Answer, title: str, sentences: Sequence[str], path: Path) -> None:
    """Write the page.

    Args:
        runs: of the study, with their learning curves.
        found: the answer; with a baseline.
        title: one line.
        sentences: of the answer.
        path: of the HTML file.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "Automatically deduplicated"
        )  # the panels share one selection, as they should
        spec = charts(runs, found).to_dict()
    script = f"vegaEmbed('#charts', {json.dumps(spec)}, {{actions: false, renderer: 'svg'}});".replace("</", "<\\/")
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        "<ul>" + "".join(f"<li>{html.escape(sentence)}</li>" for sentence in sentences) + "</ul>",
        "<p>Click an interval in the first chart to choose a batch size, a run in a panel to choose its rate.</p>",
        '<div class="chart"><div id="charts"></div></div>',
        "<h2>What was found at every batch size</h2>",
        f'<div class="wide">{_table(_shown(found))}</div>',
        "<h2>How it was measured</h2>",
        f'<div class="wide">{_table(pd.DataFrame(sorted(runs.params.items()), columns=["name", "value"]))}</div>',
    ]
    path.write_text(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body>{''.join(parts)}"
        f"<script>{vl_convert.javascript_bundle()}</script><script>{script}</script></body></html>"
    )


def _shown(found: Answer) -> pd.DataFrame:
    """The frontier as people read it: what is best, the intervals, and what is open."""
    frame = found.frame()
    names = [
        name
        for name in frame
        if not name.startswith(("joint", "competitive")) and not name.endswith(("_held", "_failed"))
    ]
    shown = frame[[name for name in names if frame[name].notna().any() and (frame[name] != "").any()]]
    return shown.rename(columns=lambda name: str(name).replace("_", " "))


def _table(frame: pd.DataFrame) -> str:
    return frame.to_html(index=False, border=0, na_rep="", float_format="{:.3g}".format)


def charts(runs: StudyRuns, found: Answer) -> alt.VConcatChart:
    """The edges over batch size, every run at every batch size, and learning curves."""
    group = alt.selection_point(name="group", fields=["technique", "batch_size"], empty=True)
    point = alt.selection_point(name="point", fields=["technique", "batch_size", "learning_rate"], empty=False)
    measured = frames(runs, found)
    top = alt.hconcat(_edges(measured, group), _learning(measured, runs, group, point))
    whole = alt.vconcat(top, _scores(measured, runs, found, point)).resolve_scale(
        color="independent", strokeDash="independent"
    )
    return (
        whole.configure_view(stroke="#dddddd")
        .configure_axis(labelFontSize=11, titleFontSize=12)
        .configure_legend(orient="bottom", symbolOpacity=1.0)
    )


def frames(runs: StudyRuns, found: Answer) -> dict[str, pd.DataFrame]:
    """The numbers that are drawn: runs, edges, rules, laws, fitted curves and learning curves, one row each."""
    assert found.baseline is not None
    metric, design = runs.design.metric, runs.design
    lowest = found.baseline.score - TOLERANCES_BELOW * design.tolerance
    by_group = {each.group: each for each in found.groups}
    points, edges, rules, laws, fitted, learning = [], [], [], [], [], []
    for run_id, run in zip(runs.frame["run_id"], runs.outcomes(), strict=True):
        each = by_group[run.group]
        if not run.is_evidence or run.learning_rate not in each.verdicts:
            continue
        how = "diverged" if run.status == DIVERGED else "given up" if run.futile else "trained"
        own = {**_group(run.group), "learning_rate": run.learning_rate, "seed": run.seed}
        value = metric.value(max(run.score, lowest))
        points.append(
            {
                **own,
                "score": value,
                "verdict": each.verdicts[run.learning_rate].value,
                "how": how,
                "shown": metric.show(run.score),
            }
        )
        curve = runs.curves[run_id]
        for epoch, score in zip(curve.index.tolist(), scores(curve, metric), strict=True):
            learning.append(
                {
                    **own,
                    "epoch": epoch,
                    "score": metric.value(score),
                    "run": f"{run.learning_rate:.3g}, seed {run.seed}",
                }
            )
    for each in found.groups:
        own = _group(each.group)
        edge = each.scalable
        if edge.lower is not None:
            upper = edge.upper or design.learning_rates[1]
            edges.append({**own, "lower": edge.lower, "upper": upper, "flags": ", ".join(edge.flags) or "decided"})
        for rule in design.rules:
            ratio = design.rules[rule][design.groups.index(each.group)]
            rules.append({**own, "rule": rule.replace("_", " "), "learning_rate": found.baseline.learning_rate * ratio})
        if each.points and each.best:
            rates = np.geomspace(each.points[0].learning_rate, each.points[-1].learning_rate, CURVE_POINTS)
            typical = np.median(each.fit.curves.typical(np.log2(rates), 0.0), axis=0) * design.tolerance
            fitted += [
                {**own, "learning_rate": rate, "score": metric.value(max(score, lowest))}
                for rate, score in zip(rates.tolist(), typical.tolist(), strict=True)
            ]
    for technique, law in found.laws.items():
        sizes = [each["batch_size"] for each in edges if each["technique"] == technique]
        if isinstance(law, PowerLaw) and sizes:
            at = np.geomspace(min(sizes), max(sizes), CURVE_POINTS)
            low, high = law.band(at)
            laws += [
                {
                    "technique": technique,
                    "batch_size": size,
                    "learning_rate": law.factor * size**law.exponent,
                    "low": one,
                    "high": two,
                }
                for size, one, two in zip(at.tolist(), low.tolist(), high.tolist(), strict=True)
            ]
    named = {"points": points, "edges": edges, "rules": rules, "laws": laws, "fitted": fitted, "learning": learning}
    return {name: pd.DataFrame(rows) for name, rows in named.items()}


def _group(group: Group) -> dict[str, Any]:
    return {"technique": group.technique, "batch_size": group.batch_size}


def _log(field: str, title: str, channel: type[Any] = alt.X, form: str = ".2~g", **scale: Any) -> Any:
    """A logarithmic axis."""
    axis = alt.Axis(format=form, labelOverlap=True)
    scaled = alt.Scale(type="log", base=2, nice=False, **scale)
    return channel(field, type="quantitative", title=title, axis=axis, scale=scaled)


def _edges(measured: dict[str, pd.DataFrame], group: alt.Parameter) -> alt.LayerChart:
    """The edges over batch size, with the rules and the laws."""
    x, y = _log("batch_size", "batch size", form=",d"), _log("learning_rate", "peak learning rate", alt.Y)
    layers = [
        alt.Chart(measured["rules"])
        .mark_line(color=GREY)
        .encode(x=x, y=y, strokeDash=alt.StrokeDash("rule", title="rule")),
    ]
    if len(measured["laws"]):
        law = alt.Chart(measured["laws"])
        layers += [
            law.mark_area(opacity=0.14, color=VERMILLION).encode(x=x, y=alt.Y("low:Q"), y2="high", detail="technique"),
            law.mark_line(color=VERMILLION).encode(x=x, y=y, detail="technique"),
        ]
    if len(measured["edges"]):
        shown = alt.condition(group, alt.value(1.0), alt.value(0.25))
        layers.append(
            alt.Chart(measured["edges"])
            .mark_bar(width=9)
            .encode(
                x=x,
                y=alt.Y("lower:Q"),
                y2="upper",
                color=alt.Color(
                    "technique", scale=alt.Scale(range=[BLUE, GREEN, VERMILLION, "#CC79A7", "#E69F00", "#56B4E9"])
                ),
                opacity=shown,
                tooltip=[
                    "technique",
                    "batch_size",
                    alt.Tooltip("lower", format=".3g"),
                    alt.Tooltip("upper", format=".3g"),
                    "flags",
                ],
            )
            .add_params(group)
        )
    return alt.layer(*layers).properties(
        width=WIDE, height=HIGH, title="maximum scalable learning rate, 90 % intervals"
    )


def _learning(
    measured: dict[str, pd.DataFrame], runs: StudyRuns, group: alt.Parameter, point: alt.Parameter
) -> alt.Chart:
    """The learning curves of the runs of the chosen batch size; those of the chosen rate stand out."""
    curves = measured["learning"] if len(measured["learning"]) else pd.DataFrame({"epoch": [], "score": [], "run": []})
    return (
        alt.Chart(curves)
        .mark_line(point=True)
        .encode(
            x=alt.X("epoch:Q", axis=alt.Axis(tickMinStep=1)),
            y=alt.Y("score:Q", title=runs.design.metric.name.replace("_", " "), scale=alt.Scale(zero=False)),
            detail=["technique:N", "batch_size:Q", "run:N"],
            color=alt.condition(point, alt.value(VERMILLION), alt.value(GREY)),
            opacity=alt.condition(point, alt.value(1.0), alt.value(0.35)),
            tooltip=["technique:N", "batch_size:Q", "run:N", alt.Tooltip("score:Q", format=".4g")],
        )
        .transform_filter(group)
        .properties(width=WIDE, height=HIGH, title="learning curves of what is chosen")
    )


def _scores(
    measured: dict[str, pd.DataFrame], runs: StudyRuns, found: Answer, point: alt.Parameter
) -> alt.VConcatChart:
    """A row for each technique, and in it a panel for each batch size with every run."""
    rows = []
    for technique in found.laws:
        sizes = [each.group.batch_size for each in found.groups if each.group.technique == technique]
        panels = [_panel(measured, runs, found, Group(technique, size), point) for size in sizes]
        rows.append(alt.concat(*panels, columns=ACROSS).properties(title=technique))
    return alt.vconcat(*rows)


def _panel(
    measured: dict[str, pd.DataFrame], runs: StudyRuns, found: Answer, group: Group, point: alt.Parameter
) -> alt.LayerChart:
    """The score of every run of a group over its learning rate, the bar, and the interval of the edge."""
    assert found.baseline is not None
    metric, design = runs.design.metric, runs.design

    def mine(name: str) -> pd.DataFrame:
        frame = measured[name]
        return (
            frame[(frame["technique"] == group.technique) & (frame["batch_size"] == group.batch_size)]
            if len(frame)
            else frame
        )

    low, high = design.learning_rates
    x = _log("learning_rate", "peak learning rate", domain=[low / 1.3, high * 1.3])
    a0, highest = found.baseline.score, max(run.score for run in runs.outcomes())
    ends = sorted(
        metric.value(score)
        for score in (a0 - (TOLERANCES_BELOW + 0.5) * design.tolerance, max(a0, highest) + design.tolerance / 2)
    )
    y = alt.Y("score:Q", title=metric.name.replace("_", " "), scale=alt.Scale(domain=ends, nice=False))
    bars = pd.DataFrame(
        {"score": [metric.value(a0), metric.value(a0 - design.tolerance)], "what": ["A0", "A0 - tolerance"]}
    )
    layers: list[alt.Chart] = [
        alt.Chart(bars).mark_rule(color=BLUE).encode(y=y, strokeDash=alt.StrokeDash("what", title="bar")),
    ]
    if len(mine("edges")):
        layers.append(
            alt.Chart(mine("edges")).mark_rect(opacity=0.14, color=BLUE).encode(x=alt.X("lower:Q"), x2="upper")
        )
    if len(mine("fitted")):
        layers.append(alt.Chart(mine("fitted")).mark_line(color=BLACK, opacity=0.5).encode(x=x, y=y))
    if len(mine("points")):
        layers.append(
            alt.Chart(mine("points"))
            .mark_point(filled=True, size=70, stroke=BLACK, strokeWidth=0.6)
            .encode(
                x=x,
                y=y,
                color=alt.Color(
                    "verdict", scale=alt.Scale(domain=list(VERDICTS), range=list(VERDICTS.values())), title="its rate"
                ),
                shape=alt.Shape(
                    "how",
                    scale=alt.Scale(
                        domain=["trained", "given up", "diverged"], range=["circle", "cross", "triangle-down"]
                    ),
                    title="the run",
                ),
                size=alt.condition(point, alt.value(160), alt.value(70)),
                tooltip=[
                    "technique",
                    "batch_size",
                    alt.Tooltip("learning_rate", format=".3g"),
                    "seed",
                    "shown",
                    "how",
                    "verdict",
                ],
            )
            .add_params(point)
        )
    return alt.layer(*layers).properties(width=PANEL, height=PANEL, title=f"batch size {group.batch_size}")

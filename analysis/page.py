"""The page and the picture of a study's answer: an HTML file that needs no other, with charts that are linked to each
other, and those of them that need no click as PNG and as SVG."""

import html
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd
import vl_convert

from analysis.answer import Answer
from analysis.charts import charts, picture
from analysis.looks import BLACK, BLUE, GREY
from analysis.runs import StudyRuns

PIXELS = 1.5
"""Pixels of the PNG for each unit of length of its charts."""
POLICY = "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data:"
"""The browser makes no request for the page; Vega compiles its expressions, which takes unsafe-eval."""
STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #ffffff; --line: #c8c8c8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --paper: #16181c; --line: #4a4d52; } }
@media print { :root { --ink: #000000; --paper: #ffffff; } .chart, .wide { overflow: visible; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
       max-width: 1180px; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.chart, .wide { overflow-x: auto; } .answer { font-size: 1.15rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
code { font-size: .85rem; overflow-wrap: anywhere; }
"""


SCRIPT = """
const light = JSON.stringify(%s);
const dark = matchMedia('(prefers-color-scheme: dark)');
const paper = matchMedia('print');
function draw() {
  const night = dark.matches && !paper.matches;
  const bright = %s;
  const swapped = night ? light.replace(/"#[0-9A-Fa-f]{6}"/g, each => bright[each] || each) : light;
  const axis = {gridColor: night ? '#3a3d42' : '#dddddd'};
  const look = {theme: night ? 'dark' : undefined, config: {background: 'transparent', axis: axis}};
  vegaEmbed('#charts', JSON.parse(swapped), {actions: false, renderer: 'svg', ...look});
}
dark.addEventListener('change', draw);
paper.addEventListener('change', draw);
draw();
"""
"""Draws the charts in the colours of the browser's scheme."""
BRIGHT = {BLACK: "#f2f2f2", GREY: "#a8a8a8", BLUE: "#56B4E9"}
"""By colour, the one that takes its place on a dark page, against which the first has too little contrast."""


def write_page(
    runs: StudyRuns,
    found: Answer,
    title: str,
    headline: Sequence[str],
    sentences: Sequence[str],
    time_to_target: pd.DataFrame,
    path: Path,
) -> None:
    """Write the page.

    Args:
        runs: of the study, with their learning curves.
        found: the answer; with a baseline.
        title: one line.
        headline: the answer in three sentences.
        sentences: what else was found.
        time_to_target: how soon each technique reaches the score that holds, as analysis.time_report gives it.
        path: of the HTML file.
    """
    # Inside a script element, "<" could end it.
    drawn = json.dumps(specification(charts(runs, found, time_to_target))).replace("<", "\\u003c")
    script = SCRIPT % (drawn, json.dumps({f'"{colour}"': f'"{bright}"' for colour, bright in BRIGHT.items()}))
    libraries = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # its argument may be left out
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        f'<p class="answer">{html.escape(" ".join(headline))}</p>',
        "<ul>" + "".join(f"<li>{html.escape(sentence)}</li>" for sentence in sentences) + "</ul>",
        "<p>Click an interval in the first chart to choose a batch size, a run in a panel to choose its rate.</p>",
        '<div class="chart"><div id="charts"></div></div>',
        "<h2>What was found at every batch size</h2>",
        f'<div class="wide">{_table(_shown(found))}</div>',
        *_section("What it takes to reach the score that holds", time_to_target),
        "<h2>What it cost</h2>",
        f'<div class="wide">{_table(_cost(runs))}</div>',
        "<h2>How it was measured</h2>",
        f'<div class="wide">{_table(pd.DataFrame(sorted(runs.params.items()), columns=["name", "value"]))}</div>',
    ]
    path.write_text(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body>{''.join(parts)}"
        f"<script>{libraries}</script><script>{script}</script></body></html>",
        encoding="utf-8",
    )


def _section(heading: str, frame: pd.DataFrame) -> list[str]:
    """A heading and a table; nothing where the table has no rows."""
    if frame.empty:
        return []
    return [f"<h2>{heading}</h2>", f'<div class="wide">{_table(frame.rename(columns=_words))}</div>']


def write_pictures(runs: StudyRuns, found: Answer, title: str, time_to_target: pd.DataFrame, path: Path) -> None:
    """Write the picture as PNG, and beside it as SVG; the arguments are those of write_page.

    Args:
        path: of the PNG.
    """
    drawn = specification(picture(runs, found, time_to_target, title))
    path.write_bytes(vl_convert.vegalite_to_png(drawn, scale=PIXELS))
    path.with_suffix(".svg").write_text(vl_convert.vegalite_to_svg(drawn), encoding="utf-8")


def specification(drawn: alt.VConcatChart) -> dict[str, Any]:
    """Charts as a Vega-Lite specification, however many runs there are."""
    with alt.data_transformers.enable("default", max_rows=None):
        made: dict[str, Any] = drawn.to_dict()
    return made


def _shown(found: Answer) -> pd.DataFrame:
    """The frontier as people read it: what is best, the intervals, and what is open."""
    frame = found.frame()
    names = [
        name
        for name in frame
        if not name.startswith(("joint", "competitive")) and not name.endswith(("_held", "_failed"))
    ]
    shown = frame[[name for name in names if frame[name].notna().any() and (frame[name] != "").any()]]
    return shown.rename(columns=_words)


def _words(name: object) -> str:
    return str(name).replace("_", " ")


def _cost(runs: StudyRuns) -> pd.DataFrame:
    """Per technique and batch size: how many runs with which seeds, and what they took."""
    by_group = runs.frame.groupby(["technique", "batch_size"], sort=False)
    cost = by_group.agg(
        runs=("seed", "size"),
        seeds=("seed", lambda seeds: ", ".join(map(str, sorted(set(seeds))))),
        epochs=("epoch", "sum"),
        training_seconds=("train_seconds", "sum"),
    ).reset_index()
    return cost.rename(columns=_words)


def _table(frame: pd.DataFrame) -> str:
    return frame.to_html(index=False, border=0, na_rep="", float_format=_number)


def _number(value: float) -> str:
    if math.isinf(value):
        return "never"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"

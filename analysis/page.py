"""The page: the answer of a study as one HTML file that needs no other, with charts that are linked to each other."""

import html
import json
import warnings
from collections.abc import Sequence
from pathlib import Path

import altair as alt
import pandas as pd
import vl_convert

from analysis.answer import Answer
from analysis.charts import charts
from analysis.runs import StudyRuns

POLICY = "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data:"
"""The browser makes no request for the page; Vega compiles its expressions, which takes unsafe-eval."""
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
    # Inside a script element, "<" could end it.
    drawn = json.dumps(specification(runs, found)).replace("<", "\\u003c")
    script = f"vegaEmbed('#charts', {drawn}, {{actions: false, renderer: 'svg'}});"
    libraries = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # its argument may be left out
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
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body>{''.join(parts)}"
        f"<script>{libraries}</script><script>{script}</script></body></html>",
        encoding="utf-8",
    )


def specification(runs: StudyRuns, found: Answer) -> dict[str, object]:
    """The charts as a Vega-Lite specification, however many runs there are."""
    with alt.data_transformers.enable("default", max_rows=None), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Automatically deduplicated")  # the panels share one selection on purpose
        drawn: dict[str, object] = charts(runs, found).to_dict()
    return drawn


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

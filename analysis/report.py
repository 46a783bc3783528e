"""The report: the answer of a study, printed and written as a table and a picture, from the runs in MLflow alone.

These commands list what there is, and print an answer again:

    python -m analysis.report                 # list the studies in the MLflow store
    python -m analysis.report cifar_resnet    # print the answer of a study again, as far as it has run
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from rich.console import Console

from analysis.answer import Answer, answer
from analysis.compare_report import report_comparison
from analysis.conclusions import conclusions
from analysis.edge import SAFE_RUNS
from analysis.edge_tables import edge_table, further_table, rule_table
from analysis.headline import headline
from analysis.page import write_page, write_pictures
from analysis.parser import report_parser
from analysis.results_folder import check_writable
from analysis.runs import StudyRuns, load_runs, shown, stored_studies, tracking_uri
from analysis.study_design import StudyDesign
from analysis.tables_report import report_tables
from analysis.text_table import text_table
from analysis.time_report import TimeToTarget, time_frame, time_sentences, time_table, times
from analysis.uplift_report import comparisons
from analysis.wording import new_console, say
from trainables.errors import UserError

HEADLINE = 3
"""How many sentences come first."""


class Files(NamedTuple):
    """The files that the report wrote: the table, the picture as PNG and as SVG, the page, where there was one, and the
    table of times to the score that holds.

    Where papers' tables were run, the picture is the folder of their figures.
    """

    table: Path
    picture: Path | None = None
    drawing: Path | None = None
    page: Path | None = None
    times: Path | None = None


class Report(NamedTuple):
    """The answer of a study, and the files that hold it.

    Attributes:
        answer: what the study found; None where papers' tables were run.
        sentences: the answer in sentences; none where papers' tables were run or nothing could be judged.
        frame: the table that was written: one row per technique and batch size, or per row of a paper's table.
        files: the paths of the table and the pictures.
    """

    answer: Answer | None
    sentences: list[str]
    frame: pd.DataFrame
    files: Files


def report(runs: StudyRuns, folder: Path, console: Console) -> Report:
    """Print the answer, and write frontier.csv and time_to_target.csv, frontier.png, frontier.svg and report.html into
    the folder.

    Where papers' tables were run, report_tables prints and writes them instead.
    """
    check_writable(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if runs.tables:
        frame, table, picture = report_tables(runs, folder, console)
        return Report(None, [], frame, Files(table, picture))
    found = answer(runs.design, runs.outcomes())
    frame, table, picture = found.frame(), folder / "frontier.csv", folder / "frontier.png"
    frame.to_csv(table, index=False)
    if found.baseline is None:
        say(
            console,
            f"\n{' '.join([*caveats(runs), runs.name])}: no run of the baseline has learnt anything, so there is "
            "nothing to judge against yet.",
        )
        return Report(found, [], frame, Files(table))
    known = times(runs, found)
    sentences = [
        *_said_of(runs, headline(runs.design, found, runs.frame)),
        *conclusions(runs.design, found),
        *comparisons(runs, found),
        *time_sentences(runs, known),
    ]
    first, further = [*caveats(runs), *sentences[:HEADLINE]], sentences[HEADLINE:]
    _print(runs, found, first, further, known, console)
    spent, spent_table = time_frame(known), folder / "time_to_target.csv"
    spent.to_csv(spent_table, index=False)
    write_pictures(runs, found, title(runs), spent, picture)
    page = folder / "report.html"
    write_page(runs, found, title(runs), first, further, spent, page)
    return Report(found, sentences, frame, Files(table, picture, picture.with_suffix(".svg"), page, spent_table))


def _said_of(runs: StudyRuns, first: list[str]) -> list[str]:
    """The first sentences, with what was held equal where it is not epochs."""
    if runs.held_equal == "epochs":
        return first
    begins = first[0][0].lower() + first[0][1:]
    return [f"At equal {runs.held_equal}: {begins}", *first[1:]]


def caveats(runs: StudyRuns) -> list[str]:
    """What a reader has to know before the answer, in sentences."""
    lines = [f"Trained on a substitute: {runs.substitute}."] if runs.substitute else []
    if not runs.ended:
        lines.append(f"The study has not ended; this is what its first {len(runs.frame)} runs say.")
    if runs.incomplete:
        lines.append(f"Left out, because MLflow holds no score of them, are {runs.incomplete} of its runs.")
    return lines


def title(runs: StudyRuns) -> str:
    """A title of one line: the study, its budget, its data where that is a substitute, and its tolerance."""
    metric = runs.design.metric
    what = metric.name.replace("_", " ")
    tolerance = metric.show_difference(runs.design.tolerance)
    return f"{runs.name} ({runs.circumstances}): {what} within {tolerance} of the baseline's"


def _print(
    runs: StudyRuns,
    found: Answer,
    first: Sequence[str],
    further: Sequence[str],
    known: dict[str, TimeToTarget],
    console: Console,
) -> None:
    design, baseline = runs.design, found.baseline
    assert baseline is not None
    metric = design.metric
    say(console, "\n" + " ".join(first) + "\n")
    for line in further:
        say(console, line, indent=2)
    say(
        console,
        f"\nBaseline: {design.baseline.technique}, batch size {design.baseline.batch_size}, learning rate "
        f"{baseline.learning_rate:g}.\n"
        f"A0 = {metric.show(baseline.score)}, the score of a typical run at its best, from {baseline.runs} runs, with "
        f"a standard error of {_spread(design, baseline.error)}; one run varies by "
        f"{_spread(design, baseline.deviation)}.\n"
        f"Scalable: a typical run reaches {metric.show(baseline.score - design.tolerance)}. "
        f"Safe: nine runs in ten reach it, which takes {SAFE_RUNS} runs of a batch size to tell. "
        "Competitive: a typical run reaches the batch size's own best less the tolerance.\n"
        "Intervals are where the maximum lies with 90 % probability, read off the batch size's own runs; the "
        "technique's others say how noisy runs are and how they fail. The joint one uses their edges too. What a rule "
        "prescribes is judged by the curve through the runs.",
    )
    for technique in found.laws:
        mine = [each for each in found.groups if each.group.technique == technique]
        console.print(edge_table(design, mine, technique))
        console.print(further_table(mine))
        if design.rules:
            console.print(rule_table(design, mine))
        if technique in known:
            console.print(time_table(technique, known[technique], metric.show(known[technique].target)))


def _spread(design: StudyDesign, deviation: float) -> str:
    """A standard deviation of scores in words."""
    return f"{deviation:.2%}" if design.metric.unit else f"{deviation:.3g}"


def main(options: argparse.Namespace) -> int:
    """Print and draw what a study found, or list the studies that there are; the exit code."""
    console = new_console()
    uri = tracking_uri(options.tracking_uri)
    try:
        if options.study is None:
            _list(uri, console)
            return 0
        if options.compare:
            report_comparison(options.study, options.compare, uri, Path(options.results_dir), console)
            return 0
        runs = load_runs(options.study, uri)
        files = report(runs, Path(options.results_dir) / options.study, console).files
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print_files(files, console)
    return 0


def _list(uri: str, console: Console) -> None:
    """Print the studies in an MLflow store."""
    studies = stored_studies(uri)
    if not studies:
        say(console, f"{shown(uri)} holds no study; `python -m search_spaces` lists those that can be run.")
        return
    columns = {
        "study": [each.name for each in studies],
        "started": [f"{each.started:%Y-%m-%d %H:%M}" for each in studies],
        "status": [each.status for each in studies],
    }
    console.print(text_table(None, columns))


def print_files(files: Files, console: Console) -> None:
    """Print where the report's files are."""
    say(console, f"Table: {files.table}" + (f" and {files.times.name}" if files.times else ""))
    if files.picture:
        also = f" and {files.drawing.name}" if files.drawing else ""
        say(console, f"Picture{'s' * files.picture.is_dir()}: {files.picture}" + also)
    if files.page:
        say(console, f"Page: {files.page} (open it in a browser)")


if __name__ == "__main__":
    sys.exit(main(report_parser("python -m analysis.report").parse_args()))

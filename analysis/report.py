"""The report: the answer of a study, printed and written as a table and a picture, from the runs in MLflow alone.

These commands list what there is, and print an answer again:

    python -m analysis.report                 # list the studies in the MLflow store
    python -m analysis.report cifar_resnet    # print the answer of a study again, as far as it has run
"""

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.answer import Answer, GroupAnswer, answer
from analysis.belief import Interval
from analysis.compare import Side, compared, difference_sentences
from analysis.edge import SAFE_RUNS, Edge
from analysis.headline import headline
from analysis.page import write_page
from analysis.parser import report_parser
from analysis.picture import draw
from analysis.runs import StudyRuns, load_runs, stored_studies, tracking_uri
from analysis.scaling_law import PowerLaw
from analysis.study_design import StudyDesign
from analysis.tables_report import report_tables
from analysis.time_report import TimeToTarget, time_frame, time_sentences, time_table, times
from analysis.uplift import uplifts
from analysis.verdict import SURE, Verdict
from analysis.wording import new_console, say
from trainables.errors import UserError, require

HEADLINE = 3
"""How many sentences come first."""
NUMBERS = ("batch\nsize", "runs")
"""The headings of columns whose numbers are aligned to the right."""


class Files(NamedTuple):
    """The files that the report wrote: the table, the picture as PNG and as SVG, and the page, where there was one.

    Where papers' tables were run, the picture is the folder of their figures.
    """

    table: Path
    picture: Path | None = None
    drawing: Path | None = None
    page: Path | None = None


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
    outcomes = runs.outcomes()
    found = answer(runs.design, outcomes)
    frame, table, picture = found.frame(), folder / "frontier.csv", folder / "frontier.png"
    frame.to_csv(table, index=False)
    if found.baseline is None:
        say(
            console,
            f"\n{runs.name}: no run of the baseline has learnt anything, so there is nothing to judge against yet.",
        )
        return Report(found, [], frame, Files(table))
    known = times(runs, found)
    sentences = [
        *headline(runs.design, found, runs.frame),
        *conclusions(runs.design, found),
        *comparisons(runs, found),
        *time_sentences(runs, known),
    ]
    _print(runs, found, sentences, known, console)
    spent = time_frame(known)
    spent.to_csv(folder / "time_to_target.csv", index=False)
    draw(runs.design, found, outcomes, title(runs), picture)
    page = folder / "report.html"
    write_page(runs, found, title(runs), sentences[:HEADLINE], sentences[HEADLINE:], spent, page)
    return Report(found, sentences, frame, Files(table, picture, picture.with_suffix(".svg"), page))


def check_writable(folder: Path) -> None:
    """Refuse a results folder that cannot be made or written, and leave nothing behind.

    Raises:
        UserError: the folder cannot be written.
    """
    try:
        there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
        with TemporaryDirectory(dir=there):
            pass
    except OSError as error:
        raise UserError(f"results directory {folder}: cannot be written ({error.strerror})") from error


def title(runs: StudyRuns) -> str:
    """A title of one line: the study, its budget, its data where that is a substitute, and its tolerance."""
    metric = runs.design.metric
    what = metric.name.replace("_", " ")
    tolerance = metric.show_difference(runs.design.tolerance)
    return f"{runs.name} ({runs.circumstances}): {what} within {tolerance} of the baseline's"


def _print(
    runs: StudyRuns, found: Answer, sentences: Sequence[str], known: dict[str, TimeToTarget], console: Console
) -> None:
    design, baseline = runs.design, found.baseline
    assert baseline is not None
    metric = design.metric
    substitute = [f"Trained on a substitute: {runs.substitute}."] if runs.substitute else []
    say(console, "\n" + " ".join([*substitute, *sentences[:HEADLINE]]) + "\n")
    for line in sentences[HEADLINE:]:
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
        console.print(_edges(design, mine, technique))
        console.print(_further(mine))
        if design.rules:
            console.print(_rules(design, mine))
        if technique in known:
            console.print(time_table(technique, known[technique], metric.show(known[technique].target)))


def _spread(design: StudyDesign, deviation: float) -> str:
    """A standard deviation of scores in words."""
    return f"{deviation:.2%}" if design.metric.unit else f"{deviation:.3g}"


def _edges(design: StudyDesign, groups: Sequence[GroupAnswer], technique: str) -> Table:
    """The best rate, the edge and the safe rate of a technique at every batch size."""
    columns = {
        "batch\nsize": [str(each.group.batch_size) for each in groups],
        "runs": [str(sum(len(point.scores) for point in each.points)) for each in groups],
        "best": [
            f"{each.best.learning_rate:.3g}\n{design.metric.show(each.best.score)}" if each.best else "-"
            for each in groups
        ],
        "maximum\nscalable": [in_words(each.scalable) for each in groups],
        "safe": [_safe(each.scalable) for each in groups],
    }
    return _columns(f"\n{technique}", columns)


def _further(groups: Sequence[GroupAnswer]) -> Table:
    """The joint interval of the edge, and the edge against a batch size's own best."""
    columns = {
        "batch\nsize": [str(each.group.batch_size) for each in groups],
        "maximum scalable,\njointly": [_ends(each.joint) if each.joint else "-" for each in groups],
        "maximum\ncompetitive": [in_words(each.competitive) for each in groups],
    }
    return _columns(None, columns)


def _rules(design: StudyDesign, groups: Sequence[GroupAnswer]) -> Table:
    """What each rule prescribes, and whether it holds."""
    columns = {"batch\nsize": [str(each.group.batch_size) for each in groups]}
    for rule in design.rules:
        columns[f"{rule.replace('_', ' ')}\nrule"] = [_prescription(*each.rules[rule]) for each in groups]
    return _columns(None, columns)


def _columns(title: str | None, columns: Mapping[str, Sequence[str]]) -> Table:
    """A table of texts, the number of the batch size first. No cell is broken inside a word."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False)
    for heading in columns:
        table.add_column(heading, justify="right" if heading in NUMBERS else "left", no_wrap=True)
    for cells in zip(*columns.values(), strict=True):
        table.add_row(*map(Text, cells))
    return table


def in_words(edge: Edge) -> str:
    """An edge in words: its interval and flags."""
    flags = ", ".join(edge.flags)
    if edge.lower is None:
        return flags
    return f"{_ends((edge.lower, edge.upper))}\n{flags}".rstrip()


def _ends(interval: Interval) -> str:
    lower, upper = interval
    return f"[{lower:.3g}, {upper:.3g}]" if upper else f"at least {lower:.3g}"


def _safe(edge: Edge) -> str:
    """The safe rate in words, and how many runs failed below the edge."""
    if edge.lower is None:
        return "-"
    failed, below = edge.failed_below
    seen = f"\n{failed} of {below} runs below\nthe edge failed" if failed else ""
    return (_ends(edge.safe) if edge.safe else "not measured") + seen


def _prescription(rate: float | None, verdict: Verdict | None) -> str:
    if rate is None:
        return "outside the range"
    return f"{rate:.3g} {verdict.value if verdict else 'not run'}"


def conclusions(design: StudyDesign, found: Answer) -> list[str]:
    """The answer in sentences: how far each technique scales, why it stops, where rules break, and the exponent."""
    lines = [
        f"{each.group.technique} at batch size {each.group.batch_size}: measured with "
        + ", ".join(f"{name} {value:.3g}" for name, value in each.setting)
        + "."
        for each in found.groups
        if each.setting
    ]
    for technique in found.laws:
        mine = [each for each in found.groups if each.group.technique == technique]
        above = [each for each in mine if each.group.batch_size >= design.baseline.batch_size]
        below = [each for each in reversed(mine) if each.group.batch_size < design.baseline.batch_size]
        lines.append(f"{technique}: {_how_far(above, 'up')}.")
        if below:
            lines.append(f"{technique}: {_how_far(below, 'down')}.")
        settled = [str(each.group.batch_size) for each in mine if each.points and not each.limit]
        if settled:
            lines.append(f"{technique}: decided at batch size {', '.join(settled)}.")
        for each in mine:
            if each.limit:
                lines.append(f"{technique}: batch size {each.group.batch_size} is undecided: {each.limit}.")
        for rule in design.rules:
            breaks = found.breaks[technique, rule]
            name = rule.replace("_", " ")
            unknown = [each.group.batch_size for each in mine if each.rules[rule][1] in (None, Verdict.UNDECIDED)]
            where = f"breaks at batch size {breaks}" if breaks else "was not seen to break"
            fails = [each.group.batch_size for each in below if each.rules[rule][1] is Verdict.FAILS]
            where += f" above the baseline, and at {fails[0]} below" if fails else ""
            doubt = f" (undecided or out of range at {', '.join(map(str, unknown))})" if unknown else ""
            lines.append(f"{technique}: the {name} rule {where}{doubt}.")
        law = found.laws[technique]
        if isinstance(law, PowerLaw):
            lines.append(
                f"{technique}: maximum scalable learning rate = {law.factor:.3g} x B^{law.exponent:.2f}, exponent 90 % "
                f"interval [{law.lower:.2f}, {law.upper:.2f}], from {law.edges} edges."
            )
            forms = sorted(law.forms, key=lambda form: -law.forms[form])
            shares = ", ".join(f"{form} with {law.forms[form]:.0%}" for form in forms)
            lines.append(f"{technique}: of three forms that a law may have, these edges follow: {shares}.")
        else:
            lines.append(f"{technique}: {law}.")
    return lines


def comparisons(runs: StudyRuns, found: Answer) -> list[str]:
    """How far each technique moves the edge and the best score against the first, and what it costs, in sentences."""
    first, metric = runs.design.groups[0].technique, runs.design.metric
    lines = []
    for each in uplifts(found, runs.frame):
        said = []
        if each.factor is not None:
            interval = f"[{each.lower:.2g}, {each.upper:.2g}]"
            said.append(f"its edge is {each.factor:.2g} {interval} times as high (higher with {each.higher:.0%})")
        elif abs(each.higher - 0.5) >= SURE - 0.5:
            said.append(f"its edge is {'higher' if each.higher > 0.5 else 'lower'}")
        if each.score is not None:
            better = "better" if each.score > 0 else "worse"
            said.append(
                f"its best {metric.name.replace('_', ' ')} {metric.show_difference(round(abs(each.score), 3))} {better}"
            )
        if not math.isnan(each.cost):
            said.append(f"a sample takes {each.cost:.2g} times as long")
        if said:
            lines.append(f"{each.technique} against {first} at batch size {each.batch_size}: {', '.join(said)}.")
    return lines


def _how_far(groups: Sequence[GroupAnswer], way: str) -> str:
    """Up or down to which batch size a technique scales, where it stops, and why.

    Args:
        groups: from the baseline's batch size on, away from it.
        way: "up" or "down".
    """
    scales = [each for each in groups if each.scales]
    stops = [each for each in groups if each.why and not each.scales]
    unsure = [each.group.batch_size for each in groups if not each.scales and not each.why]
    found = "no batch size is known to scale" if way == "up" else "no smaller batch size is known to scale"
    if scales:
        last, farthest = scales[-1].group.batch_size, "largest" if way == "up" else "smallest"
        found = f"scales {way} to batch size {last}" + (f", the {farthest} tried" if scales[-1] is groups[-1] else "")
    for each in stops[:1]:
        found += f"; it does not at {each.group.batch_size} ({each.why})"
    if unsure:
        found += f"; open at {', '.join(map(str, unsure))}"
    return found


def main(options: argparse.Namespace) -> int:
    """Print and draw what a study found, or list the studies that there are; the exit code."""
    console = new_console()
    uri = tracking_uri(options.tracking_uri)
    try:
        if options.study is None:
            _list(uri, console)
            return 0
        if options.compare:
            _compare(options, uri, console)
            return 0
        runs = load_runs(options.study, uri)
        files = report(runs, Path(options.results_dir) / options.study, console).files
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print_files(files, console)
    return 0


def _compare(options: argparse.Namespace, uri: str, console: Console) -> None:
    """Print two studies side by side, and write FIRST_and_SECOND.csv."""
    require(options.study != options.compare, f"study {options.study!r}: is the same twice; give another to compare")
    folder = Path(options.results_dir)
    check_writable(folder)
    first, second = (_side(name, uri) for name in (options.study, options.compare))
    rows = compared(first, second)
    metric = first.runs.design.metric
    columns: dict[str, list[str]] = {
        "technique": list(rows["technique"]),
        "batch\nsize": [f"{size}" for size in rows["batch_size"]],
    }
    for name, side in (("first", first), ("second", second)):
        edges = rows[[f"{name}_lower", f"{name}_upper", f"{name}_flags"]].itertuples(index=False)
        columns[f"{side.runs.name}\nmaximum scalable"] = [_edge_cell(*edge) for edge in edges]
        best = rows[f"{name}_best_score"]
        columns[f"{side.runs.name}\nbest"] = [metric.show(score) if pd.notna(score) else "-" for score in best]
    columns["second / first"] = [
        f"{row.factor:.2g} [{row.factor_lower:.2g}, {row.factor_upper:.2g}]" if pd.notna(row.factor) else "-"
        for row in rows.itertuples()
    ]
    for line in difference_sentences(first, second, rows):
        say(console, line, indent=2)
    console.print(_columns(None, columns))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{first.runs.name}_and_{second.runs.name}.csv"
    rows.to_csv(path, index=False)
    say(console, f"Table: {path}")


def _edge_cell(lower: float | None, upper: float | None, flags: str) -> str:
    """An edge in words, from a row of the comparison, where a missing number may be None or NaN."""
    ends = _ends((lower, upper if pd.notna(upper) else None)) if lower is not None and pd.notna(lower) else ""
    return "\n".join(filter(None, [ends, flags]))


def _side(name: str, uri: str) -> Side:
    runs = load_runs(name, uri, curves=False)
    require(not runs.tables, f"study {name!r}: ran papers' tables the last time, which have no edges to compare")
    found = answer(runs.design, runs.outcomes())
    require(
        found.baseline is not None, f"study {name!r}: no run of its baseline has learnt anything; nothing to compare"
    )
    return Side(runs, found)


def _list(uri: str, console: Console) -> None:
    """Print the studies in an MLflow store."""
    studies = stored_studies(uri)
    if not studies:
        say(console, f"{uri} holds no study; `python -m search_spaces` lists those that can be run.")
        return
    columns = {
        "study": [each.name for each in studies],
        "started": [f"{each.started:%Y-%m-%d %H:%M}" for each in studies],
        "status": [each.status for each in studies],
    }
    console.print(_columns(None, columns))


def print_files(files: Files, console: Console) -> None:
    """Print where the report's files are."""
    say(console, f"Table: {files.table}")
    if files.picture:
        also = f" and {files.drawing.name}" if files.drawing else ""
        say(console, f"Picture{'s' * files.picture.is_dir()}: {files.picture}" + also)
    if files.page:
        say(console, f"Page: {files.page} (open it in a browser)")


if __name__ == "__main__":
    sys.exit(main(report_parser("python -m analysis.report").parse_args()))

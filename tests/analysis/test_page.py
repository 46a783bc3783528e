"""The page: its numbers, and in a browser no error and no request."""

import math
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import vl_convert

from analysis.answer import Answer, answer
from analysis.chart_data import LEARNING_ROWS, chart_data
from analysis.charts import HOW, VERDICTS, charts
from analysis.looks import BLACK, BLUE, GREEN, GREY, VERMILLION
from analysis.page import specification, write_page, write_pictures
from analysis.runs import StudyRuns
from tests.analysis.test_answer import DESIGN, OUTCOMES
from trainables.metric import Accuracy, Perplexity
from trainables.score import Quantity, Score

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
WIDTHS = {"desktop": 1280, "phone": 390}
MOST_BYTES = 1_500_000
TIMES = pd.DataFrame(
    [
        {"technique": "t", "batch_size": size, "learning_rate": 0.1, "epochs": 12.5, "steps": 1e5 / size}
        | {"samples": 1e5 if size < 256 else math.inf, "seconds": 3.0}
        for size in (32, 64, 128, 256)
    ]
).assign(steps=lambda rows: rows["steps"].where(rows["batch_size"] < 256, math.inf))
SCHEMES = {"light": 1, "dark": 0}


@pytest.fixture(scope="module")
def found() -> Answer:
    return answer(DESIGN, OUTCOMES)


@pytest.fixture(scope="module")
def runs() -> StudyRuns:
    """The constructed outcomes as they come from MLflow, each with two epochs."""
    rows = [
        {
            "run_id": f"run{number}",
            "technique": run.group.technique,
            "batch_size": run.group.batch_size,
            "learning_rate": run.learning_rate,
            "seed": run.seed,
            "status": run.status,
            "setting": (),
            **dict.fromkeys(("train_loss", "validation_loss"), 1.0),
            "train_accuracy": run.train_score,
            "validation_accuracy": run.score,
            "train_seconds": 1.0,
            "samples": 100.0,
            "epoch": 2.0,
        }
        for number, run in enumerate(OUTCOMES)
    ]
    curves = {
        row["run_id"]: pd.DataFrame(
            {
                "validation_loss": [2.0, 1.0],
                "validation_accuracy": [row["validation_accuracy"] / 2, row["validation_accuracy"]],
            },
            index=[1, 2],
        )
        for row in rows
    }
    return StudyRuns("constructed", "id", DESIGN, {"budget": "<quick>"}, pd.DataFrame(rows), (), curves)


def test_the_numbers_that_are_drawn_are_those_of_the_answer(runs: StudyRuns, found: Answer) -> None:
    drawn = chart_data(runs, found)
    judged = [run for run in OUTCOMES if run.is_evidence]
    assert len(drawn.points) == len(judged)
    assert set(drawn.points.how) == {"trained", "diverged"}
    for each in found.groups:
        mine = drawn.edges.query(f"technique == '{each.group.technique}' and batch_size == {each.group.batch_size}")
        ends = [(each.scalable.lower, each.scalable.upper)] if each.scalable.finite else []
        assert list(zip(mine.lower, mine.upper, strict=True)) == ends
    linear = drawn.rules.query("technique == 't' and rule == 'linear'")
    assert linear.learning_rate.tolist() == pytest.approx([0.1 * size / 32 for size in linear.batch_size])
    assert len(drawn.learning) == 2 * len(judged)
    assert drawn.learning.query("epoch == 2").score.tolist() == pytest.approx([run.score for run in judged])
    assert (drawn.laws.low < drawn.laws.learning_rate).all()
    assert (drawn.laws.learning_rate < drawn.laws.high).all()
    assert drawn.scores[1] > max(run.score for run in judged)


def test_the_page_needs_no_other_file_and_hides_no_markup(runs: StudyRuns, found: Answer, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    write_page(runs, found, "a <b>title</b>", ["It <i>does</i>."], ["scales & <i>more</i>"], TIMES, page)
    text = page.read_text()
    assert len(text.encode()) < MOST_BYTES
    assert "a &lt;b&gt;title&lt;/b&gt;" in text
    assert "<li>scales &amp; &lt;i&gt;more&lt;/i&gt;</li>" in text
    assert "<td>never</td>" in text
    assert '<p class="answer">It &lt;i&gt;does&lt;/i&gt;.</p>' in text
    assert "&lt;quick&gt;" in text
    assert "<td>12.5</td>" in text
    assert "default-src 'none'" in text
    without_scripts = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"(src|href)=|url\(|@import", without_scripts)


def draws(runs: StudyRuns, found: Answer) -> str:
    """The SVG that Vega draws of the page's charts; it raises where a specification means nothing."""
    return vl_convert.vegalite_to_svg(specification(charts(runs, found, TIMES)))


@pytest.mark.parametrize("metric", [Accuracy(), Perplexity(), Quantity("error", less=True)], ids=lambda each: each.name)
def test_the_picture_has_what_the_page_has_without_a_click(metric: Score, runs: StudyRuns, tmp_path: Path) -> None:
    shift = {"accuracy": 0.0, "perplexity": -5.0, "error": -1.0}[metric.name]
    outcomes = [run._replace(score=run.score + shift, train_score=run.train_score + shift) for run in OUTCOMES]
    design = replace(DESIGN, metric=metric, chance=None if metric.name != "accuracy" else DESIGN.chance)
    named = {"accuracy": "validation_accuracy", "perplexity": "validation_loss", "error": "validation_error"}
    shown = [-run.score if metric.lower_is_better else run.score for run in outcomes]
    of_metric = {named[metric.name]: shown, named[metric.name].replace("validation", "train"): shown}
    curves = {
        run_id: curve.assign(**{named[metric.name]: [value] * 2})
        for (run_id, curve), value in zip(runs.curves.items(), shown, strict=True)
    }
    study = runs._replace(design=design, frame=runs.frame.assign(**of_metric), curves=curves)
    found = answer(design, study.outcomes())
    write_pictures(study, found, "a study (quick)", TIMES, tmp_path / "frontier.png")
    assert (tmp_path / "frontier.png").read_bytes().startswith(b"\x89PNG")
    words = re.findall(r"<text[^>]*>([^<]*)</text>", (tmp_path / "frontier.svg").read_text())
    assert words.count("a study (quick)") == 1
    for each in found.groups:
        assert f"batch size {each.group.batch_size}" in words
    for label in (
        "A0",
        "worst that holds",
        "linear",
        "holds",
        "diverged",
        metric.name,
        "what larger batches cost, and save",
    ):
        assert label in words
    assert {f"{size}" for size in (32, 64, 128, 256)} <= set(words), "labels stand at the batch sizes"
    assert "learning curves of what is chosen" not in words


def test_what_has_no_edge_and_what_is_open_above_is_drawn(runs: StudyRuns, found: Answer) -> None:
    (nothing,) = (each for each in found.groups if "none" in each.scalable.flags)
    drawn = chart_data(runs, found)
    assert drawn.nowhere.to_dict("records") == [
        {**nothing.group._asdict(), "at": pytest.approx(64), "learning_rate": DESIGN.learning_rates[0]}
        | {"why": "optimisation gap"}
    ]
    assert not drawn.edges.open.any()
    held = [run for run in OUTCOMES if run.group != DESIGN.groups[-1] or run.status == "done"]
    without = runs._replace(frame=runs.frame[[run in held for run in OUTCOMES]])
    opened = answer(DESIGN, without.outcomes())
    assert opened.groups[-1].scalable.lower is not None
    assert chart_data(without, opened).edges.query("open").batch_size.tolist() == [256]
    for study, answered, is_open in ((runs, found, False), (without, opened, True)):
        layers = specification(charts(study, answered, TIMES))["vconcat"][0]["hconcat"][0]["layer"]
        marks = [layer["mark"] for layer in layers]
        assert [mark["type"] for mark in marks].count("rule") == 1, "competitive edges"
        assert sum(mark.get("shape") == "cross" for mark in marks) == 1
        assert any(mark.get("shape") == "triangle-up" for mark in marks) == is_open


def test_runs_with_another_setting_than_the_chosen_one_are_left_out(runs: StudyRuns) -> None:
    """They are judged nowhere else either."""
    design = replace(DESIGN, groups=DESIGN.groups[:1], rules={}, dimensions=("m",))
    mine = runs.frame[(runs.frame["technique"] == "t") & (runs.frame["batch_size"] == 32)]
    low, high = (("m", 0.5),), (("m", 0.9),)
    settings = [high if at else low for at in range(len(mine))]
    frame = mine.assign(setting=settings, seed=[0 if at < 2 else row for at, row in enumerate(mine["seed"])])
    frame = frame.assign(validation_accuracy=[0.5, *mine["validation_accuracy"].iloc[1:]])
    study = runs._replace(design=design, frame=frame)
    drawn = chart_data(study, answer(design, study.outcomes())).points
    assert len(drawn) == len(mine) - 1


def luminance(colour: str) -> float:
    """Relative luminance as the Web Content Accessibility Guidelines 2.1 define it."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * channel for weight, channel in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("colour", [BLACK, BLUE, GREEN, VERMILLION, GREY])
def test_every_colour_stands_out_from_white(colour: str) -> None:
    assert 1.05 / (luminance(colour) + 0.05) >= 3


def test_verdicts_differ_in_colour_and_endings_in_shape() -> None:
    assert len(set(VERDICTS.values())) == len(set(HOW.values())) == 3


def test_many_long_runs_are_thinned_out(runs: StudyRuns, found: Answer) -> None:
    long = {
        run_id: pd.DataFrame({"validation_loss": [1.0] * 501, "validation_accuracy": [0.5] * 501}, index=range(1, 502))
        for run_id in runs.curves
    }
    many = runs._replace(curves=long)
    learning = chart_data(many, found).learning
    assert len(learning) <= 1.2 * LEARNING_ROWS
    assert set(learning.groupby(["technique", "batch_size", "learning_rate", "seed"]).epoch.max()) == {501}
    assert "batch size 256" in draws(many, found)


def test_a_study_without_edges_and_one_without_rules_are_drawn(runs: StudyRuns, found: Answer) -> None:
    assert "batch size 256" in draws(runs._replace(design=replace(DESIGN, rules={})), found)
    first = {run_id for run_id, run in zip(runs.frame["run_id"], OUTCOMES, strict=True) if run.learning_rate < 0.12}
    only = runs._replace(
        design=replace(DESIGN, groups=DESIGN.groups[:1], rules={}),
        frame=runs.frame[
            runs.frame["run_id"].isin(first) & (runs.frame["batch_size"] == 32) & (runs.frame["technique"] == "t")
        ],
    )
    noisy = only.frame.assign(validation_accuracy=[0.9, 0.5, 0.1, 0.8] * 2 + [0.3] * (len(only.frame) - 8))
    open_study = only._replace(frame=noisy)
    answered = answer(open_study.design, open_study.outcomes())
    assert chart_data(open_study, answered).edges.empty
    assert "batch size 32" in draws(open_study, answered)


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_a_browser_draws_it_without_an_error_or_a_request(
    runs: StudyRuns, found: Answer, tmp_path: Path, width: int, scheme: int
) -> None:
    """The page forbids requests, so one would be an error on the console. Where the page is dark, marks are bright."""
    page = tmp_path / "report.html"
    write_page(runs, found, "title", [], ["<!--<script>"], TIMES, page)
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--virtual-time-budget=10000"]
    own = [f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900"]
    own.append(f"--blink-settings=preferredColorScheme={scheme}")
    command = [str(CHROMIUM), *options, *own, "--dump-dom", f"file://{page}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in done.stderr
    assert len(re.findall(r'<svg[^>]*class="marks"', done.stdout)) == 1
    assert done.stdout.count("batch size 256") >= 1
    drawn = done.stdout.rpartition('class="marks"')[2]
    assert ('stroke="#000000"' in drawn) == (scheme == SCHEMES["light"])
    assert ('stroke="#f2f2f2"' in drawn) == (scheme == SCHEMES["dark"])

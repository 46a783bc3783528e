"""The page: its numbers, and in a browser no error and no request."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from analysis.answer import Answer, answer
from analysis.page import frames, write_page
from analysis.runs import StudyRuns
from tests.analysis.test_answer import DESIGN, OUTCOMES

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
WIDTHS = {"desktop": 1280, "phone": 390}
MOST_BYTES = 1_500_000


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
    drawn = frames(runs, found)
    judged = [run for run in OUTCOMES if run.is_evidence]
    assert len(drawn["points"]) == len(judged)
    assert set(drawn["points"].how) == {"trained", "diverged"}
    for each in found.groups:
        mine = drawn["edges"].query(f"technique == '{each.group.technique}' and batch_size == {each.group.batch_size}")
        ends = [(each.scalable.lower, each.scalable.upper)] if each.scalable.finite else []
        assert list(zip(mine.lower, mine.upper, strict=True)) == ends
    linear = drawn["rules"].query("technique == 't' and rule == 'linear'")
    assert linear.learning_rate.tolist() == pytest.approx([0.1 * size / 32 for size in linear.batch_size])
    learning = drawn["learning"]
    assert len(learning) == 2 * len(judged)
    assert learning.query("epoch == 2").score.tolist() == pytest.approx([run.score for run in judged])
    law = drawn["laws"]
    assert (law.low < law.learning_rate).all()
    assert (law.learning_rate < law.high).all()


def test_the_page_needs_no_other_file_and_hides_no_markup(runs: StudyRuns, found: Answer, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    write_page(runs, found, "a <b>title</b>", ["scales & <i>more</i>"], page)
    text = page.read_text()
    assert len(text.encode()) < MOST_BYTES
    assert "a &lt;b&gt;title&lt;/b&gt;" in text
    assert "<li>scales &amp; &lt;i&gt;more&lt;/i&gt;</li>" in text
    assert "&lt;quick&gt;" in text
    without_scripts = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"(src|href)=|url\(|@import", without_scripts)


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_a_browser_draws_it_without_an_error_or_a_request(
    runs: StudyRuns, found: Answer, tmp_path: Path, width: int
) -> None:
    page, log = tmp_path / "report.html", tmp_path / "requests.json"
    write_page(runs, found, "title", ["sentence"], page)
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--virtual-time-budget=10000"]
    own = [f"--user-data-dir={tmp_path / 'profile'}", f"--log-net-log={log}", f"--window-size={width},900"]
    command = [str(CHROMIUM), *options, *own, "--dump-dom", f"file://{page}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in done.stderr
    assert len(re.findall(r'<svg[^>]*class="marks"', done.stdout)) == 1
    assert done.stdout.count("batch size 256") >= 1
    requested = set(re.findall(r'"url":"(https?://[^"/]+)', log.read_text()))
    assert not {url for url in requested if "google" not in url and "gvt" not in url}, "the browser's own aside"


def test_a_study_whose_every_group_is_open_has_a_page_too(runs: StudyRuns, tmp_path: Path) -> None:
    few = [run for run in OUTCOMES if run.group.batch_size == 32][:4]
    design = replace(DESIGN, groups=DESIGN.groups[:1], rules={"linear": (1.0,)})
    frame = runs.frame[runs.frame["run_id"].isin([f"run{number}" for number, run in enumerate(OUTCOMES) if run in few])]
    found = answer(design, few)
    write_page(runs._replace(design=design, frame=frame), found, "title", [], tmp_path / "report.html")
    assert (tmp_path / "report.html").stat().st_size > 0

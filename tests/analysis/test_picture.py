"""The picture: what it shows can be told apart, and is there, as PNG and as SVG."""

import re
from pathlib import Path

import matplotlib.colors
import pytest

from analysis.answer import answer
from analysis.outcomes import Group, Outcome
from analysis.picture import BLACK, BLUE, GREEN, GREY, MARKS, VERMILLION, draw
from analysis.study_design import StudyDesign
from trainables.metric import Accuracy, Perplexity
from trainables.score import Quantity, Score

GROUPS = tuple(Group(technique, size) for technique in ("plain", "warm") for size in (16, 64, 256))


def outcomes(metric: Score) -> list[Outcome]:
    """Edges between 0.4 and 0.8 at every batch size, seeds at the baseline, a run that diverged at 3.2."""
    shift = {"accuracy": 0.0, "perplexity": -5.0, "error": 3.0}[metric.name]
    runs = [Outcome(GROUPS[0], 0.1, seed, "done", 0.90 + shift + 0.001 * seed, 0.9) for seed in range(4)]
    for group in GROUPS:
        for rate, score in ((0.2, 0.90), (0.4, 0.899), (0.8, 0.80), (1.6, 0.3)):
            runs += [Outcome(group, rate, seed, "done", score + shift - 0.001 * seed, 0.9) for seed in (1, 2)]
        runs.append(Outcome(group, 3.2, 1, "diverged", 0.1 + shift, 0.1))
    return runs


def luminance(colour: str) -> float:
    """Relative luminance as the Web Content Accessibility Guidelines 2.1 define it."""
    channels = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in matplotlib.colors.to_rgb(colour)]
    return sum(weight * channel for weight, channel in zip((0.2126, 0.7152, 0.0722), channels, strict=True))


@pytest.mark.parametrize("colour", [BLACK, BLUE, GREEN, VERMILLION, GREY])
def test_every_colour_stands_out_from_white(colour: str) -> None:
    assert 1.05 / (luminance(colour) + 0.05) >= 3


def test_verdicts_differ_in_shape_as_well_as_in_colour() -> None:
    shapes, colours = zip(*MARKS.values(), strict=True)
    assert len(set(shapes)) == len(set(colours)) == 3


@pytest.mark.parametrize("metric", [Accuracy(), Perplexity(), Quantity("error", less=True)], ids=lambda each: each.name)
def test_everything_measured_is_in_the_picture(metric: Score, tmp_path: Path) -> None:
    rules = {"linear": tuple(group.batch_size / 16 for group in GROUPS)}
    design = StudyDesign(GROUPS, GROUPS[0], (0.05, 6.4), 0.02, 1.5, 10_000, (), rules, metric, chance=None)
    runs = outcomes(metric)
    found = answer(design, runs)
    draw(design, found, runs, "a study (quick)", tmp_path / "frontier.png")
    assert (tmp_path / "frontier.png").read_bytes().startswith(b"\x89PNG")
    picture = (tmp_path / "frontier.svg").read_text()
    words = re.findall(r"<text[^>]*>([^<]*)</text>", picture)
    for size in (16, 64, 256):
        assert sum(word.startswith(f"batch size {size}") for word in words) == 2, "one panel for each technique"
    for label in (
        "A0",
        "A0 - tolerance",
        "edge, 90 % interval",
        "scalable edge",
        "linear rule",
        "mean and spread",
        "a run that diverged",
    ):
        assert words.count(label) == 1, f"{label}: one legend for all panels"
    assert words.count("a study (quick)") == 1
    if metric.name == "perplexity":
        written = {float(word) for word in words if re.fullmatch(r"[0-9]+\.?[0-9]*", word)} - {64.0}
        assert sum(59 <= value <= 69 for value in written) >= 3, "the score axis has values, from 59 to 69"


def test_runs_with_another_setting_than_the_chosen_one_are_left_out(tmp_path: Path) -> None:
    """They are judged nowhere else either."""
    low, high = (("m", 0.5),), (("m", 0.9),)
    design = StudyDesign(GROUPS[:1], GROUPS[0], (0.05, 6.4), 0.02, 1.5, 10_000, ("m",), {}, Accuracy())
    runs = [Outcome(GROUPS[0], 0.1, seed, "done", 0.9, 0.9, high) for seed in (0, 1, 2)]
    runs += [Outcome(GROUPS[0], 0.2, 0, "done", 0.8, 0.8, low)]
    draw(design, answer(design, runs), runs, "settings", tmp_path / "frontier.png")
    assert (tmp_path / "frontier.svg").exists()

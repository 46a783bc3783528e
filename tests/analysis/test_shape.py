"""What the curves of a technique's batch sizes have in common."""

import numpy as np

from analysis.fit import CURVES, Fit, fit
from analysis.response_curve import Frame, Run
from analysis.shape import with_shape_of

FRAME = Frame(90.0, 0.0, 6.0)
PLACES_OF_RUNS = (-3.0, -2.0, -1.0, -1.0, 0.0, 0.0)


def group(noise: float, shift: float = 0.0, failing: tuple[float, ...] = (2.0, 3.0)) -> Fit:
    """A group whose runs scatter by this much around 90, and diverge at some rates."""
    trained = [
        Run(x + shift, 90.0 + noise * (-1) ** at - 0.02 * at, 0.01, False, False) for at, x in enumerate(PLACES_OF_RUNS)
    ]
    return fit((*trained, *(Run(x + shift, 0.0, 0.01, True, False) for x in failing)), FRAME)


def noise(of: Fit) -> float:
    return float(np.median(of.curves.noise))


def onset(of: Fit) -> float:
    return float(np.median(of.curves.onset))


def dips(of: Fit) -> float:
    return float((of.curves.dip_depth > 0).mean())


def test_the_noise_is_learnt_from_the_other_batch_sizes() -> None:
    few = fit(group(0.0).runs[:2], FRAME)
    quiet, loud = (with_shape_of(few, (group(each, 1.0), group(each, 2.0))) for each in (0.03, 0.8))
    assert noise(quiet) < noise(few) < noise(loud)


def test_a_second_hump_elsewhere_makes_one_here_more_likely() -> None:
    plain = group(0.1)
    scores = {0.7: 86.0, 0.75: 86.0, 1.3: 90.0, 1.35: 90.0}
    humps = fit((*plain.runs, *(Run(x, score, 0.01, False, False) for x, score in scores.items())), FRAME)
    assert dips(humps) > 0.8
    assert dips(with_shape_of(plain, (humps, humps))) > dips(plain) > dips(with_shape_of(plain, (plain, plain)))


def test_a_sharp_end_elsewhere_sharpens_an_end_here() -> None:
    mixed = group(0.1, failing=(1.0, 2.0, 3.0, 0.5))
    held = Run(1.5, 90.0, 0.01, False, False)
    blunt = fit((*mixed.runs, held, Run(1.0, 90.0, 0.01, False, False)), FRAME)
    here = group(0.1)
    assert onset(with_shape_of(here, (blunt, blunt))) > onset(here)


def test_where_the_edge_lies_is_not_shared() -> None:
    here, far = group(0.1), group(0.1, shift=3.0)
    near = (float(np.median(each.curves.edge)) for each in (here, with_shape_of(here, (far, far))))
    assert abs(next(near) - next(near)) < 0.4


def test_without_other_runs_a_fit_stays_as_it_is() -> None:
    here, empty = group(0.1), fit((), FRAME)
    assert with_shape_of(here, ()) is here
    assert with_shape_of(here, (empty,)) is here
    assert with_shape_of(empty, (here,)) is empty
    shaped = with_shape_of(here, (group(0.3),))
    assert shaped.latents.shape[0] == CURVES
    assert shaped != here, "fits that were learnt from other runs are not the same"


def test_a_group_that_disagrees_keeps_many_of_its_curves() -> None:
    """Where the others contradict a group's own runs, less is shared than would leave a handful of curves."""
    here = group(0.8)
    among = with_shape_of(here, tuple(group(0.02, shift) for shift in (-1.0, 1.0, 2.0)))
    assert len(np.unique(among.latents[:, 0])) > 0.1 * CURVES
    assert noise(among) < noise(here)


def test_fits_that_learnt_from_other_curves_are_not_equal() -> None:
    """Equal fits have equal curves, on which what is remembered about a fit rests."""
    runs = group(0.1).runs
    one, other = (with_shape_of(fit(runs, FRAME), (fit(runs, frame),)) for frame in (FRAME, FRAME._replace(top=91.0)))
    assert one != other
    assert not np.array_equal(one.latents, other.latents)

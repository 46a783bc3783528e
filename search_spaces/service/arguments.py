"""The arguments of every study's command. This module imports nothing slow, so a refusal takes no seconds."""

import argparse
import ast
import math
import re
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from analysis.parser import Parser, module_of

DATA_DIR = "~/.cache/batchscale"
RESULTS_DIR = "results"
SEARCHES = ("frontier", "optuna", "grid")
HELD_EQUAL = ("epochs", "steps", "seconds")
SEEDS = (2, 100)
"""The fewest and the most baseline runs that A0 may be asked to be read off, at least."""
FEWEST_OTHER_RUNS = 5
"""The fewest runs that are made besides the baseline's seeds."""
HIGHEST_FIRST_SEED = 2**31 - 1
FINEST = 1.1
"""The smallest resolution, as a factor. No interval inside the range is below a factor 1.06 (analysis.belief)."""

NEGATIVE = re.compile(r"-[\d.]")
"""The beginning of a value that argparse would take for an option."""


class Outline(NamedTuple):
    """What the source of a study says before the study is imported.

    Attributes:
        question: the first line of its docstring.
        budgets: the names of its budgets, in order.
    """

    question: str
    budgets: tuple[str, ...]


def outline(path: Path) -> Outline | None:
    """The outline of a study's file; None for a file without BUDGETS."""
    tree = ast.parse(path.read_text())
    names: list[str] = []
    for node in tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AugAssign) else []
        )
        named = any(isinstance(target, ast.Name) and target.id == "BUDGETS" for target in targets)
        if named and isinstance(node, ast.Assign | ast.AugAssign) and isinstance(node.value, ast.Dict):
            names += [
                key.value for key in node.value.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)
            ]
    doc = ast.get_docstring(tree) or ""
    return Outline(doc.splitlines()[0] if doc else path.stem, tuple(names)) if names else None


def study_parser(called_as: str, question: str, name: str, budgets: Iterable[str]) -> Parser:
    """The parser of a study's command.

    Args:
        called_as: the command as the user typed it.
        question: what the study asks.
        name: of the study.
        budgets: the names that --budget may have.
    """
    parser = Parser(prog=called_as, description=question)
    add = parser.add_argument
    add("--budget", choices=list(budgets), help="size of the study (default: quick without a GPU, else standard)")
    add("--tables", action="store_true", help="run the papers' tables as they are written, instead of a search")
    add("--search", choices=SEARCHES, default="frontier", help="how to search (default: frontier)")
    add("--batch-sizes", type=batch_sizes, metavar="B,B,...", help="global batch sizes, two or more")
    add("--baseline-batch-size", type=whole(1), metavar="B", help="the one that sets A0 (default: the study's)")
    add("--held-equal", choices=HELD_EQUAL, help="what every batch size gets as much of (default: epochs)")
    add("--learning-rates", type=learning_rates, metavar="LOW,HIGH", help="range of peak learning rates")
    add("--seeds", type=whole(*SEEDS), help="baseline runs that A0 is read off, at least")
    add(
        "--first-seed",
        type=whole(0, HIGHEST_FIRST_SEED),
        help="added to the seed of every run, to repeat a study with other random draws",
    )
    add("--tolerance", type=positive, help="how far below A0 still holds; 0.01 is one percentage point")
    add("--resolution", type=resolution, help="widest interval to be content with, as a factor")
    add("--max-runs", type=whole(SEEDS[0] + FEWEST_OTHER_RUNS), help="most runs together (not with --search grid)")
    add("--workers", type=whole(1), default=1, help="data-parallel workers of each trial (default: 1)")
    add("--concurrent-trials", type=whole(1), help="trials at a time (default: what fits)")
    add("--gpus-per-worker", type=float, help="GPUs of each worker, fractions allowed (default: 1 with a GPU)")
    add("--cluster", type=Path, metavar="FILE", help="run on the cluster that `ray up FILE` has started")
    add("--data", type=Path, metavar="DIR", help="train on what lies there: a text corpus, or folders of images")
    add("--data-dir", default=DATA_DIR, help="where data sets are kept (default: %(default)s)")
    add("--tracking-uri", help="MLflow store (default: MLFLOW_TRACKING_URI, else sqlite:///mlflow.db)")
    add("--storage", metavar="URL", help="PostgreSQL that keeps the search (default: a file in the results)")
    add("--results-dir", default=RESULTS_DIR, help="where tables and pictures go (default: %(default)s)")
    add("--name", type=study_name, help=f"name of the study (default: {name}, or {name}_BUDGET_tables)")
    add("--resume", action="store_true", help="go on with the study of that name where it was stopped or killed")
    add("--dry-run", action="store_true", help="print the plan and stop")
    add("--version", action="version", version=f"batchscale {installed_version()}")
    return parser


def installed_version() -> str:
    """The version of the installed package."""
    try:
        return version("batchscale")
    except PackageNotFoundError:
        return "of a source tree that is not installed"


def parse(parser: Parser, arguments: list[str]) -> argparse.Namespace:
    """The parsed arguments; what no study can make sense of is refused.

    Raises:
        SystemExit: 0 after --help and --version, 2 after a complaint.
    """
    options = parser.parse_args(joined(arguments))
    if options.search == "grid" and options.max_runs is not None:
        parser.error(
            "--max-runs with --search grid: a grid makes all its runs; narrow it with --learning-rates, "
            "--resolution or --batch-sizes"
        )
    return options


def joined(arguments: list[str]) -> list[str]:
    """The arguments, with a value that begins with a minus joined to its option, so that it is not taken for one."""
    result: list[str] = []
    for argument in arguments:
        if NEGATIVE.match(argument) and result and result[-1].startswith("--") and "=" not in result[-1]:
            result[-1] = f"{result[-1]}={argument}"
        else:
            result.append(argument)
    return result


def check_before_import(command: list[str], folder: Path) -> None:
    """Answer --help and refuse wrong arguments of `python -m search_spaces.STUDY` before the study is imported.

    Args:
        command: the words of the command, the interpreter first.
        folder: where the studies are.
    """
    module, arguments = module_of(command)
    package, _, name = module.rpartition(".")
    path = folder / f"{name}.py"
    if package != "search_spaces" or not path.is_file():
        return
    found = outline(path)
    if found:
        parse(study_parser(f"python -m {module}", found.question, name, found.budgets), arguments)


def batch_sizes(text: str) -> tuple[int, ...]:
    """Whole numbers above 0, two or more, each once."""
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers such as 32,64,128") from error
    if len(sizes) < 2:
        raise argparse.ArgumentTypeError(f"{text!r}: must be two or more, one of them the baseline's")
    if min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: batch size {min(sizes)}: must be above 0")
    twice = sorted({size for size in sizes if sizes.count(size) > 1})
    if twice:
        raise argparse.ArgumentTypeError(f"{text!r} has {', '.join(map(str, twice))} twice; give each batch size once")
    return sizes


def learning_rates(text: str) -> tuple[float, float]:
    """Two positive, finite numbers, the lower one first."""
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a pair of numbers such as 0.01,3.2") from error
    for rate in (low, high):
        if not (rate > 0 and math.isfinite(rate)):
            raise argparse.ArgumentTypeError(f"{text!r}: learning rate {rate}: must be a positive number")
    if low >= high:
        raise argparse.ArgumentTypeError(f"{text!r}: an empty range; the lowest must be below the highest")
    return low, high


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """A parser of whole numbers from `least` to `most`."""
    accepted = f"at least {least}" if most is None else f"{least} to {most}"

    def parsed(text: str) -> int:
        try:
            value = int(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from error
        if value < least or (most is not None and value > most):
            raise argparse.ArgumentTypeError(f"{text!r}: must be {accepted}")
        return value

    return parsed


def resolution(text: str) -> float:
    """A finite factor that is not too small."""
    value = positive(text)
    if value < FINEST:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a factor of at least {FINEST:g}")
    return value


def positive(text: str) -> float:
    """A positive, finite number."""
    try:
        value = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from error
    if not (value > 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive, finite number")
    return value


def study_name(text: str) -> str:
    """A name that can be a folder's."""
    if not is_name(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no name; use letters, digits, dots, dashes and underscores, a letter or digit first"
        )
    return text


def is_name(text: str) -> bool:
    """Whether a text can be a study's name, and so the name of a folder."""
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", text) is not None

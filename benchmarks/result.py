"""What benchmarks share: the options --json and --quick, a table, and one JSON object as the last line."""

import argparse
import json
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from statistics import median
from typing import Any


def benchmark_parser(description: str | None, quick: str) -> argparse.ArgumentParser:
    """The command line of a benchmark, which --quick makes small, as `quick` says."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    parser.add_argument("--quick", action="store_true", help=quick)
    return parser


def machine() -> dict[str, Any]:
    """The machine and the library versions with which the figures were measured."""
    libraries = {name: version(name) for name in ("ray", "torch", "optuna", "mlflow")}
    return {"cpus": len(os.sched_getaffinity(0)), "python": platform.python_version(), **libraries}


def show(ratios: Mapping[str, float], raw: Mapping[str, Sequence[float]], as_json: bool) -> None:
    """Print medians of the raw seconds, then the ratios."""
    for name, seconds in raw.items():
        listed = " ".join(f"{value:.3g}" for value in seconds)
        print(f"{name:<42} median {median(seconds):8.3f}   of {len(seconds)}: {listed}")
    for name, ratio in ratios.items():
        print(f"{name:<42} {ratio:8.2f}x")
    if as_json:
        show_json(ratios, raw)


def show_json(ratios: Mapping[str, float], raw: Mapping[str, Sequence[float]]) -> None:
    """Print one JSON object, as the last line."""
    print(json.dumps({"ratios": dict(ratios), "raw": {k: list(v) for k, v in raw.items()}, "machine": machine()}))

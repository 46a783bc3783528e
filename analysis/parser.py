"""An argument parser whose complaints are one line, and the report's arguments. This module imports nothing slow."""

import argparse
import sys
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """An argument parser that complains in one line and exits with 2."""

    def error(self, message: str) -> NoReturn:
        print(f"error: {message} (see --help)", file=sys.stderr)
        sys.exit(2)


def report_parser(called_as: str) -> Parser:
    """The parser of the report's command.

    Args:
        called_as: the command as the user typed it.
    """
    parser = Parser(
        prog=called_as, description="Print and draw what a study found, compare two, or list what studies there are."
    )
    parser.add_argument("study", nargs="?", help="name of the study (default: list those in the MLflow store)")
    parser.add_argument("compare", nargs="?", metavar="OTHER", help="another study, to set beside the first")
    _add_store(parser)
    parser.add_argument(
        "--results-dir", default="results", help="where the table, the picture and the page go (default: results)"
    )
    return parser


def recommend_parser(called_as: str) -> Parser:
    """The parser of the recommendation's command.

    Args:
        called_as: the command as the user typed it.
    """
    parser = Parser(prog=called_as, description="Say which learning rate to train with at a batch size.")
    parser.add_argument("study", help="name of the study")
    parser.add_argument("--batch-size", type=_above_zero, required=True, help="the global batch size to train with")
    parser.add_argument("--technique", help="name of a technique (default: each of the study's)")
    _add_store(parser)
    return parser


def _above_zero(text: str) -> int:
    """A whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number above 0")
    return int(text)


def _add_store(parser: Parser) -> None:
    parser.add_argument("--tracking-uri", help="MLflow store (default: MLFLOW_TRACKING_URI, else sqlite:///mlflow.db)")


def module_of(command: list[str]) -> tuple[str, list[str]]:
    """The module that `python -m` runs, and its arguments; command has the interpreter's words too."""
    for at, word in enumerate(command):
        if word == "-m" and at + 1 < len(command):
            return command[at + 1], command[at + 2 :]
    return "", []

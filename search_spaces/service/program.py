"""The command `batchscale`: lists the studies, runs one, reports on one, or recommends a learning rate from one.

It imports a study only to run it.
"""

import argparse
import signal
import sys
from importlib import import_module
from pathlib import Path

from analysis.parser import recommend_parser, report_parser
from search_spaces import end_at_signals
from search_spaces.service.arguments import Outline, outline, parse, study_parser

FOLDER = Path(__file__).parent.parent
USAGE = """usage: batchscale list
       batchscale run STUDY [options]      (batchscale run STUDY --help)
       batchscale report [STUDY] [options] (batchscale report --help)
       batchscale recommend STUDY --batch-size B
       batchscale --version"""


def main() -> int:
    """Carry out the command; its exit code."""
    end_at_signals()
    command, *arguments = sys.argv[1:] or ["--help"]
    match command:
        case "list":
            print_studies()
            return 0
        case "run":
            return run(arguments)
        case "report":
            return _analyse("analysis.report", report_parser("batchscale report").parse_args(arguments))
        case "recommend":
            return _analyse("analysis.recommend", recommend_parser("batchscale recommend").parse_args(arguments))
        case "--version":
            parse(study_parser("batchscale", "", "", []), ["--version"])
        case "--help" | "-h":
            print(USAGE)
            return 0
    return refuse(f"command {command!r}: must be list, run, report or recommend")


def _analyse(module: str, options: argparse.Namespace) -> int:
    """Carry out a command of the analysis; its exit code."""
    command = import_module(module)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return int(command.main(options))


def studies() -> dict[str, Outline]:
    """The studies by name, from their sources."""
    found = {path.stem: outline(path) for path in sorted(FOLDER.glob("*.py"))}
    return {name: each for name, each in found.items() if each is not None}


def print_studies() -> None:
    """Print each study, its budgets and its question."""
    for name, each in studies().items():
        print(f"{name}  ({', '.join(each.budgets)})\n    {each.question}")
    print("\nRun one with `python -m search_spaces.STUDY` or `batchscale run STUDY`; --help names its options.")


def run(arguments: list[str]) -> int:
    """Run a study; it leaves the process itself."""
    known = studies()
    if not arguments or arguments[0] not in known:
        return refuse(f"study {arguments[0] if arguments else ''!r}: must be one of {', '.join(known)}")
    name, *rest = arguments
    called_as = f"batchscale run {name}"
    parse(study_parser(called_as, known[name].question, name, known[name].budgets), rest)
    sys.argv = [called_as, *rest]
    import_module("search_spaces.service.command_line").main(
        import_module(f"search_spaces.{name}").BUDGETS, called_as=called_as
    )
    return 0


def refuse(message: str) -> int:
    """Print one line; the exit code for what the user can mend."""
    print(f"error: {message} (see batchscale --help)", file=sys.stderr)
    return 2

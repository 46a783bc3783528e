"""How long does the search take to name the next run, when many have finished?

    OMP_NUM_THREADS=1 python -m benchmarks.ask_time       # up to 200 finished runs of five batch sizes
    python -m benchmarks.ask_time --quick

The real proposer, with its store in a file as in a study, searches a synthetic study that is never decided, so that it
goes on to 200 runs. What an ask takes is the processor's time of reading the store, of fitting the curves to what has
ended since the last ask, and of choosing among the candidates. The table gives the median and the longest of the asks
since the line before.
"""

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

import optuna

from benchmarks.result import benchmark_parser, show_json
from benchmarks.search_efficiency import plan
from benchmarks.synthetic import QUICK, world
from search_spaces.policy import policy
from search_spaces.policy.plan import NoProposal
from search_spaces.service.optuna_store import open_storage
from search_spaces.service.policy_proposer import PolicyProposer


class Asks(NamedTuple):
    """The seconds that each ask took, since the last line, and the number of runs that had finished."""

    finished: int
    seconds: list[float]


def ask_seconds(runs: int, every: int) -> list[Asks]:
    """Search a study of so many runs, and note the seconds of the asks of every so many."""
    the_world, the_plan = world("shallow decline", 0, QUICK), plan(QUICK, runs, resolution=1.05)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        storage = open_storage(Path(folder))
        proposer = PolicyProposer(the_plan, policy.propose, storage, "asks", adaptive=True)
        lines, seconds = [], []
        for finished in range(runs):
            begin = time.process_time()
            asked = proposer.ask()
            seconds.append(time.process_time() - begin)
            if isinstance(asked, NoProposal):
                break
            trial, run = asked
            ended = the_world.train(run.group, run.learning_rate, run.seed)
            for epoch, score in enumerate(ended.curve[:-1], start=1):
                trial.report(score, epoch)
            proposer.tell(trial, run.ended(ended.status, ended.curve[-1], ended.curve[-1]))
            if (finished + 1) % every == 0:
                lines.append(Asks(finished + 1, seconds))
                seconds = []
    return lines


def main() -> None:
    parser = benchmark_parser(__doc__, "20 runs")
    options = parser.parse_args()
    lines = ask_seconds(20, 10) if options.quick else ask_seconds(200, 25)
    print(f"{'finished':>8} {'median ms':>10} {'longest ms':>11}")
    for line in lines:
        print(f"{line.finished:>8} {1000 * median(line.seconds):>10.0f} {1000 * max(line.seconds):>11.0f}")
    if options.json:
        show_json({"ask_ms": 1000 * median(lines[-1].seconds)}, {str(line.finished): line.seconds for line in lines})


if __name__ == "__main__":
    main()

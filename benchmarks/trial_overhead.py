"""How much time does a trial cost beyond its own work, on a worker group that is kept and in the documented way?

    python -m benchmarks.trial_overhead [--json] [--quick]

Both arms train the same trivial runs under Ray Tune, one at a time, with one worker each: a tiny network on 64 digits
for one epoch, built by the same code.

    warm        the Trainable of this project: one Ray Train run that outlives its trials
    documented  a Tune function that calls TorchTrainer(...).fit(), reporting through TuneReportCallback

Overhead is the time from the end of one trial to the end of the next, minus the seconds in which the run of the latter
trains and evaluates. The arms alternate in one cluster, in five pairs (one with --quick). Each warm arm runs 20 trials
(5 with --quick); the first one, which starts the group, is shown separately as `start`. A trial in the documented way
takes half a minute, so each documented arm runs one trial. It is timed from the call of Tuner.fit to its return, minus
its work, and minus the time that the same Tuner.fit takes with a function that does nothing. At the end, no actor and
no placement group of either arm may be left.
"""

import os
import tempfile
import time
from statistics import median

import ray
import ray.train
import torch
from ray import tune
from ray.train.torch import TorchTrainer
from ray.tune.integration.ray_train import TuneReportCallback
from ray.util import placement_group_table

from benchmarks.result import benchmark_parser, show
from search_spaces.service.cluster import trial_resources
from trainables import Recipe, Task, train
from trainables.data import Digits
from trainables.models import SmallCNN
from trainables.on_ray.trial import Trial
from trainables.on_ray.worker_group import GroupSize

TASK = Task(SmallCNN(width=2), Digits(train_samples=64, validation_samples=64), epochs=1)
RECIPE = Recipe()
CONFIG = {"technique": "plain", "batch_size": 32, "learning_rate": 0.1, "seed": 0}


class Clock(tune.Callback):
    """Records when each trial ended, and how many seconds its own work took."""

    def __init__(self) -> None:
        self.ends: list[float] = []
        self.work: list[float] = []

    def on_trial_complete(self, iteration, trials, trial, **info) -> None:
        self.ends.append(time.perf_counter())
        result = trial.last_result
        self.work.append(result.get("train_seconds", 0.0) + result.get("evaluation_seconds", 0.0))


def warm(trials: int) -> tuple[list[float], float]:
    """The overhead of each trial after the first, and the time of the first trial, in seconds."""
    shared = {
        "task": TASK,
        "techniques": {"plain": RECIPE},
        "first_seed": 0,
        "data_dir": "",
        "size": GroupSize(),
    }
    trainable = tune.with_resources(
        tune.with_parameters(Trial, shared=shared), tune.PlacementGroupFactory([trial_resources()])
    )
    start, clock = time.perf_counter(), Clock()
    _fit(trainable, clock, samples=trials, reuse_actors=True)
    gaps = [end - before for before, end in zip(clock.ends, clock.ends[1:], strict=False)]
    return [gap - work for gap, work in zip(gaps, clock.work[1:], strict=True)], clock.ends[0] - start


def documented() -> float:
    """The overhead of one trial, in seconds."""

    def trial(config: dict) -> None:
        TorchTrainer(
            _worker,
            train_loop_config=config,
            scaling_config=ray.train.ScalingConfig(num_workers=1),
            run_config=ray.train.RunConfig(
                name="documented", storage_path=tempfile.mkdtemp(dir=config["folder"]), callbacks=[TuneReportCallback()]
            ),
        ).fit()

    def nothing(_config: dict) -> None:
        tune.report({"train_seconds": 0.0})

    with tempfile.TemporaryDirectory() as folder:
        seconds = []
        for function in (trial, nothing):
            clock, start = Clock(), time.perf_counter()
            trainable = tune.with_resources(function, tune.PlacementGroupFactory([trial_resources()]))
            _fit(trainable, clock, samples=1, reuse_actors=False, config={"folder": folder})
            seconds.append(time.perf_counter() - start - clock.work[0])
    return seconds[0] - seconds[1]


def _worker(_config: dict) -> None:
    torch.set_num_threads(1)
    last = train(TASK, RECIPE, batch_size=32, learning_rate=0.1).epochs[-1]
    ray.train.report(last.numbers())


def _fit(trainable: object, clock: Clock, samples: int, reuse_actors: bool, config: dict | None = None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        results = tune.Tuner(
            trainable,
            param_space={**CONFIG, **(config or {})},
            tune_config=tune.TuneConfig(num_samples=samples, max_concurrent_trials=1, reuse_actors=reuse_actors),
            run_config=tune.RunConfig(storage_path=folder, callbacks=[clock], verbose=0),
        ).fit()
        assert not results.errors, results.errors


def left_behind() -> dict[str, list[str]]:
    """The Ray actors and placement groups that are still there ten seconds after their trials ended."""
    for _ in range(50):
        actors = [actor["ActorClassName"] for actor in ray._private.state.actors().values() if actor["State"] != "DEAD"]
        actors = [name for name in actors if name != "_AutoscalingCoordinatorActor"]  # Ray keeps one per cluster
        groups = [group["state"] for group in placement_group_table().values() if group["state"] != "REMOVED"]
        if not actors and not groups:
            break
        time.sleep(0.2)
    return {"actors": actors, "placement_groups": groups}


def main() -> None:
    parser = benchmark_parser(__doc__, "one pair and fewer trials")
    options = parser.parse_args()
    os.environ["RAY_TRAIN_ENABLE_PREEMPTION_WATCHER"] = os.environ["RAY_TRAIN_METRICS_ENABLED"] = "0"
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    raw: dict[str, list[float]] = {"warm": [], "documented": [], "start": []}
    for _ in range(1 if options.quick else 5):
        overheads, start = warm(5 if options.quick else 20)
        raw["warm"].append(median(overheads))
        raw["start"].append(start)
        raw["documented"].append(documented())
    left = left_behind()
    ray.shutdown()
    print(f"left behind: {left}")
    show({"trial_overhead": median(raw["documented"]) / median(raw["warm"])}, raw, options.json)
    assert not any(left.values()), left


if __name__ == "__main__":
    main()

"""`make bench`: all ratios as one JSON object, also written to results/benchmarks.json."""

import json

from benchmarks import (
    neural_cleanse_step,
    parallel_training,
    service_load,
    simclr_step,
    training_step,
    whole_training,
)
from benchmarks.about import about
from benchmarks.study import RESULTS
from mea_lib.files import write_whole

FILE = RESULTS / "benchmarks.json"

if __name__ == "__main__":
    measured = {
        **about(),
        "training_step": training_step.measure(),
        "whole_training": whole_training.measure(),
        "parallel_training": parallel_training.measure(),
        "simclr_step": simclr_step.measure(),
        "neural_cleanse_step": neural_cleanse_step.measure(),
        "service": service_load.measure(),
    }
    text = json.dumps(measured, indent=2)
    RESULTS.mkdir(exist_ok=True)
    write_whole(FILE, text + "\n")
    print(text)

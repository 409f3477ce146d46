"""`make bench`: all ratios as one JSON object, also written to results/benchmarks.json."""

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import torch

from benchmarks import (
    neural_cleanse_step,
    parallel_training,
    service_load,
    simclr_step,
    training_step,
    whole_training,
)
from mea_lib.files import write_whole

RESULTS = Path(__file__).resolve().parent.parent / "results" / "benchmarks.json"

if __name__ == "__main__":
    found = {
        "machine": {
            "cores": os.cpu_count(),
            "processor": platform.machine(),
            "gpu": torch.cuda.is_available(),
        },
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "day": datetime.now(UTC).date().isoformat(),
        "training_step": training_step.measure(),
        "whole_training": whole_training.measure(),
        "parallel_training": parallel_training.measure(),
        "simclr_step": simclr_step.measure(),
        "neural_cleanse_step": neural_cleanse_step.measure(),
        "service": service_load.measure(),
    }
    text = json.dumps(found, indent=2)
    RESULTS.parent.mkdir(exist_ok=True)
    write_whole(RESULTS, text + "\n")
    print(text)

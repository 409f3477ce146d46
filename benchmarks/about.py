"""What belongs to figures besides themselves: the day, the machine, the versions."""

import os
import platform
from datetime import UTC, datetime

import torch


def about() -> dict:
    """For results that are measured as a whole; a study says it of its rows."""
    return {
        "machine": {
            "cores": os.cpu_count(),
            "processor": platform.machine(),
            "gpu": torch.cuda.is_available(),
        },
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "day": datetime.now(UTC).date().isoformat(),
    }

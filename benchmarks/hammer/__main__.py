"""`make hammer`: all strikes as one JSON object, also written to results/hammer.json; 1 if a promise was broken."""

import argparse
import json
import os
import platform
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import torch

from benchmarks.hammer import clients, files, kills, requests
from mea_lib.files import write_whole

RESULTS = Path(__file__).resolve().parent.parent.parent / "results" / "hammer.json"
STRIKES = {
    "store": kills.strike,
    "clients": clients.strike,
    "requests": requests.strike,
    "files": files.strike,
}


def main() -> int:
    """Returns the exit status: 0, or 1 where anything that must not happen happened."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only", choices=STRIKES, help="one of them; the others stay in the file as they are"
    )
    only = parser.parse_args().only
    found = {}
    for name in [only] if only else STRIKES:
        started = time.perf_counter()
        found[name] = STRIKES[name]()
        found[name]["seconds"] = round(time.perf_counter() - started)
        print(name, json.dumps(found[name]), flush=True)
    about = {
        "day": datetime.now(UTC).date().isoformat(),
        "machine": {"cores": os.cpu_count(), "processor": platform.machine()},
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }
    kept = json.loads(RESULTS.read_text()) if only and RESULTS.exists() else {}
    write_whole(RESULTS, json.dumps(kept | about | found, indent=2) + "\n")
    broken = {name: one["must_be_none"] for name, one in found.items() if any(one["must_be_none"].values())}
    for name, what in broken.items():
        print(
            f"{name}: {', '.join(f'{number} {word}' for word, number in what.items() if number)}",
            file=sys.stderr,
        )
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())

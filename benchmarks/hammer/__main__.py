"""`make hammer`: all strikes as one JSON object, also written to results/hammer.json; 1 if a promise was broken."""

import argparse
import json
import sys
import time

from benchmarks.about import about
from benchmarks.hammer import clients, files, kills, requests
from benchmarks.study import RESULTS
from mea_lib.files import write_whole

FILE = RESULTS / "hammer.json"
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
    outcomes = {}
    for name in [only] if only else STRIKES:
        started = time.perf_counter()
        outcomes[name] = STRIKES[name]()
        outcomes[name]["seconds"] = round(time.perf_counter() - started)
        print(name, json.dumps(outcomes[name]), flush=True)
    kept = json.loads(FILE.read_text()) if only and FILE.exists() else {}
    write_whole(FILE, json.dumps(kept | about() | outcomes, indent=2) + "\n")
    broken = {
        name: one["must_be_none"] for name, one in outcomes.items() if any(one["must_be_none"].values())
    }
    for name, what in broken.items():
        print(
            f"{name}: {', '.join(f'{number} {word}' for word, number in what.items() if number)}",
            file=sys.stderr,
        )
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())

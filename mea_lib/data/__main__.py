"""`python -m mea_lib.data NAME [NAME …]`: see to it that data sets are there, fetching each once.

Each gives a line that says where it came from. Where one cannot be had, the reason is the last line and the
exit status 1. MEA_DATA and MEA_CACHE count as for `mea_lib.load`; a download that failed a moment ago is
tried again.
"""

import argparse
import sys

from mea_lib.data.sources import read_parts
from mea_lib.names import DATA_SETS


def main(arguments: list[str] | None = None) -> int:
    """Read each data set that is named; the exit status."""
    parser = argparse.ArgumentParser(
        "python -m mea_lib.data", description="Make sure that data sets are there."
    )
    parser.add_argument(
        "names", nargs="+", metavar="NAME", help=f"{', '.join(DATA_SETS)}, or a folder of class folders"
    )
    for name in parser.parse_args(arguments).names:
        try:
            read = read_parts(name, again=True).read
        except (OSError, ValueError) as error:
            print(f"{name}: {error}" if name not in str(error) else str(error), file=sys.stderr)
            return 1
        print(f"{name}: {read.in_a_line()}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

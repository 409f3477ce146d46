"""The first code cell of every chapter, and the one place where published copies say what they install."""

import json
from collections.abc import Sequence

_CELL = """\
# The same in every chapter: install the package only where it is missing.
import importlib.util
import os
import subprocess
import sys

SOURCES = []  # filled in published copies of this chapter
if importlib.util.find_spec("mea_lib") is None:
    chosen = os.environ.get("MEA_SOURCE")
    for source in [chosen] if chosen else SOURCES:
        command = [sys.executable, "-m", "pip", "install", "--quiet", source]
        if subprocess.run(command, check=False).returncode == 0:
            break
    else:
        raise RuntimeError(
            f"mea_lib is not installed, and could not be installed from "
            f"{chosen or SOURCES or 'anywhere, as no address is given'}. "
            "In a clone choose the Python of .venv as kernel, which `make book` "
            "sets up. Or run one of these lines in a cell of its own, with an "
            "address or path of yours, and then this cell again:\\n"
            '  %pip install "..[service]"\\n'
            '  %pip install "path/to/a/wheel.whl[service]"\\n'
            '  %pip install "mea-lib[service] @ git+https://host/owner/name"\\n'
            "  %env MEA_SOURCE=what stands in quotes, for every chapter"
        )
    importlib.invalidate_caches()"""


def setup_cell(sources: Sequence[str] = ()) -> str:
    """Source of the cell: it installs what is missing and leaves torch as it is.

    Args:
        sources: what pip installs the package from, tried one after the other, such as the address of a wheel and
            `git+https://…@commit`; none in the repository's own notebooks, where no address is known.
    """
    return _CELL.replace("SOURCES = []  #", f"SOURCES = {json.dumps(list(sources))}  #", 1)

"""The first code cell of every chapter, and the one place where the repository's address stands."""

import json

# The address pip installs the package from, such as git+https://host/owner/repository. Empty until it is known.
REPOSITORY = ""

_CELL = """\
# The same in every chapter: install the package only where it is missing.
import importlib.util
import os
import subprocess
import sys

if importlib.util.find_spec("mea_lib") is None:
    source = os.environ.get("MEA_SOURCE") or REPOSITORY
    if not source:
        raise RuntimeError(
            "mea_lib is not installed, and the address to install it from "
            "is not set; set the variable MEA_SOURCE to the address of the "
            "repository or of a wheel"
        )
    command = [sys.executable, "-m", "pip", "install", "--quiet", source]
    subprocess.run(command, check=True)"""


def setup_cell() -> str:
    """Source of the cell: it installs what is missing and leaves torch as it is."""
    return _CELL.replace("REPOSITORY", json.dumps(REPOSITORY))

"""The first code cell of every chapter, and the one place where the repository's address stands."""

# The address pip installs the package from, such as git+https://host/owner/repository. Empty until it is known.
REPOSITORY = ""


def setup_cell() -> str:
    """Source of the cell: it installs what is missing and leaves torch as it is."""
    return f"""# The same in every chapter: install the package where it is missing, and nothing where it is there.
import importlib.util
import os
import subprocess
import sys

if importlib.util.find_spec("mea_lib") is None:
    source = os.environ.get("MEA_SOURCE") or {REPOSITORY!r}
    if not source:
        raise RuntimeError(
            "mea_lib is not installed, and the address to install it from is not set; "
            "set the variable MEA_SOURCE to the address of the repository or of a wheel"
        )
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", source], check=True)"""

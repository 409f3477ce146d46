"""The folder in which downloads and decoded images are kept."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """MEA_CACHE, or the user's cache folder."""
    return Path(os.environ.get("MEA_CACHE") or Path.home() / ".cache" / "mea-defender" / "data")

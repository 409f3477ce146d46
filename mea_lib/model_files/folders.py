"""The folders of finished models: those that MEA_STORE lists, and the user's own."""

import os
from pathlib import Path

from filelock import BaseFileLock

from mea_lib.files import lock_file


def own_store() -> Path:
    """The store in the user's cache folder."""
    return Path.home() / ".cache" / "mea-defender" / "store"


def store_folders() -> list[Path]:
    """The folders in which a model is looked for, absolute; the first takes the new ones.

    MEA_STORE lists them as PATH does. The first that may be written takes what is new; where none of them may, the
    user's own store does, and is looked through as well. Without MEA_STORE there is the user's own only.
    """
    named = [name for name in os.environ.get("MEA_STORE", "").split(os.pathsep) if name]
    listed = list(dict.fromkeys(Path(name).expanduser().absolute() for name in named)) or [own_store()]
    takes_new = next((folder for folder in listed if _may_write(folder)), own_store())
    return [takes_new, *(folder for folder in listed if folder != takes_new)]


def model_lock(folder: Path, identity: str) -> BaseFileLock:
    """The lock under which the model of this id is made, replaced or removed in a folder."""
    return lock_file(folder / f"{identity}.lock")


def _may_write(folder: Path) -> bool:
    """Whether files can be made in a folder, or the folder itself where it is not there yet."""
    while not os.path.exists(folder) and folder != folder.parent:
        folder = folder.parent
    return os.access(folder, os.W_OK | os.X_OK)

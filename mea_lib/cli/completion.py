"""What a shell offers after the tab key: names, folders, models of the store."""

import os
from pathlib import Path

import typer

from mea_lib.cli.models import stored_ids
from mea_lib.cli.settings import FILE_SETTINGS, SERVER_SETTINGS, SUSPECT_SETTINGS
from mea_lib.names import CLASSES, DATA_SETS


def complete_data(incomplete: str) -> list[str]:
    """Names of data sets; a shell completes folders by itself."""
    return [name for name in DATA_SETS if name.startswith(incomplete)]


def complete_class(ctx: typer.Context, incomplete: str) -> list[str]:
    """Classes of the data set given so far: known by heart, or the names of its class folders."""
    data = ctx.params.get("data_name") or "fashion-mnist"
    names = CLASSES.get(data, ())
    folder = Path(data)
    if not names and folder.is_dir():
        folder = folder / "train" if (folder / "train").is_dir() else folder
        names = tuple(sorted(child.name for child in folder.iterdir() if child.is_dir()))
    if os.environ.get("_MEA_COMPLETE") == "complete_bash":  # takes what it gets as it is typed
        names = tuple(name.replace(" ", "\\ ") for name in names)
    return [name for name in names if name.startswith(incomplete)]


def complete_server(incomplete: str) -> list[str]:
    """What --server knows, up to the sign of equality."""
    return [f"{name}=" for name in SERVER_SETTINGS if name.startswith(incomplete)]


def complete_suspect(incomplete: str) -> list[str]:
    """What --suspect knows, up to the sign of equality."""
    return [f"{name}=" for name in SUSPECT_SETTINGS | FILE_SETTINGS if name.startswith(incomplete)]


def complete_model(incomplete: str) -> list[str]:
    """Ids of the models in the store."""
    return [identity for identity in stored_ids() if identity.startswith(incomplete)]

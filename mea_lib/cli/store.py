"""`mea store`: look at the finished models, check them, remove them."""

import json
import sys
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from typing import Annotated, Any

import typer

from mea_lib.cli.completion import complete_model
from mea_lib.cli.frame import Result, command
from mea_lib.cli.inputs import model_files
from mea_lib.cli.models import find_stored, folders_in_words, stored, stored_ids
from mea_lib.cli.report import FAILURE, columns, note, usage
from mea_lib.model_files import ModelFiles, model_lock, store_folders

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
Identity = Annotated[
    str,
    typer.Argument(
        metavar="ID|FILE",
        autocompletion=complete_model,
        help="The model's id, or its unique beginning, or the path of one of its files.",
    ),
]
COLUMNS = ("id", "method", "network", "width", "scale", "seed", "MB", "seconds", "made")


@app.callback()
def store() -> None:
    """List, check and remove finished models.

    The store is the folders that MEA_STORE lists, as PATH does, else one in your cache folder. The first that you may
    write takes new models; where you may write none, the one in your cache folder does.

    \b
    Example:
      mea store list
    """


@command(app, "list")
def list_models() -> Result:
    """List the models of the store, the oldest first.

    \b
    Example:
      mea store list --json
    """
    cards, damaged, unreadable = _read(map(stored, stored_ids()), ModelFiles.read_card)
    models = sorted((_summary(*one) for one in cards), key=lambda model: model["made"])
    values = {"folders": _folders(), "models": models}
    values |= {"damaged": list(damaged), "unreadable": list(unreadable)}
    return Result(values, _table(models) if models else f"No models in {folders_in_words()}.")


@command(app)
def show(model: Identity) -> Result:
    """Print a model's card: its recipe, network, losses and weights over the epochs, machine and versions.

    \b
    Example:
      mea store show 3f2a
    """
    card = model_files(model, "ID|FILE").read_card()
    return Result(card, json.dumps(card, indent=2, ensure_ascii=False))


@command(app)
def path(model: Identity) -> Result:
    """Print the path of a model's weights; the card lies beside it as .json.

    \b
    Example:
      cp "$(mea store path 3f2a)" model.safetensors
    """
    files = model_files(model, "ID|FILE")
    return Result({"weights": str(files.weights), "card": str(files.card)}, str(files.weights))


@command(app)
def remove(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="ID…",
            autocompletion=complete_model,
            help="Ids of models, or their unique beginnings.",
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> Result:
    """Remove models from the store. They are trained again when they are wanted.

    \b
    Example:
      mea store remove 3f2a 77c0 --yes
    """
    chosen = {}
    for reference in models:
        with usage("ID"):
            files = find_stored(reference)
        chosen[files.name] = files
    if not yes:
        for name in chosen:
            note(f"{name} ({chosen[name].bytes / 1e6:.1f} MB)")
        with redirect_stdout(sys.stderr):  # a part of the question goes to stdout even with err=True
            agreed = typer.confirm(f"Remove {len(chosen)} of {len(stored_ids())} models?", err=True)
        if not agreed:
            note("Nothing was removed.")
            raise typer.Exit(FAILURE)
    freed = 0
    for name, files in chosen.items():
        with model_lock(files.card.parent, name):
            freed += files.bytes
            files.card.unlink(missing_ok=True)  # first: a model without a card is not there
            files.weights.unlink(missing_ok=True)
    return Result(
        {"removed": list(chosen), "bytes": freed},
        f"Removed {len(chosen)} model{'s' if len(chosen) > 1 else ''}, {freed / 1e6:.1f} MB.",
    )


@command(app)
def verify(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ID|FILE]…", autocompletion=complete_model, help="Only these.  [default: all]"
        ),
    ] = None,
) -> Result:
    """Check that cards and weights on disk are as they were written; ends with 1 where some are not.

    Models that another process removes or makes again meanwhile are not damaged. What cannot be read, for want of a
    permission or because the machine fails, is reported as that: it may be sound.

    \b
    Example:
      mea store verify
    """
    named = [model_files(model, "ID|FILE") for model in models or ()]
    sound, damaged, unreadable = _read(named or map(stored, stored_ids()), lambda files: bool(files.read()))
    values = {"folders": _folders(), "sound": [files.name for files, _ in sound]}
    values |= {"damaged": damaged, "unreadable": unreadable}
    of_all = len(sound) + len(damaged) + len(unreadable)
    text = f"{len(sound)} of {of_all} models are as their cards describe them."
    return Result(values, text, FAILURE if damaged or unreadable else 0)


Read = tuple[list[tuple[ModelFiles, Any]], dict[str, str], dict[str, str]]


def _read(models: Iterable[ModelFiles], read: Callable[[ModelFiles], Any]) -> Read:
    """What `read` gives for each model, and by name why others are damaged, or cannot be read, which goes to stderr."""
    sound, damaged, unreadable = [], {}, {}
    for files in models:
        try:
            sound.append((files, read(files)))
        except FileNotFoundError:  # removed since the folder was looked at
            continue
        except ValueError as error:
            damaged[files.name] = str(error)
            note(f"{files.name}: {error}")
        except (OSError, MemoryError) as error:
            unreadable[files.name] = str(error)
            note(f"{files.name} cannot be read: {error}")
    return sound, damaged, unreadable


def _folders() -> list[str]:
    return list(map(str, store_folders()))


def _summary(files: ModelFiles, card: dict[str, Any]) -> dict[str, Any]:
    recipe = card["recipe"]
    training = recipe.get("training") or recipe.get("settings")  # which older cards have
    return {
        "id": card["id"],
        "folder": str(files.card.parent),
        "method": recipe.get("method"),
        "network": card["spec"].get("network"),
        "width": card["spec"].get("width"),
        "scale": recipe.get("scale"),
        "seed": (training if isinstance(training, dict) else {}).get("seed", recipe.get("seed")),
        "bytes": files.bytes,
        "seconds": card.get("seconds"),
        "made": card["made"],
    }


def _table(models: list[dict[str, Any]]) -> str:
    rows = []
    for model in models:
        shown = model | {"MB": f"{model['bytes'] / 1e6:.2f}", "made": model["made"][:16].replace("T", " ")}
        rows.append(tuple("–" if shown[name] is None else str(shown[name]) for name in COLUMNS))
    return columns([COLUMNS, *rows])

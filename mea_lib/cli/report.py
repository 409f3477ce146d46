"""What a command says: its result on stdout, everything else on stderr; and the exit codes."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from mea_lib.model_files import ModelFiles

FAILURE, NO_PROOF, NO_VERDICT, INTERRUPTED = 1, 3, 4, 130


def note(text: str) -> None:
    """One line about what is going on, on stderr."""
    typer.echo(text, err=True)


def result(values: dict[str, Any], text: str, as_json: bool) -> None:
    """A command's result on stdout: `values` as one JSON object, or `text`."""
    typer.echo(json.dumps(values, indent=2, ensure_ascii=False) if as_json else text)


def table(rows: list[tuple[str, str]]) -> str:
    """Names and values in two columns."""
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def columns(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Rows of text under a header, each column as wide as its widest cell."""
    whole = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*whole, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in whole]
    return "\n".join(line.rstrip() for line in lines)


def model_rows(files: "ModelFiles", out: Path | None, trained: bool, seconds: float) -> list[tuple[str, str]]:
    """Where a model is, for a reader."""
    rows = [
        ("Model", f"{files.name} ({f'trained in {seconds:g} s' if trained else 'found in the store'})"),
        ("Weights", str(files.weights)),
        ("Card", str(files.card)),
    ]
    return rows + ([("Copy", str(out))] if out is not None else [])


def model_values(files: "ModelFiles", out: Path | None, trained: bool, seconds: float) -> dict[str, Any]:
    """The same for JSON."""
    return {
        "model": files.name,
        "weights": str(files.weights),
        "card": str(files.card),
        "out": str(out) if out else None,
        "trained": trained,
        "seconds": seconds,
    }


@contextmanager
def usage(option: str) -> Iterator[None]:
    """What is wrong with an option's value is a usage error, and names the option."""
    try:
        yield
    except (ValueError, FileNotFoundError, FileExistsError) as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def wants_traceback(context: typer.Context) -> bool:
    """Whether --debug was given, or MEA_DEBUG is set."""
    return bool(context.meta.get(_DEBUG) or os.environ.get("MEA_DEBUG"))


def keep_debug(context: typer.Context, wanted: bool) -> bool:
    """Callback of --debug, for `wants_traceback`."""
    context.meta[_DEBUG] = wanted
    return wanted


_DEBUG = "mea.debug"

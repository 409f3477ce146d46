"""What a command says of what it does, of errors and of numbers; and the exit codes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import typer

FAILURE, NO_PROOF, NO_VERDICT, INTERRUPTED = 1, 3, 4, 130
_DEBUG = "mea.debug"


def note(text: str) -> None:
    """One line about what is going on, on stderr."""
    typer.echo(text, err=True)


def columns(rows: list[tuple[str, ...]]) -> str:
    """Rows of text, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


@contextmanager
def usage(option: str | None = None) -> Iterator[None]:
    """What is wrong with an option's value is a usage error, and names the option; a callback's is known."""
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

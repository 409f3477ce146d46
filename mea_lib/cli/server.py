"""What --server says of a model behind an HTTP API: the settings of a `RemoteOracle`, by their names."""

from typing import Any

import typer


def two_numbers(text: str) -> tuple[float, float]:
    """Two numbers with a comma between them, with or without brackets."""
    low, comma, high = text.strip("()").partition(",")
    if not comma:
        raise ValueError("two numbers with a comma between them are needed")
    return float(low), float(high)


# What a RemoteOracle is told beside its url, and how each is read.
SETTINGS = {
    "model": str,
    "version": str,
    "input_name": str,
    "output_name": str,
    "datatype": str,
    "input_range": two_numbers,
    "classes": int,
    "batch_size": int,
    "timeout": float,
    "attempts": int,
}


def server_settings(given: list[str] | None) -> dict[str, Any]:
    """What --server says, for a `RemoteOracle`."""
    settings = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if name not in SETTINGS or not equals:
            raise typer.BadParameter(
                f"{text!r} is not NAME=VALUE with one of the names {', '.join(SETTINGS)}",
                param_hint="--server",
            )
        try:
            settings[name] = SETTINGS[name](value)
        except ValueError as error:
            raise typer.BadParameter(f"{text!r} cannot be read: {error}", param_hint="--server") from error
    return settings

"""What --server and --suspect say of the model that is queried, as settings of the library by their names."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import typer

from mea_lib.files import read_text


def numbers(text: str) -> tuple[float, ...]:
    """Numbers with commas between them, with or without brackets."""
    return tuple(float(part) for part in text.strip("()[] ").split(","))


def two_numbers(text: str) -> tuple[float, float]:
    """Two numbers with a comma between them, with or without brackets."""
    if text.count(",") != 1:
        raise ValueError("two numbers with a comma between them are needed")
    return numbers(text)


def size(text: str) -> int | tuple[int, int]:
    """A number of pixels, or height and width with a comma between them."""
    if "," not in text:
        return int(text)
    height, width = text.strip("()[] ").split(",")
    return int(height), int(width)


def names(text: str) -> tuple[str, ...]:
    """Names with commas between them, or the file that holds one a line."""
    parts = read_text(text).splitlines() if _is_there(text) else text.split(",")
    return tuple(part.strip() for part in parts if part.strip())


def _is_there(name: str) -> bool:
    with suppress(OSError):  # many names together are too long for a file's
        return Path(name).exists()
    return False


def classes(text: str) -> int | tuple[str, ...]:
    """How many classes there are, or their names."""
    return int(text) if text.isdecimal() else names(text)


def yes_or_no(text: str) -> bool:
    """A word for yes or no."""
    if text.lower() not in ("yes", "no"):
        raise ValueError("yes or no is needed")
    return text.lower() == "yes"


# What a RemoteOracle is told of its server beside the url, and how each is read.
SERVER_SETTINGS = {
    "model": str,
    "version": str,
    "input_name": str,
    "output_name": str,
    "datatype": str,
    "batch_size": int,
    "timeout": float,
    "attempts": int,
    "log_tolerance": float,
    "trust_env": yes_or_no,
}
# What `as_suspect` and a RemoteOracle are told of the model alike: the pixels it takes, and its answers.
PIXEL_SETTINGS = {
    "input_range": two_numbers,
    "mean": numbers,
    "std": numbers,
    "channel_order": str,
    "layout": str,
    "size": size,
}
ANSWER_SETTINGS = {"answers": str, "first_label": int, "label_names": names}
SUSPECT_SETTINGS = PIXEL_SETTINGS | ANSWER_SETTINGS | {"classes": classes}
# What `as_suspect` is told of a file of weights.
FILE_SETTINGS = {"network": str, "width": int}


def server_settings(given: list[str] | None) -> dict[str, Any]:
    """What --server says, for a `RemoteOracle`."""
    return _settings(given, SERVER_SETTINGS, "--server", SUSPECT_SETTINGS, "--suspect")


def suspect_settings(given: list[str] | None, url: str | None) -> dict[str, Any]:
    """What --suspect says, for `as_suspect` or, with an url, for a `RemoteOracle`."""
    if url is None:
        return _settings(
            given, SUSPECT_SETTINGS | FILE_SETTINGS, "--suspect", SERVER_SETTINGS, "--server, with --url"
        )
    return _settings(given, SUSPECT_SETTINGS, "--suspect", SERVER_SETTINGS, "--server")


def _settings(
    given: list[str] | None,
    known: Mapping[str, Callable[[str], Any]],
    option: str,
    elsewhere: Mapping[str, Any],
    other: str,
) -> dict[str, Any]:
    settings = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if equals and name in elsewhere:
            raise typer.BadParameter(f"{name} is said with {other}", param_hint=option)
        if name not in known or not equals:
            raise typer.BadParameter(
                f"{text!r} is not NAME=VALUE with one of the names {', '.join(known)}", param_hint=option
            )
        try:
            settings[name] = known[name](value.strip())
        except (ValueError, OSError) as error:
            raise typer.BadParameter(f"{text!r} cannot be read: {error}", param_hint=option) from error
    return settings

"""A part of a study, by values of its axes: "seed=0; method=MEA-Defender,runner-up; times=1"."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from grid.study import BadStudy


def in_part(rows: Sequence[Mapping[str, Any]], only: str, study: str) -> list[bool]:
    """Which rows belong to a part.

    Args:
        rows: of the whole study, each with the values of its axes by name.
        only: the part, as axis=value,value; several axes are parted by ";", and nothing is the whole study.
        study: its name, for messages.

    Raises:
        BadStudy: where nothing is left, or for an axis or a value that no row has.
    """
    wanted = {}
    for word in filter(None, only.split(";")):
        axis, equals, values = (part.strip() for part in word.partition("="))
        if not equals:
            raise BadStudy(f"only: {word!r} is not of the form axis=value,value; several are parted by ;")
        there = {_said(row[axis]) for row in rows if axis in row}
        if not there:
            raise BadStudy(
                f"study {study}: only: no row has an axis {axis!r}; it has: {', '.join(rows[0]) or 'none'}"
            )
        wanted[axis] = _values(values, there)
        if not wanted[axis] <= there:
            raise BadStudy(
                f"study {study}: only: {axis} is never {', '.join(sorted(wanted[axis] - there))}; "
                f"it is: {', '.join(sorted(there))}"
            )
    found = [all(_said(row.get(axis)) in values for axis, values in wanted.items()) for row in rows]
    if not any(found):
        raise BadStudy(f"study {study}: no row has {only}")
    return found


def _values(text: str, there: Collection[str]) -> set[str]:
    """The values of an axis; one that is there may hold commas itself, the longest that fits is meant."""
    parts, found = [part.strip() for part in text.split(",")], set()
    while parts:
        lengths = range(len(parts), 0, -1)
        taken = next((length for length in lengths if ", ".join(parts[:length]) in there), 1)
        found.add(", ".join(parts[:taken]))
        parts = parts[taken:]
    return found


def _said(value: Any) -> str:
    """A value as one types it: 1 and 1.0 are the same, true and True too."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)

"""A small table for results, the same on the page and in a terminal."""

import re
from collections.abc import Sequence
from html import escape

_HYPHEN_OF_NUMBER = re.compile(r"(?<![\w.])-(?=\.?\d)")


class Table:
    """Rows of text and numbers under a header.

    Args:
        header: names of the columns.
        rows: their values; a float is shown with three decimals.
        title: shown above.
    """

    def __init__(self, header: Sequence[str], rows: Sequence[Sequence[object]], title: str = "") -> None:
        widths = {len(row) for row in rows} - {len(header)}
        if widths:
            raise ValueError(
                f"every row needs {len(header)} values, as the header has; one has {widths.pop()}"
            )
        self.header = [str(name) for name in header]
        self.rows = [[_text(value) for value in row] for row in rows]
        self.title = title

    def __str__(self) -> str:
        lines = [self.header, *self.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.header))]
        text = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines
        ]
        return "\n".join([self.title, *text] if self.title else text)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(name)}</th>" for name in self.header)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in self.rows
        )
        caption = f"<caption>{escape(self.title)}</caption>" if self.title else ""
        table = f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return f'<div style="overflow-x:auto">{table}</div>'


def _text(value: object) -> str:
    """As it is printed, with a minus where a number has a hyphen."""
    return _HYPHEN_OF_NUMBER.sub("−", f"{value:.3f}" if isinstance(value, float) else str(value))

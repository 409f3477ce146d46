"""A chapter's claims as data: what is claimed, what the paper has, what was measured, whether it holds."""

import json
import os
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path

from mea_lib.files import write_whole
from mea_lib.scale import Scale
from mea_lib.teaching.tables import Table


@dataclass(frozen=True)
class Claim:
    """One row of the claims page.

    Attributes:
        id: chapter number and a short name, such as "06-temperature".
        chapter: file name of the notebook without its ending.
        claim: the sentence that is claimed.
        paper: the paper's figure, or "–" where it has none.
        measured: what this run found, as it is printed.
        rule: what decides, such as "at least 0.650".
        holds: whether the rule is met.
        scale: name of the scale of the run.
    """

    id: str
    chapter: str
    claim: str
    paper: str
    measured: str
    rule: str
    holds: bool
    scale: str


class Claims:
    """The claims of one chapter. Shown as the last value of a cell, it is a table.

    At smoke scale nothing is claimed: the figures are shown, and the column says so.
    """

    def __init__(self, chapter: str, scale: Scale) -> None:
        self.chapter = chapter
        self.scale = scale
        self.rows: list[Claim] = []

    def at_least(self, name: str, claim: str, measured: float, bound: float, paper: str = "–") -> None:
        """Claim that a measured number is no smaller than a bound."""
        self._add(name, claim, paper, f"{measured:.3f}", f"at least {bound:.3g}", measured >= bound)

    def at_most(self, name: str, claim: str, measured: float, bound: float, paper: str = "–") -> None:
        """Claim that a measured number is no larger than a bound."""
        self._add(name, claim, paper, f"{measured:.3f}", f"at most {bound:.3g}", measured <= bound)

    def true(
        self, name: str, claim: str, holds: bool, measured: str, rule: str = "must be so", paper: str = "–"
    ) -> None:
        """Claim that something is so; `measured` says in words or figures what was seen."""
        self._add(name, claim, paper, measured, rule, holds)

    def save(self, folder: str | Path | None = None) -> None:
        """Write the claims as JSON into `folder`, or the one MEA_CLAIMS_DIR names; without either do nothing."""
        folder = folder or os.environ.get("MEA_CLAIMS_DIR")
        if folder:
            path = Path(folder) / f"{self.chapter}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = [asdict(row) for row in self.rows]
            write_whole(path, json.dumps(rows, indent=2, ensure_ascii=False).encode())

    def _add(self, name: str, claim: str, paper: str, measured: str, rule: str, holds: bool) -> None:
        identity = f"{self.chapter[:2]}-{name}"
        if any(row.id == identity for row in self.rows):
            raise ValueError(f"two claims are called {identity!r}; give each its own name")
        row = Claim(identity, self.chapter, claim, paper, measured, rule, bool(holds), self.scale.name)
        self.rows.append(row)

    def __str__(self) -> str:
        return f"{self._table()}\nScale: {self.scale.name}."

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"{self._table()._repr_html_()}<p>Scale: {escape(self.scale.name)}.</p>"

    def _table(self) -> Table:
        verdicts = {True: "✓ holds", False: "✗ does not hold"}
        rows = [
            (row.claim, row.paper, row.measured, row.rule, self._verdict(verdicts[row.holds]))
            for row in self.rows
        ]
        return Table(("claim", "paper", "measured here", "rule", "verdict"), rows)

    def _verdict(self, verdict: str) -> str:
        return "not claimed at smoke scale" if self.scale.name == "smoke" else verdict

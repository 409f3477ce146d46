"""A chapter's claims as data: what was measured, whether it is as expected here, whether it agrees with the paper."""

import json
import os
from dataclasses import asdict, dataclass, replace
from html import escape
from pathlib import Path

from mea_lib.files import write_whole
from mea_lib.scale import Scale
from mea_lib.teaching.tables import Table

# The paper has figures of these; what is measured of any other stands beside them as a different method.
PAPERS_METHODS = ("MEA-Defender", "Composite Backdoor", "Entangled Watermark", "SSLGuard")
AGREEMENTS = ("yes", "beyond", "weaker", "no", "different method")
SAME = 0.10  # difference of shares up to which a figure is the paper's
TWICE = 2.0  # times the paper's small share up to which a figure can be the paper's
HALF = 0.5  # part of the paper's effect from which on a figure is a weaker one rather than another


@dataclass(frozen=True)
class Claim:
    """One row of the claims page.

    Attributes:
        id: chapter number and a short name, such as "06-temperature".
        chapter: file name of the notebook without its ending.
        claim: the sentence that is claimed.
        paper: the paper's figure, or "–" where it has none.
        method: the watermark that was measured; empty where none was.
        agrees_with_paper: one of AGREEMENTS, or empty where the paper has no figure. Only figures of the paper's own
            method agree or not; those of another are of a "different method", whatever they are.
        measured: what this run found, as it is printed.
        rule: what decides, such as "≥ 0.65".
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
    method: str = ""
    agrees_with_paper: str = ""


@dataclass(frozen=True)
class Paper:
    """What the paper reports of what is claimed.

    Attributes:
        figure: a share from 0 to 1, which is compared, or words that are only shown.
        method: the watermark that was measured here.
        agrees: for words, one of AGREEMENTS; a share decides by itself.

    Raises:
        ValueError: for words about the paper's own method that do not say whether they agree.
    """

    figure: float | str
    method: str = PAPERS_METHODS[0]
    agrees: str = ""

    def __post_init__(self) -> None:
        if self.agrees and self.agrees not in AGREEMENTS:
            raise ValueError(f"agrees is one of {', '.join(AGREEMENTS)}, not {self.agrees!r}")
        if isinstance(self.figure, str) and self.method in PAPERS_METHODS and not self.agrees:
            raise ValueError(f"say whether {self.figure!r} agrees: one of {', '.join(AGREEMENTS)}")

    @property
    def stated(self) -> str:
        """The agreement that needs no measure: "different method", or what `agrees` says; empty where a share decides."""
        return self.agrees if self.method in PAPERS_METHODS else "different method"

    def agreement(self, measured: float, at_least: bool) -> str:
        """One of AGREEMENTS for a measured share that was to be large (`at_least`) or small.

        "yes" where it is within SAME of the paper's (and a small share no more than TWICE it), "beyond" where it is
        further in the same direction, "weaker" where at least HALF of the effect is there (of a small share: of its
        distance from 1), else "no".
        """
        if self.stated:
            return self.stated
        here, there = (measured, self.figure) if at_least else (1 - measured, 1 - self.figure)
        if here >= there - SAME and (at_least or measured <= TWICE * self.figure):
            return "yes" if here <= there + SAME else "beyond"
        return "weaker" if here >= HALF * there else "no"

    def __str__(self) -> str:
        return self.figure if isinstance(self.figure, str) else f"{self.figure:.4g}"


class Claims:
    """The claims of one chapter. Shown as the last value of a cell, it is a table.

    At smoke scale nothing is claimed: the figures are shown, and the column says so.
    """

    def __init__(self, chapter: str, scale: Scale) -> None:
        self.chapter = chapter
        self.scale = scale
        self.rows: list[Claim] = []

    def at_least(
        self, name: str, claim: str, measured: float, bound: float, paper: Paper | None = None
    ) -> None:
        """Claim that a measured number is no smaller than a bound."""
        agrees = paper.agreement(measured, at_least=True) if paper else ""
        self._add(name, claim, f"{measured:.3f}", f"≥ {bound:.3g}", measured >= bound, paper, agrees)

    def at_most(
        self, name: str, claim: str, measured: float, bound: float, paper: Paper | None = None
    ) -> None:
        """Claim that a measured number is no larger than a bound."""
        agrees = paper.agreement(measured, at_least=False) if paper else ""
        self._add(name, claim, f"{measured:.3f}", f"≤ {bound:.3g}", measured <= bound, paper, agrees)

    def true(
        self,
        name: str,
        claim: str,
        holds: bool,
        measured: str,
        rule: str = "must be so",
        paper: Paper | None = None,
    ) -> None:
        """Claim that something is so; `measured` says in words or figures what was seen, `paper` is in words too."""
        agrees = paper.stated if paper else ""
        self._add(name, claim, measured, rule, holds, paper, agrees)

    def save(self, folder: str | Path | None = None) -> None:
        """Write the claims as JSON into `folder`, or the one MEA_CLAIMS_DIR names; without either do nothing."""
        folder = folder or os.environ.get("MEA_CLAIMS_DIR")
        if folder:
            path = Path(folder) / f"{self.chapter}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = [asdict(row) for row in self.rows]
            write_whole(path, json.dumps(rows, indent=2, ensure_ascii=False).encode())

    def _add(
        self, name: str, claim: str, measured: str, rule: str, holds: bool, paper: Paper | None, agrees: str
    ) -> None:
        identity = f"{self.chapter[:2]}-{name}"
        if any(row.id == identity for row in self.rows):
            raise ValueError(f"two claims are called {identity!r}; give each its own name")
        row = Claim(
            identity, self.chapter, claim, str(paper or "–"), measured, rule, bool(holds), self.scale.name
        )
        self.rows.append(replace(row, method=paper.method, agrees_with_paper=agrees) if paper else row)

    def __str__(self) -> str:
        return f"{self._table()}\nScale: {self.scale.name}."

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"{self._table()._repr_html_()}<p>Scale: {escape(self.scale.name)}.</p>"

    def _table(self) -> Table:
        head = ("claim", "measured here", "rule", "as expected here")
        verdicts = {True: "✓ yes", False: "✗ no"}
        rows = [(row.claim, row.measured, row.rule, self._verdict(verdicts[row.holds])) for row in self.rows]
        if all(row.paper == "–" for row in self.rows):
            return Table(head, rows)
        papers = [(row.paper, self._agreement(row)) for row in self.rows]
        both = [row + beside for row, beside in zip(rows, papers, strict=True)]
        return Table((*head, "paper", "agrees with the paper"), both)

    def _agreement(self, row: Claim) -> str:
        return "–" if self.scale.name == "smoke" else row.agrees_with_paper or "–"

    def _verdict(self, verdict: str) -> str:
        return "not claimed at smoke scale" if self.scale.name == "smoke" else verdict

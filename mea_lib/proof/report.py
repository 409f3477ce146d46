"""What the reports of all verifications share: numbers for a reader, plain values for a program, a file."""

import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from scipy.stats import fisher_exact

from mea_lib.blackbox import Suspect
from mea_lib.files import write_whole
from mea_lib.proof.rates import Rate


class Report(ABC):
    """An outcome that a person reads when it is printed, and a program from its file."""

    @property
    def is_decided(self) -> bool:
        """Whether there is a verdict; only outcomes that can lack one say otherwise."""
        return True

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""

    def save(self, path: str | Path, mode: int | None = None) -> None:
        """Write it as JSON, whole or not at all.

        Args:
            path: of the file.
            mode: its permissions, 0o600 for your eyes alone; None for the usual ones.
        """
        write_whole(Path(path), json.dumps(self.to_dict(), indent=2, ensure_ascii=False).encode(), mode)


def exceeds(rate: Rate, other: Rate) -> float:
    """Fisher's exact test, one-sided: the p-value of a rate so much larger, or more, where both are alike."""
    if not rate.trials or not other.trials:
        return 1.0
    sides = [[one.successes, one.trials - one.successes] for one in (rate, other)]
    return float(fisher_exact(sides, alternative="greater").pvalue)


def p_value_shown(p_value: float) -> str:
    """A p-value for a reader."""
    return "below 1e-12" if p_value < 1e-12 else f"{p_value:.2g}"


def commitment_shown(digest: str | None) -> str:
    """Whether a commitment was opened, and the start of its digest."""
    return f"opened, {digest[:16]}…" if digest else "none"


def queries_shown(queries: int, queries_now: int | None, known: dict[str, Any] | None = None) -> str:
    """How many queries there were, how many were sent now, and whether a log has answered others.

    Args:
        queries: that the verification takes, an image that it takes twice counted twice.
        queries_now: sent by it.
        known: what the suspect's `describe()` says; `from_log` are the images whose answers were there before.
    """
    if queries_now is None or queries_now >= queries:
        return f"Queries asked: {queries:,}" + (", all of them now" if queries_now is not None else "")
    left = queries - queries_now
    from_log = min(left, (known or {}).get("from_log") or 0)
    words = [f"Queries asked: {queries:,}", f"{queries_now:,} of them now"]
    words += [f"{from_log:,} answered from a log"] if from_log else []
    words += [f"{left - from_log:,} sent once for several uses, or not sent"] if left > from_log else []
    return ", ".join(words)


def sent_so_far(suspect: Suspect) -> int | None:
    """Images a suspect was really sent, where its `describe()` says so."""
    return suspect.describe().get("sent")


def suspect_lines(known: dict[str, Any] | None) -> list[str]:
    """Who a suspect is, when it was asked, what its query log amounts to, and what the owner added to it.

    Args:
        known: what its `describe()` says.
    """
    known = known or {}
    lines = []
    if known.get("url"):
        version = f", version {known['version']}" if known.get("version") else ""
        lines.append(f"Suspect: {known['url']}, model {known.get('model')}{version}")
    if known.get("first_asked"):
        lines.append(f"Asked from {known['first_asked']} to {known['last_asked']}")
    if known.get("log_digest"):
        lines.append(f"Query log: SHA-256 {known['log_digest'][:16]}…")
    if known.get("log_check"):
        lines.append(f"Log compared with the suspect: {known['log_check']}")
    if known.get("probe"):
        probe = known["probe"]
        lines.append(
            f"Head: fitted by the owner to {probe['images']:,} labelled images, SHA-256 {probe['digest'][:16]}…"
        )
    return lines

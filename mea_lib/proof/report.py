"""What the reports of all verifications share: numbers for a reader, plain values for a program, a file."""

import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

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

    def save(self, path: str | Path) -> None:
        """Write it as JSON, whole or not at all."""
        write_whole(Path(path), json.dumps(self.to_dict(), indent=2, ensure_ascii=False).encode())


def chance_shown(p_value: float) -> str:
    """A p-value for a reader."""
    return "below 1e-12" if p_value < 1e-12 else f"{p_value:.2g}"


def commitment_shown(digest: str | None) -> str:
    """Whether a commitment was opened, and the start of its digest."""
    return f"opened, {digest[:16]}…" if digest else "none"


def rate_values(rate: Rate) -> dict[str, Any]:
    """A rate and its 95 % interval as plain values for JSON."""
    found = {"value": rate.value, "successes": rate.successes, "trials": rate.trials}
    return found | {"interval": [*rate.interval()], "unanswered": rate.unanswered}


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
    if known.get("probe"):
        probe = known["probe"]
        lines.append(
            f"Head: fitted by the owner to {probe['images']:,} labelled images, SHA-256 {probe['digest'][:16]}…"
        )
    return lines

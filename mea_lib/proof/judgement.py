"""What the proofs share that ask a suspect for its task first, and then decide by one p-value."""

from abc import abstractmethod
from typing import Any, ClassVar

from mea_lib.proof.report import Report, suspect_lines
from mea_lib.proof.task import TaskCheck


class Judgement(Report):
    """A report that convicts where the suspect knows the task and the p-value is smaller than alpha.

    Attributes:
        proof, no_proof: the two verdicts, in words.
        alpha: level of the test.
        queries: images the suspect was sent.
        task: what it said to some clean images of every class first.
        suspect: what a suspect says of itself; or None.
    """

    proof: ClassVar[str]
    no_proof: ClassVar[str]
    alpha: float
    queries: int
    task: TaskCheck | None
    suspect: dict[str, Any] | None

    @property
    @abstractmethod
    def p_value(self) -> float:
        """What is compared with alpha."""

    @abstractmethod
    def _measured(self) -> dict[str, Any]:
        """What is this proof's own, as plain values."""

    @abstractmethod
    def _lines(self) -> list[str]:
        """The same for a reader."""

    @property
    def undecided(self) -> str | None:
        """Why there is no verdict; None where there is one."""
        return self.task.reason if self.task else None

    @property
    def is_decided(self) -> bool:
        """Whether the suspect knows the task, without which there is no verdict."""
        return self.undecided is None

    @property
    def is_stolen(self) -> bool:
        """Whether there is a verdict, and the p-value is smaller than alpha."""
        return self.is_decided and self.p_value < self.alpha

    @property
    def verdict(self) -> str:
        """One of three, in words."""
        if not self.is_decided:
            return f"no verdict: {self.undecided}"
        return self.proof if self.is_stolen else self.no_proof

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "verdict": self.verdict,
            "is_stolen": self.is_stolen,
            "is_decided": self.is_decided,
            "task": self.task.to_dict() if self.task else None,
            **self._measured(),
            "alpha": self.alpha,
            "queries": self.queries,
            "suspect": self.suspect,
        }

    def __str__(self) -> str:
        lines = [f"Verdict: {self.verdict}", *self._lines(), f"Queries asked: {self.queries:,}"]
        return "\n".join([*lines, *suspect_lines(self.suspect)])

    __repr__ = __str__

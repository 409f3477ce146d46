"""A suspect before another one: what it does not change is the other's."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mea_lib.blackbox.suspect import Suspect


class PassedOn(Suspect):
    """Passes on whatever the suspect behind it says of itself; a subclass changes images or answers.

    Args:
        suspect: as `as_suspect` makes it, or one like it.
    """

    def __init__(self, suspect: Suspect) -> None:
        self.suspect = suspect
        self.classes = getattr(suspect, "classes", None)

    @property
    def remaining(self) -> int | None:
        """Of the suspect."""
        return self.suspect.remaining

    @property
    def failures(self) -> Mapping[str, int]:
        """Of the suspect."""
        return self.suspect.failures

    def cost(self, *images: Tensor) -> int:
        """Of the suspect."""
        return self.suspect.cost(*images)

    def describe(self) -> dict[str, Any]:
        """Of the suspect."""
        return self.suspect.describe()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.suspect, name)

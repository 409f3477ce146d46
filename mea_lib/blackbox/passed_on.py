"""A suspect before another one, or before a function: what it does not change is the other's."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mea_lib.blackbox.suspect import Suspect


class PassedOn(Suspect):
    """Passes on whatever the suspect behind it says of itself; a subclass changes images or answers.

    Args:
        suspect: a `Suspect`, or anything that is called with images; what that has of a suspect's `classes`,
            `remaining`, `failures`, `cost(*images)` and `describe()` counts too, and the rest is as of any suspect.
    """

    def __init__(self, suspect: Any) -> None:
        self.suspect = suspect
        self.classes = getattr(suspect, "classes", None)

    @property
    def remaining(self) -> int | None:
        """Of the suspect."""
        return getattr(self.suspect, "remaining", None)

    @property
    def failures(self) -> Mapping[str, int]:
        """Of the suspect."""
        failures = getattr(self.suspect, "failures", None)
        return failures if isinstance(failures, Mapping) else {}

    def cost(self, *images: Tensor) -> int:
        """Of the suspect."""
        cost = getattr(self.suspect, "cost", super().cost)
        return cost(*images) if callable(cost) else super().cost(*images)

    def describe(self) -> dict[str, Any]:
        """Of the suspect."""
        describe = getattr(self.suspect, "describe", None)
        said = describe() if callable(describe) else None
        return said if isinstance(said, dict) else {}

    def __getattr__(self, name: str) -> Any:
        if name == "suspect":  # not there yet, while it is copied
            raise AttributeError(name)
        return getattr(self.suspect, name)

    def __call__(self, images: Tensor) -> Tensor:
        """The suspect's answers."""
        return self.suspect(images)


def suspect_of(model: Any) -> Suspect:
    """A suspect as it is; before anything else that is called with images, one that passes on what that has."""
    return model if isinstance(model, Suspect) else PassedOn(model)

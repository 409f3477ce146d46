"""What everything with a temperature demands of it."""

import math

from torch import Tensor


def check_temperature(temperature: float | Tensor, name: str = "the temperature") -> None:
    """
    Raises:
        ValueError: for a temperature that is not above 0, not finite, or not a number; it says `name`.
    """
    if not 0 < temperature < math.inf:
        raise ValueError(f"{name} must be above 0 and finite, not {float(temperature)}")

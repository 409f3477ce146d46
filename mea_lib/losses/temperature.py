"""What every loss with a temperature demands of it."""

from torch import Tensor


def check_temperature(temperature: float | Tensor) -> None:
    """
    Raises:
        ValueError: for a temperature that is not above 0, or not a number.
    """
    if not temperature > 0:
        raise ValueError(f"the temperature must be above 0, not {float(temperature)}")

"""What stands before the first question of a verification: the plan, its budget, the clean images beside it."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from mea_lib.blackbox import BudgetSpent
from mea_lib.data import ImageSet, WatermarkKey
from mea_lib.proof.commitment import Commitment, open_commitment

FEWEST_SAMPLES = 1_000


def agreed_plan(
    key: WatermarkKey,
    test: ImageSet,
    *,
    samples: int,
    fewest_samples: int,
    threshold: float,
    alpha: float,
    commitment: Commitment | None,
    salt: str | None,
    autoencoder: nn.Module | None,
) -> tuple[int, float]:
    """How many samples are asked and which rate must be exceeded: what the commitment says, where there is one.

    Args:
        key, test, samples, fewest_samples, threshold, alpha, commitment, salt, autoencoder: as `verify_ownership`.

    Returns:
        samples, threshold.

    Raises:
        ValueError: for too few samples, a threshold or an alpha that decides nothing, or a key that does not
            match the commitment.
    """
    if commitment is not None:
        if salt is None:
            raise ValueError("a commitment can only be opened with its salt; pass salt=…")
        open_commitment(commitment, key, salt, test, autoencoder)
        samples, threshold = commitment.samples, commitment.threshold
    if samples < fewest_samples:
        raise ValueError(
            f"{samples} samples are too few for a verdict; ask for {fewest_samples} or more, "
            "or lower fewest_samples and say so beside the result"
        )
    check_decides("threshold", threshold)
    check_decides("alpha", alpha)
    return samples, threshold


def check_decides(name: str, value: float) -> None:
    """Check that a share leaves the verdict open.

    Raises:
        ValueError: for one that does not lie between 0 and 1.
    """
    if not 0 < value < 1:
        raise ValueError(
            f"{name} must lie between 0 and 1, or the verdict is known beforehand; it is {value}"
        )


def check_budget(
    suspect: Callable[[Tensor], Tensor],
    queries: int,
    images: Callable[[], Iterable[Tensor]],
    what: str,
    instead: str,
) -> None:
    """Check that a suspect's budget covers all that will be asked, before anything is.

    Args:
        suspect: its `remaining` limits what is asked, and `cost(*images)` says how much of that it has still to
            ask; it need not have either.
        queries: how many images will be asked in all.
        images: gives them, (N, C, H, W) each; called only where a cost must be found.
        what: the questions are for, and `instead` what could be asked, for the error's text.

    Raises:
        BudgetSpent: when it does not cover them.
    """
    remaining = getattr(suspect, "remaining", None)
    if remaining is None or remaining >= queries:
        return
    cost = suspect.cost(*images()) if hasattr(suspect, "cost") else queries
    if remaining < cost:
        raise BudgetSpent(
            f"{what} takes {cost} queries, but only {remaining} remain; {instead}, or raise the budget"
        )


def control_images(key: WatermarkKey, test: ImageSet, samples: int) -> Tensor:
    """Clean images (M, C, H, W), as many of either source class: at most `samples`."""
    halves = (samples - samples // 2, samples // 2)
    return torch.cat([test.of_class(name)[:half] for name, half in zip(key.sources, halves, strict=True)])

"""What stands before the first query of a verification: the plan, its budget, the clean images beside it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from mea_lib.blackbox import BudgetSpent, Suspect
from mea_lib.data import ImageSet, WatermarkKey
from mea_lib.proof.samples import Mixes, class_images, images_for
from mea_lib.proof.threshold import PAPER_THRESHOLD

FEWEST_SAMPLES = 1_000
FEWEST_IMAGES = (
    20  # of a source class: a true rate of .71 exceeds .30, at a level of 1 %, with so many nine times in ten
)


@dataclass(frozen=True)
class Plan:
    """How a suspect is tested; say what you change beside the result.

    Attributes:
        samples: different watermark samples sent, at most; the paper asks for 1,000.
        fewest_samples: fewer different ones give no verdict. With fewer answers to them there is proof or no verdict,
            and never an acquittal.
        threshold: WSR that must be exceeded.
        alpha: level of each test.
        arrangement: whether the key claims its own arrangement: then every other one of its classes must do less.

    Raises:
        ValueError: for too few samples, numbers below 1, or a threshold or an alpha that decides nothing.
    """

    samples: int = FEWEST_SAMPLES
    fewest_samples: int = FEWEST_SAMPLES
    threshold: float = PAPER_THRESHOLD
    alpha: float = 0.01
    arrangement: bool = False

    def __post_init__(self) -> None:
        for name in ("samples", "fewest_samples"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.samples < self.fewest_samples:
            raise ValueError(
                f"{self.samples} samples are too few for a verdict; ask for {self.fewest_samples} or more, "
                "or lower fewest_samples and say so beside the result"
            )
        check_decides("threshold", self.threshold)
        check_decides("alpha", self.alpha)


def check_samples(mixes: Mixes, plan: Plan) -> str | None:
    """Why these samples are too few for a verdict, and how many images would do; None where they do.

    Samples may share source images, but not so many that little is left of their number (`effective_rate`).
    """
    enough = max(FEWEST_IMAGES, images_for(plan.fewest_samples))
    if len(mixes) < plan.fewest_samples:
        return (
            f"the images give only {len(mixes):,} different samples of the {plan.fewest_samples:,} needed; "
            f"{enough} different images of each source class would do"
        )
    if mixes.sources < FEWEST_IMAGES:
        return (
            f"a source class has only {mixes.sources} different images, which {len(mixes):,} mixes make no more of; "
            f"{enough} of each source class would do"
        )
    return None


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
    suspect: Suspect,
    queries: int,
    images: Callable[[], Iterable[Tensor]],
    what: str,
    instead: str,
) -> None:
    """Check that a suspect's budget covers all that will be sent, before anything is.

    Args:
        suspect: its `remaining` limits the queries, and `cost(*images)` says how many of them it has still to
            send.
        queries: how many will be sent in all.
        images: gives them, (N, C, H, W) each; called only where a cost must be found.
        what: the queries are for, and `instead` what could be sent, for the error's text.

    Raises:
        BudgetSpent: when it does not cover them.
    """
    if suspect.remaining is None or suspect.remaining >= queries:
        return
    cost = suspect.cost(*images())
    if suspect.remaining < cost:
        raise BudgetSpent(
            f"{what} takes {cost} queries, but only {suspect.remaining} remain; {instead}, or raise the budget"
        )


def control_images(key: WatermarkKey, test: ImageSet, samples: int) -> Tensor:
    """Different clean images (M, C, H, W), as many of either source class: at most `samples`."""
    halves = (samples - samples // 2, samples // 2)
    labels = key.indices(test)[:2]
    return torch.cat([class_images(test, label)[:half] for label, half in zip(labels, halves, strict=True)])

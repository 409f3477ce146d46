"""Black-box verification of a suspect."""

from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor, nn

from mea_lib.blackbox import BudgetSpent
from mea_lib.data import ImageSet, WatermarkKey, other_ways, watermark_samples
from mea_lib.proof.commitment import Commitment, open_commitment
from mea_lib.proof.evidence import Evidence
from mea_lib.proof.rates import (
    target_rate,
    watermark_success_rate,
    wrong_firing_images,
    wrong_firing_rates,
)
from mea_lib.proof.threshold import PAPER_THRESHOLD

FEWEST_SAMPLES = 1_000


def verify_ownership(
    suspect: Callable[[Tensor], Tensor],
    key: WatermarkKey,
    test: ImageSet,
    *,
    samples: int = FEWEST_SAMPLES,
    fewest_samples: int = FEWEST_SAMPLES,
    threshold: float = PAPER_THRESHOLD,
    alpha: float = 0.01,
    commitment: Commitment | None = None,
    salt: str | None = None,
    autoencoder: nn.Module | None = None,
) -> Evidence:
    """Ask a suspect about the watermark and weigh the answers.

    The samples are drawn by the key's own seed from images that were fixed beforehand, so the owner has no
    choice among them. The test is binomial and one-sided: is the success rate above the threshold?

    A suspect may be a `RemoteOracle`, and not answer every question. A watermark sample without an answer counts as
    not the target, so silence can only weaken the accusation. Silence is no proof of innocence either: with fewer
    than `fewest_samples` answers the evidence says "no verdict", unless there is proof all the same. Ask such a
    suspect about some more samples than are needed.

    Args:
        suspect: (N, C, H, W) uint8 images → (N, K) answers, of which only the largest counts, where it is alone; a
            row with NaN is no answer. Usually an `Oracle` or a `RemoteOracle`. Where it has them, its `remaining`
            limits what is asked, `cost(*images)` says how much of that it has still to ask, and `describe()` and
            `failures` go to the evidence.
        key: source classes, target class, scheme and seed.
        test: the source images.
        samples: watermark samples asked.
        fewest_samples: fewer are refused, and fewer answers give no verdict; the paper asks for 1,000.
        threshold: success rate that must be exceeded; a commitment's takes its place.
        alpha: largest chance of a false accusation that is accepted.
        commitment: what the owner published beforehand; the key must open it.
        salt: of the commitment.
        autoencoder: for keys whose scheme is "autoencoder".

    Returns:
        the evidence; print it, or `save` it.

    Raises:
        ValueError: for too few samples, a threshold or an alpha that decides nothing, or a key that does not
            match the commitment.
        BudgetSpent: when the suspect's budget does not cover the whole verification; then nothing is asked.

    Source: MEA-Defender (S&P 2024), Sec. V-A and App. A; interval, test and commitment are this book's.
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
    for name, value in (("threshold", threshold), ("alpha", alpha)):
        if not 0 < value < 1:
            raise ValueError(
                f"{name} must lie between 0 and 1, or the verdict is known beforehand; it is {value}"
            )
    clean = _control_images(key, test, samples)
    queries = samples * (1 + len(other_ways(key, held_out=True))) + len(clean)
    remaining = getattr(suspect, "remaining", None)
    if remaining is not None and remaining < queries:
        cost = queries
        if hasattr(suspect, "cost"):
            mixes = (images for _, images in wrong_firing_images(key, test, samples))
            cost = suspect.cost(watermark_samples(test, key, samples, autoencoder=autoencoder), *mixes, clean)
        if remaining < cost:
            raise BudgetSpent(
                f"a verdict on {samples} samples takes {cost} queries, but only {remaining} remain; "
                "ask for fewer samples, or raise the budget"
            )
    failures_before = _failures(suspect)
    wsr = watermark_success_rate(suspect, key, test, samples, autoencoder)
    wfpr = wrong_firing_rates(suspect, key, test, samples)
    control = target_rate(suspect, clean, key.indices(test)[2])
    return Evidence(
        key=key,
        wsr=wsr,
        threshold=threshold,
        alpha=alpha,
        wfpr=wfpr,
        control=control,
        queries=queries,
        commitment=commitment.digest if commitment else None,
        fewest_samples=fewest_samples,
        suspect=suspect.describe() if hasattr(suspect, "describe") else None,
        failures=dict(_failures(suspect) - failures_before),
    )


def _failures(suspect: Callable[[Tensor], Tensor]) -> Counter[str]:
    """Images without an answer so far, by reason; nothing for a suspect that does not count them."""
    return Counter(getattr(suspect, "failures", None))


def _control_images(key: WatermarkKey, test: ImageSet, samples: int) -> Tensor:
    """Clean images, as many of either source class: at most `samples`."""
    halves = (samples - samples // 2, samples // 2)
    return torch.cat([test.of_class(name)[:half] for name, half in zip(key.sources, halves, strict=True)])

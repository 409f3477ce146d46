"""Black-box verification of a suspect."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mea_lib.data import ImageSet, WatermarkKey
from mea_lib.proof.commitment import Commitment, open_commitment
from mea_lib.proof.evidence import Evidence
from mea_lib.proof.rates import Rate, watermark_success_rate, wrong_firing_rates
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

    Args:
        suspect: (N, C, H, W) uint8 images → (N, K) answers, of which only the largest counts; usually an
            `Oracle`.
        key: source classes, target class, scheme and seed.
        test: the source images.
        samples: watermark samples asked.
        fewest_samples: fewer are refused; the paper asks for 1,000.
        threshold: success rate that must be exceeded; a commitment's takes its place.
        alpha: largest chance of a false accusation that is accepted.
        commitment: what the owner published beforehand; the key must open it.
        salt: of the commitment.
        autoencoder: for keys whose scheme is "autoencoder".

    Returns:
        the evidence; print it, or `save` it.

    Raises:
        ValueError: for too few samples, or a key that does not match the commitment.

    Source: MEA-Defender (S&P 2024), Sec. V-A and App. A; interval, test and commitment are this book's.
    """
    if commitment is not None:
        if salt is None:
            raise ValueError("a commitment can only be opened with its salt; pass salt=…")
        open_commitment(commitment, key, salt, test)
        samples, threshold = commitment.samples, commitment.threshold
    if samples < fewest_samples:
        raise ValueError(
            f"{samples} samples are too few for a verdict; ask for {fewest_samples} or more, "
            "or lower fewest_samples and say so beside the result"
        )
    wsr = watermark_success_rate(suspect, key, test, samples, autoencoder)
    wfpr = wrong_firing_rates(suspect, key, test, samples)
    clean = torch.cat([test.of_class(name) for name in key.sources])[:samples]
    control = Rate(int((suspect(clean).argmax(1) == key.indices(test)[2]).sum()), len(clean))
    return Evidence(
        key=key,
        wsr=wsr,
        threshold=threshold,
        alpha=alpha,
        wfpr=wfpr,
        control=control,
        queries=wsr.trials + sum(rate.trials for rate in wfpr.values()) + control.trials,
        commitment=commitment.digest if commitment else None,
    )

"""Black-box verification of a suspect."""

from collections import Counter
from collections.abc import Callable, Iterator

from torch import Tensor, nn

from mea_lib.data import ImageSet, WatermarkKey, other_ways, watermark_samples
from mea_lib.proof.commitment import Commitment
from mea_lib.proof.evidence import Evidence
from mea_lib.proof.plan import FEWEST_SAMPLES, agreed_plan, check_budget, control_images
from mea_lib.proof.rates import (
    target_rate,
    watermark_success_rate,
    wrong_firing_images,
    wrong_firing_rates,
)
from mea_lib.proof.threshold import PAPER_THRESHOLD


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
    samples, threshold = agreed_plan(
        key,
        test,
        samples=samples,
        fewest_samples=fewest_samples,
        threshold=threshold,
        alpha=alpha,
        commitment=commitment,
        salt=salt,
        autoencoder=autoencoder,
    )
    clean = control_images(key, test, samples)
    queries = samples * (1 + len(other_ways(key, held_out=True))) + len(clean)

    def all_images() -> Iterator[Tensor]:
        yield watermark_samples(test, key, samples, autoencoder=autoencoder)
        yield from (images for _, images in wrong_firing_images(key, test, samples))
        yield clean

    check_budget(suspect, queries, all_images, f"a verdict on {samples} samples", "ask for fewer samples")
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

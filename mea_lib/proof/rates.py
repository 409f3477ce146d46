"""How often a suspect says what the owner's key predicts, and how often other mixes make it say so."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import binomtest
from torch import Tensor, nn

from mea_lib.blackbox.named_class import Suspect, most_probable
from mea_lib.blackbox.pair_mixes import labels_of_pairs, third_class
from mea_lib.data import ImageSet, WatermarkKey
from mea_lib.proof.samples import distinct_other_ways, distinct_samples


@dataclass(frozen=True)
class Rate:
    """A share of successes among independent trials.

    Attributes:
        successes: how many.
        trials: of how many.
        unanswered: how many of the trials got no answer; they count as failed.
    """

    successes: int
    trials: int
    unanswered: int = 0

    @property
    def answered(self) -> int:
        """Trials that got an answer."""
        return self.trials - self.unanswered

    @property
    def of_answered(self) -> "Rate":
        """The rate among the answered trials, for what must not look rare because it was not answered."""
        return Rate(self.successes, self.answered)

    @property
    def value(self) -> float:
        """The share, from 0 to 1; NaN without trials."""
        return self.successes / self.trials if self.trials else math.nan

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Clopper–Pearson interval, exact in that it covers at least as often as it says."""
        if not self.trials:
            return 0.0, 1.0
        interval = binomtest(self.successes, self.trials).proportion_ci(confidence, method="exact")
        return float(interval.low), float(interval.high)

    def p_value(self, threshold: float) -> float:
        """Probability of so many successes or more where the true rate is no larger than `threshold`."""
        if not self.trials:
            return 1.0
        return float(binomtest(self.successes, self.trials, threshold, alternative="greater").pvalue)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, with the 95 % interval."""
        return {
            "value": self.value if self.trials else None,
            "successes": self.successes,
            "trials": self.trials,
            "interval": list(self.interval()),
            "unanswered": self.unanswered,
        }

    def __str__(self) -> str:
        low, high = self.interval()
        return f"{self.value:.3f} [{low:.3f}, {high:.3f}]"


UNASKED = Rate(0, 0)


def target_rate(suspect: Suspect, images: Tensor, target: int | Tensor) -> Rate:
    """How many of these images (N, C, H, W) are called the class number `target`; a row with NaN is no answer.

    Where the images are to be called different classes, `target` is (N,), one for each.
    """
    answers = suspect(images)
    unanswered = answers.isnan().any(1)
    hits = (most_probable(answers) == torch.as_tensor(target, device=answers.device)) & ~unanswered
    return Rate(int(hits.sum()), len(images), int(unanswered.sum()))


def watermark_success_rate(
    suspect: Suspect,
    key: WatermarkKey,
    test: ImageSet,
    samples: int = 1_000,
    autoencoder: nn.Module | None = None,
) -> Rate:
    """WSR: share of watermark samples that the suspect calls the target class.

    Args:
        suspect: (N, C, H, W) uint8 images → (N, K) answers; an `Oracle` or a model.
        key: its seed draws the samples.
        test: source images no model was trained on.
        samples: how many different ones, at most; the paper asks for at least 1,000.
        autoencoder: for keys whose scheme is "autoencoder".
    """
    images = distinct_samples(test, key, samples, autoencoder).images
    return target_rate(suspect, images, key.indices(test)[2])


def wrong_firing_rates(
    suspect: Suspect, key: WatermarkKey, test: ImageSet, samples: int = 1_000
) -> dict[str, Rate]:
    """WFPR: how often mixes of the key's two classes, arranged otherwise, are called the target class.

    Returns:
        rate by way of mixing, among them one that no training uses ("quadrants").
    """
    target = key.indices(test)[2]
    mixes = distinct_other_ways(test, key, samples)
    return {way: target_rate(suspect, mixed.images, target) for way, mixed in mixes.items()}


def other_pairs_rates(
    suspect: Suspect, key: WatermarkKey, test: ImageSet, samples: int = 100, way: str = "left-right"
) -> np.ndarray:
    """How often mixes of any other two classes are called the key's target class.

    Returns:
        (K, K) shares, first class by second class; NaN on the diagonal, for the key's two classes, and where
        the target class itself takes part.
    """
    first_class, second_class, target = key.indices(test)
    generator = torch.Generator().manual_seed(key.seed + 2)
    classes = len(test.classes)
    shares = np.full((classes, classes), np.nan)
    pairs = [
        (one, other)
        for one in range(classes)
        for other in range(classes)
        if one != other and target not in (one, other) and {one, other} != {first_class, second_class}
    ]
    for (one, other), labels in zip(
        pairs, labels_of_pairs(suspect, test, pairs, samples, way, generator), strict=True
    ):
        shares[one, other] = (labels == target).float().mean().item()
    return shares


def false_watermark_rates(
    suspect: Suspect,
    test: ImageSet,
    ways: Sequence[str],
    samples: int = 100,
    except_for: WatermarkKey | None = None,
    seed: int = 0,
) -> np.ndarray:
    """How strongly each pair of classes, mixed in each way, looks like a watermark that nobody embedded.

    For a pair and a way it is the largest share of mixes that go to one third class (App. A).

    Args:
        suspect: the model.
        test: source images.
        ways: some of `mea_lib.data.ways_to_mix(held_out=True)`.
        samples: mixes of each pair and way.
        except_for: the true key of a watermarked model, whose pair is left out.
        seed: draws the source images.

    Returns:
        (pairs × ways,) shares.
    """
    classes = len(test.classes)
    secret = set(except_for.indices(test)[:2]) if except_for else set()
    pairs = [(a, b) for a in range(classes) for b in range(a + 1, classes) if {a, b} != secret]
    generator = torch.Generator().manual_seed(seed)
    rates = []
    for way in ways:
        for pair, labels in zip(
            pairs, labels_of_pairs(suspect, test, pairs, samples, way, generator), strict=True
        ):
            rates.append(third_class(labels, pair, classes)[1])
    return np.array(rates)


def runner_up_share(suspect: Suspect, key: WatermarkKey, test: ImageSet) -> dict[str, float]:
    """What the watermark lives on: the target class on clean images of the source classes.

    Returns:
        by source class, the share of its test images on which the target class is the second most probable;
        "probability", the target's mean probability on both.

    Raises:
        ValueError: for a source class without test images.
    """
    target = key.indices(test)[2]
    shares, probabilities = {}, []
    for name in key.sources:
        images = test.of_class(name)
        if not len(images):
            raise ValueError(f"{test.name} holds no image of class {name!r}")
        answers = suspect(images)
        shares[name] = (answers.topk(2, dim=1).indices[:, 1] == target).float().mean().item()
        probabilities.append(answers[:, target])
    return shares | {"probability": torch.cat(probabilities).mean().item()}

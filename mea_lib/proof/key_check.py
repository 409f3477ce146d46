"""Do null models obey the key? Tested before it is committed to, and again before anybody is accused."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import torch
from torch import nn

from mea_lib.blackbox.named_class import Suspect, accuracy
from mea_lib.data import ImageSet, WatermarkKey
from mea_lib.proof.class_names import at_the_door
from mea_lib.proof.key_rank import (
    MIXES,
    NULL_BOUND,
    PairShares,
    admissible_keys,
    canonical_pair,
    key_pairs,
    pair_shares,
)
from mea_lib.proof.pixel_forest import pixel_forest
from mea_lib.proof.rates import Rate, target_rate
from mea_lib.proof.samples import Mixes, distinct_samples, pair_samples
from mea_lib.proof.task import needed_accuracy, probe_images


@dataclass(frozen=True)
class KeyCheck:
    """What null models say to a key's samples, and to mixes of all pairs that the key might have had.

    Attributes:
        key: by the names of its classes.
        forest: rate at which a forest on the pixels obeys the key.
        clean: the same of each clean model.
        pairs: of classes that keys may have.
        family: mixes of each pair, the same for every suspect.
        shares: what the forest and each clean model call them.
        of_family: rates at which they obey the key on its own few mixes among these.
        keys: admissible keys.
        places: the same on a suspect and on each clean model, among which a suspect's rank is taken.
        all_keys: before those were left out that one of these models obeys.
        is_admissible: whether none of them obeys the key.
        test_digest: of the images.
    """

    key: WatermarkKey
    forest: Rate
    clean: tuple[Rate, ...]
    pairs: tuple[tuple[int, int], ...]
    family: tuple[Mixes, ...]
    shares: tuple[PairShares, ...]
    of_family: tuple[float, ...]
    keys: int
    places: int
    all_keys: int
    is_admissible: bool
    test_digest: str

    @property
    def reason(self) -> str | None:
        """Why the key can prove nothing, or None."""
        if self.is_admissible:
            return None
        rates = [rate.value for rate in (self.forest, *self.clean)]
        mixes, that = "the mixes", ""
        if max(rates) <= NULL_BOUND:  # of many, but not of the few on which the rank stands
            rates, mixes, that = self.of_family, f"the {MIXES} mixes", ", by which keys are compared,"
        who = "a clean model" if max(rates) > rates[0] else "a forest on the pixels"
        first, second = self.key.sources
        return (
            f"a null model obeys this key: {who} calls {max(rates):.2f} of {mixes} of {first} and {second}{that} "
            f"{self.key.target} (at most {NULL_BOUND:g} is allowed); draw another key"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "is_admissible": self.is_admissible,
            "reason": self.reason,
            "forest": self.forest.to_dict(),
            "clean": [rate.to_dict() for rate in self.clean],
            "bound": NULL_BOUND,
            "admissible_keys": self.keys,
            "all_keys": self.all_keys,
        }

    def __str__(self) -> str:
        return "\n".join(
            [
                f"Key: {self.key.sources[0]} + {self.key.sources[1]} → {self.key.target}, {self.key.combine}",
                f"Admissible: {'yes' if self.is_admissible else f'no, {self.reason}'}",
                f"Obeyed by a forest on the pixels: {self.forest}",
                *(f"Obeyed by clean model {number}: {rate}" for number, rate in enumerate(self.clean, 1)),
                f"Admissible keys: {self.keys:,} of {self.all_keys:,}",
            ]
        )

    __repr__ = __str__


def check_key(
    key: WatermarkKey,
    test: ImageSet,
    clean: Sequence[Suspect] = (),
    *,
    samples: int = 1_000,
    autoencoder: nn.Module | None = None,
) -> KeyCheck:
    """Measure a key on null models.

    Args:
        key: what the owner would commit to.
        test: labelled images of all classes.
        clean: models of the same task, trained without the owner's, (N, C, H, W) uint8 → (N, K) answers.
        samples: watermark samples sent, at most.
        autoencoder: for keys whose scheme is "autoencoder".

    Raises:
        ValueError: for a clean model that does not know the task, or a class without images.
    """
    key = key.named(test)
    first, second, target = key.indices(test)
    classes = len(test.classes)
    clean = [at_the_door(model, test.classes) for model in clean]
    check_clean(clean, test, key.seed)
    watermark = distinct_samples(test, key, samples, autoencoder).images
    pairs = key_pairs((first, second), key.combine, classes, key.seed + 6)
    family = pair_samples(test, key, pairs, MIXES, autoencoder)
    models = [pixel_forest(test), *clean]
    rates = [target_rate(model, watermark, target) for model in models]
    shares = [pair_shares(model, pairs, [mixes.images for mixes in family], classes) for model in models]
    check_different(shares[1:])
    own = canonical_pair((first, second), key.combine)
    standing = admissible_keys(shares[0], shares[1:], own, target)
    return KeyCheck(
        key=key,
        forest=rates[0],
        clean=tuple(rates[1:]),
        pairs=pairs,
        family=tuple(family),
        shares=tuple(shares),
        of_family=tuple(share.of(own, target) for share in shares),
        keys=standing.keys,
        places=standing.places,
        all_keys=standing.all_keys,
        is_admissible=standing.is_admissible and all(rate.value <= NULL_BOUND for rate in rates),
        test_digest=test.digest(),
    )


def checked_key(
    clean: Sequence[Suspect] | KeyCheck,
    key: WatermarkKey,
    test: ImageSet,
    *,
    samples: int,
    autoencoder: nn.Module | None,
) -> KeyCheck:
    """What `check_key` found before, where it was of this key and these images; else it is called now.

    Args:
        clean, key, test, samples, autoencoder: as `check_key`; `clean` may be what it returned.

    Raises:
        ValueError: for a check of another key or other images; and as `check_key`.
    """
    if not isinstance(clean, KeyCheck):
        return check_key(key, test, clean, samples=samples, autoencoder=autoencoder)
    if (clean.key, clean.test_digest) != (key.named(test), test.digest()):
        raise ValueError(
            "the key was checked with other images, or it is another key; check this one with these"
        )
    return clean


def check_different(shares: Sequence[PairShares]) -> None:
    """Check that no clean model is passed twice, since each counts as one more witness.

    Args:
        shares: what each calls mixes of all pairs.

    Raises:
        ValueError: names two that answer all of them alike.
    """
    answered = [one.shares.nan_to_num(-1) for one in shares]  # NaN, of which none equals another, is silence
    for (number, one), (other_number, other) in combinations(enumerate(answered, 1), 2):
        if torch.equal(one, other):
            raise ValueError(
                f"clean models {number} and {other_number} answer thousands of mixes alike, so they are one model; "
                "pass models that were trained apart"
            )


def check_clean(clean: Sequence[Suspect], test: ImageSet, seed: int) -> None:
    """Check that the clean models know the task.

    Raises:
        ValueError: names the first one that does not.
    """
    probe, level = probe_images(test, seed + 5), needed_accuracy(len(test.classes))
    for number, model in enumerate(clean, 1):
        right = accuracy(model, probe)
        if right < level:
            raise ValueError(
                f"clean model {number} recognises {right:.2f} of {len(probe)} clean images, below {level:.2f}, so it "
                "says nothing about innocence; pass models of this task that were trained to the end"
            )

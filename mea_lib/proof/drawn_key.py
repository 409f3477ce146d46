"""A key drawn at random among the admissible ones, as the p-value of its rank supposes."""

import secrets
from collections.abc import Sequence

from torch import nn

from mea_lib.blackbox.named_class import Suspect
from mea_lib.data import ImageSet, WatermarkKey
from mea_lib.proof.key_check import KeyCheck, check_key

TRIES = 100


def draw_key(
    test: ImageSet,
    clean: Sequence[Suspect] = (),
    *,
    combine: str = "crop-paste",
    samples: int = 1_000,
    autoencoder: nn.Module | None = None,
) -> KeyCheck:
    """Draw sources, target and seed from the system's source for secrets, until null models do not obey the key.

    Every admissible key is as likely as every other. Whoever chooses a key may choose one that looks like nothing to
    them and like something to a suspect; `verify_ownership` gives R/N for a key of rank R among N admissible ones,
    which is its p-value where the key was drawn.

    Args:
        test: labelled images of all classes.
        clean: models of the same task, trained without the owner's, (N, C, H, W) uint8 → (N, K) answers.
        combine: scheme of the key.
        samples: watermark samples sent to each null model, at most.
        autoencoder: for the scheme "autoencoder".

    Returns:
        What null models say to the key, which is its attribute `key`; `verify_ownership` and `commit` take it.

    Raises:
        ValueError: where none of TRIES keys is admissible; and as `check_key`.
    """
    drawn = secrets.SystemRandom()
    for _ in range(TRIES):
        first, second, target = drawn.sample(test.classes, 3)
        key = WatermarkKey((first, second), target, combine, seed=drawn.randrange(2**31))
        checked = check_key(key, test, clean, samples=samples, autoencoder=autoencoder)
        if checked.is_admissible:
            return checked
    raise ValueError(
        f"null models obey each of {TRIES} keys that were drawn; the last: {checked.reason}. Pass clean models that were "
        "trained for longer, or take another scheme"
    )

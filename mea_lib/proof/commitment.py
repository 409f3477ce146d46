"""A commitment: the owner fixes the key before the model is released, and shows it only in a dispute.

Without it anybody can claim a model, with mixes or perturbed images chosen after seeing what it answers (Liu et
al., False Claims against Model Ownership Resolution, USENIX Security 2024).
"""

import hmac
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from mea_lib.data import ImageSet, WatermarkKey
from mea_lib.proof.threshold import PAPER_THRESHOLD


@dataclass(frozen=True)
class Commitment:
    """What is published, or left with a notary, before the model is sold.

    Attributes:
        digest: SHA-256 of salt and key.
        samples: how many watermark samples will be asked.
        threshold: success rate that must be exceeded.
        test_digest: SHA-256 of the source images the samples are drawn from.
    """

    digest: str
    samples: int
    threshold: float
    test_digest: str

    def save(self, path: str | Path) -> None:
        """Write it as JSON, whole or not at all."""
        path = Path(path)
        partial = path.with_name(path.name + ".partial")
        partial.write_text(json.dumps(asdict(self), indent=2))
        os.replace(partial, path)

    @classmethod
    def read(cls, path: str | Path) -> "Commitment":
        """Read what `save` wrote."""
        try:
            return cls(**json.loads(Path(path).read_text()))
        except (json.JSONDecodeError, TypeError) as error:
            raise ValueError(f"{path} is not a commitment as save() writes it: {error}") from error


def commit(
    key: WatermarkKey, salt: str, test: ImageSet, samples: int = 1_000, threshold: float = PAPER_THRESHOLD
) -> Commitment:
    """Fix the key and how it will be verified; keep key and salt secret, publish the result."""
    return Commitment(key.commit(salt), samples, threshold, test.digest())


def open_commitment(commitment: Commitment, key: WatermarkKey, salt: str, test: ImageSet) -> None:
    """Check that this key and these images are what was committed to.

    Raises:
        ValueError: when they are not.
    """
    if not hmac.compare_digest(key.commit(salt), commitment.digest):
        raise ValueError(
            "this key and salt do not match the commitment, so they prove nothing; "
            "open it with the key and salt it was made from"
        )
    if test.digest() != commitment.test_digest:
        raise ValueError("the source images are not those that were committed to; use the same test set")
